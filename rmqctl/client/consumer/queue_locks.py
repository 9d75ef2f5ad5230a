"""Locks of an orderly consumer: a broker keeps a queue for one member of the group, for 60 s at a time.

Source: `RebalanceImpl#lock`, `#lockAll`, `#unlock` (RocketMQ 4.5.2).
"""

import logging
from collections.abc import Awaitable, Callable, Iterable

import trio

from rmqctl.client.consumer.group_member import GroupMember
from rmqctl.client.errors import ClientError
from rmqnode.protocol.bodies import MessageQueue

logger = logging.getLogger(__name__)


class QueueLocks:
    """Asks the brokers of queues for locks, all brokers at the same time; members that need none ask nobody."""

    def __init__(self, member: GroupMember) -> None:
        self._member = member

    async def lock(self, queues: Iterable[MessageQueue]) -> set[MessageQueue]:
        """Return those of the queues that their brokers keep for us now."""
        locked: set[MessageQueue] = set()

        async def lock(of_broker: list[MessageQueue]) -> None:
            locked.update(await self._member.requests.lock(of_broker))

        await self._ask_each_broker("lock", queues, lock)
        return locked

    async def unlock(self, queues: Iterable[MessageQueue]) -> None:
        """Give queues back; a broker that can't be told does so by itself when the locks expire."""
        await self._ask_each_broker("unlock", queues, self._member.requests.unlock)

    async def _ask_each_broker(
        self, what: str, queues: Iterable[MessageQueue], ask: Callable[[list[MessageQueue]], Awaitable[None]]
    ) -> None:
        by_broker: dict[str, list[MessageQueue]] = {}
        for queue in queues if self._member.needs_locks else ():
            by_broker.setdefault(queue.broker_name, []).append(queue)

        async def try_to_ask(of_broker: list[MessageQueue]) -> None:
            try:
                await ask(of_broker)
            except ClientError as error:
                logger.info("%s failed group=%s first=%s reason=%s", what, self._member.group, of_broker[0], error)

        async with trio.open_nursery() as nursery:
            for of_broker in by_broker.values():
                nursery.start_soon(try_to_ask, of_broker)
