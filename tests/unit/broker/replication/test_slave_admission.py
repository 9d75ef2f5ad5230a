"""Which addresses may copy a master's log, with a nameserver as it answers and one that hangs."""

from collections.abc import AsyncIterator
from ipaddress import ip_address
from typing import Any

import pytest
import trio

from rmqnode.broker.replication import slave_admission
from rmqnode.broker.replication.slave_admission import SlaveAdmission
from rmqnode.config import BrokerConfig, ConfigError, NameserverConfig, load_broker_config
from rmqnode.nameserver.server import serve_nameserver
from rmqnode.net.client import RemotingClient
from rmqnode.protocol.bodies import RegisterBrokerBody
from rmqnode.protocol.codes import RequestCode
from rmqnode.protocol.command import Command
from rmqnode.protocol.header_fields import header_to_ext_fields
from rmqnode.protocol.headers import RegisterBrokerRequestHeader
from tests.ports import free_port

OWN = ip_address("10.0.0.1")


class World:
    """A nameserver on loopback, and an admission that asks it."""

    def __init__(self, client: RemotingClient, port: int) -> None:
        self.client = client
        self.port = port

    def admission(self, **keys: Any) -> SlaveAdmission:
        values = {"namesrv_addr": (f"127.0.0.1:{self.port}",), "broker_name": "broker-a"} | keys
        return SlaveAdmission(BrokerConfig(**values), self.client)

    async def register(self, broker_id: int, address: str, broker_name: str = "broker-a") -> None:
        header = RegisterBrokerRequestHeader(
            broker_name=broker_name, broker_addr=address, cluster_name="c", ha_server_addr=address, broker_id=broker_id
        )
        command = Command(code=RequestCode.REGISTER_BROKER, ext_fields=header_to_ext_fields(header))
        command.body = RegisterBrokerBody().encode()
        answer = await self.client.request(f"127.0.0.1:{self.port}", command)
        assert answer.code == 0, answer.remark


@pytest.fixture
async def world(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr(slave_admission, "_ASK_AGAIN_SECONDS", 0.0)
    port = free_port()
    config = NameserverConfig(listen_port=port, bind_address=("127.0.0.1",), kv_config_path=tmp_path / "kv.json")
    async with trio.open_nursery() as nursery, RemotingClient() as client:
        scope = trio.CancelScope()

        async def serve(task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED) -> None:
            with scope:
                await serve_nameserver(config, task_status=task_status)

        await nursery.start(serve)
        made = World(client, port)
        made.stop = scope.cancel  # type: ignore[attr-defined]
        yield made
        nursery.cancel_scope.cancel()


async def test_this_machine_may_have_several_slaves(world: World) -> None:
    admission = world.admission()
    assert await admission.slaves_at(ip_address("127.0.0.5"), ip_address("127.0.0.1"), 0) == 16
    assert await admission.slaves_at(ip_address("::1"), ip_address("::1"), 3) == 16
    assert await admission.slaves_at(OWN, OWN, 0) == 16


async def test_a_registered_slave_is_served_and_remembered_while_nameservers_are_away(world: World) -> None:
    admission = world.admission()
    await world.register(0, "10.0.0.1:10911")
    await world.register(1, "10.0.0.2:10911")
    await world.register(2, "10.0.0.2:10921")
    await world.register(1, "10.0.0.9:10911", "broker-b")
    assert await admission.slaves_at(ip_address("10.0.0.2"), OWN, 0) == 2
    assert await admission.slaves_at(ip_address("10.0.0.9"), OWN, 0) == 0, "another broker's slave"
    await world.register(3, "10.0.0.2:10931")
    assert await admission.slaves_at(ip_address("10.0.0.2"), OWN, 2) == 3, "one more was registered since"
    world.stop()  # type: ignore[attr-defined]
    assert await admission.slaves_at(ip_address("10.0.0.2"), OWN, 0) == 3


async def test_a_stranger_is_counted_and_logged_once(world: World, caplog: pytest.LogCaptureFixture) -> None:
    admission = world.admission()
    for _ in range(5):
        assert await admission.slaves_at(ip_address("10.9.9.9"), OWN, 0) == 0
    assert admission.refused_count == 5
    (line,) = [record.getMessage() for record in caplog.records if "replication refused" in record.getMessage()]
    assert "peer=10.9.9.9" in line
    assert "haAllowedAddresses" in line


async def test_allowed_addresses_need_no_nameserver(world: World) -> None:
    admission = world.admission(namesrv_addr=(), ha_allowed_addresses=("192.0.2.7", "10.4.0.0/16", "fd00::/8"))
    for known, count in (("192.0.2.7", 4), ("10.4.200.3", 4), ("fd00::7", 4), ("192.0.2.8", 0), ("10.5.0.1", 0)):
        assert await admission.slaves_at(ip_address(known), OWN, 0) == count, known


async def test_a_nameserver_that_hangs_is_waited_for_two_seconds_at_most(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with RemotingClient() as client:

        async def hang(*_: Any, **__: Any) -> Command:
            await trio.sleep_forever()

        monkeypatch.setattr(client, "request", hang)
        admission = SlaveAdmission(BrokerConfig(namesrv_addr=("192.0.2.1:9876", "192.0.2.2:9876")), client)
        began = trio.current_time()
        counts: list[int] = []

        async def ask(last: int) -> None:
            counts.append(await admission.slaves_at(ip_address(f"10.9.9.{last}"), OWN, 0))

        async with trio.open_nursery() as nursery:
            for last in range(50):
                nursery.start_soon(ask, last)
        assert counts == [0] * 50
        assert trio.current_time() - began <= 2.0, "one question for all who wait"


@pytest.mark.parametrize("value", ["10.0.0", "10.0.0.0/33", "somewhere", "10.0.0.1;;x"])
def test_what_is_no_address_is_a_configuration_error(tmp_path: Any, value: str) -> None:
    conf = tmp_path / "broker.conf"
    conf.write_text(f"haAllowedAddresses={value}\n")
    with pytest.raises(ConfigError, match="haAllowedAddresses"):
        load_broker_config(conf, environment={})
