import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from rmqnode.service_manager import ServiceManager


@pytest.fixture
def notifications(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(5)
        yield sock


def test_states_are_sent_in_one_datagram(notifications: socket.socket) -> None:
    ServiceManager(notifications.getsockname(), None).tell(MAINPID=7, READY=1)
    assert notifications.recv(100) == b"MAINPID=7\nREADY=1"


def test_the_address_may_be_abstract() -> None:
    name = f"rmqctl-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("\0" + name)
        sock.settimeout(5)
        ServiceManager("@" + name, None).tell(READY=1)
        assert sock.recv(100) == b"READY=1"


def test_without_a_manager_or_with_a_dead_one_nothing_happens(tmp_path: Path) -> None:
    ServiceManager(None, None).tell(READY=1)
    ServiceManager(str(tmp_path / "nobody"), None).tell(READY=1)


def test_children_do_not_speak_for_their_parent() -> None:
    environment = {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1", "HOME": "/h"}
    ServiceManager.take_from(environment)
    assert environment == {"HOME": "/h"}


async def test_the_watchdog_hears_from_us_three_times_in_its_time(
    notifications: socket.socket, autojump_clock: object
) -> None:
    environment = {"NOTIFY_SOCKET": notifications.getsockname(), "WATCHDOG_USEC": "30000000"}
    manager = ServiceManager.take_from(environment)
    with trio.move_on_after(29):
        await manager.keep_watchdog_calm()
    heard = [notifications.recv(100) for _ in range(3)]
    assert heard == [b"WATCHDOG=1"] * 3
    notifications.setblocking(False)
    with pytest.raises(BlockingIOError):
        notifications.recv(100)


async def test_a_manager_without_watchdog_is_left_alone(notifications: socket.socket) -> None:
    await ServiceManager(notifications.getsockname(), None).keep_watchdog_calm()
    notifications.setblocking(False)
    with pytest.raises(BlockingIOError):
        notifications.recv(100)
