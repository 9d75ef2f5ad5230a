"""The codecs against frames captured between the official Java client and Apache's own nodes.

How the captures were made: tests/golden/README.md.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from rmqnode.broker.routes import ROUTES as BROKER_ROUTES
from rmqnode.nameserver.routes import ROUTES as NAMESERVER_ROUTES
from rmqnode.protocol import fastjson
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.command import Command, decode_command, encode_command
from rmqnode.protocol.frame import Frame, FrameDecoder, Serialization
from rmqnode.protocol.header_fields import header_from_ext_fields, header_to_ext_fields
from rmqnode.protocol.routes import RequestTable

FRAMES = Path(__file__).resolve().parents[2] / "golden" / "frames"
ROUTES = {"broker": BROKER_ROUTES, "nameserver": NAMESERVER_ROUTES}
CLIENT_CODES = {RequestCode.NOTIFY_CONSUMER_IDS_CHANGED}  # asked of clients, so in no table of a node
BINARY_BODIES = {
    RequestCode.SEND_MESSAGE,
    RequestCode.SEND_MESSAGE_V2,
    RequestCode.SEND_BATCH_MESSAGE,
    RequestCode.PULL_MESSAGE,
}


def exchanges(file: Path) -> list[dict[str, Any]]:
    return list(json.loads(file.read_text())["exchanges"])


CAPTURES = {file.stem: exchanges(file) for file in sorted(FRAMES.glob("*.json"))}
ALL = [
    pytest.param(exchange, id=f"{name}-{exchange['from']}-{exchange['name']}-{exchange['reply_code']}-{index}")
    for name, found in CAPTURES.items()
    for index, exchange in enumerate(found)
]


def frames_of(exchange: dict[str, Any]) -> list[bytes]:
    """The request and, unless it was one-way, the reply."""
    return [bytes.fromhex(text) for text in (exchange["request"], exchange["reply"]) if text is not None]


def decoded(raw: bytes) -> tuple[Frame, Command]:
    (frame,) = FrameDecoder().feed(raw)
    return frame, decode_command(frame)


def test_captures_cover_versions_serializations_and_codes() -> None:
    assert set(CAPTURES) == {
        "java-4.5.2-json",
        "java-4.5.2-json-long-names",
        "java-4.5.2-rocketmq",
        "java-4.9.7-json",
        "java-5.3.3-json",
    }
    codes = {exchange["code"] for found in CAPTURES.values() for exchange in found}
    codes_of_issue = {
        10,
        11,
        14,
        15,
        17,
        29,
        30,
        31,
        34,
        35,
        36,
        38,
        40,
        41,
        42,
        103,
        105,
        106,
        206,
        215,
        216,
        310,
        320,
    }
    assert codes_of_issue <= codes


@pytest.mark.parametrize("exchange", ALL)
def test_frame_is_read_alike_whole_and_byte_by_byte(exchange: dict[str, Any]) -> None:
    for raw in frames_of(exchange):
        whole = FrameDecoder().feed(raw)
        decoder = FrameDecoder()
        pieces = [frame for index in range(len(raw)) for frame in decoder.feed(raw[index : index + 1])]
        assert len(whole) == 1
        assert pieces == whole


@pytest.mark.parametrize("name", CAPTURES)
def test_glued_frames_come_apart(name: str) -> None:
    frames = [raw for exchange in CAPTURES[name] for raw in frames_of(exchange)]
    stream = b"".join(frames)
    assert FrameDecoder().feed(stream) == [decoded(raw)[0] for raw in frames]
    decoder = FrameDecoder()
    pieces = [frame for start in range(0, len(stream), 1000) for frame in decoder.feed(stream[start : start + 1000])]
    assert pieces == [decoded(raw)[0] for raw in frames]


@pytest.mark.parametrize("exchange", ALL)
def test_decoded_command_says_what_the_capture_says(exchange: dict[str, Any]) -> None:
    commands = [decoded(raw)[1] for raw in frames_of(exchange)]
    request = commands[0]
    assert (request.code, RequestCode(request.code).name) == (exchange["code"], exchange["name"])
    assert request.language == "JAVA"
    assert not request.is_response
    assert request.is_oneway == (exchange["reply"] is None)
    for reply in commands[1:]:
        assert reply.is_response
        assert reply.code == exchange["reply_code"]
        assert reply.opaque == request.opaque
        assert reply.serialization == request.serialization


@pytest.mark.parametrize("exchange", ALL)
def test_command_written_again_is_the_same_command(exchange: dict[str, Any]) -> None:
    for raw in frames_of(exchange):
        frame, command = decoded(raw)
        again = encode_command(command)
        assert decoded(again)[1] == command
        if frame.serialization == Serialization.ROCKETMQ:
            assert again == raw
        else:
            assert json.loads(decoded(again)[0].header) == json.loads(frame.header)


@pytest.mark.parametrize("exchange", ALL)
def test_custom_headers_fit_their_types(exchange: dict[str, Any]) -> None:
    if exchange["code"] in CLIENT_CODES:
        assert exchange["to"] == "client"
        return
    table = {route.code: route for route in ROUTES[exchange["to"]]}
    assert exchange["code"] in table, f"{exchange['name']} has no line in the {exchange['to']}'s table"
    raw, *replies = frames_of(exchange)
    frame, command = decoded(raw)
    found = RequestTable(ROUTES[exchange["to"]]).decode(frame)
    assert isinstance(found, tuple)
    route, request = found
    assert route.code == exchange["code"]
    assert request.header == header_from_ext_fields(route.request_header, command.ext_fields or {})
    for raw_reply in replies:
        _, reply = decoded(raw_reply)
        if reply.code == ResponseCode.SUCCESS and route.response_header is not None:
            header = header_from_ext_fields(route.response_header, reply.ext_fields or {})
            written = header_to_ext_fields(header)
            assert {name: text for name, text in (reply.ext_fields or {}).items() if name in written} == written


@pytest.mark.parametrize("exchange", ALL)
def test_json_body_is_readable(exchange: dict[str, Any]) -> None:
    if exchange["code"] in BINARY_BODIES:
        return
    for raw in frames_of(exchange):
        body = decoded(raw)[1].body
        if body:
            assert fastjson.loads(body)
