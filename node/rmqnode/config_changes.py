"""Changing a running node's configuration: what may change is said at each key, changes are kept in the overlay.

    at once              read each time it is used
    from the next start  kept; the running node goes on with the old value
    never                who and where a node is, folders, sizes of files, pools, code, protection

All of a request's changes are kept or none, and only if the next start takes the whole configuration with them.
Source: `AdminBrokerProcessor#updateBrokerConfig`, `Configuration#update` (RocketMQ 4.5.2). Differs: an unknown key, a
bad value or a key that never changes is refused, where Apache's says yes and drops it or writes it into its file.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from rmqnode.config import (
    BrokerConfig,
    ConfigError,
    NameserverConfig,
    NodeKind,
    SetAside,
    config_properties,
    load_broker_config,
    load_nameserver_config,
    never_reason,
    overlay_path,
    parse_properties,
    read_overlay,
    read_refused,
    refused_path,
    render_properties,
)
from rmqnode.config.check import check_entries, entries_of
from rmqnode.config.key_table import key_table
from rmqnode.config.setting import AT_ONCE, NEVER
from rmqnode.files import write_anew
from rmqnode.plain_text import escape_controls, shortened
from rmqnode.store.config_file import ConfigFile

logger = logging.getLogger(__name__)

C = TypeVar("C", BrokerConfig, NameserverConfig)

_OVERLAY_HEADER = "# Changed over the network while the node ran; wins over the file beside it.\n"
_REFUSED_HEADER = (
    "# Keys of the overlay that a start could not take: they have no effect.\n"
    "# Delete this file when it is settled; until then the node says that it is limited.\n"
)
_KEY_LENGTH_SHOWN = 60
_KEYS_LENGTH_SHOWN = 500


class NotChangeable(Exception):
    """A change names keys that never change over the network."""

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = tuple(keys)
        super().__init__(never_reason(", ".join(shortened(escape_controls(key), _KEY_LENGTH_SHOWN) for key in keys)))


class ConfigChanges:
    """The overlay of one node.

    Args:
        kind: Of which node.
        conf: The configuration file that the overlay lies beside; it need not exist.
    """

    def __init__(self, kind: NodeKind, conf: Path) -> None:
        self._kind: NodeKind = kind
        self._conf = conf
        self._pending: dict[str, str] = {}

    @property
    def path(self) -> Path:
        """The file that holds the changes."""
        return overlay_path(self._conf)

    def apply(self, config: C, changes: Mapping[str, str]) -> C:
        """Keep changes, all or none, and return the configuration that counts from now on.

        Repeating a value that counts already, now or from the next start, is no change.

        Raises:
            ConfigError: An unknown key, a bad value, keys that contradict each other, or a damaged file.
            NotChangeable: A key that never changes.
            OSError: A file can't be read or written.
        """
        table = key_table(self._kind)
        present = {**config_properties(config), **self._pending}
        never = (key for key, value in changes.items() if table.changes_of(key) is NEVER and value != present.get(key))
        if fixed := sorted(never):
            raise NotChangeable(fixed)
        wanted = {**present, **changes}
        # The form in which values are compared and kept: `TRUE` and `true` are one.
        formatted = {**wanted, **config_properties(self._checked(wanted))}
        changed = {key: formatted[key] for key in changes if formatted[key] != present.get(key)}
        if not changed:
            return config
        self._keep(changed)
        live = {key: value for key, value in changed.items() if table.changes_of(key) is AT_ONCE}
        self._pending.update((key, value) for key, value in changed.items() if key not in live)
        logger.info(
            "configuration changed keys=%s from_next_start=%s", ",".join(changed), ",".join(changed.keys() - live)
        )
        result: C = self._checked({**config_properties(config), **live})
        return result

    def refused_sentence(self) -> str | None:
        """What has to be said while keys are set aside; None when none are."""
        return refused_sentence(self._conf)

    def _checked(self, properties: Mapping[str, str]) -> Any:
        return check_entries(self._kind, entries_of(properties, "update")).config

    def _keep(self, changed: Mapping[str, str]) -> None:
        overlay = {**read_overlay(self._conf), **changed}
        original = self._original()
        kept = {key: value for key, value in overlay.items() if original.get(key) != value}
        if self._conf.exists():
            kept = self._startable(kept, changed)
        ConfigFile(self.path).save(_OVERLAY_HEADER + render_properties(kept))
        forget_refused(self._conf, changed)

    def _startable(self, kept: dict[str, str], changed: Mapping[str, str]) -> dict[str, str]:
        """Look whether the next start takes the whole; what stood in the overlay before and is refused goes.

        Raises:
            ConfigError: A start would not take the file, or not what is new.
        """
        load = load_broker_config if self._kind == "broker" else load_nameserver_config
        refused = load(self._conf, overlay=kept).set_aside
        if problems := [each.reason for each in refused if each.key in changed]:
            raise ConfigError(problems)
        gone = {each.key for each in refused}
        return {key: value for key, value in kept.items() if key not in gone}

    def _original(self) -> dict[str, str]:
        try:
            return parse_properties(self._conf.read_bytes(), str(self._conf)).as_mapping()
        except FileNotFoundError:
            return {}


def refused_sentence(conf: Path) -> str | None:
    """What has to be said while keys of the overlay beside a configuration file are set aside; None when none are."""
    path = refused_path(conf)
    try:
        keys = read_refused(conf)
    except OSError as error:
        return f"keys of the overlay were set aside, but {path} cannot be read: {error.strerror}"
    if not keys and not path.exists():
        return None
    names = ", ".join(shortened(escape_controls(key), _KEY_LENGTH_SHOWN) for key in keys) or "lines without a key"
    names = shortened(names, _KEYS_LENGTH_SHOWN)
    return f"set aside from the overlay, because a start cannot take it: {names} (why: {path})"


def keep_set_aside(conf: Path, set_aside: Sequence[SetAside]) -> None:
    """Move what a start cannot take from the overlay to the file beside it, with the reasons.

    Raises:
        OSError: Nothing was taken out of the overlay; the next start finds the same.
    """
    if not set_aside:
        return
    overlay = ConfigFile(overlay_path(conf))
    former = {key: value for key, value in read_refused(conf).items() if value}
    if any(not each.key for each in set_aside):
        # Lines that cannot be read have no key: the whole file is kept as it is.
        write_anew(overlay.path.with_name(overlay.path.name + ".refused.original"), overlay.path.read_bytes())
    lines = [f"# {shortened(escape_controls(each.reason), 1000)}\n" for each in set_aside]
    refused = former | {each.key: each.value for each in set_aside if each.key}
    ConfigFile(refused_path(conf)).save(_REFUSED_HEADER + "".join(lines) + render_properties(refused))
    keys = {each.key for each in set_aside}
    kept = {key: value for key, value in read_overlay(conf).items() if key not in keys}
    overlay.save(_OVERLAY_HEADER + render_properties(kept))


def forget_refused(conf: Path, changed: Mapping[str, str]) -> None:
    """Drop keys that were set aside once they are set anew.

    Raises:
        OSError: The file can't be read or written.
    """
    refused = read_refused(conf)
    left = {key: value for key, value in refused.items() if key not in changed}
    if left == refused:
        return
    if left:
        ConfigFile(refused_path(conf)).save(_REFUSED_HEADER + render_properties(left))
    else:
        refused_path(conf).unlink(missing_ok=True)


def log_set_aside(conf: Path, set_aside: Sequence[SetAside]) -> None:
    """Move what a start cannot take out of the overlay; a disk that does not allow it does not stop the start."""
    try:
        keep_set_aside(conf, set_aside)
    except OSError as error:
        keys = ", ".join(escape_controls(each.key) for each in set_aside)
        logger.error("keys stay in the overlay, without effect keys=%s reason=%s", keys, error)
