"""Frames: however the stream is cut, the same frames come out; whatever it holds, nothing else than ProtocolError."""

import struct
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmqnode.protocol.errors import FrameTooLarge, MalformedFrame, ProtocolError
from rmqnode.protocol.frame import Frame, FrameDecoder, Serialization, encode_frame

LIMIT_BYTES = 4096
"""Small enough that hypothesis reaches it."""

frames = st.builds(Frame, st.sampled_from([0, 1]), st.binary(max_size=64), st.binary(max_size=200))


def encoded(frame: Frame) -> bytes:
    return encode_frame(frame.serialization, frame.header, frame.body)


def fed(chunks: Iterable[bytes]) -> list[Frame]:
    decoder = FrameDecoder(LIMIT_BYTES)
    return [frame for chunk in chunks for frame in decoder.feed(chunk)]


def bytewise(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


@given(st.lists(frames, max_size=5))
def test_frames_come_out_whole_bytewise_and_glued(sent: list[Frame]) -> None:
    data = [encoded(frame) for frame in sent]
    assert fed(data) == sent
    assert fed(bytewise(b"".join(data))) == sent
    assert fed([b"".join(data)]) == sent


@given(st.lists(frames, min_size=1, max_size=4), st.data())
def test_frames_come_out_of_any_cut_of_the_stream(sent: list[Frame], data: st.DataObject) -> None:
    stream = b"".join(map(encoded, sent))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    assert fed(stream[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)) == sent


@given(frames, st.data())
def test_a_frame_cut_short_gives_nothing_yet(frame: Frame, data: st.DataObject) -> None:
    stream = encoded(frame)
    kept = data.draw(st.integers(0, len(stream) - 1))
    assert fed([stream[:kept]]) == []


@given(st.lists(st.binary(max_size=300), max_size=6))
def test_random_bytes_give_frames_or_a_protocol_error(chunks: list[bytes]) -> None:
    decoder = FrameDecoder(LIMIT_BYTES)
    try:
        for chunk in chunks:
            decoder.feed(chunk)
            assert pending_bytes(decoder) < LIMIT_BYTES
    except ProtocolError:
        pass


@given(frames, st.integers(0), st.integers(0, 255))
def test_a_mutated_frame_gives_frames_or_a_protocol_error(frame: Frame, position: int, value: int) -> None:
    stream = bytearray(encoded(frame) * 2)
    stream[position % len(stream)] = value
    decoder = FrameDecoder(LIMIT_BYTES)
    try:
        decoder.feed(bytes(stream))
    except ProtocolError:
        return
    assert pending_bytes(decoder) < LIMIT_BYTES


def pending_bytes(decoder: FrameDecoder) -> int:
    return len(decoder._pending)


@pytest.mark.parametrize("length", [LIMIT_BYTES - 3, 2**24, 2**31 - 1])
def test_a_frame_above_the_limit_is_refused_by_its_first_eight_bytes(length: int) -> None:
    decoder = FrameDecoder(LIMIT_BYTES)
    with pytest.raises(FrameTooLarge, match=f"a frame of {length + 4} bytes is above the maximum of 4096 bytes"):
        decoder.feed(struct.pack(">iI", length, 4))
    assert pending_bytes(decoder) == 0


def test_a_frame_of_exactly_the_limit_is_taken() -> None:
    frame = Frame(0, b"h", bytes(LIMIT_BYTES - 9))
    assert len(encoded(frame)) == LIMIT_BYTES
    assert fed([encoded(frame)]) == [frame]


def test_the_limit_is_sixteen_mebibytes_as_in_java() -> None:
    decoder = FrameDecoder()
    assert decoder.feed(struct.pack(">iI", 2**24 - 4, 4)) == []
    with pytest.raises(FrameTooLarge):
        FrameDecoder().feed(struct.pack(">iI", 2**24 - 3, 4))


@pytest.mark.parametrize("length", [-(2**31), -1, 0, 3])
def test_a_length_below_its_own_header_field_is_malformed(length: int) -> None:
    with pytest.raises(MalformedFrame, match=f"announces a length of {length} bytes"):
        fed([struct.pack(">iI", length, 0)])


def test_a_header_longer_than_its_frame_is_malformed() -> None:
    with pytest.raises(MalformedFrame, match="a frame of 14 bytes announces a header of 11 bytes"):
        fed([struct.pack(">iI", 14, 11)])


@pytest.mark.parametrize("serialization", [2, 3, 127, 128, 255])
def test_an_unknown_serialization_is_malformed(serialization: int) -> None:
    with pytest.raises(MalformedFrame, match=f"unknown serialization type {serialization} of a frame header"):
        fed([struct.pack(">iI", 8, serialization << 24 | 4) + b"abcd"])


def test_an_empty_header_and_an_empty_body_are_a_frame() -> None:
    assert fed([struct.pack(">iI", 4, 0)]) == [Frame(0, b"", b"")]


def test_a_header_above_three_bytes_of_length_cannot_be_written() -> None:
    with pytest.raises(FrameTooLarge):
        encode_frame(Serialization.JSON, bytes(2**24))


def test_the_layout_of_a_frame_is_apaches() -> None:
    assert encode_frame(Serialization.ROCKETMQ, b"head", b"body!") == bytes.fromhex("0000000d 01000004") + b"headbody!"
