"""From the end of a record to the hashes of its index keys: Java's `String.hashCode` of `topic#key`, absolute.

A message is found by its unique key and by each key of `KEYS`. Nearly every message that is sent has the first, 32
characters long, and nothing else; so that case costs four look-ups: the hash of a text is the sum of the hashes of
its parts, each times a power of 31, and what comes before a unique key, all of it but two characters, and what comes
behind it repeat from message to message. That takes 0.6 µs; finding the properties and hashing the text takes 5 µs.

Source: IndexService#buildIndex, IndexFile#indexKeyHashMethod (RocketMQ 4.5.2).
"""

from collections.abc import Iterable, Sequence
from operator import mul
from typing import Final

from rmqnode.protocol.java_text import string_hash
from rmqnode.protocol.properties import PropertyName, find_property

_MASK: Final = 0xFFFFFFFF
_INT_MAX: Final = 0x7FFFFFFF

_UNIQUE_KEY_START: Final = PropertyName.UNIQUE_KEY.encode() + b"\x01"
_KEYS_START: Final = PropertyName.KEYS.encode() + b"\x01"
_PAIR_END: Final = b"\x02"
_SEPARATORS: Final = frozenset(b"\x01\x02")

_KEY_SIZE: Final = 32
"""Length of the unique keys that producers make: MessageClientIDSetter#createUniqID."""
_HEAD_SIZE: Final = _KEY_SIZE - 2
_KEY_FACTOR: Final = pow(31, _KEY_SIZE, 1 << 32)

_SUMMED_SIZE_MAX: Final = 512
_DESCENDING: Final[tuple[int, ...]] = tuple(
    pow(31, exponent, 1 << 32) for exponent in range(_SUMMED_SIZE_MAX - 1, -1, -1)
)

_REMEMBERED_MAX: Final = 4096
_OPENINGS_MAX: Final = 16_384
"""Bounds of what is remembered; at one all of its kind is forgotten: a peer with ever new keys fills no memory. There
is an opening for each topic and length of properties."""
_REMEMBERED_SIZE_MAX: Final = 256
"""Longest text that is remembered, in bytes."""


class _Heads(dict[bytes, int]):
    """Hashes of keys without their last two characters, times 31²; KeyError for what is not ASCII."""

    def __missing__(self, head: bytes) -> int:
        _check_plain(head, _HEAD_SIZE)
        if len(self) >= _REMEMBERED_MAX:
            self.clear()
        value = self[head] = text_hash(head) * 961 & _MASK
        return value


class _Tails(dict[bytes, int]):
    """Hashes of two characters, at most 16384 of them; KeyError for what is not ASCII."""

    def __missing__(self, tail: bytes) -> int:
        _check_plain(tail, _KEY_SIZE - _HEAD_SIZE)
        value = self[tail] = tail[0] * 31 + tail[1]
        return value


def _check_plain(part: bytes, size: int) -> None:
    if len(part) != size or not part.isascii() or not _SEPARATORS.isdisjoint(part):
        raise KeyError(part)


class KeyHasher:
    """Hashes the keys of messages as index entries carry them."""

    def __init__(self) -> None:
        self._key_positions: dict[int, int] = {}
        self._openings: dict[bytes, int] = {}
        self._heads = _Heads()
        self._tails = _Tails()
        self._closings: set[bytes] = set()

    def hashes(self, end_of_record: bytes) -> Sequence[int]:
        """Hashes of a message's keys, in the order of its index entries.

        Args:
            end_of_record: Topic length, topic, properties length, properties.
        """
        try:
            key_at = self._key_positions[len(end_of_record)]
            head_end = key_at + 30
            key_end = key_at + 32
            value = (
                self._openings[end_of_record[:key_at]]
                + self._heads[end_of_record[key_at:head_end]]
                + self._tails[end_of_record[head_end:key_end]]
            ) & _MASK
            if end_of_record[key_end:] in self._closings:
                return (value if value <= _INT_MAX else -value & _INT_MAX,)
        except KeyError:
            pass
        return self._hashes_of_any(end_of_record)

    def _hashes_of_any(self, end_of_record: bytes) -> Sequence[int]:
        topic_end = 1 + end_of_record[0]
        topic, properties = end_of_record[1:topic_end], end_of_record[topic_end + 2 :]
        unique_key = find_property(properties, PropertyName.UNIQUE_KEY)
        keys = find_property(properties, PropertyName.KEYS)
        found = [unique_key] if unique_key else []
        found += [key for key in (keys or b"").split(b" ") if key]
        if keys is None and unique_key is not None and len(unique_key) == _KEY_SIZE:
            self._remember(end_of_record, topic)
        return [key_hash(topic, key) for key in found]

    def _remember(self, end_of_record: bytes, topic: bytes) -> None:
        """Let the next message like this one go the short way, if it is of the usual form."""
        key_at = end_of_record.find(_UNIQUE_KEY_START, len(topic) + 3) + len(_UNIQUE_KEY_START)
        opening, closing = end_of_record[:key_at], end_of_record[key_at + _KEY_SIZE :]
        is_usual = (
            opening[len(topic) + 3 : -len(_UNIQUE_KEY_START)][-1:] in (b"", _PAIR_END)
            and closing[:1] in (b"", _PAIR_END)
            and _KEYS_START not in opening
            and _KEYS_START not in closing
            and _UNIQUE_KEY_START not in closing
        )
        if is_usual and len(opening) <= _REMEMBERED_SIZE_MAX and len(closing) <= _REMEMBERED_SIZE_MAX:
            for memory, size_max in (
                (self._key_positions, _REMEMBERED_MAX),
                (self._openings, _OPENINGS_MAX),
                (self._closings, _REMEMBERED_MAX),
            ):
                if len(memory) >= size_max:
                    memory.clear()
            self._key_positions[len(end_of_record)] = key_at
            self._openings[opening] = text_hash(topic + b"#") * _KEY_FACTOR & _MASK
            self._closings.add(closing)


def key_hash(topic: bytes, key: bytes) -> int:
    """Hash of one key; 0 for the one text hash that has no absolute value. Topic and key are UTF-8."""
    value = text_hash(b"%b#%b" % (topic, key))
    return value if value <= _INT_MAX else -value & _INT_MAX


def text_hash(text: bytes) -> int:
    """Java's hash of a UTF-8 text, as an unsigned number."""
    if len(text) <= _SUMMED_SIZE_MAX and text.isascii():
        products: Iterable[int] = map(mul, text, _DESCENDING[_SUMMED_SIZE_MAX - len(text) :])
        return sum(products) & _MASK
    return string_hash(text.decode("utf-8", "replace")) & _MASK
