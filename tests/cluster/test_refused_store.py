"""A broker that refuses its store: it is not tried again, the others serve, and a person decides.

The refusal is played by a stand-in in front of `run_node`, which looks for a file beside the broker's configuration.
What is told here is told for any store that a broker refuses.
"""

import json
import time
from pathlib import Path

import pytest

from tests.cluster.conftest import Cli, WaitUntil

STAND_IN = """
import logging
import sys

if "rmqctl.supervisor" in sys.orig_argv:
    import rmqnode.run

    real = rmqnode.run.run_node

    def run_node(kind, config_path, accept_loss=False):
        if (config_path.parent / "incomplete").exists() and not accept_loss:
            print("2026-11-30 10:00:00,000 ERROR rmqnode.run the commit log is gone: 40 messages", flush=True)
            return rmqnode.run.EXIT_STORE_INCOMPLETE
        return real(kind, config_path)

    rmqnode.run.run_node = run_node
"""
SENTENCE = "exit code 65 (its store lacks messages): the commit log is gone"


@pytest.fixture
def refusing(cli: Cli, tmp_path: Path) -> Cli:
    """A cluster of two masters, broker-a-0 has a store that it refuses."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "sitecustomize.py").write_text(STAND_IN)
    cli.environment["PYTHONPATH"] = str(tmp_path / "modules")
    cli.up("--profile", "2m-noslave")
    assert cli.run("down").returncode == 0
    (cli.home / "rmqctl" / "broker-a-0" / "incomplete").touch()
    return cli


def state_of(cli: Cli, node: str) -> str:
    return next(each["state"] for each in cli.status()["nodes"] if each["name"] == node)


def test_a_refused_store_keeps_one_node_down_and_a_person_may_give_up_what_it_lacks_for_one_start(
    refusing: Cli, wait_until: WaitUntil
) -> None:
    cli = refusing
    begun = time.monotonic()
    up = cli.run("up")
    assert time.monotonic() - begun < 20, "it is not tried again"
    assert up.returncode == 1
    assert "broker-a-0 did not start; the rest of the cluster serves" in up.stderr
    assert SENTENCE in up.stderr
    assert "rmqctl start broker-a-0 --accept-loss" in up.stderr
    assert state_of(cli, "broker-b-0") == "ready"
    status = cli.run("status")
    assert status.returncode == 1
    assert f"broker-a-0 failed: {SENTENCE}" in status.stdout

    again = cli.run("start", "broker-a-0")
    assert again.returncode == 1
    assert SENTENCE in again.stderr
    unanswered = cli.run("start", "broker-a-0", "--accept-loss")
    assert unanswered.returncode == 2
    assert "add --yes" in unanswered.stderr
    assert state_of(cli, "broker-a-0") == "failed"
    done = cli.run("start", "broker-a-0", "--accept-loss", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    assert "for this one start without the messages" in done.stderr
    assert json.loads(done.stdout)["nodes"][0]["state"] == "ready"

    assert "accept" not in (cli.home / "rmqctl" / "supervisor.json").read_text()
    assert "accept" not in (cli.home / "rmqctl" / "cluster.toml").read_text()
    assert cli.run("kill", "broker-a-0").returncode == 0
    wait_until(lambda: state_of(cli, "broker-a-0") == "failed", "the next start accepts nothing")
    assert cli.run("down").returncode == 0


def test_a_loss_is_accepted_of_brokers_of_ours_only(cli: Cli) -> None:
    cli.up("--profile", "single")
    refused = cli.run("start", "nameserver-0", "--accept-loss", "--yes")
    assert refused.returncode == 2
    assert "nameserver-0 cannot accept a loss" in refused.stderr
    running = cli.run("start", "broker-a-0", "--accept-loss", "--yes")
    assert running.returncode == 0
    assert "broker-a-0 is ready already: --accept-loss changes nothing for it" in running.stderr
    assert cli.run("down").returncode == 0
