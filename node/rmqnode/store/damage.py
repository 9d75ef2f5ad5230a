"""Marks of damage: which stretches of a commit log hold nothing whole, kept in `damaged/extents.json` of the store.

A start steps over such a stretch and serves what stands behind it. The mark says so to those who come later: reads
leave it out, `rmqctl status` and `rmqctl store verify` show it.

    {"extents": [{"begin": 3863250, "end": 3863432, "found_at_ms": 1700000000000,
                  "queues": [{"topic": "orders", "queue_id": 0, "from_offset": 12, "to_offset": 13}]}], "more": 0}

`begin` and `end` are physical offsets in bytes, the end excluded; `from_offset` and `to_offset` are queue offsets of
messages that lay there, the end excluded, as far as their consume queues knew them. `more` counts stretches that found
no place in the list.

The file is read with distrust, for anybody may have written it: one that is broken means that nothing is known.
"""

import json
import logging
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from rmqnode.store.config_file import ConfigFile
from rmqnode.store.record import QUEUE_OFFSET_MAX

logger = logging.getLogger(__name__)

EXTENTS_MAX: Final = 10_000
"""Stretches that are kept; more than that is a disk to be thrown away."""

QUEUES_MAX: Final = 10_000
"""Parts of queues that are kept for all stretches together: a few MB of file at most."""

FILE_SIZE_MAX: Final = 16 << 20
"""A file that is longer was not written here."""

_OFFSET_MAX: Final = 1 << 62
_TOPIC_SIZE_MAX: Final = 1024
"""In characters. What a damaged topic folder may be called; the names of queues that can exist are shorter."""


class QueuePart(NamedTuple):
    """Messages of one queue that lay in a damaged stretch."""

    topic: str
    queue_id: int
    from_offset: int
    to_offset: int
    """Queue offset behind the last of them."""


class Extent(NamedTuple):
    """A stretch of the commit log that holds nothing whole."""

    begin: int
    end: int
    """Physical offset behind its last byte."""
    found_at_ms: int = 0
    queues: tuple[QueuePart, ...] = ()

    @property
    def message_count(self) -> int:
        """How many messages lay in it, as far as consume queues knew."""
        return sum(part.to_offset - part.from_offset for part in self.queues)

    def __str__(self) -> str:
        parts = [
            f"{part.topic}/{part.queue_id}:{part.from_offset}"
            + (f"-{part.to_offset - 1}" if part.to_offset - part.from_offset > 1 else "")
            for part in self.queues
        ]
        return f"{self.begin}..{self.end} ({self.end - self.begin} bytes; messages {' '.join(parts) or 'unknown'})"


class Damage:
    """The marks of one store.

    Args:
        root: Folder of the store.
    """

    def __init__(self, root: Path) -> None:
        self.folder = root / "damaged"
        """Where the marks lie, and what was cut or put aside."""
        self._file = ConfigFile(self.folder / "extents.json")
        self._begins: list[int] = []
        self._ends: list[int] = []
        self.extents: list[Extent] = []
        """In order of the log, apart from each other. Change them with `use`."""
        self.more = 0
        """Stretches that found no place in the list."""

    @classmethod
    def of(cls, root: Path) -> "Damage":
        """The marks that lie in a store folder now."""
        found = cls(root)
        found.load()
        return found

    def load(self) -> None:
        """Read the marks; a file that is missing or broken means that there are none."""
        path = self.folder / "extents.json"
        try:
            if path.stat().st_size > FILE_SIZE_MAX:
                raise ValueError(f"longer than {FILE_SIZE_MAX} bytes")
            content = json.loads(path.read_bytes())
            extents = list(_read_extents(content))
            more = _integer(content.get("more", 0), _OFFSET_MAX)
        except FileNotFoundError:
            extents, more = [], 0
        except (OSError, ValueError, RecursionError) as error:
            logger.warning("marks of damage can't be read, taken as none path=%s reason=%s", path, error)
            extents, more = [], 0
        self.use(extents, more)

    def use(self, extents: Iterable[Extent], more: int = 0) -> None:
        """Let these be the damaged stretches, in any order; those that touch an earlier one are left out."""
        self.extents = []
        for extent in sorted(extents):
            if not self.extents or extent.begin >= self.extents[-1].end:
                self.extents.append(extent)
        self.more = more + max(0, len(self.extents) - EXTENTS_MAX)
        del self.extents[EXTENTS_MAX:]
        self._begins = [extent.begin for extent in self.extents]
        self._ends = [extent.end for extent in self.extents]

    def save(self) -> None:
        """Write the marks; without any the file goes.

        Raises:
            OSError: The disk is full or refuses.
        """
        path = self.folder / "extents.json"
        if not self.extents and not self.more:
            path.unlink(missing_ok=True)
            path.with_name("extents.json.bak").unlink(missing_ok=True)
            return
        room = QUEUES_MAX
        listed: list[dict[str, Any]] = []
        for extent in self.extents:
            queues = [part._asdict() for part in extent.queues[:room]]
            room -= len(queues)
            listed.append(extent._asdict() | {"queues": queues})
        text = json.dumps({"extents": listed, "more": self.more}, indent=1)
        if not path.exists() or path.read_text() != text:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._file.save(text)

    @property
    def byte_count(self) -> int:
        """Bytes in all stretches."""
        return sum(extent.end - extent.begin for extent in self.extents)

    @property
    def message_count(self) -> int:
        """Messages in all stretches, as far as consume queues knew them."""
        return sum(extent.message_count for extent in self.extents)

    def describe(self) -> str | None:
        """A sentence about all stretches; None without any."""
        if not self.extents:
            return None
        places = len(self.extents) + self.more
        count = self.message_count
        lost = f", {count} message{'' if count == 1 else 's'} lost there" if count else ""
        where = "1 place" if places == 1 else f"{places} places"
        return (
            f"the commit log is damaged in {where} ({self.byte_count} bytes{lost}), the first at physical offset "
            f"{self.extents[0].begin}; rmqctl store verify {self.folder.parent} tells more"
        )

    def holds(self, physical_offset: int) -> bool:
        """Whether an offset lies in a damaged stretch."""
        index = bisect_right(self._begins, physical_offset) - 1
        return index >= 0 and physical_offset < self._ends[index]

    def next_at(self, physical_offset: int) -> tuple[int, int] | None:
        """Begin and end of the stretch that holds an offset, or else of the next one behind it; None without either."""
        index = bisect_right(self._ends, physical_offset)
        return (self._begins[index], self._ends[index]) if index < len(self._begins) else None


def _read_extents(content: Any) -> Iterator[Extent]:
    """Check what a file says.

    Raises:
        ValueError: It cannot be a list of stretches.
    """
    if not isinstance(content, dict) or not isinstance(content.get("extents"), list):
        raise ValueError("it is no object with the list `extents`")
    if len(content["extents"]) > EXTENTS_MAX:
        raise ValueError(f"more than {EXTENTS_MAX} stretches")
    for each in content["extents"]:
        if not isinstance(each, dict) or not isinstance(each.get("queues", []), list):
            raise ValueError("a stretch is no object")
        begin, end = _integer(each.get("begin"), _OFFSET_MAX), _integer(each.get("end"), _OFFSET_MAX)
        if begin >= end:
            raise ValueError(f"a stretch from {begin} to {end}")
        queues = tuple(_read_part(part) for part in each.get("queues", []))
        yield Extent(begin, end, _integer(each.get("found_at_ms", 0), _OFFSET_MAX), queues)


def _read_part(part: Any) -> QueuePart:
    topic = part.get("topic") if isinstance(part, dict) else None
    if not isinstance(topic, str) or len(topic) > _TOPIC_SIZE_MAX:
        raise ValueError("a part of a queue without a topic")
    first = _integer(part.get("from_offset"), QUEUE_OFFSET_MAX)
    end = _integer(part.get("to_offset"), QUEUE_OFFSET_MAX)
    if first > end:
        raise ValueError(f"messages {first} to {end} of a queue")
    return QueuePart(topic, _integer(part.get("queue_id"), (1 << 31) - 1), first, end)


def _integer(value: Any, maximum: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= maximum:
        raise ValueError(f"{value!r:.40} is no offset")
    return value
