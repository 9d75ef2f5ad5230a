"""The embedded engine: nodes are our own `rmqnode`, forked from an image that has everything imported."""

from rmqctl.engine.start import StartSpec
from rmqctl.home import ClusterHome
from rmqctl.profile.model import Node
from rmqnode.config import render_properties


class EmbeddedEngine:
    """Runs nodes with nothing but Python. Follows the protocol `rmqctl.engine.Engine`."""

    name = "embedded"

    def files(self, node: Node, home: ClusterHome) -> dict[str, str]:
        """The properties of the node, in a form that Apache's nodes read too."""
        return {node.conf_name: f"# Written by rmqctl up for {node.name}.\n" + render_properties(node.properties)}

    def start_spec(self, node: Node, home: ClusterHome) -> StartSpec:
        """Fork the preloaded image and run the node in it."""
        return StartSpec(
            node=node.name,
            kind=node.kind,
            config_path=str(home.node_folder(node.name) / node.conf_name),
            log_path=str(home.node_log(node.name)),
            log_size_max=node.log_size_mib << 20,
            log_files=node.log_files,
        )
