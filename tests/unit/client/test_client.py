"""One client: heartbeats, requests of brokers, translated addresses, encryption."""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from rmqctl.client import BrokerUnreachable, Client, InvalidArgument, NameserverUnreachable
from rmqctl.client.broker_requests import BrokerRequest
from rmqnode.protocol.bodies import ConsumerData, HeartbeatData
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.command import FLAG_ONEWAY, Command
from rmqnode.protocol.routes import Reply

BEAT = RequestCode.HEART_BEAT
LEAVE = RequestCode.UNREGISTER_CLIENT
CHANGED = RequestCode.NOTIFY_CONSUMER_IDS_CHANGED


@pytest.fixture
async def broker(toolbox: Any) -> Any:
    return await toolbox.serve({BEAT: lambda _: toolbox.reply(), LEAVE: lambda _: toolbox.reply({})})


def groups_of(beat: Command) -> tuple[list[str], list[str]]:
    data = HeartbeatData.decode(beat.body)
    return [p.group_name for p in data.producer_data_set], [c.group_name for c in data.consumer_data_set]


async def test_brokers_learn_of_a_group_as_soon_as_its_topic_is_known_and_that_it_left(
    toolbox: Any, broker: Any
) -> None:
    nameserver = await toolbox.nameserver({"broker-a": broker.address})
    async with Client(nameserver.address, instance="one") as client:
        client.members.add_producer("orders")
        await client.routes.get("T")
        await toolbox.wait_until(lambda: broker.requests_of(BEAT), "a heartbeat")
        beat = broker.requests_of(BEAT)[0]
        assert groups_of(beat) == (["orders"], [])
        assert HeartbeatData.decode(beat.body).client_id == client.client_id == "127.0.0.1@one"
        await client.members.remove_producer("orders")
        (left,) = broker.requests_of(LEAVE)
        assert left.ext_fields == {"clientID": "127.0.0.1@one", "producerGroup": "orders"}


async def test_a_client_without_groups_sends_no_heartbeat(toolbox: Any, broker: Any) -> None:
    nameserver = await toolbox.nameserver({"broker-a": broker.address})
    async with Client(nameserver.address) as client:
        await client.routes.get("T")
        assert await client.members.beat()
    assert broker.requests == []


async def test_a_consumer_describes_itself_anew_for_each_heartbeat(toolbox: Any, broker: Any) -> None:
    nameserver = await toolbox.nameserver({"broker-a": broker.address})
    described: list[int] = []

    def describe() -> ConsumerData:
        described.append(1)
        return ConsumerData(group_name="readers")

    async with Client(nameserver.address) as client:
        await client.routes.get("T")
        client.members.add_consumer("readers", describe)
        assert await client.members.beat()
        assert await client.members.beat()
        assert len(described) >= 2
        assert groups_of(broker.requests_of(BEAT)[-1]) == ([], ["readers"])
        assert client.members.broker_versions[broker.address] == Command(code=0).version


async def test_one_client_has_a_group_once(toolbox: Any, free_address: str) -> None:
    client = Client(free_address)
    client.members.add_producer("orders")
    with pytest.raises(InvalidArgument, match="producer of group orders already"):
        client.members.add_producer("orders")


async def test_a_restarted_broker_is_told_at_once(toolbox: Any, broker: Any) -> None:
    nameserver = await toolbox.nameserver({"broker-a": broker.address})
    async with Client(nameserver.address) as client:
        client.members.add_producer("orders")
        await client.routes.get("T")
        await toolbox.wait_until(lambda: broker.requests_of(BEAT), "a heartbeat")
        broker.requests.clear()
        await broker.hang_up()
        await toolbox.wait_until(lambda: broker.requests_of(BEAT), "a heartbeat over the next connection")


async def test_a_broker_that_does_not_answer_keeps_no_other_from_a_heartbeat(
    toolbox: Any, broker: Any, free_address: str
) -> None:
    nameserver = await toolbox.nameserver({"broker-a": broker.address, "broker-b": free_address})
    async with Client(nameserver.address) as client:
        client.members.add_producer("orders")
        await client.routes.get("T")
        assert not await client.members.beat()
    assert broker.requests_of(BEAT)


async def test_requests_of_a_broker_reach_the_handler_of_their_group(toolbox: Any, broker: Any) -> None:
    nameserver = await toolbox.nameserver({"broker-a": broker.address})
    seen: list[tuple[str, str | None]] = []

    def handler(name: str) -> Callable[[BrokerRequest], Any]:
        async def handle(request: BrokerRequest) -> Reply | None:
            seen.append((name, request.group))
            return Reply(remark=f"by {name}")

        return handle

    async with Client(nameserver.address) as client:
        for group in ("a", "b"):
            client.requests.serve(CHANGED, group, handler(group))
        client.requests.serve(CHANGED, None, handler("anybody"))
        await client.connection.ask_broker("broker-a", broker.address, BEAT)
        for opaque, group in enumerate(("b", "a", "c")):
            await broker.ask_client(Command(code=CHANGED, opaque=opaque, ext_fields={"consumerGroup": group}))
        await toolbox.wait_until(lambda: len(broker.requests) == 4, "three answers")
        client.requests.stop_serving("a", CHANGED, RequestCode.CONSUME_MESSAGE_DIRECTLY)
        await broker.ask_client(Command(code=CHANGED, opaque=9, ext_fields={"consumerGroup": "a"}))
        await toolbox.wait_until(lambda: len(broker.requests) == 5, "another answer")
    assert sorted(seen) == [("a", "a"), ("anybody", "a"), ("anybody", "c"), ("b", "b")]
    answers = {answer.opaque: (answer.code, answer.remark) for answer in broker.requests[1:]}
    assert answers == {0: (0, "by b"), 1: (0, "by a"), 2: (0, "by anybody"), 9: (0, "by anybody")}


async def test_what_nobody_answers_and_what_fails_is_said_to_the_broker(toolbox: Any, broker: Any) -> None:
    nameserver = await toolbox.nameserver({"broker-a": broker.address})

    async def fail(_: BrokerRequest) -> Reply | None:
        raise ZeroDivisionError("a listener's bug")

    async with Client(nameserver.address) as client:
        client.requests.serve(CHANGED, "a", fail)
        await client.connection.ask_broker("broker-a", broker.address, BEAT)
        await broker.ask_client(Command(code=CHANGED, opaque=1, ext_fields={"consumerGroup": "a"}))
        await broker.ask_client(Command(code=CHANGED, opaque=2, ext_fields={"consumerGroup": "b"}))
        await broker.ask_client(Command(code=RequestCode.CHECK_TRANSACTION_STATE, opaque=3, body=b"no message"))
        await broker.ask_client(Command(code=CHANGED, opaque=4, flag=FLAG_ONEWAY, ext_fields={"consumerGroup": "b"}))
        await toolbox.wait_until(lambda: len(broker.requests) == 4, "three answers")
    answers = {answer.opaque: (answer.code, answer.remark) for answer in broker.requests[1:]}
    assert answers[1] == (ResponseCode.SYSTEM_ERROR, "ZeroDivisionError: a listener's bug")
    assert answers[2] == (
        ResponseCode.REQUEST_CODE_NOT_SUPPORTED,
        "this client does not answer NOTIFY_CONSUMER_IDS_CHANGED (40) for group b",
    )
    assert answers[3][0] == ResponseCode.SYSTEM_ERROR


async def test_watchers_hear_of_new_and_changed_routes_only(toolbox: Any, broker: Any) -> None:
    nameserver = await toolbox.nameserver({"broker-a": broker.address})
    async with Client(nameserver.address) as client:
        seen: list[str] = []
        stop = client.watch_routes(lambda route: seen.append(route.topic))
        for _ in range(2):
            await client.routes.refresh("T")
        assert seen == ["T"]
        nameserver.handlers[RequestCode.GET_ROUTEINTO_BY_TOPIC] = lambda _: toolbox.reply(
            body=toolbox.route_body({"broker-a": broker.address}, queues=2)
        )
        await client.routes.refresh_known()
        assert seen == ["T", "T"]
        stop()
        await client.routes.refresh("U")
        assert seen == ["T", "T"]


async def test_a_broker_is_reached_where_the_remap_says(toolbox: Any, broker: Any, free_address: str) -> None:
    port = broker.address.rpartition(":")[2]
    remap = {"192.0.2.7": "127.0.0.1", "192.0.2.8": free_address}
    async with Client("127.0.0.1:1", remap=remap) as client:
        await client.connection.ask_broker("broker-a", f"192.0.2.7:{port}", BEAT)
        with pytest.raises(BrokerUnreachable) as caught:
            await client.connection.ask_broker("broker-b", "192.0.2.8:10911", BEAT)
    assert caught.value.address == "192.0.2.8:10911"
    assert f"192.0.2.8:10911: reached as {free_address}: no connection" in str(caught.value)


async def test_every_connection_is_encrypted_when_a_context_is_given(toolbox: Any, broker: Any) -> None:
    folder = Path(__file__).parent / "tls"
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    nameserver = await toolbox.nameserver({"broker-a": broker.address})
    for server in (nameserver, broker):
        server.ssl_context = server_context
    broker.handlers[BEAT] = lambda request: toolbox.reply(body=request.body)
    context = ssl.create_default_context(cafile=folder / "certificate.pem")
    async with Client(nameserver.address, ssl_context=context) as client:
        await client.routes.get("T")
        large = bytes(range(256)) * 20_000  # more than a record, more than a read, more than a socket takes at once
        answers: list[bytes] = []

        async def ask() -> None:
            answer = await client.connection.ask_broker(
                "broker-a", broker.address, BEAT, body=large, timeout_seconds=30
            )
            answers.append(answer.payload)

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(ask)
        assert answers == [large] * 3
    async with Client(nameserver.address, ssl_context=ssl.create_default_context()) as client:
        with pytest.raises(NameserverUnreachable, match=r"no TLS connection: .*certificate verify failed"):
            await client.routes.get("T")


@pytest.mark.parametrize("first_bytes", [1_000, 100_000, 255_000, 1_000_000, 6_000_000])
async def test_what_a_slow_peer_does_not_take_over_tls_is_given_again_whole(
    toolbox: Any, broker: Any, first_bytes: int
) -> None:
    folder = Path(__file__).parent / "tls"
    broker.ssl_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    broker.ssl_context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    broker.handlers[BEAT] = lambda request: toolbox.reply(body=request.body)
    context = ssl.create_default_context(cafile=folder / "certificate.pem")
    sizes = [first_bytes, *(size for size in (3, 20_000, 70_000, 300_000, 2_000_000) for _ in range(4))]
    bodies = [bytes([number]) * size for number, size in enumerate(sizes)]
    answers: dict[int, bytes] = {}

    async def ask(number: int) -> None:
        answer = await client.connection.ask_broker(
            "broker-a", broker.address, BEAT, body=bodies[number], timeout_seconds=30
        )
        answers[number] = answer.payload

    async with Client("127.0.0.1:1", ssl_context=context) as client, trio.open_nursery() as nursery:
        for number in range(len(bodies)):
            nursery.start_soon(ask, number)
    assert all(answers[number] == body for number, body in enumerate(bodies))


def test_a_client_needs_a_nameserver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NAMESRV_ADDR", raising=False)
    with pytest.raises(InvalidArgument, match="no nameserver was named"):
        Client()
    monkeypatch.setenv("NAMESRV_ADDR", "10.0.0.1:9876;10.0.0.2:9876")
    assert Client().connection.nameservers == ("10.0.0.1:9876", "10.0.0.2:9876")
