"""Attacks on one broker over plain sockets: what a hostile or broken client may do, each as a context manager.

Nothing here reads what it is answered, unless it says so. All of them end with their block: sockets are closed.
"""

import contextlib
import resource
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Final

from rmqnode.protocol.codes import RequestCode
from rmqnode.protocol.command import FLAG_ONEWAY, Command, encode_command
from scripts.benchmark.broker_probe import BrokerProbe

TOPIC: Final = "attacked"
_SEND_SECONDS: Final = 20
"""A broker that closes or no longer reads an attacker has answered it."""

_OTHER_DESCRIPTORS: Final = 200

Attack = Callable[[str], AbstractContextManager[None]]
"""Takes the address of a broker."""


def _connect(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    sock = socket.create_connection((host, int(port)), 5)
    sock.settimeout(_SEND_SECONDS)
    return sock


@contextmanager
def _connections(address: str, count: int) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        yield [stack.enter_context(_connect(address)) for _ in range(count)]


def _send(sock: socket.socket, data: bytes, seconds: float = _SEND_SECONDS) -> bool:
    """Send as much as the broker takes; False when it closed the connection or does not read any more."""
    sock.settimeout(seconds)
    try:
        sock.sendall(data)
    except (TimeoutError, OSError):
        return False
    return True


def _pull(opaque: int, *, offset: int, flags: int = 2 | 4, subscription: str = "*", kind: str = "TAG") -> bytes:
    fields = {
        "consumerGroup": "attackers",
        "topic": TOPIC,
        "queueId": "0",
        "queueOffset": str(offset),
        "maxMsgNums": "32",
        "sysFlag": str(flags),
        "commitOffset": "0",
        "suspendTimeoutMillis": "60000",
        "subscription": subscription,
        "subVersion": "0",
        "expressionType": kind,
    }
    return encode_command(Command(code=RequestCode.PULL_MESSAGE, opaque=opaque, ext_fields=fields))


@contextmanager
def held_pulls(address: str, connections: int = 20, pulls: int = 1500) -> Iterator[None]:
    """Many held pulls on one queue, then messages of 100 KB that wake them all; nobody reads the answers."""
    with BrokerProbe(address) as probe, _connections(address, connections) as socks:
        probe.create_topic(TOPIC, 1)
        end = probe.queue_end(TOPIC, 0)
        for sock in socks:
            _send(sock, b"".join(_pull(opaque, offset=end) for opaque in range(pulls)))
        time.sleep(1)
        for _ in range(3):
            probe.send(TOPIC, bytes(100_000))
        yield


@contextmanager
def partial_frames(address: str, connections: int = 100) -> Iterator[None]:
    """Frames of 16 MiB of which all but the end is sent."""
    with _connections(address, connections) as socks:
        part = struct.pack(">iI", 16_000_000, 100) + bytes(15_900_000)
        for sock in socks:
            _send(sock, part, 2)
        yield


@contextmanager
def deaf_readers(address: str, connections: int = 60, pulls: int = 400) -> Iterator[None]:
    """Pulls of a quarter of a MiB each, whose answers nobody reads."""
    with BrokerProbe(address) as probe, _connections(address, connections) as socks:
        probe.create_topic(TOPIC, 1)
        end = probe.queue_end(TOPIC, 0)
        for _ in range(4):
            probe.send(TOPIC, bytes(100_000))
        for sock in socks:
            _send(sock, b"".join(_pull(opaque, offset=end, flags=4) for opaque in range(pulls)), 1)
        yield


@contextmanager
def idle_connections(address: str, connections: int = 20_000) -> Iterator[None]:
    """Connections that never say anything, as many as this process may open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        with ExitStack() as stack:
            for _ in range(min(connections, hard - _OTHER_DESCRIPTORS)):
                with contextlib.suppress(OSError):
                    stack.enter_context(_connect(address))
            yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def wrong_expressions(address: str, pulls: int = 50_000) -> Iterator[None]:
    """The same wrong SQL92 expression pulled again and again; the refusals are read."""
    with BrokerProbe(address) as probe, _connections(address, 1) as (sock,):
        probe.create_topic(TOPIC, 1)
        for first in range(0, pulls, 500):
            wrong = [_pull(first + number, offset=0, subscription="a > > 5", kind="SQL92") for number in range(500)]
            _send(sock, b"".join(wrong))
            _read_what_is_there(sock)
        yield


def _read_what_is_there(sock: socket.socket) -> None:
    sock.settimeout(0.05)
    with contextlib.suppress(TimeoutError, OSError):
        while sock.recv(1 << 20):
            pass


@contextmanager
def made_up_names(address: str, count: int = 300_000) -> Iterator[None]:
    """Offsets, locks and members of groups that nobody has ever heard of, some with names of half a megabyte."""
    with _connections(address, 3) as (commits, locks, heartbeats):
        for first in range(0, count, 1000):
            group = f"group-{first}"
            _send(commits, b"".join(_commit(f"{group}-{number}") for number in range(1000)))
            _send(locks, _lock(group, 1000))
            _send(heartbeats, _heartbeat(group, 100))
            _read_what_is_there(commits)
            _read_what_is_there(locks)
            _read_what_is_there(heartbeats)
        for sock in (commits, locks, heartbeats):
            for number in range(20):
                _send(sock, _commit(f"{number}".rjust(500_000, "x")))
                _send(sock, _lock(f"{number}".rjust(500_000, "x"), 1))
                _send(sock, _heartbeat(f"{number}".rjust(500_000, "x"), 1))
        yield


def _commit(group: str) -> bytes:
    fields = {"consumerGroup": group, "topic": TOPIC, "queueId": "0", "commitOffset": "1"}
    command = Command(code=RequestCode.UPDATE_CONSUMER_OFFSET, flag=FLAG_ONEWAY, ext_fields=fields)
    return encode_command(command)


def _lock(group: str, count: int) -> bytes:
    queues = ",".join(f'{{"topic":"{TOPIC}","brokerName":"b","queueId":{number}}}' for number in range(count))
    body = f'{{"consumerGroup":"{group}","clientId":"c","mqSet":[{queues}]}}'
    return encode_command(Command(code=RequestCode.LOCK_BATCH_MQ, ext_fields={}, body=body.encode()))


def _heartbeat(group: str, count: int) -> bytes:
    groups = ",".join(f'{{"groupName":"{group}-{number}"}}' for number in range(count))
    body = f'{{"clientID":"c","consumerDataSet":[],"producerDataSet":[{groups}]}}'
    return encode_command(Command(code=RequestCode.HEART_BEAT, ext_fields={}, body=body.encode()))


ATTACKS: Final[dict[str, Attack]] = {
    "held pulls": held_pulls,
    "partial frames": partial_frames,
    "readers that do not read": deaf_readers,
    "idle connections": idle_connections,
    "a wrong expression": wrong_expressions,
    "made-up names": made_up_names,
}
"""All of them by what a table calls them."""


@contextmanager
def attack_apart(name: str, address: str) -> Iterator[None]:
    """Run an attack in a process of its own, which has its own time and descriptors; the block begins when all is sent.

    Raises:
        RuntimeError: The process failed.
    """
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "scripts.benchmark.attacks", name, address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        if process.stdout.readline().strip() != b"sent":
            raise RuntimeError(f"the attack {name!r} failed")
        yield
        process.stdin.close()
        process.wait(_SEND_SECONDS)
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def main() -> None:
    """Run an attack until stdin ends: `attacks NAME ADDRESS`."""
    name, address = sys.argv[1:]
    with ATTACKS[name](address):
        print("sent", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
