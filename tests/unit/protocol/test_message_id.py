import calendar
import contextlib
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmqnode.protocol.errors import ProtocolError
from rmqnode.protocol.message_id import (
    MalformedMessageId,
    UniqueIdGenerator,
    decode_offset_message_id,
    encode_offset_message_id,
    unique_id_time_ms,
)

GOLDEN = Path(__file__).parents[2] / "golden" / "java_text"
ADDRESSES = st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16)


@pytest.fixture
def _utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def utc_ms(*moment):
    return calendar.timegm((*moment, 0, 0, 0)[:6]) * 1000


def test_offset_message_id_is_javas():
    expected = (GOLDEN / "offset_message_id.txt").read_text().strip()
    assert encode_offset_message_id(bytes((10, 9, 8, 7)), 10911, 400) == expected


@given(ADDRESSES, st.integers(0, 65535), st.integers(0, 2**63 - 1))
def test_offset_message_id_comes_back_as_it_was(ip, port, physical_offset):
    message_id = encode_offset_message_id(ip, port, physical_offset)
    assert len(message_id) in (32, 56)
    assert decode_offset_message_id(message_id) == (ip, port, physical_offset)
    assert decode_offset_message_id(message_id.lower()) == (ip, port, physical_offset)


@pytest.mark.parametrize("text", ["", "0" * 31, "0" * 33, "G" * 32, "0" * 30 + "  ", "٠" * 32])
def test_what_is_no_message_id_is_refused(text):
    with pytest.raises(MalformedMessageId, match="no message id"):
        decode_offset_message_id(text)
    with pytest.raises(MalformedMessageId):
        unique_id_time_ms(text, 1)


@given(st.text() | st.text(st.sampled_from("0123456789abcdefABCDEF "), min_size=32, max_size=32))
def test_any_text_is_an_id_or_a_protocol_error(text):
    for decode in (decode_offset_message_id, lambda text: unique_id_time_ms(text, 1_700_000_000_000)):
        with contextlib.suppress(ProtocolError):
            decode(text)


@pytest.mark.usefixtures("_utc")
def test_time_of_a_java_made_id_is_what_java_reads():
    unique_id, made_ms, _ = (GOLDEN / "unique_id.txt").read_text().split()
    assert unique_id_time_ms(unique_id, int(made_ms) + 1000) == int(made_ms)


@pytest.mark.usefixtures("_utc")
def test_unique_id_has_the_layout_of_java_clients():
    now_ms = utc_ms(2024, 2, 29, 12) + 345
    generator = UniqueIdGenerator(bytes((10, 1, 2, 3)), 0x12345, 0xCAFE0001, lambda: now_ms)
    assert generator.create() == f"0A010203{0x2345:04X}CAFE0001{now_ms - utc_ms(2024, 2, 1):08X}0000"
    assert generator.create().endswith("0001")


@pytest.mark.usefixtures("_utc")
def test_unique_id_made_last_month_tells_its_time():
    made_ms = utc_ms(2023, 12, 31, 23) + 7
    unique_id = UniqueIdGenerator(bytes(16), 1, 2, lambda: made_ms).create()
    assert len(unique_id) == 56
    assert unique_id_time_ms(unique_id, utc_ms(2024, 1, 1, 1)) == made_ms


@pytest.mark.usefixtures("_utc")
def test_generator_notices_a_new_month_and_a_clock_set_back():
    moments = [utc_ms(2024, 3, 31, 23), utc_ms(2024, 4, 1), utc_ms(2024, 3, 1)]
    clock = iter(moments)
    generator = UniqueIdGenerator(bytes(4), 1, 2, lambda: next(clock))
    assert [unique_id_time_ms(generator.create(), moment + 1) for moment in moments] == moments


@pytest.mark.usefixtures("_utc")
def test_65536_ids_of_one_millisecond_differ():
    generator = UniqueIdGenerator(bytes(4), 1, 2, lambda: utc_ms(2024, 5, 5))
    assert len({generator.create() for _ in range(65_536)}) == 65_536
