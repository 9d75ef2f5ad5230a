"""A broker's part in replication: what of it the streams see, and who waits for them.

A master without slaves pays nothing: only a connected slave is told of each message.
Source: BrokerController#handleSlaveSynchronize, HAService, CommitLog#handleHA (RocketMQ 4.5.2).
"""

import socket
from collections.abc import Sequence
from typing import Any, Final

import trio

from rmqnode.broker.flushing import Flusher
from rmqnode.broker.held_pulls import HeldPulls
from rmqnode.broker.limitations import Limit, Limitations
from rmqnode.broker.messages import MessageWriter
from rmqnode.broker.outcome import AfterReplication
from rmqnode.broker.replication.slave_admission import SlaveAdmission
from rmqnode.broker.replication.slave_sync import VIP_PORT_DISTANCE, SlaveSync
from rmqnode.config import BrokerConfig, BrokerRole, kinds
from rmqnode.ha.confirmation import Confirmation, ConfirmationQueue
from rmqnode.ha.master_link import MasterLink, MasterUnavailable
from rmqnode.ha.options import StreamOptions
from rmqnode.ha.slave_links import SlaveLinks
from rmqnode.ha.slave_stream import LogEnds
from rmqnode.net.client import RemotingClient
from rmqnode.net.connection import Connection
from rmqnode.net.errors import RemotingError
from rmqnode.protocol.bodies import KVTable
from rmqnode.protocol.codes import RequestCode, ResponseCode, response_name
from rmqnode.protocol.command import Command
from rmqnode.protocol.errors import ProtocolError
from rmqnode.protocol.headers import RegisterBrokerResponseHeader
from rmqnode.protocol.java_text import parse_long
from rmqnode.protocol.routes import Request
from rmqnode.store import MessageStore

_PAUSE_SECONDS: Final = 0.001
"""Between two writes of an asynchronous master to a slave: how much later it may have a message."""

_CODES: Final = {
    Confirmation.TIMEOUT: ResponseCode.FLUSH_SLAVE_TIMEOUT,
    Confirmation.NO_SLAVE: ResponseCode.SLAVE_NOT_AVAILABLE,
}


def _is_address(address: str | None) -> bool:
    """Whether a nameserver's word can be connected to; None is as good as no word."""
    try:
        return address is None or int((kinds.address().parse(address) or ":0").rpartition(":")[2]) > VIP_PORT_DISTANCE
    except ValueError:
        return False


class Replication:
    """Both ends of a broker: towards its slaves, and, of a slave, towards its master.

    Args:
        config: The broker's.
        store: The log that is sent or grows.
        writer: Told to tell the slaves, while there are any.
        flusher: Told of what a slave received.
        held_pulls: Pulls that wait on a slave for what it receives.
        client: For requests to the master.
        sync: Told of the master; runs on a slave.
        limitations: Told why nothing is copied.
    """

    def __init__(
        self,
        config: BrokerConfig,
        store: MessageStore,
        writer: MessageWriter,
        flusher: Flusher,
        held_pulls: HeldPulls,
        client: RemotingClient,
        sync: SlaveSync,
        limitations: Limitations,
    ) -> None:
        options = StreamOptions(
            config.ha_transfer_batch_size_bytes,
            config.ha_send_heartbeat_interval_ms / 1000,
            config.ha_housekeeping_interval_ms / 1000,
            0.0 if config.broker_role is BrokerRole.SYNC_MASTER else _PAUSE_SECONDS,
        )
        self._config = config
        self._store = store
        self._writer = writer
        self._flusher = flusher
        self._held_pulls = held_pulls
        self._client = client
        self._sync = sync
        self._limitations = limitations
        self._reported_damage: int | None = None
        self._has_no_address = False
        self.admission = SlaveAdmission(config, client)
        self._answering: set[Connection] = set()
        self.confirmations = ConfirmationQueue(
            config.sync_flush_timeout_ms / 1000, config.ha_slave_fallbehind_max_bytes, self._release_answers
        )
        self.slaves = SlaveLinks(
            store,
            options,
            self.confirmations.confirm,
            self._slaves_changed,
            self.admission.slaves_at,
            self.confirmations.claim,
        )
        self.master = MasterLink(self, options, self._ask_log_ends, self._followed, self._refused)
        if config.is_slave and config.ha_master_address is not None:
            host, _, port = config.ha_master_address.rpartition(":")
            self.master.use_master(config.ha_master_address, f"{host}:{int(port) - 1}")

    def start(self, services: trio.Nursery, listeners: Sequence[socket.socket]) -> None:
        """Start the services of this broker's role."""
        services.start_soon(self.slaves.serve, listeners)
        services.start_soon(self.confirmations.watch_timeouts)
        if self._config.is_slave:
            services.start_soon(self.master.run)
            services.start_soon(self._sync.run)

    def master_found(self, found: RegisterBrokerResponseHeader) -> None:
        """Take what a nameserver says about this slave's master."""
        if found.master_addr is None:
            return
        ha_address = self._config.ha_master_address or found.ha_server_addr
        for address in (found.master_addr, ha_address):
            if not _is_address(address):
                self._has_no_address = True
                self._refused(f"a nameserver names {address!r} as its address")
                return
        if self._has_no_address:
            self._has_no_address = False
            self._limitations.clear(Limit.REPLICATION)
        self._sync.use_master(found.master_addr)
        if ha_address is not None:
            self.master.use_master(ha_address, found.master_addr)

    def answer_after_replication(self, outcome: AfterReplication, request: Request[Any]) -> None:
        """Answer a send once a slave has it, or with a code that says that none does; it is stored here anyway."""

        def answer(confirmation: Confirmation) -> None:
            outcome.reply.code = _CODES.get(confirmation, outcome.reply.code)
            connection: Connection = request.connection
            # One report confirms what many threads of a client wait for: their answers leave in one write.
            connection.hold_writes()
            self._answering.add(connection)
            connection.reply(request, outcome.reply)

        self.confirmations.answer_when_confirmed(outcome.physical_offset, int(self.slaves.has_follower), answer)

    # --- the log that a slave's stream appends to ------------------------------------------------------------------

    @property
    def wrote_offset(self) -> int:
        """Physical offset where the log ends."""
        return self._store.wrote_offset

    @property
    def log_min_offset(self) -> int:
        """Physical offset where the log begins."""
        return self._store.log_min_offset

    @property
    def log_file_size(self) -> int:
        """Length of one file of the log, in bytes."""
        return self._config.mapped_file_size_commit_log_bytes

    def log_bytes(self, physical_offset: int, size_max: int) -> memoryview | None:
        """Bytes of one file of the log; None when there are none at that offset."""
        return self._store.log_bytes(physical_offset, size_max)

    def append(self, physical_offset: int, content: memoryview) -> None:
        """Append what the master sent; pulls that wait for it become due."""
        on_arrived = self._held_pulls.message_arrived if self._held_pulls.has_any else None
        self._store.append_replicated(physical_offset, content, on_arrived)
        self._flusher.message_written()
        self.slaves.log_grew()
        if self._store.replicated_damage != self._reported_damage:
            self._report_damage()

    @property
    def has_undispatched(self) -> bool:
        """Whether records that were appended have no unit yet though they are whole."""
        return self._store.has_undispatched

    def dispatch_more(self) -> None:
        """Give some of them their units."""
        self._store.dispatch_replicated(self._held_pulls.message_arrived if self._held_pulls.has_any else None)

    def _report_damage(self) -> None:
        """Say that the master's log is damaged for as long as no whole record has come behind it."""
        damage = self._reported_damage = self._store.replicated_damage
        if damage is None:
            self._limitations.clear(Limit.REPLICATION)
        else:
            self._limitations.report(
                Limit.REPLICATION,
                f"the master's log is damaged at physical offset {damage}, and no whole message has come behind that",
            )

    def _followed(self) -> None:
        if self._store.replicated_damage is None:
            self._limitations.clear(Limit.REPLICATION)
        self._sync.sync_soon()

    def _refused(self, reason: str) -> None:
        self._limitations.report(Limit.REPLICATION, f"nothing is copied from the master: {reason}")

    # ---------------------------------------------------------------------------------------------------------------

    def _release_answers(self) -> None:
        answering, self._answering = self._answering, set()
        for connection in answering:
            connection.release_writes()

    def _slaves_changed(self, count: int) -> None:
        self._writer.on_written = self._written_with_slaves if count else self._flusher.message_written

    def _written_with_slaves(self) -> None:
        self._flusher.message_written()
        self.slaves.log_grew()

    async def _ask_log_ends(self, address: str) -> LogEnds:
        """Ask a master where its log begins and ends (GET_BROKER_RUNTIME_INFO)."""
        try:
            response = await self._client.request(address, Command(code=RequestCode.GET_BROKER_RUNTIME_INFO))
            if response.code != ResponseCode.SUCCESS:
                raise MasterUnavailable(f"{address} answered {response_name(response.code)}: {response.remark}")
            table = KVTable.decode(response.body).table
        except (RemotingError, ProtocolError) as error:
            raise MasterUnavailable(str(error)) from None
        low, high = (parse_long(table.get(key, "")) for key in ("commitLogMinOffset", "commitLogMaxOffset"))
        if low is None or high is None:
            raise MasterUnavailable(f"{address} does not say where its log ends")
        return LogEnds(low, high)
