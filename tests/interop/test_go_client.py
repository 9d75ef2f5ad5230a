"""The official Go client v2 against a running cluster: one program run, one test for each of its cases."""

import json
import subprocess
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.interop.conftest import ClusterOf
from tests.interop.java_client import Line, run_shared
from tests.interop.toolchains import INTEROP, go_program, require_tools

RUN_TIMEOUT_SECONDS = 120
CASES = ["send_sync", "send_async", "send_batch", "push_consumer", "pull_consumer"]
MESSAGES = 40
SEND_OK = 0


@pytest.fixture(scope="session")
def lines(engine: str, cluster_of: ClusterOf, session_folder: Path) -> dict[str, Line]:
    require_tools("go")

    def run_program() -> dict[str, Line]:
        program = go_program("go-client", INTEROP / "go")
        return run_cases(program, cluster_of(engine).nameserver_address)

    return run_shared(session_folder / f"go-{engine}.lines", run_program)


def run_cases(program: Path, nameserver: str) -> dict[str, Line]:
    """Run the program once and return its lines by case."""
    result = subprocess.run(
        [str(program), "-nameserver", nameserver, "-run", f"go-{uuid.uuid4().hex[:6]}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT_SECONDS,
        check=False,
    )
    reason = f"no line: exit code {result.returncode}\n{result.stderr[-3000:]}"
    found = {case: {"case": case, "ok": False, "error": reason} for case in CASES}
    found.update({line["case"]: line for line in map(json.loads, result.stdout.splitlines())})
    return found


def saw(lines: dict[str, Line], case: str) -> dict[str, Any]:
    """What the case saw; a case that could not be carried out fails the test with its reason."""
    if not lines[case]["ok"]:
        pytest.fail(f"{case} with the Go client: {lines[case]['error']}", pytrace=False)
    return dict(lines[case]["saw"])


@pytest.mark.parametrize("case", ["send_sync", "pull_consumer"])
def test_sent_message_is_pulled_from_where_the_answer_says(lines: dict[str, Line], case: str) -> None:
    found = saw(lines, case)
    assert len(found["sent"]) == MESSAGES
    assert {sent["status"] for sent in found["sent"]} == {SEND_OK}
    assert len({sent["msg_id"] for sent in found["sent"]}) == MESSAGES
    assert sum(map(len, found["stored"].values())) == MESSAGES
    for sent in found["sent"]:
        assert found["stored"][sent["queue"]][sent["offset"]] == sent["body"]


def test_asynchronous_sends_are_all_answered(lines: dict[str, Line]) -> None:
    found = saw(lines, "send_async")
    assert sorted(sent["body"] for sent in found["sent"]) == sorted(f"async-{i}" for i in range(MESSAGES))
    assert {sent["status"] for sent in found["sent"]} == {SEND_OK}
    assert len({(sent["queue"], sent["offset"]) for sent in found["sent"]}) == MESSAGES


def test_batch_is_stored_in_order(lines: dict[str, Line]) -> None:
    found = saw(lines, "send_batch")
    first = found["result"]["offset"]
    assert found["result"]["status"] == SEND_OK
    assert found["stored"][found["result"]["queue"]][first:] == found["bodies"]


def test_push_consumer_gets_every_message_once(lines: dict[str, Line]) -> None:
    found = saw(lines, "push_consumer")
    assert Counter(found["received"]) == Counter(sent["body"] for sent in found["sent"])
    assert set(found["keys"]) == {"订单-7"}
