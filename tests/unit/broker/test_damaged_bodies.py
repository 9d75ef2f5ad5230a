"""A body that changed on the disk stays recognisable when the broker copies its message: the copy's CRC fits it."""

from typing import Any

import pytest

from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.headers import ConsumerSendMsgBackRequestHeader, EndTransactionRequestHeader

SCHEDULE = "SCHEDULE_TOPIC_XXXX"
HALF = "RMQ_SYS_TRANS_HALF_TOPIC"


def spoil(rig: Any, body: bytes) -> None:
    """Change the first byte of the only body with this content."""
    path = rig.config.store_path_root_dir / "commitlog" / f"{0:020d}"
    with path.open("r+b") as file:
        content = file.read(1 << 16)
        assert content.count(body) == 1
        file.seek(content.index(body))
        file.write(b"\x55")


def test_a_copy_for_the_retry_topic_is_marked_when_the_body_is_damaged(rig: Any) -> None:
    rig.send("t", b"a body")
    spoil(rig, b"a body")
    header = ConsumerSendMsgBackRequestHeader(offset=0, group="g", delay_level=0)
    assert rig.ask(RequestCode.CONSUMER_SEND_MSG_BACK, header).code == ResponseCode.SUCCESS
    (copy,) = rig.messages(SCHEDULE, 2)
    assert copy.has_damaged_body
    assert copy.properties["BODY_DAMAGED"] == "true"


@pytest.mark.parametrize("damaged", [0, 1, 2])
def test_a_delayed_message_whose_body_was_damaged_meanwhile_is_delivered_marked(rig: Any, damaged: int) -> None:
    for index in range(3):
        rig.send("t", b"body %d" % index, {"DELAY": "1"})
    spoil(rig, b"body %d" % damaged)
    rig.clock.now_ms += 10_000
    rig.broker.delayed_delivery._deliver_due_messages()
    delivered = rig.messages("t")
    assert [message.has_damaged_body for message in delivered] == [index == damaged for index in range(3)]
    assert [message.body[1:] for message in delivered] == [b"ody 0", b"ody 1", b"ody 2"]


def test_a_committed_half_message_is_delivered_marked(rig: Any) -> None:
    half = rig.send("t", b"half", {"TRAN_MSG": "true", "PGROUP": "pg", "UNIQ_KEY": "ID"}, sys_flag=4)
    assert half.code == ResponseCode.SUCCESS
    spoil(rig, b"half")
    header = EndTransactionRequestHeader(
        producer_group="pg", tran_state_table_offset=0, commit_log_offset=0, commit_or_rollback=8, msg_id="ID"
    )
    assert rig.ask(RequestCode.END_TRANSACTION, header).code == ResponseCode.SUCCESS
    (delivered,) = rig.messages("t")
    assert delivered.has_damaged_body


def test_whole_messages_are_copied_without_a_mark(rig: Any) -> None:
    rig.send("t", b"later", {"DELAY": "1"})
    rig.clock.now_ms += 10_000
    rig.broker.delayed_delivery._deliver_due_messages()
    (delivered,) = rig.messages("t")
    assert not delivered.has_damaged_body
    assert "BODY_DAMAGED" not in delivered.properties
