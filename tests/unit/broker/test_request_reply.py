"""Request-reply: a reply is stored, handed to who asked, and its sender learns how that ended."""

from collections.abc import Callable
from typing import Any

import pytest
import trio

from rmqnode.net.errors import RequestTimeout
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.command import Command

REPLY_TOPIC = "DefaultCluster_REPLY_TOPIC"


class Requester:
    """A connection that answers what it is asked as the test says."""

    def __init__(self, connection: Any, outcome: Command | Exception) -> None:
        self.asked: list[Command] = []
        self.connection = connection
        connection.call = self.call
        self._outcome = outcome

    async def call(self, command: Command, timeout_seconds: float) -> Command:
        self.asked.append(command)
        assert timeout_seconds == 10
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome


def send_reply(rig: Any, client_id: str | None = "asker", body: bytes = b"re: hello", **fields: Any) -> Any:
    properties = {"CORRELATION_ID": "c-1", "MSG_TYPE": "reply"}
    if client_id is not None:
        properties["REPLY_TO_CLIENT"] = client_id
    return rig.send(REPLY_TOPIC, body, properties, code=RequestCode.SEND_REPLY_MESSAGE_V2, **fields)


@pytest.fixture
async def answered(rig: Any, nursery: trio.Nursery) -> Any:
    """Let the calls of the broker run, and wait for the answer that the sender gets."""
    nursery.start_soon(rig.broker.client_calls.run)
    await trio.testing.wait_all_tasks_blocked()

    async def wait() -> Any:
        await trio.testing.wait_all_tasks_blocked()
        ((_, reply),) = rig.connection.replies
        return reply

    yield wait
    nursery.cancel_scope.cancel()


def test_every_broker_has_the_topic_of_its_cluster(rig: Any) -> None:
    topic = rig.broker.topics.get(REPLY_TOPIC)
    assert (topic.read_queue_nums, topic.write_queue_nums, topic.perm) == (1, 1, 6)
    assert REPLY_TOPIC in rig.broker.topics.system_topic_names


@pytest.mark.parametrize("code", [RequestCode.SEND_MESSAGE_V2])
def test_a_request_is_stored_with_the_name_of_the_cluster_and_nothing_else_is(rig: Any, code: RequestCode) -> None:
    rig.send("t", properties={"TAGS": "a", "REPLY_TO_CLIENT": "asker"}, code=code)
    rig.send("t", properties={"TAGS": "a"}, code=code)
    rig.send("t", properties={"CLUSTER": "old", "REPLY_TO_CLIENT": "asker"}, code=code)
    stored = [message.properties for message in rig.messages("t")]
    assert stored == [
        {"TAGS": "a", "REPLY_TO_CLIENT": "asker", "CLUSTER": "DefaultCluster"},
        {"TAGS": "a"},
        {"CLUSTER": "DefaultCluster", "REPLY_TO_CLIENT": "asker"},
    ]


async def test_a_reply_is_stored_and_handed_to_who_asked(
    rig: Any, new_connection: Callable[..., Any], answered: Any
) -> None:
    asker = Requester(new_connection(), Command(code=ResponseCode.SUCCESS))
    rig.heartbeat(producers=("pg",), client_id="asker", connection=asker.connection)
    send_reply(rig, flag=5, born_timestamp=9)
    reply = await answered()
    (stored,) = rig.messages(REPLY_TOPIC)
    assert (reply.code, reply.header.msg_id, reply.header.queue_offset) == (0, stored.offset_message_id, 0)
    assert (reply.header.msg_region, reply.header.trace_on) == ("DefaultRegion", True)
    (asked,) = asker.asked
    assert (asked.code, asked.body) == (RequestCode.PUSH_REPLY_MESSAGE_TO_CLIENT, b"re: hello")
    now = str(rig.clock.now_ms)
    assert asked.ext_fields == {
        "producerGroup": "pg",
        "topic": REPLY_TOPIC,
        "defaultTopic": "TBW102",
        "defaultTopicQueueNums": "4",
        "queueId": "0",
        "sysFlag": "0",
        "bornTimestamp": "9",
        "flag": "5",
        "properties": "CORRELATION_ID\x01c-1\x02MSG_TYPE\x01reply\x02REPLY_TO_CLIENT\x01asker\x02"
        f"PUSH_REPLY_TIME\x01{now}\x02",
        "unitMode": "false",
        "bornHost": "10.1.2.3:4567",
        "storeHost": "127.0.0.1:10911",
        "storeTimestamp": now,
    }


@pytest.mark.parametrize(
    "outcome", [Command(code=ResponseCode.SYSTEM_ERROR), RequestTimeout("peer", "no answer")], ids=["refused", "silent"]
)
async def test_a_requester_that_does_not_take_the_reply_is_an_error_for_its_sender(
    rig: Any, new_connection: Callable[..., Any], answered: Any, outcome: Any
) -> None:
    asker = Requester(new_connection(), outcome)
    rig.heartbeat(producers=("pg",), client_id="asker", connection=asker.connection)
    send_reply(rig)
    reply = await answered()
    assert (reply.code, reply.remark) == (ResponseCode.SYSTEM_ERROR, "push reply message to askerfail.")
    assert reply.header.msg_id == rig.messages(REPLY_TOPIC)[0].offset_message_id


def test_a_reply_to_nobody_is_stored_and_refused_in_apaches_words(rig: Any, new_connection: Callable[..., Any]) -> None:
    gone = new_connection()
    rig.heartbeat(producers=("pg",), client_id="gone", connection=gone)
    rig.broker.clients.connection_closed(gone)
    for client_id, remark in (
        (None, "reply message properties[REPLY_TO_CLIENT] is null"),
        ("nobody", "push reply message fail, channel of <nobody> not found."),
        ("gone", "push reply message fail, channel of <gone> not found."),
    ):
        reply = send_reply(rig, client_id)
        assert (reply.code, reply.remark) == (ResponseCode.SYSTEM_ERROR, remark)
    assert len(rig.messages(REPLY_TOPIC)) == 3


def test_replies_are_not_stored_where_that_is_switched_off(make_rig: Callable[..., Any]) -> None:
    rig = make_rig(store_reply_message_enable=False)
    reply = send_reply(rig, "nobody")
    assert (reply.header.msg_id, reply.header.queue_offset) == ("0", 0)
    assert rig.store.wrote_offset == 0


def test_a_reply_is_checked_like_any_send(rig: Any) -> None:
    rig.connection.queued_seconds = 1.0
    assert send_reply(rig).code == ResponseCode.SYSTEM_BUSY
    rig.connection.queued_seconds = 0.0
    assert send_reply(rig, queue_id=9).remark.startswith("request queueId[9] is illegal")


def test_a_requester_that_came_back_is_reached_over_its_new_connection(
    rig: Any, new_connection: Callable[..., Any]
) -> None:
    old, new = new_connection(), new_connection("10.0.0.9:1")
    rig.heartbeat(producers=("pg",), client_id="asker", connection=old)
    rig.heartbeat(producers=("pg",), client_id="asker", connection=new)
    rig.broker.clients.connection_closed(old)
    assert rig.broker.clients.producer_connection("asker") is new
    rig.heartbeat(producers=("pg",), client_id="renamed", connection=new)
    assert rig.broker.clients.producer_connection("asker") is None
    assert rig.broker.clients.producer_connection("renamed") is new
