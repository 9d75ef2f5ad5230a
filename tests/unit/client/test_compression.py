"""Bodies that newer clients compressed: all their formats are read, and none can fill the memory."""

import sys
import zlib
from collections.abc import Callable

import lz4.frame
import pytest
import zstandard

from rmqctl.client.compression import compress_body, decompressed_body
from rmqnode.protocol.message import MalformedMessage, StoredMessage
from tests.unit.client.consumer.records import stored_message

TEXT = "订单 paid ".encode() * 1000

FORMATS: dict[int, Callable[[bytes], bytes]] = {
    0x000: zlib.compress,
    0x100: lz4.frame.compress,
    0x200: zstandard.ZstdCompressor().compress,
    0x300: zlib.compress,
}


def stored(body: bytes, sys_flag: int) -> StoredMessage:
    return stored_message(0, body=body, sys_flag=sys_flag)


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_of_newer_clients_is_read(kind: int) -> None:
    assert decompressed_body(stored(FORMATS[kind](TEXT), kind | 1)) == TEXT


def test_a_body_that_is_not_compressed_is_left_alone() -> None:
    assert decompressed_body(stored(TEXT, 0x200)) == TEXT


def test_what_a_producer_compresses_is_zlib() -> None:
    assert decompressed_body(stored(compress_body(TEXT), 1)) == TEXT


def test_a_zstd_stream_that_does_not_say_its_size_is_read() -> None:
    compressor = zstandard.ZstdCompressor().compressobj()
    assert decompressed_body(stored(compressor.compress(TEXT) + compressor.flush(), 0x201)) == TEXT


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("damage", [lambda body: body[:-5], lambda body: b"", lambda body: b"nonsense" + body])
def test_a_damaged_body_is_an_error(kind: int, damage: Callable[[bytes], bytes]) -> None:
    with pytest.raises(MalformedMessage):
        decompressed_body(stored(damage(FORMATS[kind](TEXT)), kind | 1))


@pytest.mark.parametrize("kind", FORMATS)
def test_a_small_body_does_not_expand_beyond_the_limit(kind: int) -> None:
    bomb = FORMATS[kind](bytes(65 * 1024 * 1024))
    with pytest.raises(MalformedMessage, match="above"):
        decompressed_body(stored(bomb, kind | 1))


@pytest.mark.parametrize(("kind", "module"), [(0x100, "lz4.frame"), (0x200, "zstandard")])
def test_a_missing_library_is_named_with_its_cure(monkeypatch: pytest.MonkeyPatch, kind: int, module: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MalformedMessage, match=r"pip install 'rmqctl\[compression\]'"):
        decompressed_body(stored(b"x", kind | 1))


def test_an_unknown_format_is_named() -> None:
    with pytest.raises(MalformedMessage, match="type 5"):
        decompressed_body(stored(b"x", 0x501))
