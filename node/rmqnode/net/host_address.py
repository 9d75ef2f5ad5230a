"""The address a broker announces when nobody told it: the one that leads out of this machine."""

import socket


def own_address() -> str:
    """Return the IPv4 address from which packets to the outside leave, loopback when there is no outside.

    No packet is sent: connecting a datagram socket only asks the routing table.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("192.0.2.1", 9))
            return str(sock.getsockname()[0])
        except OSError:
            return "127.0.0.1"
