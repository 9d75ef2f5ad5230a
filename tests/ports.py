"""Ports for clusters that tests bring up side by side, several test runs on one machine included.

What is free may be taken a moment later. So each worker of a run has ports of its own, and takes them in turn.
"""

import itertools
import os
import random
import socket
from collections.abc import Iterator

_PORTS = (9876, 9877, *(10911 + place * 10 + use for place in range(5) for use in (-2, 0, 1)))
"""Ports of the largest cluster: two nameservers, then listen, VIP and HA port of five brokers."""

_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
_WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))


def _own(candidates: range) -> Iterator[int]:
    own = candidates[_WORKER::_WORKERS]
    return itertools.cycle(random.sample(own, len(own)))


# Below the ports that the system gives to outgoing connections (from 32768 on). A test may use the two offsets that
# follow the one it was given, for another cluster or for what `rmqctl` advises.
_OFFSETS = _own(range(6_000, 21_500, 300))

# Far enough from those above: their last two digits are 76, 77 and 9 to 52.
_SINGLE_PORTS = _own(range(16_085, 32_085, 100))

_TRIES = 1000


def free_port_offset() -> int:
    """A `--port-offset` at which the ports of a cluster are free on 127.0.0.1, now."""
    for offset in itertools.islice(_OFFSETS, _TRIES):
        if all(is_free(port + offset) for port in _PORTS):
            return offset
    raise RuntimeError("no free block of ports on 127.0.0.1")


def free_port(distance: int = 2) -> int:
    """A port of 127.0.0.1 that is free now, and so are its neighbours: VIP and HA port of a broker."""
    for port in itertools.islice(_SINGLE_PORTS, _TRIES):
        if all(is_free(port + use) for use in range(-distance, distance + 1)):
            return port
    raise RuntimeError("no free port on 127.0.0.1")


def is_free(port: int) -> bool:
    """Whether a server could listen on the port of 127.0.0.1, now."""
    with socket.socket() as probe:
        # As servers do it: a port of which only closed connections remain is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
