"""Whether Apache's broker would cut messages from a store that a broker of ours has served over damage.

Our broker steps over damage in the middle of a commit log, and marks it. Apache's recovery ends the log there, and what
stands behind is gone for good. So nothing of Apache's is started on such a store, unless that loss is accepted.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from rmqctl.engine.apache.store_lock import is_locked
from rmqctl.errors import RmqctlError
from rmqctl.profile.model import Node
from rmqnode.store.damage import Damage
from rmqnode.store.errors import StoreError
from rmqnode.store.maintenance.apache_recovery import ApacheCut, apache_cut
from rmqnode.store.maintenance.config_check import readable_checkpoint
from rmqnode.store.maintenance.discovery import discover_options


class Cut(NamedTuple):
    """What one broker would cut."""

    found: ApacheCut
    is_sure: bool
    """Otherwise it is the most."""


def check_no_messages_cut(nodes: Iterable[Node], *, accept_loss: bool, cluster: str) -> None:
    """Refuse to start brokers of Apache's that would cut messages which a broker of ours serves.

    Args:
        nodes: Those that are about to be started.
        accept_loss: Let them.
        cluster: Its name, for the commands that the error names.

    Raises:
        RmqctlError: Names the node, its store and how many messages would be cut.
    """
    if accept_loss:
        return
    for node in nodes:
        root = Path(node.properties.get("storePathRootDir", ""))
        if node.engine == "apache" and "storePathRootDir" in node.properties and _is_marked(root):
            cut = _cut_of(node, root)
            if cut is not None and cut.found.message_count:
                raise _refusal(node, root, cut, cluster)


def _is_marked(root: Path) -> bool:
    """Whether our broker has stepped over damage since Apache's had the store: what that cut once is not asked again.

    Java's broker writes `lock` at each start, ours does not; by that `coverage` is no longer believed.
    """
    damage = Damage.of(root)
    if not damage.extents and not damage.more:
        return False
    is_newer = _modified_ns(damage.folder / "extents.json") > _modified_ns(root / "lock")
    return is_newer or readable_checkpoint(root).coverage is not None


def _modified_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return -1


def _cut_of(node: Node, root: Path) -> Cut | None:
    """What would be cut; None when the store cannot be read, which Apache's broker will say itself."""
    commit_log = node.properties.get("storePathCommitLog")
    checks_crc = node.properties.get("checkCRCOnRecover", "true") != "false"
    try:
        options = discover_options(root, None if commit_log is None else Path(commit_log))
        options = replace(options, check_crc_on_recover=checks_crc)
        if not is_locked(root / "lock"):
            return Cut(apache_cut(options, was_clean=not (root / "abort").exists()), is_sure=True)
        # It runs, and is stopped before Apache's is started: cleanly, if nothing goes wrong.
        cuts = (apache_cut(options, was_clean=True), apache_cut(options, was_clean=False))
        return Cut(max(cuts, key=lambda cut: cut.message_count), is_sure=False)
    except (StoreError, OSError):
        return None


def _refusal(node: Node, root: Path, cut: Cut, cluster: str) -> RmqctlError:
    count, end_offset = cut.found.message_count, cut.found.end_offset
    messages = "1 message" if count == 1 else f"{count} messages"
    return RmqctlError(
        f"{node.name} is not started on Apache's engine: it would cut {'' if cut.is_sure else 'up to '}{messages}",
        f"its store {root} is damaged at physical offset {end_offset}: our broker steps over that, and Apache's ends"
        " the log there",
        f"mend it from a replica: rmqctl store verify {root} --repair --from NODE\n"
        f"or stay with ours: rmqctl up --engine embedded --cluster {cluster}\n"
        "or give these messages up: --accept-loss",
    )
