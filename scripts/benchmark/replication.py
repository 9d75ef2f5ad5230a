"""How far a slave is behind its master while messages come at a steady rate.

One thread sends and notes when each message was acknowledged, another asks the slave without a pause how many
messages it has. What is measured is the time from the acknowledgement until the slave can serve the message.
"""

import statistics
import threading
import time

from scripts.benchmark.broker_probe import BrokerProbe

RATE = 2000
"""Messages per second."""
LAG_SECONDS = 10
WARM_UP_SECONDS = 2


def lag_ms(master: str, slave: str, topic: str) -> tuple[float, float]:
    """Return median and 99th percentile of a slave's lag, in ms; the topic has one queue and is empty."""
    count = RATE * (WARM_UP_SECONDS + LAG_SECONDS)
    acknowledged = [0.0] * count
    arrived = [0.0] * count

    def watch() -> None:
        seen = 0
        with BrokerProbe(slave) as probe:
            while seen < count and time.monotonic() < deadline:
                stored = probe.stored(topic, 1)
                now = time.monotonic()
                while seen < stored:
                    arrived[seen] = now
                    seen += 1

    deadline = time.monotonic() + 4 * (WARM_UP_SECONDS + LAG_SECONDS)
    watcher = threading.Thread(target=watch)
    watcher.start()
    with BrokerProbe(master) as probe:
        began = time.monotonic()
        for index in range(count):
            time.sleep(max(0.0, began + index / RATE - time.monotonic()))
            probe.send(topic, b"x" * 128)
            acknowledged[index] = time.monotonic()
    watcher.join()
    if not arrived[-1]:
        raise RuntimeError("the slave did not get every message")
    first = RATE * WARM_UP_SECONDS
    lags = [max(0.0, there - here) * 1000 for here, there in zip(acknowledged[first:], arrived[first:], strict=True)]
    return statistics.median(lags), statistics.quantiles(lags, n=100)[98]
