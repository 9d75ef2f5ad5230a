"""How a field of a config dataclass carries its RocketMQ key: `prop()` declares, `settings_of()` lists."""

from dataclasses import Field, dataclass, field, fields
from typing import Any, TypeVar

from rmqnode.config.kinds import Kind

T = TypeVar("T")

DERIVED: Any = None
"""Default of a field that `__post_init__` computes from other fields or from the machine."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One key that has a field.

    Attributes:
        key: RocketMQ's spelling, `listenPort`.
        attribute: The field's name, `listen_port`.
        kind: What its value may be.
    """

    key: str
    attribute: str
    kind: Kind[Any]


def prop(key: str, default: T, kind: Kind[Any]) -> T:
    """Declare a config field: RocketMQ's key, its default, and what a value may be."""
    declared: T = field(default=default, metadata={"key": key, "kind": kind})
    return declared


def settings_of(config_type: type[Any]) -> dict[str, Setting]:
    """Key → setting, in the order of declaration."""
    return {each.metadata["key"]: _setting(each) for each in fields(config_type)}


def _setting(declared: Field[Any]) -> Setting:
    return Setting(declared.metadata["key"], declared.name, declared.metadata["kind"])
