"""Sending: what goes over the wire, which queue is taken, what is tried again and what is not."""

from collections import Counter
from typing import Any

import pytest

from rmqctl.client import (
    BrokerUnreachable,
    ClusterConnection,
    InvalidArgument,
    Message,
    NoQueue,
    Producer,
    RequestRefused,
    RouteTable,
    TopicNotFound,
)
from rmqctl.client.producer import choose_queue
from rmqctl.client.routes import BrokerRoute, TopicRoute
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.header_fields import header_from_ext_fields
from rmqnode.protocol.headers import SendMessageRequestHeaderV2
from rmqnode.protocol.message_id import decode_offset_message_id
from rmqnode.protocol.properties import decode_properties

SEND = RequestCode.SEND_MESSAGE_V2


def stored(toolbox: Any, code: int = 0) -> Any:
    def answer(request: Any) -> Any:
        queue_id = request.ext_fields["e"]
        return toolbox.reply(code, {"msgId": "00" * 16, "queueId": queue_id, "queueOffset": "7"})

    return answer


def producer_of(connection: ClusterConnection) -> Producer:
    return Producer(connection, RouteTable(connection))


async def test_a_send_carries_the_letters_the_properties_and_the_body(toolbox: Any) -> None:
    broker = await toolbox.serve({SEND: stored(toolbox)})
    nameserver = await toolbox.nameserver({"broker-a": broker.address})
    async with ClusterConnection([nameserver.address]) as connection:
        result = await producer_of(connection).send(Message("T", b"\x00body\xff", tag="paid", properties={"a": "b"}))
    (request,) = broker.requests
    assert request.body == b"\x00body\xff"
    header = header_from_ext_fields(SendMessageRequestHeaderV2, request.ext_fields)
    assert (header.topic, header.default_topic, header.queue_id, header.sys_flag) == ("T", "TBW102", 0, 0)
    properties = decode_properties(header.properties or "")
    assert properties == {"a": "b", "TAGS": "paid", "WAIT": "true", "UNIQ_KEY": result.message_id}
    assert decode_offset_message_id(result.message_id).ip == bytes((127, 0, 0, 1))
    assert (result.status, result.broker, result.queue_id, result.queue_offset) == ("SEND_OK", "broker-a", 0, 7)
    assert result.offset_message_id == "00" * 16


@pytest.mark.parametrize(
    ("code", "status"), [(10, "FLUSH_DISK_TIMEOUT"), (11, "SLAVE_NOT_AVAILABLE"), (12, "FLUSH_SLAVE_TIMEOUT")]
)
async def test_stored_but_not_ok_is_a_result_with_its_status(toolbox: Any, code: int, status: str) -> None:
    broker = await toolbox.serve({SEND: stored(toolbox, code)})
    nameserver = await toolbox.nameserver({"broker-a": broker.address})
    async with ClusterConnection([nameserver.address]) as connection:
        assert (await producer_of(connection).send(Message("T", b"x"))).status == status


async def test_messages_go_to_all_queues_in_turn(toolbox: Any) -> None:
    brokers = {name: await toolbox.serve({SEND: stored(toolbox)}) for name in ("broker-a", "broker-b")}
    nameserver = await toolbox.nameserver({name: broker.address for name, broker in brokers.items()}, queues=2)
    async with ClusterConnection([nameserver.address]) as connection:
        producer = producer_of(connection)
        results = [await producer.send(Message("T", b"x")) for _ in range(8)]
    assert Counter((result.broker, result.queue_id) for result in results) == dict.fromkeys(
        [("broker-a", 0), ("broker-a", 1), ("broker-b", 0), ("broker-b", 1)], 2
    )
    assert len({result.message_id for result in results}) == 8
    assert len(nameserver.requests) == 1, "the route is looked up once"


async def test_a_broker_that_can_not_be_reached_is_passed_over(toolbox: Any, free_address: str) -> None:
    broker = await toolbox.serve({SEND: stored(toolbox)})
    nameserver = await toolbox.nameserver({"broker-a": free_address, "broker-b": broker.address})
    async with ClusterConnection([nameserver.address]) as connection:
        producer = producer_of(connection)
        results = [await producer.send(Message("T", b"x")) for _ in range(4)]
    assert {result.broker for result in results} == {"broker-b"}


@pytest.mark.parametrize("code", [ResponseCode.SERVICE_NOT_AVAILABLE, ResponseCode.TOPIC_NOT_EXIST])
async def test_a_broker_that_takes_no_writes_is_passed_over(toolbox: Any, code: int) -> None:
    full = await toolbox.serve({SEND: lambda _: toolbox.reply(code, remark="no")})
    broker = await toolbox.serve({SEND: stored(toolbox)})
    nameserver = await toolbox.nameserver({"broker-a": full.address, "broker-b": broker.address})
    async with ClusterConnection([nameserver.address]) as connection:
        producer = producer_of(connection)
        assert {(await producer.send(Message("T", b"x"))).broker for _ in range(2)} == {"broker-b"}
    assert full.requests


async def test_a_send_that_may_be_stored_is_never_repeated(toolbox: Any) -> None:
    def die(_: Any) -> None:
        servers["broker-a"].stop()

    servers = {"broker-a": await toolbox.serve({SEND: die}), "broker-b": await toolbox.serve({SEND: stored(toolbox)})}
    nameserver = await toolbox.nameserver({name: server.address for name, server in servers.items()})
    async with ClusterConnection([nameserver.address]) as connection:
        producer = producer_of(connection)
        with pytest.raises(BrokerUnreachable) as caught:
            await _send_twice(producer)
    assert caught.value.maybe_done
    assert len(servers["broker-a"].requests) == 1


async def test_a_refusal_that_any_broker_would_repeat_is_raised_at_once(toolbox: Any) -> None:
    servers = {
        name: await toolbox.serve({SEND: lambda _: toolbox.reply(ResponseCode.MESSAGE_ILLEGAL, remark="too large")})
        for name in ("broker-a", "broker-b")
    }
    nameserver = await toolbox.nameserver({name: server.address for name, server in servers.items()})
    async with ClusterConnection([nameserver.address]) as connection:
        with pytest.raises(RequestRefused, match="MESSAGE_ILLEGAL"):
            await producer_of(connection).send(Message("T", b"x"))
    assert sum(len(server.requests) for server in servers.values()) == 1


async def test_an_unknown_topic_and_a_read_only_one_are_refused_here(toolbox: Any) -> None:
    empty = await toolbox.serve({RequestCode.GET_ROUTEINTO_BY_TOPIC: toolbox.no_route})
    read_only = await toolbox.nameserver({"broker-a": "127.0.0.1:1"}, perm=4)
    async with ClusterConnection([empty.address]) as connection:
        with pytest.raises(TopicNotFound):
            await producer_of(connection).send(Message("T", b"x"))
    async with ClusterConnection([read_only.address]) as connection:
        with pytest.raises(NoQueue) as caught:
            await producer_of(connection).send(Message("T", b"x"))
    assert "broker-a has permission 4" in (caught.value.why or "")


ROUTE = TopicRoute(
    "T",
    (
        BrokerRoute("broker-a", "C", {0: "a:1"}, 1, 1, 6),
        BrokerRoute("broker-b", "C", {0: "b:1"}, 4, 4, 6),
        BrokerRoute("broker-c", "C", {0: "c:1"}, 9, 9, 4),
    ),
)


def test_a_queue_id_means_the_first_broker_that_has_it_unless_one_is_named() -> None:
    assert choose_queue(ROUTE, None, 0).broker_name == "broker-a"
    assert choose_queue(ROUTE, None, 3).broker_name == "broker-b"
    assert choose_queue(ROUTE, "broker-b", 0).broker_name == "broker-b"


@pytest.mark.parametrize(("broker", "queue_id"), [(None, 4), ("broker-a", 1), ("broker-c", 0), ("broker-x", 0)])
def test_a_queue_that_takes_no_messages_is_refused_with_those_that_do(broker: str | None, queue_id: int) -> None:
    with pytest.raises(InvalidArgument) as caught:
        choose_queue(ROUTE, broker, queue_id)
    assert caught.value.why == "queues are: broker-a 0 to 0, broker-b 0 to 3"


async def _send_twice(producer: Producer) -> None:
    for _ in range(2):
        await producer.send(Message("T", b"x"))
