"""Where reading starts, and where it ends: at the ends of each queue, a few messages before, or at a point in time.

Parsing needs only the clock that is handed in; turning a position into offsets is the reader's work.
"""

import re
from datetime import datetime, timedelta
from typing import Final

import msgspec

from rmqctl.client.errors import InvalidArgument

_AGO: Final = re.compile(r"-?(\d{1,9})(ms|s|m|h|d)")
_AHEAD: Final = re.compile(r"\+(\d{1,9})(ms|s|m|h|d)")
_UNIT_MS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


class Latest(msgspec.Struct, frozen=True):
    """Only messages that arrive from now on."""

    def __str__(self) -> str:
        return "the latest message on"


class Earliest(msgspec.Struct, frozen=True):
    """Everything that is still stored."""

    def __str__(self) -> str:
        return "the earliest stored message"


class Since(msgspec.Struct, frozen=True):
    """Messages stored at or after a time, in milliseconds of the epoch."""

    timestamp_ms: int

    def __str__(self) -> str:
        return format_time(self.timestamp_ms)


class LastMessages(msgspec.Struct, frozen=True):
    """The last messages of each queue."""

    count: int

    def __str__(self) -> str:
        return f"the last {'message' if self.count == 1 else f'{self.count} messages'} of each queue"


StartPosition = Latest | Earliest | Since | LastMessages


class AsOfNow(msgspec.Struct, frozen=True):
    """What is stored when reading begins, and nothing that comes later."""

    def __str__(self) -> str:
        return "now"


class UntilTime(msgspec.Struct, frozen=True):
    """Messages stored up to a time, in milliseconds of the epoch; a time to come is waited for."""

    timestamp_ms: int

    def __str__(self) -> str:
        return format_time(self.timestamp_ms)


EndPosition = AsOfNow | UntilTime


def format_time(timestamp_ms: int) -> str:
    """Return milliseconds of the epoch as local time: `2026-11-23T10:00:00.123+08:00`."""
    try:
        return datetime.fromtimestamp(timestamp_ms / 1000).astimezone().isoformat(timespec="milliseconds")
    except (OverflowError, ValueError, OSError):
        # A peer may send any number; that is no reason to show nothing else.
        return f"{timestamp_ms} ms"


def parse_start(text: str, now: datetime) -> StartPosition:
    """Read `latest`, `earliest`, an age such as `-10m`, or an ISO 8601 time.

    Args:
        text: A time without an offset is local time; a date alone is its midnight.
        now: An aware time: what ages count back from, and the zone of local times.

    Raises:
        InvalidArgument: It is none of these, or it lies in the future.
    """
    word = text.strip().lower()
    if word == "latest":
        return Latest()
    if word == "earliest":
        return Earliest()
    moment = _parse_moment(word, now)
    if moment is None:
        raise InvalidArgument(
            f"{text!r} is no place to start from",
            cure="latest, earliest, an age (-90s, -10m, -2h, -1d), or a time (2026-11-23T10:00, optionally +08:00)",
        )
    if moment > now:
        raise InvalidArgument(
            f"{text!r} lies in the future",
            "reading starts at what is stored already",
            "--from latest waits for new messages",
        )
    return Since(int(moment.timestamp() * 1000))


def parse_end(text: str, now: datetime) -> EndPosition:
    """Read `now`, an age such as `-10m`, a wait such as `+10m`, or an ISO 8601 time, which may be to come.

    Args:
        text: A time without an offset is local time; a date alone is its midnight.
        now: As for `parse_start`.

    Raises:
        InvalidArgument: It is none of these.
    """
    word = text.strip().lower()
    if word == "now":
        return AsOfNow()
    moment = _parse_moment(word, now)
    if moment is None:
        raise InvalidArgument(
            f"{text!r} is no place to end at",
            cure="now, an age (-90s, -10m), a wait (+90s, +10m), or a time (2026-11-23T10:00, optionally +08:00)",
        )
    return UntilTime(int(moment.timestamp() * 1000))


def _parse_moment(word: str, now: datetime) -> datetime | None:
    ago, ahead = _AGO.fullmatch(word), _AHEAD.fullmatch(word)
    span = ago or ahead
    if span is not None:
        try:
            distance = timedelta(milliseconds=int(span[1]) * _UNIT_MS[span[2]])
            return now - distance if ago else now + distance
        except OverflowError:
            return None
    try:
        moment = datetime.fromisoformat(word.upper())
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=now.tzinfo)
