"""Apache's own nodes without a supervisor, for captures that need a proxy between broker and nameserver.

Jars, options and configuration come from the `apache` engine, as for `rmqctl up --engine apache`; only who starts the
processes differs. Everything that needs no proxy uses `clusters.py`.
"""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from rmqctl.cli.engines.install_progress import open_install_progress
from rmqctl.cli.output import narrate
from rmqctl.engine import Engine
from rmqctl.engine.apache.nodes import ApacheEngine
from rmqctl.engine.files import write_node_files
from rmqctl.engine.prepare import engines_of
from rmqctl.home import ClusterHome
from rmqctl.profile.java_settings import EngineOptions
from rmqctl.profile.model import ClusterModel, Node
from rmqctl.profile.planning import UpOptions, plan_cluster
from tests.ports import free_port_offset

START_TIMEOUT_SECONDS = 60
STOP_TIMEOUT_SECONDS = 60


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


def broker_command(home: Path, properties: Mapping[str, str]) -> list[str]:
    """The command that runs a broker of 4.5.2 alone, with this configuration and everything that it writes in `home`.

    The broker says `boot success` on its stdout, which `wait_for_boot` waits for.
    """
    model = _model(home, 1, ())
    (broker,) = model.brokers
    engine = engines_of(model, open_install_progress, narrate)[broker.name]
    assert isinstance(engine, ApacheEngine), "that is what the model asks for"
    told = msgspec.structs.replace(broker, properties=dict(properties))
    for name, content in engine.files(told, ClusterHome(home, model.name)).items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(content)
    return engine.command(told, home, home / told.conf_name)


@contextmanager
def apache_cluster(
    home: Path,
    *,
    masters: int = 2,
    jvm_options: tuple[str, ...] = (),
    told_to_brokers: Callable[[str], str] = str,
) -> Iterator[ApacheCluster]:
    """Run a nameserver and masters (`broker-a`, `broker-b`, …) of 4.5.2 below `home` for the length of the block.

    Args:
        home: An empty folder for configuration, stores and logs.
        masters: How many masters.
        jvm_options: More options for every JVM, such as `-Drocketmq.serialize.type=ROCKETMQ`.
        told_to_brokers: Turns the nameserver's address into the one the brokers get, such as that of a proxy.
    """
    model = _model(home, masters, jvm_options)
    engines = engines_of(model, open_install_progress, narrate)
    cluster_home = ClusterHome(home, model.name)
    cluster = ApacheCluster()
    with ExitStack() as running:
        for node in model.nameservers:
            cluster.nameservers.append(_start(node, model, cluster_home, engines, running))
        wait_for_boot(cluster.nameservers)
        for broker in model.brokers:
            properties = broker.properties | {"namesrvAddr": told_to_brokers(cluster.nameserver_address)}
            told = msgspec.structs.replace(broker, properties=properties)
            cluster.brokers.append(_start(told, model, cluster_home, engines, running))
        wait_for_boot(cluster.brokers)
        yield cluster


def _model(home: Path, masters: int, jvm_options: tuple[str, ...]) -> ClusterModel:
    brokers = "".join(f'[[brokers]]\nname = "broker-{chr(ord("a") + index)}"\n' for index in range(masters))
    options = ", ".join(f'"{option}"' for option in jvm_options)
    home.mkdir(parents=True, exist_ok=True)
    profile = home / "profile.toml"
    profile.write_text(f"[apache]\njvm_options = [{options}]\n{brokers}")
    plan = UpOptions(
        home=home,
        profile=str(profile),
        broker_ip="127.0.0.1",
        port_offset=free_port_offset(),
        engine_options=EngineOptions(engine="apache"),
    )
    return plan_cluster(plan).model


def _start(
    node: Node, model: ClusterModel, home: ClusterHome, engines: dict[str, Engine], running: ExitStack
) -> ApacheNode:
    write_node_files(engines, msgspec.structs.replace(model, nodes=(node,)), home)
    spec = engines[node.name].start_spec(node, home)
    assert spec.argv is not None, "a node of Apache's is a program"
    log = Path(spec.log_path)
    with log.open("wb") as output:
        process = subprocess.Popen(spec.argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=spec.folder)
    started = ApacheNode(node.name, node.listen_port, process, log)
    running.callback(started.stop)
    return started


def wait_for_boot(nodes: list[ApacheNode]) -> None:
    """Wait until each node has printed its own word of success; a broker does so after it registered."""
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    for node in nodes:
        while b"boot success" not in node.log.read_bytes():
            if node.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Apache's {node.name} did not start:\n{node.log.read_text()[-3000:]}")
            time.sleep(0.05)
