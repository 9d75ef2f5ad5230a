"""Which cluster is meant: never guessed."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from rmqctl.errors import ExitCode, RmqctlError, UsageError
from rmqctl.home import ClusterHome
from rmqctl.profile.planning import UpOptions, plan_cluster
from rmqctl.profile.stored import save_cluster
from rmqctl.target import Target, choose_local_home, parse_nameservers, resolve_target


def store(root: Path, name: str, offset: int) -> ClusterHome:
    plan = plan_cluster(UpOptions(home=root, cluster=name, broker_ip="127.0.0.1", port_offset=offset))
    save_cluster(plan.home, plan.stored)
    return plan.home


@contextmanager
def supervised(home: ClusterHome) -> Iterator[None]:
    """Hold the lock as a supervisor does."""
    lock = os.open(home.lock_file, os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(lock)


def target(
    root: Path, cluster: str | None = None, nameserver: str | None = None, namesrv_addr: str | None = None
) -> Target:
    environment = {"NAMESRV_ADDR": namesrv_addr} if namesrv_addr else {}
    return resolve_target(cluster=cluster, nameserver=nameserver, home=root, environment=environment)


@pytest.fixture
def two_running(tmp_path: Path) -> Iterator[Path]:
    with ExitStack() as stack:
        for name, offset in (("one", 0), ("two", 100)):
            stack.enter_context(supervised(store(tmp_path, name, offset)))
        yield tmp_path


def test_two_running_and_none_named_is_an_error_that_lists_them(two_running: Path) -> None:
    with pytest.raises(UsageError) as caught:
        target(two_running)
    assert caught.value.why == "these run: one, two"


def test_explicit_cluster_beats_the_environment_variable(two_running: Path) -> None:
    found = target(two_running, cluster="two", namesrv_addr="10.0.0.1:9876")
    assert found.nameservers == ("127.0.0.1:9976",)
    assert found.cluster == "two"


def test_explicit_nameserver_beats_everything_else(two_running: Path) -> None:
    found = target(two_running, nameserver="10.0.0.1:9876,10.0.0.2:9876", namesrv_addr="10.0.0.3:9876")
    assert found.nameservers == ("10.0.0.1:9876", "10.0.0.2:9876")
    assert found.cluster is None


def test_environment_variable_beats_the_only_running_cluster(tmp_path: Path) -> None:
    with supervised(store(tmp_path, "one", 0)):
        assert target(tmp_path, namesrv_addr="10.0.0.1:9876").reason == "NAMESRV_ADDR"
        assert target(tmp_path).cluster == "one"


def test_cluster_that_does_not_run_is_not_meant(tmp_path: Path) -> None:
    store(tmp_path, "one", 0)
    with pytest.raises(RmqctlError, match="no cluster is running") as caught:
        target(tmp_path)
    assert caught.value.exit_code is ExitCode.UNREACHABLE
    with pytest.raises(RmqctlError, match="cluster one is not running"):
        target(tmp_path, cluster="one")


def test_cluster_and_nameserver_together_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="both given"):
        target(tmp_path, cluster="one", nameserver="10.0.0.1:9876")


@pytest.mark.parametrize("text", ["10.0.0.1", ":9876", "10.0.0.1:", "10.0.0.1:x", "10.0.0.1:0", "10.0.0.1:65536", ";"])
def test_text_that_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--nameserver"):
        parse_nameservers(text, "--nameserver")


def test_local_command_means_the_only_running_cluster_or_the_default(tmp_path: Path) -> None:
    assert choose_local_home(None, tmp_path, "rmqctl").name == "rmqctl"
    with supervised(store(tmp_path, "one", 0)):
        assert choose_local_home(None, tmp_path, "rmqctl").name == "one"
        assert choose_local_home("other", tmp_path, "rmqctl").name == "other"


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "x" * 65, "with space"])
def test_cluster_name_that_is_no_folder_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="is not allowed"):
        ClusterHome(tmp_path, name)


def test_socket_of_a_home_with_a_long_path_lies_in_a_short_folder(tmp_path: Path) -> None:
    assert ClusterHome(Path("/short"), "a").socket_file == Path("/short/a/supervisor.sock")
    long = ClusterHome(tmp_path / ("x" * 120), "a").socket_file
    assert len(os.fsencode(long)) <= 100
    assert long != ClusterHome(tmp_path / ("y" * 120), "a").socket_file


def test_clusters_of_system_units_are_found_beside_ones_own_unless_a_home_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, system = tmp_path / "own" / "rmqctl", tmp_path / "system"
    monkeypatch.setattr("rmqctl.home.SYSTEM_HOMES", system)
    monkeypatch.setattr("platformdirs.user_data_dir", lambda *_, **__: str(own))
    monkeypatch.delenv("RMQCTL_HOME", raising=False)
    mine, units = store(own, "rmqctl", 0), store(system, "rmqctl", 100)
    assert choose_local_home(None, None, "rmqctl").folder == mine.folder, "one's own comes first"
    with supervised(units):
        assert choose_local_home(None, None, "rmqctl").folder == units.folder
        assert choose_local_home("rmqctl", None, "rmqctl").folder == units.folder
        assert choose_local_home(None, own, "rmqctl").folder == mine.folder
        assert resolve_target(cluster=None, nameserver=None, home=None, environment={}).nameservers == (
            "127.0.0.1:9976",
        )
        with supervised(mine), pytest.raises(UsageError) as caught:
            choose_local_home(None, None, "rmqctl")
    assert caught.value.cure == f"say which one: --home {own} --cluster rmqctl"
