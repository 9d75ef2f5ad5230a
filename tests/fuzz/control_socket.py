"""Hostile text at a supervisor's control socket. Only the owner may connect; a slip of theirs must not end it."""

import json
import socket
from pathlib import Path
from random import Random
from typing import Final

from tests.fuzz import values

_REQUESTS: Final = (
    {"version": 2, "request": "status"},
    {"version": 2, "request": "model"},
    {"version": 2, "request": "nodes", "order": {"verb": "start", "nodes": ["broker-a-0"]}},
    {"version": 1, "request": "status"},
)
_SECONDS: Final = 10.0


def disturb(path: Path, chance: Random) -> None:
    """Send one damaged request, or the beginning of one, and take what comes back."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(_SECONDS)
        client.connect(str(path))
        document = values.changed_json(chance, chance.choice(_REQUESTS))
        line = json.dumps(document).encode("utf-8", "surrogatepass") + b"\n"
        if chance.random() < 0.3:
            line = values.changed_bytes(chance, line)
        try:
            client.sendall(line)
            if chance.random() < 0.5:
                client.shutdown(socket.SHUT_WR)
                client.recv(1 << 16)
        except (BrokenPipeError, ConnectionResetError):
            return
