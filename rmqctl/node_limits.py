"""What a broker of ours says of itself when it serves less than it should: the state `limited`.

The reasons are the keys `limited.…` of GET_BROKER_RUNTIME_INFO (`rmqnode.broker.limitations`), such as `limited.disk`.
"""

from collections.abc import Mapping
from typing import Final

_PREFIX: Final = "limited."
DISK: Final = "disk"
REPLICATION: Final = "replication"
CONFIGURATION: Final = "configuration"


def limits_in(info: Mapping[str, str]) -> dict[str, str]:
    """What limits a broker, and why, by what it says in GET_BROKER_RUNTIME_INFO; empty when nothing does."""
    limits = {key.removeprefix(_PREFIX): _plain(info[key]) for key in sorted(info) if key.startswith(_PREFIX)}
    if info.get("haState") == "refused" and REPLICATION not in limits:
        reason = _plain(info.get("haProblem", ""))
        limits[REPLICATION] = "it does not replicate its master" + (f": {reason}" if reason else "")
    return limits


def describe_limits(limits: Mapping[str, str]) -> str:
    """Words that follow a node's name: `is limited by disk: no space for …`."""
    return "is limited by " + "; by ".join(f"{limit}: {reason}" for limit, reason in limits.items())


def _plain(text: str) -> str:
    """The text of somebody else, in one line."""
    return "".join(character if character.isprintable() else "?" for character in text)
