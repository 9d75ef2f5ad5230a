"""Fuzzing for as long as somebody wants: `scripts/fuzz [TARGET…] [--minutes M] [--seed N]`.

Each target runs for its share of the time with seeds that count up; the first finding ends the run with its seed.
"""

import argparse
import logging
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

import trio

from tests.fuzz import decoders, replication, store_files
from tests.fuzz.campaign import Campaign
from tests.fuzz.node_process import ANONYMOUS_BYTES_MAX, Kind, running_node

_FRAMES_A_SEED = 200_000


def fuzz_node(kind: Kind, seed: int, folder: Path, seconds: float, frames: int = _FRAMES_A_SEED) -> str:
    """Flood a fresh node, stop it and start it again on what it kept; returns a line for the report."""
    with running_node(kind, folder) as node:
        report = trio.run(Campaign(node, seed, frames, seconds, folder.parent / "crashes").run)
        memory = node.anonymous_bytes_max
        assert memory < ANONYMOUS_BYTES_MAX, f"{memory >> 20} MiB of anonymous memory; {report}"
        exit_code = node.stop()
        assert exit_code == 0, f"exit code {exit_code}; {report}"
        assert not (problems := node.problems()), f"{report}\n" + "\n".join(problems)
    with running_node(kind, folder) as again:
        assert again.stop() == 0, f"the start after it failed; {report}"
    return f"{kind}: {report}; {memory >> 20} MiB"


def fuzz_replication(seed: int, folder: Path) -> str:
    """Fake slaves at a master, and a fake master for a slave that must start again afterwards."""
    chance = Random(seed)
    with running_node("broker", folder / "master") as master:
        trio.run(replication.fake_slaves, master, chance, 100)
        assert master.stop() == 0
        assert not master.problems()
    log = replication.hostile_log(chance, replication.log_of_a_master(folder / "source"))
    trio.run(_follow_fake_master, folder / "slave", log, chance)
    return f"replication: seed {seed}"


async def _follow_fake_master(folder: Path, log: bytes, chance: Random) -> None:
    async with replication.fake_master(log, chance) as (port, ended):
        lines = ("brokerId=1", "brokerRole=SLAVE", f"haMasterAddress=127.0.0.1:{port}")
        with running_node("broker", folder, *lines) as slave:
            with trio.fail_after(60):
                await ended.wait()
            slave.look()
            assert slave.stop() == 0, slave.tail()
            assert not slave.problems(), slave.problems()
    with running_node("broker", folder, "brokerId=1", "brokerRole=SLAVE") as again:
        assert again.stop() == 0, again.tail()


def fuzz_files(seed: int, folder: Path, rounds: int = 100) -> str:
    """Damage the files that a broker reads at its start."""
    template = folder / "template"
    store_files.make_store(template)
    for number in range(rounds):
        chance_seed = seed * rounds + number
        try:
            store_files.start_on_damage(template, folder / "store", Random(chance_seed))
        except Exception as error:
            raise AssertionError(f"files: seed {chance_seed}: {error!r}") from error
    return f"files: {rounds} damaged stores"


def fuzz_decoders(seed: int, folder: Path, rounds: int = 2_000) -> str:
    """Damaged bytes for everything that reads them."""
    for reader in decoders.readers(folder):
        decoders.damage(reader, Random(f"{seed}-{reader.name}"), rounds)
    return f"decoders: seed {seed}"


def _targets(seconds: float) -> dict[str, Callable[[int, Path], str]]:
    return {
        "broker": partial(fuzz_node, "broker", seconds=seconds),
        "nameserver": partial(fuzz_node, "nameserver", seconds=seconds),
        "replication": fuzz_replication,
        "files": fuzz_files,
        "decoders": fuzz_decoders,
    }


def _with_atheris(seconds: int) -> None:
    """Each reader in a process of its own, because atheris ends its process."""
    with tempfile.TemporaryDirectory() as folder:
        for reader in decoders.readers(Path(folder)):
            child = os.fork()
            if not child:
                decoders.with_atheris(reader, seconds)
            _, status = os.waitpid(child, 0)
            if status:
                sys.exit(f"atheris found something in {reader.name!r}: its output above has the bytes")


def main() -> None:
    """Run the chosen targets in turn until the time is used up."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(_targets(0))}; default: all")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--atheris", action="store_true", help="hand the decoders to atheris (extra `fuzz`)")
    arguments = parser.parse_args()
    seconds = arguments.minutes * 60
    targets = _targets(min(120.0, seconds))
    if unknown := set(arguments.targets) - set(targets):
        parser.error(f"there is no target {', '.join(sorted(unknown))}")
    if arguments.atheris:
        return _with_atheris(int(seconds / 20) or 1)
    logging.disable(logging.CRITICAL)
    chosen = arguments.targets or list(targets)
    deadline, seed = time.monotonic() + seconds, arguments.seed
    while time.monotonic() < deadline:
        for name in chosen:
            folder = Path(tempfile.mkdtemp(prefix="rmqctl-fuzz-"))
            try:
                print(targets[name](seed, folder / "node"), flush=True)
            except AssertionError as finding:
                sys.exit(f"{name}, seed {seed}: {finding}\nits files: {folder}")
            shutil.rmtree(folder)
        seed += 1


if __name__ == "__main__":
    main()
