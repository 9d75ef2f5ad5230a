"""The official client, driven by our program `Flood`: sends as fast as it can until the block ends."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from scripts.benchmark.official import BODY_SIZE_BYTES, JVM_OPTIONS
from tests.interop.java_client import JavaClient

_END_SECONDS = 30


@contextmanager
def flood(
    nameserver: str, topic: str, threads: int, home: str, *, kind: Literal["delayed", "transactions"], level: int = 0
) -> Iterator[None]:
    """Send messages of a kind from many threads, each waiting for its answer; a transaction is committed at once.

    Raises:
        RuntimeError: At the end of the block: sends failed, or the program did.
    """
    folder = JavaClient("4.5.2").folder()
    options: dict[str, object] = {
        "nameserver": nameserver,
        "topic": topic,
        "threads": threads,
        "kind": kind,
        "level": level,
    }
    options["size"] = BODY_SIZE_BYTES
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    classpath = f"{folder}/classes:{folder}/jars/*"
    errors = Path(home) / "flood.log"
    with errors.open("wb") as stderr:
        process = subprocess.Popen(
            ["java", *JVM_OPTIONS, f"-Duser.home={home}", "-cp", classpath, "rmqctl.interop.Flood", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    try:
        yield
        output, _ = process.communicate("", timeout=_END_SECONDS)
    finally:
        process.kill()
        process.wait()
    outcome = json.loads(output or "{}")
    if not outcome.get("sent") or outcome["failed"]:
        raise RuntimeError(f"the Java program sent {outcome or 'nothing'}: {errors.read_text()[-2000:]}")
