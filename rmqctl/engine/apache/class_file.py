"""The setters of a Java class, read from its class file: which configuration keys a version of RocketMQ knows.

Apache's nodes bring a key to its setter by name and ignore without a word what has none (`MixAll#properties2Object`).
Reading the very jars that will run answers "which keys are there" for every version, without a table for each.

Source: The Java Virtual Machine Specification, chapter 4 (class file format).
"""

import struct
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile, ZipFile

_MAGIC = 0xCAFEBABE
_CONSTANT_SIZES = {
    3: 4,
    4: 4,
    5: 8,
    6: 8,
    8: 2,
    9: 4,
    10: 4,
    11: 4,
    12: 4,
    15: 3,
    16: 2,
    17: 4,
    18: 4,
    19: 2,
    20: 2,
}
"""Bytes of each kind of constant after its tag; UTF-8 text (1) brings its own length, classes (7) are followed."""
_UTF8, _CLASS, _WIDE = 1, 7, (5, 6)
_PUBLIC, _STATIC = 0x0001, 0x0008
_VALUE_TYPES = {"I": "int", "J": "long", "D": "double", "F": "float", "Z": "boolean", "Ljava/lang/String;": "text"}
"""Setters of other types are not reached by a configuration file; enums have one that takes their name as text."""


class JavaClass(NamedTuple):
    """What is wanted of a class file."""

    parent: str
    """Name with slashes, empty for java.lang.Object itself."""
    setters: dict[str, str]
    """Property → type of its value."""


def configuration_keys(jars: Iterable[Path], classes: Iterable[str]) -> dict[str, str]:
    """Property → type for all setters of these classes and their parents, as far as they are in the jars.

    Args:
        jars: Searched in order.
        classes: Names with slashes; one that no jar holds is skipped, for versions differ in them.
    """
    keys: dict[str, str] = {}
    pending = list(classes)
    with _Jars(jars) as opened:
        while pending:
            content = opened.read(f"{pending.pop()}.class")
            if content is None:
                continue
            found = parse_class(content)
            keys |= found.setters
            pending.append(found.parent)
    return keys


def parse_class(content: bytes) -> JavaClass:
    """Read one class file.

    Raises:
        ValueError: It is none.
    """
    try:
        return _Reader(content).java_class()
    except (struct.error, IndexError, KeyError) as error:
        raise ValueError(f"not a class file: {error}") from None


class _Jars:
    def __init__(self, paths: Iterable[Path]) -> None:
        self._paths = list(paths)
        self._open: list[ZipFile] = []

    def __enter__(self) -> "_Jars":
        for path in self._paths:
            try:
                self._open.append(ZipFile(path))
            except BadZipFile:
                continue
        return self

    def __exit__(self, *_: object) -> None:
        for jar in self._open:
            jar.close()

    def read(self, name: str) -> bytes | None:
        for jar in self._open:
            try:
                return jar.read(name)
            except KeyError:
                continue
        return None


class _Reader:
    def __init__(self, content: bytes) -> None:
        self._content = content
        self._position = 0
        self._texts: dict[int, str] = {}
        self._classes: dict[int, int] = {}

    def java_class(self) -> JavaClass:
        magic, _, _ = self._take(">IHH")
        if magic != _MAGIC:
            raise ValueError("not a class file: wrong magic number")
        self._read_constants()
        _, _, parent, interfaces = self._take(">4H")
        self._position += 2 * interfaces
        self._members()  # fields
        setters = {}
        for flags, name, descriptor in self._members():
            value_type = _VALUE_TYPES.get(descriptor.removeprefix("(").removesuffix(")V"))
            if name.startswith("set") and len(name) > 3 and value_type and flags & _PUBLIC and not flags & _STATIC:
                setters[name[3].lower() + name[4:]] = value_type
        return JavaClass(self._texts[self._classes[parent]] if parent else "", setters)

    def _read_constants(self) -> None:
        (count,) = self._take(">H")
        index = 1
        while index < count:
            (tag,) = self._take(">B")
            if tag == _UTF8:
                (length,) = self._take(">H")
                text = self._content[self._position : self._position + length]
                self._texts[index] = text.decode(errors="replace")
                self._position += length
            elif tag == _CLASS:
                (self._classes[index],) = self._take(">H")
            else:
                self._position += _CONSTANT_SIZES[tag]
            # A long or a double takes two places.
            index += 2 if tag in _WIDE else 1

    def _members(self) -> list[tuple[int, str, str]]:
        """(flags, name, descriptor) of fields or methods, whose attributes are skipped."""
        (count,) = self._take(">H")
        members = []
        for _ in range(count):
            flags, name, descriptor, attributes = self._take(">4H")
            for _ in range(attributes):
                _, length = self._take(">HI")
                self._position += length
            members.append((flags, self._texts[name], self._texts[descriptor]))
        return members

    def _take(self, layout: str) -> tuple[int, ...]:
        values = struct.unpack_from(layout, self._content, self._position)
        self._position += struct.calcsize(layout)
        return values
