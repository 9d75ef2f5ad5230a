"""A node as a process of its own, watched from outside: whether it lives, its memory, its log."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

from tests.ports import free_port

Kind = Literal["broker", "nameserver"]

_START_SECONDS: Final = 60
_STOP_SECONDS: Final = 30
_LOG_LINE: Final = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")

ANONYMOUS_BYTES_MAX: Final = 256 << 20
"""What the anonymous memory of one node stays below, whatever it is sent."""


class NodeProcess:
    """One running node with a folder and a port of its own."""

    def __init__(self, kind: Kind, folder: Path, port: int, process: "subprocess.Popen[str]") -> None:
        self.kind = kind
        self.folder = folder
        self.port = port
        self._process = process
        self.anonymous_bytes_max = 0

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def log(self) -> Path:
        """The file that has its stderr."""
        return self.folder / f"{self.kind}.log"

    def look(self) -> None:
        """Note how much anonymous memory it has now; a node that ended is a failure."""
        assert self._process.poll() is None, f"the {self.kind} ended with {self._process.returncode}:\n{self.tail()}"
        fields = Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines()
        (kib,) = (int(line.split()[1]) for line in fields if line.startswith("Anonymous:"))
        self.anonymous_bytes_max = max(self.anonymous_bytes_max, kib << 10)

    def problems(self) -> list[str]:
        """What its log says that no log may say: tracebacks, requests that failed, text that broke out of its line."""
        found = []
        with self.log.open(errors="replace", newline="\n") as lines:
            for number, line in enumerate(lines, 1):
                text = line.rstrip("\n")
                if (
                    "Traceback" in text
                    or "request failed" in text
                    or not _LOG_LINE.match(text)
                    or _CONTROL.search(text)
                ):
                    found.append(f"{self.log.name}:{number}: {text[:300]!a}")
                    if len(found) == 10:
                        break
        return found

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-3000:]

    def stop(self) -> int:
        """End it cleanly; returns its exit code."""
        self._process.terminate()
        return self._process.wait(_STOP_SECONDS)


@contextmanager
def running_node(kind: Kind, folder: Path, *lines: str) -> Iterator[NodeProcess]:
    """Run a node below a folder for the length of a block; it is killed at the end if it still runs.

    Args:
        kind: What to run.
        folder: Its configuration, store and log; may hold what an earlier run left.
        lines: Further lines of its configuration.
    """
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    conf = folder / f"{kind}.conf"
    base = [f"listenPort={port}", "bindAddress=127.0.0.1"]
    if kind == "broker":
        base += [
            "brokerIP1=127.0.0.1",
            "brokerName=broker-a",
            f"storePathRootDir={folder / 'store'}",
            "mappedFileSizeCommitLog=16777216",
        ]
    else:
        base += [f"kvConfigPath={folder / 'kvConfig.json'}"]
    conf.write_text("\n".join((*base, *lines)) + "\n")
    with (folder / f"{kind}.log").open("a") as log:
        command = [sys.executable, "-m", "rmqnode", kind, "-c", str(conf)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        node = NodeProcess(kind, folder, port, process)
        _wait_ready(process, node)
        yield node
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(_STOP_SECONDS)
        assert process.stdout is not None
        process.stdout.close()


def _wait_ready(process: "subprocess.Popen[str]", node: NodeProcess) -> None:
    assert process.stdout is not None
    began = time.monotonic()
    line = process.stdout.readline()
    assert "boot success" in line, (
        f"the {node.kind} did not start within {time.monotonic() - began:.1f} s:\n{node.tail()}"
    )
