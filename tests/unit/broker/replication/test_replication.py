"""Master and slave as they are: two brokers and a nameserver in one event loop, over real sockets and files."""

import json
import random
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from rmqnode.broker.replication import slave_sync
from rmqnode.broker.server import serve_broker
from rmqnode.config import BrokerConfig, BrokerRole, FlushDiskType, NameserverConfig
from rmqnode.ha import master_link
from rmqnode.ha.stream import REPORT
from rmqnode.nameserver.server import serve_nameserver
from rmqnode.net.client import RemotingClient
from rmqnode.protocol.bodies import KVTable
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.command import Command
from rmqnode.protocol.message import decode_records
from tests.cutting_proxy import cutting_proxy
from tests.ports import free_port
from tests.unit.broker.wire import PULL, QUEUE, SEND, ask


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slave asks for its master's tables five times a second instead of every 10 s."""
    monkeypatch.setattr(slave_sync, "_FIRST_SECONDS", 0.2)
    monkeypatch.setattr(slave_sync, "_PERIOD_SECONDS", 0.2)


class Node:
    """A running broker."""

    def __init__(self, config: BrokerConfig, client: RemotingClient) -> None:
        self.config = config
        self.address = f"127.0.0.1:{config.listen_port}"
        self._client = client

    async def ask(self, code: int, fields: dict[str, str] | None = None, body: bytes = b"") -> Command:
        return await ask(self._client, self.address, code, fields, body)

    async def send(self, body: bytes = b"hello", properties: str = "") -> Command:
        return await self.ask(RequestCode.SEND_MESSAGE_V2, SEND | {"i": properties}, body)

    async def bodies(self, offset: int = 0) -> list[bytes]:
        found: list[bytes] = []
        while True:
            pulled = await self.ask(RequestCode.PULL_MESSAGE, PULL | {"queueOffset": str(offset + len(found))})
            if pulled.code != ResponseCode.SUCCESS:
                return found
            found += [message.body for message in decode_records(pulled.body)]

    async def info(self) -> dict[str, str]:
        return KVTable.decode((await self.ask(RequestCode.GET_BROKER_RUNTIME_INFO)).body).table

    async def offset(self) -> str | None:
        answer = await self.ask(RequestCode.QUERY_CONSUMER_OFFSET, QUEUE)
        return (answer.ext_fields or {}).get("offset")

    @property
    def log(self) -> bytes:
        return (self.config.store_path_commit_log / f"{0:020d}").read_bytes()


class World:
    """A nameserver, and brokers that start and stop."""

    def __init__(self, folder: Path, client: RemotingClient) -> None:
        self._folder = folder
        self._client = client
        # One free block: ports that are looked for one by one may be each other's neighbours.
        middle = free_port(distance=7)
        self.nameserver_port = middle
        self._ports = {0: middle - 5, 1: middle + 5}

    def config(self, broker_id: int = 0, **keys: Any) -> BrokerConfig:
        store = self._folder / f"store{broker_id}"
        values: dict[str, Any] = {
            "broker_ip1": "127.0.0.1",
            "bind_address": ("127.0.0.1",),
            "listen_port": self._ports[broker_id],
            "broker_name": "broker-a",
            "broker_id": broker_id,
            "broker_role": BrokerRole.SLAVE if broker_id else BrokerRole.ASYNC_MASTER,
            "namesrv_addr": (f"127.0.0.1:{self.nameserver_port}",),
            "store_path_root_dir": store,
            "mapped_file_size_commit_log_bytes": 5 * 1024 * 1024,
            "mapped_file_size_consume_queue_bytes": 20_000,
        }
        return BrokerConfig(**values | keys)

    @asynccontextmanager
    async def nameserver(self) -> AsyncIterator[None]:
        config = NameserverConfig(listen_port=self.nameserver_port, bind_address=("127.0.0.1",))
        config = replace(config, kv_config_path=self._folder / "kv.json")
        async with trio.open_nursery() as nursery:
            await nursery.start(serve_nameserver, config)
            yield
            nursery.cancel_scope.cancel()

    @asynccontextmanager
    async def broker(self, broker_id: int = 0, **keys: Any) -> AsyncIterator[Node]:
        config = self.config(broker_id, **keys)
        stop = trio.Event()
        async with trio.open_nursery() as nursery:
            await nursery.start(serve_broker, config, stop)
            yield Node(config, self._client)
            stop.set()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with RemotingClient() as client:
        made = World(tmp_path, client)
        async with made.nameserver():
            yield made


async def until(condition: Callable[[], Any]) -> None:
    with trio.fail_after(15):
        while not await condition():
            await trio.testing.wait_all_tasks_blocked(0.01)


async def follows(slave: Node, master: Node) -> None:
    async def is_level() -> bool:
        ours, theirs = await slave.info(), await master.info()
        return ours["haState"] == "following" and ours["commitLogMaxOffset"] == theirs["commitLogMaxOffset"]

    await until(is_level)


async def test_a_slave_has_every_message_and_serves_it(world: World) -> None:
    async with world.broker(0) as master, world.broker(1) as slave:
        for number in range(100):
            await master.send(b"%d" % number * 1000)
        await follows(slave, master)
        assert slave.log == master.log
        await until(lambda: has_topic(slave))
        assert await slave.bodies() == await master.bodies() == [b"%d" % number * 1000 for number in range(100)]
        info = await master.info()
        assert (info["haSlaveCount"], info["haSlaveAckOffset"]) == ("1", info["commitLogMaxOffset"])


async def has_topic(node: Node) -> bool:
    topics = json.loads((await node.ask(RequestCode.GET_ALL_TOPIC_CONFIG)).body)["topicConfigTable"]
    return "t" in topics


async def test_a_slave_that_comes_late_gets_all_files(world: World) -> None:
    async with world.broker(0) as master:
        for number in range(60):
            assert (await master.send(b"%03d" % number * 70_000)).code == ResponseCode.SUCCESS
        assert len(list(master.config.store_path_commit_log.iterdir())) > 2
        async with world.broker(1) as slave:
            await follows(slave, master)
            for file in master.config.store_path_commit_log.iterdir():
                assert file.read_bytes() == (slave.config.store_path_commit_log / file.name).read_bytes()


@pytest.mark.parametrize("cuts", [20, pytest.param(120, marks=pytest.mark.long)])
async def test_a_stream_that_is_cut_again_and_again_ends_in_equal_logs(
    world: World, monkeypatch: pytest.MonkeyPatch, cuts: int
) -> None:
    """Inside heads, inside records, stalled and half-open, while messages come."""
    monkeypatch.setattr(master_link, "_RETRY_SECONDS", 0.01)
    chance = random.Random(cuts)
    ways = [(chance.choice(["cut", "cut", "cut", "stall"]), chance.randrange(1, 60_000)) for _ in range(cuts)]
    async with world.broker(0) as master, cutting_proxy(master.config.ha_listen_port, ways) as (port, done):
        keys = {"ha_master_address": f"127.0.0.1:{port}", "ha_housekeeping_interval_ms": 300}
        async with world.broker(1, **keys) as slave:
            with trio.fail_after(150):
                while len(done) <= len(ways):
                    await master.send(chance.randbytes(chance.randrange(3000)))
            await follows(slave, master)
            assert slave.log == master.log
            await until(lambda: has_topic(slave))
            assert await slave.bodies() == await master.bodies()


async def test_a_held_pull_at_a_slave_is_answered_when_the_message_arrives(world: World) -> None:
    async with world.broker(0) as master, world.broker(1) as slave:
        await master.send(b"first")
        await follows(slave, master)
        await until(lambda: has_topic(slave))
        answers: list[Command] = []

        async def pull() -> None:
            answers.append(await slave.ask(RequestCode.PULL_MESSAGE, PULL | {"sysFlag": "6", "queueOffset": "1"}))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(pull)
            await trio.sleep(0.1)
            assert answers == []
            await master.send(b"second")
        assert [message.body for message in decode_records(answers[0].body)] == [b"second"]


@pytest.mark.parametrize("flush", list(FlushDiskType))
async def test_a_sync_master_answers_once_the_slave_has_it(world: World, flush: FlushDiskType) -> None:
    keys = {"broker_role": BrokerRole.SYNC_MASTER, "flush_disk_type": flush, "sync_flush_timeout_ms": 700}
    async with world.broker(0, **keys) as master:
        assert (await master.send(b"alone")).code == ResponseCode.SLAVE_NOT_AVAILABLE
        assert (await master.send(b"alone", "WAIT\x01false\x02")).code == ResponseCode.SUCCESS
        async with world.broker(1) as slave:
            await follows(slave, master)
            for _ in range(20):
                assert (await master.send()).code == ResponseCode.SUCCESS
                assert slave.log == master.log
        gone = await master.send(b"alone again")
        assert (gone.code, (gone.ext_fields or {})["queueOffset"]) == (ResponseCode.SLAVE_NOT_AVAILABLE, "22")
        mute = await trio.open_tcp_stream("127.0.0.1", master.config.ha_listen_port)
        await until(lambda: counts(master, "1"))
        silent = await master.send(b"to one that did not even ask")
        assert (silent.code, (silent.ext_fields or {})["queueOffset"]) == (ResponseCode.SLAVE_NOT_AVAILABLE, "23")
        await mute.send_all(REPORT.pack(int((await master.info())["commitLogMaxOffset"])))
        await until(lambda: acknowledges(master))
        began = trio.current_time()
        late = await master.send(b"late")
        assert (late.code, (late.ext_fields or {})["queueOffset"]) == (ResponseCode.FLUSH_SLAVE_TIMEOUT, "24")
        assert 0.7 <= trio.current_time() - began < 1.5
        await mute.aclose()


async def acknowledges(master: Node) -> bool:
    info = await master.info()
    return info["haSlaveAckOffset"] == info["commitLogMaxOffset"]


async def counts(master: Node, count: str) -> bool:
    return (await master.info())["haSlaveCount"] == count


async def test_a_slave_takes_over_topics_offsets_and_groups_and_keeps_them(world: World) -> None:
    async with world.broker(0) as master, world.broker(1) as slave:
        await master.send()
        create = {"topic": "mine", "defaultTopic": "TBW102", "readQueueNums": "3", "writeQueueNums": "2", "perm": "6"}
        await master.ask(RequestCode.UPDATE_AND_CREATE_TOPIC, create)
        await master.ask(RequestCode.UPDATE_CONSUMER_OFFSET, QUEUE | {"commitOffset": "1"})
        group = b'{"groupName":"mine","retryMaxTimes":3}'
        await master.ask(RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, body=group)

        async def has_all() -> bool:
            groups = json.loads((await slave.ask(RequestCode.GET_ALL_SUBSCRIPTIONGROUP_CONFIG)).body)
            return await slave.offset() == "1" and "mine" in groups["subscriptionGroupTable"]

        await until(has_all)
        for code in (RequestCode.GET_ALL_TOPIC_CONFIG, RequestCode.GET_ALL_SUBSCRIPTIONGROUP_CONFIG):
            assert (await slave.ask(code)).body == (await master.ask(code)).body
    async with world.broker(1) as slave:
        assert await slave.offset() == "1"
        assert b'"mine"' in (await slave.ask(RequestCode.GET_ALL_TOPIC_CONFIG)).body
        assert (await slave.info())["haState"] == "no_master"


async def test_offsets_committed_at_the_slave_survive_the_masters_return(world: World) -> None:
    async with world.broker(1) as slave:
        async with world.broker(0) as master:
            for _ in range(5):
                await master.send()
            await master.ask(RequestCode.UPDATE_CONSUMER_OFFSET, QUEUE | {"commitOffset": "2"})
            await follows(slave, master)
            await until(lambda: has_offset(slave, "2"))
        await slave.ask(RequestCode.UPDATE_CONSUMER_OFFSET, QUEUE | {"commitOffset": "4"})
    async with world.broker(1) as slave, world.broker(0) as master:  # the slave forgets nothing in a restart either
        assert await master.offset() == "2"
        await until(lambda: has_offset(master, "4"))
        assert await slave.offset() == "4"
        await master.ask(RequestCode.UPDATE_CONSUMER_OFFSET, QUEUE | {"commitOffset": "1"})
        await until(lambda: has_offset(slave, "1"))
        assert await master.offset() == "1", "a later reset on the master stands"


async def has_offset(node: Node, offset: str) -> bool:
    return await node.offset() == offset


async def test_a_slave_refuses_what_only_a_master_may_do(world: World) -> None:
    async with world.broker(1) as slave:
        refused = await slave.send()
        assert refused.code == ResponseCode.SERVICE_NOT_AVAILABLE
        assert refused.remark is not None
        assert refused.remark.startswith("service not available now, maybe disk full")


async def test_a_longer_slave_stays_as_it_is_and_says_so(world: World) -> None:
    async with world.broker(0) as master, world.broker(1) as slave:
        for _ in range(3):
            await master.send(b"x" * 1000)
        await follows(slave, master)
    log = slave.log
    shutil.rmtree(master.config.store_path_root_dir)
    async with world.broker(0) as master, world.broker(1) as slave:
        await master.send(b"anew")
        await until(lambda: has_state(slave, "refused"))
        info = await slave.info()
        assert "bytes of messages are here only" in info["haProblem"]
        assert slave.log == log
        for _ in range(10):
            await master.send(b"other messages" * 100)
    assert slave.log == log


async def has_state(node: Node, state: str) -> bool:
    return (await node.info())["haState"] == state


async def test_runtime_info_has_every_key_that_java_tools_read(world: World) -> None:
    async with world.broker(0) as master:
        empty = await master.info()
        assert empty["earliestMessageTimeStamp"] == "-1"
        await master.send()
        info = await master.info()
    assert int(info["commitLogMaxOffset"]) > 0
    assert int(info["earliestMessageTimeStamp"]) == int(info["lastStoreTimestamp"]) > 0
    assert 0 <= float(info["commitLogDiskRatio"]) <= 1
    assert all(0 < float(rate) <= 1 for rate in info["putTps"].split(" "))
    assert info["runtime"].startswith("[ 0 days, 0 hours, 0 minutes, ")
    assert info["commitLogDirCapacity"].startswith("Total : ")
    wanted = """
        putTps getTransferedTps getTransferredTps sendThreadPoolQueueSize pullThreadPoolQueueSize
        sendThreadPoolQueueHeadWaitTimeMills pullThreadPoolQueueHeadWaitTimeMills pageCacheLockTimeMills
        earliestMessageTimeStamp commitLogDiskRatio brokerVersionDesc msgPutTotalYesterdayMorning
        msgPutTotalTodayMorning msgPutTotalTodayNow msgGetTotalYesterdayMorning msgGetTotalTodayMorning
        msgGetTotalTodayNow runtime bootTimestamp putMessageDistributeTime remainHowManyDataToFlush
    """
    assert set(wanted.split()) <= set(info)


async def test_sixty_four_fake_slaves_keep_no_real_one_out_and_let_no_send_wait(world: World) -> None:
    async with world.broker(0, broker_role=BrokerRole.SYNC_MASTER) as master, trio.open_nursery() as nursery:
        await master.send(b"first")

        async def pretend(offset: int) -> None:
            """Report the same offset ten times a second; connect again when the master has enough of it."""
            while True:
                try:
                    async with await trio.open_tcp_stream("127.0.0.1", master.config.ha_listen_port) as stream:
                        while True:
                            await stream.send_all(REPORT.pack(offset))
                            await trio.sleep(0.1)
                except OSError:
                    await trio.sleep(0.1)
                except trio.BrokenResourceError:
                    await trio.sleep(0.1)

        for number in range(64):
            nursery.start_soon(pretend, number % 3)
        await until(lambda: counts(master, "16"))
        with trio.fail_after(20):
            while (await master.send(b"nobody has it")).code != ResponseCode.SLAVE_NOT_AVAILABLE:
                pass
        began = trio.current_time()
        for _ in range(20):
            assert (await master.send(b"nobody has it")).code == ResponseCode.SLAVE_NOT_AVAILABLE
        assert trio.current_time() - began < 2, "none of them is waited for"
        async with world.broker(1) as slave:
            await follows(slave, master)
            began = trio.current_time()
            for _ in range(50):
                assert (await master.send(b"the slave has it")).code == ResponseCode.SUCCESS
            assert trio.current_time() - began < 5
            assert slave.log == master.log
        nursery.cancel_scope.cancel()
