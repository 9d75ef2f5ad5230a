"""Configuration files of nodes: read, joined with overrides and environment, checked."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rmqnode.config.broker import BrokerConfig
from rmqnode.config.check import Loaded, NodeKind, check_entries, entries_of
from rmqnode.config.errors import ConfigError
from rmqnode.config.kinds import delay_levels, delays_ms
from rmqnode.config.nameserver import NameserverConfig
from rmqnode.config.overlay import overlay_path
from rmqnode.config.properties import PropertiesText, parse_properties, scan_properties

FILE_SIZE_BYTES_MAX = 1024 * 1024
"""A configuration file is a few hundred lines; anything larger is the wrong file."""


def load_broker_config(
    path: Path, overrides: Mapping[str, str] = {}, *, environment: Mapping[str, str] = {}
) -> Loaded[BrokerConfig]:
    """Load a `broker.conf` with its overlay; its own path becomes `broker_config_path`.

    Args:
        path: The file.
        overrides: Key → value from the command line; they win over the file.
        environment: Where `NAMESRV_ADDR` is looked up when neither of them sets namesrvAddr, as in Java.

    Raises:
        ConfigError: With every problem of file and overrides.
    """
    fallback = environment.get("NAMESRV_ADDR")
    overlay = overlay_path(path)
    changes = scan_properties(_read(overlay), str(overlay)) if overlay.exists() else PropertiesText()
    loaded = _load("broker", path, overrides, {"namesrvAddr": fallback} if fallback else {}, changes, str(overlay))
    changed = ", ".join(f"{each.key}={each.value}" for each in changes.properties)
    notices = [f"{overlay}: changed while the broker ran, and kept: {changed}"] if changed else []
    return Loaded(replace(loaded.config, broker_config_path=path), [*loaded.notices, *notices])


def load_nameserver_config(path: Path, overrides: Mapping[str, str] = {}) -> Loaded[NameserverConfig]:
    """Load a `nameserver.conf`; its own path becomes `config_store_path`, as in Java.

    Raises:
        ConfigError: With every problem of file and overrides.
    """
    loaded = _load("nameserver", path, overrides, {}, PropertiesText(), "")
    return Loaded(replace(loaded.config, config_store_path=path), loaded.notices)


def read_delay_levels(path: Path) -> tuple[int, ...] | None:
    """Read the delays of a `broker.conf` and its overlay, in milliseconds; None when they name none.

    The file may be of either engine: nothing else in it is looked at.

    Raises:
        ConfigError: A file cannot be read, or its delays are none.
    """
    overlay = overlay_path(path)
    values: dict[str, str] = {}
    for each in (path, overlay) if overlay.exists() else (path,):
        values |= parse_properties(_read(each), str(each)).as_mapping()
    text = values.get("messageDelayLevel")
    kind = delay_levels()
    try:
        return None if text is None else delays_ms(kind.parse(text))
    except ValueError:
        raise ConfigError([f"{path}: messageDelayLevel must be {kind.expected}, not '{text}'"]) from None


def _load(
    kind: NodeKind,
    path: Path,
    overrides: Mapping[str, str],
    fallbacks: Mapping[str, str],
    overlay: PropertiesText,
    overlay_name: str,
) -> Loaded[Any]:
    text = scan_properties(_read(path), str(path))
    unreadable = [*text.problems, *overlay.problems]
    entries = [
        *entries_of(fallbacks, "environment"),
        *entries_of(text.properties, str(path)),
        *entries_of(overlay.properties, overlay_name),
        *entries_of(overrides, "command line"),
    ]
    try:
        loaded = check_entries(kind, entries)
    except ConfigError as error:
        raise ConfigError([*unreadable, *error.problems]) from None
    if unreadable:
        raise ConfigError(unreadable)
    return Loaded(loaded.config, [*text.notices, *overlay.notices, *loaded.notices])


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(FILE_SIZE_BYTES_MAX + 1)
    except IsADirectoryError:
        # Docker creates a folder where a mounted file is missing.
        raise ConfigError([f"{path}: is a folder, not a configuration file"]) from None
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from None
    if len(data) > FILE_SIZE_BYTES_MAX:
        raise ConfigError([f"{path}: is larger than {FILE_SIZE_BYTES_MAX} bytes, not a configuration file"])
    return data
