"""Conversation with nameservers and brokers over real sockets: fail-over, time-outs, errors."""

from typing import Any

import pytest
import trio

from rmqctl.client import BadReply, BrokerUnreachable, ClusterConnection, NameserverUnreachable, RequestRefused
from rmqctl.client.errors import RequestTimedOut
from rmqctl.client.routes import RouteTable
from rmqnode.protocol.bodies import ClusterInfo
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.headers import OffsetResponseHeader, QueueRequestHeader

CLUSTER_INFO = RequestCode.GET_BROKER_CLUSTER_INFO
QUEUE = QueueRequestHeader(topic="T", queue_id=0)


async def test_the_next_nameserver_answers_when_the_first_can_not_be_reached(toolbox: Any, free_address: str) -> None:
    server = await toolbox.nameserver({"broker-a": "127.0.0.1:1"})
    async with ClusterConnection([free_address, server.address]) as connection:
        answer = await connection.ask_nameserver(CLUSTER_INFO)
        assert answer.address == server.address
        assert list(answer.body(ClusterInfo).broker_addr_table) == ["broker-a"]


async def test_the_nameserver_that_answered_is_kept(toolbox: Any) -> None:
    first = await toolbox.nameserver({"broker-a": "127.0.0.1:1"})
    second = await toolbox.nameserver({"broker-a": "127.0.0.1:1"})
    async with ClusterConnection([first.address, second.address]) as connection:
        await connection.ask_nameserver(CLUSTER_INFO)
        assert not second.requests
        first.stop()
        await connection.ask_nameserver(CLUSTER_INFO)
        await connection.ask_nameserver(CLUSTER_INFO)
        assert len(second.requests) == 2


async def test_a_nameserver_that_accepts_but_stays_silent_is_passed_over_in_time(toolbox: Any) -> None:
    silent = await toolbox.serve({CLUSTER_INFO: lambda _: None})
    server = await toolbox.nameserver({})
    async with ClusterConnection([silent.address, server.address], timeout_seconds=0.2) as connection:
        with trio.fail_after(2):
            assert (await connection.ask_nameserver(CLUSTER_INFO)).address == server.address


async def test_when_no_nameserver_answers_the_error_has_every_address_and_reason(
    toolbox: Any, free_address: str
) -> None:
    silent = await toolbox.serve({CLUSTER_INFO: lambda _: None})
    async with ClusterConnection([free_address, silent.address], timeout_seconds=0.2) as connection:
        with pytest.raises(NameserverUnreachable) as caught:
            await connection.ask_nameserver(CLUSTER_INFO)
    assert list(caught.value.reasons) == [free_address, silent.address]
    assert "no answer within 0.2 s" in caught.value.reasons[silent.address]


async def test_asking_every_nameserver_fails_when_one_is_silent_though_the_others_did_it(
    toolbox: Any, free_address: str
) -> None:
    server = await toolbox.nameserver({})
    async with ClusterConnection([server.address, free_address]) as connection:
        with pytest.raises(NameserverUnreachable) as caught:
            await connection.ask_every_nameserver(CLUSTER_INFO)
    assert list(caught.value.reasons) == [free_address]
    assert len(server.requests) == 1


async def test_a_refusal_carries_code_and_remark(toolbox: Any) -> None:
    broker = await toolbox.serve({RequestCode.GET_MAX_OFFSET: lambda _: toolbox.reply(1, remark="boom\nat Some.java")})
    async with ClusterConnection([broker.address]) as connection:
        with pytest.raises(
            RequestRefused, match=r"broker-a .* GET_MAX_OFFSET \(30\) for topic T with SYSTEM_ERROR \(1\)"
        ) as caught:
            await connection.ask_broker("broker-a", broker.address, RequestCode.GET_MAX_OFFSET, QUEUE, topic="T")
    assert caught.value.response_code == ResponseCode.SYSTEM_ERROR
    assert caught.value.why == "boom"


async def test_a_silent_broker_is_a_timeout_and_a_dead_one_is_unreachable(toolbox: Any, free_address: str) -> None:
    silent = await toolbox.serve({RequestCode.GET_MAX_OFFSET: lambda _: None})
    code = RequestCode.GET_MAX_OFFSET
    async with ClusterConnection([silent.address]) as connection:
        with pytest.raises(RequestTimedOut):
            await connection.ask_broker("broker-a", silent.address, code, QUEUE, timeout_seconds=0.1)
        with pytest.raises(BrokerUnreachable) as not_sent:
            await connection.ask_broker("broker-a", free_address, code, QUEUE)
        assert not not_sent.value.maybe_done
        silent.handlers[code] = lambda _: silent.stop()
        with pytest.raises(BrokerUnreachable) as sent:
            await connection.ask_broker("broker-a", silent.address, code, QUEUE)
        assert sent.value.maybe_done


@pytest.mark.parametrize("header", [None, {}, {"offset": "abc"}, {"offset": "5.0"}])
async def test_an_answer_without_a_readable_header_is_a_bad_reply(toolbox: Any, header: dict[str, str] | None) -> None:
    broker = await toolbox.serve({RequestCode.GET_MAX_OFFSET: lambda _: toolbox.reply(0, header)})
    async with ClusterConnection([broker.address]) as connection:
        answer = await connection.ask_broker("broker-a", broker.address, RequestCode.GET_MAX_OFFSET, QUEUE)
        with pytest.raises(BadReply, match="broker-a"):
            answer.header(OffsetResponseHeader)


async def test_errors_of_the_body_leave_the_connection_as_they_are() -> None:
    with pytest.raises(ZeroDivisionError):
        async with ClusterConnection(["127.0.0.1:1"]):
            raise ZeroDivisionError


async def test_a_route_is_looked_up_at_every_nameserver_before_it_counts_as_missing(toolbox: Any) -> None:
    restarted = await toolbox.serve({RequestCode.GET_ROUTEINTO_BY_TOPIC: toolbox.no_route})
    knowing = await toolbox.nameserver({"broker-b": "127.0.0.1:2", "broker-a": "127.0.0.1:1"}, queues=2)
    async with ClusterConnection([restarted.address, knowing.address]) as connection:
        route = await RouteTable(connection).get("T")
    assert [part.broker for part in route.brokers] == ["broker-a", "broker-b"]
    assert [(queue.broker_name, queue.queue_id) for queue in route.publish_queues()] == [
        ("broker-a", 0),
        ("broker-a", 1),
        ("broker-b", 0),
        ("broker-b", 1),
    ]


async def test_a_route_with_absurd_counts_is_refused_instead_of_filling_the_memory(toolbox: Any) -> None:
    server = await toolbox.nameserver({"broker-a": "127.0.0.1:1"}, queues=2**31 - 1)
    async with ClusterConnection([server.address]) as connection:
        with pytest.raises(BadReply, match="can't be read"):
            await RouteTable(connection).get("T")


async def test_a_broker_without_a_master_takes_no_messages_but_may_be_read(toolbox: Any) -> None:
    server = await toolbox.nameserver({"broker-a": "", "broker-b": "127.0.0.1:2"})
    async with ClusterConnection([server.address]) as connection:
        route = await RouteTable(connection).get("T")
    assert [queue.broker_name for queue in route.publish_queues()] == ["broker-b"]
    assert [queue.broker_name for queue in route.subscribe_queues()] == ["broker-a", "broker-b"]
