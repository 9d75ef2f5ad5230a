"""A running broker: opens the store, starts services and listeners in order, and stops them in reverse.

    serve_broker            the whole; closes the store last
    └─ services             flush, delayed delivery, long polling, client housekeeping, persisting
       └─ listeners         listenPort, listenPort - 2 (VIP), listenPort + 1 (slaves), on each bind address
          └─ registration   nameservers are told when all else works, and told of the end first

Source: `BrokerController#start`, `#shutdown` (RocketMQ 4.5.2).
"""

import logging
import os
import resource
import socket
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

import trio

from rmqnode.broker.filters.by_group import PERSIST_INTERVAL_MS as FILTER_PERSIST_INTERVAL_MS
from rmqnode.broker.handlers.pull import pull_message_again
from rmqnode.broker.routes import ROUTES
from rmqnode.broker.state import Broker, store_host_of, wall_clock_ms
from rmqnode.broker.store_watch import StoreWatch
from rmqnode.config import BrokerConfig, delays_ms
from rmqnode.filter import load_parser
from rmqnode.net.dispatch import Dispatcher
from rmqnode.net.host_address import own_address
from rmqnode.net.listening import listen
from rmqnode.net.loop_meter import measured_loop
from rmqnode.net.server import Server, server_limits
from rmqnode.net.slices import Steps, finish_in_turns
from rmqnode.store import MessageStore, RecoveryReport, StoreIncomplete, StoreOptions

logger = logging.getLogger(__name__)

VIP_PORT_DISTANCE: Final = 2
"""The VIP port is so far below the listen port; old clients send there by default."""

_MAPPED_FILES_MIN: Final = 256
_MAPPED_FILES_MAX: Final = 16_384
"""A mapping costs a descriptor, of which connections need the other half, and one of 65 530 mappings (Linux)."""

_CLIENT_SCAN_SECONDS: Final = 10.0
_DRAIN_SECONDS: Final = 1.0
"""How long answers that are on their way may take at a stop."""


async def serve_broker(
    config: BrokerConfig,
    stop: trio.Event,
    accept_loss: bool = False,
    *,
    task_status: trio.TaskStatus[BrokerConfig] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run a broker until `stop` is set. `task_status` is started when it serves and its nameservers were told.

    A store that a full disk let be opened for reading only is opened again when the disk has room. `accept_loss` lets
    the broker start once without messages that its commit log lacks.

    Raises:
        BindError: A port is taken.
        StoreError: The store can't be opened, or a table below `config/` can't be read.
        OSError: A disk refused what can't wait; names the path.
    """
    if config.broker_ip1 is None:
        address = own_address()
        config = replace(config, broker_ip1=address, broker_ip2=config.broker_ip2 or address)
    while await _serve_store(config, stop, accept_loss, task_status):
        task_status = trio.TASK_STATUS_IGNORED
        logger.info("the disk has room again: the store is opened anew")


async def _serve_store(
    config: BrokerConfig, stop: trio.Event, accept_loss: bool, task_status: trio.TaskStatus[BrokerConfig]
) -> bool:
    """Open the store, serve it, close it; returns whether that is to be done again."""
    # Ports before the store: a second broker with this configuration must not touch the first one's files.
    listeners = _listen(config, (config.listen_port, config.listen_port - VIP_PORT_DISTANCE, config.ha_listen_port))
    try:
        store = MessageStore(_store_options(config), wall_clock_ms)
        logger.info("%s", _open(store, config, accept_loss=accept_loss))
        try:
            with measured_loop() as meter:
                broker = Broker(config, store, pull_message_again, meter=meter)
                try:
                    return await _serve(broker, listeners, stop, task_status)
                finally:
                    _write_changes(broker)
        finally:
            store.close()
            logger.info("store closed")
    finally:
        _close(listeners)


def _open(store: MessageStore, config: BrokerConfig, *, accept_loss: bool) -> RecoveryReport:
    try:
        return store.open(accept_loss=accept_loss)
    except StoreIncomplete as incomplete:
        if not config.is_slave:
            raise
        raise incomplete.of_slave(config.store_path_root_dir) from None


async def _serve(
    broker: Broker,
    listeners: dict[int, list[socket.socket]],
    stop: trio.Event,
    task_status: trio.TaskStatus[BrokerConfig],
) -> bool:
    """Serve until `stop` is set; returns True when the store is to be opened anew instead."""
    server = Server(
        Dispatcher(ROUTES, broker, broker.finish_later),
        broker.clients.connection_closed,
        broker.config.server_channel_max_idle_time_seconds,
        server_limits(broker.config, _mapped_files_max()),
        broker.budgets.full,
        meter=broker.meter,
    )
    broker.budgets.add(server.budgets)
    broker.meter.reset()  # what the start took kept nobody waiting
    async with trio.open_nursery() as services, broker.registration.client:
        _start_services(broker, services)
        ha_port = broker.config.ha_listen_port
        broker.replication.start(services, listeners[ha_port])
        client_ports = [sockets for port, sockets in listeners.items() if port != ha_port]
        services.start_soon(server.serve, [sock for sockets in client_ports for sock in sockets])
        await broker.registration.register()
        services.start_soon(broker.registration.keep_registered)
        task_status.started(broker.config)
        is_again = await _wait_for_end(stop, broker.disk_watch.wants_reopening)
        if not is_again:
            await broker.registration.unregister()
        broker.held_pulls.answer_all()
        with trio.move_on_after(_DRAIN_SECONDS):
            await broker.flusher.wait_answered()
            broker.indexer.answer_all()
            broker.replication.confirmations.give_up_waiting()
            await server.wait_answers_sent()
        services.cancel_scope.cancel()
    return is_again


async def _wait_for_end(stop: trio.Event, wants_reopening: trio.Event) -> bool:
    """Wait until one of the two is set; returns whether it is the second alone."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_cancel_when, wants_reopening, nursery.cancel_scope)
        await stop.wait()
        nursery.cancel_scope.cancel()
    return not stop.is_set()


async def _cancel_when(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()


def _write_changes(broker: Broker) -> None:
    """Write the tables that changed; a disk without space costs what was committed since the last time, no more."""
    for write in broker.take_changes():
        try:
            write()
        except OSError as error:
            logger.error("table not written at the stop reason=%s", error)


def _listen(config: BrokerConfig, ports: Iterable[int]) -> dict[int, list[socket.socket]]:
    listeners: dict[int, list[socket.socket]] = {}
    try:
        for port in ports:
            listeners[port] = listen(config.bind_address, port)
    except BaseException:
        _close(listeners)
        raise
    return listeners


def _close(listeners: dict[int, list[socket.socket]]) -> None:
    for sockets in listeners.values():
        for sock in sockets:
            sock.close()


def _start_services(broker: Broker, services: trio.Nursery) -> None:
    services.start_soon(broker.sliced.run)
    services.start_soon(broker.topics.keep_written)
    services.start_soon(broker.groups.keep_written)
    services.start_soon(broker.flusher.flush_commit_log)
    services.start_soon(broker.flusher.flush_consume_queues)
    services.start_soon(broker.indexer.build)
    services.start_soon(broker.indexer.sync)
    services.start_soon(broker.cleaning.run)
    services.start_soon(broker.disk_watch.run)
    services.start_soon(StoreWatch(broker.store, broker.limitations).run)
    services.start_soon(broker.statistics.run)
    services.start_soon(broker.client_calls.run)
    services.start_soon(broker.held_pulls.answer_due_pulls)
    services.start_soon(broker.held_pulls.watch_timeouts)
    services.start_soon(broker.held_pulls.answer_when_there_is_room)
    services.start_soon(_close_silent_clients, broker)
    services.start_soon(broker.budgets.watch)
    config = broker.config
    services.start_soon(_persist, broker.offsets.take_changes_steps, config.flush_consumer_offset_interval_ms)
    services.start_soon(_persist, broker.filters.take_changes_steps, FILTER_PERSIST_INTERVAL_MS)
    services.start_soon(_persist, broker.delayed_delivery.take_changes_steps, config.flush_delay_offset_interval_ms)
    if config.enable_property_filter:
        services.start_soon(trio.to_thread.run_sync, load_parser)
    if not broker.config.is_slave:
        services.start_soon(broker.delayed_delivery.run)
        services.start_soon(broker.check_back.run)


async def _persist(take_changes: Callable[[], Steps[Callable[[], None] | None]], interval_ms: int) -> None:
    while True:
        await trio.sleep(interval_ms / 1000)
        write = await finish_in_turns(take_changes())
        if write is not None:
            try:
                await trio.to_thread.run_sync(write)
            except OSError as error:
                logger.error("table not written reason=%s", error)


async def _close_silent_clients(broker: Broker) -> None:
    while True:
        await trio.sleep(_CLIENT_SCAN_SECONDS)
        for connection in broker.clients.silent_connections():
            connection.close("no heartbeat came in time")
        broker.locks.expire()


def _mapped_files_max() -> int:
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(_MAPPED_FILES_MIN, min(descriptors // 2, _MAPPED_FILES_MAX))


def _store_options(config: BrokerConfig) -> StoreOptions:
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return StoreOptions(
        root=config.store_path_root_dir,
        commit_log_dir=config.store_path_commit_log,
        store_host=store_host_of(config),
        in_memory_bytes_max=memory_bytes * config.access_message_in_memory_max_ratio // 100,
        mapped_file_size_commit_log=config.mapped_file_size_commit_log_bytes,
        mapped_file_size_consume_queue=config.mapped_file_size_consume_queue_bytes,
        message_size_bytes_max=config.max_message_size_bytes,
        max_transfer_bytes_in_memory=config.max_transfer_bytes_on_message_in_memory,
        max_transfer_count_in_memory=config.max_transfer_count_on_message_in_memory,
        max_transfer_bytes_on_disk=config.max_transfer_bytes_on_message_in_disk,
        max_transfer_count_on_disk=config.max_transfer_count_on_message_in_disk,
        message_index_enable=config.message_index_enable,
        index_slot_count=config.max_hash_slot_num,
        index_entry_count_max=config.max_index_num,
        query_count_max=config.max_msgs_num_batch,
        file_reserved_time_hours=config.file_reserved_time_hours,
        delete_when=config.delete_when,
        disk_max_used_space_ratio=config.disk_max_used_space_ratio,
        clean_file_forcibly_enable=config.clean_file_forcibly_enable,
        disk_space_clean_forcibly_ratio=config.disk_space_clean_forcibly_ratio,
        disk_space_warning_level_ratio=config.disk_space_warning_level_ratio,
        delay_levels_ms=delays_ms(config.message_delay_level),
        mapped_files_max=_mapped_files_max(),
    )
