"""What both directions of the dialect share: the error, the key that is an object, the limit of nesting."""

from collections.abc import Iterator, Mapping
from typing import Final

from rmqnode.protocol.errors import ProtocolError

NESTING_MAX: Final = 64
"""Containers inside one another; the deepest body of RocketMQ has 6. Bounds the recursion of every walk."""


class FastjsonError(ProtocolError):
    """A text is not JSON of the dialect, or its members are not those of the asked type."""

    def __init__(self, problem: str, position: int | None = None) -> None:
        self.problem = problem
        self.position = position
        super().__init__(problem if position is None else f"{problem} at character {position}")


class TextTooLarge(FastjsonError):
    """A text is larger than whoever asked for it can take, or than it may be."""

    def __init__(self, size_bytes_max: int, what: str = "the answer") -> None:
        self.size_bytes_max = size_bytes_max
        super().__init__(f"{what} has more than {size_bytes_max} bytes")


class ObjectKey(Mapping[str, object]):
    """A map key that is an object itself, as in `{{"brokerName":"a","queueId":0,"topic":"T"}:5}`.

    Immutable. Equal when the members are equal in any order. Being a mapping it converts to a frozen struct,
    so that `dict[MessageQueue, int]` is a type that `decode` can fill. `text` is its canonical form: compact
    JSON with sorted members.
    """

    __slots__ = ("_members", "text")

    def __init__(self, members: Mapping[str, object], text: str) -> None:
        self._members = members
        self.text = text

    def __getitem__(self, name: str) -> object:
        return self._members[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __hash__(self) -> int:
        return hash(self.text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObjectKey) and self.text == other.text

    def __repr__(self) -> str:
        return f"ObjectKey({self.text})"
