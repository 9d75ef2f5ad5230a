"""The overlay of a broker's configuration: what was changed while it ran (UPDATE_BROKER_CONFIG), kept beside its file.

`broker.conf` belongs to who wrote it and is never touched; `broker.overlay.conf` beside it holds the keys that tools
changed, in the same form, and wins. Deleting it, or setting a key back to the file's value, ends a change.
Differs from Apache's, which rewrites `broker.conf` with every key there is.
"""

from pathlib import Path

from rmqnode.config.properties import scan_properties


def overlay_path(conf: Path) -> Path:
    """Where the overlay of a configuration file is: `broker.overlay.conf` for `broker.conf`."""
    return conf.with_name(f"{conf.stem}.overlay{conf.suffix}")


def read_overlay(conf: Path) -> dict[str, str]:
    """Key → value of a configuration file's overlay, as far as it can be read; empty when there is none.

    Raises:
        OSError: It is there and cannot be read.
    """
    path = overlay_path(conf)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    return scan_properties(data, str(path)).as_mapping()
