"""How long one quiet sender waits for each answer while others keep a broker busy."""

import statistics
import time

from scripts.benchmark.broker_probe import BrokerProbe

RATE = 100
"""Messages a second."""
SECONDS = 10


def probe_waits_ms(address: str, topic: str) -> tuple[float, float]:
    """Send messages at a steady rate over a connection of its own; return median and 99th percentile of the waits."""
    waits = []
    with BrokerProbe(address) as broker:
        begun = time.monotonic()
        for number in range(RATE * SECONDS):
            time.sleep(max(0.0, begun + number / RATE - time.monotonic()))
            asked = time.monotonic()
            broker.send(topic, b"quiet")
            waits.append((time.monotonic() - asked) * 1000)
    percentiles = statistics.quantiles(waits, n=100)
    return percentiles[49], percentiles[98]
