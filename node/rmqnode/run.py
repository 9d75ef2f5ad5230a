"""Runs one node in this process: configuration, logging, signals, exit code.

`rmqnode` on the command line and the processes that `rmqctl` forks both end up here.
"""

import errno
import gc
import logging
import os
import resource
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, Literal

import trio

from rmqnode.broker.server import serve_broker
from rmqnode.config import ConfigError, load_broker_config, load_nameserver_config
from rmqnode.config_changes import log_set_aside
from rmqnode.files import keep_private
from rmqnode.logs import log_to_stderr
from rmqnode.nameserver.server import serve_nameserver
from rmqnode.net.listening import BindError
from rmqnode.service_manager import ServiceManager
from rmqnode.store import StoreError, StoreIncomplete
from rmqnode.store.disk import NOT_WRITABLE, describe_file_system

logger = logging.getLogger(__name__)

NodeKind = Literal["broker", "nameserver"]

_DESCRIPTORS_MAX: Final = 65_536

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
"""Start refused or a service failed; the reason is the last line of the log."""

EXIT_CONFIG: Final = 2
"""The configuration file is wrong."""

EXIT_STORE_INCOMPLETE: Final = 65
"""The store lacks what its other files speak of; a start would lose messages. Trying again does not help."""

EXIT_TEMPORARY: Final = 75
"""The start failed for a reason that may go away by itself, such as a full disk; it is worth trying again."""

PASSING_ERRORS: Final = NOT_WRITABLE | {errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN}
"""What a system refuses for want of something that others may give back."""


def run_node(kind: NodeKind, config_path: Path, accept_loss: bool = False) -> int:
    """Run a node until SIGTERM or SIGINT; return its exit code. Logs to stderr.

    Args:
        kind: What to run.
        config_path: Its configuration.
        accept_loss: Start a broker also on a store that lacks what its other files speak of, for this one start.
    """
    log_to_stderr()
    _raise_descriptor_limit()
    keep_private()
    exit_code = EXIT_OK
    try:
        trio.run(_serve_until_signal, kind, config_path, accept_loss)
    except* ConfigError as errors:
        exit_code = _refuse(errors, EXIT_CONFIG)
    except* StoreIncomplete as errors:
        exit_code = _refuse(errors, EXIT_STORE_INCOMPLETE)
    except* (BindError, StoreError) as errors:
        exit_code = _refuse(errors, EXIT_FAILED)
    except* OSError as errors:
        exit_code = max(exit_code, _refuse(errors, exit_code_of(errors)))
    return exit_code


def _raise_descriptor_limit() -> None:
    """Allow as many open files as the system lets us, as the Java VM does: queues and connections need them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS_MAX if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS_MAX)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError) as error:
        # macOS refuses what its own kern.maxfilesperproc does not allow; the limit as it is will do.
        logger.info("descriptor limit stays soft=%d reason=%s", soft, error)


async def _serve_until_signal(kind: NodeKind, config_path: Path, accept_loss: bool) -> None:
    manager = ServiceManager.take_from(os.environ)
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            stop = trio.Event()
            nursery.start_soon(_watch_signals, signals, stop, manager)
            nursery.start_soon(manager.keep_watchdog_calm)
            if kind == "broker":
                await _serve_broker(config_path, stop, manager, accept_loss)
            else:
                await _serve_nameserver(config_path, stop, manager)
            nursery.cancel_scope.cancel()


async def _serve_broker(config_path: Path, stop: trio.Event, manager: ServiceManager, accept_loss: bool) -> None:
    loaded = load_broker_config(config_path, environment=os.environ)
    _log_notices(loaded.notices)
    log_set_aside(config_path, loaded.set_aside)
    async with trio.open_nursery() as nursery:
        config = await nursery.start(serve_broker, loaded.config, stop, accept_loss)
        _spare_the_collector()
        nameservers = f" and name server is {';'.join(config.namesrv_addr)}" if config.namesrv_addr else ""
        # Scripts in the field wait for the words "boot success".
        print(
            f"The broker[{config.broker_name}, {config.broker_ip1}:{config.listen_port}] boot success. "
            f"serializeType=JSON{nameservers}",
            flush=True,
        )
        manager.tell(READY=1)


async def _serve_nameserver(config_path: Path, stop: trio.Event, manager: ServiceManager) -> None:
    loaded = load_nameserver_config(config_path)
    _log_notices(loaded.notices)
    log_set_aside(config_path, loaded.set_aside)
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_nameserver, loaded.config)
        _spare_the_collector()
        print("The Name Server boot success. serializeType=JSON", flush=True)
        manager.tell(READY=1)
        await stop.wait()
        nursery.cancel_scope.cancel()


def _spare_the_collector() -> None:
    """Leave what a node has at its start out of garbage collections, which would take 30 ms each for it alone."""
    gc.freeze()


async def _watch_signals(signals: AsyncIterator[int], stop: trio.Event, manager: ServiceManager) -> None:
    async for number in signals:
        logger.info("stopping signal=%s", signal.Signals(number).name)
        manager.tell(STOPPING=1)
        stop.set()


def _log_notices(notices: list[str]) -> None:
    for notice in notices:
        logger.warning("%s", notice)


def _refuse(errors: BaseExceptionGroup[BaseException], exit_code: int) -> int:
    for error in _leaves(errors):
        for problem in getattr(error, "problems", [_sentence(error)]):
            logger.error("%s", problem)
    return exit_code


def exit_code_of(errors: BaseExceptionGroup[OSError]) -> int:
    """Whether what the system refused may go away by itself."""
    passes = all(isinstance(leaf, OSError) and leaf.errno in PASSING_ERRORS for leaf in _leaves(errors))
    return EXIT_TEMPORARY if passes else EXIT_FAILED


def _sentence(error: BaseException) -> str:
    if not isinstance(error, OSError) or error.filename is None:
        return str(error)
    where = f" ({describe_file_system(Path(error.filename))})" if error.errno in NOT_WRITABLE else ""
    return f"can't use {error.filename}: {error.strerror}{where}"


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for each in error.exceptions for leaf in _leaves(each)]
    return [error]
