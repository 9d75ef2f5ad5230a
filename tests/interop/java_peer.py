"""The Java program `Peer` as a test drives it: official clients that run beside ours, in one group or at both ends."""

import json
import queue
import subprocess
import threading
from pathlib import Path
from typing import Any

import trio

from tests.interop.java_client import JVM_OPTIONS, JavaClient

_ANSWER_SECONDS = 60
_END_SECONDS = 20


class JavaPeer:
    """One JVM, told what to do line by line. A context manager: leaving ends it.

    Args:
        home: Logs and local offsets go below it.
        nameserver: Of the cluster that its clients use.
    """

    def __init__(self, home: Path, nameserver: str) -> None:
        self.home = home
        folder = JavaClient("4.5.2").folder()
        classpath = f"{folder}/classes:{folder}/jars/*"
        command = ["java", *JVM_OPTIONS, f"-Duser.home={home}", "-cp", classpath, "rmqctl.interop.Peer", nameserver]
        with (home / "peer.log").open("wb") as errors:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, cwd=home, text=True
            )
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self._messages: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> "JavaPeer":
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in map(json.loads, self._process.stdout):
            if line["event"] == "message":
                self._messages.append(line)
            else:
                self._answers.put(line)

    async def ask(self, *words: str) -> dict[str, Any]:
        """Give one command and wait for its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(" ".join(words) + "\n")
        self._process.stdin.flush()
        return await trio.to_thread.run_sync(lambda: self._answers.get(timeout=_ANSWER_SECONDS))

    def messages(self, *names: str) -> list[dict[str, Any]]:
        """What consumers of these names got, in order."""
        return [message for message in list(self._messages) if message["name"] in names]

    def bodies(self, *names: str) -> list[str]:
        """Bodies of what consumers of these names got, in order."""
        return [message["body"] for message in self.messages(*names)]

    async def wait_for_queues(self, name: str, topic: str, *counts: int) -> None:
        """Wait until a consumer has one of these numbers of queues of a topic, waking its rebalance."""
        with trio.fail_after(_ANSWER_SECONDS):
            while (await self.ask("queues", name, topic))["count"] not in counts:  # noqa: ASYNC110 - only asking tells
                await trio.sleep(0.1)
