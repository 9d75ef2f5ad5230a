"""Transactional messages: prepared, committed, rolled back, asked about, given up; and all that after a kill too."""

from collections.abc import Callable
from typing import Any

import pytest

from rmqnode.broker.messages import Message
from rmqnode.config import BrokerRole
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.headers import EndTransactionRequestHeader, ResumeCheckHalfMessageRequestHeader
from rmqnode.protocol.message import StoredMessage, decode_record

HALF = "RMQ_SYS_TRANS_HALF_TOPIC"
OP = "RMQ_SYS_TRANS_OP_HALF_TOPIC"
GIVEN_UP = "TRANS_CHECK_MAX_TIME_TOPIC"
GROUP = "CID_RMQ_SYS_TRANS"

COMMIT, ROLLBACK, UNKNOWN = 8, 12, 0
TIMEOUT_MS = 6_000


def prepare(rig: Any, body: bytes = b"paid", key: str = "K1", **properties: str) -> StoredMessage:
    """Send a half message now; returns it as it was stored."""
    reply = rig.send(
        "t",
        body,
        {"TRAN_MSG": "true", "PGROUP": "pg", "UNIQ_KEY": key, **properties},
        queue_id=2,
        sys_flag=4,
        born_timestamp=rig.clock.now_ms,
    )
    assert reply.code == ResponseCode.SUCCESS
    return half_at(rig, reply.header.queue_offset)


def half_at(rig: Any, offset: int) -> StoredMessage:
    return decode_record(rig.store.read_record(rig.store.unit(HALF, 0, offset)[0]))


def end(rig: Any, half: StoredMessage, decision: int, **fields: Any) -> Any:
    header = {
        "producer_group": "pg",
        "tran_state_table_offset": half.queue_offset,
        "commit_log_offset": half.physical_offset,
        "commit_or_rollback": decision,
        "msg_id": "K1",
    }
    return rig.ask(RequestCode.END_TRANSACTION, EndTransactionRequestHeader(**header | fields))


def delivered(rig: Any) -> list[bytes]:
    return [message.body for message in rig.messages("t", 2)]


def decisions(rig: Any) -> list[int]:
    """The queue offsets of half messages that the notes are about."""
    return [int(note.body) for note in rig.messages(OP)]


async def check(rig: Any, later_ms: int = TIMEOUT_MS) -> list[Any]:
    """Let time pass and one round of checks run; the questions that it sent."""
    rig.clock.now_ms += later_ms
    rig.connection.pushed.clear()
    await rig.broker.check_back.check_once()
    return list(rig.connection.pushed)


def asked_about(rig: Any, question: Any) -> StoredMessage:
    return half_at(rig, int(question.ext_fields["tranStateTableOffset"]))


# --- preparing and deciding ---


def test_a_half_message_waits_where_no_consumer_of_its_topic_sees_it(rig: Any) -> None:
    reply = rig.send(
        "t", b"paid", {"TRAN_MSG": "true", "PGROUP": "pg", "TAGS": "a"}, queue_id=2, sys_flag=4 | 1, flag=7
    )
    (half,) = rig.messages(HALF)
    assert delivered(rig) == []
    assert (reply.header.queue_id, reply.header.queue_offset) == (2, 0)
    assert reply.header.msg_id == half.offset_message_id
    assert (half.sys_flag, half.flag, half.prepared_transaction_offset) == (1, 7, 0)
    assert half.properties == {"TRAN_MSG": "true", "PGROUP": "pg", "TAGS": "a", "REAL_TOPIC": "t", "REAL_QID": "2"}


def test_a_commit_delivers_the_message_and_notes_the_decision(rig: Any) -> None:
    half = prepare(rig, TAGS="a", REAL_QID="1")
    assert end(rig, half, COMMIT).code == ResponseCode.SUCCESS
    (message,) = rig.messages("t", 2)
    assert (message.body, message.sys_flag, message.born_timestamp) == (b"paid", 8, half.born_timestamp)
    assert message.prepared_transaction_offset == half.physical_offset
    assert message.properties == half.properties
    (note,) = rig.messages(OP)
    assert (note.body, note.queue_id, note.sys_flag) == (b"0", 0, 0)
    assert note.properties == {"TAGS": "d", "WAIT": "true"}


def test_a_rollback_delivers_nothing_and_notes_the_decision(rig: Any) -> None:
    assert end(rig, prepare(rig), ROLLBACK).code == ResponseCode.SUCCESS
    assert delivered(rig) == []
    assert decisions(rig) == [0]


@pytest.mark.parametrize("decision", [UNKNOWN, 4, 77])
def test_a_producer_that_does_not_know_gets_no_answer(rig: Any, decision: int) -> None:
    assert end(rig, prepare(rig), decision) is None
    assert decisions(rig) == []


@pytest.mark.parametrize("decision", [COMMIT, ROLLBACK])
@pytest.mark.parametrize(
    ("fields", "remark"),
    [
        ({"producer_group": "other"}, "The producer group wrong"),
        ({"tran_state_table_offset": 1}, "The transaction state table offset wrong"),
        ({"commit_log_offset": 3}, "Find prepared transaction message failed"),
        ({"commit_log_offset": -1}, "Find prepared transaction message failed"),
        ({"commit_log_offset": 10**15}, "Find prepared transaction message failed"),
    ],
)
def test_a_decision_about_another_message_is_refused(
    rig: Any, decision: int, fields: dict[str, Any], remark: str
) -> None:
    half = prepare(rig)
    reply = end(rig, half, decision, **fields)
    assert (reply.code, reply.remark) == (ResponseCode.SYSTEM_ERROR, remark)
    assert decisions(rig) == delivered(rig) == []


def test_a_message_that_is_no_half_message_is_never_committed(rig: Any) -> None:
    rig.send("t", b"plain", {"PGROUP": "pg", "REAL_TOPIC": "t", "REAL_QID": "2"}, queue_id=0)
    (plain,) = rig.messages("t")
    assert end(rig, plain, COMMIT).remark == "Find prepared transaction message failed"
    assert delivered(rig) == []


def test_a_half_message_that_does_not_say_where_to_is_illegal(rig: Any) -> None:
    rig.broker.writer.put(Message(HALF, 0, 0, 0, 0, bytes(8), b"forged", b"PGROUP\x01pg\x02"))
    assert end(rig, half_at(rig, 0), COMMIT).code == ResponseCode.MESSAGE_ILLEGAL


def test_a_slave_decides_nothing(make_rig: Callable[..., Any]) -> None:
    rig = make_rig(broker_role=BrokerRole.SLAVE, broker_id=1)
    header = {"producer_group": "pg", "tran_state_table_offset": 0, "commit_log_offset": 0, "commit_or_rollback": 8}
    reply = rig.ask(RequestCode.END_TRANSACTION, EndTransactionRequestHeader(**header))
    assert (reply.code, reply.remark) == (ResponseCode.SLAVE_NOT_AVAILABLE, None)


def test_a_broker_that_takes_no_transactions_says_so(make_rig: Callable[..., Any]) -> None:
    rig = make_rig(reject_transaction_message=True)
    reply = rig.send("t", properties={"TRAN_MSG": "true", "PGROUP": "pg"})
    remark = "the broker[127.0.0.1] sending transaction message is forbidden"
    assert (reply.code, reply.remark) == (ResponseCode.NO_PERMISSION, remark)
    assert rig.send("t", properties={"TRAN_MSG": "false"}).code == ResponseCode.SUCCESS


def test_a_delay_begins_at_the_commit(rig: Any) -> None:
    half = prepare(rig, DELAY="3")
    assert rig.messages("SCHEDULE_TOPIC_XXXX", 2) == []
    rig.clock.now_ms += 1_000
    end(rig, half, COMMIT)
    assert delivered(rig) == []
    assert rig.store.unit("SCHEDULE_TOPIC_XXXX", 2, 0)[2] == rig.clock.now_ms + 10_000
    (waiting,) = rig.messages("SCHEDULE_TOPIC_XXXX", 2)
    assert (waiting.properties["REAL_TOPIC"], waiting.properties["REAL_QID"]) == ("t", "2")


def test_a_committed_message_that_an_old_consumer_sends_back_itself_is_no_new_transaction(rig: Any) -> None:
    properties = {"TRAN_MSG": "true", "PGROUP": "pg", "DELAY": "1"}
    rig.send("%RETRY%g", b"again", properties, reconsume_times=1, max_reconsume_times=16)
    assert rig.messages(HALF) == []
    assert len(rig.messages("SCHEDULE_TOPIC_XXXX", 0)) == 1


# --- asking back ---


async def test_a_producer_is_asked_after_the_timeout_and_its_answer_counts(rig: Any) -> None:
    rig.heartbeat(producers=("pg",))
    half = prepare(rig, TAGS="a")
    assert await check(rig, TIMEOUT_MS - 1) == []
    (question,) = await check(rig, 1)
    assert (question.code, question.is_oneway) == (RequestCode.CHECK_TRANSACTION_STATE, True)
    copy = half_at(rig, 1)
    assert question.ext_fields == {
        "tranStateTableOffset": "1",
        "commitLogOffset": str(copy.physical_offset),
        "msgId": "K1",
        "transactionId": "K1",
        "offsetMsgId": copy.offset_message_id,
    }
    shown = decode_record(question.body)
    assert (shown.topic, shown.queue_id, shown.body, shown.born_host) == ("t", 2, b"paid", half.born_host)
    assert shown.properties == half.properties | {"TRANSACTION_CHECK_TIMES": "1", "TRAN_PREPARED_QUEUE_OFFSET": "0"}
    assert (shown.queue_offset, shown.physical_offset) == (1, copy.physical_offset)
    end(rig, copy, COMMIT, from_transaction_check=True)
    assert delivered(rig) == [b"paid"]
    assert await check(rig, 60_000) == []


async def test_a_compressed_message_is_asked_about_and_committed_compressed(rig: Any) -> None:
    rig.heartbeat(producers=("pg",))
    properties = {"TRAN_MSG": "true", "PGROUP": "pg"}
    rig.send("t", b"not really deflated", properties, queue_id=2, sys_flag=5, flag=3, born_timestamp=rig.clock.now_ms)
    (question,) = await check(rig)
    assert (decode_record(question.body).sys_flag, decode_record(question.body).body) == (1, b"not really deflated")
    end(rig, half_at(rig, 1), COMMIT)
    (message,) = rig.messages("t", 2)
    assert (message.body, message.sys_flag, message.flag) == (b"not really deflated", 9, 3)


async def test_producers_of_the_group_are_asked_in_turn_and_only_those_that_live(
    rig: Any, new_connection: Callable[..., Any]
) -> None:
    peers = [new_connection(f"10.0.0.{number}:1") for number in range(3)]
    for peer in peers:
        rig.heartbeat(producers=("pg",), connection=peer)
    rig.heartbeat(producers=("other",), connection=rig.connection)
    peers[0].is_closed = True
    for number in range(4):
        prepare(rig, key=f"K{number}")
    assert await check(rig) == []
    assert [len(peer.pushed) for peer in peers] == [0, 2, 2]


async def test_a_message_nobody_decides_is_asked_about_so_often_and_then_given_up(
    make_rig: Callable[..., Any],
) -> None:
    rig = make_rig(transaction_check_max=2)
    rig.heartbeat(producers=("pg",))
    half = prepare(rig)
    prepare(rig, b"decided", "K2")
    end(rig, half_at(rig, 1), COMMIT)
    for times in ("1", "2"):
        (question,) = await check(rig)
        assert decode_record(question.body).properties["TRANSACTION_CHECK_TIMES"] == times
        assert rig.messages(GIVEN_UP) == []
    assert await check(rig) == []
    (kept,) = rig.messages(GIVEN_UP)
    assert (kept.body, kept.queue_id) == (b"paid", 0)
    assert kept.properties == half.properties | {"TRANSACTION_CHECK_TIMES": "2", "TRAN_PREPARED_QUEUE_OFFSET": "0"}
    assert rig.broker.topics.get(GIVEN_UP).read_queue_nums == 1
    assert await check(rig, 10 * TIMEOUT_MS) == []
    assert len(rig.messages(GIVEN_UP)) == 1


async def test_a_message_older_than_the_files_are_kept_is_given_up_unasked(rig: Any) -> None:
    rig.heartbeat(producers=("pg",))
    prepare(rig)
    assert await check(rig, 72 * 3_600_000 + 1) == []
    assert len(rig.messages(GIVEN_UP)) == 1


async def test_a_message_that_was_given_up_can_be_asked_about_again(make_rig: Callable[..., Any]) -> None:
    rig = make_rig(transaction_check_max=1)
    rig.heartbeat(producers=("pg",))
    prepare(rig)
    await check(rig)
    await check(rig)
    (kept,) = rig.messages(GIVEN_UP)
    header = ResumeCheckHalfMessageRequestHeader(msg_id=kept.offset_message_id)
    assert rig.ask(RequestCode.RESUME_CHECK_HALF_MESSAGE, header).code == ResponseCode.SUCCESS
    (question,) = await check(rig)
    end(rig, asked_about(rig, question), COMMIT)
    assert delivered(rig) == [b"paid"]


@pytest.mark.parametrize("message_id", [None, "", "zz", "7F00000100002A9F00000000000F4240"])
def test_what_is_not_there_cannot_be_asked_about_again(rig: Any, message_id: str | None) -> None:
    header = ResumeCheckHalfMessageRequestHeader(msg_id=message_id)
    reply = rig.ask(RequestCode.RESUME_CHECK_HALF_MESSAGE, header)
    assert reply.code == ResponseCode.SYSTEM_ERROR
    assert reply.remark == "Exception was thrown when putting message back to RMQ_SYS_TRANS_HALF_TOPIC."


async def test_a_message_is_left_alone_as_long_as_it_asks_and_holds_up_nobody(rig: Any) -> None:
    rig.heartbeat(producers=("pg",))
    prepare(rig, b"patient", "K1", CHECK_IMMUNITY_TIME_IN_SECONDS="100")
    prepare(rig, b"ordinary", "K2")
    (question,) = await check(rig)
    assert decode_record(question.body).body == b"ordinary"
    for _ in range(20):
        assert all(decode_record(each.body).body == b"ordinary" for each in await check(rig, 1_000))
    copy = next(half for half in reversed(rig.messages(HALF)) if half.body == b"patient")
    assert copy.properties["TRAN_PREPARED_QUEUE_OFFSET"] == "0"
    assert "TRANSACTION_CHECK_TIMES" not in copy.properties
    assert b"patient" in [decode_record(each.body).body for each in await check(rig, 80_000)]


async def test_a_decision_about_an_earlier_copy_counts_for_all_and_once(rig: Any) -> None:
    rig.heartbeat(producers=("pg",))
    first = prepare(rig)
    (question,) = await check(rig)
    end(rig, first, COMMIT)
    end(rig, asked_about(rig, question), COMMIT)
    end(rig, asked_about(rig, question), ROLLBACK)
    assert delivered(rig) == [b"paid"]
    assert set(decisions(rig)) == {0, 1}
    assert await check(rig, 60_000) == []


async def test_one_message_object_sent_by_many_threads_is_many_transactions(rig: Any) -> None:
    rig.heartbeat(producers=("pg",))
    for number in range(3):
        prepare(rig, b"%d" % number, key="shared")
    questions = await check(rig)
    assert len(questions) == 3
    for question, decision in zip(questions, (ROLLBACK, COMMIT, COMMIT), strict=True):
        end(rig, asked_about(rig, question), decision)
    assert delivered(rig) == [b"1", b"2"]


async def test_a_message_forwarded_with_the_properties_of_its_old_transaction_is_a_new_one(rig: Any) -> None:
    rig.heartbeat(producers=("pg",))
    prepare(rig, b"old")
    (question,) = await check(rig)
    end(rig, asked_about(rig, question), COMMIT)
    (old,) = rig.messages("t", 2)
    forwarded = {
        name: value for name, value in old.properties.items() if name not in ("UNIQ_KEY", "TRAN_MSG", "PGROUP")
    }
    half = prepare(rig, b"new", **forwarded)
    assert "TRANSACTION_CHECK_TIMES" not in half.properties
    assert "TRAN_PREPARED_QUEUE_OFFSET" not in half.properties
    end(rig, half, COMMIT)
    assert delivered(rig) == [b"old", b"new"]


async def test_an_undecided_message_does_not_hide_the_decided_ones_behind_it(rig: Any) -> None:
    rig.heartbeat(producers=("pg",))
    prepare(rig, b"open", "K0")
    for number in range(1, 5):
        half = prepare(rig, key=f"K{number}")
        end(rig, half, COMMIT if number % 2 else ROLLBACK)
    assert len(await check(rig)) == 1
    assert rig.broker.ledger.half_offset == 5
    assert rig.store.max_offset(HALF, 0) == 6


async def test_a_store_that_refuses_the_copy_is_tried_again(rig: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.heartbeat(producers=("pg",))
    prepare(rig)
    with monkeypatch.context() as patch:
        patch.setattr(rig.store._appender, "is_open", False)
        patch.setattr(rig.store._log, "limit", 0, raising=False)
        assert await check(rig) == []
        refused = end(rig, half_at(rig, 0), COMMIT)
        assert (refused.code, refused.remark) == (ResponseCode.SERVICE_NOT_AVAILABLE, "Service not available now.")
    assert len(await check(rig)) == 1


async def test_a_store_that_refuses_the_note_delivers_once_all_the_same(
    rig: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.heartbeat(producers=("pg",))
    prepare(rig)
    (question,) = await check(rig)
    put = rig.store.put
    with monkeypatch.context() as patch:
        refused = put("t", -1, 0, 0, 0, bytes(8), b"", b"", 0)
        patch.setattr(rig.store, "put", lambda topic, *rest: refused if topic == OP else put(topic, *rest))
        end(rig, asked_about(rig, question), COMMIT)
    assert (delivered(rig), decisions(rig)) == ([b"paid"], [])
    await check(rig)
    assert delivered(rig) == [b"paid"]


# --- what is left after a stop or a kill ---


def offsets(rig: Any) -> tuple[int | None, int | None]:
    return rig.broker.offsets.find(GROUP, HALF, 0), rig.broker.offsets.find(GROUP, OP, 0)


async def test_a_clean_stop_leaves_both_offsets_where_the_next_broker_goes_on(rig: Any) -> None:
    rig.heartbeat(producers=("pg",))
    end(rig, prepare(rig, key="K0"), COMMIT)
    prepare(rig, key="K1")
    end(rig, prepare(rig, key="K2"), ROLLBACK)
    await check(rig)
    again = rig.reopen()
    assert offsets(again) == (3, 2)
    assert await check(again) == []
    again.heartbeat(producers=("pg",))
    (question,) = await check(again)
    assert asked_about(again, question).properties["TRANSACTION_CHECK_TIMES"] == "3"
    again.close()


async def test_the_first_round_of_checks_makes_the_topic_of_half_messages(rig: Any) -> None:
    prepare(rig)
    assert rig.broker.topics.get(HALF) is None
    await check(rig)
    assert rig.broker.topics.get(HALF).read_queue_nums == 1


async def test_a_broker_without_transactions_commits_no_offsets(rig: Any) -> None:
    await check(rig)
    assert rig.broker.topics.get(HALF) is None
    again = rig.reopen()
    assert offsets(again) == (None, None)
    again.close()


async def test_after_a_kill_what_was_decided_stays_so_and_what_was_not_is_asked_about(
    rig: Any, make_rig: Callable[..., Any]
) -> None:
    rig.heartbeat(producers=("pg",))
    open_first = prepare(rig, b"open", "K0")
    end(rig, prepare(rig, b"committed", "K1"), COMMIT)
    end(rig, prepare(rig, b"rolled back", "K2"), ROLLBACK)
    await check(rig)
    rig.store.close()  # without the offsets, which a kill takes
    again = make_rig(store_path_root_dir=rig.config.store_path_root_dir)
    again.heartbeat(producers=("pg",))
    (question,) = await check(again)
    assert decode_record(question.body).body == b"open"
    end(again, open_first, COMMIT)
    end(again, asked_about(again, question), COMMIT)
    assert delivered(again) == [b"committed", b"open"]
    assert await check(again, 60_000) == []


async def test_offsets_are_committed_only_when_their_notes_are_on_disk(rig: Any) -> None:
    end(rig, prepare(rig), COMMIT)
    await check(rig)
    await check(rig)
    assert offsets(rig) == (None, None)
    rig.store.flush_commit_log()
    await check(rig)
    assert offsets(rig) == (1, 1)


async def test_offsets_beyond_a_log_that_lost_its_end_do_not_hide_new_messages(
    rig: Any, make_rig: Callable[..., Any]
) -> None:
    prepare(rig)
    rig.broker.offsets.commit(GROUP, HALF, 0, 100)
    rig.broker.offsets.commit(GROUP, OP, 0, 50)
    rig.broker.offsets.take_changes()()
    rig.store.close()
    again = make_rig(store_path_root_dir=rig.config.store_path_root_dir)
    again.heartbeat(producers=("pg",))
    prepare(again, b"new", "K2")
    (question,) = await check(again)
    assert decode_record(question.body).body == b"new"


async def test_notes_of_later_versions_about_several_messages_are_read(rig: Any, make_rig: Callable[..., Any]) -> None:
    for number in range(3):
        prepare(rig, b"%d" % number, f"K{number}")
    note = Message(OP, 0, 0, 0, 0, bytes(8), b"0,2,", b"TAGS\x01d\x02")
    rig.broker.writer.put(note)
    again = rig.reopen()
    again.heartbeat(producers=("pg",))
    (question,) = await check(again)
    assert decode_record(question.body).body == b"1"
    again.close()


async def test_a_broken_note_stops_nobody(rig: Any) -> None:
    half = prepare(rig)
    for body in (b"", b"x", b"-1", b"99999999999999999999", b"7"):
        rig.broker.writer.put(Message(OP, 0, 0, 0, 0, bytes(8), body, b"TAGS\x01d\x02"))
    again = rig.reopen()
    end(again, half, COMMIT)
    assert delivered(again) == [b"paid"]
    await check(again, 60_000)
    assert again.broker.ledger.half_offset == 1
    again.close()
