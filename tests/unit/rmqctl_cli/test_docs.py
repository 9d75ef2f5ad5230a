"""docs/profiles.md and docs/cli.md say what the code does."""

import re
from pathlib import Path

import pytest

from rmqctl.cli.app import COMMANDS, GroupEntry
from rmqctl.errors import ExitCode
from rmqctl.profile.library import profile_names
from rmqctl.profile.planning import UpOptions, plan_cluster
from rmqctl.supervisor.messages import NodeReport
from rmqctl.supervisor.node_state import NodeStatus

DOCS = Path(__file__).parents[3] / "docs"
PROFILES = (DOCS / "profiles.md").read_text()
CLI = (DOCS / "cli.md").read_text()


def test_documented_profile_resolves_as_documented(tmp_path: Path) -> None:
    found = re.search(r"```toml\n(.*?)```", PROFILES, re.DOTALL)
    assert found is not None
    profile = tmp_path / "orders.toml"
    profile.write_text(found[1])
    model = plan_cluster(UpOptions(profile=str(profile), home=tmp_path, broker_ip="127.0.0.1")).model
    assert (model.name, model.cluster_name) == ("orders", "OrdersCluster")
    said = {
        node.name: {key: node.properties.get(key) for key in node.sources if node.sources[key] != "rmqctl"}
        for node in model.nodes
    }
    assert said == {
        "nameserver-0": {"orderMessageEnable": "true"},
        "nameserver-1": {"orderMessageEnable": "true"},
        "broker-a-0": {"fileReservedTime": "24", "flushDiskType": "SYNC_FLUSH"},
        "broker-b-0": {"fileReservedTime": "24", "flushDiskType": "SYNC_FLUSH", "brokerPermission": "4"},
        "broker-a-1": {"fileReservedTime": "24"},
    }


@pytest.mark.parametrize("name", profile_names())
def test_profile_is_documented(name: str) -> None:
    assert f"| `{name}` |" in PROFILES


@pytest.mark.parametrize("name", COMMANDS)
def test_command_is_documented(name: str) -> None:
    entry = COMMANDS[name]
    assert f"`rmqctl {name}" in CLI
    for verb in entry.commands if isinstance(entry, GroupEntry) else ():
        assert re.search(rf"^\| `rmqctl {name} .*\b{verb}\b", CLI, re.MULTILINE)


@pytest.mark.parametrize("code", ExitCode)
def test_exit_code_is_documented(code: ExitCode) -> None:
    assert re.search(rf"^\| {code.value} \|", CLI, re.MULTILINE)


@pytest.mark.parametrize("word", [*NodeStatus, *NodeReport.__struct_fields__])
def test_key_or_state_of_a_node_is_documented(word: str) -> None:
    assert f"`{word}`" in CLI
