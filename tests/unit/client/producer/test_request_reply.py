"""Request messages and replies: who is told where to reply to, and which reply belongs to which request."""

from typing import Any

import pytest
import trio

from rmqctl.client import Client, InvalidArgument, NoReply, Producer, ReceivedMessage
from rmqnode.protocol.bodies import MessageQueue
from rmqnode.protocol.codes import RequestCode
from rmqnode.protocol.command import Command
from rmqnode.protocol.header_fields import header_from_ext_fields
from rmqnode.protocol.headers import SendMessageRequestHeaderV2
from rmqnode.protocol.properties import decode_properties, encode_properties
from tests.unit.client.consumer.records import stored_message

SEND = RequestCode.SEND_MESSAGE_V2
SEND_REPLY = RequestCode.SEND_REPLY_MESSAGE_V2
PUSH = RequestCode.PUSH_REPLY_MESSAGE_TO_CLIENT


def properties_of(request: Command) -> dict[str, str]:
    header = header_from_ext_fields(SendMessageRequestHeaderV2, request.ext_fields or {})
    return decode_properties(header.properties or "")


def pushed(properties: dict[str, str], body: bytes, opaque: int = 7) -> Command:
    fields = {
        "producerGroup": "repliers",
        "topic": "C_REPLY_TOPIC",
        "defaultTopic": "TBW102",
        "defaultTopicQueueNums": "4",
        "queueId": "1",
        "sysFlag": "0",
        "bornTimestamp": "5",
        "flag": "0",
        "properties": encode_properties(properties),
        "bornHost": "127.0.0.1:1",
        "storeHost": "127.0.0.1:2",
        "storeTimestamp": "6",
    }
    return Command(code=PUSH, opaque=opaque, ext_fields=fields, body=body)


@pytest.fixture
async def broker(toolbox: Any) -> Any:
    stored = {"msgId": "0", "queueId": "0", "queueOffset": "0"}
    return await toolbox.serve(
        {
            SEND: lambda _: toolbox.reply(0, stored),
            SEND_REPLY: lambda _: toolbox.reply(0, stored),
            RequestCode.HEART_BEAT: lambda _: toolbox.reply(),
        }
    )


async def test_a_request_gets_the_reply_with_its_correlation_id(toolbox: Any, broker: Any) -> None:
    nameserver = await toolbox.nameserver({"broker-a": broker.address})
    replies: dict[str, str] = {}

    async def ask(producer: Producer, question: str) -> None:
        replies[question] = (await producer.request("T:q", question, timeout_seconds=10)).text

    async with (
        Client(nameserver.address, instance="asker") as client,
        Producer("askers", client=client) as producer,
        trio.open_nursery() as nursery,
    ):
        for question in ("one", "two"):
            nursery.start_soon(ask, producer, question)
        await toolbox.wait_until(lambda: len(broker.requests_of(SEND)) == 2, "two requests")
        assert broker.requests_of(RequestCode.HEART_BEAT), "the broker must know who waits"
        await broker.ask_client(pushed({"CORRELATION_ID": "of nobody"}, b"lost"))
        for request in reversed(broker.requests_of(SEND)):
            properties = properties_of(request)
            assert (properties["REPLY_TO_CLIENT"], properties["TTL"]) == ("127.0.0.1@asker", "10000")
            await broker.ask_client(pushed(properties, b"to " + request.body))
    assert replies == {"one": "to one", "two": "to two"}
    answers = [request for request in broker.requests if request.is_response]
    assert [answer.code for answer in answers] == [0, 0, 0]


async def test_no_reply_in_time_is_an_error_that_names_the_request(toolbox: Any, broker: Any) -> None:
    nameserver = await toolbox.nameserver({"broker-a": broker.address})
    async with Producer("askers", nameserver=nameserver.address) as producer:
        with pytest.raises(NoReply, match=r"on topic T within 0\.2 s") as caught:
            await producer.request("T", "x", timeout_seconds=0.2)
    assert properties_of(broker.requests_of(SEND)[0])["UNIQ_KEY"] == caught.value.message_id


async def test_a_reply_goes_to_the_reply_topic_of_the_cluster(toolbox: Any, broker: Any) -> None:
    nameserver = await toolbox.nameserver({"broker-a": broker.address})
    properties = {"CORRELATION_ID": "c", "REPLY_TO_CLIENT": "them", "TTL": "3000", "CLUSTER": "C"}
    request = ReceivedMessage(stored_message(0, properties=properties), MessageQueue())
    async with Producer("repliers", nameserver=nameserver.address) as producer:
        await producer.reply(request, {"answer": 42})
    (sent,) = broker.requests_of(SEND_REPLY)
    header = header_from_ext_fields(SendMessageRequestHeaderV2, sent.ext_fields or {})
    assert (header.topic, sent.body) == ("C_REPLY_TOPIC", b'{"answer":42}')
    reply = properties_of(sent)
    assert {name: reply[name] for name in ("CORRELATION_ID", "REPLY_TO_CLIENT", "TTL", "MSG_TYPE")} == {
        "CORRELATION_ID": "c",
        "REPLY_TO_CLIENT": "them",
        "TTL": "3000",
        "MSG_TYPE": "reply",
    }


@pytest.mark.parametrize(
    ("properties", "problem"),
    [
        ({}, "is no request message"),
        ({"CORRELATION_ID": "c", "REPLY_TO_CLIENT": "them", "TTL": "1"}, "its broker did not say of which cluster"),
    ],
)
async def test_what_can_not_be_replied_to_is_refused(toolbox: Any, properties: dict[str, str], problem: str) -> None:
    nameserver = await toolbox.nameserver({"broker-a": "127.0.0.1:1"})
    request = ReceivedMessage(stored_message(0, properties=properties), MessageQueue())
    async with Producer("repliers", nameserver=nameserver.address) as producer:
        with pytest.raises(InvalidArgument, match=problem):
            await producer.reply(request, "x")
