"""Sections about messages that take a way of their own: transactional and delayed ones."""

import time
from pathlib import Path
from typing import Final

from scripts.benchmark.broker_probe import BrokerProbe
from scripts.benchmark.engines import Engine
from scripts.benchmark.flood import flood
from scripts.benchmark.ground import QUEUES, TOPIC, create_topic, master_of, temporary_home
from scripts.benchmark.processes import cpu_seconds

Rows = dict[str, float]

_THREADS: Final = 32
_WARM_UP_SECONDS: Final = 10
_MEASURED_SECONDS: Final = 10
_SCHEDULE_TOPIC: Final = "SCHEDULE_TOPIC_XXXX"
_DELAY_LEVEL: Final = 5
_DELAY_SECONDS: Final = 60
"""Of that level: longer than the sending takes, so that the broker is down when the first message is due."""
_FIRED_SHARE: Final = 0.95
_FIRE_TIMEOUT_SECONDS: Final = 300


def transactions(engine: Engine) -> Rows:
    """Half messages, each committed at once, by 32 threads of the official client."""
    with temporary_home() as home, engine.cluster("single", Path(home)) as cluster:
        create_topic(cluster)
        address, pid = master_of(cluster)
        with BrokerProbe(address) as broker, flood(cluster.nameserver, TOPIC, _THREADS, home, kind="transactions"):
            time.sleep(_WARM_UP_SECONDS)
            started, before, cpu_before = time.monotonic(), broker.stored(TOPIC, QUEUES), cpu_seconds([pid])
            time.sleep(_MEASURED_SECONDS)
            committed = broker.stored(TOPIC, QUEUES) - before
            seconds, cpu = time.monotonic() - started, cpu_seconds([pid]) - cpu_before
    return {
        f"transactions committed, {_THREADS} threads (messages/s)": committed / seconds,
        "broker CPU per transaction (µs)": cpu / committed * 1e6,
    }


def delayed(engine: Engine) -> Rows:
    """Delayed messages: scheduled by 32 threads, then fired by a broker that starts when all of them are overdue."""
    with temporary_home() as home:
        with engine.cluster("single", Path(home)) as cluster:
            create_topic(cluster)
            rows, backlog = _schedule(cluster.nameserver, *master_of(cluster), home)
        time.sleep(_DELAY_SECONDS)
        with engine.cluster("single", Path(home)) as cluster:
            return rows | _fire(*master_of(cluster), backlog)


def _schedule(nameserver: str, address: str, pid: int, home: str) -> tuple[Rows, int]:
    """Measure the second ten seconds of sending; return the rows and how many messages wait in the end."""
    with BrokerProbe(address) as broker:

        def scheduled() -> int:
            return broker.queue_end(_SCHEDULE_TOPIC, _DELAY_LEVEL - 1)

        with flood(nameserver, TOPIC, _THREADS, home, kind="delayed", level=_DELAY_LEVEL):
            time.sleep(_WARM_UP_SECONDS)
            started, before, cpu_before = time.monotonic(), scheduled(), cpu_seconds([pid])
            time.sleep(_MEASURED_SECONDS)
            count = scheduled() - before
            seconds, cpu = time.monotonic() - started, cpu_seconds([pid]) - cpu_before
        rows = {
            f"delayed messages scheduled, {_THREADS} threads (messages/s)": count / seconds,
            "broker CPU per message scheduled (µs)": cpu / count * 1e6,
        }
        return rows, scheduled() - broker.stored(TOPIC, QUEUES)


def _fire(address: str, pid: int, backlog: int) -> Rows:
    """Measure from the first look at a broker that just started until most of the backlog was fired."""
    with BrokerProbe(address) as broker:
        first, started, cpu_before = broker.stored(TOPIC, QUEUES), time.monotonic(), cpu_seconds([pid])
        last = first
        while last < _FIRED_SHARE * backlog:
            time.sleep(0.02)
            last = broker.stored(TOPIC, QUEUES)
            if time.monotonic() - started > _FIRE_TIMEOUT_SECONDS:
                raise RuntimeError(f"{last} of {backlog} delayed messages fired in {_FIRE_TIMEOUT_SECONDS} s")
        seconds, cpu = time.monotonic() - started, cpu_seconds([pid]) - cpu_before
    if last - first < backlog // 10:
        raise RuntimeError(f"{first} of {backlog} delayed messages were fired before they could be counted")
    return {
        "overdue messages (messages)": float(backlog),
        "overdue messages fired at start (messages/s)": (last - first) / seconds,
        "broker CPU per message fired (µs)": cpu / (last - first) * 1e6,
    }
