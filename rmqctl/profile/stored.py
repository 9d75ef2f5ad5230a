"""cluster.toml: what was resolved for a cluster, kept so that the next `up` brings up the same one.

Holds the model (for whoever looks at the running cluster) and what it was made from (profile, `--set`, whether the
address was given), so that a later `up` without options repeats it even when the profile's file is gone.
"""

import tomllib
from typing import Any

import msgspec

from rmqctl.documents import decode_toml
from rmqctl.errors import RmqctlError
from rmqctl.home import ClusterHome, write_atomically
from rmqctl.profile.java_settings import EngineOptions
from rmqctl.profile.model import ClusterModel
from rmqctl.profile.schema import Profile

_FORMAT = 1
_HEADER = "# Written by rmqctl. Change the cluster with `rmqctl up --profile … --set …`, not here.\n"


class StoredCluster(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of cluster.toml."""

    format: int = _FORMAT
    broker_ip_given: bool
    """The address came from `--broker-ip`, so it stays; otherwise it is detected at every `up`."""
    set_options: list[str]
    """The values of `--set`, as given."""
    engine_options: EngineOptions = EngineOptions()
    """`--engine` and what belongs to it, as given."""
    profile: Profile
    model: ClusterModel

    @property
    def ports(self) -> dict[str, int]:
        """Listen port of every node."""
        return {node.name: node.listen_port for node in self.model.nodes}


def save_cluster(home: ClusterHome, stored: StoredCluster) -> None:
    """Write cluster.toml, atomically and durably."""
    import tomli_w

    document = msgspec.to_builtins(stored)
    for node in document["model"]["nodes"]:
        _drop_unset(node)
    write_atomically(home.cluster_file, (_HEADER + tomli_w.dumps(document)).encode())


def load_cluster(home: ClusterHome) -> StoredCluster:
    """Read cluster.toml.

    Raises:
        RmqctlError: There is none, or it is damaged or from a later version.
    """
    try:
        return msgspec.convert(decode_toml(home.cluster_file.read_bytes()), StoredCluster)
    except FileNotFoundError:
        raise RmqctlError(
            f"cluster {home.name} was never brought up", f"{home.cluster_file} does not exist", "rmqctl up"
        ) from None
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise RmqctlError(
            f"{home.cluster_file} cannot be used",
            f"{error} (written by another version of rmqctl, or changed by hand)",
            "move the file away and run rmqctl up with the profile again: stores are kept",
        ) from None


def load_cluster_if_any(home: ClusterHome) -> StoredCluster | None:
    """Read cluster.toml; None when the cluster was never brought up."""
    return load_cluster(home) if home.cluster_file.exists() else None


def _drop_unset(node: dict[str, Any]) -> None:
    """TOML has no null; where a property came from is not worth keeping."""
    del node["sources"]
    for key in ("java", "broker_name", "broker_id"):
        if node[key] is None:
            del node[key]
