"""The official benchmark programs of `org.apache.rocketmq:rocketmq-example:4.5.2`, started and stopped.

They count failures without a word why; the client's own log, below their home, has the reasons.
"""

import os
import re
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from rmqctl.profile.schema import DEFAULT_APACHE_VERSION
from tests.interop.toolchains import maven_folder

PACKAGE = "org.apache.rocketmq.example.benchmark"
BODY_SIZE_BYTES = 128
RUN_SECONDS_MAX = 300
"""A program that is still there is stopped: its output ends then, and with it whoever waits for a line."""

_REASON = re.compile(r"Exception: (.+)")
_REASON_LENGTH_MAX = 160
JVM_OPTIONS = ["-Xms512m", "-Xmx512m", "-XX:+UseSerialGC", "--add-opens=java.base/java.nio=ALL-UNNAMED"]


@contextmanager
def producer(nameserver: str, topic: str, threads: int, home: str) -> Iterator[IO[str]]:
    """Send synchronously until the block ends; yields the output, which has a line of figures every 10 s."""
    arguments = ("-t", topic, "-w", str(threads), "-s", str(BODY_SIZE_BYTES))
    with _program("Producer", nameserver, home, *arguments) as output:
        yield output


@contextmanager
def consumer(nameserver: str, topic: str, group: str, home: str, *options: str) -> Iterator[IO[str]]:
    """Consume until the block ends, in a group of exactly that name."""
    with _program("Consumer", nameserver, home, "-t", topic, "-g", group, "-p", "false", *options) as output:
        yield output


def reasons_of_failures(home: str) -> list[str]:
    """Why sends failed since the start, the most frequent reason first: `12 times CODE: 2 DESC: …`."""
    log = Path(home) / "logs" / "rocketmqlogs" / "rocketmq_client.log"
    reasons: Counter[str] = Counter()
    if log.exists():
        with log.open(errors="replace") as lines:
            is_failure = False
            for line in lines:
                found = _REASON.search(line) if is_failure else None
                if found is not None:
                    # Addresses and times differ from line to line, and are not the reason.
                    reasons[re.sub(r"(?<!CODE: )\b\d+", "…", found[1])[:_REASON_LENGTH_MAX]] += 1
                is_failure = "[BENCHMARK_PRODUCER] Send Exception" in line
    return [f"{count} times {reason}" for reason, count in reasons.most_common(3)]


@contextmanager
def _program(name: str, nameserver: str, home: str, *arguments: str) -> Iterator[IO[str]]:
    version = DEFAULT_APACHE_VERSION
    jars = maven_folder(f"benchmark-{version}", Path(__file__).parent / "java", rocketmq_version=version) / "jars"
    own = [f"-Duser.home={home}", f"-Drocketmq.namesrv.addr={nameserver}"]
    with subprocess.Popen(
        ["java", *JVM_OPTIONS, *own, "-cp", f"{jars}/*", f"{PACKAGE}.{name}", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"NAMESRV_ADDR": nameserver},
    ) as process:
        assert process.stdout is not None
        watchdog = threading.Timer(RUN_SECONDS_MAX, process.kill)
        watchdog.start()
        try:
            yield process.stdout
        finally:
            watchdog.cancel()
            process.terminate()
