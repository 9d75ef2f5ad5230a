"""How fast the official push consumer works off a backlog, and what that costs the broker."""

import time
from dataclasses import dataclass

from scripts.benchmark import official
from scripts.benchmark.broker_probe import BrokerProbe
from scripts.benchmark.engines import RunningCluster
from scripts.benchmark.processes import cpu_seconds

CONSUMED_SHARE = 0.9
"""Consumption is measured up to this share of the backlog: its last messages come one by one."""

CONSUME_TIMEOUT_SECONDS = 120


@dataclass(frozen=True)
class Consumption:
    """What was measured; a message counts when the consumer is past it, whether it wanted it or not."""

    backlog: int
    """Messages in the topic."""
    messages_per_second: float
    broker_cpu_seconds_per_message: float


def consume_backlog(
    cluster: RunningCluster, topic: str, queues: int, group: str, home: str, *filter_options: str
) -> Consumption:
    """Measure from the first commit that is seen until most of the backlog is consumed.

    Args:
        cluster: With one master.
        topic: Nobody sends to it now.
        queues: How many it has.
        group: A new one.
        home: Where the consumer may write.
        filter_options: Further options of the official consumer: `-f TAG|SQL92 -e FILE`.
    """
    ((address, pid),) = cluster.masters.values()
    with BrokerProbe(address) as broker:
        backlog = broker.stored(topic, queues)
        with official.consumer(cluster.nameserver, topic, group, home, *filter_options):
            deadline = time.monotonic() + CONSUME_TIMEOUT_SECONDS
            first = 0
            while not first:
                first = broker.consumed(group, topic, queues)
                started, cpu_before = time.monotonic(), cpu_seconds([pid])
                _check(deadline, first, backlog)
            last = first
            while last < CONSUMED_SHARE * backlog:
                time.sleep(0.02)
                last = broker.consumed(group, topic, queues)
                _check(deadline, last, backlog)
            seconds, cpu = time.monotonic() - started, cpu_seconds([pid]) - cpu_before
    return Consumption(backlog, (last - first) / seconds, cpu / (last - first))


def _check(deadline: float, consumed: int, backlog: int) -> None:
    if time.monotonic() > deadline:
        raise RuntimeError(f"{consumed} of {backlog} messages consumed after {CONSUME_TIMEOUT_SECONDS} s")
