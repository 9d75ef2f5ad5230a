"""A nameserver on a real socket: what clients and brokers see of connections, unknown codes and expiry."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio
import trio.testing

from rmqnode.config import NameserverConfig
from rmqnode.nameserver.server import serve_nameserver
from rmqnode.net.client import RemotingClient
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.command import Command

REGISTRATION = {
    "brokerName": "broker-a",
    "brokerAddr": "10.0.0.1:10911",
    "clusterName": "c",
    "haServerAddr": "10.0.0.1:10912",
    "brokerId": "0",
}
TOPICS = {"dataVersion": {"timestamp": 5, "counter": 1}, "topicConfigTable": {"t": {"topicName": "t"}}}
BODY = json.dumps({"filterServerList": [], "topicConfigSerializeWrapper": TOPICS}).encode()


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[str]:
    """Run a nameserver on a free port; gives its address."""
    config = NameserverConfig(
        # 0 is no value for a configuration file, but lets the system choose here.
        listen_port=0,
        bind_address=("127.0.0.1",),
        kv_config_path=folder / "kvConfig.json",
        config_store_path=folder / "nameserver.conf",
    )
    async with trio.open_nursery() as nursery:
        ((host, port),) = await nursery.start(lambda task_status: serve_nameserver(config, task_status=task_status))
        yield f"{host}:{port}"
        nursery.cancel_scope.cancel()


def register() -> Command:
    return Command(code=RequestCode.REGISTER_BROKER, ext_fields=dict(REGISTRATION), body=BODY)


def get_route() -> Command:
    return Command(code=RequestCode.GET_ROUTEINTO_BY_TOPIC, ext_fields={"topic": "t"})


async def wait_until_route_is_gone(client: RemotingClient, address: str) -> None:
    with trio.fail_after(5):
        while True:
            if (await client.request(address, get_route())).code == ResponseCode.TOPIC_NOT_EXIST:
                return
            await trio.sleep(0.01)


async def test_a_route_lives_as_long_as_the_connection_that_registered_it(tmp_path: Path) -> None:
    async with running(tmp_path) as address, RemotingClient() as client:
        async with RemotingClient() as broker:
            assert (await broker.request(address, register())).code == 0
            route = json.loads((await client.request(address, get_route())).body)
            assert route["brokerDatas"][0]["brokerAddrs"] == {"0": "10.0.0.1:10911"}
        await wait_until_route_is_gone(client, address)


async def test_an_unknown_code_is_answered(tmp_path: Path) -> None:
    async with running(tmp_path) as address, RemotingClient() as client:
        response = await client.request(address, Command(code=9999))
        assert (response.code, response.remark) == (3, " request type 9999 not supported")
        response = await client.request(address, Command(code=RequestCode.SEND_MESSAGE))
        assert response.code == ResponseCode.REQUEST_CODE_NOT_SUPPORTED


async def test_a_request_without_its_fields_is_answered_and_the_connection_lives(tmp_path: Path) -> None:
    async with running(tmp_path) as address, RemotingClient() as client:
        response = await client.request(address, Command(code=RequestCode.PUT_KV_CONFIG, ext_fields={"key": "k"}))
        assert response.code == ResponseCode.SYSTEM_ERROR
        assert "namespace" in (response.remark or "")
        assert (await client.request(address, get_route())).code == ResponseCode.TOPIC_NOT_EXIST


async def test_a_oneway_registration_counts(tmp_path: Path) -> None:
    async with running(tmp_path) as address, RemotingClient() as broker:
        await broker.oneway(address, register())
        assert (await broker.request(address, get_route())).code == ResponseCode.SUCCESS


async def test_a_broker_that_stops_registering_is_removed_and_its_connection_closed(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    closed: list[str] = []
    async with (
        running(tmp_path) as address,
        RemotingClient() as client,
        RemotingClient(on_closed=closed.append) as broker,
    ):
        assert (await broker.request(address, register())).code == ResponseCode.SUCCESS
        mock_clock.jump(119)
        # Traffic keeps the connection from being idle, but is no registration.
        assert (await broker.request(address, get_route())).code == ResponseCode.SUCCESS
        assert closed == []
        mock_clock.jump(12)
        # Time stands still with this clock, so the waits are bounded by a number of round trips.
        for _ in range(1000):
            if (await client.request(address, get_route())).code == ResponseCode.TOPIC_NOT_EXIST and closed:
                break
        else:
            raise AssertionError("the broker is still registered, or its connection open")
    assert closed == [address]
