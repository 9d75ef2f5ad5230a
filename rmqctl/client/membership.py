"""The groups that a client is a member of, and the heartbeats by which brokers know.

One task beats for all groups of a client: every 30 s, at once when a group or a broker is new, and soon after a
connection broke, because a restarted broker knows nobody until then (it answers pulls with 24 and finds no producer to
check a transaction with). With producers only, masters are told; with a consumer, slaves too.
Source: `MQClientInstance#sendHeartbeatToAllBroker`, `#unregisterClient` (RocketMQ 4.5.2), differs: a new connection
is followed by a heartbeat at once.
"""

import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

import trio

from rmqctl.client.connection import ClusterConnection
from rmqctl.client.errors import ClientError, InvalidArgument
from rmqctl.client.routes import MASTER_ID, TopicRoute
from rmqnode.protocol.bodies import ConsumerData, HeartbeatData, ProducerData
from rmqnode.protocol.codes import RequestCode
from rmqnode.protocol.headers import UnregisterClientRequestHeader

logger = logging.getLogger(__name__)

_INTERVAL_SECONDS: Final = 30.0
"""Java's `heartbeatBrokerInterval`; a broker forgets a client after 120 s of silence."""

_RETRY_SECONDS: Final = 3.0
"""After a broker did not take a heartbeat: it may be starting again."""

_UNREGISTER_SECONDS: Final = 1.0
"""Leaving is a courtesy: brokers notice a closed connection by themselves."""


class Membership:
    """Producer and consumer groups of one client.

    Args:
        connection: Open as long as there are groups.
        client_id: By which brokers tell the members of a group apart.
        routes: Returns the routes in use: their brokers get the heartbeats.
    """

    def __init__(
        self, connection: ClusterConnection, client_id: str, routes: Callable[[], Iterable[TopicRoute]]
    ) -> None:
        self._connection = connection
        self._client_id = client_id
        self._routes = routes
        self._producers: set[str] = set()
        self._consumers: dict[str, Callable[[], ConsumerData]] = {}
        self._told: dict[str, str] = {}
        """Broker name by address of the brokers that took a heartbeat over the connection which stands now."""
        self._being_told: dict[str, str] = {}
        """As `_told`: those that were sent one, and have not answered yet."""
        self._wanted = trio.Event()
        self.broker_versions: dict[str, int] = {}
        """Version by address, from the answer to the last heartbeat: decides what a broker can do."""

    def add_producer(self, group: str) -> None:
        """Be a producer of a group from the next heartbeat on, which is sent soon.

        Raises:
            InvalidArgument: This client has a producer of the group already.
        """
        if group in self._producers:
            raise _already_there("producer", group)
        self._producers.add(group)
        self.beat_soon()

    def add_consumer(self, group: str, describe: Callable[[], ConsumerData]) -> None:
        """Be a consumer of a group from the next heartbeat on, which is sent soon.

        Args:
            group: Name of the consumer group.
            describe: Called for each heartbeat: the group with its subscriptions at that time.

        Raises:
            InvalidArgument: This client has a consumer of the group already.
        """
        if group in self._consumers:
            raise _already_there("consumer", group)
        self._consumers[group] = describe
        self.beat_soon()

    async def remove_producer(self, group: str) -> None:
        """Leave a producer group, and tell the brokers, within a second."""
        self._producers.discard(group)
        await self._unregister(UnregisterClientRequestHeader(client_id=self._client_id, producer_group=group))

    async def remove_consumer(self, group: str) -> None:
        """Leave a consumer group, and tell the brokers, within a second."""
        self._consumers.pop(group, None)
        await self._unregister(UnregisterClientRequestHeader(client_id=self._client_id, consumer_group=group))

    def beat_soon(self) -> None:
        """Send a heartbeat as soon as the task gets its turn."""
        self._wanted.set()

    def lost(self, address: str) -> None:
        """Note that the connection to a broker ended: it must be told again."""
        was_told = self._told.pop(address, None) is not None
        if was_told or address in self._being_told:
            self.beat_soon()

    def connected(self, address: str) -> None:
        """Note a new connection: a broker at its other end does not know us yet."""
        is_broker = address not in self._connection.nameservers and address not in self._being_told
        if is_broker and (self._producers or self._consumers):
            self.beat_soon()

    async def run(self) -> None:
        """Send heartbeats until cancelled."""
        wait_seconds = _INTERVAL_SECONDS
        while True:
            with trio.move_on_after(wait_seconds):
                await self._wanted.wait()
            self._wanted = trio.Event()
            wait_seconds = _INTERVAL_SECONDS if await self.beat() else _RETRY_SECONDS

    async def introduce(self) -> None:
        """Send a heartbeat, and wait for it, if a broker in use does not know us over the present connection."""
        if any(address not in self._told for address in self._brokers_in_use()):
            await self.beat()

    async def beat(self) -> bool:
        """Send a heartbeat to every broker in use and wait for the answers; returns whether all took it."""
        if not self._producers and not self._consumers:
            return True
        body = self._heartbeat().encode()
        failed: list[str] = []

        async def tell(broker: str, address: str) -> None:
            self._being_told[address] = broker
            try:
                answer = await self._connection.ask_broker(broker, address, RequestCode.HEART_BEAT, body=body)
            except ClientError as error:
                logger.info("heartbeat not taken broker=%s reason=%s", broker, error.why or error.what)
                failed.append(address)
                self._told.pop(address, None)
            else:
                self._told[address] = broker
                self.broker_versions[address] = answer.version
            finally:
                self._being_told.pop(address, None)

        async with trio.open_nursery() as nursery:
            for address, broker in self._brokers_in_use().items():
                nursery.start_soon(tell, broker, address)
        return not failed

    def _heartbeat(self) -> HeartbeatData:
        return HeartbeatData(
            client_id=self._client_id,
            producer_data_set=[ProducerData(group_name=group) for group in sorted(self._producers)],
            consumer_data_set=[describe() for describe in self._consumers.values()],
        )

    def _brokers_in_use(self) -> dict[str, str]:
        """Broker name by address."""
        return {
            address: part.broker
            for route in self._routes()
            for part in route.brokers
            for broker_id, address in part.addresses.items()
            if broker_id == MASTER_ID or self._consumers
        }

    async def _unregister(self, header: UnregisterClientRequestHeader) -> None:
        async def tell(broker: str, address: str) -> None:
            with suppress(ClientError):
                await self._connection.ask_broker(broker, address, RequestCode.UNREGISTER_CLIENT, header)

        with trio.move_on_after(_UNREGISTER_SECONDS, shield=True):
            async with trio.open_nursery() as nursery:
                for address, broker in (self._told | self._being_told).items():
                    nursery.start_soon(tell, broker, address)


def _already_there(kind: str, group: str) -> InvalidArgument:
    return InvalidArgument(
        f"this client has a {kind} of group {group} already",
        "brokers could not tell the two apart",
        "use the first one, or give the second a client of its own",
    )
