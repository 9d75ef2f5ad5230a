"""How a field of a config dataclass carries its RocketMQ key: `prop()` declares, `settings_of()` lists."""

from dataclasses import Field, dataclass, field, fields
from enum import StrEnum
from typing import Any, TypeVar

from rmqnode.config.kinds import Kind

T = TypeVar("T")

DERIVED: Any = None
"""Default of a field that `__post_init__` computes from other fields or from the machine."""


class Changes(StrEnum):
    """When a change that comes over the network counts (UPDATE_BROKER_CONFIG, UPDATE_NAMESRV_CONFIG)."""

    AT_ONCE = "at once"
    """The value is read each time it is used."""
    AT_RESTART = "from the next start"
    """The change is kept in the overlay; the running node goes on with the old value."""
    NEVER = "never"
    """The change is refused: the key belongs to who may write the configuration file."""


AT_ONCE = Changes.AT_ONCE
AT_RESTART = Changes.AT_RESTART
NEVER = Changes.NEVER


@dataclass(frozen=True, slots=True)
class Setting:
    """One key that has a field.

    Attributes:
        key: RocketMQ's spelling, `listenPort`.
        attribute: The field's name, `listen_port`.
        kind: What its value may be.
        changes: When a change from the network counts.
    """

    key: str
    attribute: str
    kind: Kind[Any]
    changes: Changes


def prop(key: str, default: T, kind: Kind[Any], changes: Changes = NEVER) -> T:
    """Declare a config field.

    Args:
        key: RocketMQ's spelling.
        default: Value when nobody sets the key, or `DERIVED`.
        kind: What a value may be.
        changes: When a change from the network counts. A field that does not say it is never changed from there:
            the table is a list of what is allowed.
    """
    declared: T = field(default=default, metadata={"key": key, "kind": kind, "changes": changes})
    return declared


def settings_of(config_type: type[Any]) -> dict[str, Setting]:
    """Key → setting, in the order of declaration."""
    return {each.metadata["key"]: _setting(each) for each in fields(config_type)}


def _setting(declared: Field[Any]) -> Setting:
    data = declared.metadata
    return Setting(data["key"], declared.name, data["kind"], data["changes"])
