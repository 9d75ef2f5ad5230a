"""A whole broker on real sockets: start, stop, start again, and bytes that nobody should send."""

import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from rmqnode.broker import server as server_module
from rmqnode.broker.routes import ROUTES
from rmqnode.broker.server import VIP_PORT_DISTANCE, serve_broker
from rmqnode.config import BrokerConfig, FlushDiskType
from rmqnode.net.client import RemotingClient
from rmqnode.net.connection import Connection
from rmqnode.net.listening import BindError
from rmqnode.protocol.bodies import ConsumerData, HeartbeatData, SubscriptionData
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.command import FLAG_RESPONSE, Command
from rmqnode.protocol.message import decode_records
from rmqnode.store import StoreError
from tests.ports import free_port
from tests.unit.broker import wire
from tests.unit.broker.wire import PULL, QUEUE, SEND

Ask = Callable[..., Awaitable[Command]]


@pytest.fixture
def config(tmp_path: Path) -> BrokerConfig:
    """A broker on a free port of 127.0.0.1."""
    return BrokerConfig(
        broker_ip1="127.0.0.1",
        bind_address=("127.0.0.1",),
        listen_port=free_port(),
        broker_name="broker-a",
        store_path_root_dir=tmp_path / "store",
        mapped_file_size_commit_log_bytes=16 * 1024 * 1024,
        mapped_file_size_consume_queue_bytes=20_000,
    )


@asynccontextmanager
async def running(config: BrokerConfig) -> AsyncIterator[Ask]:
    """Run a broker; gives a way to ask it. Leaving stops it cleanly."""
    address = f"127.0.0.1:{config.listen_port}"
    stop = trio.Event()

    async with trio.open_nursery() as nursery:
        await nursery.start(serve_broker, config, stop)
        async with RemotingClient() as client:

            async def ask(*request: Any, to: str = address, **more: Any) -> Command:
                return await wire.ask(client, to, *request, **more)

            yield ask
        stop.set()
        with trio.fail_after(10):
            while nursery.child_tasks:
                await trio.testing.wait_all_tasks_blocked(0.001)


async def test_messages_offsets_and_topics_outlive_a_clean_stop(config: BrokerConfig) -> None:
    async with running(config) as ask:
        assert (await ask(RequestCode.SEND_MESSAGE_V2, SEND, b"kept")).code == ResponseCode.SUCCESS
        await ask(RequestCode.SEND_MESSAGE_V2, SEND | {"i": "DELAY\x0118\x02"}, b"waits")
        await ask(RequestCode.UPDATE_CONSUMER_OFFSET, QUEUE | {"commitOffset": "1"})
        create = {"topic": "mine", "defaultTopic": "TBW102", "readQueueNums": "3", "writeQueueNums": "2", "perm": "6"}
        assert (await ask(RequestCode.UPDATE_AND_CREATE_TOPIC, create)).code == ResponseCode.SUCCESS
    assert not (config.store_path_root_dir / "abort").exists()
    async with running(config) as ask:
        pulled = await ask(RequestCode.PULL_MESSAGE, PULL)
        assert [message.body for message in decode_records(pulled.body)] == [b"kept"]
        assert (await ask(RequestCode.QUERY_CONSUMER_OFFSET, QUEUE)).ext_fields == {"offset": "1"}
        topics = json.loads((await ask(RequestCode.GET_ALL_TOPIC_CONFIG)).body)["topicConfigTable"]
        assert (topics["mine"]["readQueueNums"], topics["t"]["perm"]) == (3, 6)
        waiting = {"topic": "SCHEDULE_TOPIC_XXXX", "queueId": "17"}
        assert (await ask(RequestCode.GET_MAX_OFFSET, waiting)).ext_fields == {"offset": "1"}
        assert (await ask(RequestCode.SEND_MESSAGE_V2, SEND, b"next")).ext_fields["queueOffset"] == "1"


async def test_the_vip_port_serves_too(config: BrokerConfig) -> None:
    async with running(config) as ask:
        answer = await ask(RequestCode.HEART_BEAT, body=b"{}", to=f"127.0.0.1:{config.listen_port - 2}")
        assert answer.code == ResponseCode.SUCCESS


async def test_a_held_pull_is_woken_over_the_wire_and_answered_at_the_stop(config: BrokerConfig) -> None:
    answers: list[Command] = []

    async def pull(ask: Ask, queue_offset: int) -> None:
        fields = PULL | {"sysFlag": "6", "queueOffset": str(queue_offset)}
        answers.append(await ask(RequestCode.PULL_MESSAGE, fields))

    stop = trio.Event()
    async with trio.open_nursery() as nursery, RemotingClient() as client:
        await nursery.start(serve_broker, config, stop)

        async def ask(code: int, fields: dict[str, str], body: bytes = b"") -> Command:
            return await client.request(
                f"127.0.0.1:{config.listen_port}", Command(code=code, ext_fields=fields, body=body)
            )

        await ask(RequestCode.SEND_MESSAGE_V2, SEND, b"first")
        async with trio.open_nursery() as pulling:
            pulling.start_soon(pull, ask, 1)
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert answers == []
            await ask(RequestCode.SEND_MESSAGE_V2, SEND, b"second")
        assert [message.body for message in decode_records(answers[0].body)] == [b"second"]
        async with trio.open_nursery() as pulling:
            pulling.start_soon(pull, ask, 2)
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert len(answers) == 1
            stop.set()
        assert answers[1].code == ResponseCode.PULL_NOT_FOUND


async def test_with_sync_flush_a_send_is_on_disk_when_it_is_answered(config: BrokerConfig) -> None:
    async with running(replace(config, flush_disk_type=FlushDiskType.SYNC_FLUSH)) as ask:
        answer = await ask(RequestCode.SEND_MESSAGE_V2, SEND, b"safe")
        assert answer.code == ResponseCode.SUCCESS
        assert answer.ext_fields is not None
        assert answer.ext_fields["TRACE_ON"] == "true"


async def test_a_client_that_hangs_up_leaves_its_group(config: BrokerConfig) -> None:
    heartbeat = HeartbeatData(
        client_id="c1",
        consumer_data_set=[ConsumerData(group_name="g", subscription_data_set=[SubscriptionData(topic="t")])],
    ).encode()
    group = {"consumerGroup": "g"}
    async with running(config) as ask:
        async with RemotingClient() as leaving:
            command = Command(code=RequestCode.HEART_BEAT, ext_fields={}, body=heartbeat)
            await leaving.request(f"127.0.0.1:{config.listen_port}", command)
            assert (await ask(RequestCode.GET_CONSUMER_LIST_BY_GROUP, group)).code == ResponseCode.SUCCESS
        with trio.fail_after(10):
            while (await ask(RequestCode.GET_CONSUMER_LIST_BY_GROUP, group)).code == ResponseCode.SUCCESS:
                pass


async def test_clients_without_heartbeat_are_closed(config: BrokerConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "_CLIENT_SCAN_SECONDS", 0.01)
    monkeypatch.setattr("rmqnode.broker.clients.EXPIRY_SECONDS", 0.02)
    ended: list[str] = []
    async with running(config), RemotingClient(on_closed=ended.append) as silent:
        body = HeartbeatData(client_id="c1", consumer_data_set=[ConsumerData(group_name="g")]).encode()
        command = Command(code=RequestCode.HEART_BEAT, ext_fields={}, body=body)
        await silent.request(f"127.0.0.1:{config.listen_port}", command)
        with trio.fail_after(10):
            while not ended:
                await trio.testing.wait_all_tasks_blocked(0.001)


@pytest.mark.parametrize("distance", [0, VIP_PORT_DISTANCE])
async def test_a_taken_port_refuses_the_start_and_touches_no_file(config: BrokerConfig, distance: int) -> None:
    taken = socket.create_server(("127.0.0.1", config.listen_port - distance))
    with taken, pytest.raises(BindError):
        await serve_broker(config, trio.Event())
    assert not config.store_path_root_dir.exists()


async def test_a_table_that_cannot_be_read_refuses_the_start_and_frees_ports_and_store(config: BrokerConfig) -> None:
    folder = config.store_path_root_dir / "config"
    folder.mkdir(parents=True)
    (folder / "topics.json").write_text("{broken")
    with pytest.raises(StoreError):
        await serve_broker(config, trio.Event())
    (folder / "topics.json").unlink()
    async with running(config) as ask:
        assert (await ask(RequestCode.HEART_BEAT, body=b"{}")).code == ResponseCode.SUCCESS


async def test_a_listen_port_without_room_for_its_vip_port_is_a_bind_error(config: BrokerConfig) -> None:
    with pytest.raises(BindError):
        await serve_broker(replace(config, listen_port=1, bind_address=("127.0.0.1",)), trio.Event())


HOSTILE_TEXTS = st.sampled_from(
    (
        *(
            "",
            "..",
            "../../etc/passwd",
            "t",
            "g",
            "TBW102",
            "%RETRY%g",
            "%DLQ%g",
            "SCHEDULE_TOPIC_XXXX",
            "a\0b",
            "主题",
        ),
        *("-1", "0", "1", "7", "2147483647", "-2147483648", "9223372036854775807", "-9223372036854775808", "x" * 300),
        *("true", "TAG", "SQL92", "DELAY\x0199\x02", "TRAN_MSG\x01true\x02", "\x01\x02\x01", "REAL_TOPIC\x01..\x02"),
    )
)
HOSTILE_BODIES = st.one_of(
    st.binary(max_size=60),
    st.sampled_from([b"", b"{}", b"[]", b"null", b"{" * 1000, b'{"mqSet":[{"queueId":-1}],"clientId":"\\ud800"}']),
    st.sampled_from([b'{"clientID":"\\ud800","consumerDataSet":[{"groupName":"\\ud800"}]}', b'{"groupName":".."}']),
)


async def test_no_request_of_the_table_brings_the_broker_down(config: BrokerConfig) -> None:
    """Every code with fields of the wrong size, sign and meaning: an answer comes, and the broker goes on."""
    requests: list[tuple[int, dict[str, str], bytes, int]] = []

    @settings(max_examples=30)
    @given(data=st.data())
    def collect(data: st.DataObject) -> None:
        for route in ROUTES:
            names = route.request_header.__struct_encode_fields__
            fields = {name: data.draw(HOSTILE_TEXTS) for name in names}
            if route.code is RequestCode.DELETE_TOPIC_IN_BROKER and fields["topic"] == "t":
                fields["topic"] = "g"  # what this test sent is looked for at its end
            requests.append((route.code, fields, data.draw(HOSTILE_BODIES), data.draw(st.integers(0, 1))))

    collect()
    untouched = PULL | {"topic": "untouched", "consumerGroup": "untouched"}
    async with running(config) as ask:
        # A topic and a group that none of the requests can name: one of them deletes topics.
        await ask(RequestCode.SEND_MESSAGE_V2, SEND | {"b": "untouched"}, b"first")
        for code, fields, body, serialization in requests:
            if code in (RequestCode.PULL_MESSAGE, RequestCode.LITE_PULL_MESSAGE):
                fields |= {"sysFlag": "5"}
            if code == RequestCode.END_TRANSACTION:
                fields |= {"commitOrRollback": "8"}  # "I don't know" is what no broker answers
            answer = await ask(code, fields, body, serialization=serialization)
            assert answer.is_response
        pulled = await ask(RequestCode.PULL_MESSAGE, untouched)
        assert decode_records(pulled.body)[0].body == b"first"
    async with running(config) as ask:
        assert (await ask(RequestCode.PULL_MESSAGE, untouched)).code == ResponseCode.SUCCESS
    assert {entry.name for entry in config.store_path_root_dir.parent.iterdir()} == {"store"}


async def test_a_tool_reaches_a_consumer_through_the_broker(config: BrokerConfig) -> None:
    """The consumer answers over its own connection; one that leaves or is silent is told of."""
    address = f"127.0.0.1:{config.listen_port}"
    told: list[Command] = []

    def answer(connection: Connection, command: Command) -> None:
        told.append(command)
        if (command.ext_fields or {}).get("jstackEnable") == "true":
            connection.close("enough")
        else:
            connection.send(Command(code=0, opaque=command.opaque, flag=FLAG_RESPONSE, body=b'{"said":1}'))

    heartbeat = HeartbeatData(client_id="c1", consumer_data_set=[ConsumerData(group_name="g")])
    async with running(config) as ask, RemotingClient(on_request=answer) as consumer:
        await consumer.request(address, Command(code=RequestCode.HEART_BEAT, body=heartbeat.encode(), language="JAVA"))
        fields = {"consumerGroup": "g", "clientId": "c1"}
        reply = await ask(RequestCode.GET_CONSUMER_RUNNING_INFO, fields)
        assert (reply.code, reply.body) == (0, b'{"said":1}')
        info = [each for each in told if each.code == RequestCode.GET_CONSUMER_RUNNING_INFO]
        assert info[0].ext_fields == fields | {"jstackEnable": "false"}
        reply = await ask(RequestCode.GET_CONSUMER_RUNNING_INFO, fields | {"jstackEnable": "true"})
        assert reply.code == ResponseCode.SYSTEM_ERROR
        assert (reply.remark or "").startswith("invoke consumer <g> <c1> Exception: ")
        reply = await ask(RequestCode.GET_CONSUMER_RUNNING_INFO, fields)
        assert reply.remark == "The Consumer <g> <c1> not online"


async def test_a_consumer_that_does_not_answer_costs_the_tool_a_timeout(
    config: BrokerConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rmqnode.broker.handlers.relays._CALL_TIMEOUT_SECONDS", 0.2)
    heartbeat = HeartbeatData(client_id="c1", consumer_data_set=[ConsumerData(group_name="g")])
    async with running(config) as ask, RemotingClient() as consumer:
        command = Command(code=RequestCode.HEART_BEAT, body=heartbeat.encode(), language="JAVA")
        await consumer.request(f"127.0.0.1:{config.listen_port}", command)
        reply = await ask(RequestCode.GET_CONSUMER_RUNNING_INFO, {"consumerGroup": "g", "clientId": "c1"})
        assert reply.code == ResponseCode.CONSUME_MSG_TIMEOUT
        assert (reply.remark or "").startswith("consumer <g> <c1> Timeout: ")
