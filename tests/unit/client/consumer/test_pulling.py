"""Pulling one queue over real sockets: what each answer and each error means for the next pull."""

from functools import partial
from typing import Any

import pytest
import trio

from rmqctl.client import ClusterConnection, Earliest, RouteTable
from rmqctl.client.consumer.group_member import GroupMember
from rmqctl.client.consumer.group_requests import GroupRequests
from rmqctl.client.consumer.offset_store import RemoteOffsetStore
from rmqctl.client.consumer.process_queue import ProcessQueue, QueueLimits
from rmqctl.client.consumer.pulling import QueuePuller
from rmqctl.client.consumer.selector import selector
from rmqctl.client.consumer.topics import Topics
from rmqnode.protocol.bodies import BrokerData, MessageQueue, QueueData, TopicRouteData
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.command import Command
from rmqnode.protocol.headers import PullMessageResponseHeader

QUEUE = MessageQueue(topic="orders", broker_name="broker-a", queue_id=0)


class PulledBroker:
    """A master and a slave that answer pulls as told, one after the other; then pulls are held."""

    def __init__(self, toolbox: Any) -> None:
        self._toolbox = toolbox
        self.answers: list[Command] = []
        self.pulls: list[tuple[str, dict[str, str]]] = []
        self.committed: list[dict[str, str]] = []
        self.beats = 0

    def answer(self, code: int, next_offset: int, *, suggested_broker_id: int = 0) -> None:
        header = PullMessageResponseHeader(
            suggest_which_broker_id=suggested_broker_id, next_begin_offset=next_offset, min_offset=0, max_offset=100
        )
        self.answers.append(self._toolbox.reply(code, header))

    def refuse(self, code: int) -> None:
        self.answers.append(self._toolbox.reply(code))

    async def start(self) -> str:
        """Serve; returns the address of a nameserver that routes the topic."""
        addresses = {}
        for broker_id, role in enumerate(("master", "slave")):
            handlers = {
                RequestCode.PULL_MESSAGE: partial(self._pull, role),
                RequestCode.UPDATE_CONSUMER_OFFSET: self._commit,
            }
            addresses[broker_id] = (await self._toolbox.serve(handlers)).address
        route = TopicRouteData(
            queue_datas=[QueueData(broker_name="broker-a", read_queue_nums=1, write_queue_nums=1, perm=6)],
            broker_datas=[BrokerData(cluster="C", broker_name="broker-a", broker_addrs=addresses)],
        )
        nameserver = await self._toolbox.serve(
            {RequestCode.GET_ROUTEINTO_BY_TOPIC: lambda _: self._toolbox.reply(0, body=route.encode())}
        )
        return str(nameserver.address)

    def member(self, connection: ClusterConnection, *, commits_in_passing: bool) -> GroupMember:
        """Somebody who pulls."""
        topics = Topics(RouteTable(connection))
        topics.subscribe(selector("orders", "a"))
        requests = GroupRequests(connection, topics, "g", "me")
        return GroupMember(
            "g",
            "me",
            topics,
            requests,
            RemoteOffsetStore(requests),
            self._beat,
            start=Earliest(),
            limits=QueueLimits(),
            commits_in_passing=commits_in_passing,
        )

    async def _beat(self) -> None:
        self.beats += 1

    async def _pull(self, role: str, request: Command) -> Command:
        assert request.ext_fields is not None
        self.pulls.append((role, request.ext_fields))
        if not self.answers:
            await trio.sleep_forever()
        return self.answers.pop(0)

    async def _commit(self, request: Command) -> Command:
        assert request.ext_fields is not None
        self.committed.append(request.ext_fields)
        reply: Command = self._toolbox.reply()
        return reply


@pytest.fixture
async def broker(toolbox: Any) -> PulledBroker:
    return PulledBroker(toolbox)


async def pull(
    broker: PulledBroker, toolbox: Any, count: int, *, start: int = 0, commits_in_passing: bool = True
) -> GroupMember:
    """Pull until so many pulls have arrived, or the puller ends by itself."""
    async with ClusterConnection([await broker.start()]) as connection, trio.open_nursery() as nursery:
        member = broker.member(connection, commits_in_passing=commits_in_passing)
        process_queue = ProcessQueue(QUEUE, member.limits)
        puller = QueuePuller(member, process_queue, start, lambda _, messages: None)
        ended = trio.Event()

        async def run() -> None:
            await puller.run()
            ended.set()

        nursery.start_soon(run)
        await toolbox.wait_until(lambda: len(broker.pulls) >= count or ended.is_set(), f"{count} pulls")
        nursery.cancel_scope.cancel()
    return member


async def test_a_pull_asks_for_what_java_asks_for(broker: PulledBroker, toolbox: Any) -> None:
    await pull(broker, toolbox, 1, start=7)
    ((role, fields),) = broker.pulls
    assert role == "master"
    assert {key: fields[key] for key in ("consumerGroup", "topic", "queueId", "queueOffset", "maxMsgNums")} == {
        "consumerGroup": "g",
        "topic": "orders",
        "queueId": "0",
        "queueOffset": "7",
        "maxMsgNums": "32",
    }
    assert (fields["sysFlag"], fields["suspendTimeoutMillis"], fields["expressionType"]) == ("2", "15000", "TAG")
    assert "subscription" not in fields


@pytest.mark.parametrize("code", [ResponseCode.PULL_NOT_FOUND, ResponseCode.PULL_RETRY_IMMEDIATELY])
async def test_what_is_not_wanted_is_passed_over_and_counts_as_consumed(
    broker: PulledBroker, toolbox: Any, code: ResponseCode
) -> None:
    broker.answer(code, 50)
    member = await pull(broker, toolbox, 2)
    assert [fields["queueOffset"] for _, fields in broker.pulls] == ["0", "50"]
    assert member.offsets.known(QUEUE) == 50
    # The next pull brings the offset along: flag 1 is to commit it, 2 to hold the pull.
    assert (broker.pulls[1][1]["commitOffset"], broker.pulls[1][1]["sysFlag"]) == ("50", "3")


async def test_offsets_do_not_go_along_with_pulls_unless_that_is_wanted(broker: PulledBroker, toolbox: Any) -> None:
    broker.answer(ResponseCode.PULL_RETRY_IMMEDIATELY, 50)
    await pull(broker, toolbox, 2, commits_in_passing=False)
    assert (broker.pulls[1][1]["commitOffset"], broker.pulls[1][1]["sysFlag"]) == ("0", "2")


async def test_the_suggested_slave_is_read_and_not_committed_to(broker: PulledBroker, toolbox: Any) -> None:
    broker.answer(ResponseCode.PULL_RETRY_IMMEDIATELY, 50, suggested_broker_id=1)
    broker.answer(ResponseCode.PULL_RETRY_IMMEDIATELY, 60, suggested_broker_id=0)
    await pull(broker, toolbox, 3)
    assert [role for role, _ in broker.pulls] == ["master", "slave", "master"]
    assert [fields["sysFlag"] for _, fields in broker.pulls] == ["2", "2", "3"]


async def test_a_broker_that_does_not_know_the_group_gets_a_heartbeat(broker: PulledBroker, toolbox: Any) -> None:
    broker.refuse(ResponseCode.SUBSCRIPTION_NOT_EXIST)
    broker.refuse(ResponseCode.SUBSCRIPTION_NOT_LATEST)
    await pull(broker, toolbox, 3)
    assert broker.beats == 2
    assert [fields["queueOffset"] for _, fields in broker.pulls] == ["0", "0", "0"]


async def test_errors_are_waited_out(broker: PulledBroker, toolbox: Any) -> None:
    broker.refuse(ResponseCode.SYSTEM_ERROR)
    broker.refuse(ResponseCode.SYSTEM_BUSY)
    started_at = trio.current_time()
    await pull(broker, toolbox, 3)
    assert trio.current_time() - started_at >= 0.3
    assert broker.beats == 0


async def test_an_illegal_offset_ends_the_puller_with_the_right_one_persisted(
    broker: PulledBroker, toolbox: Any
) -> None:
    broker.answer(ResponseCode.PULL_OFFSET_MOVED, 30)
    member = await pull(broker, toolbox, 2)
    assert len(broker.pulls) == 1
    assert member.offsets.known(QUEUE) == 30
    assert [fields["commitOffset"] for fields in broker.committed] == ["30"]


async def test_a_broker_that_does_not_hold_pulls_is_not_asked_without_a_pause(
    broker: PulledBroker, toolbox: Any
) -> None:
    for _ in range(3):
        broker.answer(ResponseCode.PULL_NOT_FOUND, 0)
    started_at = trio.current_time()
    await pull(broker, toolbox, 4)
    assert trio.current_time() - started_at >= 0.3
