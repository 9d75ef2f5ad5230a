"""Configuration files of nodes: read, joined with overrides and environment, checked."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rmqnode.config.broker import BrokerConfig
from rmqnode.config.check import Loaded, NodeKind, SetAside, check_entries, entries_of
from rmqnode.config.errors import ConfigError
from rmqnode.config.kinds import delay_levels, delays_ms
from rmqnode.config.nameserver import NameserverConfig
from rmqnode.config.overlay import divide_overlay, overlay_path
from rmqnode.config.properties import PropertiesText, parse_properties, scan_properties
from rmqnode.config.secrets import masked

FILE_SIZE_BYTES_MAX = 1024 * 1024
"""A configuration file is a few hundred lines; anything larger is the wrong file."""


def load_broker_config(
    path: Path,
    overrides: Mapping[str, str] = {},
    *,
    environment: Mapping[str, str] = {},
    overlay: Mapping[str, str] | None = None,
) -> Loaded[BrokerConfig]:
    """Load a `broker.conf` with its overlay; its own path becomes `broker_config_path`.

    Args:
        path: The file.
        overrides: Key → value from the command line; they win over the file.
        environment: Where `NAMESRV_ADDR` is looked up when neither of them sets namesrvAddr, as in Java.
        overlay: Taken instead of the overlay on the disk.

    Raises:
        ConfigError: With every problem of file and overrides. What is wrong with the overlay is set aside.
    """
    fallback = environment.get("NAMESRV_ADDR")
    loaded = _load("broker", path, overrides, {"namesrvAddr": fallback} if fallback else {}, overlay)
    return replace(loaded, config=replace(loaded.config, broker_config_path=path))


def load_nameserver_config(
    path: Path, overrides: Mapping[str, str] = {}, *, overlay: Mapping[str, str] | None = None
) -> Loaded[NameserverConfig]:
    """Load a `nameserver.conf` with its overlay; its own path becomes `config_store_path`, as in Java.

    Raises:
        ConfigError: With every problem of file and overrides. What is wrong with the overlay is set aside.
    """
    loaded = _load("nameserver", path, overrides, {}, overlay)
    return replace(loaded, config=replace(loaded.config, config_store_path=path))


def read_delay_levels(path: Path) -> tuple[int, ...] | None:
    """Read the delays of a `broker.conf`, in milliseconds; None when it names none.

    The file may be of either engine: nothing else in it is looked at. An overlay never holds them.

    Raises:
        ConfigError: A file cannot be read, or its delays are none.
    """
    text = parse_properties(_read(path), str(path)).as_mapping().get("messageDelayLevel")
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
    overlay: Mapping[str, str] | None,
) -> Loaded[Any]:
    text = scan_properties(_read(path), str(path))
    changes = _overlay_on_disk(path) if overlay is None else PropertiesText()
    place_of_changes = str(overlay_path(path))
    beneath = [*entries_of(fallbacks, "environment"), *entries_of(text.properties, str(path))]
    above = entries_of(overrides, "command line")
    changed = entries_of(changes.properties if overlay is None else overlay, place_of_changes)
    taken, set_aside = divide_overlay(kind, beneath, changed, above)
    try:
        loaded = check_entries(kind, [*beneath, *taken, *above])
    except ConfigError as error:
        raise ConfigError([*text.problems, *error.problems]) from None
    if text.problems:
        raise ConfigError(text.problems)
    kept = ", ".join(f"{each.key}={masked(each.key, each.value)}" for each in taken)
    notices = [
        *text.notices,
        *changes.notices,
        *changes.problems,
        *loaded.notices,
        *([f"{place_of_changes}: changed while the {kind} ran, and kept: {kept}"] if kept else []),
        *(f"set aside, without effect: {each.reason}" for each in set_aside),
    ]
    set_aside += [SetAside("", "", problem) for problem in changes.problems]
    return Loaded(loaded.config, notices, set_aside)


def _overlay_on_disk(path: Path) -> PropertiesText:
    overlay = overlay_path(path)
    return scan_properties(_read(overlay), str(overlay)) if overlay.exists() else PropertiesText()


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
