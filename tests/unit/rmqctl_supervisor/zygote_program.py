"""A program for test_zygote: forks a zygote whose nodes are stand-ins, and says what it hears as JSON lines.

Reads commands from stdin: `start NAME`, `close`. A stand-in does what its configuration file says.
"""

import os
import signal
import sys
import time
from pathlib import Path

import trio

from rmqctl.engine.start import StartSpec
from rmqctl.supervisor.image.spawner import Zygote, fork_zygote
from rmqctl.supervisor.messages import Forked, encode_line


def stand_in(kind: str, config_path: Path, accepts_loss: bool) -> int:
    print(f"{kind} runs as {os.getpid()}, accepts loss: {accepts_loss}", flush=True)
    match config_path.read_text().split():
        case ["exit", code]:
            return int(code)
        case ["refuse", code]:
            for path in ("/first", "/store"):
                print(f"2026-11-30 10:00:00,000 ERROR rmqnode.run can't use {path}: refused", file=sys.stderr)
            return int(code)
        case ["raise"]:
            raise ValueError("broken on purpose")
        case ["descriptors"]:
            print("open:", sorted(descriptor for descriptor in range(64) if _is_open(descriptor)), flush=True)
            print("group leader:", os.getpgid(0) == os.getpid(), flush=True)
            print("SIGTERM default:", signal.getsignal(signal.SIGTERM) is signal.SIG_DFL, flush=True)
            return 0
        case _:
            time.sleep(60)
            return 0


def _argv_in(config_path: Path) -> list[str] | None:
    """A stand-in may be told to become another program: `exec PROGRAM ARGUMENT…`, one a line."""
    first, *argv = config_path.read_text().split("\n")
    return argv if first == "exec" else None


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


async def main(zygote: Zygote, folder: Path) -> None:
    async with trio.open_nursery() as nursery:

        async def report() -> None:
            async for message in zygote.reports():
                if isinstance(message, Forked) and not message.node.startswith("unwritten"):
                    zygote.let_go(message.pid)
                sys.stdout.buffer.write(encode_line(message))
                sys.stdout.buffer.flush()
            nursery.cancel_scope.cancel()

        nursery.start_soon(report)
        async for line in trio.lowlevel.FdStream(os.dup(0)):
            for command in bytes(line).decode().splitlines():
                name = command.removeprefix("start ")
                zygote.request_start(
                    StartSpec(
                        node=name,
                        kind="broker",
                        config_path=str(folder / name),
                        log_path=str(folder / f"{name}.log"),
                        argv=_argv_in(folder / name),
                        folder=str(folder),
                    ),
                    name.startswith("lossy"),
                )
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    forked = fork_zygote(stand_in)
    print(forked.pid, flush=True)
    trio.run(main, forked, Path(sys.argv[1]))
    forked.close()
