"""The broker's state: one object that every handler gets, built at start and passed on.

It decides nothing itself. Services that wait (flush, long polling, registration, delayed delivery) are parts of
it, so that an outcome of a handler finds the one that finishes it.
"""

import logging
import socket
import struct
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from rmqnode.broker.budgets import BrokerBudgets
from rmqnode.broker.cleaning import CleaningService
from rmqnode.broker.client_calls import ClientCalls
from rmqnode.broker.clients import ClientTable, ConsumerGroup
from rmqnode.broker.consumer_offsets import ConsumerOffsets
from rmqnode.broker.delayed.delivery import DelayedDelivery
from rmqnode.broker.delayed.levels import DelayLevels
from rmqnode.broker.disk_watch import DiskWatch
from rmqnode.broker.filters.by_group import ConsumerFilters
from rmqnode.broker.flushing import Flusher
from rmqnode.broker.held_pulls import HeldPulls
from rmqnode.broker.indexing import Indexer
from rmqnode.broker.limitations import Limit, Limitations
from rmqnode.broker.messages import MessageWriter
from rmqnode.broker.outcome import (
    AfterClients,
    AfterFlush,
    AfterIndexing,
    AfterRegistration,
    AfterReplication,
    Hold,
)
from rmqnode.broker.queue_locks import QueueLocks
from rmqnode.broker.registration import Registration
from rmqnode.broker.replication.part import Replication
from rmqnode.broker.replication.slave_commits import SlaveCommits
from rmqnode.broker.replication.slave_sync import SlaveSync
from rmqnode.broker.send_replies import SendReplies
from rmqnode.broker.statistics.counting import BrokerStatistics
from rmqnode.broker.subscription_groups import SubscriptionGroups
from rmqnode.broker.topics import TopicTable
from rmqnode.broker.transactions import CheckBack, TransactionLedger, Transactions
from rmqnode.config import BrokerConfig, BrokerRole, ConfigError
from rmqnode.config_changes import ConfigChanges
from rmqnode.net.dispatch import call_handler, finish_in_slices
from rmqnode.net.loop_meter import LoopMeter
from rmqnode.net.slices import InSlices, SlicedWork
from rmqnode.net.written_table import AfterWrite
from rmqnode.protocol.bodies import DataVersion
from rmqnode.protocol.codes import RequestCode
from rmqnode.protocol.command import FLAG_ONEWAY, Command
from rmqnode.protocol.header_fields import header_to_ext_fields
from rmqnode.protocol.headers import NotifyConsumerIdsChangedRequestHeader, RegisterBrokerResponseHeader
from rmqnode.protocol.routes import Reply, Request
from rmqnode.store import MessageStore
from rmqnode.store.config_file import ConfigFile

logger = logging.getLogger(__name__)

_PORT: Final = struct.Struct(">i")


def wall_clock_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class Broker:
    """Everything that one broker knows.

    Args:
        config: Resolved: `broker_ip1` is set.
        store: Open.
        clock_ms: Milliseconds since the epoch.
        clock: Seconds, monotonic, for the liveness of clients.
        run_pull_again: The pull handler, without permission to hold.
        meter: Measures the loop that the broker runs in.
    """

    def __init__(
        self,
        config: BrokerConfig,
        store: MessageStore,
        run_pull_again: Callable[["Broker", Request[Any]], Reply],
        *,
        clock_ms: Callable[[], int] = wall_clock_ms,
        clock: Callable[[], float] = time.monotonic,
        meter: LoopMeter | None = None,
    ) -> None:
        folder = config.store_path_root_dir / "config"
        self.config = config
        # A broker that was not started from a file keeps its changes with its tables.
        self.config_changes = ConfigChanges("broker", config.broker_config_path or folder / "broker.conf")
        self.config_version = DataVersion(timestamp=clock_ms())
        self.store = store
        self.limitations = Limitations()
        self.meter = meter or LoopMeter()
        self.sliced = SlicedWork(self.meter)
        self.look_at_refused_keys()
        self.disk_watch = DiskWatch(store, config, self.limitations)
        self.budgets = budgets = BrokerBudgets(config, self.limitations)
        self.clock_ms = clock_ms
        self.boot_timestamp_ms = clock_ms()
        self.store_host = store_host_of(config)
        self.message_id_prefix = self.store_host.hex().upper()
        self.send_replies = SendReplies(config)
        self.registration = Registration(config, self._registered_order_config, self._master_found)
        self.topics = TopicTable(
            config, ConfigFile(folder / "topics.json"), clock_ms, self.registration.topics_changed, budgets.topics
        )
        budgets.count(budgets.topics, lambda: self.topics.counted)
        self.registration.topics = self.topics
        self.groups = SubscriptionGroups(
            ConfigFile(folder / "subscriptionGroup.json"),
            may_auto_create=config.auto_create_subscription_group,
            clock_ms=clock_ms,
            budget=budgets.groups,
        )
        budgets.count(budgets.groups, lambda: len(self.groups))
        self.offsets = ConsumerOffsets(
            ConfigFile(folder / "consumerOffset.json"), budgets.consumer_offsets, self._is_read_by
        )
        self.client_calls = ClientCalls()
        self.filters = ConsumerFilters(ConfigFile(folder / "consumerFilter.json"), config, clock_ms, budgets.filters)
        self.clients = ClientTable(clock, self._members_changed, budgets.clients, budgets.subscriptions)
        self.clock = clock
        self.locks = QueueLocks(clock_ms, budgets.queue_locks)
        self.statistics = BrokerStatistics(store, config.broker_cluster_name, clock_ms, clock)
        self.indexer = Indexer(store, lambda: self.flusher.expect_write())
        self.cleaning = CleaningService(store, config)
        self.flusher = Flusher(store, config, self.indexer.wake, self._flushed)
        self.is_durable_at_once = not self.flusher.is_sync and config.broker_role is not BrokerRole.SYNC_MASTER
        """Whether a send is answered as soon as it is in the page cache: no disk and no slave to wait for."""
        self.held_pulls = HeldPulls(
            lambda request: request.connection.reply(request, call_handler(run_pull_again, self, request)),
            budgets.held_pulls,
        )
        self.delay_levels = DelayLevels(config.message_delay_level)
        self.writer = MessageWriter(store, self.delay_levels, self.held_pulls, self.flusher.message_written)
        self.delayed_delivery = DelayedDelivery(
            store, self.writer, self.delay_levels, self.topics, ConfigFile(folder / "delayOffset.json"), clock_ms
        )
        self.ledger = TransactionLedger(store, self.offsets)
        if not config.is_slave:
            self.ledger.load()
        self.transactions = Transactions(self.writer, self.ledger, clock_ms)
        self.check_back = CheckBack(config, self.writer, self.ledger, self.topics, self.clients.producers, clock_ms)
        self.slave_commits = SlaveCommits(ConfigFile(folder / "slaveCommits.json"))
        client = self.registration.client
        sync = SlaveSync(client, self.topics, self.groups, self.offsets, self.slave_commits, self.delayed_delivery)
        self.replication = Replication(
            config, store, self.writer, self.flusher, self.held_pulls, client, sync, self.limitations
        )

    def change_config(self, changes: Mapping[str, str]) -> None:
        """Change keys of the configuration, all or none; see `config_changes`.

        Raises:
            ConfigError: An unknown key or a bad value.
            NotChangeable: A key that never changes.
            OSError: The change can't be kept.
        """
        before = self.config
        config = self.config = self.config_changes.apply(before, changes)
        self.config_version = self.config_version.next_version(self.clock_ms())
        self.send_replies = SendReplies(config)
        self.registration.config = config
        self.check_back.config = config
        if config.auto_create_topic_enable != before.auto_create_topic_enable:
            self.topics.allow_auto_creation(config.auto_create_topic_enable)
        self.groups.may_auto_create = config.auto_create_subscription_group
        self.store.cleaner.use(
            config.file_reserved_time_hours,
            config.delete_when,
            config.disk_max_used_space_ratio,
            clean_file_forcibly_enable=config.clean_file_forcibly_enable,
            disk_space_clean_forcibly_ratio=config.disk_space_clean_forcibly_ratio,
            disk_space_warning_level_ratio=config.disk_space_warning_level_ratio,
        )
        if config.broker_permission != before.broker_permission:
            # What nameservers are told of every topic is another table now.
            self.topics.touch()

    def look_at_refused_keys(self) -> None:
        """Say while keys of the overlay are set aside that they are; a file that was deleted ends it."""
        sentence = self.config_changes.refused_sentence()
        if sentence is None:
            self.limitations.clear(Limit.CONFIGURATION)
        else:
            self.limitations.report(Limit.CONFIGURATION, sentence)

    @property
    def unanswered_sends(self) -> int:
        """How many sends wait for the disk or for a slave."""
        return self.flusher.waiting_count + self.replication.confirmations.waiting_count

    def finish_later(self, outcome: object, request: Request[Any]) -> None:
        """Hand an outcome that is not a reply to the service that will answer it."""
        if isinstance(outcome, InSlices):
            return finish_in_slices(self.sliced, outcome, request, self._finish)
        # Thousands may wait for a message, a disk or a slave: what they brought is read or stored by now.
        request.body = b""
        if isinstance(outcome, AfterWrite):
            outcome.finish(request, self._finish)
        elif isinstance(outcome, Hold):
            self.held_pulls.hold(outcome, request)
        elif isinstance(outcome, AfterFlush):
            self.flusher.answer_after_flush(outcome, request)
        elif isinstance(outcome, AfterIndexing):
            self.indexer.answer_after_indexing(outcome, request)
        elif isinstance(outcome, AfterReplication):
            self.replication.answer_after_replication(outcome, request)
        elif isinstance(outcome, AfterRegistration):
            self.registration.answer_after_registration(outcome, request)
        elif isinstance(outcome, AfterClients):
            self.client_calls.answer_after_clients(outcome, request)
        else:
            raise AssertionError(f"no service finishes {outcome!r}")

    def _finish(self, outcome: object, request: Request[Any]) -> None:
        """Answer a request with the outcome of what was done later."""
        if isinstance(outcome, Reply):
            request.connection.reply(request, outcome)
        elif outcome is not None:
            self.finish_later(outcome, request)

    def take_changes(self) -> list[Callable[[], None]]:
        """Return what writes those tables that are not written at each change, as far as they changed; it blocks."""
        self.ledger.publish(is_stop=True)
        tables = (self.offsets, self.filters, self.slave_commits, self.delayed_delivery)
        changes = [table.take_changes() for table in tables]
        return [change for change in changes if change is not None]

    def _flushed(self, outcome: AfterFlush, request: Request[Any]) -> None:
        """Answer what was flushed, or let it wait for a slave too."""
        if self.config.broker_role is BrokerRole.SYNC_MASTER:
            self.finish_later(AfterReplication(outcome.reply, outcome.physical_offset), request)
        else:
            request.connection.reply(request, outcome.reply)

    def _master_found(self, found: RegisterBrokerResponseHeader) -> None:
        self.replication.master_found(found)

    def _registered_order_config(self, ordered_topics: list[str]) -> None:
        try:
            self.topics.apply_order_config(ordered_topics)
        except OSError as error:
            logger.error("order flags of topics not written, tried again reason=%s", error)

    def _is_read_by(self, group: str, topic: str, queue_id: int) -> bool:
        """Whether a group exists, or is online, and a queue too."""
        if self.groups.get(group) is None and self.clients.consumer_group(group) is None:
            return False
        found = self.topics.get(topic)
        return found is not None and 0 <= queue_id < max(found.read_queue_nums, found.write_queue_nums)

    def _members_changed(self, group: ConsumerGroup) -> None:
        if not group.members:
            self.filters.unregister(group.name)
        self._notify_members(group)

    def _notify_members(self, group: ConsumerGroup) -> None:
        """Tell all members of a group to rebalance (NOTIFY_CONSUMER_IDS_CHANGED), where that is switched on."""
        found = self.groups.get(group.name)
        if (
            not self.config.notify_consumer_ids_changed_enable
            or found is None
            or not found.notify_consumer_ids_changed_enable
        ):
            return
        header = NotifyConsumerIdsChangedRequestHeader(consumer_group=group.name)
        for connection in group.members:
            connection.send(
                Command(
                    code=RequestCode.NOTIFY_CONSUMER_IDS_CHANGED,
                    flag=FLAG_ONEWAY,
                    ext_fields=header_to_ext_fields(header),
                )
            )


def store_host_of(config: BrokerConfig) -> bytes:
    """Return the address that messages and their ids carry: 4 bytes IPv4, 4 bytes port.

    Raises:
        ConfigError: brokerIP1 is a name without an IPv4 address, or an IPv6 address, which 4.5.2 can't store.
    """
    assert config.broker_ip1 is not None
    try:
        ip = socket.inet_aton(socket.gethostbyname(config.broker_ip1))
    except OSError as error:
        problem = f"brokerIP1 must be an IPv4 address or a name that has one, got {config.broker_ip1!r}: {error}"
        raise ConfigError([problem]) from None
    return ip + _PORT.pack(config.listen_port)
