"""The overlay of a node's configuration: what was changed over the network while it ran, kept beside its file.

    broker.conf                   belongs to who wrote it, never touched
    broker.overlay.conf           keys that tools changed (UPDATE_BROKER_CONFIG), in the same form; wins over the file
    broker.overlay.conf.refused   keys of the overlay that a start could not take; without effect

Deleting the overlay, or setting a key back to the file's value, ends a change. An overlay never stops a start: what is
changed over the network is checked before it is kept, and what is in it all the same (an older version kept more, a
person wrote it, the file beside it has changed) is divided here into what counts and what is set aside.
Differs from Apache's, which rewrites `broker.conf` with every key there is.
"""

from collections.abc import Sequence
from pathlib import Path

from rmqnode.config.check import Entry, NodeKind, SetAside, problem_of, rules_broken_by
from rmqnode.config.key_table import key_table
from rmqnode.config.properties import PropertiesText, scan_properties
from rmqnode.config.setting import NEVER


def overlay_path(conf: Path) -> Path:
    """Where the overlay of a configuration file is: `broker.overlay.conf` for `broker.conf`."""
    return conf.with_name(f"{conf.stem}.overlay{conf.suffix}")


def refused_path(conf: Path) -> Path:
    """Where keys of the overlay are set aside: `broker.overlay.conf.refused` for `broker.conf`."""
    overlay = overlay_path(conf)
    return overlay.with_name(overlay.name + ".refused")


def overlay_files(conf: Path) -> list[Path]:
    """Every file that belongs to the overlay of a configuration file and exists, with copies of former versions."""
    return sorted(conf.parent.glob(f"{conf.stem}.overlay{conf.suffix}*"))


def read_overlay(conf: Path) -> dict[str, str]:
    """Key → value of a configuration file's overlay, as far as it can be read; empty when there is none.

    Raises:
        OSError: It is there and cannot be read.
    """
    return _scan(overlay_path(conf)).as_mapping()


def read_refused(conf: Path) -> dict[str, str]:
    """Key → value of what was set aside; empty when nothing was.

    Raises:
        OSError: The file is there and cannot be read.
    """
    return _scan(refused_path(conf)).as_mapping()


def divide_overlay(
    kind: NodeKind, beneath: Sequence[Entry], overlay: Sequence[Entry], above: Sequence[Entry] = ()
) -> tuple[list[Entry], list[SetAside]]:
    """Divide an overlay into what counts and what a start cannot take.

    Args:
        kind: Of which node.
        beneath: What the overlay wins over: environment and file.
        overlay: Its entries.
        above: What wins over the overlay: the command line.
    """
    values = {each.key: each.value for each in beneath}
    set_aside: list[SetAside] = []
    taken: list[Entry] = []
    for entry in overlay:
        if entry.value == values.get(entry.key):
            continue
        reason = _reason_against(kind, entry)
        if reason is None:
            taken.append(entry)
        else:
            set_aside.append(SetAside(entry.key, entry.value, f"{entry.where}: {reason}"))
    while True:
        in_conflict = _in_conflict(kind, [*beneath, *taken, *above], taken)
        if not in_conflict:
            return taken, set_aside
        set_aside += in_conflict
        keys = {each.key for each in in_conflict}
        taken = [each for each in taken if each.key not in keys]


def never_reason(key: str) -> str:
    """Why a key is not taken from the network."""
    return (
        f"{key} cannot be changed over the network: who and where a node is, its folders, sizes of files, pools, code"
        f" and protection belong to its configuration file (rmqctl up --set {key}=…)"
    )


def _reason_against(kind: NodeKind, entry: Entry) -> str | None:
    if key_table(kind).changes_of(entry.key) is NEVER:
        return never_reason(entry.key)
    return problem_of(kind, entry)


def _in_conflict(kind: NodeKind, entries: Sequence[Entry], taken: Sequence[Entry]) -> list[SetAside]:
    """The keys of the overlay that break a rule with another key; none when only other keys break rules."""
    reasons: dict[str, str] = {}
    for rule, sentence in rules_broken_by(kind, entries):
        for key in rule.keys:
            reasons.setdefault(key, sentence)
    return [
        SetAside(each.key, each.value, f"{each.where}: {reasons[each.key]}") for each in taken if each.key in reasons
    ]


def _scan(path: Path) -> PropertiesText:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return PropertiesText()
    return scan_properties(data, str(path))
