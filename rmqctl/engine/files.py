"""Writes what a cluster needs on disk before its nodes start: folders and configuration files."""

from collections.abc import Mapping

from rmqctl.engine import Engine
from rmqctl.home import ClusterHome, not_writable, write_atomically
from rmqctl.profile.drift import set_aside_refused
from rmqctl.profile.model import ClusterModel


def write_node_files(engines: Mapping[str, Engine], model: ClusterModel, home: ClusterHome) -> list[str]:
    """Create the folders of every node and write its configuration.

    Returns:
        What a person should read: keys that were changed over the network and do not go to a Java node.

    Raises:
        RmqctlError: A folder cannot be written; names it.
        UsageError: A setting that an engine does not know; then nothing was written.
    """
    files = {node.name: engines[node.name].files(node, home) for node in model.nodes}
    for node in model.nodes:
        folder = home.node_folder(node.name)
        try:
            for part in (folder / "store", home.node_log(node.name).parent):
                part.mkdir(parents=True, exist_ok=True)
            # Not flushed to the disk: every `up` writes it anew.
            for name, content in files[node.name].items():
                write_atomically(folder / name, content.encode(), durable=False)
        except OSError as error:
            raise not_writable(error, folder) from None
    return [notice for node in model.nodes if node.java is not None for notice in set_aside_refused(node, home)]
