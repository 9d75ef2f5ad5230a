"""All keys of a kind of node in one table.

Used ones have a config field, unused ones no effect, refused ones promise safety that is not there yet. Each says when
a change that comes over the network counts.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rmqnode.config.broker import BrokerConfig
from rmqnode.config.kinds import Kind
from rmqnode.config.nameserver import NameserverConfig
from rmqnode.config.refused_keys import REFUSED_BROKER_KEYS, REFUSED_NAMESERVER_KEYS, Refusal
from rmqnode.config.setting import NEVER, Changes, Setting, settings_of
from rmqnode.config.unused_keys import UNUSED_BROKER_KEYS, UNUSED_NAMESERVER_KEYS, UnusedKey

_DANGEROUS = re.compile(
    r"(?i).*(ThreadPool|PlugIn|Listener|Provider|Class|BlackList|Secret|Password|Credential)"
    r"|.*(Path|Paths|Home|Dir)(Name)?$"
    r"|(tls\.|authentication|authorization|acl|innerClient|mappedFileSize|mapedFileSize|serverSocket)"
)
"""Names of keys that nobody may change from the network, also those that this version does not know: code, folders,
protection, pools and sizes of files. The keys that are known say it themselves; a test holds both together."""


@dataclass(frozen=True, slots=True)
class KeyTable:
    """The keys of one kind of node.

    Attributes:
        node: `broker` or `nameserver`.
        config_type: Dataclass that `used` describes.
        used: Key → its field.
        unused: Key → what its value may be, and when a change counts on a node of Apache's.
        refused: Key → which values are fine.
    """

    node: str
    config_type: type[Any]
    used: Mapping[str, Setting]
    unused: Mapping[str, UnusedKey]
    refused: Mapping[str, Refusal]

    def kind_of(self, key: str) -> Kind[Any] | None:
        """What the value of a key may be; None for an unknown key."""
        if key in self.used:
            return self.used[key].kind
        if key in self.refused:
            return self.refused[key].kind
        return self.unused[key].kind if key in self.unused else None

    def changes_of(self, key: str) -> Changes | None:
        """When a change of a key from the network counts; None for an unknown key that nothing speaks against."""
        if key in self.used:
            return self.used[key].changes
        if key in self.unused:
            return self.unused[key].changes
        return NEVER if key in self.refused or is_dangerous(key) else None

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


def is_dangerous(key: str) -> bool:
    """Whether a key's name says that it is nothing for the network: code, folders, protection, pools, file sizes."""
    return _DANGEROUS.match(key) is not None


def owner_of(key: str) -> str | None:
    """Which kind of node knows a key: for the message about a key in the wrong file."""
    return next((table.node for table in (_BROKER, _NAMESERVER) if table.kind_of(key) is not None), None)
