"""How late delayed messages are while many others wait: on a busy machine this may fail for the machine's reasons."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.message import decode_record
from tests.interop.message_client import MessageClient, message_client
from tests.interop.store_brokers import StoreBroker
from tests.ports import free_port

WAITING = 100_000
WATCHED = 1_000
DELAY_MS = 3_000
LATENESS_MS_MAX = 200
AT_ONCE = 64


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[StoreBroker]:
    properties = {"messageDelayLevel": f"{DELAY_MS // 1000}s 10m", "mappedFileSizeCommitLog": str(64 * 1024 * 1024)}
    broker = StoreBroker(tmp_path / "broker", free_port(), properties=properties)
    yield broker
    broker.close()


@pytest.mark.long
async def test_with_100_000_waiting_messages_none_is_early_and_none_more_than_a_fifth_of_a_second_late(
    broker: StoreBroker,
) -> None:
    broker.start("embedded")
    async with message_client(broker.address) as client:
        await client.create_topic()
        await send_many(client, WAITING, level=2)
        watched = await send_many(client, WATCHED, level=1)
        due_ms = {body: await stored_ms(client, message_id) + DELAY_MS for body, message_id in watched.items()}
        lateness = [message.store_timestamp - due_ms[message.body] for message in await client.wait_for(watched)]
    assert len(lateness) == WATCHED
    assert min(lateness) >= 0
    assert max(lateness) <= LATENESS_MS_MAX


async def send_many(client: MessageClient, count: int, level: int) -> dict[bytes, str]:
    """Send delayed messages, many at a time; returns the message id of each body."""
    sent: dict[bytes, str] = {}
    numbers = iter(range(count))

    async def send() -> None:
        for number in numbers:
            body = b"%d of level %d" % (number, level)
            sent[body] = (await client.send(body, DELAY=str(level)))["msgId"]

    async with trio.open_nursery() as nursery:
        for _ in range(AT_ONCE):
            nursery.start_soon(send)
    return sent


async def stored_ms(client: MessageClient, message_id: str) -> int:
    """When the message was stored that waits."""
    viewed = await client.ask(RequestCode.VIEW_MESSAGE_BY_ID, {"offset": str(int(message_id[16:], 16))})
    assert viewed.code == ResponseCode.SUCCESS, viewed
    return decode_record(viewed.body).store_timestamp
