"""The examples: each runs as a user would run it, twice on one cluster, and says what it should."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
EXAMPLES = CHECKOUT / "examples"
TIMEOUT_SECONDS = 120
STEPS = ("created", "paid", "shipped")

SAYS = {
    "send_sync": [rf"order {number}: SEND_OK, broker-[ab] queue \d" for number in range(5)],
    "send_async": ["1000 messages stored", "one more: SEND_OK"],
    "send_oneway": ["100 measurements on their way"],
    "ordered_global": [f"entry {number}" for number in range(10)],
    "ordered_partial": [f"order {order} {step}" for order in range(3) for step in STEPS],
    "delayed": [
        r"reminder after 1 s: came after [1-9]\d*\.\d s",
        r"reminder after 5 s: came after ([5-9]|\d\d+)\.\d s",
    ],
    "transaction": ["order 1: booked", "order 3: booked"],
    "request_reply": ["apple: 3", "pear: 4", "plum: 5"],
    "push": [f"order {number} {'paid' if number % 2 else 'refunded'}" for number in range(10)],
    "pull": [rf"message {number}: queue \d, offset \d+" for number in range(10)],
    "sql_filter": ["EU 25", "EU 35", "EU 45"],
}
"""What the lines of each example match, sorted where their order is free."""

IN_ORDER = ("ordered_global", "delayed")


def run(name: str, nameserver: str) -> list[str]:
    """The lines that an example prints."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{name}.py")],
        env={**os.environ, "NAMESRV_ADDR": nameserver},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.parametrize("name", SAYS)
def test_example_does_what_it_says_as_often_as_it_is_run(name: str, shared_cluster: Any) -> None:
    nameserver = shared_cluster.status()["nodes"][0]["address"]
    for _ in range(2):
        lines = run(name, nameserver)
        for said, pattern in zip(lines if name in IN_ORDER else sorted(lines), SAYS[name], strict=True):
            assert re.fullmatch(pattern, said)
        if name == "ordered_partial":
            for order in range(3):
                own = [line for line in lines if line.startswith(f"order {order} ")]
                assert own == [f"order {order} {step}" for step in STEPS]


def test_every_example_is_run_here_and_named_in_the_readme() -> None:
    names = {path.stem for path in EXAMPLES.glob("*.py")}
    assert names == SAYS.keys()
    readme = (CHECKOUT / "README.md").read_text()
    assert {name for name in names if f"examples/{name}.py" not in readme} == set()
