"""Which engine each node gets, and what a Java node runs with: command line, node, group, cluster."""

from pathlib import Path

import pytest

from rmqctl.errors import UsageError
from rmqctl.profile.changes import describe_changes
from rmqctl.profile.java_settings import EngineOptions
from rmqctl.profile.planning import ClusterPlan, UpOptions, plan_cluster
from rmqctl.profile.stored import load_cluster, save_cluster

PROFILE = """
[cluster]
engine = "embedded"

[apache]
version = "4.9.7"
heap = "256m"
jvm_options = ["-Xss512k"]

[nameservers]
count = 2

[[brokers]]
name = "broker-a"
slaves = 1
engine = "apache"

[[brokers]]
name = "broker-b"
slaves = 1

[nodes.broker-a-0]
heap = "1g"

[nodes.broker-b-1]
engine = "apache"

[nodes.broker-a-1]
engine = "embedded"
"""


def planned(tmp_path: Path, text: str | None = PROFILE, **options: str) -> ClusterPlan:
    profile = None
    if text is not None:
        (tmp_path / "mine.toml").write_text(text)
        profile = str(tmp_path / "mine.toml")
    return plan_cluster(
        UpOptions(home=tmp_path, profile=profile, broker_ip="127.0.0.1", engine_options=EngineOptions(**options))
    )


def test_node_beats_group_and_group_beats_cluster(tmp_path: Path) -> None:
    model = planned(tmp_path).model
    assert {node.name: node.engine for node in model.nodes} == {
        "nameserver-0": "embedded",
        "nameserver-1": "embedded",
        "broker-a-0": "apache",
        "broker-b-0": "embedded",
        "broker-a-1": "embedded",
        "broker-b-1": "apache",
    }
    assert model.engine == "mixed"


def test_java_nodes_have_the_settings_of_the_section_and_their_own(tmp_path: Path) -> None:
    model = planned(tmp_path).model
    java = {node.name: node.java for node in model.nodes if node.java is not None}
    assert {name: (each.version, each.heap_mib, each.direct_memory_mib) for name, each in java.items()} == {
        "broker-a-0": ("4.9.7", 1024, 128),
        "broker-b-1": ("4.9.7", 256, 128),
    }
    assert java["broker-a-0"].jvm_options == ("-Xss512k",)


def test_engine_and_version_of_the_command_line_beat_the_profile(tmp_path: Path) -> None:
    model = planned(tmp_path, engine="apache", version="5.3.3").model
    assert model.engine == "apache"
    assert {node.java.version for node in model.nodes if node.java is not None} == {"5.3.3"}
    assert planned(tmp_path, engine="embedded").model.engine == "embedded"


def test_engine_options_are_kept_and_changed_one_by_one(tmp_path: Path) -> None:
    first = planned(tmp_path, engine="apache", version="4.9.7")
    save_cluster(first.home, first.stored)
    again = planned(tmp_path, None)
    assert describe_changes(load_cluster(first.home).model, again.model) == []
    later = planned(tmp_path, None, version="5.3.3")
    assert later.model.engine == "apache"
    assert "nameserver-0: RocketMQ 4.9.7, heap 256 MiB, direct memory 128 MiB, -Xss512k → " in "\n".join(
        describe_changes(first.model, later.model)
    )
    back = planned(tmp_path, None, engine="embedded")
    assert describe_changes(first.model, back.model)[:2] == [
        "engine: apache → embedded",
        "nameserver-0: engine apache → embedded",
    ]
    assert planned(tmp_path, '[[brokers]]\nname = "broker-a"\n').stored.engine_options.engine == "apache"
    assert plan_cluster(UpOptions(home=tmp_path, profile="single")).model.engine == "embedded"


def test_key_that_only_apaches_nodes_implement_is_refused_for_ours_alone(tmp_path: Path) -> None:
    text = PROFILE + "\n[properties.nodes.broker-a-0]\naclEnable = true\n"
    broker = planned(tmp_path, text).model.node("broker-a-0")
    assert broker is not None
    assert broker.properties["aclEnable"] == "true"
    with pytest.raises(UsageError, match="aclEnable=true is refused"):
        planned(tmp_path, text, engine="embedded")


def test_value_that_cannot_be_is_refused_for_java_nodes_too(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="fileReservedTime must be"):
        planned(tmp_path, PROFILE + '\n[properties.nodes.broker-a-0]\nfileReservedTime = "2 days"\n')


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"engine": "jav"}, "there is no engine 'jav'"),
        ({"engine": "apache", "version": "latest"}, "'latest' is not a version of RocketMQ"),
        ({"engine": "embedded", "version": "4.9.7"}, "--version would have no effect"),
        ({"engine": "embedded", "rocketmq_home": "/opt/rocketmq"}, "--rocketmq-home would have no effect"),
        ({"engine": "apache", "version": "4.9.7", "rocketmq_home": "/opt"}, "--version and --rocketmq-home"),
        ({"engine": "apache", "rocketmq_home": "/nowhere"}, "/nowhere is not an unpacked distribution"),
    ],
)
def test_option_that_cannot_be_is_refused(tmp_path: Path, options: dict[str, str], what: str) -> None:
    with pytest.raises(UsageError) as caught:
        planned(tmp_path, **options)
    assert str(caught.value).startswith(what)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[nodes.broker-a-0]\nengin = 1\n", "nodes.broker-a-0.engin: unknown key"),
        ('[nodes.broker-a-9]\nengine = "apache"\n', "nodes.broker-a-9: this cluster has no node 'broker-a-9'"),
        ('[nodes.broker-a-0]\nheap = "much"\n', "nodes.broker-a-0.heap: expected a size such as '128m' or '2g'"),
        ('[apache]\ndirect_memory = "0m"\n', "apache.direct_memory: expected a size"),
    ],
)
def test_section_that_cannot_be_is_refused_with_its_place(tmp_path: Path, text: str, what: str) -> None:
    with pytest.raises(UsageError, match=r"mine\.toml: ") as caught:
        planned(tmp_path, '[[brokers]]\nname = "broker-a"\n' + text)
    assert what in caught.value.what


def test_distribution_says_which_version_it_is(tmp_path: Path) -> None:
    (tmp_path / "unpacked" / "lib").mkdir(parents=True)
    (tmp_path / "unpacked" / "lib" / "rocketmq-broker-5.1.4.jar").touch()
    model = planned(tmp_path, engine="apache", rocketmq_home=str(tmp_path / "unpacked")).model
    assert {node.java.version for node in model.nodes if node.java is not None} == {"5.1.4"}
    assert model.brokers[0].properties["bindAddress"] == "127.0.0.1"
