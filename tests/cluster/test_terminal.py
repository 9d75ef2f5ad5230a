"""What changes in place, and what asks: commands on a terminal, seen as a person sees them."""

import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.profiles import write_profile
from tests.cluster.terminal import Terminal

WaitUntil = Callable[[Callable[[], object], str], None]

_ENTER_SCREEN, _LEAVE_SCREEN = b"\x1b[?1049h", b"\x1b[?1049l"
_HIDE_CURSOR, _SHOW_CURSOR = b"\x1b[?25l", b"\x1b[?25h"


@pytest.fixture
def cluster(cli: Any, tmp_path: Path) -> Iterator[Any]:
    """Two masters."""
    cli.up("--profile", write_profile(tmp_path, brokers=2))
    yield cli
    cli.run("down")


def test_up_and_down_show_every_node_once_and_how_it_is(cli: Any, tmp_path: Path) -> None:
    profile = write_profile(tmp_path, slaves=1)
    with Terminal(cli.environment, "up", "--profile", profile, *cli.place()) as terminal:
        assert terminal.wait() == 0, str(terminal)
        assert "is up: 3 nodes ready" in terminal.wait_for("is up")
        for name, pid in cli.pids().items():
            assert re.search(rf"^{name} .* ready +pid {pid}$", terminal.row(rf"^{name} ") or ""), str(terminal)
        assert terminal.output.rfind(_SHOW_CURSOR) > terminal.output.rfind(_HIDE_CURSOR)
    with Terminal(cli.environment, "down") as terminal:
        assert terminal.wait() == 0, str(terminal)
        for name in ("nameserver-0", "broker-a-0", "broker-a-1"):
            assert " stopped" in (terminal.row(rf"^{name} ") or ""), str(terminal)
        assert terminal.output.rfind(_SHOW_CURSOR) > terminal.output.rfind(_HIDE_CURSOR)


def test_watched_status_changes_in_place_until_ctrl_c(cluster: Any) -> None:
    before = cluster.pids()["broker-a-0"]
    with Terminal(cluster.environment, "status", "--watch") as terminal:
        assert f" {before} " in terminal.wait_for(r"^broker-a-0 .* ready ")
        os.kill(before, signal.SIGKILL)
        # The pattern is that of a row with one restart and another pid.
        row = terminal.wait_for(rf"^broker-a-0 .* ready +(?!{before} )\d+ ")
        assert f" {cluster.pids()['broker-a-0']} " in row
        assert terminal.row("killed by SIGKILL") is not None
        terminal.press_ctrl_c()
        assert terminal.wait() == 0
        output = terminal.output
        assert output.index(_ENTER_SCREEN) < output.rindex(_LEAVE_SCREEN)
        assert output.rfind(_SHOW_CURSOR) > output.rfind(_HIDE_CURSOR)


def test_followed_events_come_as_they_happen_until_ctrl_c(cluster: Any) -> None:
    with Terminal(cluster.environment, "events", "-f", "-n", "0") as terminal:
        terminal.wait_for("following")
        os.kill(cluster.pids()["broker-b-0"], signal.SIGKILL)
        terminal.wait_for("broker-b-0 .* ended: killed by SIGKILL")
        terminal.wait_for("broker-b-0 .*ready")
        terminal.press_ctrl_c()
        assert terminal.wait() == 0


def test_followed_logs_have_a_colour_for_each_node(cluster: Any) -> None:
    logs = {name: cluster.home / "rmqctl" / name / "logs" / f"{name}.log" for name in ("broker-a-0", "broker-b-0")}
    with Terminal(cluster.environment, "logs", "-f", "-n", "0", *logs) as terminal:
        terminal.wait_for("following")
        for name, path in logs.items():
            with path.open("a") as file:
                file.write(f"2099-01-01 00:00:00,000 INFO a a line of {name}\n")
            assert re.match(rf"{name} +\| ", terminal.wait_for(f"a line of {name}"))
        terminal.press_ctrl_c()
        assert terminal.wait() == 0
        colours = [re.search(rb"\x1b\[(\d+)m" + name.encode(), terminal.output) for name in logs]
        assert len({colour[1] for colour in colours if colour is not None}) == 2, terminal.output


def test_draining_counts_down_on_one_line_and_ctrl_c_takes_it_back(cluster: Any) -> None:
    with Terminal(cluster.environment, "stop", "broker-a-0", "--drain-seconds", "600") as terminal:
        first = terminal.wait_for(r"broker-a-0: draining, waiting for .*: \d+ s left \(Ctrl-C")
        seconds = re.search(r"(\d+) s left", first)
        assert seconds is not None
        terminal.wait_for(rf"draining, .*: (?!{seconds[1]} )\d+ s left")
        terminal.press_ctrl_c()
        assert terminal.wait() == 130
        assert terminal.row("s left") is None, "the line of the countdown makes room"
        assert terminal.row("a drain is taken back") is not None


def test_what_destroys_asks_first(cluster: Any) -> None:
    assert cluster.run("topic", "create", "orders", "--queues", "1").returncode == 0
    for answer, code, is_left in (("n", 1, True), ("y", 0, False)):
        with Terminal(cluster.environment, "topic", "delete", "orders") as terminal:
            assert "orders" in terminal.wait_for(r"\[y/N\]")
            terminal.press(f"{answer}\r")
            assert terminal.wait() == code, str(terminal)
        assert ("orders" in cluster.run("topic", "list").stdout) is is_left


def test_a_narrow_terminal_breaks_no_line_of_the_countdown(cluster: Any) -> None:
    with Terminal(cluster.environment, "stop", "broker-a-0", "--drain-seconds", "600", columns=40) as terminal:
        terminal.wait_for("broker-a-0: draining, waiting for ")
        terminal.press_ctrl_c()
        assert terminal.wait() == 130
        assert terminal.row("draining, waiting") is None
