"""A node of the model as files and a Java process. Follows the protocol `rmqctl.engine.Engine`."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from rmqctl.engine.apache.configuration import known_keys, render_configuration, system_properties
from rmqctl.engine.apache.java import Java
from rmqctl.engine.apache.jvm import jvm_options
from rmqctl.engine.apache.log_config import log_config
from rmqctl.engine.start import StartSpec
from rmqctl.home import ClusterHome
from rmqctl.profile.distribution import Distribution
from rmqctl.profile.drift import changed_properties
from rmqctl.profile.model import Node, NodeKind
from rmqnode.config import render_properties

GRACE_SECONDS = 60.0
"""An idle broker of 5.3.3 takes 17 s to stop (measured); a flush to a busy disk comes on top."""

_MAIN_CLASSES: dict[NodeKind, str] = {
    "nameserver": "org.apache.rocketmq.namesrv.NamesrvStartup",
    "broker": "org.apache.rocketmq.broker.BrokerStartup",
}
_LOG_CONFIGS: dict[NodeKind, str] = {
    "nameserver": "conf/logback_namesrv.xml",
    "broker": "conf/logback_broker.xml",
}
"""Where nodes of 4.x look for their logging configuration, below their home; those of 5.x are told by a property."""


class ApacheEngine:
    """Runs nodes of one version on one Java.

    Args:
        distribution: The jars.
        java: What they run on.
    """

    name = "apache"

    def __init__(self, distribution: Distribution, java: Java) -> None:
        self.distribution = distribution
        self.java = java
        self._keys: dict[NodeKind, Mapping[str, str]] = {}

    def files(self, node: Node, home: ClusterHome) -> dict[str, str]:
        """The configuration, as this version reads it, and where its log goes; raises UsageError for unknown keys."""
        if node.kind not in self._keys:
            self._keys[node.kind] = known_keys(self.distribution, node.kind)
        # What was changed on our own engine counts here too, as far as this version knows it.
        told = msgspec.structs.replace(node, properties=node.properties | changed_properties(node, home))
        properties = render_configuration(told, self.distribution, self._keys[node.kind])
        header = f"# Written by rmqctl up for {node.name}, RocketMQ {self.distribution.version}.\n"
        return {
            node.conf_name: header + render_properties(properties),
            _LOG_CONFIGS[node.kind]: log_config(
                node.name, node.kind, home.node_log(node.name).parent, node.log_size_mib, node.log_files
            ),
        }

    def start_spec(self, node: Node, home: ClusterHome) -> StartSpec:
        """Execute java with the node's folder as home of everything that the node writes."""
        folder = home.node_folder(node.name)
        config_path = folder / node.conf_name
        return StartSpec(
            node=node.name,
            kind=node.kind,
            engine=self.name,
            config_path=str(config_path),
            log_path=str(home.node_log(node.name)),
            log_size_max=node.log_size_mib << 20,
            log_files=node.log_files,
            argv=self.command(node, folder, config_path),
            folder=str(folder),
            grace_seconds=GRACE_SECONDS,
        )

    def command(self, node: Node, folder: Path, config_path: Path) -> list[str]:
        """The command line of a node.

        Args:
            node: Its kind, its settings for the JVM, its system properties.
            folder: Home of everything that it writes; `files` come there.
            config_path: Its configuration file.
        """
        assert node.java is not None, "the node runs on Java"
        log_path = folder / _LOG_CONFIGS[node.kind]
        return [
            self.java.executable,
            # First, so that `ps` shows which node it is.
            f"-Drmqctl.node={node.name}",
            f"-Duser.home={folder}",
            f"-Drocketmq.home.dir={folder}",
            f"-Drmq.logback.configurationFile={log_path}",
            f"-Dlogback.configurationFile={log_path}",
            f"-XX:ErrorFile={folder / 'logs' / 'hs_err_%p.log'}",
            *system_properties(node),
            *jvm_options(self.java.major, node.java),
            "-classpath",
            self.distribution.classpath,
            _MAIN_CLASSES[node.kind],
            "-c",
            str(config_path),
        ]
