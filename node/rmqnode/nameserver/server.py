"""A running nameserver: its listeners, its connections, and the search for brokers that stopped registering."""

import logging
from collections.abc import Sequence
from typing import Final

import trio

from rmqnode.config import NameserverConfig
from rmqnode.nameserver.routes import ROUTES
from rmqnode.nameserver.state import Nameserver
from rmqnode.net.connection import Connection
from rmqnode.net.dispatch import Dispatcher
from rmqnode.net.listening import listen
from rmqnode.net.loop_meter import LoopMeter, measured_loop
from rmqnode.net.server import Server, server_limits

logger = logging.getLogger(__name__)

_FILE_DESCRIPTORS: Final = 64
"""Kept for tables and logs."""


async def serve_nameserver(
    config: NameserverConfig, *, task_status: trio.TaskStatus[Sequence[tuple[str, int]]] = trio.TASK_STATUS_IGNORED
) -> None:
    """Run a nameserver until cancelled. `task_status` is started with the bound addresses.

    Raises:
        BindError: A port is taken.
        ConfigFileCorrupt: The KV table can't be read.
    """
    with measured_loop() as meter:
        await _serve(config, meter, task_status)


async def _serve(
    config: NameserverConfig, meter: LoopMeter, task_status: trio.TaskStatus[Sequence[tuple[str, int]]]
) -> None:
    nameserver = Nameserver(config, lambda: trio.current_time() * 1000, meter)
    server = Server(
        Dispatcher(ROUTES, nameserver, nameserver.finish_later),
        nameserver.route_info.connection_closed,
        config.server_channel_max_idle_time_seconds,
        server_limits(config, _FILE_DESCRIPTORS),
        nameserver.budgets.full,
        meter=meter,
    )
    listeners = listen(config.bind_address, config.listen_port)
    bound = [(host, port) for host, port, *_ in (each.getsockname() for each in listeners)]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve, listeners)
        nursery.start_soon(nameserver.sliced.run)
        nursery.start_soon(nameserver.kv_config.keep_written)
        nursery.start_soon(_remove_expired_brokers, nameserver)
        logger.info("nameserver listens addresses=%s", ",".join(f"{host}:{port}" for host, port in bound))
        task_status.started(bound)


async def _remove_expired_brokers(nameserver: Nameserver) -> None:
    while True:
        await trio.sleep(nameserver.config.scan_not_active_broker_interval_ms / 1000)
        for connection in nameserver.route_info.remove_expired():
            assert isinstance(connection, Connection), "brokers register over connections"
            connection.close("the broker on it did not register in time")
