"""How far a slave is behind its master while messages come at a steady rate.

One thread sends and notes when each message was acknowledged, another asks the slave without a pause how many
messages it has. What is measured is the time from the acknowledgement until the slave can serve the message.
"""

import statistics
import sys
import threading
import time

from scripts.benchmark.broker_probe import BrokerProbe

RATE = 2000
"""Messages per second."""
LAG_SECONDS = 10
WARM_UP_SECONDS = 2
SLAVE_SECONDS_MAX = 60
"""How long after the last message the slave may take to have it."""
RATE_SHARE_MIN = 0.9
"""A busy machine may not send at the rate; with less than this share of it, that is told."""


def lag_ms(master: str, slave: str, topic: str) -> tuple[float, float]:
    """Return median and 99th percentile of a slave's lag, in ms; the topic has one queue and is empty."""
    count = RATE * (WARM_UP_SECONDS + LAG_SECONDS)
    acknowledged = [0.0] * count
    arrived = [0.0] * count

    ended = threading.Event()

    def watch() -> None:
        seen = 0
        deadline = float("inf")
        with BrokerProbe(slave) as probe:
            while seen < count and time.monotonic() < deadline:
                if ended.is_set() and deadline == float("inf"):
                    deadline = time.monotonic() + SLAVE_SECONDS_MAX
                stored = probe.stored(topic, 1)
                now = time.monotonic()
                while seen < stored:
                    arrived[seen] = now
                    seen += 1

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.monotonic()
    try:
        with BrokerProbe(master) as probe:
            for index in range(count):
                time.sleep(max(0.0, began + index / RATE - time.monotonic()))
                probe.send(topic, b"x" * 128)
                acknowledged[index] = time.monotonic()
    finally:
        ended.set()
        watcher.join()
    if not arrived[-1]:
        missing = arrived.count(0.0)
        raise RuntimeError(f"the slave lacks {missing} of {count} messages {SLAVE_SECONDS_MAX} s after the last one")
    rate = count / (acknowledged[-1] - began)
    if rate < RATE_SHARE_MIN * RATE:
        print(f"  only {rate:.0f} messages/s could be sent, {RATE} were meant", file=sys.stderr, flush=True)
    first = RATE * WARM_UP_SECONDS
    lags = [max(0.0, there - here) * 1000 for here, there in zip(acknowledged[first:], arrived[first:], strict=True)]
    return statistics.median(lags), statistics.quantiles(lags, n=100)[98]
