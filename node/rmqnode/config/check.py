"""Properties → typed config: every key known, every value of its kind, rules between keys kept, all problems at once.

Pure: reads no file and no environment (see `load`).
"""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar, overload

from rmqnode.config.broker import BrokerConfig
from rmqnode.config.errors import ConfigError, place, shown
from rmqnode.config.key_table import KeyTable, key_table, owner_of
from rmqnode.config.kinds import Kind
from rmqnode.config.nameserver import NameserverConfig
from rmqnode.config.properties import Property
from rmqnode.config.rules import BrokerRule, broken_rules, settle
from rmqnode.config.secrets import is_secret, masked
from rmqnode.plain_text import is_plain

NodeKind = Literal["broker", "nameserver"]
C = TypeVar("C")

_GUESSES_MAX = 50
"""A guess at what an unknown key was meant to be takes half a millisecond, and keys may come from the network."""

_INLINE_COMMENT = re.compile(r"(?:^|\s)#.*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Loaded(Generic[C]):
    """A usable config and what its user should know about it.

    Attributes:
        config: The typed config.
        notices: Whole sentences with their place, for the log at start.
        set_aside: Keys of the overlay that a start cannot take; the config is without them.
    """

    config: C
    notices: list[str] = field(default_factory=list)
    set_aside: list["SetAside"] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class SetAside:
    """A key of an overlay that has no effect, because a start cannot take it.

    Attributes:
        key: As it stands in the overlay.
        value: Its text there.
        reason: A sentence.
    """

    key: str
    value: str
    reason: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One key's value and where it stands.

    Attributes:
        key: RocketMQ's spelling.
        value: Text, not checked yet.
        source: What it was read from, usually a file's name.
        line: From 1; None when the source has no lines.
    """

    key: str
    value: str
    source: str
    line: int | None = None

    @property
    def where(self) -> str:
        """The place for messages, `broker.conf:7`."""
        return place(self.source, self.line)


@overload
def check_properties(
    kind: Literal["broker"], properties: Mapping[str, str] | Sequence[Property], source: str
) -> Loaded[BrokerConfig]: ...
@overload
def check_properties(
    kind: Literal["nameserver"], properties: Mapping[str, str] | Sequence[Property], source: str
) -> Loaded[NameserverConfig]: ...
def check_properties(kind: NodeKind, properties: Mapping[str, str] | Sequence[Property], source: str) -> Loaded[Any]:
    """Build a typed config from properties.

    Args:
        kind: Of which node.
        properties: Key → value, or properties with lines (the last of a key counts).
        source: What to call them in messages, usually the file's name.

    Raises:
        ConfigError: With every problem found.
    """
    return check_entries(kind, entries_of(properties, source))


def entries_of(properties: Mapping[str, str] | Iterable[Property], source: str) -> list[Entry]:
    """Bring both forms of properties into one: the last value of a key, with its place."""
    if isinstance(properties, Mapping):
        return [Entry(key, value, source) for key, value in properties.items()]
    last = {each.key: Entry(each.key, each.value, source, each.line) for each in properties}
    return list(last.values())


def check_entries(kind: NodeKind, entries: Iterable[Entry], *, is_ours: bool = True) -> Loaded[Any]:
    """Build a typed config from entries of one or several sources; a later entry of a key replaces an earlier one.

    Args:
        kind: Of which node.
        entries: Key, value and place.
        is_ours: False for a node of Apache's, which starts with some keys that contradict each other.

    Raises:
        ConfigError: With every problem found.
    """
    table = key_table(kind)
    by_key = {each.key: each for each in entries}
    values, problems = _values(table, by_key.values())
    places = {key: each.where for key, each in by_key.items()}
    settled = settle(table.config_type(**values), places, _failed(table, by_key, values), with_ours=is_ours)
    problems += settled.problems
    if problems:
        raise ConfigError(problems)
    unused = [entry for entry in by_key.values() if entry.key in table.unused]
    return Loaded(settled.config, [*settled.notices, *_unused_notice(unused)])


def problem_of(kind: NodeKind, entry: Entry) -> str | None:
    """What is wrong with one entry by itself, in a sentence; None when a node of this kind takes it."""
    return _problem_with(entry, key_table(kind), {}, may_guess=True)


def rules_broken_by(kind: NodeKind, entries: Iterable[Entry]) -> list[tuple[BrokerRule, str]]:
    """The rules between keys that do not hold, each with its sentence; without values that are bad by themselves."""
    table = key_table(kind)
    by_key = {each.key: each for each in entries}
    values, _ = _values(table, by_key.values())
    return broken_rules(table.config_type(**values), _failed(table, by_key, values))


def _values(table: KeyTable, entries: Iterable[Entry]) -> tuple[dict[str, Any], list[str]]:
    """The values of fields, and the problems of those that have none."""
    values: dict[str, Any] = {}
    problems: list[str] = []
    for entry in entries:
        problem = _problem_with(entry, table, values, may_guess=len(problems) < _GUESSES_MAX)
        if problem is not None:
            problems.append(f"{entry.where}: {problem}")
    return values, problems


def _failed(table: KeyTable, keys: Iterable[str], values: Mapping[str, Any]) -> set[str]:
    return {key for key in keys if key in table.used and table.used[key].attribute not in values}


def config_properties(config: BrokerConfig | NameserverConfig) -> dict[str, str]:
    """Key → text of every field that has a value: what `check_properties` turns into an equal config."""
    table = key_table("broker" if isinstance(config, BrokerConfig) else "nameserver")
    values = ((key, setting.kind, getattr(config, setting.attribute)) for key, setting in table.used.items())
    return {key: kind.format(value) for key, kind, value in values if value not in (None, ())}


def _problem_with(entry: Entry, table: KeyTable, values: dict[str, Any], *, may_guess: bool) -> str | None:
    """Check one entry and note its value; what is wrong with it, if anything, and what may have been meant."""
    kind = table.kind_of(entry.key)
    if kind is None:
        return _unknown_key(entry.key, table) if may_guess else f"unknown key {shown(entry.key)}"
    told = shown(masked(entry.key, entry.value))
    if not is_plain(entry.value):
        return f"{entry.key} must not contain control characters, got {told}"
    comment = _INLINE_COMMENT.search(entry.value)
    if comment is not None:
        return (
            f"{entry.key} is {told}: properties files have no inline comments,"
            f" move {shown(masked(entry.key, comment[0].strip()))} to a line of its own"
        )
    try:
        value = kind.parse(entry.value)
    except ValueError as error:
        return _wrong_value(entry, kind, told, str(error))
    if entry.key in table.used:
        values[table.used[entry.key].attribute] = value
    refusal = table.refused.get(entry.key)
    if refusal is not None and kind.format(value).lower() not in refusal.allowed:
        return f"{entry.key}={entry.value} is refused: {refusal.reason}"
    return None


def _wrong_value(entry: Entry, kind: Kind[Any], told: str, hint: str) -> str:
    if is_secret(entry.key):
        hint = ""
    elif "#" in entry.value:
        hint = "properties files have no inline comments, '#' is part of the value"
    return f"{entry.key} must be {kind.expected}, got {told}{': ' + hint if hint else ''}"


def _unknown_key(key: str, table: KeyTable) -> str:
    owner = owner_of(key)
    if owner is not None:
        return f"{key} is a key of the {owner}, not of the {table.node}"
    near = _nearest(key, table.all_keys())
    return f"unknown key {shown(key)}: did you mean {shown(near)}?" if near else f"unknown key {shown(key)}"


def _nearest(key: str, known: Sequence[str]) -> str | None:
    """The known key that differs only in case, else the nearest by edit distance."""
    same = [each for each in known if each.lower() == key.lower()]
    if same:
        return same[0]
    # Comparing is quadratic in the length, and a key may come from the network.
    close = difflib.get_close_matches(key[:100], known, n=1, cutoff=0.75)
    return close[0] if close else None


def _unused_notice(unused: Sequence[Entry]) -> list[str]:
    if not unused:
        return []
    return [f"{unused[0].source}: no effect here: {', '.join(each.key for each in unused)}"]
