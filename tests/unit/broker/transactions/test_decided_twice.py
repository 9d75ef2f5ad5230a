"""What is decided stays so: the same decision again does nothing, the opposite one is refused and told once."""

import logging
from collections.abc import Callable
from typing import Any

import pytest

from rmqnode.broker.messages import Message
from rmqnode.broker.transactions import decision, ledger
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.headers import EndTransactionRequestHeader
from rmqnode.protocol.message import StoredMessage, decode_record

HALF = "RMQ_SYS_TRANS_HALF_TOPIC"
OP = "RMQ_SYS_TRANS_OP_HALF_TOPIC"
COMMIT, ROLLBACK = 8, 12
TIMEOUT_MS = 6_000


def prepare(rig: Any, body: bytes = b"paid", key: str = "K1", **properties: str) -> StoredMessage:
    reply = rig.send(
        "t",
        body,
        {"TRAN_MSG": "true", "PGROUP": "pg", "UNIQ_KEY": key, "KEYS": "order-1", **properties},
        queue_id=2,
        sys_flag=4,
        born_timestamp=rig.clock.now_ms,
    )
    assert reply.code == ResponseCode.SUCCESS
    return half_at(rig, reply.header.queue_offset)


def half_at(rig: Any, offset: int) -> StoredMessage:
    return decode_record(rig.store.read_record(rig.store.unit(HALF, 0, offset)[0]))


def end(rig: Any, half: StoredMessage, kind: int, connection: Any = None) -> Any:
    header = EndTransactionRequestHeader(
        producer_group="pg",
        tran_state_table_offset=half.queue_offset,
        commit_log_offset=half.physical_offset,
        commit_or_rollback=kind,
    )
    return rig.ask(RequestCode.END_TRANSACTION, header, connection=connection or rig.connection)


def delivered(rig: Any) -> list[bytes]:
    return [message.body for message in rig.messages("t", 2)]


def stranger(new_connection: Callable[..., Any]) -> Any:
    connection = new_connection("10.9.9.9:99")
    connection.peer_host_bytes = bytes([10, 9, 9, 9, 0, 0, 0, 99])
    return connection


@pytest.mark.parametrize("is_first", [True, False])
def test_the_owner_of_a_message_that_a_stranger_rolled_back_is_told_so(
    rig: Any, new_connection: Callable[..., Any], caplog: Any, is_first: bool
) -> None:
    if not is_first:
        prepare(rig, b"open", "K0")
    half = prepare(rig)
    assert end(rig, half, ROLLBACK, stranger(new_connection)).code == ResponseCode.SUCCESS
    with caplog.at_level(logging.WARNING):
        replies = [end(rig, half, COMMIT) for _ in range(3)]
    for reply in replies:
        assert reply.code == ResponseCode.SYSTEM_ERROR
        assert reply.remark.startswith("already rolled back at 20")
    assert delivered(rig) == []
    (line,) = caplog.messages
    for part in ("topic='t'", "keys='order-1'", half.message_id, "10.9.9.9:99", "10.1.2.3:4567", "refused=commit"):
        assert part in line


def test_a_rollback_of_what_is_committed_is_refused(rig: Any) -> None:
    half = prepare(rig)
    end(rig, half, COMMIT)
    reply = end(rig, half, ROLLBACK)
    assert (reply.code, reply.remark[:21]) == (ResponseCode.SYSTEM_ERROR, "already committed at ")
    assert delivered(rig) == [b"paid"]


@pytest.mark.parametrize("kind", [COMMIT, ROLLBACK])
def test_the_same_decision_again_succeeds_and_does_nothing(rig: Any, kind: int) -> None:
    half = prepare(rig)
    for _ in range(3):
        assert end(rig, half, kind).code == ResponseCode.SUCCESS
    assert delivered(rig) == ([b"paid"] if kind == COMMIT else [])
    assert len(rig.messages(OP)) == 1


async def test_a_decision_about_a_copy_is_one_about_the_first_too(rig: Any) -> None:
    rig.heartbeat(producers=("pg",))
    first = prepare(rig)
    rig.clock.now_ms += TIMEOUT_MS
    await rig.broker.check_back.check_once()
    copy = half_at(rig, 1)
    assert end(rig, copy, ROLLBACK).code == ResponseCode.SUCCESS
    for half in (first, copy):
        assert end(rig, half, ROLLBACK).code == ResponseCode.SUCCESS
        assert end(rig, half, COMMIT).remark.startswith("already rolled back at ")
    assert delivered(rig) == []


@pytest.mark.parametrize("is_killed", [True, False])
async def test_decisions_are_known_after_a_restart(rig: Any, make_rig: Callable[..., Any], is_killed: bool) -> None:
    committed, rolled_back = prepare(rig, b"1", "K1"), prepare(rig, b"2", "K2")
    end(rig, committed, COMMIT)
    end(rig, rolled_back, ROLLBACK)
    if is_killed:
        rig.store.close()  # without the offsets
    else:
        await rig.broker.check_back.check_once()
        rig.close()
    again = make_rig(store_path_root_dir=rig.config.store_path_root_dir)
    assert end(again, committed, COMMIT).code == ResponseCode.SUCCESS
    assert end(again, committed, ROLLBACK).remark.startswith("already committed at ")
    assert end(again, rolled_back, ROLLBACK).code == ResponseCode.SUCCESS
    assert end(again, rolled_back, COMMIT).remark.startswith("already rolled back at ")
    assert delivered(again) == [b"1"]


@pytest.mark.parametrize("kind", [COMMIT, ROLLBACK])
def test_what_apaches_broker_noted_is_decided_and_nobody_knows_how(rig: Any, caplog: Any, kind: int) -> None:
    half = prepare(rig)
    rig.broker.writer.put(Message(OP, 0, 0, 0, rig.clock.now_ms, bytes(8), b"0", b"TAGS\x01d\x02WAIT\x01true"))
    again = rig.reopen()
    with caplog.at_level(logging.WARNING):
        reply = end(again, half, kind)
        end(again, half, kind)
    assert reply.code == ResponseCode.SYSTEM_ERROR
    assert reply.remark.startswith("already decided at ")
    assert reply.remark.endswith(", this broker does not know how")
    assert len(caplog.messages) == 1
    assert delivered(again) == []
    again.close()


def test_only_the_latest_decisions_are_remembered_and_older_ones_never_confirmed(
    rig: Any, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    monkeypatch.setattr(ledger, "DECISIONS_MAX", 3)
    halves = [prepare(rig, b"%d" % number, f"K{number}") for number in range(5)]
    for half in halves:
        end(rig, half, COMMIT)
    assert [end(rig, half, COMMIT).code for half in halves[2:]] == [ResponseCode.SUCCESS] * 3
    for half in halves[:2]:
        reply = end(rig, half, COMMIT)
        remark = "already decided, this broker does not know how"
        assert (reply.code, reply.remark) == (ResponseCode.SYSTEM_ERROR, remark)
        end(rig, half, COMMIT)
    assert len(caplog.messages) == 2
    assert len(delivered(rig)) == 5


def test_whoever_asks_about_many_forgotten_decisions_fills_no_log(
    rig: Any, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    monkeypatch.setattr(ledger, "DECISIONS_MAX", 1)
    monkeypatch.setattr(ledger, "_GIVEN_UP_MAX", 3)
    halves = [prepare(rig, b"x", f"K{number}") for number in range(10)]
    for half in halves:
        end(rig, half, COMMIT)
    for _ in range(3):
        for half in halves[:9]:
            assert end(rig, half, ROLLBACK).code == ResponseCode.SYSTEM_ERROR
    assert len(caplog.messages) == 3


def test_the_memory_of_decisions_has_the_bound_that_is_documented() -> None:
    assert decision.DECISIONS_MAX == 8192


async def test_a_message_that_was_given_up_can_still_be_committed_once(make_rig: Callable[..., Any]) -> None:
    rig = make_rig(transaction_check_max=1)
    rig.heartbeat(producers=("pg",))
    half = prepare(rig)
    for _ in range(3):
        rig.clock.now_ms += TIMEOUT_MS
        await rig.broker.check_back.check_once()
    assert len(rig.messages("TRANS_CHECK_MAX_TIME_TOPIC")) == 1
    assert end(rig, half, COMMIT).code == ResponseCode.SUCCESS
    assert end(rig, half, COMMIT).code == ResponseCode.SUCCESS
    assert end(rig, half, ROLLBACK).remark.startswith("already committed at ")
    assert delivered(rig) == [b"paid"]


# --- half messages that could not be kept later ---


def test_a_half_message_that_could_not_be_given_up_later_is_refused(make_rig: Callable[..., Any]) -> None:
    rig = make_rig(max_message_size_bytes=2_000)
    rig.create_topic("x" * 127)
    for topic in ("t", "x" * 127):
        properties_size = len(f"TRAN_MSG\x01true\x02PGROUP\x01pg\x02REAL_TOPIC\x01{topic}\x02REAL_QID\x010\x02")
        size = 2_000 - 91 - len(HALF) - properties_size  # as a half message it would have room
        reply = rig.send(topic, bytes(size), {"TRAN_MSG": "true", "PGROUP": "pg"}, sys_flag=4)
        assert reply.code == ResponseCode.MESSAGE_ILLEGAL
    assert rig.messages(HALF) == []


@pytest.mark.parametrize("topic", ["t", "x" * 127])
async def test_a_half_message_that_is_accepted_can_be_asked_about_given_up_and_committed(
    make_rig: Callable[..., Any], topic: str
) -> None:
    rig = make_rig(max_message_size_bytes=2_000, transaction_check_max=2)
    rig.create_topic(topic)
    size = 2_000
    while True:
        reply = rig.send(topic, bytes(size), {"TRAN_MSG": "true", "PGROUP": "pg"}, sys_flag=4, born_timestamp=0)
        if reply.code == ResponseCode.SUCCESS:
            break
        size -= 1
    rig.send(topic, b"", {"TRAN_MSG": "true", "PGROUP": "pg", "X": "y" * 32_400}, sys_flag=4)
    for _ in range(4):
        rig.clock.now_ms += TIMEOUT_MS
        rig.broker.check_back.config = rig.config
        await rig.broker.check_back.check_once()
    (kept,) = rig.messages("TRANS_CHECK_MAX_TIME_TOPIC")
    assert len(kept.body) == size
    assert end(rig, half_at(rig, 0), COMMIT).code == ResponseCode.SUCCESS
    assert [len(message.body) for message in rig.messages(topic)] == [size]


async def test_a_half_message_that_was_accepted_is_committed_also_when_only_shorter_ones_are_accepted_now(
    make_rig: Callable[..., Any],
) -> None:
    before = make_rig()
    half = prepare(before, bytes(5_000))
    before.close()
    rig = make_rig(max_message_size_bytes=1_000, store_path_root_dir=before.config.store_path_root_dir)
    rig.heartbeat(producers=("pg",))
    rig.clock.now_ms += TIMEOUT_MS
    await rig.broker.check_back.check_once()
    assert len(rig.connection.pushed) == 1
    assert end(rig, half, COMMIT).code == ResponseCode.SUCCESS
    assert delivered(rig) == [bytes(5_000)]
