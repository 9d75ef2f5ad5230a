"""Apache's own integration tests pass on our nodes: a few in every run, all of 4.5.2 and 4.9.7 with `--long`."""

from pathlib import Path

import pytest

from tests.interop.apache_integration import LEFT_OUT, classes_of, run_tests
from tests.interop.clusters import engines, running_cluster
from tests.interop.toolchains import require_tools

QUICK = [
    "client.producer.batch.BatchSendIT",
    "client.producer.exception.msg.MessageUserPropIT",
    "client.producer.querymsg.QueryMsgByKeyIT",
    "smoke.NormalMessageSendAndRecvIT",
]
WITHOUT_TESTS = {"client.consumer.broadcast.order.OrderMsgBroadCastIT"}
"""Apache's own @Ignore."""


def passed(version: str, engine: str, classes: list[str], home: Path, timeout_seconds: int) -> int:
    """Run the classes against a cluster of the engine; return how many tests there were, all of which passed."""
    with running_cluster(engine, home / "cluster") as cluster:
        results = run_tests(version, cluster, classes, home / "tests", jvms=2, timeout_seconds=timeout_seconds)
    assert sorted(results) == sorted(classes)
    assert {each.name: each.first_failure for each in results.values() if each.failures} == {}
    assert {each.name for each in results.values() if each.tests == 0} <= WITHOUT_TESTS
    return sum(each.tests for each in results.values())


def test_a_few_of_apaches_integration_tests_pass_on_our_nodes(tmp_path: Path) -> None:
    if "embedded" not in engines():
        pytest.skip("RMQCTL_INTEROP_ENGINES leaves our nodes out")
    require_tools("java", "mvn")
    assert passed("4.5.2", "embedded", QUICK, tmp_path, timeout_seconds=200) == 7


@pytest.mark.long
@pytest.mark.timeout(2400)
@pytest.mark.parametrize(("version", "tests"), [("4.5.2", 102), ("4.9.7", 105)])
@pytest.mark.parametrize("engine", engines())
def test_all_of_apaches_integration_tests_pass(engine: str, version: str, tests: int, tmp_path: Path) -> None:
    require_tools("java", "mvn")
    classes = classes_of(version)
    assert not LEFT_OUT.keys() & set(classes)
    assert passed(version, engine, classes, tmp_path, timeout_seconds=2000) == tests
