"""A route that somebody deleted comes back by itself, at our nameserver and at one that does as Apache's 4.5.2."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from rmqnode.broker import registration as registration_module
from rmqnode.broker.route_check import PERIODS_MAX, ROUTES_MAX, RouteCheck
from rmqnode.config import BrokerRole, NameserverConfig
from rmqnode.nameserver.route_info import RouteInfoManager
from rmqnode.nameserver.server import serve_nameserver
from rmqnode.net.client import RemotingClient
from rmqnode.net.slices import Steps
from rmqnode.protocol.bodies import TopicRouteData
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.command import Command
from tests.ports import free_port

PERIOD_SECONDS = 0.05


@pytest.fixture(autouse=True)
def _short_periods(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registration_module, "_PERIOD_SECONDS_MAX", PERIOD_SECONDS)
    monkeypatch.setattr(registration_module, "_PERIOD_SECONDS_MIN", PERIOD_SECONDS)


@pytest.fixture
def as_apache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the nameserver pass over a registration whose version it knows, as 4.5.2 does."""
    take = RouteInfoManager._take_topics

    def take_changed_only(self: RouteInfoManager, registration: Any, is_changed: bool) -> Steps[None]:
        if is_changed:
            yield from take(self, registration, is_changed)

    monkeypatch.setattr(RouteInfoManager, "_take_topics", take_changed_only)


@pytest.fixture
async def nameserver(tmp_path: Path, nursery: trio.Nursery) -> str:
    port = free_port()
    config = NameserverConfig(
        listen_port=port,
        bind_address=("127.0.0.1",),
        kv_config_path=tmp_path / "kv.json",
        config_store_path=tmp_path / "nameserver.conf",
    )
    await nursery.start(lambda task_status: serve_nameserver(config, task_status=task_status))
    return f"127.0.0.1:{port}"


@pytest.fixture
async def ask(nameserver: str) -> AsyncIterator[Callable[..., Any]]:
    async with RemotingClient() as client:

        async def request(code: RequestCode, **fields: str) -> Command:
            return await client.request(nameserver, Command(code=code, ext_fields=fields))

        yield request


@asynccontextmanager
async def registered(rig: Any) -> AsyncIterator[None]:
    async with trio.open_nursery() as services, rig.broker.registration.client:
        await rig.broker.registration.register()
        services.start_soon(rig.broker.registration.keep_registered)
        yield
        services.cancel_scope.cancel()


async def permissions(ask: Callable[..., Any], topic: str) -> list[int]:
    """Of each broker that the topic's route names; none without a route."""
    answer = await ask(RequestCode.GET_ROUTEINTO_BY_TOPIC, topic=topic)
    if answer.code != ResponseCode.SUCCESS:
        return []
    return [queues.perm for queues in TopicRouteData.decode(answer.body).queue_datas]


async def wait_route(ask: Callable[..., Any], topic: str) -> None:
    await wait_brokers(ask, topic, 1)


async def wait_brokers(ask: Callable[..., Any], topic: str, count: int) -> None:
    with trio.fail_after(10):
        while True:
            if len(await permissions(ask, topic)) >= count:
                return
            await trio.sleep(0.005)


async def test_a_deleted_route_comes_back_within_a_period_and_the_version_stays(
    make_rig: Callable[..., Any], nameserver: str, ask: Callable[..., Any], nursery: trio.Nursery
) -> None:
    rig = make_rig(namesrv_addr=(nameserver,))
    rig.create_topic("t", perm=6)
    async with registered(rig):
        version = rig.broker.topics.data_version
        await ask(RequestCode.DELETE_TOPIC_IN_NAMESRV, topic="t")
        await wait_route(ask, "t")
        await RouteCheck(rig.broker.registration).missing_topics()
        assert rig.broker.topics.data_version == version
    nursery.cancel_scope.cancel()


async def test_a_wiped_permission_stays_wiped_for_two_periods_and_until_something_changes(
    make_rig: Callable[..., Any], nameserver: str, ask: Callable[..., Any], nursery: trio.Nursery
) -> None:
    rig = make_rig(namesrv_addr=(nameserver,))
    rig.create_topic("t", perm=6)
    async with registered(rig):
        await ask(RequestCode.WIPE_WRITE_PERM_OF_BROKER, brokerName="broker-a")
        end = trio.current_time() + 2.5 * PERIOD_SECONDS
        while trio.current_time() < end:
            assert await permissions(ask, "t") == [4]
            await trio.sleep(0.005)
        # Drained: nobody sends there. The next change brings everything back.
        rig.create_topic("u")
        await wait_route(ask, "u")
        assert await permissions(ask, "t") == [6]
    nursery.cancel_scope.cancel()


@pytest.mark.usefixtures("as_apache")
async def test_at_apaches_nameserver_a_deleted_route_comes_back_with_a_raised_version(
    make_rig: Callable[..., Any], nameserver: str, ask: Callable[..., Any], nursery: trio.Nursery, caplog: Any
) -> None:
    rig = make_rig(namesrv_addr=(nameserver,))
    rig.create_topic("t", perm=6)
    async with registered(rig):
        counter = rig.broker.topics.data_version.counter
        await ask(RequestCode.DELETE_TOPIC_IN_NAMESRV, topic="t")
        await wait_route(ask, "t")
        assert rig.broker.topics.data_version.counter == counter + 1
        assert "topics are missing at a nameserver, announced again" in caplog.text
        assert "topics='t'" in caplog.text
        assert await RouteCheck(rig.broker.registration).missing_topics() == {}
    nursery.cancel_scope.cancel()


@pytest.mark.usefixtures("as_apache")
async def test_queues_that_are_missing_beside_another_brokers_are_found(
    make_rig: Callable[..., Any], nameserver: str, ask: Callable[..., Any], nursery: trio.Nursery
) -> None:
    rig = make_rig(namesrv_addr=(nameserver,))
    other = make_rig(namesrv_addr=(nameserver,), broker_name="broker-b", broker_cluster_name="d", listen_port=10_921)
    for each in (rig, other):
        each.create_topic("t", perm=6)
    async with registered(rig), registered(other):
        await ask(RequestCode.DELETE_TOPIC_IN_NAMESRV, topic="t", clusterName="DefaultCluster")
        await wait_brokers(ask, "t", 2)
    nursery.cancel_scope.cancel()


@pytest.mark.usefixtures("as_apache")
async def test_a_nameserver_that_never_lists_a_topic_is_told_ever_more_rarely(
    make_rig: Callable[..., Any], nameserver: str, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RouteInfoManager, "topics", lambda self: [])
    rig = make_rig(namesrv_addr=(nameserver,))
    check = RouteCheck(rig.broker.registration)
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds / PERIOD_SECONDS)
        if len(pauses) == 9:
            stopped.cancel()
        await trio.lowlevel.checkpoint()

    async with rig.broker.registration.client:
        await rig.broker.registration.register()
        monkeypatch.setattr("rmqnode.broker.route_check.trio.sleep", sleep)
        with trio.CancelScope() as stopped:
            await check.run()
    assert [round(pause) for pause in pauses] == [1, 2, 4, 8, 16, PERIODS_MAX, PERIODS_MAX, PERIODS_MAX, PERIODS_MAX]
    nursery.cancel_scope.cancel()


async def test_a_look_asks_for_few_routes_and_in_turn_for_all(
    make_rig: Callable[..., Any], nameserver: str, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = make_rig(namesrv_addr=(nameserver,))
    for number in range(40):
        rig.create_topic(f"t{number}")
    check = RouteCheck(rig.broker.registration)
    asked: list[str] = []

    async def has_queues(address: str, topic: str) -> bool:
        asked.append(topic)
        return True

    monkeypatch.setattr(check, "_has_queues", has_queues)
    async with rig.broker.registration.client:
        await rig.broker.registration.register()
        for looks in range(1, 5):
            await check.missing_topics()
            assert len(asked) <= looks * ROUTES_MAX
    assert set(asked) == set(rig.broker.topics.all)
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("keys", [{"broker_role": BrokerRole.SLAVE, "broker_id": 1}, {"broker_id": 1}], ids=str)
async def test_a_broker_whose_topics_no_nameserver_takes_asks_nothing(
    make_rig: Callable[..., Any], keys: dict[str, Any]
) -> None:
    rig = make_rig(namesrv_addr=("127.0.0.1:1",), **keys)
    assert await RouteCheck(rig.broker.registration).missing_topics() == {}


async def test_a_nameserver_that_is_away_is_passed_over(make_rig: Callable[..., Any], caplog: Any) -> None:
    rig = make_rig(namesrv_addr=(f"127.0.0.1:{free_port()}",))
    async with rig.broker.registration.client:
        assert await RouteCheck(rig.broker.registration).missing_topics() == {}
    assert caplog.messages == []
