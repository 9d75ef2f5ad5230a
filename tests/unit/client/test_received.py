"""A message as an application gets it: a body that changed on the broker's disk is never handed over as a whole one."""

import zlib

import msgspec
import pytest

from rmqctl.client import BodyDamaged, ReceivedMessage
from rmqctl.client.admin.resend import consume_directly, send_to_retry_topic
from rmqctl.client.producer.transactions import _readable
from rmqctl.client.replies import _received as received_reply
from rmqnode.protocol.bodies import MessageQueue
from rmqnode.protocol.headers import ReplyMessageRequestHeader
from rmqnode.protocol.message import SysFlag
from tests.unit.client.consumer.records import stored_message

QUEUE = MessageQueue(topic="orders", broker_name="broker-a", queue_id=0)


def test_a_damaged_body_is_an_error_that_says_which_message_it_is_and_what_to_do() -> None:
    message = ReceivedMessage(stored_message(7, properties={"UNIQ_KEY": "ID", "KEYS": "k1"}, is_damaged=True), QUEUE)
    assert message.is_damaged
    assert message.keys == ("k1",), "everything else can be read, to get the content from where it came from"
    for ask in (lambda: message.body, lambda: message.text, message.json):
        with pytest.raises(BodyDamaged, match="body damaged: message ID of topic orders at offset 7 of queue 0 on"):
            ask()
    assert message.stored.body == b"hello"


def test_a_compressed_body_that_can_still_be_decompressed_is_compared_as_it_was_stored() -> None:
    stored = stored_message(0, body=zlib.compress(b"hello"), sys_flag=int(SysFlag.COMPRESSED))
    assert ReceivedMessage(stored, QUEUE).body == b"hello"
    with pytest.raises(BodyDamaged):
        _ = ReceivedMessage(msgspec.structs.replace(stored, body=zlib.compress(b"hellp")), QUEUE).body


def test_a_reply_comes_without_a_crc_and_is_not_damaged_by_that() -> None:
    header = ReplyMessageRequestHeader(
        born_host="127.0.0.1:1", store_host="127.0.0.1:2", store_timestamp=1, producer_group="g", topic="T",
        default_topic="TBW102", default_topic_queue_nums=1, queue_id=0, sys_flag=0, born_timestamp=1, flag=0,
    )  # fmt: skip
    assert received_reply(header, b"answer").body == b"answer"


def test_a_half_message_that_a_4_5_2_broker_decompressed_already_is_readable_and_a_damaged_one_is_not() -> None:
    compressed = zlib.compress(b"hello" * 100)
    half = stored_message(0, body=compressed, sys_flag=int(SysFlag.COMPRESSED))
    decompressed = msgspec.structs.replace(half, body=b"hello" * 100)
    assert ReceivedMessage(_readable(decompressed), QUEUE).body == b"hello" * 100
    damaged = msgspec.structs.replace(half, body=compressed[:9] + b"\xff" + compressed[10:])
    with pytest.raises(BodyDamaged):
        _ = ReceivedMessage(_readable(damaged), QUEUE).body


async def test_a_damaged_message_is_not_resent_to_a_group_because_its_copy_would_look_whole() -> None:
    damaged = stored_message(0, is_damaged=True)
    connection = object()
    with pytest.raises(BodyDamaged):
        await send_to_retry_topic(connection, "broker-a", damaged, "g")  # type: ignore[arg-type]
    with pytest.raises(BodyDamaged):
        await consume_directly(connection, "broker-a", damaged, "g", "client")  # type: ignore[arg-type]
