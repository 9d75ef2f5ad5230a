"""What is sent about a message that failed."""

import pytest

from rmqctl.client.consumer.retry import retry_copy_header, send_back_header
from rmqctl.client.received import ReceivedMessage
from rmqnode.protocol.bodies import MessageQueue
from rmqnode.protocol.message import MalformedMessage
from rmqnode.protocol.properties import decode_properties
from tests.unit.client.consumer.records import stored_message

AGAIN = {"RETRY_TOPIC": "orders", "ORIGIN_MESSAGE_ID": "0A", "UNIQ_KEY": "0B"}


def test_sending_back_names_the_copy_that_the_broker_has() -> None:
    stored = stored_message(7)
    header = send_back_header(stored, "g", 3, 16)
    assert (header.offset, header.group, header.delay_level, header.max_reconsume_times) == (7000, "g", 3, 16)
    assert (header.origin_msg_id, header.origin_topic) == (stored.offset_message_id, "orders")


def test_a_message_that_failed_before_keeps_its_topic() -> None:
    stored = stored_message(0, topic="%RETRY%g", properties=AGAIN)
    assert send_back_header(stored, "g", 0, 16).origin_topic == "orders"
    message = ReceivedMessage(stored, MessageQueue(topic="%RETRY%g"))
    assert (message.topic, message.message_id) == ("orders", "0B")


def test_an_own_copy_goes_to_the_retry_topic_with_its_history() -> None:
    stored = stored_message(7, tag="t", reconsume_times=2, sys_flag=0x1 | 0x4 | 0x10)
    header = retry_copy_header(stored, "g", 0, 3, 16)
    assert (header.topic, header.reconsume_times, header.max_reconsume_times) == ("%RETRY%g", 3, 16)
    assert header.sys_flag == 1
    assert decode_properties(header.properties or "") == {
        "TAGS": "t",
        "RETRY_TOPIC": "orders",
        "ORIGIN_MESSAGE_ID": stored.offset_message_id,
        "DELAY": "5",
    }


def test_the_first_copy_stays_the_origin_of_all_later_ones() -> None:
    header = retry_copy_header(stored_message(0, topic="%RETRY%g", properties=AGAIN), "g", 0, 3, 16)
    properties = decode_properties(header.properties or "")
    assert (properties["ORIGIN_MESSAGE_ID"], properties["RETRY_TOPIC"]) == ("0A", "orders")


def test_a_body_that_can_not_be_decompressed_fails_where_it_is_read() -> None:
    message = ReceivedMessage(stored_message(0, sys_flag=1), MessageQueue(topic="orders"))
    with pytest.raises(MalformedMessage):
        _ = message.body
