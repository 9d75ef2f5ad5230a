"""A short flood of each kind in every run, two minutes of it in `--long`; `scripts/fuzz` goes on for hours."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from rmqctl.home import ClusterHome
from tests.cluster.conftest import Cli
from tests.fuzz import control_socket
from tests.fuzz.__main__ import fuzz_decoders, fuzz_files, fuzz_node, fuzz_replication
from tests.fuzz.node_process import Kind

SEED = int(os.environ.get("RMQCTL_FUZZ_SEED", random.randrange(1 << 30)))
"""A failure prints it; the variable repeats the run."""


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    made = Cli(tmp_path / "a home")
    yield made
    made.run("down")
    assert made.leftover() == []


@pytest.mark.parametrize("kind", ["broker", "nameserver"])
@pytest.mark.parametrize(
    ("frames", "seconds"),
    [
        (10_000, 60.0),
        pytest.param(10_000_000, 120.0, marks=[pytest.mark.long, pytest.mark.timeout(600)]),
    ],
)
def test_a_flood_of_hostile_requests_harms_neither_the_node_nor_another_client(
    tmp_path: Path, kind: Kind, frames: int, seconds: float
) -> None:
    print(fuzz_node(kind, SEED, tmp_path / "node", seconds, frames))


@pytest.mark.parametrize("rounds", [1, pytest.param(40, marks=[pytest.mark.long, pytest.mark.timeout(1200)])])
def test_hostile_peers_of_the_replication_port_harm_neither_master_nor_slave(tmp_path: Path, rounds: int) -> None:
    for number in range(rounds):
        print(fuzz_replication(SEED + number, tmp_path / str(number)))


@pytest.mark.parametrize("rounds", [60, pytest.param(1_500, marks=[pytest.mark.long, pytest.mark.timeout(1200)])])
def test_a_start_on_damaged_files_refuses_with_a_sentence_or_serves(tmp_path: Path, rounds: int) -> None:
    print(fuzz_files(SEED, tmp_path, rounds))


@pytest.mark.parametrize("rounds", [300, pytest.param(20_000, marks=[pytest.mark.long, pytest.mark.timeout(1200)])])
def test_whatever_reads_bytes_refuses_them_by_its_own_errors(tmp_path: Path, rounds: int) -> None:
    print(fuzz_decoders(SEED, tmp_path, rounds))


@pytest.mark.parametrize("requests", [50, pytest.param(5_000, marks=[pytest.mark.long, pytest.mark.timeout(600)])])
def test_nonsense_at_the_control_socket_does_not_disturb_the_supervisor(cli: Cli, requests: int) -> None:
    cli.up("--profile", "single")
    before = cli.pids()
    chance = random.Random(SEED)
    socket_file = ClusterHome(cli.home, "rmqctl").socket_file
    for _ in range(requests):
        control_socket.disturb(socket_file, chance)
    assert (cli.pids(), cli.status()["state"]) == (before, "running"), f"seed {SEED}"
    log = (cli.home / "rmqctl" / "logs" / "supervisor.log").read_text()
    assert "Traceback" not in log, f"seed {SEED}"
