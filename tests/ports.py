"""Ports for clusters that tests bring up side by side, several test runs on one machine included."""

import random
import socket

_PORTS = (9876, 9877, *(10911 + place * 10 + use for place in range(4) for use in (-2, 0, 1)))
"""All ports of the largest shipped profile: two nameservers, then listen, VIP and HA port of four brokers."""

# Below the ports that the system gives to outgoing connections (from 32768 on).
_OFFSETS = range(6_000, 21_700, 100)


def free_port_offset() -> int:
    """A `--port-offset` at which all ports of the shipped profiles are free on 127.0.0.1, now."""
    for offset in random.sample(_OFFSETS, len(_OFFSETS)):
        if all(is_free(port + offset) for port in _PORTS):
            return offset
    raise RuntimeError("no free block of ports on 127.0.0.1")


def free_port(distance: int = 2) -> int:
    """A port of 127.0.0.1 that is free now, and so are its neighbours: VIP and HA port of a broker."""
    for port in random.sample(range(22_000, 32_000), 200):
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
