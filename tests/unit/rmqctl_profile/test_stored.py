"""cluster.toml keeps what a cluster is, and `up` without options repeats it."""

from pathlib import Path

import pytest

from rmqctl.errors import RmqctlError
from rmqctl.home import ClusterHome
from rmqctl.profile.changes import describe_changes
from rmqctl.profile.planning import UpOptions, plan_cluster
from rmqctl.profile.stored import load_cluster, save_cluster


def options(home: Path, **more: object) -> UpOptions:
    return UpOptions(**{"home": home, "broker_ip": "127.0.0.1", **more})  # type: ignore[arg-type]


def brought_up(home: Path, **more: object) -> ClusterHome:
    plan = plan_cluster(options(home, **more))
    save_cluster(plan.home, plan.stored)
    return plan.home


def test_stored_cluster_is_read_back_as_it_was(tmp_path: Path) -> None:
    plan = plan_cluster(options(tmp_path, profile="2m-2s", port_offset=200, set_options=["masters:brokerPermission=4"]))
    save_cluster(plan.home, plan.stored)
    loaded = load_cluster(plan.home)
    assert describe_changes(loaded.model, plan.model) == []
    assert [node.ports for node in loaded.model.nodes] == [node.ports for node in plan.model.nodes]
    assert loaded.profile == plan.stored.profile


def test_up_without_options_repeats_the_cluster_even_when_its_profile_file_is_gone(tmp_path: Path) -> None:
    profile = tmp_path / "mine.toml"
    profile.write_text('[cluster]\nname = "rmqctl"\n[[brokers]]\nname = "solo"\nslaves = 1\n')
    home = brought_up(tmp_path, profile=str(profile), port_offset=300, set_options=["solo-0:brokerPermission=4"])
    profile.unlink()
    again = plan_cluster(UpOptions(home=tmp_path))
    assert describe_changes(load_cluster(home).model, again.model) == []
    assert again.model.broker_ip == "127.0.0.1", "an address that was given stays"


def test_settings_survive_the_same_profile_and_go_with_another(tmp_path: Path) -> None:
    brought_up(tmp_path, profile="1m-1s", set_options=["masters:brokerPermission=4"])
    assert plan_cluster(options(tmp_path, profile="1m-1s")).stored.set_options == ["masters:brokerPermission=4"]
    assert plan_cluster(options(tmp_path, profile="2m-2s")).stored.set_options == []


def test_port_offset_survives_another_profile(tmp_path: Path) -> None:
    brought_up(tmp_path, profile="single", port_offset=500)
    assert plan_cluster(options(tmp_path, profile="2m-2s")).model.nameservers[0].listen_port == 10376


def test_changes_are_told_in_words(tmp_path: Path) -> None:
    before = plan_cluster(options(tmp_path, profile="single")).model
    after = plan_cluster(
        options(tmp_path, profile="2m-noslave", broker_ip="127.0.0.9", set_options=["broker-a-0:brokerPermission=4"])
    ).model
    assert describe_changes(before, after) == [
        "profile: single → 2m-noslave",
        "address for clients (brokerIP1): 127.0.0.1 → 127.0.0.9 (given with --broker-ip)",
        "nameserver-1: added",
        "broker-b-0: added",
        "broker-a-0: brokerPermission (default) → 4",
    ]


def test_changed_port_is_told_for_the_node(tmp_path: Path) -> None:
    before = plan_cluster(options(tmp_path, profile="single")).model
    after = plan_cluster(options(tmp_path, profile="single", set_options=["broker-a-0:listenPort=12000"])).model
    assert describe_changes(before, after) == ["broker-a-0: listenPort 10911 → 12000"]


@pytest.mark.parametrize("content", ["format = 1\n", "= broken", 'format = 2\nmodel = "x"\n'])
def test_damaged_cluster_file_is_an_error_with_a_cure(tmp_path: Path, content: str) -> None:
    home = brought_up(tmp_path)
    home.cluster_file.write_text(content)
    with pytest.raises(RmqctlError, match="cannot be used") as caught:
        load_cluster(home)
    assert caught.value.cure
