"""What a broker process promises of its disk: syncs before answers, kill -9 under load, a disk that fills up."""

import os
import random
import re
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from rmqnode.net.client import RemotingClient
from rmqnode.net.errors import RemotingError
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.command import Command
from rmqnode.protocol.message import decode_records
from tests.interop.store_brokers import StoreBroker, StoreClient, with_client
from tests.ports import free_port

QUEUES = 4
MakeBroker = Callable[..., StoreBroker]


@pytest.fixture
def make_broker(tmp_path: Path) -> Iterator[MakeBroker]:
    """Makes brokers with keys of their configuration; whatever still runs is killed at the end."""
    made: list[StoreBroker] = []

    def make(folder: Path | None = None, **properties: str) -> StoreBroker:
        port = free_port()
        made.append(StoreBroker((folder or tmp_path) / "broker", port, properties=properties))
        return made[-1]

    yield make
    for broker in made:
        broker.close()


async def send(client: StoreClient, queue_id: int, body: bytes) -> Command:
    fields = {"a": "pg", "b": "t", "c": "TBW102", "d": str(QUEUES), "e": str(queue_id), "f": "0", "g": "1", "h": "0"}
    fields |= {"i": "UNIQ_KEY\x01" + body[:32].hex().upper() + "\x02", "j": "0", "k": "false", "m": "false"}
    return await client.ask(RequestCode.SEND_MESSAGE_V2, fields, body)


# --- the order of syncs and answers ------------------------------------------------------------------------------


async def test_with_sync_flush_no_answer_leaves_before_its_bytes_are_synced(
    make_broker: MakeBroker, tmp_path: Path
) -> None:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace not found on the PATH")
    broker = make_broker(flushDiskType="SYNC_FLUSH")
    trace = tmp_path / "trace"
    calls = "trace=fdatasync,fsync,sendto,sendmsg,write,writev,recvfrom,recvmsg,read"
    broker.prefix = [strace, "-D", "-f", "-y", "-s", "400", "-e", calls, "-o", str(trace)]
    broker.start("embedded")

    async def work(client: StoreClient) -> None:
        for index in range(20):
            assert (await send(client, 0, b"traced-%02d-" % index)).code == ResponseCode.SUCCESS

    await with_client(broker, [], work)
    assert broker.process is not None
    end = f"{broker.process.pid} +++ exited with 0 +++"
    broker.stop(kill=False)
    received, synced, answered = events_of(text_that_ends_with(trace, end))
    for index in range(20):
        wanted = f"traced-{index:02d}-"
        arrival = received[wanted]
        departure = min(line for line in answered if line > arrival)
        assert any(arrival < begun and ended < departure for begun, ended in synced), (wanted, arrival, departure)


def text_that_ends_with(path: Path, end: str) -> str:
    """The text of a file that somebody is still writing, once a line of it has that end."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        text = path.read_text(errors="replace")
        if end in re.sub(" +", " ", text):
            return text
        time.sleep(0.01)
    raise TimeoutError(f"{path} does not end with {end!r}")


def events_of(trace: str) -> tuple[dict[str, int], list[tuple[int, int]], list[int]]:
    """Lines of a trace: where bodies came in, where syncs of the log began and ended, where answers to sends left."""
    received: dict[str, int] = {}
    synced: list[tuple[int, int]] = []
    answered: list[int] = []
    begun: dict[str, int] = {}
    for number, line in enumerate(trace.splitlines()):
        thread = line.split()[0]
        body = re.search(r"traced-\d\d-", line)
        if body is not None and re.search(r"\b(recvfrom|recvmsg|read)\b", line):
            received.setdefault(body[0], number)
        elif re.search(r"\b(sendto|sendmsg|write|writev)\(.*msgId", line):
            answered.append(number)
        elif "fdatasync(" in line and "/commitlog/" in line:
            if line.endswith("= 0"):
                synced.append((number, number))
            else:
                begun[thread] = number
        elif "fdatasync resumed" in line and thread in begun and line.endswith("= 0"):
            synced.append((begun.pop(thread), number))
    return received, synced, answered


# --- kill -9 -----------------------------------------------------------------------------------------------------


async def test_nothing_acknowledged_is_lost_by_5_kills_under_load(make_broker: MakeBroker) -> None:
    await kill_under_load(make_broker(), rounds=5, seed=5)


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_nothing_acknowledged_is_lost_by_50_kills_under_load(make_broker: MakeBroker) -> None:
    await kill_under_load(make_broker(), rounds=50, seed=random.randrange(1 << 30))


async def kill_under_load(broker: StoreBroker, rounds: int, seed: int) -> None:
    print("seed", seed)
    moments = random.Random(seed)
    acknowledged: dict[int, dict[int, bytes]] = defaultdict(dict)
    for number in range(rounds):
        broker.start("embedded")
        async with RemotingClient() as remoting:
            client = StoreClient(remoting, broker.address, seed=number)
            await client.wait_ready()
            await check_queues(client, acknowledged)
            async with trio.open_nursery() as nursery:
                for sender in range(8):
                    nursery.start_soon(send_until_killed, client, sender, number, acknowledged)
                await trio.sleep(moments.uniform(0.05, 0.8))
                broker.stop(kill=True)
                nursery.cancel_scope.deadline = trio.current_time() + 5
    broker.start("embedded")
    await with_client(broker, [], lambda client: check_queues(client, acknowledged))
    broker.stop(kill=False)
    assert sum(map(len, acknowledged.values())) > 20 * rounds


async def send_until_killed(
    client: StoreClient, sender: int, number: int, acknowledged: dict[int, dict[int, bytes]]
) -> None:
    """Send one message after the other to one queue; note which were acknowledged with which offset."""
    queue_id = sender % QUEUES
    for index in range(1_000_000):
        body = b"%02d-%04d-%08d-" % (sender, number, index) + b"x" * (index % 3000)
        with suppress(RemotingError):
            answer = await send(client, queue_id, body)
            assert answer.code == ResponseCode.SUCCESS
            assert answer.ext_fields is not None
            offset = int(answer.ext_fields["queueOffset"])
            assert offset not in acknowledged[queue_id]
            acknowledged[queue_id][offset] = body
            continue
        return


async def check_queues(client: StoreClient, acknowledged: dict[int, dict[int, bytes]]) -> None:
    """Every acknowledged message is where the answer said, nothing is there twice, senders are in order."""
    for queue_id, by_offset in acknowledged.items():
        bodies = [message.body for message in await client.pull_all("t", queue_id, "*")]
        assert len(set(bodies)) == len(bodies)
        for offset, body in by_offset.items():
            assert bodies[offset] == body
        for sender in range(queue_id, 8, QUEUES):
            sent = [body[:17] for body in bodies if body.startswith(b"%02d-" % sender)]
            assert sent == sorted(sent)


# --- a full disk -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("small_disk", [24], indirect=True)
async def test_a_full_disk_is_said_reads_go_on_and_writes_come_back(make_broker: MakeBroker, small_disk: Path) -> None:
    broker = make_broker(small_disk)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(6 * 1024 * 1024))
    broker.start("embedded")
    sent: list[bytes] = []

    async def fill(client: StoreClient) -> Command:
        for index in range(1000):
            body = b"%032d" % (len(sent) * 1000 + index) + os.urandom(50_000)
            answer = await send(client, 0, body)
            if answer.code != ResponseCode.SUCCESS:
                return answer
            sent.append(body)
        raise AssertionError("the disk does not fill up")

    async def work(client: StoreClient) -> None:
        for freed in (None, ballast):
            if freed is not None:
                freed.unlink()
            before = len(sent)
            answer = await fill(client)
            assert len(sent) > before
            assert answer.code == ResponseCode.SERVICE_NOT_AVAILABLE
            assert answer.remark is not None
            assert answer.remark.startswith("service not available now, maybe disk full, CL:")
            assert f"The disk of {broker.store}/" in answer.remark
            assert [message.body for message in await client.pull_all("t", 0, "*")] == sent

    await with_client(broker, [], work)
    assert broker.process is not None
    assert broker.process.poll() is None
    broker.stop(kill=False)
    (small_disk / "more").touch()
    broker.start("embedded")

    async def check(client: StoreClient) -> None:
        assert [message.body for message in await client.pull_all("t", 0, "*")] == sent
        found = await client.ask(
            RequestCode.QUERY_MESSAGE,
            {"topic": "t", "key": sent[0][:32].hex().upper(), "maxNum": "1", "beginTimestamp": "0"}
            | {"endTimestamp": str(2**62)},
        )
        assert [message.body for message in decode_records(found.body)] == [sent[0]]

    await with_client(broker, [], check)
    broker.stop(kill=False)
