"""All keys of a kind of node in one table.

Used ones have a config field, unused ones no effect, refused ones promise safety that is not there yet.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rmqnode.config.broker import BrokerConfig
from rmqnode.config.kinds import Kind
from rmqnode.config.nameserver import NameserverConfig
from rmqnode.config.refused_keys import REFUSED_BROKER_KEYS, REFUSED_NAMESERVER_KEYS, Refusal
from rmqnode.config.setting import Setting, settings_of
from rmqnode.config.unused_keys import UNUSED_BROKER_KEYS, UNUSED_NAMESERVER_KEYS


@dataclass(frozen=True, slots=True)
class KeyTable:
    """The keys of one kind of node.

    Attributes:
        node: `broker` or `nameserver`.
        config_type: Dataclass that `used` describes.
        used: Key → its field.
        unused: Key → what its value may be.
        refused: Key → which values are fine.
    """

    node: str
    config_type: type[Any]
    used: Mapping[str, Setting]
    unused: Mapping[str, Kind[Any]]
    refused: Mapping[str, Refusal]

    def kind_of(self, key: str) -> Kind[Any] | None:
        """What the value of a key may be; None for an unknown key."""
        if key in self.used:
            return self.used[key].kind
        if key in self.refused:
            return self.refused[key].kind
        return self.unused.get(key)

    def all_keys(self) -> Sequence[str]:
        """Every known key, those with an effect first."""
        return [*self.used, *self.refused, *self.unused]


_BROKER = KeyTable("broker", BrokerConfig, settings_of(BrokerConfig), UNUSED_BROKER_KEYS, REFUSED_BROKER_KEYS)
_NAMESERVER = KeyTable(
    "nameserver",
    NameserverConfig,
    settings_of(NameserverConfig),
    UNUSED_NAMESERVER_KEYS,
    REFUSED_NAMESERVER_KEYS,
)


def key_table(node: Literal["broker", "nameserver"]) -> KeyTable:
    """The table of a kind of node."""
    return _BROKER if node == "broker" else _NAMESERVER


def owner_of(key: str) -> str | None:
    """Which kind of node knows a key: for the message about a key in the wrong file."""
    return next((table.node for table in (_BROKER, _NAMESERVER) if table.kind_of(key) is not None), None)
