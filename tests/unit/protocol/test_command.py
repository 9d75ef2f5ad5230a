"""Commands in JSON and in the binary form: what Java writes is read, what we write is Java's form."""

import json
import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmqnode.protocol.codes import LanguageCode
from rmqnode.protocol.command import (
    FLAG_ONEWAY,
    FLAG_RESPONSE,
    Command,
    decode_command,
    decode_without_fields,
    encode_command,
    encode_header,
    language_name,
)
from rmqnode.protocol.errors import MalformedHeader
from rmqnode.protocol.frame import Frame, FrameDecoder, Serialization

i32 = st.integers(-(2**31), 2**31 - 1)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
commands = st.builds(
    Command,
    code=st.integers(-(2**15), 2**15 - 1),
    opaque=i32,
    flag=i32,
    language=st.sampled_from(list(LanguageCode.__members__)),
    version=st.integers(-(2**15), 2**15 - 1),
    remark=st.none() | texts.filter(bool),
    ext_fields=st.none() | st.dictionaries(texts, texts, min_size=1, max_size=5),
    body=st.binary(max_size=50),
    serialization=st.sampled_from(Serialization),
)


def frame_of(data: bytes) -> Frame:
    (frame,) = FrameDecoder().feed(data)
    return frame


def decode_json(text: str | bytes) -> Command:
    header = text.encode() if isinstance(text, str) else text
    return decode_command(Frame(Serialization.JSON, header, b""))


@given(commands)
def test_a_command_round_trips_in_both_serializations(command: Command) -> None:
    assert decode_command(frame_of(encode_command(command))) == command


@given(st.binary(max_size=200), st.sampled_from(Serialization))
def test_random_headers_give_a_command_or_are_malformed(header: bytes, serialization: Serialization) -> None:
    with suppress(MalformedHeader):
        decode_command(Frame(serialization, header, b""))


@given(commands, st.integers(0), st.integers(0, 255))
def test_a_mutated_header_gives_a_command_or_a_protocol_error(command: Command, position: int, value: int) -> None:
    frame = frame_of(encode_command(command))
    header = bytearray(frame.header)
    header[position % len(header)] = value
    try:
        decoded = decode_command(Frame(frame.serialization, bytes(header), b""))
    except MalformedHeader:
        return
    encode_command(Command(code=0, opaque=decoded.opaque, serialization=decoded.serialization))


@given(commands, st.integers(0))
def test_a_header_cut_short_is_malformed(command: Command, position: int) -> None:
    frame = frame_of(encode_command(command))
    with pytest.raises(MalformedHeader):
        decode_command(Frame(frame.serialization, frame.header[: position % len(frame.header)], b""))


def test_json_has_sorted_members_and_leaves_null_ones_out() -> None:
    header = encode_header(Serialization.JSON, 0, 7, FLAG_RESPONSE, None, None)
    assert header == (
        b'{"code":0,"flag":1,"language":"PYTHON","opaque":7,"serializeTypeCurrentRPC":"JSON","version":317}'
    )


def test_json_keeps_an_empty_map_apart_from_no_map() -> None:
    assert b'"extFields":{}' in encode_header(Serialization.JSON, 0, 7, 1, "r", {})
    assert decode_json('{"code":1,"extFields":{}}').ext_fields == {}
    assert decode_json('{"code":1}').ext_fields is None


def test_the_header_of_a_java_client_is_read() -> None:
    command = decode_json(
        '{"code":105,"extFields":{"topic":"TopicTest"},"flag":0,"language":"JAVA","opaque":5,'
        '"serializeTypeCurrentRPC":"JSON","version":317}'
    )
    assert command == Command(code=105, opaque=5, language="JAVA", version=317, ext_fields={"topic": "TopicTest"})


@pytest.mark.parametrize(
    ("value", "text"),
    [("12", "12"), ("-3", "-3"), ("true", "true"), ("false", "false"), ('"a"', "a"), ("1.5", "1.5"), ('"5"', "5")],
)
def test_json_values_of_ext_fields_become_text(value: str, text: str) -> None:
    assert decode_json(f'{{"code":1,"extFields":{{"k":{value}}}}}').ext_fields == {"k": text}


def test_a_null_ext_field_is_no_field() -> None:
    assert decode_json('{"code":1,"extFields":{"k":null}}').ext_fields == {}


def test_numbers_as_text_and_unknown_members_are_accepted() -> None:
    command = decode_json('{"code":"34","opaque":"5","version":"317","later":{"a":[1]}}')
    assert (command.code, command.opaque, command.version) == (34, 5, 317)


@pytest.mark.parametrize(
    ("written", "name"),
    [('"JAVA"', "JAVA"), ('"KLINGON"', "OTHER"), ("0", "JAVA"), ("9", "GO"), ("77", "OTHER"), ("null", "OTHER")],
)
def test_languages_come_by_name_or_ordinal(written: str, name: str) -> None:
    assert decode_json(f'{{"code":1,"language":{written}}}').language == name


@given(st.one_of(st.none(), st.integers(), st.text()))
def test_every_language_has_a_name(language: str | int | None) -> None:
    assert language_name(language) in LanguageCode.__members__


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"code":null}',
        b'{"code":1',
        b'{"code":1}}',
        b'{"code":1,"remark":"\xff"}',
        b'{"code":1,"extFields":{"k":"\\ud800"}}',
        b'{"code":1,"extFields":[]}',
        b'{"code":1,"opaque":1e300}',
        b'{"code":1,"extFields":{"k":' + b"9" * 5000 + b"}}",
        b'{"code":1,"later":' + b"[" * 200_000 + b"}",
    ],
    ids=lambda header: header[:40].decode("latin-1"),
)
def test_what_is_no_json_header_is_malformed(header: bytes) -> None:
    with pytest.raises(MalformedHeader, match="a JSON header can't be read"):
        decode_json(header)


def test_the_binary_layout_is_apaches() -> None:
    header = encode_header(Serialization.ROCKETMQ, 10, 5, FLAG_ONEWAY, "no", {"a": "bc"}, language="JAVA", version=317)
    assert header == (
        struct.pack(">hbhii", 10, 0, 317, 5, 2) + b"\0\0\0\x02no" + b"\0\0\0\x09" + b"\0\x01a" + b"\0\0\0\x02bc"
    )


@pytest.mark.parametrize(
    ("fixed", "rest"),
    [
        ((10, 0, 317, 5, 0, -1), bytes(4)),
        ((10, 0, 317, 5, 0, 2**31 - 1), bytes(4)),
        ((10, 0, 317, 5, 0, 0), b"\xff\xff\xff\xff"),
        ((10, 0, 317, 5, 0, 0), b"\x7f\xff\xff\xff"),
        ((10, 0, 317, 5, 0, 0), b"\0\0\0\x02\xff\xff"),
        ((10, 0, 317, 5, 0, 0), b"\0\0\0\x06\0\0\xff\xff\xff\xff"),
        ((10, 0, 317, 5, 0, 0), b"\0\0\0\x07\0\x01\xff\0\0\0\0"),
        ((10, 0, 317, 5, 0, 0), b"\0\0\0\0trailing"),
    ],
)
def test_lengths_that_lie_in_a_binary_header_are_malformed(fixed: tuple[int, ...], rest: bytes) -> None:
    header = struct.pack(">hBhiii", *fixed) + rest
    with pytest.raises(MalformedHeader):
        decode_command(Frame(Serialization.ROCKETMQ, header, b""))


def test_what_does_not_fit_the_binary_form_is_refused() -> None:
    for command in (
        Command(code=40_000, serialization=Serialization.ROCKETMQ),
        Command(code=1, ext_fields={"k" * 40_000: "v"}, serialization=Serialization.ROCKETMQ),
    ):
        with pytest.raises(MalformedHeader, match="does not fit the binary header"):
            encode_command(command)


def test_the_flags_say_response_and_oneway() -> None:
    assert not Command(code=1).is_response
    assert not Command(code=1).is_oneway
    assert Command(code=1, flag=FLAG_RESPONSE).is_response
    assert Command(code=1, flag=FLAG_ONEWAY | FLAG_RESPONSE).is_oneway


def test_our_json_is_json() -> None:
    header = encode_header(Serialization.JSON, 17, 1, 0, 'a "quoted"\nremark 已付款', {"k": "\x01\x02"})
    assert json.loads(header)["remark"] == 'a "quoted"\nremark 已付款'
    assert json.loads(header)["extFields"] == {"k": "\x01\x02"}


@pytest.mark.parametrize(
    "header",
    [
        b'{"code":10,"flag":2,"opaque":7,"extFields":{"flag":"1","code":"3","a":"LARGE"}}',
        b'{"code":10,"flag":2,"opaque":7,"extFields":{"a":"LARGE","flag":"1","opaque":"3"}}',
        b'{"code":10,"extFields":{"flag":"1","a":"LARGE","flag":"1"},"flag":2,"language":"JAVA","opaque":7}',
        b'{"extFields":{"flag":"1","a":"LARGE","flag":"1"},"code":10,"flag":2,"opaque":7}\n',
        b'{"code":10,"flag":2,"opaque":7,"remark":"LARGE"}',
    ],
)
def test_an_ext_field_of_a_header_that_is_too_large_is_not_taken_for_its_code_flag_or_opaque(header: bytes) -> None:
    command = decode_without_fields(Frame(0, header.replace(b"LARGE", b"L" * 300_000), b""))
    assert (command.code, command.flag, command.opaque) == (10, 2, 7)
