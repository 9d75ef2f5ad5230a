"""What has to happen to a running cluster; ports of new nodes; other numbers of nodes."""

import itertools
from pathlib import Path

import pytest

from rmqctl.errors import UsageError
from rmqctl.home import ClusterHome
from rmqctl.profile.change_plan import describe_plan, plan_change
from rmqctl.profile.library import load_profile
from rmqctl.profile.planning import ClusterPlan, UpOptions, plan_cluster, plan_running, plan_scaled
from rmqctl.profile.ports import stored_or_planned
from rmqctl.profile.scaling import Scale, scaled


def plan(tmp_path: Path, profile: str, *set_options: str) -> ClusterPlan:
    return plan_cluster(
        UpOptions(profile=profile, home=tmp_path, broker_ip="127.0.0.1", set_options=list(set_options) or None)
    )


def test_same_cluster_needs_nothing(tmp_path: Path) -> None:
    change = plan_change(plan(tmp_path, "2m-2s").model, plan(tmp_path, "2m-2s").model)
    assert change.is_empty
    assert len(change.untouched) == 6


def test_difference_is_a_list_of_steps_with_reasons(tmp_path: Path) -> None:
    running = plan(tmp_path, "1m-1s").model
    wanted = plan(tmp_path, "2m-noslave", "broker-a-0:fileReservedTime=24").model
    change = plan_change(running, wanted)
    assert (change.add, change.remove) == (["nameserver-1", "broker-b-0"], ["broker-a-1"])
    (restart,) = change.restart
    assert restart.node == "broker-a-0"
    assert "fileReservedTime 48 → 24" in restart.because
    assert any(reason.startswith("namesrvAddr") for reason in restart.because)
    lines = describe_plan(change, wanted)
    assert "add      broker-b-0: master on listen 10931, vip 10929, ha 10932" in lines
    assert "remove   broker-a-1: it stops, its store is kept" in lines
    assert lines[-1] == "as it is nameserver-0"


def test_new_node_gets_a_free_place_and_old_ones_keep_theirs(tmp_path: Path) -> None:
    home = ClusterHome(tmp_path, "rmqctl")
    running = plan(tmp_path, "2m-noslave").stored
    more_slaves = plan_scaled(home, running, Scale(slaves=2)).stored
    assert more_slaves.ports["broker-a-2"] == 10951
    more_brokers = plan_scaled(home, more_slaves, Scale(brokers=3)).stored
    assert more_slaves.ports.items() <= more_brokers.ports.items()
    listen = sorted(port for name, port in more_brokers.ports.items() if name.startswith("broker"))
    assert all(after - before >= 10 for before, after in itertools.pairwise(listen))
    assert stored_or_planned({"nameserver-0": 9876, "nameserver-1": 9877}, {"nameserver-0": 9877}) == {
        "nameserver-0": 9877, "nameserver-1": 9878,
    }  # fmt: skip


def test_scaled_profile_keeps_what_it_says() -> None:
    named = load_profile("2m-2s")
    bigger = scaled(named, Scale(brokers=4, nameservers=3))
    assert [(broker.name, broker.slaves) for broker in bigger.profile.brokers] == [
        ("broker-a", 1), ("broker-b", 1), ("broker-c", 1), ("broker-d", 1),
    ]  # fmt: skip
    assert bigger.profile.nameservers.count == 3
    assert scaled(bigger, Scale(brokers=1)).source == "2m-2s (scaled)"
    assert len(scaled(named, Scale(brokers=40)).profile.brokers) == 40
    with pytest.raises(UsageError, match="what to scale"):
        scaled(named, Scale())


def test_running_cluster_keeps_address_and_settings_unless_they_are_given(tmp_path: Path) -> None:
    running = plan(tmp_path, "1m-1s", "fileReservedTime=24").stored
    changed = plan_running(UpOptions(home=tmp_path, set_options=["fileReservedTime=12"]), running)
    assert changed.model.broker_ip == "127.0.0.1"
    assert {node.properties["fileReservedTime"] for node in changed.model.brokers} == {"12"}
    grown = plan_scaled(ClusterHome(tmp_path, "rmqctl"), running, Scale(brokers=2))
    assert {node.properties["fileReservedTime"] for node in grown.model.brokers} == {"24"}
