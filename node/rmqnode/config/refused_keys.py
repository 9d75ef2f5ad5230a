"""Keys that promise safety which this engine does not give yet: a node with such a value does not start.

Rule of choice: refused is what would expose data, lose it, hide it from consumers or leave a broker unreachable
if it were ignored. What only tunes, adds a feature or asks for less safety than we give is in `unused_keys`; so is
`transientStorePoolEnable` (Java gives up durability for speed with it; we never do), and `tls.server.mode=permissive`
(plain connections are allowed by it, and TLS ones fail visibly).
"""

from dataclasses import dataclass
from typing import Any

from rmqnode.config import kinds
from rmqnode.config.kinds import Kind


@dataclass(frozen=True, slots=True)
class Refusal:
    """Which values of a key are fine, and why the others are not.

    Attributes:
        kind: What the value may be at all.
        allowed: Values that promise nothing, in any case of letters.
        reason: What would be missing; ends the sentence "aclEnable=true is refused: …".
    """

    kind: Kind[Any]
    allowed: tuple[str, ...]
    reason: str


def _switch(reason: str) -> Refusal:
    return Refusal(kinds.boolean(), ("false",), reason)


_NO_ACCESS_CONTROL = "access control is not enforced here yet, every client could read and write everything"
_NO_TLS = "connections are not encrypted here yet"
_ONE_COPY = "replication does not wait for so many copies here yet, confirmed messages could be lost"
_NO_QUORUM = "there is no election and no quorum here yet, and Apache keeps such a store in another record format"
_NO_PROPERTY_CRC = "message properties are not protected by a checksum here yet"

_TLS: dict[str, Refusal] = {
    "tls.enable": _switch(_NO_TLS),
    "tls.server.mode": Refusal(kinds.text(), ("disabled", "permissive"), _NO_TLS),
    "useTLS": _switch(_NO_TLS),
}

REFUSED_BROKER_KEYS: dict[str, Refusal] = {
    **_TLS,
    "aclEnable": _switch(_NO_ACCESS_CONTROL),
    "authenticationEnabled": _switch(_NO_ACCESS_CONTROL),
    "authorizationEnabled": _switch(_NO_ACCESS_CONTROL),
    "enableDLegerCommitLog": _switch(_NO_QUORUM),
    "enableControllerMode": _switch("there is no controller here yet that would elect a master"),
    "allAckInSyncStateSet": _switch(_ONE_COPY),
    "inSyncReplicas": Refusal(kinds.integer(0, kinds.INT_MAX), ("0", "1"), _ONE_COPY),
    "minInSyncReplicas": Refusal(kinds.integer(0, kinds.INT_MAX), ("0", "1"), _ONE_COPY),
    "duplicationEnable": _switch("messages are not held back from consumers here until a replica confirmed them"),
    "enableConsumeQueueExt": _switch(
        "its consume queues point into extension files that are not read here, consumers would miss messages"
    ),
    "enabledAppendPropCRC": _switch(_NO_PROPERTY_CRC),
    "forceVerifyPropCRC": _switch(_NO_PROPERTY_CRC),
    "storeType": Refusal(kinds.text(), ("default",), "its consume queues are kept in files that are not read here"),
    "readOnlyCommitLogStorePaths": Refusal(
        kinds.text(), ("",), "messages in these folders would be invisible, only one commit log folder is read here"
    ),
    "messageStorePlugIn": Refusal(kinds.text(), ("",), "Java plug-ins cannot be loaded, what they store would be lost"),
    "fetchNamesrvAddrByAddressServer": _switch(
        "address servers are not asked here, the broker would not be announced: list the nameservers in namesrvAddr"
    ),
}
"""Key → refusal of broker keys."""

REFUSED_NAMESERVER_KEYS: dict[str, Refusal] = {
    **_TLS,
    "enableControllerInNamesrv": _switch("there is no controller here yet that would elect a master"),
}
"""Key → refusal of nameserver keys."""
