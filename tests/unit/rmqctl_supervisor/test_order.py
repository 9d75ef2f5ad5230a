"""Nameservers start first and stop last; slaves stop before their masters."""

from pathlib import Path

from rmqctl.profile.java_settings import EngineOptions
from rmqctl.profile.model import Node
from rmqctl.profile.planning import UpOptions, plan_cluster
from rmqctl.supervisor.nodes.order import start_order, stop_order


def nodes(tmp_path: Path, profile: str, engine: str = "embedded") -> tuple[Node, ...]:
    options = UpOptions(
        home=tmp_path, profile=profile, broker_ip="127.0.0.1", engine_options=EngineOptions(engine=engine)
    )
    return plan_cluster(options).model.nodes


def test_nameservers_start_before_all_brokers(tmp_path: Path) -> None:
    assert start_order(nodes(tmp_path, "2m-2s")) == [
        ["nameserver-0", "nameserver-1"],
        ["broker-a-0", "broker-b-0", "broker-a-1", "broker-b-1"],
    ]


def test_slaves_of_apaches_start_after_their_masters(tmp_path: Path) -> None:
    assert start_order(nodes(tmp_path, "2m-2s", "apache")) == [
        ["nameserver-0", "nameserver-1"],
        ["broker-a-0", "broker-b-0"],
        ["broker-a-1", "broker-b-1"],
    ]


def test_slaves_stop_before_masters_and_masters_before_nameservers(tmp_path: Path) -> None:
    assert stop_order(nodes(tmp_path, "2m-2s")) == [
        ["broker-a-1", "broker-b-1"],
        ["broker-a-0", "broker-b-0"],
        ["nameserver-0", "nameserver-1"],
    ]


def test_groups_without_nodes_are_left_out(tmp_path: Path) -> None:
    assert stop_order(nodes(tmp_path, "single")) == [["broker-a-0"], ["nameserver-0"]]
