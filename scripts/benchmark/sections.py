"""The sections of the benchmark: each measures one promise of one engine and returns its rows of the table."""

import os
import re
import signal
import statistics
import sys
import time
from pathlib import Path
from typing import IO

from scripts.benchmark import official
from scripts.benchmark.attack import attack
from scripts.benchmark.broker_probe import BrokerProbe
from scripts.benchmark.client import our_sends
from scripts.benchmark.commands import command_times
from scripts.benchmark.consumption import consume_backlog
from scripts.benchmark.engines import Engine, RunningCluster, wait_for_another_pid
from scripts.benchmark.filter_cost import filter_cost
from scripts.benchmark.ground import QUEUES, TOPIC, create_topic, master_of, temporary_home
from scripts.benchmark.kinds import delayed, transactions
from scripts.benchmark.probe_waits import RATE as RATE_OF_PROBE
from scripts.benchmark.probe_waits import probe_waits_ms
from scripts.benchmark.processes import cpu_seconds, cpu_seconds_of_threads, pss_mib
from scripts.benchmark.replication import RATE, lag_ms
from scripts.benchmark.store import measure_store

Rows = dict[str, float]
"""What was measured, in words and with its unit, and how much it was."""

UP_TIMES = 5
KILL_TIMES = 10
READY_SECONDS = 3
RESTART_TIMEOUT_SECONDS = 120
IDLE_SECONDS = 20
LAG_TOPIC = "scripts-bench-lag"
FIRST_TOPIC = "scripts-bench-first"
SLAVE_TIMEOUT_SECONDS = 60
FAILED_SHARE_MAX = 0.1
"""More failures than this share of the sends are no measurement; fewer are counted and told.

Two kinds are known. Apache's SYNC_MASTER refuses what waited longer than `waitTimeMillsInSendQueue` (200 ms) for its
one thread that sends, which waits for the slave (`TIMEOUT_CLEAN_QUEUE`). And threads of a client of 4.5.2 that connect
at the same time close each other's connections (`NettyRemotingClient#createChannel`), on a busy machine for seconds:
what failed before the measurement does not count.
"""


def up(engine: Engine) -> Rows:
    """Start a fresh 2m-2s several times and take it down: each from the command to its end."""
    seconds, down_seconds = [], []
    for _ in range(UP_TIMES):
        with temporary_home() as home, engine.cluster("2m-2s", Path(home)) as cluster:
            seconds.append(cluster.up_seconds)
        down_seconds += cluster.down_seconds
    return {
        f"up 2m-2s, median of {UP_TIMES} (s)": statistics.median(seconds),
        f"up 2m-2s, slowest of {UP_TIMES} (s)": max(seconds),
        f"down 2m-2s, median of {UP_TIMES} (s)": statistics.median(down_seconds),
    }


def restart(engine: Engine) -> Rows:
    """Kill a master of 2m-2s (SIGKILL) several times: from the kill until it has stored a message again."""
    seconds: list[float] = []
    with temporary_home() as home:
        profile = Path(home) / "2m-2s.toml"
        brokers = "".join(f'[[brokers]]\nname = "{name}"\nslaves = 1\n' for name in ("broker-a", "broker-b"))
        # Each kill is to be a first one: the second in a row would wait for its next try.
        profile.write_text(f"[nameservers]\ncount = 2\n{brokers}[supervision]\nhealthy_seconds = 0\n")
        with engine.cluster(str(profile), Path(home)) as cluster:
            address, pid = cluster.masters["broker-a-0"]
            with BrokerProbe(address) as broker:
                broker.create_topic(FIRST_TOPIC, 1)
            for _ in range(KILL_TIMES):
                pid = wait_for_another_pid(Path(home), "broker-a-0", pid if seconds else 0)
                killed_at = time.monotonic()
                os.kill(pid, signal.SIGKILL)
                _send_until_stored(address)
                seconds.append(time.monotonic() - killed_at)
                # From here on it counts as ready, and its next end as a first failure.
                time.sleep(READY_SECONDS)
    return {
        f"restart of a killed master, median of {KILL_TIMES} (s)": statistics.median(seconds),
        f"restart of a killed master, slowest of {KILL_TIMES} (s)": max(seconds),
    }


def _send_until_stored(address: str) -> None:
    deadline = time.monotonic() + RESTART_TIMEOUT_SECONDS
    while True:
        try:
            with BrokerProbe(address) as broker:
                return broker.send(FIRST_TOPIC, b"again")
        except (OSError, RuntimeError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.002)


def idle(engine: Engine) -> Rows:
    """Memory and CPU of all processes of 2m-2s that nobody uses."""
    with temporary_home() as home, engine.cluster("2m-2s", Path(home)) as cluster:
        time.sleep(3)
        memory, before = pss_mib(cluster.pids), cpu_seconds_of_threads(cluster.pids)
        time.sleep(IDLE_SECONDS)
        used = cpu_seconds_of_threads(cluster.pids) - before
    return {
        f"memory of {len(cluster.pids)} processes, idle (MiB PSS)": memory,
        f"CPU over {IDLE_SECONDS} s, idle (% of a core)": used / IDLE_SECONDS * 100,
    }


def commands(engine: Engine) -> Rows:
    """Commands that a user waits for, on a cluster of this engine."""
    with temporary_home() as home, engine.cluster("single", Path(home)) as cluster:
        create_topic(cluster)
        return command_times(cluster)


def send(engine: Engine) -> Rows:
    """Synchronous sends to one master by 1 and by 32 threads of the official producer."""
    rows: Rows = {}
    for threads in (1, 32):
        with temporary_home() as home, engine.cluster("single", Path(home)) as cluster:
            create_topic(cluster)
            rows |= _send(cluster, threads, home)
            if threads > 1:
                rows |= _waits_beside(cluster, threads, home)
    return rows


def _waits_beside(cluster: RunningCluster, threads: int, home: str) -> Rows:
    """What a quiet sender waits beside a busy producer, whose JVM is warm by then."""
    with official.producer(cluster.nameserver, TOPIC, threads, home) as output:
        _next_figures(output)
        median, percentile = probe_waits_ms(master_of(cluster)[0], TOPIC)
    return {
        f"a probe at {RATE_OF_PROBE}/s beside {threads} threads waits, median (ms)": median,
        f"a probe at {RATE_OF_PROBE}/s beside {threads} threads waits, 99th percentile (ms)": percentile,
    }


def client(engine: Engine) -> Rows:
    """Our client with one core against the official one with 32 threads, on the same cluster."""
    with temporary_home() as home, engine.cluster("single", Path(home)) as cluster:
        create_topic(cluster)
        official_rate = next(iter(_send(cluster, 32, home).values()))
        ours = our_sends(cluster)
    return {
        "Java client, SYNC sends, 32 threads (messages/s)": official_rate,
        "our client, ASYNC sends, one core (messages/s)": ours["rate"],
        "our client, CPU per message sent (µs)": ours["cpu_us"],
        "our client, sends that failed": ours["failed"],
        "our client to Java's": ours["rate"] / official_rate,
    }


def consume(engine: Engine) -> Rows:
    """The official consumer on a backlog that 32 threads sent."""
    with temporary_home() as home, engine.cluster("single", Path(home)) as cluster:
        create_topic(cluster)
        _send(cluster, 32, home)
        consumption = consume_backlog(cluster, TOPIC, QUEUES, "scripts-bench-consumers", home)
    return {
        "backlog (messages)": float(consumption.backlog),
        "consumption (messages/s)": consumption.messages_per_second,
        "broker CPU per message consumed (µs)": consumption.broker_cpu_seconds_per_message * 1e6,
    }


def filters(engine: Engine) -> Rows:
    """The official consumer by tag and by a SQL92 expression that wants the same messages."""
    with temporary_home() as home, engine.cluster("single", Path(home)) as cluster:
        return filter_cost(cluster, home)


def store(engine: Engine) -> Rows:
    """Measure our store without a cluster; Apache's cannot be run alone."""
    return measure_store() if engine.name == "embedded" else {}


def replicate(engine: Engine) -> Rows:
    """A master with a slave: what waiting for the slave costs, and how far it is behind when nobody waits."""
    rows: Rows = {}
    rates: dict[str, float] = {}
    for role in ("ASYNC_MASTER", "SYNC_MASTER"):
        with temporary_home() as home:
            profile = Path(home) / "pair.toml"
            profile.write_text(
                f'brokers = [{{ name = "broker-a", slaves = 1 }}]\nproperties.masters = {{ brokerRole = "{role}" }}\n'
            )
            with engine.cluster(str(profile), Path(home)) as cluster:
                create_topic(cluster)
                _wait_for_slave(cluster)
                if role == "ASYNC_MASTER":
                    median, percentile = lag_ms(master_of(cluster)[0], cluster.slaves[0], LAG_TOPIC)
                    rows[f"slave behind at {RATE} messages/s, median (ms)"] = median
                    rows[f"slave behind at {RATE} messages/s, 99th percentile (ms)"] = percentile
                rate, _, failed = _send(cluster, 32, home).values()
                rates[role] = rows[f"sends to {role} with a slave, 32 threads (messages/s)"] = rate
                rows[f"sends to {role} that failed"] = failed
    rows["SYNC_MASTER to ASYNC_MASTER"] = rates["SYNC_MASTER"] / rates["ASYNC_MASTER"]
    return rows


SECTIONS = {
    "up": up,
    "restart": restart,
    "idle": idle,
    "commands": commands,
    "send": send,
    "client": client,
    "consume": consume,
    "filter": filters,
    "replicate": replicate,
    "store": store,
    "transactions": transactions,
    "delayed": delayed,
    "attack": attack,
}

NEED_JAVA = frozenset({"send", "client", "consume", "filter", "replicate", "transactions", "delayed"})
"""Sections whose load comes from official Java programs or the official Java client."""


def _wait_for_slave(cluster: RunningCluster) -> None:
    """Wait until the slave has a message; Apache's asks for the first one only some seconds after its start."""
    deadline = time.monotonic() + SLAVE_TIMEOUT_SECONDS
    with BrokerProbe(master_of(cluster)[0]) as master, BrokerProbe(cluster.slaves[0]) as slave:
        master.create_topic(LAG_TOPIC, 1)
        master.create_topic(FIRST_TOPIC, 1)
        master.send(FIRST_TOPIC, b"first")
        while not slave.stored(FIRST_TOPIC, 1):
            time.sleep(0.05)
            if time.monotonic() > deadline:
                raise RuntimeError(f"the slave got nothing in {SLAVE_TIMEOUT_SECONDS} s")


def _send(cluster: RunningCluster, threads: int, home: str) -> Rows:
    """Measure the second ten seconds of a producer: in the first its JVM warms up."""
    address, pid = master_of(cluster)
    with BrokerProbe(address) as broker, official.producer(cluster.nameserver, TOPIC, threads, home) as output:
        failed_before = _next_figures(output)
        started, sent_before, cpu_before = time.monotonic(), broker.stored(TOPIC, QUEUES), cpu_seconds([pid])
        failed = _next_figures(output) - failed_before
        sent = broker.stored(TOPIC, QUEUES) - sent_before
        cpu = cpu_seconds([pid]) - cpu_before
        seconds = time.monotonic() - started
    label = f"{threads} thread{'s' if threads > 1 else ''}"
    if failed:
        _tell_failures(failed, sent, home)
    return {
        f"SYNC sends, {label} (messages/s)": sent / seconds,
        f"broker CPU per message sent, {label} (µs)": cpu / sent * 1e6,
        f"sends that failed, {label}": float(failed),
    }


def _tell_failures(failed: int, sent: int, home: str) -> None:
    """Say why sends failed; raise where so many did that the others say nothing about the broker."""
    reasons = "; ".join(official.reasons_of_failures(home)) or "the client's log does not say why"
    told = f"{failed} sends of the official producer failed, {sent} were stored: {reasons}"
    if failed > FAILED_SHARE_MAX * sent:
        raise RuntimeError(told)
    print(f"  {told}", file=sys.stderr, flush=True)


def _next_figures(output: IO[str]) -> int:
    """Wait for the producer's next line of figures and return how many sends have failed."""
    for line in output:
        if found := re.search(r"Send TPS: \d+ .*Send Failed: (\d+) Response Failed: (\d+)", line):
            return int(found[1]) + int(found[2])
    raise RuntimeError("the official producer ended early")
