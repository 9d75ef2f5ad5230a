"""A message as one line of `rmqctl tail`."""

import base64
import json
import zlib
from typing import Any

import msgspec
import pytest

from rmqctl.cli.message_line import json_line, terminal_line, text_line
from rmqnode.protocol.bodies import MessageQueue
from rmqnode.protocol.message import Host, StoredMessage

QUEUE = MessageQueue(topic="T", broker_name="broker-a", queue_id=1)
MESSAGE = StoredMessage(
    topic="T",
    queue_id=1,
    flag=0,
    queue_offset=15,
    physical_offset=4096,
    sys_flag=0,
    born_timestamp=1_700_000_000_000,
    born_host=Host(bytes((10, 0, 0, 7)), 4711),
    store_timestamp=1_700_000_000_123,
    store_host=Host(bytes((10, 0, 0, 1)), 10911),
    reconsume_times=0,
    prepared_transaction_offset=0,
    body='{"note": "已付款"}'.encode(),
    body_crc=0,
    properties={"TAGS": "paid", "KEYS": "k1 k2", "UNIQ_KEY": "ID", "mine": "x"},
    size_bytes=200,
)


def changed(**changes: Any) -> StoredMessage:
    return msgspec.structs.replace(MESSAGE, **changes)


def test_a_line_says_when_where_tag_keys_and_body() -> None:
    line = text_line(QUEUE, MESSAGE).decode()
    assert line.endswith('.123 broker-a:1@15 [paid] keys=k1,k2  {"note": "已付款"}')
    assert terminal_line(QUEUE, MESSAGE).decode() == line


def test_a_pipe_gets_the_bytes_of_the_body_and_a_terminal_harmless_text() -> None:
    message = changed(body=b"\x1b[31m\xff\n")
    assert text_line(QUEUE, message).endswith(b"  \x1b[31m\xff\n")
    assert terminal_line(QUEUE, message).endswith(rb"  \x1b[31m\xff\n")


def test_tags_and_keys_are_escaped_too_because_strangers_choose_them() -> None:
    message = changed(properties={"TAGS": "a\x1b]0;x\x07", "KEYS": "k\u202ey"})
    assert rb"[a\x1b]0;x\x07] keys=k\u202ey" in terminal_line(QUEUE, message)
    assert b"\x1b" not in text_line(QUEUE, message)


def test_colour_surrounds_only_our_own_words() -> None:
    line = terminal_line(QUEUE, changed(body=b"\x1b[0m"), colour=True)
    assert line.startswith(b"\x1b[2m")
    assert line.count(b"\x1b") == 2


def test_json_has_everything_about_a_message() -> None:
    document = json.loads(json_line(QUEUE, MESSAGE))
    assert document == {
        "topic": "T",
        "broker": "broker-a",
        "queue_id": 1,
        "queue_offset": 15,
        "message_id": "ID",
        "offset_message_id": "0A00000100002A9F0000000000001000",
        "tag": "paid",
        "keys": ["k1", "k2"],
        "body": '{"note": "已付款"}',
        "body_base64": None,
        "body_problem": None,
        "properties": MESSAGE.properties,
        "flag": 0,
        "sys_flag": 0,
        "reconsume_times": 0,
        "physical_offset": 4096,
        "born_timestamp": 1_700_000_000_000,
        "born_host": "10.0.0.7:4711",
        "store_timestamp": 1_700_000_000_123,
        "store_host": "10.0.0.1:10911",
    }


def test_a_binary_body_goes_into_json_as_base64() -> None:
    document = json.loads(json_line(QUEUE, changed(body=b"\xff\x00")))
    assert document["body"] is None
    assert base64.b64decode(document["body_base64"]) == b"\xff\x00"


def test_a_compressed_body_is_shown_as_it_was_sent() -> None:
    message = changed(body=zlib.compress(b"long text"), sys_flag=1)
    assert text_line(QUEUE, message).endswith(b"  long text")
    assert json.loads(json_line(QUEUE, message))["body"] == "long text"


@pytest.mark.parametrize("sys_flag", [0x101, 0x201, 0x1])
def test_a_body_that_can_not_be_decompressed_is_named_and_kept(sys_flag: int) -> None:
    message = changed(body=b"\xff\xffnothing", sys_flag=sys_flag)
    assert b"<" in text_line(QUEUE, message)
    document = json.loads(json_line(QUEUE, message))
    assert document["body_problem"]
    assert base64.b64decode(document["body_base64"]) == b"\xff\xffnothing"


def test_absurd_times_of_a_peer_are_shown_as_numbers() -> None:
    assert text_line(QUEUE, changed(store_timestamp=2**62)).startswith(b"4611686018427387904 ms")
