"""A form writes, byte for byte, what the encoder of all headers does."""

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmqnode.protocol.codes import ResponseCode
from rmqnode.protocol.frame import Serialization
from rmqnode.protocol.headers import SendMessageResponseHeader
from rmqnode.protocol.reply_form import ReplyForm
from rmqnode.protocol.routes import Reply

REGIONS = ("DefaultRegion", "", "100% %s %d", 'a "b"\\', "\u6771\u4eac", "\x01\n", '"opaque":0,', "opaque")


def header(region: str, message_id: str = "0", queue_id: int = 0, queue_offset: int = 0) -> SendMessageResponseHeader:
    return SendMessageResponseHeader(
        msg_id=message_id, queue_id=queue_id, queue_offset=queue_offset, msg_region=region, trace_on=True
    )


def form(region: str) -> ReplyForm:
    return ReplyForm(header(region), "msg_id", "queue_id", "queue_offset")


@given(
    region=st.sampled_from(REGIONS) | st.text(st.characters(exclude_categories=["Cs"])),
    message_id=st.text("0123456789ABCDEF,", min_size=1),
    queue_id=st.integers(-(2**31), 2**31 - 1),
    queue_offset=st.integers(0, 2**63 - 1),
    opaque=st.integers(-(2**31), 2**31 - 1),
)
def test_a_form_changes_no_byte(region: str, message_id: str, queue_id: int, queue_offset: int, opaque: int) -> None:
    answer = header(region, message_id, queue_id, queue_offset)
    plain, formed = Reply(header=answer), Reply(header=answer, form=form(region))
    assert formed.frame(Serialization.JSON, opaque) == plain.frame(Serialization.JSON, opaque)


@dataclass
class NeverUsed:
    """Stands for a form that must not be asked."""

    def frame(self, opaque: int, header: Any) -> bytes:
        raise AssertionError("this reply is none that a form may write")


@pytest.mark.parametrize(
    ("serialization", "changes"),
    [
        (Serialization.ROCKETMQ, {}),
        (Serialization.JSON, {"code": ResponseCode.FLUSH_DISK_TIMEOUT}),
        (Serialization.JSON, {"remark": "late"}),
        (Serialization.JSON, {"body": b"x"}),
        (Serialization.JSON, {"body": [memoryview(b"x")]}),
    ],
)
def test_other_replies_are_written_without_their_form(serialization: Serialization, changes: dict[str, Any]) -> None:
    formed: Any = Reply(header=header("r"), form=NeverUsed(), **changes)  # type: ignore[arg-type]
    assert formed.frame(serialization, 7) == Reply(header=header("r"), **changes).frame(serialization, 7)
