"""Our client as a benchmark program: sends asynchronously for some seconds and prints one line of JSON.

    python -m scripts.benchmark.async_sender NAMESERVER TOPIC SECONDS

One process, one thread: it never uses more than one core. The first second is left out, as warming up.
"""

import json
import sys
import time

import trio

from rmqctl.client import ClientError, Producer, SendResult

BODY_SIZE_BYTES = 128
_WARM_UP_SECONDS = 1.0


class Count:
    """How many sends were acknowledged, and how many were not."""

    def __init__(self) -> None:
        self.sent = self.failed = 0

    def note(self, outcome: SendResult | ClientError) -> None:
        """Count one outcome."""
        if isinstance(outcome, SendResult):
            self.sent += 1
        else:
            self.failed += 1


async def measure(nameserver: str, topic: str, seconds: float) -> dict[str, float]:
    """Send for so long; returns rate, CPU a message, failures."""
    count = Count()
    body = b"x" * BODY_SIZE_BYTES
    async with Producer("scripts-bench", nameserver=nameserver) as producer:
        await _send_until(time.monotonic() + _WARM_UP_SECONDS, producer, topic, body, count)
        sent, started, cpu = count.sent, time.monotonic(), time.process_time()
        await _send_until(started + seconds, producer, topic, body, count)
        await producer.flush()
        sent, took, cpu = count.sent - sent, time.monotonic() - started, time.process_time() - cpu
    return {"rate": sent / took, "cpu_us": cpu / sent * 1e6, "failed": count.failed}


async def _send_until(end: float, producer: Producer, topic: str, body: bytes, count: Count) -> None:
    while time.monotonic() < end:
        for _ in range(100):
            await producer.send_async(topic, body, callback=count.note)


if __name__ == "__main__":
    print(json.dumps(trio.run(measure, sys.argv[1], sys.argv[2], float(sys.argv[3]))))
