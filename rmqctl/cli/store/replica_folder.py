"""Which store folder `--from` means: a node of the same cluster home, or a folder."""

from pathlib import Path

from rmqctl.errors import UsageError
from rmqnode.config import ConfigError, parse_properties


def replica_folder(folder: Path, named: str) -> Path:
    """Return the folder of the replica's store.

    Args:
        folder: The store that is to be mended, `<home>/<cluster>/<node>/store` if a node is named.
        named: A node such as `broker-a-1`, or a path.

    Raises:
        UsageError: There is no such store, or it is the same one.
    """
    own = folder.absolute().resolve()
    node_folder = own.parent.parent / named
    is_node = "/" not in named and node_folder.is_dir()
    found = _store_of(node_folder) if is_node else Path(named)
    if not found.is_dir():
        raise UsageError(
            f"there is no store of {named}",
            f"neither {node_folder} nor a folder {Path(named).absolute()} has one",
            "name another node of its cluster, such as broker-a-1 for broker-a-0, or the folder of a store",
        )
    if found.absolute().resolve() == own:
        raise UsageError(f"--from {named} is the store itself", cure="name a replica of it")
    return found


def _store_of(node_folder: Path) -> Path:
    """Where the configuration of a node says that its store is; else beside it."""
    conf = node_folder / "broker.conf"
    try:
        text = parse_properties(conf.read_bytes(), str(conf)).as_mapping().get("storePathRootDir")
    except (OSError, ConfigError):
        text = None
    return Path(text) if text else node_folder / "store"
