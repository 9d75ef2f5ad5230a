"""Sending: what goes over the wire, which queue is taken, what is tried again and what is not."""

import zlib
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import trio

from rmqctl.client import (
    BrokerUnreachable,
    Client,
    ClientError,
    InvalidArgument,
    Message,
    NoQueue,
    Producer,
    RequestRefused,
    RequestTimedOut,
    SendResult,
    SendStatus,
    TopicNotFound,
)
from rmqctl.client.producer.queue_choice import choose_queue
from rmqctl.client.routes import BrokerRoute, TopicRoute
from rmqnode.protocol.bodies import MessageQueue
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.command import FLAG_ONEWAY, Command
from rmqnode.protocol.header_fields import header_from_ext_fields
from rmqnode.protocol.headers import SendMessageRequestHeaderV2
from rmqnode.protocol.message import decode_batch
from rmqnode.protocol.message_id import decode_offset_message_id
from rmqnode.protocol.properties import decode_properties

SEND = RequestCode.SEND_MESSAGE_V2


def stored(toolbox: Any, code: int = 0) -> Any:
    def answer(request: Any) -> Any:
        queue_id = request.ext_fields["e"]
        return toolbox.reply(code, {"msgId": "00" * 16, "queueId": queue_id, "queueOffset": "7"})

    return answer


def producer_of(nameserver: Any, **options: Any) -> Producer:
    return Producer("tests", nameserver=nameserver.address, **options)


def header_of(request: Command) -> SendMessageRequestHeaderV2:
    return header_from_ext_fields(SendMessageRequestHeaderV2, request.ext_fields or {})


def properties_of(request: Command) -> dict[str, str]:
    return decode_properties(header_of(request).properties or "")


async def test_a_send_carries_the_letters_the_properties_and_the_body(toolbox: Any) -> None:
    broker = await toolbox.serve({SEND: stored(toolbox)})
    nameserver = await toolbox.nameserver({"broker-a": broker.address})
    async with producer_of(nameserver) as producer:
        result = await producer.send(Message("T", b"\x00body\xff", tag="paid", properties={"a": "b"}))
    (request,) = broker.requests_of(SEND)
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
    async with producer_of(nameserver) as producer:
        assert (await producer.send(Message("T", b"x"))).status == status


async def test_messages_go_to_all_queues_in_turn(toolbox: Any) -> None:
    brokers = {name: await toolbox.serve({SEND: stored(toolbox)}) for name in ("broker-a", "broker-b")}
    nameserver = await toolbox.nameserver({name: broker.address for name, broker in brokers.items()}, queues=2)
    async with producer_of(nameserver) as producer:
        results = [await producer.send(Message("T", b"x")) for _ in range(8)]
    assert Counter((result.broker, result.queue_id) for result in results) == dict.fromkeys(
        [("broker-a", 0), ("broker-a", 1), ("broker-b", 0), ("broker-b", 1)], 2
    )
    assert len({result.message_id for result in results}) == 8
    assert len(nameserver.requests) == 1, "the route is looked up once"


async def test_a_broker_that_can_not_be_reached_is_passed_over(toolbox: Any, free_address: str) -> None:
    broker = await toolbox.serve({SEND: stored(toolbox)})
    nameserver = await toolbox.nameserver({"broker-a": free_address, "broker-b": broker.address})
    async with producer_of(nameserver) as producer:
        results = [await producer.send(Message("T", b"x")) for _ in range(4)]
    assert {result.broker for result in results} == {"broker-b"}


@pytest.mark.parametrize("code", [ResponseCode.SERVICE_NOT_AVAILABLE, ResponseCode.TOPIC_NOT_EXIST])
async def test_a_broker_that_takes_no_writes_is_passed_over(toolbox: Any, code: int) -> None:
    full = await toolbox.serve({SEND: lambda _: toolbox.reply(code, remark="no")})
    broker = await toolbox.serve({SEND: stored(toolbox)})
    nameserver = await toolbox.nameserver({"broker-a": full.address, "broker-b": broker.address})
    async with producer_of(nameserver) as producer:
        assert {(await producer.send(Message("T", b"x"))).broker for _ in range(2)} == {"broker-b"}
    assert full.requests_of(SEND)


@pytest.mark.parametrize("may_duplicate", [True, False])
async def test_a_send_that_may_be_stored_is_repeated_if_duplicates_are_allowed(
    toolbox: Any, may_duplicate: bool
) -> None:
    def die(_: Any) -> None:
        servers["broker-a"].stop()

    servers = {"broker-a": await toolbox.serve({SEND: die}), "broker-b": await toolbox.serve({SEND: stored(toolbox)})}
    nameserver = await toolbox.nameserver({name: server.address for name, server in servers.items()})
    errors: list[BrokerUnreachable] = []
    async with producer_of(nameserver, may_duplicate=may_duplicate) as producer:
        for _ in range(2):
            try:
                assert (await producer.send(Message("T", b"x"))).broker == "broker-b"
            except BrokerUnreachable as error:
                errors.append(error)
    assert [error.maybe_done for error in errors] == ([] if may_duplicate else [True])
    assert len(servers["broker-a"].requests_of(SEND)) == 1


async def test_a_refusal_that_any_broker_would_repeat_is_raised_at_once(toolbox: Any) -> None:
    servers = {
        name: await toolbox.serve({SEND: lambda _: toolbox.reply(ResponseCode.MESSAGE_ILLEGAL, remark="too large")})
        for name in ("broker-a", "broker-b")
    }
    nameserver = await toolbox.nameserver({name: server.address for name, server in servers.items()})
    async with producer_of(nameserver) as producer:
        with pytest.raises(RequestRefused, match="MESSAGE_ILLEGAL"):
            await producer.send(Message("T", b"x"))
    assert sum(len(server.requests_of(SEND)) for server in servers.values()) == 1


async def test_an_unknown_topic_and_a_read_only_one_are_refused_here(toolbox: Any) -> None:
    empty = await toolbox.serve({RequestCode.GET_ROUTEINTO_BY_TOPIC: toolbox.no_route})
    read_only = await toolbox.nameserver({"broker-a": "127.0.0.1:1"}, perm=4)
    async with producer_of(empty) as producer:
        with pytest.raises(TopicNotFound):
            await producer.send(Message("T", b"x"))
    async with producer_of(read_only) as producer:
        with pytest.raises(NoQueue) as caught:
            await producer.send(Message("T", b"x"))
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


async def test_any_json_value_text_or_bytes_is_a_body_and_the_destination_names_the_tag(toolbox: Any) -> None:
    broker = await toolbox.serve({SEND: stored(toolbox)})
    nameserver = await toolbox.nameserver({"broker-a": broker.address})
    async with producer_of(nameserver) as producer:
        await producer.send("T:paid", {"id": 7, "what": "付款"}, key="7", keys=("a", "b"), delay_level=3, flag=-9)
        for content in ("已付款", b"\x00\xff", [1, None, 2.5], bytearray(b"x"), True):
            await producer.send("T", content, wait_stored=False)
        with pytest.raises(InvalidArgument, match="a body can't be made of this object"):
            await producer.send("T", object())
    first, *rest = broker.requests_of(SEND)
    assert first.body == '{"id":7,"what":"付款"}'.encode()
    assert header_of(first).flag == -9
    properties = properties_of(first)
    assert (properties["TAGS"], properties["KEYS"], properties["DELAY"], properties["WAIT"]) == (
        "paid",
        "7 a b",
        "3",
        "true",
    )
    assert [request.body for request in rest] == ["已付款".encode(), b"\x00\xff", b"[1,null,2.5]", b"x", b"true"]
    assert properties_of(rest[0])["WAIT"] == "false"


async def test_large_bodies_are_compressed_and_too_large_ones_refused_before_they_are_sent(toolbox: Any) -> None:
    broker = await toolbox.serve({SEND: stored(toolbox)})
    nameserver = await toolbox.nameserver({"broker-a": broker.address})
    async with producer_of(nameserver, message_size_bytes_max=10_000) as producer:
        for size in (4095, 4096):
            await producer.send("T", b"x" * size)
        with pytest.raises(InvalidArgument, match="the message body has 10001 bytes"):
            await producer.send("T", b"x" * 10_001)
        with pytest.raises(InvalidArgument, match="the properties of the message have"):
            await producer.send("T", b"x", properties={"p": "已" * 11_000})
        with pytest.raises(InvalidArgument, match="illegal character"):
            await producer.send("T.x", b"x")
        with pytest.raises(InvalidArgument, match="the message body is empty"):
            await producer.send("T")
    plain, compressed = broker.requests_of(SEND)
    assert (header_of(plain).sys_flag, plain.body) == (0, b"x" * 4095)
    assert (header_of(compressed).sys_flag, zlib.decompress(compressed.body)) == (1, b"x" * 4096)


async def test_a_queue_a_selector_or_an_order_key_say_where_a_message_goes(toolbox: Any) -> None:
    brokers = {name: await toolbox.serve({SEND: stored(toolbox)}) for name in ("broker-a", "broker-b")}
    nameserver = await toolbox.nameserver({name: broker.address for name, broker in brokers.items()}, queues=4)
    queue = MessageQueue(topic="T", broker_name="broker-b", queue_id=3)
    async with producer_of(nameserver) as producer:
        chosen = await producer.send("T", "x", queue=queue)
        selected = await producer.send("T", "x", select=lambda queues: queues[5])
        # Java: "hello".hashCode() is 99162322, and that modulo 8 is 2.
        ordered = [await producer.send("T", "x", order_key="hello") for _ in range(3)]
        numbered = [await producer.send("T", "x", order_key=number) for number in range(8)]
        with pytest.raises(InvalidArgument, match="given together"):
            await producer.send("T", "x", queue=queue, order_key=1)
        with pytest.raises(InvalidArgument, match="topic U can't be sent to"):
            await producer.send("T", "x", queue=MessageQueue(topic="U", broker_name="broker-a"))
    assert (chosen.broker, chosen.queue_id) == ("broker-b", 3)
    assert (selected.broker, selected.queue_id) == ("broker-b", 1)
    assert {(result.broker, result.queue_id) for result in ordered} == {("broker-a", 2)}
    assert [(result.broker, result.queue_id) for result in numbered] == [
        (broker, queue_id) for broker in ("broker-a", "broker-b") for queue_id in range(4)
    ]


async def test_a_send_to_a_chosen_queue_is_not_moved_to_another_broker(toolbox: Any, free_address: str) -> None:
    broker = await toolbox.serve({SEND: stored(toolbox)})
    nameserver = await toolbox.nameserver({"broker-a": free_address, "broker-b": broker.address})
    async with producer_of(nameserver) as producer:
        with pytest.raises(BrokerUnreachable) as caught:
            await producer.send("T", "x", queue=MessageQueue(topic="T", broker_name="broker-a"))
    assert "for topic T" in caught.value.what


async def test_a_broker_that_does_not_answer_costs_the_time_that_was_given_and_no_second_send(toolbox: Any) -> None:
    servers = {name: await toolbox.serve({SEND: lambda _: None}) for name in ("broker-a", "broker-b")}
    nameserver = await toolbox.nameserver({name: server.address for name, server in servers.items()})
    async with producer_of(nameserver) as producer:
        with pytest.raises(RequestTimedOut) as caught:
            await producer.send("T", "x", timeout_seconds=0.2)
    assert "SEND_MESSAGE_V2 (310) for topic T within 0." in caught.value.what
    assert sum(len(server.requests_of(SEND)) for server in servers.values()) == 1


async def test_asynchronous_sends_have_their_results_later_or_by_a_callback(toolbox: Any) -> None:
    broker = await toolbox.serve({SEND: stored(toolbox)})
    nameserver = await toolbox.nameserver({"broker-a": broker.address}, queues=4)
    seen: list[SendResult | ClientError] = []
    async with producer_of(nameserver, pending_max=10) as producer:
        pending = [await producer.send_async("T", str(number), callback=seen.append) for number in range(100)]
        results = [await each.result() for each in pending]
        assert all(each.is_done for each in pending)
    assert {result.message_id for result in results} == {
        each.message_id for each in seen if isinstance(each, SendResult)
    }
    assert Counter(request.body for request in broker.requests_of(SEND)) == Counter(b"%d" % n for n in range(100))
    assert {result.status for result in results} == {SendStatus.SEND_OK}


async def test_no_more_asynchronous_sends_are_on_their_way_than_allowed(toolbox: Any) -> None:
    release = trio.Event()

    async def late(request: Command) -> Command:
        await release.wait()
        answer: Command = stored(toolbox)(request)
        return answer

    broker = await toolbox.serve({SEND: late})
    nameserver = await toolbox.nameserver({"broker-a": broker.address})
    async with producer_of(nameserver, pending_max=3) as producer:
        for _ in range(3):
            await producer.send_async("T", "x")
        with trio.move_on_after(0.1) as scope:
            await producer.send_async("T", "one too many")
        assert scope.cancelled_caught
        release.set()
        await producer.send_async("T", "x")
        await producer.flush()
        assert len(broker.requests_of(SEND)) == 4


async def test_asynchronous_sends_are_tried_on_another_broker_and_time_out_alone(
    toolbox: Any, free_address: str
) -> None:
    def answer(request: Command) -> Command | None:
        reply: Command = stored(toolbox)(request)
        return None if request.body == b"never" else reply

    refusing = await toolbox.serve({SEND: lambda _: toolbox.reply(ResponseCode.SERVICE_NOT_AVAILABLE)})
    broker = await toolbox.serve({SEND: answer})
    addresses = {"broker-a": refusing.address, "broker-b": broker.address, "broker-c": free_address}
    nameserver = await toolbox.nameserver(addresses)
    async with producer_of(nameserver) as producer:
        pending = [await producer.send_async("T", "x") for _ in range(30)]
        results = [await each.result() for each in pending]
        assert {result.broker for result in results} == {"broker-b"}
        never = await producer.send_async(
            "T", "never", queue=MessageQueue(topic="T", broker_name="broker-b"), timeout_seconds=0.1
        )
        with pytest.raises(RequestTimedOut, match="SEND_MESSAGE_V2"):
            await never.result()
        with pytest.raises(RequestTimedOut):
            await never.result()


async def test_ordered_asynchronous_sends_keep_their_order_from_the_first_on(toolbox: Any) -> None:
    broker = await toolbox.serve({SEND: stored(toolbox)})
    nameserver = await toolbox.nameserver({"broker-a": broker.address})
    async with producer_of(nameserver, pending_max=50) as producer:
        for number in range(200):
            await producer.send_async("T", str(number), order_key="k")
        await producer.flush()
    opaques = {int(request.body): request.opaque for request in broker.requests_of(SEND)}
    assert sorted(opaques, key=opaques.__getitem__) == list(range(200))


async def test_what_is_on_its_way_when_a_producer_is_left_has_an_outcome(toolbox: Any) -> None:
    broker = await toolbox.serve({SEND: lambda _: None})
    nameserver = await toolbox.nameserver({"broker-a": broker.address})
    with trio.move_on_after(0.2):
        async with producer_of(nameserver) as producer:
            pending = await producer.send_async("T", "x")
            await trio.sleep_forever()
    with pytest.raises(ClientError, match="was closed before the message had its result"):
        await pending.result()


async def test_oneway_sends_want_no_answer_and_all_arrive_before_the_producer_is_gone(toolbox: Any) -> None:
    broker = await toolbox.serve({SEND: lambda _: None})
    nameserver = await toolbox.nameserver({"broker-a": broker.address})
    async with producer_of(nameserver) as producer:
        for number in range(50):
            await producer.send_oneway("T:t", f"{number}" * 1000)
    await toolbox.wait_until(lambda: len(broker.requests_of(SEND)) == 50, "fifty messages")
    assert all(request.flag & FLAG_ONEWAY for request in broker.requests_of(SEND))


def batch_answer(toolbox: Any) -> Callable[[Command], Command]:
    def answer(request: Command) -> Command:
        count = len(decode_batch(request.body))
        ids = ",".join(f"{index:032X}" for index in range(count))
        reply: Command = toolbox.reply(0, {"msgId": ids, "queueId": "0", "queueOffset": "40"})
        return reply

    return answer


async def test_a_batch_is_split_by_size_and_gives_each_message_its_result(toolbox: Any) -> None:
    broker = await toolbox.serve({RequestCode.SEND_BATCH_MESSAGE: batch_answer(toolbox)})
    nameserver = await toolbox.nameserver({"broker-a": broker.address})
    messages = [Message("T", b"%d" % number * 100, tag="t", keys=(f"k{number}",)) for number in range(10)]
    async with producer_of(nameserver) as producer:
        results = await producer.send_batch(messages, size_bytes_max=900)
    requests = broker.requests_of(RequestCode.SEND_BATCH_MESSAGE)
    parts = [part for request in requests for part in decode_batch(request.body)]
    assert len(requests) == 3
    assert all(len(request.body) <= 900 and header_of(request).batch for request in requests)
    assert [part.body for part in parts] == [message.body for message in messages]
    assert [decode_properties(part.properties.decode())["UNIQ_KEY"] for part in parts] == [
        result.message_id for result in results
    ]
    assert [result.queue_offset for result in results] == [40, 41, 42, 43, 40, 41, 42, 43, 40, 41]
    assert results[1].offset_message_id == f"{1:032X}"


@pytest.mark.parametrize(
    ("messages", "problem"),
    [
        ([], "without messages"),
        ([Message("T", b"x"), Message("U", b"x")], "a message for U"),
        ([Message("T", b"x", delay_level=1)], "a delayed message"),
        ([Message("T", b"x"), Message("T", b"x", wait_stored=False)], "others that do not"),
        ([Message("T", b"x" * 2000)], "larger than a batch of 1000"),
    ],
)
async def test_what_no_batch_can_carry_is_refused(toolbox: Any, messages: list[Message], problem: str) -> None:
    async with producer_of(await toolbox.nameserver({"broker-a": "127.0.0.1:1"})) as producer:
        with pytest.raises(InvalidArgument, match=problem):
            await producer.send_batch(messages, size_bytes_max=1000)


async def test_slow_and_failing_brokers_are_avoided_when_that_is_asked_for(toolbox: Any, free_address: str) -> None:
    broker = await toolbox.serve({SEND: stored(toolbox)})
    nameserver = await toolbox.nameserver({"broker-a": free_address, "broker-b": broker.address}, queues=4)
    async with producer_of(nameserver, avoid_slow_brokers=True, retries=0) as producer:
        failures = 0
        for _ in range(20):
            try:
                await producer.send("T", "x")
            except BrokerUnreachable:
                failures += 1
    assert failures <= 1


async def test_an_unknown_topic_goes_to_brokers_that_create_topics_if_that_is_asked_for(toolbox: Any) -> None:
    broker = await toolbox.serve({SEND: stored(toolbox)})

    def route(request: Command) -> Command:
        known = (request.ext_fields or {})["topic"] == "TBW102"
        body = toolbox.route_body({"broker-a": broker.address}, queues=8)
        answer: Command = toolbox.reply(body=body) if known else toolbox.no_route(request)
        return answer

    nameserver = await toolbox.serve({RequestCode.GET_ROUTEINTO_BY_TOPIC: route})
    async with producer_of(nameserver, auto_create_topic=True) as producer:
        results = [await producer.send("new", "x") for _ in range(8)]
    assert {result.queue_id for result in results} == {0, 1, 2, 3}
    assert header_of(broker.requests_of(SEND)[0]).topic == "new"


async def test_sends_go_on_with_the_known_route_when_the_nameserver_is_gone(toolbox: Any) -> None:
    broker = await toolbox.serve({SEND: stored(toolbox)})
    nameserver = await toolbox.nameserver({"broker-a": broker.address})
    async with producer_of(nameserver) as producer:
        await producer.send("T", "x")
        nameserver.stop()
        await broker.hang_up()
        for _ in range(3):
            assert (await producer.send("T", "x")).status == "SEND_OK"


async def test_sends_go_on_with_the_known_route_while_a_restarted_nameserver_knows_nothing(toolbox: Any) -> None:
    broker = await toolbox.serve({SEND: stored(toolbox)})
    nameserver = await toolbox.nameserver({"broker-a": broker.address})
    async with producer_of(nameserver) as producer:
        await producer.send("T", "x")
        nameserver.handlers[RequestCode.GET_ROUTEINTO_BY_TOPIC] = toolbox.no_route
        await producer.client.routes.refresh_known()
        await broker.hang_up()
        for _ in range(3):
            assert (await producer.send("T", "x")).status == "SEND_OK"
        with pytest.raises(TopicNotFound):
            await producer.send("U", "x")


async def test_producers_share_a_client_and_a_closed_one_says_so(toolbox: Any) -> None:
    broker = await toolbox.serve({SEND: stored(toolbox)})
    nameserver = await toolbox.nameserver({"broker-a": broker.address})
    async with Client(nameserver.address) as client:
        async with Producer("a", client=client) as first, Producer("b", client=client) as second:
            assert (await first.send("T", "x")).message_id != (await second.send("T", "x")).message_id
        assert len(broker.streams) == 1
        with pytest.raises(InvalidArgument, match="this Producer is not open"):
            await first.send_async("T", "x", order_key=None, queue=None, timeout_seconds=1)
        with pytest.raises(InvalidArgument, match="both given"):
            Producer("c", client=client, nameserver="127.0.0.1:1")
