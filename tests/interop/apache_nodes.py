"""Apache's own RocketMQ 4.5.2 nodes on loopback: the judge of the cases that our nodes have to pass.

Responsible for jars, configuration, start (until each node reports success) and stop of real Java nameservers and
brokers. Run as a program it keeps a cluster up until Ctrl-C: `python -m tests.interop.apache_nodes --masters 2`.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.interop.toolchains import INTEROP, maven_folder

VERSION = "4.5.2"
START_TIMEOUT_SECONDS = 60
STOP_TIMEOUT_SECONDS = 20
NAMESERVER_MAIN = "org.apache.rocketmq.namesrv.NamesrvStartup"
BROKER_MAIN = "org.apache.rocketmq.broker.BrokerStartup"

JVM_OPTIONS = [
    "-Xms128m",
    "-Xmx128m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    # 4.5.2 reaches into the JDK to unmap its files, which Java 17 refuses unless it is told otherwise.
    *(
        f"--add-opens=java.base/{package}=ALL-UNNAMED"
        for package in ("java.nio", "sun.nio.ch", "java.lang", "jdk.internal.ref")
    ),
]

LOGBACK = """<configuration>
  <appender name="console" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%d %p %c - %m%n</pattern></encoder>
  </appender>
  <root level="WARN"><appender-ref ref="console"/></root>
</configuration>
"""

BROKER_PROPERTIES = {
    "brokerIP1": "127.0.0.1",
    "autoCreateTopicEnable": "true",
    "flushDiskType": "ASYNC_FLUSH",
    "mapedFileSizeCommitLog": str(64 * 1024 * 1024),
    "diskMaxUsedSpaceRatio": "95",
    # A burst of a test on a busy machine must not be refused because the page cache was slow for a moment.
    "osPageCacheBusyTimeOutMills": "10000",
    "waitTimeMillsInSendQueue": "10000",
}


@dataclass
class ApacheNode:
    """One running Java node."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    log: Path

    def stop(self) -> None:
        """Ask the node to stop, wait for it, and kill it if it does not go."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@dataclass
class ApacheCluster:
    """Running nameservers and brokers of Apache's."""

    nameservers: list[ApacheNode] = field(default_factory=list)
    brokers: list[ApacheNode] = field(default_factory=list)

    @property
    def nameserver_address(self) -> str:
        """What clients are given: `ip:port;ip:port`."""
        return ";".join(f"127.0.0.1:{node.port}" for node in self.nameservers)


def free_ports(count: int, *, distance: int = 1) -> list[int]:
    """Loopback ports nobody listens on, each with its `distance` neighbours below and above free as well."""
    found: list[int] = []
    start = 22_000 + os.getpid() % 400 * 20  # so that two workers do not try the same ones first
    for port in range(start, 32_000, 2 * distance + 1):
        if all(is_free(candidate) for candidate in range(port - distance, port + distance + 1)):
            found.append(port)
            if len(found) == count:
                return found
    raise RuntimeError(f"fewer than {count} free ports")


def is_free(port: int) -> bool:
    """Whether a listener on loopback could take the port."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@contextmanager
def apache_cluster(
    home: Path,
    *,
    nameservers: int = 1,
    masters: int = 2,
    jvm_options: tuple[str, ...] = (),
    told_to_brokers: Callable[[str], str] = str,
) -> Iterator[ApacheCluster]:
    """Run nameservers and masters (`broker-a`, `broker-b`, …) below `home` for the length of the block.

    Args:
        home: An empty folder for configuration, stores and logs.
        nameservers: How many nameservers.
        masters: How many masters.
        jvm_options: More options for every JVM, such as `-Drocketmq.serialize.type=ROCKETMQ`.
        told_to_brokers: Turns the nameservers' address into the one the brokers get, such as that of a proxy.
    """
    jars = maven_folder(f"apache-{VERSION}", INTEROP / "apache") / "jars"
    conf = home / "conf"
    conf.mkdir(parents=True)
    for name in ("logback_namesrv.xml", "logback_broker.xml"):
        (conf / name).write_text(LOGBACK)
    launcher = _Launcher(home, jars, jvm_options)
    cluster = ApacheCluster()
    with ExitStack() as running:
        for index, port in enumerate(free_ports(nameservers)):
            node = launcher.start(f"nameserver-{index}", NAMESERVER_MAIN, port, {"listenPort": str(port)})
            running.callback(node.stop)
            cluster.nameservers.append(node)
        wait_for_boot(cluster.nameservers)
        for index, port in enumerate(free_ports(masters, distance=2)):
            properties = _broker_properties(home, index, port, told_to_brokers(cluster.nameserver_address))
            node = launcher.start(f"broker-{chr(ord('a') + index)}-0", BROKER_MAIN, port, properties)
            running.callback(node.stop)
            cluster.brokers.append(node)
        wait_for_boot(cluster.brokers)
        yield cluster


def _broker_properties(home: Path, index: int, port: int, nameserver_address: str) -> dict[str, str]:
    name = f"broker-{chr(ord('a') + index)}"
    store = home / f"{name}-0" / "store"
    return {
        **BROKER_PROPERTIES,
        "brokerName": name,
        "brokerId": "0",
        "brokerRole": "ASYNC_MASTER",
        "listenPort": str(port),
        "haListenPort": str(port + 1),
        "namesrvAddr": nameserver_address,
        "storePathRootDir": str(store),
        "storePathCommitLog": str(store / "commitlog"),
    }


@dataclass
class _Launcher:
    home: Path
    jars: Path
    jvm_options: tuple[str, ...]

    def start(self, name: str, main: str, port: int, properties: dict[str, str]) -> ApacheNode:
        folder = self.home / name
        folder.mkdir()
        conf = folder / "node.conf"
        conf.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
        log = folder / "node.log"
        own = (f"-Duser.home={folder}", f"-Drocketmq.home.dir={self.home}")
        command = ["java", *JVM_OPTIONS, *self.jvm_options, *own, "-cp", f"{self.jars}/*", main, "-c", str(conf)]
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=folder)
        return ApacheNode(name, port, process, log)


def wait_for_boot(nodes: list[ApacheNode]) -> None:
    """Wait until each node has printed its own word of success; a broker does so after it registered."""
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    for node in nodes:
        while b"boot success" not in node.log.read_bytes():
            if node.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Apache's {node.name} did not start:\n{node.log.read_text()[-3000:]}")
            time.sleep(0.05)


def main() -> None:
    """Keep a cluster up until Ctrl-C, for trying things by hand."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--nameservers", type=int, default=1)
    parser.add_argument("--masters", type=int, default=2)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with (
        tempfile.TemporaryDirectory(prefix="apache-nodes-") as home,
        apache_cluster(Path(home), nameservers=options.nameservers, masters=options.masters) as cluster,
    ):
        ports = {node.name: node.port for node in cluster.nameservers + cluster.brokers}
        print(json.dumps({"nameserver": cluster.nameserver_address, "ports": ports}), flush=True)
        with suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    main()
