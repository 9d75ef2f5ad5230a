"""`--from` in all its forms."""

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmqctl.client.errors import InvalidArgument
from rmqctl.client.start_position import (
    AsOfNow,
    Earliest,
    Latest,
    Since,
    UntilTime,
    format_time,
    parse_end,
    parse_start,
)

SHANGHAI = timezone(timedelta(hours=8))
NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=SHANGHAI)


def ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


@pytest.mark.parametrize(("text", "start"), [("latest", Latest()), ("EARLIEST", Earliest()), (" latest ", Latest())])
def test_words_name_the_ends_of_the_queues(text: str, start: object) -> None:
    assert parse_start(text, NOW) == start
    assert type(parse_start(text, NOW)) is type(start)


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("-10m", timedelta(minutes=10)),
        ("10m", timedelta(minutes=10)),
        ("-90s", timedelta(seconds=90)),
        ("-250ms", timedelta(milliseconds=250)),
        ("-2h", timedelta(hours=2)),
        ("-1D", timedelta(days=1)),
        ("-0s", timedelta(0)),
    ],
)
def test_an_age_counts_back_from_now(text: str, ago: timedelta) -> None:
    assert parse_start(text, NOW) == Since(ms(NOW - ago))


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-23T10:00", datetime(2026, 11, 23, 10, tzinfo=SHANGHAI)),
        ("2026-11-23 10:00:01.5", datetime(2026, 11, 23, 10, 0, 1, 500_000, tzinfo=SHANGHAI)),
        ("2026-11-23", datetime(2026, 11, 23, tzinfo=SHANGHAI)),
        ("2026-11-23T03:00:00Z", datetime(2026, 11, 23, 11, tzinfo=SHANGHAI)),
        ("2026-11-23T03:00:00-00:30", datetime(2026, 11, 23, 11, 30, tzinfo=SHANGHAI)),
    ],
)
def test_a_time_without_an_offset_is_local(text: str, moment: datetime) -> None:
    assert parse_start(text, NOW) == Since(ms(moment))


@pytest.mark.parametrize(
    "text", ["", "yesterday", "-10", "-10x", "10:00", "2026-13-01", "2026-11-23T12:00:01", "2027-01-01"]
)
def test_nonsense_and_the_future_are_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_start(text, NOW)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("-10m", NOW - timedelta(minutes=10)),
        ("+90s", NOW + timedelta(seconds=90)),
        ("2027-01-01", datetime(2027, 1, 1, tzinfo=SHANGHAI)),
    ],
)
def test_an_end_may_be_past_or_to_come(text: str, moment: datetime) -> None:
    assert parse_end(text, NOW) == UntilTime(ms(moment))


def test_an_end_as_of_now_is_no_time() -> None:
    assert parse_end("Now", NOW) == AsOfNow()


@pytest.mark.parametrize("text", ["", "latest", "earliest", "soon", "+10", "+999999999d"])
def test_what_is_no_end_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="no place to end at"):
        parse_end(text, NOW)


@given(st.text(max_size=30))
def test_any_text_is_a_position_or_a_usage_error(text: str) -> None:
    try:
        start = parse_start(text, NOW)
    except InvalidArgument:
        return
    assert not isinstance(start, Since) or start.timestamp_ms <= ms(NOW)


@given(st.integers(min_value=-(2**63), max_value=2**63 - 1))
def test_any_number_of_a_peer_can_be_shown_as_a_time(timestamp_ms: int) -> None:
    assert format_time(timestamp_ms)
