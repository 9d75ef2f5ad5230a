"""Every command with a reader that goes away: it never hangs, and does to the cluster what it does anyway."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import psutil
import pytest

from rmqctl.cli.app import COMMANDS, CommandEntry, GroupEntry
from tests.cluster.conftest import Cli

Streams = Literal["stdout", "stderr", "both"]

_SECONDS = 60.0
"""No command here takes a tenth of it."""
_LINES_MAX = 40
"""No command here says more, but those that follow something."""

COMMANDS_BY_NAME = {
    "status": ["status"],
    "status --watch": ["status", "--watch"],
    "wait": ["wait"],
    "start": ["start", "broker-a-0"],
    "stop": ["stop", "nameserver-1"],
    "restart": ["restart", "broker-a-0", "--no-drain"],
    "kill": ["kill", "broker-a-0"],
    "scale": ["scale", "--brokers", "1"],
    "up": ["up"],
    "logs": ["logs"],
    "logs --follow": ["logs", "--follow"],
    "events": ["events"],
    "topic create": ["topic", "create", "{new}", "--queues", "1"],
    "topic list": ["topic", "list"],
    "topic route": ["topic", "route", "orders"],
    "topic describe": ["topic", "describe", "orders"],
    "topic delete": ["topic", "delete", "{new}", "--yes"],
    "send": ["send", "orders", "body", "--count", "50"],
    "tail": ["tail", "orders", "--from", "earliest", "-n", "1"],
    "message get": ["message", "get", "--topic", "orders", "--queue", "broker-a:0", "--offset", "0"],
    "message resend": ["message", "resend", "--help"],
    "message trace": ["message", "trace", "--help"],
    "group create": ["group", "create", "{new}"],
    "group list": ["group", "list"],
    "group describe": ["group", "describe", "billing"],
    "group lag": ["group", "lag"],
    "group reset-offset": ["group", "reset-offset", "billing", "orders", "--to", "earliest", "--yes"],
    "group delete": ["group", "delete", "{new}", "--yes"],
    "store inspect": ["store", "inspect", "{home}/rmqctl/broker-a-0/store"],
    "store verify": ["store", "verify", "{home}/rmqctl/broker-a-0/store"],
    "profile list": ["profile", "list"],
    "profile show": ["profile", "show", "single"],
    "engine list": ["engine", "list"],
    "engine install": ["engine", "install", "no-version"],
    "engine remove": ["engine", "remove", "9.9.9", "--yes"],
    "conf show": ["conf", "show", "broker-a-0"],
    "systemd print": ["systemd", "print"],
    "systemd install": ["systemd", "install", "--help"],
    "systemd uninstall": ["systemd", "uninstall", "--help"],
    "address": ["address"],
    "completion": ["completion", "bash"],
    "down": ["down", "--cluster", "nothing"],
}
"""Arguments of every command of the table; what leads elsewhere (installing, a whole machine) shows its help."""


def test_no_command_is_forgotten() -> None:
    names = {
        f"{noun} {verb}" if verb else noun
        for noun, entry in COMMANDS.items()
        for verb in (entry.commands if isinstance(entry, GroupEntry) else [""])
    }
    assert names - set(COMMANDS_BY_NAME) == set()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """A nameserver and a broker with some messages, a topic and a group."""
    made = Cli(tmp_path_factory.mktemp("pipes") / "home")
    try:
        made.up("--profile", "single")
        for command in (
            ["topic", "create", "orders", "--queues", "4"],
            ["group", "create", "billing"],
            ["send", "orders", "x", "--queue", "broker-a:0"],
        ):
            assert made.run(*command).returncode == 0
        yield made
    finally:
        made.run("down")
        left = made.leftover()
        for process in left:
            process.kill()
        psutil.wait_procs(left, timeout=10)


def run_with_reader(cli: Cli, arguments: list[str], streams: Streams, lines: int) -> tuple[int, bool]:
    """Run a command into a pipe whose reader goes away after so many lines; exit code, and whether it had read all."""
    read_end, write_end = os.pipe()
    out = write_end if streams != "stderr" else subprocess.DEVNULL
    err = write_end if streams != "stdout" else subprocess.DEVNULL
    with subprocess.Popen(
        [sys.executable, "-m", "rmqctl", *arguments],
        env=cli.environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
    ) as process:  # fmt: skip
        os.close(write_end)
        had_all = False
        with os.fdopen(read_end, "rb", buffering=0) as reader:
            for _ in range(lines):
                if not reader.readline():
                    had_all = True
                    break
        try:
            return process.wait(_SECONDS), had_all
        except subprocess.TimeoutExpired:
            process.kill()
            raise AssertionError(f"{arguments} hangs when {streams} is not read after line {lines}") from None


def changes(name: str) -> bool:
    """Whether a command changes something."""
    noun, _, verb = name.partition(" ")
    entry = COMMANDS[noun]
    found = entry.commands[verb] if isinstance(entry, GroupEntry) else entry
    assert isinstance(found, CommandEntry)
    return found.changes


def check_command(cli: Cli, name: str, streams: Streams, lines: int) -> bool:
    """One command with one reader; returns whether it was read whole."""
    new = f"t-{uuid.uuid4().hex[:8]}"
    arguments = [each.format(new=new, home=cli.home) for each in COMMANDS_BY_NAME[name]]
    noun = name.partition(" ")[0]
    if name in ("topic delete", "group delete"):
        assert cli.run(*[each.format(new=new) for each in COMMANDS_BY_NAME[f"{noun} create"]]).returncode == 0
    if name in ("status --watch", "logs --follow") and streams == "stderr":
        return True
    code, had_all = run_with_reader(cli, arguments, streams, lines)
    if not changes(name):
        expected = cli.run(*arguments).returncode if had_all and "-" not in name else None
        assert code in ({expected} if expected is not None else {0, 1}), (name, streams, lines)
        return had_all
    whole = cli.run(*arguments) if name not in ("topic delete", "group delete") else None
    assert whole is None or code == whole.returncode, (name, streams, lines, whole)
    if name in ("topic create", "group create", "topic delete", "group delete"):
        is_there = new in cli.run(noun, "list").stdout.split()
        assert is_there == name.endswith("create"), (name, streams, lines)
    return had_all


def test_no_command_that_only_looks_minds_a_reader_that_reads_nothing(cluster: Cli) -> None:
    pids = cluster.pids()
    names = [name for name in COMMANDS_BY_NAME if not changes(name)]

    def run(name: str) -> tuple[str, int]:
        arguments = [each.format(home=cluster.home) for each in COMMANDS_BY_NAME[name]]
        return name, run_with_reader(cluster, arguments, "both", 0)[0]

    with ThreadPoolExecutor(4) as pool:
        codes = dict(pool.map(run, names))
    assert {name: code for name, code in codes.items() if code} == {}
    assert cluster.pids() == pids


@pytest.mark.parametrize("name", ["restart", "topic create", "group delete", "send", "scale"])
def test_a_command_that_changes_something_does_so_though_nobody_reads(cluster: Cli, name: str) -> None:
    before = cluster.status()
    check_command(cluster, name, "both", 0)
    after = cluster.status()
    assert (after["state"], len(after["nodes"])) == ("running", len(before["nodes"]))


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("streams", ["stdout", "stderr", "both"])
@pytest.mark.parametrize("name", COMMANDS_BY_NAME)
def test_a_reader_that_goes_away_at_any_line_changes_nothing(cluster: Cli, name: str, streams: Streams) -> None:
    for lines in range(_LINES_MAX):
        if check_command(cluster, name, streams, lines):
            break
    assert cluster.run("wait").returncode == 0


def check_up(cli: Cli, streams: Streams, lines: int) -> bool:
    """Bring a cluster up and take it down with such readers; returns whether `up` was read whole."""
    code, had_all = run_with_reader(cli, ["up", "--profile", "single", *cli.place()], streams, lines)
    assert code == 0, lines
    assert cli.status()["state"] == "running", lines
    assert run_with_reader(cli, ["down"], streams, lines)[0] == 0
    assert cli.leftover() == []
    return had_all


@pytest.mark.parametrize("lines", [0, 2])
def test_up_brings_the_cluster_up_though_its_reader_goes_away(cli: Cli, lines: int) -> None:
    assert not check_up(cli, "both", lines)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("streams", ["stdout", "stderr", "both"])
def test_up_brings_the_cluster_up_whichever_line_is_the_last_that_is_read(cli: Cli, streams: Streams) -> None:
    assert any(check_up(cli, streams, lines) for lines in range(_LINES_MAX))


def test_up_that_fails_says_so_by_its_exit_code_though_nobody_reads(cli: Cli) -> None:
    arguments = ["up", "--profile", "single", *cli.place(), "--timeout", "0.1", "--set", "listenPort=70000"]
    code, _ = run_with_reader(cli, arguments, "both", 0)
    assert code == 2
    code, _ = run_with_reader(cli, ["up", "--profile", "2m-2s-sync", *cli.place(), "--timeout", "0.1"], "both", 0)
    assert code in (1, 4)
    assert cli.leftover() == []
