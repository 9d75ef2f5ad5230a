"""Registration over real sockets: with every nameserver, after every change, and again with one that forgot."""

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from rmqnode.broker import registration as registration_module
from rmqnode.config import NameserverConfig
from rmqnode.nameserver.server import serve_nameserver
from rmqnode.net.client import RemotingClient
from rmqnode.protocol.bodies import TopicRouteData
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.command import Command
from rmqnode.protocol.headers import CreateTopicRequestHeader


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Nameserver:
    """A real nameserver on a fixed port, which the test can stop and start anew."""

    def __init__(self, folder: Path, nursery: trio.Nursery) -> None:
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self._folder = folder
        self._nursery = nursery
        self._scope = trio.CancelScope()
        self._ended = trio.Event()

    async def start(self) -> None:
        self._scope = trio.CancelScope()
        self._ended = trio.Event()
        await self._nursery.start(self._run)

    async def _run(self, task_status: trio.TaskStatus[Any]) -> None:
        config = NameserverConfig(
            listen_port=self.port,
            bind_address=("127.0.0.1",),
            kv_config_path=self._folder / f"kv{self.port}.json",
            config_store_path=self._folder / f"nameserver{self.port}.conf",
        )
        with self._scope:
            await serve_nameserver(config, task_status=task_status)
        self._ended.set()

    async def stop(self) -> None:
        self._scope.cancel()
        await self._ended.wait()


class Observer:
    """Asks a nameserver what clients ask."""

    def __init__(self, client: RemotingClient) -> None:
        self._client = client

    async def ask(self, nameserver: Nameserver, code: RequestCode, **fields: str) -> Command:
        return await self._client.request(nameserver.address, Command(code=code, ext_fields=fields))

    async def has_route(self, nameserver: Nameserver, topic: str) -> bool:
        answer = await self.ask(nameserver, RequestCode.GET_ROUTEINTO_BY_TOPIC, topic=topic)
        return answer.code == ResponseCode.SUCCESS

    async def wait_route(self, nameserver: Nameserver, topic: str) -> TopicRouteData:
        with trio.fail_after(10):
            while True:
                answer = await self.ask(nameserver, RequestCode.GET_ROUTEINTO_BY_TOPIC, topic=topic)
                if answer.code == ResponseCode.SUCCESS:
                    return TopicRouteData.decode(answer.body)
                await trio.sleep(0.005)


@pytest.fixture
async def nameservers(tmp_path: Path, nursery: trio.Nursery) -> AsyncIterator[list[Nameserver]]:
    """Two running nameservers that do not know each other."""
    both = [Nameserver(tmp_path, nursery) for _ in range(2)]
    for nameserver in both:
        await nameserver.start()
    yield both
    nursery.cancel_scope.cancel()


@pytest.fixture
async def observer() -> AsyncIterator[Observer]:
    """A client of the nameservers."""
    async with RemotingClient() as client:
        yield Observer(client)


@asynccontextmanager
async def registered(rig: Any) -> AsyncIterator[None]:
    """Run the registration of a broker as its server does."""
    async with trio.open_nursery() as services, rig.broker.registration.client:
        await rig.broker.registration.register()
        services.start_soon(rig.broker.registration.keep_registered)
        yield
        services.cancel_scope.cancel()


def make(make_rig: Callable[..., Any], nameservers: list[Nameserver], **keys: Any) -> Any:
    return make_rig(namesrv_addr=tuple(each.address for each in nameservers), **keys)


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(10):
        while not condition():
            await trio.testing.wait_all_tasks_blocked(0.001)


async def test_a_broker_is_in_every_nameservers_route_when_it_has_registered(
    make_rig: Callable[..., Any], nameservers: list[Nameserver], observer: Observer
) -> None:
    rig = make(make_rig, nameservers, listen_port=30_911)
    rig.create_topic("mine", read_queue_nums=3, write_queue_nums=2, perm=4)
    async with registered(rig):
        for nameserver in nameservers:
            route = await observer.wait_route(nameserver, "mine")
            assert [each.broker_addrs for each in route.broker_datas] == [{0: "127.0.0.1:30911"}]
            (queues,) = route.queue_datas
            assert (queues.read_queue_nums, queues.write_queue_nums, queues.perm) == (3, 2, 4)


async def test_a_topic_that_a_send_created_is_announced_at_once(
    make_rig: Callable[..., Any], nameservers: list[Nameserver], observer: Observer
) -> None:
    rig = make(make_rig, nameservers)
    async with registered(rig):
        rig.send("new")
        for nameserver in nameservers:
            route = await observer.wait_route(nameserver, "new")
            assert [queues.perm for queues in route.queue_datas] == [6]


async def test_creating_a_topic_is_answered_when_every_nameserver_knows_it(
    make_rig: Callable[..., Any], nameservers: list[Nameserver], observer: Observer
) -> None:
    rig = make(make_rig, nameservers)
    async with registered(rig):
        header = CreateTopicRequestHeader(topic="mine", read_queue_nums=1, write_queue_nums=1, perm=6)
        rig.ask(RequestCode.UPDATE_AND_CREATE_TOPIC, header)
        assert rig.connection.replies == []
        await until(lambda: bool(rig.connection.replies))
        assert [reply.code for _, reply in rig.connection.replies] == [ResponseCode.SUCCESS]
        for nameserver in nameservers:
            assert await observer.has_route(nameserver, "mine")


async def test_a_nameserver_that_hangs_does_not_keep_a_tool_waiting(
    make_rig: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registration_module, "_ANSWER_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as mute:  # takes connections, and nothing else
        rig = make_rig(namesrv_addr=(f"127.0.0.1:{mute.getsockname()[1]}",), register_broker_timeout_ms=60_000)
        registration = rig.broker.registration
        async with trio.open_nursery() as services, registration.client:
            services.start_soon(registration.keep_registered)
            for count, topic in enumerate(("one", "two"), 1):
                header = CreateTopicRequestHeader(topic=topic, read_queue_nums=1, write_queue_nums=1, perm=6)
                rig.ask(RequestCode.UPDATE_AND_CREATE_TOPIC, header)
                await until(lambda count=count: len(rig.connection.replies) == count)
            services.cancel_scope.cancel()
    assert [reply.code for _, reply in rig.connection.replies] == [ResponseCode.SUCCESS] * 2


async def test_a_restarted_nameserver_learns_of_the_broker_again_soon(
    make_rig: Callable[..., Any],
    nameservers: list[Nameserver],
    observer: Observer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(registration_module, "_RETRY_SECONDS", 0.01)
    rig = make(make_rig, nameservers)
    rig.create_topic("mine")
    async with registered(rig):
        await nameservers[0].stop()
        await until(lambda: "registration failed nameserver=" in caplog.text)
        assert await observer.has_route(nameservers[1], "mine")
        await nameservers[0].start()
        await observer.wait_route(nameservers[0], "mine")
        await until(lambda: "registration works again" in caplog.text)
    assert caplog.text.count("registration failed") == 1


async def test_a_master_that_hangs_up_on_its_slave_is_no_nameserver(
    make_rig: Callable[..., Any],
    nameservers: list[Nameserver],
    observer: Observer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(registration_module, "_RETRY_SECONDS", 0.001)
    only, other = nameservers
    rig = make(make_rig, [only])
    async with registered(rig):
        # A slave asks its master for its tables over the client that registers it.
        await rig.broker.registration.client.request(other.address, Command(code=RequestCode.GET_ALL_TOPIC_CONFIG))
        await other.stop()
        await other.start()
        for number in range(10):
            rig.create_topic(f"later-{number}")
            rig.broker.registration.topics_changed()
            await observer.wait_route(only, f"later-{number}")
        assert not await observer.has_route(other, "TBW102")
    assert "registration" not in caplog.text


async def test_a_nameserver_that_is_away_at_the_start_is_found_later(
    make_rig: Callable[..., Any], nameservers: list[Nameserver], observer: Observer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registration_module, "_RETRY_SECONDS", 0.01)
    await nameservers[1].stop()
    rig = make(make_rig, nameservers)
    async with registered(rig):
        assert await observer.has_route(nameservers[0], "TBW102")
        await nameservers[1].start()
        await observer.wait_route(nameservers[1], "TBW102")


async def test_while_one_nameserver_is_away_the_other_hears_of_the_broker_each_period(
    make_rig: Callable[..., Any], nameservers: list[Nameserver], observer: Observer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registration_module, "_RETRY_SECONDS", 0.01)
    monkeypatch.setattr(registration_module, "_PERIOD_SECONDS_MAX", 0.05)
    monkeypatch.setattr(registration_module, "_PERIOD_SECONDS_MIN", 0.05)
    await nameservers[1].stop()
    rig = make(make_rig, nameservers)
    rig.create_topic("mine")
    async with registered(rig):
        await observer.ask(nameservers[0], RequestCode.DELETE_TOPIC_IN_NAMESRV, topic="mine")
        # The version alone changes: nothing tells the broker that there is something to announce.
        rig.broker.topics.data_version = rig.broker.topics.data_version.next_version(rig.clock.now_ms + 5)
        await observer.wait_route(nameservers[0], "mine")


async def test_ordered_topics_come_from_the_first_nameserver_that_knows_of_any(
    make_rig: Callable[..., Any], nameservers: list[Nameserver], observer: Observer
) -> None:
    for nameserver, topic in zip(nameservers, ("a", "b"), strict=True):
        await observer.ask(
            nameserver, RequestCode.PUT_KV_CONFIG, namespace="ORDER_TOPIC_CONFIG", key=topic, value="broker-a:4"
        )
    rig = make(make_rig, nameservers)
    for topic in "abc":
        rig.create_topic(topic)
    async with registered(rig):
        await until(lambda: rig.broker.topics.get("a").order)
        for _ in range(20):
            await trio.testing.wait_all_tasks_blocked(0.005)
        version = rig.broker.topics.data_version
        for _ in range(20):
            await trio.testing.wait_all_tasks_blocked(0.005)
        assert rig.broker.topics.data_version == version
    assert [rig.broker.topics.get(topic).order for topic in "abc"] == [True, False, False]


async def test_a_nameserver_that_knows_of_no_ordered_topic_clears_no_flag(
    make_rig: Callable[..., Any], nameservers: list[Nameserver]
) -> None:
    rig = make(make_rig, nameservers)
    rig.create_topic("t", order=True)
    async with registered(rig):
        pass
    assert rig.broker.topics.get("t").order


@pytest.mark.parametrize(("permission", "announced"), [(6, 7), (4, 4), (2, 2), (0, 0)])
async def test_a_broker_that_lacks_a_permission_announces_it_for_every_topic(
    make_rig: Callable[..., Any],
    nameservers: list[Nameserver],
    observer: Observer,
    permission: int,
    announced: int,
) -> None:
    rig = make(make_rig, nameservers[:1], broker_permission=permission)
    async with registered(rig):
        route = await observer.wait_route(nameservers[0], "TBW102")
        assert [queues.perm for queues in route.queue_datas] == [announced]


async def test_unregistering_takes_the_routes_away_at_once(
    make_rig: Callable[..., Any], nameservers: list[Nameserver], observer: Observer
) -> None:
    rig = make(make_rig, nameservers)
    async with registered(rig):
        await rig.broker.registration.unregister()
        for nameserver in nameservers:
            assert not await observer.has_route(nameserver, "TBW102")


async def test_a_broker_without_nameservers_needs_none(make_rig: Callable[..., Any]) -> None:
    rig = make_rig()
    async with registered(rig):
        header = CreateTopicRequestHeader(topic="mine", read_queue_nums=1, write_queue_nums=1, perm=6)
        rig.ask(RequestCode.UPDATE_AND_CREATE_TOPIC, header)
        await until(lambda: bool(rig.connection.replies))
        await rig.broker.registration.unregister()
