"""The Java program `Load` as a test drives it: started, watched, ended, and its last line read."""

import json
import queue
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.interop.java_client import JVM_OPTIONS, JavaClient

END_TIMEOUT_SECONDS = 150


class Load:
    """One running producer, with a consumer if a group is named. A context manager: leaving ends the JVM."""

    def __init__(self, home: Path, nameserver: str, topic: str, **options: object) -> None:
        folder = JavaClient("4.5.2").folder()
        home.mkdir(parents=True, exist_ok=True)
        words = ["--nameserver", nameserver, "--topic", topic]
        words += [word for name, value in options.items() for word in (f"--{name}", str(value))]
        classpath = f"{folder}/classes:{folder}/jars/*"
        self._errors = home / "stderr.log"
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                ["java", *JVM_OPTIONS, f"-Duser.home={home}", "-cp", classpath, "rmqctl.interop.Load", *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=home,
                text=True,
            )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self.progress: dict[str, Any] = {"acknowledged": 0, "received": 0, "brokers": {}, "silent_seconds": 0.0}
        self._end: dict[str, Any] | None = None
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            document = json.loads(line)
            if document["event"] == "end":
                self._end = document
            else:
                self.progress = document

    def __enter__(self) -> "Load":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def wait(self, condition: Callable[[dict[str, Any]], object], what: str, timeout_seconds: float = 60) -> None:
        """Wait until a condition holds for the last line of progress."""
        deadline = time.monotonic() + timeout_seconds
        while not condition(self.progress):
            assert self._process.poll() is None, f"the program ended:\n{self._errors.read_text()[-3000:]}"
            assert time.monotonic() < deadline, f"not within {timeout_seconds} s: {what}; {self.progress}"
            time.sleep(0.05)

    def wait_for_more(self, broker: str, count: int, timeout_seconds: float = 60) -> None:
        """Wait until so many more messages were acknowledged as SEND_OK by a broker name."""
        before = self.progress["brokers"].get(f"{broker} SEND_OK", 0)
        self.wait(
            lambda progress: progress["brokers"].get(f"{broker} SEND_OK", 0) >= before + count,
            f"{count} more messages at {broker}",
            timeout_seconds,
        )

    def end(self, *, stop: bool = True) -> dict[str, Any]:
        """Stop producing (or wait until all is sent), wait for the consumer, and return the program's last line."""
        assert self._process.stdin is not None
        if stop:
            self._process.stdin.close()
        self._process.wait(END_TIMEOUT_SECONDS)
        self._reader.join()
        assert self._end is not None, self._errors.read_text()[-3000:]
        return self._end
