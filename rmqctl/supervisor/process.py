"""The supervisor process from its first to its last moment: plan, log, zygote, lock, control socket, service."""

import fcntl
import gc
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import CodeType

import msgspec
import trio

from rmqctl.home import ClusterHome
from rmqctl.process_identity import ProcessIdentity, identify_self
from rmqctl.supervisor.control.server import open_control_socket
from rmqctl.supervisor.files.ledger import Ledger
from rmqctl.supervisor.files.record import SupervisorRecord, retire_record, save_record
from rmqctl.supervisor.files.rotating_log import RotatingLog
from rmqctl.supervisor.image.code_layout import gather_code
from rmqctl.supervisor.image.resuming import Resumption, resume, take_resumption
from rmqctl.supervisor.image.spawner import Zygote, fork_zygote
from rmqctl.supervisor.image.warm_up import warm_up
from rmqctl.supervisor.image.zygote import RunNode
from rmqctl.supervisor.launch.pipe import LauncherPipe
from rmqctl.supervisor.messages import LINE_BYTES_MAX, Launch, SupervisorRefused
from rmqctl.supervisor.node_state import NodeHistory
from rmqctl.supervisor.service import Supervisor
from rmqnode.files import open_below
from rmqnode.logs import keep_last_resort_plain
from rmqnode.service_manager import ServiceManager

_LOG_SIZE_MAX = 8 << 20
_LOG_FILES = 2

_LOCK_SECONDS = 0.5
"""Whoever only looks whether the home is supervised holds the lock for a moment."""


def run_supervisor(run_node: RunNode) -> int:
    """Read the plan from stdin, run the cluster, return the exit code.

    Args:
        run_node: What a forked node does.
    """
    manager = ServiceManager.take_from(os.environ)
    # Held for as long as this process and those forked from it live.
    _left_behind = _lay_out_image()
    resumption = take_resumption(os.environ)
    if resumption is not None:
        launch = resumption.launch
    else:
        line = sys.stdin.buffer.readline(LINE_BYTES_MAX)
        if not line:
            # The launcher found a problem in the plan and needs no supervisor.
            return 0
        launch = msgspec.json.decode(line, type=Launch)
    home = ClusterHome(Path(launch.root), launch.model.name)
    # Nodes of either engine have it from here.
    os.umask(launch.model.umask)
    _redirect_log(home)
    keep_last_resort_plain()
    os.chdir("/")
    # Whatever exists now is shared with every node. Frozen, their collectors never touch it; collecting first would
    # only leave holes in shared pages, which the nodes would fill and so copy.
    gc.freeze()
    zygote = fork_zygote(run_node, () if resumption is None else resumption.descriptors)
    try:
        outcome = _supervise(launch, resumption, home, zygote, manager)
    finally:
        zygote.close()
    if isinstance(outcome, Resumption):
        manager.give_back(os.environ)
        resume(outcome)
    return outcome


def _lay_out_image() -> list[CodeType]:
    """Order what was imported so that forked processes copy little of it; returns what is to be held."""
    left_behind = gather_code(warm_up)
    # The interpreter's cache of attribute lookups refers to names. Those that only imports looked up would give way in
    # every process, each with a write to its page; now all that are in it come from the warm-up.
    if sys.version_info >= (3, 13):
        sys._clear_internal_caches()
    else:
        sys._clear_type_cache()
    warm_up()
    return left_behind


def _supervise(
    launch: Launch, resumption: Resumption | None, home: ClusterHome, zygote: Zygote, manager: ServiceManager
) -> int | Resumption:
    """Returns the exit code, or what a fresh image of this process has to go on with."""
    launcher = LauncherPipe(is_attached=launch.foreground or resumption is None)
    try:
        lock = _take_lock(home) if resumption is None else resumption.lock
    except OSError as error:
        launcher.send(SupervisorRefused(f"{home.lock_file} cannot be used: {error.strerror}"))
        return 1
    if lock is None:
        launcher.send(SupervisorRefused(f"another supervisor runs for {home.folder}"))
        return 1
    control_path = home.socket_file
    try:
        listener = open_control_socket(control_path) if resumption is None else resumption.listener
    except OSError as error:
        launcher.send(SupervisorRefused(f"the control socket {control_path} cannot be used: {error}"))
        return 1

    own_identity = identify_self()

    def save(nodes: dict[str, ProcessIdentity], kept_down: list[str], histories: dict[str, NodeHistory]) -> bool:
        record = SupervisorRecord(
            supervisor=own_identity, socket=str(control_path), nodes=nodes, kept_down=kept_down, histories=histories
        )
        try:
            save_record(home.record_file, record)
        except OSError as error:
            # A full disk must not end the process that keeps nodes running; it is tried again.
            print(f"{home.record_file} cannot be written: {error.strerror}", file=sys.stderr, flush=True)
            return False
        return True

    save(launch.adopted, launch.kept_down, launch.histories)
    service = Supervisor(launch, zygote, launcher, save, Ledger(home.ledger_file), manager)
    # The service closes what it listens on; the next image may need it.
    outcome = trio.run(service.run, listener.dup())
    if isinstance(outcome, Launch):
        return Resumption(outcome, lock, listener)
    control_path.unlink(missing_ok=True)
    # Not after a crash of the supervisor: the record is what the next command finds the nodes by. And before the
    # lock is free, so that it can't be the record of a supervisor that comes next.
    retire_record(home.record_file)
    os.close(lock)
    return outcome


def _redirect_log(home: ClusterHome) -> None:
    with suppress(OSError):
        home.supervisor_log.parent.mkdir(parents=True, exist_ok=True)
    sys.stderr = RotatingLog(str(home.supervisor_log), _LOG_SIZE_MAX, _LOG_FILES, descriptors=(2,))


def _take_lock(home: ClusterHome) -> int | None:
    lock = open_below(home.lock_file, os.O_RDWR | os.O_CREAT)
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(lock)
                return None
            time.sleep(0.01)
        else:
            return lock
