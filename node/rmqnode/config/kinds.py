"""What the value of a key may be: text → checked Python value, and back to the text Apache's nodes read.

Source: `MixAll#properties2Object` (RocketMQ 4.5.2), which skips a value that does not convert without a word.
Differs: such a value is an error here, and so is a boolean that is neither `true` nor `false`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_network
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)

INT_MAX = 2**31 - 1
LONG_MAX = 2**63 - 1

_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_DOUBLE = re.compile(r"[+-]?[0-9]{1,19}(\.[0-9]{0,19})?([eE][+-]?[0-9]{1,3})?")
_SIZE_WITH_UNIT = re.compile(r"([0-9]{1,12})\s*([kKmMgG])(?:i?[bB])?")
_SIZE_FACTORS = {"k": 2**10, "m": 2**20, "g": 2**30}
_NAME = re.compile(r"[A-Za-z0-9_.|%-]{1,127}")
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_.])?")
_IPV4_LIKE = re.compile(r"[0-9.]+")
_IPV6 = re.compile(r"[0-9A-Fa-f]*:[0-9A-Fa-f:.]*(%[A-Za-z0-9_.-]+)?")
_PORT = re.compile(r"[0-9]{1,5}")
_HOUR = re.compile(r"[0-9]{1,2}")
_SEPARATOR = re.compile(r"[;,]")
_DELAY_LEVELS = re.compile(r"[0-9]{1,9}[smhd]( [0-9]{1,9}[smhd])*")

_TEXT_LENGTH_MAX = 1024
"""Some texts go into each answer to a send."""

_DELAY_LEVELS_MAX = 64
_DELAY_MS_MAX = 3650 * 86_400_000

_DELAY_UNITS_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """How a value is read, written and described.

    Attributes:
        expected: Ends the sentence "listenPort must be …".
        parse: Text → value; raises ValueError, whose text (may be empty) is a hint for the user.
        format: Value → text that parses to the same value.
    """

    expected: str
    parse: Callable[[str], T]
    format: Callable[[T], str] = str


def integer(minimum: int, maximum: int, unit: str = "") -> Kind[int]:
    """A plain integer within bounds, without unit or arithmetic."""

    def parse(text: str) -> int:
        if _INTEGER.fullmatch(text) is None:
            raise ValueError(_integer_hint(text))
        value = int(text)
        if not minimum <= value <= maximum:
            raise ValueError
        return value

    return Kind(f"{minimum}..{maximum} {unit}".rstrip(), parse)


def _integer_hint(text: str) -> str:
    size = _SIZE_WITH_UNIT.fullmatch(text)
    if size is not None:
        return f"plain integers only, write {int(size[1]) * _SIZE_FACTORS[size[2].lower()]}"
    return "plain integers only, no units and no arithmetic" if text[:1].isdigit() else ""


def count(maximum: int) -> Kind[int]:
    """A number of things, from 0."""
    return integer(0, maximum)


def size_bytes(minimum: int = 0) -> Kind[int]:
    """A size in bytes that fits Java's int."""
    return integer(minimum, INT_MAX, "bytes")


def duration_ms(minimum: int, maximum: int) -> Kind[int]:
    """A duration in milliseconds."""
    return integer(minimum, maximum, "ms")


def double() -> Kind[float]:
    """A decimal number."""

    def parse(text: str) -> float:
        if _DOUBLE.fullmatch(text) is None:
            raise ValueError
        return float(text)

    return Kind("a number", parse)


def boolean() -> Kind[bool]:
    """`true` or `false` in any case."""

    def parse(text: str) -> bool:
        lowered = text.lower()
        if lowered not in ("true", "false"):
            raise ValueError("Apache's nodes would take it as false")
        return lowered == "true"

    return Kind("true or false", parse, lambda value: "true" if value else "false")


def member(enum: type[E]) -> Kind[E]:
    """The exact name of an enum member."""
    names = ", ".join(each.value for each in enum)

    def parse(text: str) -> E:
        for each in enum:
            if text == each.value:
                return each
        raise ValueError("upper and lower case matter" if text.upper() in names.split(", ") else "")

    return Kind(f"one of {names}", parse, lambda value: value.value)


def text() -> Kind[str]:
    """Any text of a line; may be empty. Control characters are refused for every kind, see `check`."""

    def parse(value: str) -> str:
        if len(value) > _TEXT_LENGTH_MAX:
            raise ValueError
        return value

    return Kind(f"a text of at most {_TEXT_LENGTH_MAX} characters", parse)


def name() -> Kind[str]:
    """A broker, cluster, region or topic name: what every client can carry in a route."""

    def parse(value: str) -> str:
        if _NAME.fullmatch(value) is None or value in (".", ".."):
            raise ValueError
        return value

    return Kind("1..127 characters out of A-Z a-z 0-9 _ - . % |", parse)


def path() -> Kind[Path]:
    """A file or folder; relative ones count from the working directory, as in Java."""

    def parse(value: str) -> Path:
        if not value:
            raise ValueError
        if value.startswith(("~", "$")) or "${" in value:
            raise ValueError("'~' and '$…' are not expanded, write the whole path")
        return Path(value)

    return Kind("a path", parse)


def host() -> Kind[str]:
    """An address that clients are told: IPv4, bracketed IPv6 or a host name."""

    def parse(value: str) -> str:
        if value in ("0.0.0.0", "[::]"):
            raise ValueError("clients cannot connect to that, name an address of this machine")
        if _IPV6.fullmatch(value) is not None:
            raise ValueError(f"an IPv6 address is written in brackets: [{value}]")
        if not _is_host(value):
            raise ValueError
        return value

    return Kind("an IP address or a host name", parse)


def address() -> Kind[str | None]:
    """`host:port`, or nothing."""

    def parse(value: str) -> str | None:
        return _checked_address(value) if value else None

    return Kind("an address host:port", parse, lambda value: value or "")


def addresses() -> Kind[tuple[str, ...]]:
    """Addresses `host:port`, separated by `;` (`,` is accepted), repetitions dropped."""

    def parse(value: str) -> tuple[str, ...]:
        found = dict.fromkeys(_checked_address(each) for each in _split_list(value))
        if not found:
            raise ValueError
        return tuple(found)

    return Kind("addresses host:port separated by ';'", parse, ";".join)


def bind_addresses() -> Kind[tuple[str, ...]]:
    """Addresses to listen on, separated by `;` (`,` is accepted), repetitions dropped."""

    def parse(value: str) -> tuple[str, ...]:
        found = dict.fromkeys(each for each in _split_list(value))
        wrong = [each for each in found if not _is_host(each) and _IPV6.fullmatch(each) is None]
        if wrong or not found:
            raise ValueError(f"'{wrong[0]}' is not an address" if wrong else "")
        return tuple(found)

    return Kind("IP addresses separated by ';'", parse, ";".join)


def networks() -> Kind[tuple[str, ...]]:
    """IP addresses or networks, `10.0.0.7;10.1.0.0/16`, separated by `;` (`,` is accepted); may be empty."""

    def parse(value: str) -> tuple[str, ...]:
        found = tuple(dict.fromkeys(_split_list(value)))
        for each in found:
            try:
                ip_network(each, strict=False)
            except ValueError:
                raise ValueError(f"'{each}' is neither an IP address nor a network such as 10.1.0.0/16") from None
        return found

    return Kind("IP addresses or networks separated by ';'", parse, ";".join)


def hours() -> Kind[tuple[int, ...]]:
    """Hours of the day, `04` or `04;16`."""

    def parse(value: str) -> tuple[int, ...]:
        found = tuple(int(each) for each in value.split(";") if _HOUR.fullmatch(each))
        if not found or len(found) != value.count(";") + 1 or max(found) > 23:
            raise ValueError
        return found

    return Kind("hours of the day 00..23 separated by ';'", parse, lambda value: ";".join(f"{h:02}" for h in value))


def delay_levels() -> Kind[str]:
    """Java's message delay levels: `1s 5s … 2h`."""

    def parse(value: str) -> str:
        if _DELAY_LEVELS.fullmatch(value) is None:
            raise ValueError
        delays = delays_ms(value)
        if len(delays) > _DELAY_LEVELS_MAX or max(delays) > _DELAY_MS_MAX:
            raise ValueError(f"at most {_DELAY_LEVELS_MAX} levels of at most {_DELAY_MS_MAX // 86_400_000}d each")
        return value

    return Kind("durations such as '1s 5m 2h 1d' separated by one blank", parse)


def delays_ms(levels: str) -> tuple[int, ...]:
    """The delays that such levels mean, in milliseconds. Source: `ScheduleMessageService#parseDelayLevel`."""
    return tuple(int(level[:-1]) * _DELAY_UNITS_MS[level[-1]] for level in levels.split())


def _split_list(value: str) -> list[str]:
    stripped = (each.strip() for each in _SEPARATOR.split(value))
    return [each for each in stripped if each]


def _checked_address(value: str) -> str:
    host_part, colon, port = value.rpartition(":")
    if not colon:
        raise ValueError(f"'{value}' has no port")
    if not _is_host(host_part):
        raise ValueError(f"'{host_part}' is neither an IP address nor a host name")
    if _PORT.fullmatch(port) is None or not 1 <= int(port) <= 65535:
        raise ValueError(f"port '{port}' is not 1..65535")
    return value


def _is_host(value: str) -> bool:
    if value.startswith("[") and value.endswith("]"):
        return _IPV6.fullmatch(value[1:-1]) is not None
    if _IPV4_LIKE.fullmatch(value) is not None:
        parts = value.split(".")
        return len(parts) == 4 and all(part.isdigit() and int(part) <= 255 for part in parts)
    return _HOST.fullmatch(value) is not None
