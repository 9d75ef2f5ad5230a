"""Where a consumer keeps how far it is: on the brokers for a whole group, in a local file for each broadcasting client.

Offsets live in memory first, as far as everything below them is consumed, and are persisted now and then. Local files
are Java's, in place and form, so that a Java and a Python client with one client id continue each other.
Source: `RemoteBrokerOffsetStore`, `LocalFileOffsetStore`, `MixAll#string2File` (RocketMQ 4.5.2).
"""

import logging
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import trio

from rmqctl.client.consumer.group_requests import GroupRequests
from rmqctl.client.errors import ClientError
from rmqnode.protocol import fastjson
from rmqnode.protocol.bodies import MessageQueue, ResetOffsetBody
from rmqnode.protocol.errors import ProtocolError

logger = logging.getLogger(__name__)

_PATIENCE_SECONDS: Final = 1.0
"""With a broker that does not answer, when the offset comes again in a few seconds anyway."""

LOCAL_OFFSETS_FOLDER: Final = Path("~/.rocketmq_offsets")
"""Where Java's clients keep local offsets, unless `-Drocketmq.client.localOffsetStoreDir` moves them."""


class OffsetStore(ABC):
    """Consumer offsets of the queues that a consumer has now."""

    def __init__(self) -> None:
        self._offsets: dict[MessageQueue, int] = {}

    def known(self, queue: MessageQueue) -> int | None:
        """Return the offset in memory: everything below it is consumed."""
        return self._offsets.get(queue)

    def update(self, queue: MessageQueue, queue_offset: int, *, increase_only: bool) -> None:
        """Note in memory how far a queue is consumed."""
        if not increase_only or queue_offset > self._offsets.get(queue, -1):
            self._offsets[queue] = queue_offset

    def forget(self, queue: MessageQueue) -> None:
        """Drop an offset from memory: another member consumes the queue."""
        self._offsets.pop(queue, None)

    def of_topic(self, topic: str) -> dict[MessageQueue, int]:
        """Return the offsets in memory of one topic."""
        return {queue: offset for queue, offset in self._offsets.items() if queue.topic == topic}

    @abstractmethod
    async def stored(self, queue: MessageQueue) -> int | None:
        """Return the persisted offset; None when there is none.

        Raises:
            ClientError: It can't be found out now.
        """

    @abstractmethod
    async def persist(self, queues: Iterable[MessageQueue], *, confirmed: bool = False) -> None:
        """Persist what is in memory of these queues; what fails is logged and left to the next time.

        Args:
            queues: Those that this member has now.
            confirmed: It must be there afterwards, as on exit: have patience with the brokers, and warn of what fails.
        """


class RemoteOffsetStore(OffsetStore):
    """The offsets of a group, kept by the broker of each queue.

    Differs from Java's, which tells brokers one-way: a broker that handles requests side by side may take an earlier
    offset for the later one. So each is answered before the next is sent, also when what persists now and then is
    cancelled.
    """

    def __init__(self, requests: GroupRequests) -> None:
        super().__init__()
        self._requests = requests
        self._persisting = trio.Lock()

    async def stored(self, queue: MessageQueue) -> int | None:
        """Ask the broker of the queue."""
        return await self._requests.query_offset(queue)

    async def persist(self, queues: Iterable[MessageQueue], *, confirmed: bool = False) -> None:
        """Tell each broker the offsets of its queues, changed or not: it may have lost what it was told before."""
        by_broker: dict[str, list[MessageQueue]] = {}
        for queue in queues:
            if queue in self._offsets:
                by_broker.setdefault(queue.broker_name, []).append(queue)
        async with self._persisting:
            with trio.move_on_after(math.inf if confirmed else _PATIENCE_SECONDS, shield=not confirmed):
                async with trio.open_nursery() as nursery:
                    for of_broker in by_broker.values():
                        nursery.start_soon(self._persist_at_broker, of_broker, confirmed)

    async def _persist_at_broker(self, queues: list[MessageQueue], confirmed: bool) -> None:
        for queue in queues:
            offset = self._offsets.get(queue)
            if offset is None:
                continue
            try:
                await self._requests.update_offset(queue, offset)
            except ClientError as error:
                level = logging.WARNING if confirmed else logging.INFO
                logger.log(level, "offset not persisted queue=%s reason=%s", queue, error)
                return


class LocalOffsetStore(OffsetStore):
    """The offsets of one broadcasting client: `<folder>/<client id>/<group>/offsets.json`."""

    def __init__(self, folder: Path, client_id: str, group: str) -> None:
        super().__init__()
        self._path = folder.expanduser() / client_id / group / "offsets.json"
        self._written: dict[MessageQueue, int] | None = None
        self._writing = trio.Lock()

    async def stored(self, queue: MessageQueue) -> int | None:
        """Read the file, once."""
        if self._written is None:
            self._written = await trio.to_thread.run_sync(_read_offsets, self._path)
        return self._written.get(queue)

    async def persist(self, queues: Iterable[MessageQueue], *, confirmed: bool = False) -> None:
        """Write the file if anything has changed; offsets of queues that are not consumed now are kept."""
        async with self._writing:
            before = self._written or {}
            after = {**before, **self._offsets}
            if after == before:
                return
            try:
                await trio.to_thread.run_sync(_write_offsets, self._path, after)
            except OSError as error:
                logger.warning("offsets not persisted file=%s reason=%s", self._path, error)
            else:
                self._written = after


def _read_offsets(path: Path) -> dict[MessageQueue, int]:
    for candidate in (path, path.with_name(path.name + ".bak")):
        try:
            data = candidate.read_bytes()
            if data:
                return ResetOffsetBody.decode(data).offset_table
        except FileNotFoundError:
            continue
        except (OSError, ProtocolError) as error:
            logger.warning("local offsets can't be read file=%s reason=%s", candidate, error)
    return {}


def _write_offsets(path: Path, offsets: dict[MessageQueue, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as file:
        file.write(fastjson.dumps(ResetOffsetBody(offset_table=offsets), pretty=True))
        file.flush()
        os.fsync(file.fileno())
    if path.exists():
        # A link keeps the file in place all the time, where Java deletes it for a moment.
        backup = path.with_name(path.name + ".bak")
        backup.unlink(missing_ok=True)
        os.link(path, backup)
    temporary.replace(path)
