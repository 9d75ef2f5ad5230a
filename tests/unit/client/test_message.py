"""What a message may carry, and how it is put on the wire."""

import pytest

from rmqctl.client.errors import InvalidArgument
from rmqctl.client.message import BODY_SIZE_BYTES_MAX, Message, check_message, wire_properties
from rmqnode.protocol.properties import decode_properties, encode_properties


def test_keys_tag_and_the_producers_own_properties_join_the_users() -> None:
    message = Message("T", b"x", tag="paid", keys=("k1", "k2"), properties={"note": "已付款"})
    properties = wire_properties(check_message(message), "ID")
    assert properties == {"note": "已付款", "KEYS": "k1 k2", "UNIQ_KEY": "ID", "WAIT": "true", "TAGS": "paid"}
    assert decode_properties(encode_properties(properties)) == properties


def test_a_plain_message_has_only_its_id_and_the_wish_to_wait() -> None:
    assert wire_properties(Message("T", b"x"), "ID") == {"UNIQ_KEY": "ID", "WAIT": "true"}


@pytest.mark.parametrize(
    "message",
    [
        Message("T", b""),
        Message("T", bytes(BODY_SIZE_BYTES_MAX + 1)),
        Message("T", b"x", keys=("a b",)),
        Message("T", b"x", keys=("",)),
        Message("T", b"x", keys=("a\x01",)),
        Message("T", b"x", properties={"a": ""}),
        Message("T", b"x", properties={"": "a"}),
        Message("T", b"x", properties={"a": "b\x02c"}),
        Message("T", b"x", properties={"a\x01": "b"}),
        Message("T", b"x", properties={"a": "\udcff"}),
        Message("T", b"x", properties={"DELAY": "3"}),
        Message("T", b"x", properties={"UNIQ_KEY": "mine"}),
    ],
    ids=lambda message: repr((message.body[:4], message.keys, dict(message.properties))),
)
def test_what_the_wire_can_not_carry_is_refused(message: Message) -> None:
    with pytest.raises(InvalidArgument):
        check_message(message)
