"""Transactions: what the broker is told at the end of one, and what it hears when it asks."""

import zlib
from collections.abc import Callable
from typing import Any

import pytest
import trio

from rmqctl.client import (
    ClientError,
    HalfMessageNotSafe,
    Message,
    Producer,
    ReceivedMessage,
    RequestRefused,
    RequestTimedOut,
    Transaction,
    TransactionState,
)
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.command import FLAG_ONEWAY, Command
from rmqnode.protocol.header_fields import header_from_ext_fields, header_to_ext_fields
from rmqnode.protocol.headers import (
    CheckTransactionStateRequestHeader,
    EndTransactionRequestHeader,
    SendMessageRequestHeaderV2,
)
from rmqnode.protocol.message import SysFlag, encode_record
from rmqnode.protocol.message_id import encode_offset_message_id
from rmqnode.protocol.properties import decode_properties
from tests.unit.client.consumer.records import stored_message

SEND = RequestCode.SEND_MESSAGE_V2
END = RequestCode.END_TRANSACTION
CHECK = RequestCode.CHECK_TRANSACTION_STATE

HALF_ID = encode_offset_message_id(bytes(4), 1, 4711)


class Stage:
    """A broker that takes half messages, and its nameserver."""

    def __init__(self, broker: Any, nameserver: Any) -> None:
        self.broker = broker
        self.nameserver = nameserver

    def producer(self, **options: Any) -> Producer:
        return Producer("payers", nameserver=self.nameserver.address, **options)

    @property
    def ends(self) -> list[EndTransactionRequestHeader]:
        """What producers said at the end of transactions."""
        return [
            header_from_ext_fields(EndTransactionRequestHeader, request.ext_fields or {})
            for request in self.broker.requests_of(END)
        ]


@pytest.fixture
async def stage(toolbox: Any) -> Stage:
    stored = {"msgId": HALF_ID, "queueId": "0", "queueOffset": "42"}
    handlers: dict[int, Callable[[Command], Command | None]] = {
        SEND: lambda _: toolbox.reply(0, stored),
        END: lambda _: toolbox.reply(),
        RequestCode.HEART_BEAT: lambda _: toolbox.reply(),
    }
    broker = await toolbox.serve(handlers)
    return Stage(broker, await toolbox.nameserver({"broker-a": broker.address}))


async def test_a_half_message_says_so_and_a_commit_names_it(stage: Stage) -> None:
    async with stage.producer() as producer, producer.transaction("T:t", "x", key="k") as transaction:
        assert not stage.ends
    (sent,) = stage.broker.requests_of(SEND)
    header = header_from_ext_fields(SendMessageRequestHeaderV2, sent.ext_fields)
    properties = decode_properties(header.properties or "")
    assert header.sys_flag == SysFlag.TRANSACTION_PREPARED, "not compressed: brokers of 4.5.2 could spoil it"
    assert (properties["TRAN_MSG"], properties["PGROUP"], properties["TAGS"]) == ("true", "payers", "t")
    (end,) = stage.ends
    assert end == EndTransactionRequestHeader(
        producer_group="payers",
        tran_state_table_offset=42,
        commit_log_offset=4711,
        commit_or_rollback=8,
        msg_id=transaction.half.message_id,
        transaction_id=transaction.half.message_id,
    )


async def test_a_block_may_roll_back_or_leave_it_open(stage: Stage) -> None:
    async with stage.producer() as producer:
        async with producer.transaction("T", "x") as transaction:
            transaction.roll_back()
        async with producer.transaction("T", "x") as transaction:
            transaction.leave_open()
    assert [end.commit_or_rollback for end in stage.ends] == [12]


async def never_asked(_: ReceivedMessage) -> TransactionState:
    raise AssertionError("nobody asked")


@pytest.mark.parametrize(("checker", "told"), [(None, [12]), (never_asked, [])])
async def test_a_block_that_raises_leaves_the_decision_to_the_checker_if_there_is_one(
    stage: Stage, checker: Any, told: list[int]
) -> None:
    async with stage.producer(check_transaction=checker) as producer:
        with pytest.raises(ZeroDivisionError):
            async with producer.transaction("T", "x"):
                raise ZeroDivisionError
        with trio.move_on_after(0.05):
            async with producer.transaction("T", "x"):
                await trio.sleep_forever()
    assert [end.commit_or_rollback for end in stage.ends] == told * 2


async def test_a_half_message_that_is_not_safe_is_rolled_back_and_nothing_is_run(toolbox: Any, stage: Stage) -> None:
    stored = {"msgId": HALF_ID, "queueId": "0", "queueOffset": "42"}
    stage.broker.handlers[SEND] = lambda _: toolbox.reply(ResponseCode.FLUSH_SLAVE_TIMEOUT, stored)
    ran: list[Transaction] = []

    async def local(transaction: Transaction) -> TransactionState:
        ran.append(transaction)
        return TransactionState.COMMIT

    async with stage.producer() as producer:
        with pytest.raises(HalfMessageNotSafe, match="FLUSH_SLAVE_TIMEOUT"):
            async with producer.transaction("T", "x"):
                raise AssertionError("the block was run")
        done = await producer.send_in_transaction("T", "x", local_transaction=local)
    assert done.state is TransactionState.ROLLBACK
    assert not ran
    assert [end.commit_or_rollback for end in stage.ends] == [12, 12]


@pytest.mark.parametrize("state", TransactionState)
async def test_a_function_decides(stage: Stage, state: TransactionState) -> None:
    async def local(transaction: Transaction) -> TransactionState:
        assert transaction.half.queue_offset == 42
        return state

    async with stage.producer() as producer:
        done = await producer.send_in_transaction(Message("T", b"x"), local_transaction=local)
    assert done.state is state
    assert [end.commit_or_rollback for end in stage.ends] == ([] if state is TransactionState.UNKNOWN else [state])


async def test_a_commit_that_did_not_arrive_is_an_error_when_nobody_could_be_asked(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rmqctl.client.producer.transactions._END_SECONDS", 0.1)
    stage.broker.handlers[END] = lambda _: None
    async with stage.producer() as producer:
        with pytest.raises(RequestTimedOut, match="END_TRANSACTION"):
            async with producer.transaction("T", "x"):
                pass
    async with stage.producer(check_transaction=never_asked) as producer, producer.transaction("T", "x"):
        pass


@pytest.mark.parametrize("has_checker", [True, False])
async def test_a_commit_of_what_somebody_else_rolled_back_is_an_error_with_a_checker_too(
    toolbox: Any, stage: Stage, has_checker: bool
) -> None:
    remark = "already rolled back at 2026-11-30 19:00:00"
    stage.broker.handlers[END] = lambda _: toolbox.reply(ResponseCode.SYSTEM_ERROR, remark=remark)
    options = {"check_transaction": never_asked} if has_checker else {}
    async with stage.producer(**options) as producer:
        with pytest.raises(RequestRefused, match="END_TRANSACTION") as caught:
            async with producer.transaction("T", "x"):
                pass
        assert caught.value.why == remark
        async with producer.transaction("T", "x") as transaction:
            transaction.roll_back()


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("answer", [TransactionState.COMMIT, TransactionState.ROLLBACK, None])
async def test_a_broker_that_asks_hears_what_the_checker_says(
    toolbox: Any, stage: Stage, compressed: bool, answer: TransactionState | None
) -> None:
    asked: list[ReceivedMessage] = []

    async def check(message: ReceivedMessage) -> TransactionState:
        asked.append(message)
        if answer is None:
            raise ZeroDivisionError("the checker's own bug")
        return answer

    async with stage.producer(check_transaction=check) as producer:
        await producer.send("T", "x")
        body = zlib.compress("付款".encode()) if compressed else "付款".encode()
        # Apache's 4.5.2 flags what it asks about as compressed even when it has decompressed it.
        half = stored_message(
            1, body=body, topic="T", properties={"PGROUP": "payers", "UNIQ_KEY": "U"}, sys_flag=SysFlag.COMPRESSED
        )
        header = CheckTransactionStateRequestHeader(
            tran_state_table_offset=1, commit_log_offset=2, msg_id="U", transaction_id="tid"
        )
        await stage.broker.ask_client(
            Command(code=CHECK, flag=FLAG_ONEWAY, ext_fields=header_to_ext_fields(header), body=encode_record(half))
        )
        await toolbox.wait_until(lambda: stage.ends, "the answer")
    (message,) = asked
    assert (message.text, message.topic, message.message_id) == ("付款", "T", "U")
    assert stage.ends == [
        EndTransactionRequestHeader(
            producer_group="payers",
            tran_state_table_offset=1,
            commit_log_offset=2,
            commit_or_rollback=answer or 0,
            from_transaction_check=True,
            msg_id="U",
            transaction_id="tid",
        )
    ]
    assert stage.broker.requests_of(END)[0].is_oneway


async def test_an_offset_message_id_that_can_not_be_read_is_an_error(toolbox: Any, stage: Stage) -> None:
    stage.broker.handlers[SEND] = lambda _: toolbox.reply(0, {"msgId": "?", "queueId": "0", "queueOffset": "42"})
    async with stage.producer() as producer:
        with pytest.raises(ClientError, match="gave the half message"):
            async with producer.transaction("T", "x"):
                pass
