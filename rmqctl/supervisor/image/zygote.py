"""The process that nodes are forked from: everything imported, one thread, no event loop.

Forking is only safe from a process without threads and without a running trio, and only cheap from one that has
imported everything: importing trio alone takes 110 ms, a fork 3 ms, and the nodes share the memory of the imports.
A node of another engine is forked the same way and then executes its own program: pids, logs and exits stay one
mechanism. The zygote forks on request, reaps, and reports; policy is the supervisor's. It ends when its channel
closes; its nodes then go on without it.
"""

import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NoReturn

import msgspec

from rmqctl.engine.start import StartSpec
from rmqctl.supervisor.files.last_error import LastError
from rmqctl.supervisor.files.rotating_log import RotatingLog
from rmqctl.supervisor.messages import Forked, Go, LineBuffer, Reaped, StartNode, encode_line
from rmqnode.logs import print_crash

RunNode = Callable[[Literal["broker", "nameserver"], Path, bool], int]
"""`rmqnode.run.run_node`: blocks while the node runs, returns its exit code. Kind, configuration, `accept_loss`."""

_CRASHED = 70
"""Exit code of a node that ended with an exception: EX_SOFTWARE of sysexits.h."""

# The zygote itself has a handful of descriptors open; those of its image end far below this.
_DESCRIPTORS_MAX = 256

_GATE = 3
"""The first descriptor after stdin, stdout and stderr."""

_DECODER = msgspec.json.Decoder(StartNode | Go)


def run_zygote(channel: socket.socket, run_node: RunNode) -> NoReturn:
    """Serve the supervisor until it closes the channel; never returns to the caller's image."""
    wake_read, wake_write = os.pipe()
    for descriptor in (wake_read, wake_write):
        os.set_blocking(descriptor, False)
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGCHLD, _wake_only)
    # A Ctrl-C on a terminal is the supervisor's business.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    buffer = LineBuffer()
    gates: dict[int, int] = {}
    """Pid of a node that may not begin yet → the pipe that lets it."""
    last_errors: dict[int, LastError] = {}
    """Pid of a node → where it leaves its last error."""
    while True:
        readable, _, _ = select.select([channel.fileno(), wake_read], [], [])
        if wake_read in readable:
            os.read(wake_read, 4096)
        if channel.fileno() in readable:
            data = channel.recv(65536)
            if not data:
                os._exit(0)
            for line in buffer.feed(data):
                message = _DECODER.decode(line)
                if isinstance(message, StartNode):
                    last_error = LastError()
                    pid, gate = _fork_node(message, run_node, last_error)
                    gates[pid], last_errors[pid] = gate, last_error
                    _send(channel, Forked(message.spec.node, pid))
                else:
                    _open_gate(gates.pop(message.pid))
        _report_ended(channel, last_errors)


def _wake_only(_signal: int, _frame: object) -> None:
    """The handler of SIGCHLD: what matters is the byte in the wake-up pipe."""


def _report_ended(channel: socket.socket, last_errors: dict[int, LastError]) -> None:
    while True:
        try:
            pid, wait_status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        last_error = last_errors.pop(pid, None)
        _send(channel, Reaped(pid, wait_status, None if last_error is None else last_error.take()))


def _send(channel: socket.socket, message: msgspec.Struct) -> None:
    try:
        channel.sendall(encode_line(message))
    except (BrokenPipeError, ConnectionResetError):
        os._exit(0)


def _open_gate(gate: int) -> None:
    try:
        os.write(gate, b"g")
    except BrokenPipeError:
        # It was killed before it began.
        pass
    finally:
        os.close(gate)


def _fork_node(start: StartNode, run_node: RunNode, last_error: LastError) -> tuple[int, int]:
    """Fork a node; returns its pid, and the pipe that lets it begin."""
    spec = start.spec
    wait_at, gate = os.pipe()
    pid = os.fork()
    if pid:
        os.close(wait_at)
        return pid, gate
    code = _CRASHED
    try:
        _wait_for_go(wait_at)
        _become_node(spec, last_error)
        if spec.argv is not None:
            _execute(spec.argv, spec.folder)
        code = run_node(spec.kind, Path(spec.config_path), start.accepts_loss)
    except BaseException:
        # The last edge of this process: whatever it was goes to the node's log, and the exit code says that it was.
        print_crash()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def _wait_for_go(wait_at: int) -> None:
    """Return when the node may begin; end when nobody can say so any more.

    A supervisor that is killed right now has not written this process down, so nobody would ever find it.
    """
    # Everything but the pipe: also the other ends of pipes that other nodes wait at.
    os.dup2(wait_at, _GATE)
    os.closerange(_GATE + 1, _DESCRIPTORS_MAX)
    if not os.read(_GATE, 1):
        os._exit(0)
    os.close(_GATE)


def _execute(argv: list[str], folder: str) -> NoReturn:
    """Become another program, which keeps pid, session, log and descriptors of the forked node."""
    # Python ignores these two; ignored signals stay ignored across an exec.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    os.chdir(folder)
    os.execv(argv[0], argv)


def _become_node(spec: StartSpec, last_error: LastError) -> None:
    """Leave everything of the zygote behind: session, signals, descriptors."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    sys.stdout = sys.stderr = RotatingLog(spec.log_path, spec.log_size_max, spec.log_files, last_error=last_error)
    _name_process(spec.node)


def _name_process(name: str) -> None:
    """Let `ps` and `top` show the node's name where the system makes that cheap."""
    try:
        with Path("/proc/self/comm").open("w") as comm:
            comm.write(name[:15])
    except OSError:
        pass
