"""From frame to typed request: the fast way and Java's rules step by step must never disagree."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rmqnode.protocol import headers
from rmqnode.protocol.codes import RequestCode
from rmqnode.protocol.command import FLAG_ONEWAY, FLAG_RESPONSE, Command, encode_command
from rmqnode.protocol.errors import MalformedHeader, ProtocolError
from rmqnode.protocol.frame import Frame, FrameDecoder, Serialization
from rmqnode.protocol.header_fields import Header, header_to_ext_fields
from rmqnode.protocol.routes import RejectedRequest, Request, RequestTable, Route
from tests.unit.protocol.header_types import HEADER_TYPES

ROUTES = tuple(Route(code, each, None, print) for code, each in zip(RequestCode, HEADER_TYPES, strict=False))
"""One route for each header there is, so that the test does not depend on what the nodes serve today."""

TABLE = RequestTable(ROUTES)

AnyHeader = Callable[[type[Header]], st.SearchStrategy[Any]]

ODD_TEXTS = (
    *("1", "0", "007", "+5", "-0", "5.0", "1e3", "1E+2", ".5", "5.", " 5", "5 ", "٣", "𝟗", "1_0", "NaN", ""),
    *("TRUE", "true", "True", "false", "null", "NULL"),
    *("2147483648", "-9223372036854775809", "99999999999999999999"),
)
json_values = st.one_of(
    st.sampled_from(ODD_TEXTS),
    st.sampled_from(ODD_TEXTS),
    st.text(max_size=8),
    st.integers(-(2**31), 2**31 - 1).map(str),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.none(),
)
members = st.fixed_dictionaries(
    {},
    optional={
        "flag": st.sampled_from([0, 1, 2, 3, "2"]),
        "opaque": st.integers(-(2**31), 2**31 - 1),
        "language": st.sampled_from(["JAVA", "X", 3, None]),
        "version": st.sampled_from([0, 317, "477"]),
        "remark": st.none() | st.text(max_size=5),
        "later": json_values,
    },
)


@st.composite
def frames_of_a_known_code(draw: st.DrawFn) -> Frame:
    """A legal JSON request, then some of its fields replaced or dropped and its text written differently."""
    route = draw(st.sampled_from(ROUTES))
    names = route.request_header.__struct_encode_fields__
    # A text of digits is legal for every type but boolean, where it is false.
    ext_fields: dict[str, Any] = dict.fromkeys(names, "1")
    if names:
        ext_fields |= draw(st.dictionaries(st.sampled_from(names), json_values, max_size=2))
        for name in draw(st.lists(st.sampled_from(names), max_size=1)):
            del ext_fields[name]
    text = json.dumps(draw(members) | {"extFields": ext_fields}, separators=(",", ":"), ensure_ascii=False)
    if draw(st.booleans()):
        text = text.replace('":', '": ')
    if draw(st.booleans()):
        text = escape_one_character(draw, text)
    return Frame(0, f'{{"code":{route.code},{text[1:]}'.encode("utf-8", "replace"), draw(st.binary(max_size=5)))


def escape_one_character(draw: st.DrawFn, text: str) -> str:
    r"""Write one digit, sign or letter e of a text as JSON may: `1` as `\u0031`."""
    places = [at for at in range(text.find("extFields") + 9, len(text)) if text[at] in "0123456789+-.eE"]
    inside = [at for at in places if text[:at].count('"') % 2]
    if not inside:
        return text
    at = draw(st.sampled_from(inside))
    return f"{text[:at]}\\u{ord(text[at]):04x}{text[at + 1 :]}"


def outcome(decode: Any, frame: Frame) -> Any:
    try:
        return decode(frame)
    except RejectedRequest as rejected:
        return "rejected", rejected.command, rejected.remark
    except ProtocolError as error:
        return type(error)


def comparable(decoded: Any) -> Any:
    """Everything that a handler can tell apart; the language is only normalized by the slow way."""
    if isinstance(decoded, tuple) and isinstance(decoded[1], Request):
        route, request = decoded
        fields = {name: getattr(request, name) for name in Request.__struct_fields__ if name != "language"}
        return route, fields
    return decoded


@given(frames_of_a_known_code())
@settings(max_examples=400)
@example(Frame(0, b'{"code":30,"extFields":{"topic":"t","queueId": "1e3"}}', b""))
def test_the_fast_way_gives_what_javas_rules_give(frame: Frame) -> None:
    assert comparable(outcome(TABLE.decode, frame)) == comparable(outcome(TABLE._decode_in_steps, frame))


@pytest.mark.parametrize(
    "queue_id",
    [
        *('"1"', '"007"', '"+5"', '"5.0"', ' "5.0"', '"1e3"', '"\\u0031e3"', '"1\\u00653"', '"99999999999"'),
        *('"TRUE"', '"٣"', '"null"', '""', "5.0", "1e3", "true", "null", "3"),
    ],
)
def test_each_way_of_writing_a_number_is_read_as_java_does(queue_id: str) -> None:
    table = RequestTable([Route(RequestCode.GET_MAX_OFFSET, headers.QueueRequestHeader, None, print)])
    frame = Frame(0, f'{{"code":30,"extFields":{{"topic":"t","queueId":{queue_id}}}}}'.encode(), b"")
    decoded = comparable(outcome(table.decode, frame))
    assert decoded == comparable(outcome(table._decode_in_steps, frame))
    readable = {'"1"': 1, '"007"': 7, '"+5"': 5, '"٣"': 3, "3": 3}
    if queue_id in readable:
        assert decoded[1]["header"].queue_id == readable[queue_id]
    else:
        assert decoded[0] == "rejected"


@given(data=st.data())
@settings(max_examples=15)
def test_every_header_arrives_in_both_serializations(
    header_type: type[Header], any_header: AnyHeader, data: st.DataObject
) -> None:
    (route,) = (route for route in ROUTES if route.request_header is header_type)
    header = data.draw(any_header(header_type))
    for serialization in Serialization:
        ext_fields = header_to_ext_fields(header)
        sent = Command(code=route.code, opaque=5, ext_fields=ext_fields, serialization=serialization, body=b"b")
        (frame,) = FrameDecoder().feed(encode_command(sent))
        decoded = TABLE.decode(frame)
        assert isinstance(decoded, tuple)
        assert decoded[0] is route
        request = decoded[1]
        assert request.header == header
        assert (request.opaque, request.serialization, request.body) == (5, serialization, b"b")


@given(st.binary(max_size=100))
def test_random_headers_give_a_request_a_command_or_a_known_error(header: bytes) -> None:
    for frame in (Frame(0, b'{"code":10,' + header, b""), Frame(0, header, b""), Frame(1, header, b"")):
        outcome(TABLE.decode, frame)


def test_an_unknown_code_comes_back_as_a_command() -> None:
    decoded = TABLE.decode(Frame(0, b'{"code":4711,"opaque":3,"extFields":{"a":"b"}}', b"body"))
    assert decoded == Command(code=4711, opaque=3, ext_fields={"a": "b"}, body=b"body", language="OTHER", version=0)


def test_a_response_is_never_taken_for_a_request() -> None:
    for flag in (FLAG_RESPONSE, FLAG_RESPONSE | FLAG_ONEWAY):
        text = f'{{"code":0,"flag":{flag},"extFields":{{}}}}'.replace('"code":0', f'"code":{ROUTES[0].code}')
        assert isinstance(TABLE.decode(Frame(0, text.encode(), b"")), Command)


def test_a_rejected_request_names_header_and_field() -> None:
    table = RequestTable([Route(RequestCode.GET_MAX_OFFSET, headers.QueueRequestHeader, None, print)])
    with pytest.raises(RejectedRequest, match="QueueRequestHeader: field 'topic' is missing") as caught:
        table.decode(Frame(0, b'{"code":30,"opaque":9}', b""))
    assert caught.value.command.opaque == 9


def test_of_two_codes_the_last_one_counts_in_both_ways() -> None:
    frame = Frame(0, b'{"code":34,"code":4711,"extFields":{}}', b"")
    table = RequestTable([Route(RequestCode.HEART_BEAT, headers.NoHeader, None, print)])
    assert isinstance(table.decode(frame), Command)


def test_a_header_nested_beyond_reason_is_malformed() -> None:
    table = RequestTable([Route(RequestCode.HEART_BEAT, headers.NoHeader, None, print)])
    with pytest.raises(MalformedHeader):
        table.decode(Frame(0, b'{"code":34,"extFields":{},"later":' + b"[" * 200_000 + b"}", b""))


def test_a_code_is_in_a_table_once() -> None:
    route = Route(RequestCode.HEART_BEAT, headers.NoHeader, None, print)
    with pytest.raises(AssertionError, match="in the table twice"):
        RequestTable([route, route])
