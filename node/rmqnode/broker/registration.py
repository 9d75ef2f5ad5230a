"""Announces the broker to every nameserver: at start, each period, after each change of a topic, until it stops.

The connections stay open, for a nameserver forgets a broker with its connection. A nameserver that can't be
reached, or that was restarted and has forgotten everything, is tried again every second.
Source: `BrokerOuterAPI#registerBrokerAll`, `BrokerController#registerBrokerAll` (RocketMQ 4.5.2). Differs: Java
notices a restarted nameserver only with the next period, up to 30 s later, and never one that lost a topic
(`route_check`).
"""

import logging
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec
import trio
from msgspec.structs import replace

from rmqnode.broker.outcome import AfterRegistration
from rmqnode.broker.route_check import RouteCheck
from rmqnode.config import BrokerConfig
from rmqnode.net.client import RemotingClient
from rmqnode.net.errors import RemotingError
from rmqnode.net.slices import finish_in_turns
from rmqnode.protocol.bodies import KVTable, Permission, RegisterBrokerBody, TopicConfigSerializeWrapper
from rmqnode.protocol.codes import RequestCode, ResponseCode, response_name
from rmqnode.protocol.command import Command
from rmqnode.protocol.errors import ProtocolError
from rmqnode.protocol.header_fields import header_from_ext_fields, header_to_ext_fields
from rmqnode.protocol.headers import (
    RegisterBrokerRequestHeader,
    RegisterBrokerResponseHeader,
    UnregisterBrokerRequestHeader,
)
from rmqnode.protocol.routes import Reply, Request

if TYPE_CHECKING:
    from rmqnode.broker.topics import TopicTable

logger = logging.getLogger(__name__)

_PERIOD_SECONDS_MIN: Final = 10.0
_PERIOD_SECONDS_MAX: Final = 60.0
"""Java keeps `registerNameServerPeriod` within these."""

_ANSWER_SECONDS: Final = 2.0
"""Who made a topic waits once to twice as long for a nameserver that hangs: tools give up after 5 s."""

_UNANSWERED_MAX: Final = 10_000
"""Changes of topics that wait for nameservers; with more, the next is told to come again."""

_RETRY_SECONDS: Final = 1.0
_AWAIT_MASTER_SECONDS: Final = 0.05
"""A slave that starts together with its master asks for it again so soon, then twice as late each time."""
_UNREGISTER_TIMEOUT_SECONDS: Final = 3.0


class _Waiting(msgspec.Struct, eq=False):
    outcome: AfterRegistration
    request: Request[Any]


class Registration:
    """The registration of one broker with all its nameservers, over `client`, which its owner opens.

    Args:
        on_order_config: Takes the names of ordered topics when a nameserver answers with them; one that knows
            of none says nothing, and the flags stay.
        on_master: Takes what a slave's nameserver answers about its master; a master's own is never told of.
    """

    topics: "TopicTable"

    def __init__(
        self,
        config: BrokerConfig,
        on_order_config: Callable[[list[str]], None],
        on_master: Callable[[RegisterBrokerResponseHeader], None],
    ) -> None:
        self.config = config
        """What the nameservers are told; replaced when the broker's changes."""
        self._on_order_config = on_order_config
        self._on_master = on_master
        self._awaits_master = config.is_slave
        self._master_retry_seconds = _AWAIT_MASTER_SECONDS
        self._masters: dict[str, RegisterBrokerResponseHeader] = {}
        """What each nameserver said last about this slave's master."""
        self._timeout = config.register_broker_timeout_ms / 1000
        self._period = max(_PERIOD_SECONDS_MIN, min(config.register_name_server_period_ms / 1000, _PERIOD_SECONDS_MAX))
        self._changed = trio.Event()
        self._period_end = 0.0
        self._failed: set[str] = set()
        self._reported: set[str] = set()
        """Nameservers whose failure is in the log."""
        self._unanswered: list[_Waiting] = []
        self._something_waits = trio.Event()
        self.client = RemotingClient(on_closed=self._nameserver_gone)

    def topics_changed(self) -> None:
        """Register again soon: the topic table is not what the nameservers know."""
        self._changed.set()

    def answer_after_registration(self, outcome: AfterRegistration, request: Request[Any]) -> None:
        """Answer a request once the next registration has reached or missed all nameservers, or takes too long."""
        if len(self._unanswered) >= _UNANSWERED_MAX:
            remark = f"{len(self._unanswered)} requests wait for a registration already, try again later"
            request.connection.reply(request, Reply(ResponseCode.SYSTEM_BUSY, remark))
            return
        self._unanswered.append(_Waiting(outcome, request))
        self._something_waits.set()
        self._changed.set()

    async def register(self) -> None:
        """Register with all nameservers now; those that can't be reached are tried again by `keep_registered`."""
        self._period_end = trio.current_time() + self._period
        order_configs = await self._register_with(self.config.namesrv_addr)
        # One nameserver's word, and always the same one's: two that differ must not turn the flags for ever.
        speaker = next((address for address in self.config.namesrv_addr if address in order_configs), None)
        if speaker is not None:
            self._on_order_config(order_configs[speaker])

    async def register_at(self, address: str) -> bool:
        """Register with one nameserver now; whether it took that."""
        await self._register_with((address,))
        return address not in self._failed

    @property
    def period_seconds(self) -> float:
        """How often the broker registers."""
        return self._period

    @property
    def timeout_seconds(self) -> float:
        """How long a nameserver may take for an answer."""
        return self._timeout

    async def keep_registered(self) -> None:
        """Service: register again each period, after each change, and where it failed."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._answer_late_ones)
            nursery.start_soon(RouteCheck(self).run)
            while True:
                await self._wait_for_next()

    async def _wait_for_next(self) -> None:
        """Wait for a change or the time of the next registration, then register where it is due."""
        is_complete = not self._failed and not self._awaits_master
        retry_seconds = _RETRY_SECONDS
        if self._awaits_master and not self._failed:
            retry_seconds = self._master_retry_seconds
            self._master_retry_seconds = min(_RETRY_SECONDS, 2 * self._master_retry_seconds)
        retry_at = self._period_end if is_complete else trio.current_time() + retry_seconds
        with trio.move_on_at(min(retry_at, self._period_end)):
            await self._changed.wait()
        # Those that answer must hear of this broker each period, however long another one is away.
        if not self._changed.is_set() and trio.current_time() < self._period_end:
            # A slave that started together with its master looks for it again soon.
            await self._register_with(self.config.namesrv_addr if self._awaits_master else tuple(self._failed))
            return
        self._changed = trio.Event()
        waiting = list(self._unanswered)
        await self.register()
        self._answer(waiting)

    async def _answer_late_ones(self) -> None:
        """Answer who has waited long enough for a nameserver that does not answer."""
        while True:
            await self._something_waits.wait()
            self._something_waits = trio.Event()
            while self._unanswered:
                waiting = list(self._unanswered)
                await trio.sleep(_ANSWER_SECONDS)
                self._answer(waiting)

    def _answer(self, waiting: list["_Waiting"]) -> None:
        """Answer those of them that have no answer yet."""
        for each in waiting:
            if each in self._unanswered:
                self._unanswered.remove(each)
                each.request.connection.reply(each.request, each.outcome.reply)

    async def _register_with(self, addresses: tuple[str, ...]) -> dict[str, list[str]]:
        """Register with some nameservers; return what those that know of ordered topics answered."""
        registration = RegisterBrokerBody(topic_config_serialize_wrapper=self._announced_topics())
        body = await finish_in_turns(registration.encode_steps())
        order_configs: dict[str, list[str]] = {}
        async with trio.open_nursery() as nursery:
            for address in addresses:
                nursery.start_soon(self._register, address, body, order_configs)
        if self.config.is_slave:
            self._tell_master()
        return order_configs

    def _tell_master(self) -> None:
        known = (self._masters[address] for address in self.config.namesrv_addr if address in self._masters)
        master = next((master for master in known if master.master_addr is not None), None)
        if master is not None:
            self._awaits_master = False
            self._on_master(master)

    async def _register(self, address: str, body: bytes, order_configs: dict[str, list[str]]) -> None:
        config = self.config
        header = RegisterBrokerRequestHeader(
            broker_name=config.broker_name,
            broker_addr=f"{config.broker_ip1}:{config.listen_port}",
            cluster_name=config.broker_cluster_name,
            ha_server_addr=f"{config.broker_ip2}:{config.ha_listen_port}",
            broker_id=config.broker_id,
            body_crc32=zlib.crc32(body) & 0x7FFFFFFF,
        )
        command = Command(code=RequestCode.REGISTER_BROKER, ext_fields=header_to_ext_fields(header), body=body)
        try:
            response = await self.client.request(address, command, timeout_seconds=self._timeout)
            if response.code != ResponseCode.SUCCESS:
                raise RemotingError(address, f"{response_name(response.code)}: {response.remark}")
            self._masters[address] = header_from_ext_fields(RegisterBrokerResponseHeader, response.ext_fields or {})
            if response.body:
                order_configs[address] = list(KVTable.decode(response.body).table)
        except (RemotingError, ProtocolError) as error:
            if address not in self._reported:
                logger.warning("registration failed nameserver=%s reason=%s", address, error)
            self._reported.add(address)
            self._failed.add(address)
            self._masters.pop(address, None)
            return
        if address in self._reported:
            logger.info("registration works again nameserver=%s", address)
        self._reported.discard(address)
        self._failed.discard(address)

    def _announced_topics(self) -> TopicConfigSerializeWrapper:
        """Return the topic table, with the broker's permission where the broker lacks read or write."""
        wrapper = self.topics.wrapper()
        permission = self.config.broker_permission
        if permission & Permission.READ and permission & Permission.WRITE:
            return wrapper
        table = {name: replace(topic, perm=permission) for name, topic in wrapper.topic_config_table.items()}
        return TopicConfigSerializeWrapper(topic_config_table=table, data_version=wrapper.data_version)

    async def unregister(self) -> None:
        """Tell all nameservers that the broker goes."""
        config = self.config
        header = UnregisterBrokerRequestHeader(
            broker_name=config.broker_name,
            broker_addr=f"{config.broker_ip1}:{config.listen_port}",
            cluster_name=config.broker_cluster_name,
            broker_id=config.broker_id,
        )

        async def unregister_at(address: str) -> None:
            command = Command(code=RequestCode.UNREGISTER_BROKER, ext_fields=header_to_ext_fields(header))
            try:
                await self.client.request(address, command, timeout_seconds=_UNREGISTER_TIMEOUT_SECONDS)
            except RemotingError as error:
                logger.info("unregistration failed nameserver=%s reason=%s", address, error)

        async with trio.open_nursery() as nursery:
            for address in config.namesrv_addr:
                if address not in self._failed:
                    nursery.start_soon(unregister_at, address)

    def _nameserver_gone(self, address: str) -> None:
        """Note that a nameserver closed the connection: it has forgotten this broker."""
        # A slave asks its master over the same client.
        if address in self.config.namesrv_addr:
            self._failed.add(address)
            self._changed.set()
