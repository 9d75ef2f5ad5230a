"""When a node that does not answer counts as hung: judged with processes that work, loop, and stand still."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from rmqctl.process_usage import cpu_seconds_of
from rmqctl.supervisor.health.pulse import Pulses

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="the system has no anonymous files")

PULSE = "from rmqnode.net.loop_meter import Pulse\npulse = Pulse().counter\n"
WORKING = PULSE + "print(flush=True)\nwhile True: pulse[0] += 1"
LOOPING = PULSE + "print(flush=True)\nwhile True: pass"
WITHOUT = "import time\nprint(flush=True)\ntime.sleep(600)"

Start = Callable[[str], int]


@pytest.fixture
def start() -> Iterator[Start]:
    """Run a program until it has begun; gives its pid."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(program: str) -> int:
        processes.append(subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE))
        assert processes[-1].stdout is not None
        processes[-1].stdout.readline()
        return processes[-1].pid

    yield start
    for process in processes:
        with process:
            process.kill()


def wait_cpu(pid: int, seconds: float) -> None:
    """Wait until a process has had so much more processor time."""
    begun = cpu_seconds_of(pid)
    assert begun is not None
    while (now := cpu_seconds_of(pid)) is not None and now < begun + seconds:
        time.sleep(0.02)


def test_a_node_whose_counter_goes_up_is_busy_however_long_it_is_silent(start: Start) -> None:
    pulses, pid = Pulses(), start(WORKING)
    pulses.note([pid], now=0)
    wait_cpu(pid, 0.1)

    assert not pulses.silence_is_hang(pid, 1000, 15, now=1000)
    assert pulses.is_busy(pid, now=1000)


def test_a_node_that_got_processor_time_without_a_turn_hangs_after_15_seconds(start: Start) -> None:
    pulses, pid = Pulses(), start(LOOPING)
    pulses.note([pid], now=0)
    wait_cpu(pid, 1.1)

    assert not pulses.silence_is_hang(pid, 14, 15, now=14)
    assert pulses.silence_is_hang(pid, 15, 15, now=15)
    assert not pulses.is_busy(pid, now=15)


def test_a_node_without_processor_time_hangs_after_60_seconds(start: Start) -> None:
    pulses, pid = Pulses(), start(LOOPING)
    os.kill(pid, signal.SIGSTOP)
    pulses.note([pid], now=0)

    assert not pulses.silence_is_hang(pid, 59, 15, now=59)
    assert pulses.silence_is_hang(pid, 60, 15, now=60)


def test_a_node_without_a_counter_hangs_by_its_silence(start: Start) -> None:
    pulses, pid = Pulses(), start(WITHOUT)
    pulses.note([pid], now=0)

    assert not pulses.silence_is_hang(pid, 14, 15, now=14)
    assert pulses.silence_is_hang(pid, 15, 15, now=15)
