"""Resolves `{"$ref":"$.path"}`: fastjson's way to write an object that it has written before.

RocketMQ's bodies have none (their handlers build fresh objects), so everything here is defensive: a reference
to something that holds it (`$`, `..`, `@`) or that does not exist becomes None, each use gets its own copy, and
the sum of the copies is bounded, so that a small text can't grow into a huge value.
"""

import re
from typing import Any, Final

from rmqnode.protocol.fastjson.values import NESTING_MAX, FastjsonError

_COPIED_VALUES_MAX: Final = 10_000
"""Values copied for all references of one text."""

_STEP: Final = re.compile(r"\.((?:[^.\[\\]|\\.)+)|\[([0-9]{1,9})\]", re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)


def has_references(data: bytes | bytearray | memoryview | str) -> bool:
    """Say whether a text can hold references at all."""
    if isinstance(data, str):
        return "$ref" in data
    return b"$ref" in bytes(data)


def resolve_references(value: Any) -> Any:
    """Return a copy of a decoded text in which references are replaced by copies of what they name.

    Raises:
        FastjsonError: The copies would hold more than `_COPIED_VALUES_MAX` values or nest too deeply.
    """
    return _Resolver(value).copy(value, 0)


class _Resolver:
    def __init__(self, root: Any) -> None:
        self._root = root
        self._open: set[int] = set()  # ids of the containers that are being copied: the ancestors
        self._references_open = 0
        self._copied = 0

    def copy(self, value: Any, depth: int) -> Any:
        if self._references_open:
            self._copied += 1
        if depth > NESTING_MAX or self._copied > _COPIED_VALUES_MAX:
            raise FastjsonError("too much behind references")
        if not isinstance(value, (dict, list)):
            return value
        if isinstance(value, dict) and isinstance(path := value.get("$ref"), str):
            return self._referred(path, depth)
        if id(value) in self._open:
            return None
        self._open.add(id(value))
        if isinstance(value, dict):
            copied: Any = {name: self.copy(member, depth + 1) for name, member in value.items()}
        else:
            copied = [self.copy(item, depth + 1) for item in value]
        self._open.discard(id(value))
        return copied

    def _referred(self, path: str, depth: int) -> Any:
        self._references_open += 1
        copied = self.copy(self._find(path), depth + 1)
        self._references_open -= 1
        return copied

    def _find(self, path: str) -> Any:
        if not path.startswith("$"):
            return None
        found, position = self._root, 1
        while position < len(path):
            step = _STEP.match(path, position)
            if step is None:
                return None
            name, index = step.groups()
            if name is not None and isinstance(found, dict):
                found = found.get(_ESCAPED.sub(r"\1", name))
            elif index is not None and isinstance(found, list) and int(index) < len(found):
                found = found[int(index)]
            else:
                return None
            position = step.end()
        return found
