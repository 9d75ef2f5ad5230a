"""Consumer offsets, ends of queues, search by time, and looking a message up by its place."""

import json
from typing import Any

import pytest

from rmqnode.protocol.bodies import (
    ConsumerOffsetSerializeWrapper,
    DelayOffsetSerializeWrapper,
    QueryCorrectionOffsetBody,
)
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.headers import (
    QueryConsumerOffsetRequestHeader,
    QueueRequestHeader,
    SearchOffsetRequestHeader,
    UpdateConsumerOffsetRequestHeader,
    ViewMessageRequestHeader,
)
from rmqnode.protocol.headers.administration import CloneGroupOffsetRequestHeader, QueryCorrectionOffsetRequestHeader
from rmqnode.protocol.message import decode_record

NOT_FOUND = "Not found, V3_0_6_SNAPSHOT maybe this group consumer boot first"


def commit(rig: Any, offset: int, group: str = "g", topic: str = "t", queue_id: int = 0) -> Any:
    header = UpdateConsumerOffsetRequestHeader(group, topic, queue_id, offset)
    return rig.ask(RequestCode.UPDATE_CONSUMER_OFFSET, header)


def query(rig: Any, **fields: Any) -> Any:
    values: dict[str, Any] = {"consumer_group": "g", "topic": "t", "queue_id": 0}
    reply = rig.ask(RequestCode.QUERY_CONSUMER_OFFSET, QueryConsumerOffsetRequestHeader(**values | fields))
    return reply.header.offset if reply.code == ResponseCode.SUCCESS else (reply.code, reply.remark)


@pytest.mark.parametrize("offset", [0, 5, 3, 2**63 - 1])
def test_an_offset_is_stored_as_it_is(rig: Any, offset: int) -> None:
    commit(rig, 4)
    reply = commit(rig, offset)
    assert reply.code == ResponseCode.SUCCESS
    assert reply.header is not None
    assert query(rig) == offset


@pytest.mark.parametrize("offset", [-1, -(2**63)])
def test_a_negative_offset_is_kept_and_counts_as_none(rig: Any, offset: int) -> None:
    commit(rig, offset)
    assert rig.broker.offsets.find("g", "t", 0) == offset
    assert query(rig) == 0
    assert query(rig, set_zero_if_not_found=False)[0] == ResponseCode.QUERY_NOT_FOUND


def test_offsets_need_no_topic_and_no_group(rig: Any) -> None:
    commit(rig, 7, "nobody", "nothing", -5)
    assert query(rig, consumer_group="nobody", topic="nothing", queue_id=-5) == 7
    assert "nobody" not in rig.broker.groups.wrapper().subscription_group_table


def test_a_new_group_on_a_young_queue_begins_at_the_first_message(rig: Any) -> None:
    rig.send("t")
    assert query(rig) == 0
    assert query(rig, topic="unknown") == 0


def test_a_newer_client_can_ask_for_not_found_instead(rig: Any) -> None:
    rig.send("t")
    assert query(rig, set_zero_if_not_found=False) == (ResponseCode.QUERY_NOT_FOUND, NOT_FOUND)


def test_a_new_group_on_a_queue_that_left_the_memory_is_not_found(rig: Any) -> None:
    rig.store._options = type(rig.store._options)(
        root=rig.store._options.root,
        commit_log_dir=rig.store._options.commit_log_dir,
        store_host=bytes(8),
        in_memory_bytes_max=0,
        mapped_file_size_commit_log=rig.config.mapped_file_size_commit_log_bytes,
    )
    rig.send("t")
    assert query(rig) == (ResponseCode.QUERY_NOT_FOUND, NOT_FOUND)


def test_offsets_are_written_in_apaches_form_and_survive_a_restart(rig: Any) -> None:
    commit(rig, 3)
    commit(rig, 9, queue_id=2)
    (write,) = rig.broker.take_changes()
    write()
    assert rig.broker.take_changes() == []
    again = rig.reopen()
    assert again.broker.offsets.find("g", "t", 2) == 9
    text = (rig.config.store_path_root_dir / "config" / "consumerOffset.json").read_text()
    assert '"t@g"' in text
    assert json.loads(text.replace("0:3", '"0":3').replace("2:9", '"2":9'))["offsetTable"] == {"t@g": {"0": 3, "2": 9}}
    again.close()


def test_offsets_whose_write_failed_are_written_the_next_time(rig: Any) -> None:
    commit(rig, 3)
    (write,) = rig.broker.take_changes()
    folder = rig.config.store_path_root_dir / "config"
    folder.mkdir(exist_ok=True)
    obstacle = folder / "consumerOffset.json.tmp"
    obstacle.mkdir()
    with pytest.raises(OSError, match="Is a directory"):
        write()
    obstacle.rmdir()
    (write,) = rig.broker.take_changes()
    write()
    assert (folder / "consumerOffset.json").exists()


def test_all_offsets_are_answered_to_slaves(rig: Any) -> None:
    commit(rig, 3)
    reply = rig.ask(RequestCode.GET_ALL_CONSUMER_OFFSET)
    assert ConsumerOffsetSerializeWrapper.decode(reply.body).offset_table == {"t@g": {0: 3}}
    rig.broker.delayed_delivery.offsets[2] = 7
    reply = rig.ask(RequestCode.GET_ALL_DELAY_OFFSET)
    assert DelayOffsetSerializeWrapper.decode(reply.body).offset_table == {2: 7}


def at(rig: Any, code: RequestCode, topic: str = "t", queue_id: int = 0) -> int:
    header = rig.ask(code, QueueRequestHeader(topic, queue_id)).header
    return header.timestamp if code is RequestCode.GET_EARLIEST_MSG_STORETIME else header.offset


@pytest.mark.parametrize(("topic", "queue_id"), [("unknown", 0), ("t", 77), ("t", -1), ("..", 2**31 - 1)])
def test_a_queue_without_messages_begins_and_ends_at_zero(rig: Any, topic: str, queue_id: int) -> None:
    rig.send("t")
    assert at(rig, RequestCode.GET_MAX_OFFSET, topic, queue_id) == 0
    assert at(rig, RequestCode.GET_MIN_OFFSET, topic, queue_id) == 0
    assert at(rig, RequestCode.GET_EARLIEST_MSG_STORETIME, topic, queue_id) == -1
    header = SearchOffsetRequestHeader(topic, queue_id, rig.clock.now_ms)
    assert rig.ask(RequestCode.SEARCH_OFFSET_BY_TIMESTAMP, header).header.offset == 0


def test_a_queue_with_messages_has_ends_and_times(rig: Any) -> None:
    first_ms = rig.clock.now_ms
    for _ in range(3):
        rig.send("t")
        rig.clock.now_ms += 100
    assert at(rig, RequestCode.GET_MAX_OFFSET) == 3
    assert at(rig, RequestCode.GET_MIN_OFFSET) == 0
    assert at(rig, RequestCode.GET_EARLIEST_MSG_STORETIME) == first_ms
    expected = {0: 0, first_ms: 0, first_ms + 90: 1, first_ms + 200: 2, first_ms + 10_000: 2, 2**63 - 1: 2, -1: 0}
    found = {
        timestamp: rig.ask(
            RequestCode.SEARCH_OFFSET_BY_TIMESTAMP, SearchOffsetRequestHeader("t", 0, timestamp)
        ).header.offset
        for timestamp in expected
    }
    assert found == expected


def test_a_message_is_found_by_its_place(rig: Any) -> None:
    rig.send("t", b"one")
    rig.send("t", b"two")
    (_, second) = rig.messages("t")
    reply = rig.ask(RequestCode.VIEW_MESSAGE_BY_ID, ViewMessageRequestHeader(second.physical_offset))
    assert decode_record(b"".join(reply.body)).body == b"two"


@pytest.mark.parametrize("offset", [-1, 1, 7, 10**6, 2**63 - 1, -(2**63)])
def test_where_no_message_begins_none_is_found(rig: Any, offset: int) -> None:
    rig.send("t")
    reply = rig.ask(RequestCode.VIEW_MESSAGE_BY_ID, ViewMessageRequestHeader(offset))
    remark = f"can not find message by the offset, {offset}"
    assert (reply.code, reply.remark) == (ResponseCode.SYSTEM_ERROR, remark)


# --- offsets of whole groups ---


def test_a_group_is_cloned_topic_by_topic(rig: Any) -> None:
    for topic in ("t", "u"):
        rig.create_topic(topic)
        rig.broker.offsets.commit("g", topic, 0, 5)
    rig.broker.offsets.commit("g", "gone", 0, 5)
    rig.broker.offsets.commit("h", "t", 1, 9)
    clone = RequestCode.CLONE_GROUP_OFFSET
    assert rig.ask(clone, CloneGroupOffsetRequestHeader("g", "h", "t")).code == 0
    assert [rig.broker.offsets.find("h", "t", queue_id) for queue_id in (0, 1)] == [5, None]
    assert list(rig.broker.offsets.topics_of("h")) == ["t"]
    assert rig.ask(clone, CloneGroupOffsetRequestHeader("g", "h", "missing")).code == 0
    rig.heartbeat("g", topics={"t": "*"})
    rig.ask(clone, CloneGroupOffsetRequestHeader("g", "i"))
    assert set(rig.broker.offsets.topics_of("i")) == {"t"}
    rig.ask(clone, CloneGroupOffsetRequestHeader("g", "i", offline=True))
    assert set(rig.broker.offsets.topics_of("i")) == {"t", "u"}
    rig.broker.offsets.commit("g", "t", 0, 6)
    assert rig.broker.offsets.find("h", "t", 0) == 5


def test_the_correction_of_a_group_is_the_least_offset_of_the_others(rig: Any) -> None:
    rig.create_topic("t")
    for group, offset in (("a", 7), ("b", 3), ("slow", 1), ("me", 5)):
        rig.broker.offsets.commit(group, "t", 0, offset)
    rig.broker.offsets.commit("a", "t", 1, 4)
    rig.broker.offsets.commit("a", "other", 2, 4)

    def ask(compare: str, filtered: str | None) -> dict[int, int]:
        header = QueryCorrectionOffsetRequestHeader(compare, "t", filtered)
        reply = rig.ask(RequestCode.QUERY_CORRECTION_OFFSET, header)
        return QueryCorrectionOffsetBody.decode(reply.body).correction_offsets

    assert ask("nobody", None) == {0: 1, 1: 4}
    assert ask("me", "slow,me") == {0: 3, 1: 4}
    assert ask("b", "slow,b") == {0: 2**63 - 1, 1: 4}
    assert rig.broker.offsets.find("slow", "t", 0) == 1
