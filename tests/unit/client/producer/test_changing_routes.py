"""Sending while the route changes: brokers that go and come, the order configuration, a producer that is cancelled."""

from collections.abc import Callable
from typing import Any, cast

import pytest
import trio

from rmqctl.client import (
    BrokerUnreachable,
    ClientError,
    InvalidArgument,
    MessageQueue,
    NoMaster,
    NoQueue,
    Producer,
    SendResult,
)
from rmqctl.client.answers import Submission
from rmqctl.client.producer.delivery import Delivery
from rmqctl.client.producer.pending_sends import PendingSend, PendingSends
from rmqctl.client.producer.queue_choice import Placement, TopicTargets, order_hash
from rmqctl.client.producer.send_request import SendRequest
from rmqctl.client.routes import BrokerRoute, TopicRoute
from rmqnode.protocol.codes import RequestCode

SEND = RequestCode.SEND_MESSAGE_V2
ORDERED = TopicRoute("T", (BrokerRoute("broker-b", "C", {0: "b:1"}, 4, 4, 6),), "broker-b:2;broker-a:3")


def stored(toolbox: Any) -> Any:
    def answer(request: Any) -> Any:
        return toolbox.reply(0, {"msgId": "00" * 16, "queueId": request.ext_fields["e"], "queueOffset": "7"})

    return answer


def queue_of(broker: str, queue_id: int = 0) -> MessageQueue:
    return MessageQueue(topic="T", broker_name=broker, queue_id=queue_id)


@pytest.mark.parametrize("begun_without", [True, False], ids=["awaited", "submitted"])
async def test_a_chosen_queue_of_a_broker_that_came_back_is_found_at_once(toolbox: Any, *, begun_without: bool) -> None:
    brokers = {name: await toolbox.serve({SEND: stored(toolbox)}) for name in ("broker-a", "broker-b")}
    addresses = {name: server.address for name, server in brokers.items()}
    known = {**addresses, "broker-b": ""}

    nameserver = await toolbox.serve(
        {RequestCode.GET_ROUTEINTO_BY_TOPIC: lambda _: toolbox.reply(body=toolbox.route_body(known))}
    )
    async with Producer("tests", nameserver=nameserver.address) as producer:
        await producer.send("T", "x")
        with pytest.raises(NoMaster, match="broker-b has no master"):
            await producer.send("T", "x", queue=queue_of("broker-b"))
        known.update(addresses)
        if begun_without:
            result = await producer.send("T", "x", queue=queue_of("broker-b"))
        else:
            result = await (await producer.send_async("T", "x", queue=queue_of("broker-b"))).result()
    assert result.broker == "broker-b"


async def test_a_topic_whose_only_master_came_back_takes_messages_at_once(toolbox: Any) -> None:
    broker = await toolbox.serve({SEND: stored(toolbox)})
    known = {"broker-a": ""}
    nameserver = await toolbox.serve(
        {RequestCode.GET_ROUTEINTO_BY_TOPIC: lambda _: toolbox.reply(body=toolbox.route_body(known))}
    )
    async with Producer("tests", nameserver=nameserver.address) as producer:
        with pytest.raises(NoQueue, match="no broker takes messages for topic T now"):
            await producer.send("T", "x")
        known["broker-a"] = broker.address
        assert (await producer.send("T", "x")).broker == "broker-a"


async def test_a_queue_that_the_topic_does_not_have_is_refused_here(toolbox: Any) -> None:
    broker = await toolbox.serve({SEND: stored(toolbox)})
    nameserver = await toolbox.nameserver({"broker-a": broker.address}, queues=2)
    async with Producer("tests", nameserver=nameserver.address) as producer:
        for wrong in (queue_of("broker-a", 2), queue_of("broker-x"), queue_of("broker-a", -1)):
            with pytest.raises(InvalidArgument, match="can't be sent to"):
                await producer.send("T", "x", queue=wrong)
    assert not broker.requests_of(SEND)


def test_an_ordered_topic_has_the_queues_of_its_order_configuration_in_that_order() -> None:
    queues = ORDERED.publish_queues()
    assert [(queue.broker_name, queue.queue_id) for queue in queues] == [
        ("broker-b", 0),
        ("broker-b", 1),
        ("broker-a", 0),
        ("broker-a", 1),
        ("broker-a", 2),
    ]


@pytest.mark.parametrize("conf", ["", "broker-a", "broker-a:x", ":4", "broker-a:99999999", ";"])
def test_an_order_configuration_that_is_none_changes_nothing(conf: str) -> None:
    route = TopicRoute("T", ORDERED.brokers, conf)
    assert [queue.queue_id for queue in route.publish_queues()] == [0, 1, 2, 3]


def test_keys_of_an_ordered_topic_stay_with_their_queue_when_its_broker_is_away() -> None:
    targets = TopicTargets(ORDERED)
    keys = {order_hash(key) % 5: key for key in map(str, range(50))}
    assert targets.choose(Placement(order_key=keys[1]), (), None) == (queue_of("broker-b", 1), "b:1")
    with pytest.raises(NoMaster, match="broker-a has no master"):
        targets.choose(Placement(order_key=keys[3]), (), None)
    free = {targets.choose(Placement(), (), None) for _ in range(10)}
    assert {target.queue.broker_name for target in free} == {"broker-b"}, "what has no key goes where it is taken"


async def test_cancelling_a_producer_with_sends_on_their_way_is_only_a_cancellation(toolbox: Any) -> None:
    broker = await toolbox.serve({SEND: lambda _: None})
    nameserver = await toolbox.nameserver({"broker-a": broker.address})
    outcomes: list[object] = []
    with trio.CancelScope() as scope:
        async with Producer("tests", nameserver=nameserver.address) as producer:
            for _ in range(20):
                await producer.send_async("T", "x", callback=outcomes.append)
            await toolbox.wait_until(lambda: len(broker.requests_of(SEND)) > 5, "sends are on their way")
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert len(outcomes) == 20, "each has an outcome"
    assert not any(isinstance(outcome, SendResult) for outcome in outcomes)


class HeldDelivery:
    """Keeps what takes the outcomes of messages, and would send each again."""

    def __init__(self) -> None:
        self.takers: list[Callable[[ClientError, MessageQueue], None]] = []

    def submit(self, request: object, placement: object, take: Callable[[ClientError, MessageQueue], None]) -> object:
        self.takers.append(take)
        return Submission("broker-a", "127.0.0.1:1", SEND, "T", lambda: None)

    def can_repeat(self, error: ClientError, topic: str) -> bool:
        return True


async def test_what_closing_connections_give_back_after_a_cancellation_is_not_sent_again() -> None:
    delivery = HeldDelivery()
    sends = PendingSends(cast("Delivery", delivery), count_max=10)
    pending = PendingSend(SendRequest(SEND, "T", b"x", "", 0, 0, ("id",)), Placement(), 3, None)
    async with trio.open_nursery() as nursery:
        await nursery.start(sends.run)
        await sends.start(pending)
        nursery.cancel_scope.cancel()
    broken = BrokerUnreachable("broker-a", "127.0.0.1:1", SEND, "closed", maybe_done=True)
    for take in delivery.takers:
        take(broken, queue_of("broker-a"))
    with pytest.raises(ClientError, match="closed before the message had its result"):
        await pending.result()


@pytest.mark.parametrize(
    "options",
    [{"retries": -1}, {"pending_max": 0}, {"message_size_bytes_max": 0}, {"timeout_seconds": 0}],
    ids=lambda options: next(iter(options)),
)
def test_an_option_that_makes_no_sense_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument, match=f"{next(iter(options))}=.* makes no sense"):
        Producer("tests", nameserver="127.0.0.1:9876", **options)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"keys": "abc"}, "keys='abc' is one text"),
        ({"key": 7}, "message key 7 is no text"),
        ({"properties": {"price": 7}}, "the value of property price 7 is no text"),
    ],
)
async def test_a_key_or_property_that_is_no_text_is_refused(toolbox: Any, options: Any, what: str) -> None:
    nameserver = await toolbox.nameserver({"broker-a": "127.0.0.1:1"})
    async with Producer("tests", nameserver=nameserver.address) as producer:
        with pytest.raises(InvalidArgument, match=what):
            await producer.send("T", "x", **options)
