"""Runs what every node does once before anything is forked, so that all processes share its traces in memory.

A first run specializes bytecode, fills caches of types and decoders, and allocates what the event loop needs. Done
once before the forks instead of in every process, it costs some milliseconds and saves MiB. Nothing of it is left
behind: no thread, socket, event loop or file.
"""

import logging
import os
import signal
import threading
from pathlib import Path

import trio

from rmqnode.config import NameserverConfig, check_properties, parse_properties
from rmqnode.nameserver.server import serve_nameserver
from rmqnode.net.client import RemotingClient
from rmqnode.protocol.bodies import ClusterInfo, RegisterBrokerBody, TopicConfigSerializeWrapper
from rmqnode.protocol.codes import RequestCode
from rmqnode.protocol.command import Command
from rmqnode.protocol.header_fields import header_from_ext_fields, header_to_ext_fields
from rmqnode.protocol.headers import RegisterBrokerRequestHeader, RegisterBrokerResponseHeader

_BROKER_CONF = b"""
brokerName=broker-a
brokerClusterName=warm-up
brokerIP1=127.0.0.1
namesrvAddr=127.0.0.1:9876
listenPort=10911
brokerRole=ASYNC_MASTER
storePathRootDir=/
"""


def warm_up() -> None:
    """Exercise what nodes do at their start: log, configuration, signals, connections, requests, cancellation."""
    trio.run(_exercise)
    check_properties("broker", parse_properties(_BROKER_CONF, "warm-up").properties, "warm-up")
    _log_once()
    assert threading.active_count() == 1, "a process with threads must not fork"


async def _exercise() -> None:
    # Nothing is ever written there: a nameserver writes when somebody changes its table.
    nowhere = Path("/nonexistent/kvConfig.json")
    config = NameserverConfig(listen_port=0, bind_address=("127.0.0.1",), kv_config_path=nowhere)
    with trio.open_signal_receiver(signal.SIGTERM):
        async with trio.open_nursery() as nursery:
            ((_, port),) = await nursery.start(serve_nameserver, config)
            registered = trio.Event()
            nursery.start_soon(_register, f"127.0.0.1:{port}", registered)
            await registered.wait()
            with trio.move_on_after(0.001):
                await trio.sleep_forever()
            nursery.cancel_scope.cancel()


async def _register(nameserver: str, registered: trio.Event) -> None:
    header = RegisterBrokerRequestHeader("broker-a", "127.0.0.1:10911", "warm-up", "127.0.0.1:10912", 0)
    body = RegisterBrokerBody(topic_config_serialize_wrapper=TopicConfigSerializeWrapper()).encode()
    command = Command(code=RequestCode.REGISTER_BROKER, ext_fields=header_to_ext_fields(header), body=body)
    async with RemotingClient() as client, trio.Lock():
        response = await client.request(nameserver, command)
        header_from_ext_fields(RegisterBrokerResponseHeader, response.ext_fields or {})
        response = await client.request(nameserver, Command(code=RequestCode.GET_BROKER_CLUSTER_INFO))
        ClusterInfo.decode(response.body)
    registered.set()


def _log_once() -> None:
    """Write a line as `rmqnode.run` lets nodes do it, but not into anybody's log."""
    with open(os.devnull, "w") as nowhere:
        handler = logging.StreamHandler(nowhere)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
        # Not one of the tree of loggers, which would keep it.
        logger = logging.Logger(__name__)
        logger.addHandler(handler)
        logger.info("warm-up done=%s", True)
        handler.close()
