"""Messages that wait until the application asks for them, and those that it was given and has not acknowledged."""

from collections import deque

import trio

from rmqctl.client.consumer.group_member import GroupMember
from rmqctl.client.consumer.process_queue import ProcessQueue
from rmqctl.client.received import ReceivedMessage
from rmqnode.protocol.bodies import MessageQueue
from rmqnode.protocol.message import StoredMessage


class PolledMessages:
    """Gives out messages in the order in which they were pulled; each is held until it is acknowledged."""

    def __init__(self, member: GroupMember) -> None:
        self._member = member
        self._ready: deque[tuple[ProcessQueue, StoredMessage]] = deque()
        self._given: list[tuple[ProcessQueue, int]] = []
        self._positions: dict[MessageQueue, int] = {}
        self._arrived = trio.Event()

    def deliver(self, process_queue: ProcessQueue, messages: list[StoredMessage]) -> None:
        """Take messages that are held in the process queue."""
        self._ready.extend([(process_queue, message) for message in messages])
        self._arrived.set()

    async def run_queue(self, process_queue: ProcessQueue) -> None:
        """A queue needs no task of its own."""

    def position(self, queue: MessageQueue) -> int | None:
        """Return the offset behind the last message of a queue that was given out."""
        return self._positions.get(queue)

    def forget_position(self, queue: MessageQueue) -> None:
        """Give out from somewhere else next."""
        self._positions.pop(queue, None)

    async def take(self, count_max: int) -> list[ReceivedMessage]:
        """Wait for messages and give out at least one."""
        # Otherwise who always finds messages would leave no time to those that pull.
        await trio.lowlevel.checkpoint()
        while True:
            taken: list[ReceivedMessage] = []
            while self._ready and len(taken) < count_max:
                process_queue, stored = self._ready.popleft()
                if not process_queue.is_dropped:
                    taken.append(ReceivedMessage(stored, process_queue.queue))
                    self._given.append((process_queue, stored.queue_offset))
                    self._positions[process_queue.queue] = stored.queue_offset + 1
            if taken:
                return taken
            self._arrived = trio.Event()
            await self._arrived.wait()

    def acknowledge(self) -> None:
        """Count everything that was given out as consumed."""
        for process_queue, queue_offset in self._given:
            offset = process_queue.remove(queue_offset)
            if not process_queue.is_dropped:
                self._member.offsets.update(process_queue.queue, offset, increase_only=True)
        self._given.clear()
