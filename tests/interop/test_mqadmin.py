"""Apache's mqadmin, command by command, against a master and its slave; judged by Apache's own nodes of its version.

All commands run once on a cluster of an engine. What they wrote has to be the same on both, line by line, except where
`DIFFERENT` says why not; and a few outputs are looked at more closely on ours.
"""

import json
import re
from pathlib import Path

import pytest

from tests.cluster.java import require_apache
from tests.interop.clusters import PATIENCE, engines, rmqctl
from tests.interop.mqadmin import Written, running_mqadmin
from tests.interop.mqadmin_commands import GROUP, MEMBER, MESSAGES, PRODUCERS, TOPIC, Addresses, run_commands
from tests.interop.toolchains import require_tools
from tests.ports import free_port_offset

LOOKED_AT = "looked at below"
DIFFERENT = {
    **dict.fromkeys(("statsAll", "consumerProgress of all"), "ours counts up to now, Apache's up to 10 s ago"),
    "clusterList more": "how often a consumer reads again differs from run to run",
    "printMsg of moved offsets": "a pull behind the end is sent to the end, as since 4.9",
    "consumerStatus with stacks": "threads of the client",
    **dict.fromkeys(
        ("brokerStatus of the master", "brokerStatus of the slave", "brokerStatus of the cluster"), LOOKED_AT
    ),
    **dict.fromkeys(("getBrokerConfig", "getBrokerConfig after the update"), LOOKED_AT),
    **dict.fromkeys(("getNamesrvConfig", "getNamesrvConfig after the update"), LOOKED_AT),
}
DIFFERENT_FROM = {
    "4.5.2": {
        "queryCq": "4.5.2 answers nothing, see the judgement of 5.3.3",
        "updateAclConfig": LOOKED_AT,
        "deleteAccessConfig": LOOKED_AT,
        "updateGlobalWhiteAddr": LOOKED_AT,
        "clusterAclConfigVersion": LOOKED_AT,
    },
    "5.3.3": {
        "clusterList": "the slave of 5.3.3 has another timer",
        "resetOffsetByTime": "brokers of 5.3.3 find the end for a time behind the last message",
        "resetOffsetByTime of nobody": "brokers of 5.3.3 reset offsets themselves",
        "consumerProgress after the reset": "brokers of 5.3.3 count what is on its way to consumers",
        "skipAccumulatedMessage": "brokers of 5.3.3 reset offsets themselves",
        "cloneGroupOffset": "brokers of 5.3.3 want the group to exist",
        "consumerStatus": "clients of 5.3.3 tell more of themselves, and in another order",
    },
}


class Run:
    """What the commands wrote on the cluster of an engine."""

    def __init__(self, version: str, engine: str, seen: dict[str, Written], shapes: dict[str, list[str]]) -> None:
        self.version = version
        self.engine = engine
        self.seen = seen
        self.shapes = shapes

    def rows(self, name: str) -> list[list[str]]:
        """The words of each line of an output without its heading."""
        return [line.split() for line in self.seen[name].out.splitlines() if line.strip() and not line.startswith("#")]

    def table(self, name: str, separator: str) -> dict[str, str]:
        """Key and value of each line that has both."""
        pairs = (line.split(separator, 1) for line in self.seen[name].out.splitlines() if separator in line)
        return {key.strip(): value.strip() for key, value in pairs if key.strip()}


def run_on(engine: str, version: str, home: Path) -> Run:
    """Bring a master and its slave up, run all commands of a version, and take both down."""
    plan = ["--profile", "1m-1s", "--engine", engine]
    if engine == "apache":
        require_apache(version)
        plan += [
            "--version",
            version,
            *(word for pair in PATIENCE.items() for word in ("--set", "brokers:{}={}".format(*pair))),
        ]
    where = ("--home", str(home / "cluster"))
    place = ("--broker-ip", "127.0.0.1", "--port-offset", str(free_port_offset()))
    up = json.loads(rmqctl("up", *where, *plan, *place, "--json"))
    try:
        nodes = {node["name"]: node["address"] for node in up["nodes"]}
        at = Addresses(up["nameserver"], nodes["broker-a-0"], nodes["broker-a-1"])
        names = {at.nameserver: "<nameserver>", at.master: "<master>", at.slave: "<slave>"}
        with running_mqadmin(version, home / "tool", at.nameserver, names) as tool:
            seen = run_commands(tool, at, version)
            return Run(version, engine, seen, {name: tool.shape(written.all) for name, written in seen.items()})
    finally:
        rmqctl("down", *where)


@pytest.fixture(scope="module", params=["4.5.2", "5.3.3"])
def ours(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """What the tools of a version saw on our nodes."""
    require_tools("java", "mvn")
    if "embedded" not in engines():
        pytest.skip("RMQCTL_INTEROP_ENGINES leaves our nodes out")
    return run_on("embedded", request.param, tmp_path_factory.mktemp("mqadmin"))


@pytest.fixture(scope="module")
def judge(ours: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """What they saw on Apache's nodes of their version."""
    if "apache" not in engines():
        pytest.skip("RMQCTL_INTEROP_ENGINES leaves Apache's nodes out")
    return run_on("apache", ours.version, tmp_path_factory.mktemp("judge"))


JUDGED = [pytest.param("4.5.2"), pytest.param("5.3.3", marks=pytest.mark.long)]


@pytest.mark.parametrize("ours", JUDGED, indirect=True)
def test_commands_write_what_they_write_on_apaches_nodes(ours: Run, judge: Run) -> None:
    different = DIFFERENT | DIFFERENT_FROM[ours.version]
    assert ours.shapes.keys() == judge.shapes.keys() >= different.keys()
    wrong = {
        name: (sorted(set(ours.shapes[name]) - set(expected)), sorted(set(expected) - set(ours.shapes[name])))
        for name, expected in judge.shapes.items()
        if name not in different and ours.shapes[name] != expected
    }
    assert wrong == {}


@pytest.mark.parametrize("ours", JUDGED, indirect=True)
@pytest.mark.parametrize("which", ["master", "slave"])
def test_broker_status_has_every_key_of_apaches(ours: Run, judge: Run, which: str) -> None:
    mine, apaches = (run.table(f"brokerStatus of the {which}", ":") for run in (ours, judge))
    not_here = {
        key for key in apaches if key.startswith(("putLatency", "commitLogDiskRatio_", "putMessageFailedTimes"))
    }
    assert apaches.keys() - not_here <= mine.keys()
    for key in ("brokerActive", "putMessageTimesTotal", "dispatchBehindBytes", "msgPutTotalYesterdayMorning"):
        if key in apaches and ours.version == "4.5.2":
            assert mine[key] == apaches[key], key


@pytest.mark.parametrize("ours", JUDGED, indirect=True)
def test_both_engines_run_with_the_same_configuration(ours: Run, judge: Run) -> None:
    mine, apaches = (run.table("getBrokerConfig", "=") for run in (ours, judge))
    own = {"listenPort", "haListenPort", "brokerConfigPath", "storePathRootDir", "storePathCommitLog", "namesrvAddr"}
    own |= PATIENCE.keys()
    both = mine.keys() & apaches.keys() - own
    assert {"mappedFileSizeCommitLog", "mappedFileSizeConsumeQueue", "brokerRole", "fileReservedTime"} <= both
    said_by_profile = ("mappedFileSizeCommitLog", "mappedFileSizeConsumeQueue", "brokerRole", "fileReservedTime")
    assert [mine[key] for key in said_by_profile] == [apaches[key] for key in said_by_profile]
    if ours.version == "4.5.2":
        assert {key: mine[key] for key in both} == {key: apaches[key] for key in both}


def test_the_cluster_list_has_a_row_for_master_and_slave(ours: Run) -> None:
    rows = ours.rows("clusterList")
    assert [(row[0], row[1], row[2], row[4]) for row in rows] == [
        ("DefaultCluster", "broker-a", "0", "V4_5_2"),
        ("DefaultCluster", "broker-a", "1", "V4_5_2"),
    ]
    incoming = [float(row[5].partition("(")[0]) for row in rows]
    assert all(0 < rate < 100 for rate in incoming), "a slave counts what it copies"
    totals = ours.rows("clusterList more")
    assert [row[2:4] for row in totals] == [["0", "0"]] * 2
    assert int(totals[0][4]) == int(totals[1][4]) > MESSAGES
    assert int(totals[0][5]) > MESSAGES


def test_the_status_of_master_and_slave_is_true(ours: Run) -> None:
    master, slave = (ours.table(f"brokerStatus of the {which}", ":") for which in ("master", "slave"))
    assert (master["brokerRole"], slave["brokerRole"]) == ("ASYNC_MASTER", "SLAVE")
    assert master["commitLogMaxOffset"] == slave["commitLogMaxOffset"] == master["haSlaveAckOffset"]
    assert slave["haState"] == "following"
    assert int(master["putMessageTimesTotal"]) == int(master["msgPutTotalTodayNow"]) > MESSAGES
    assert int(master["putMessageSizeTotal"]) == int(master["commitLogMaxOffset"])
    for key in ("putTps", "getTotalTps", "getTransferedTps", "getTransferredTps"):
        assert all(float(rate) > 0 for rate in master[key].split()[1:]), key
    assert len(ours.rows("brokerStatus of the cluster")) == len(master) + len(slave)


def test_topics_and_groups_are_counted(ours: Run) -> None:
    (row,) = [row for row in ours.rows("statsAll") if row[0] == TOPIC]
    topic, group, accumulation, incoming, outgoing, in_day, out_day = row
    assert (topic, group, accumulation) == (TOPIC, GROUP, "0")
    assert int(in_day) == MESSAGES + 1
    assert int(out_day) == MESSAGES + 1
    assert float(incoming) > 0
    assert float(outgoing) > 0
    (progress,) = [row for row in ours.rows("consumerProgress of all") if row[0] == GROUP]
    assert progress[1] == "1", "one client"
    assert progress[-1] == "0", "nothing is left"
    assert {"PUSH", "CLUSTERING"} <= set(progress)


def test_a_consumer_tells_of_itself_through_the_broker(ours: Run) -> None:
    for name in ("consumerStatus", "consumerStatus with stacks"):
        told = ours.seen[name].out
        assert re.search(rf"^{TOPIC} .*broker-a", told, re.MULTILINE)
        assert "#Consumer RT&TPS#" in told
    assert "PullMessageService" in ours.seen["consumerStatus with stacks"].out
    assert "consumeResult=CR_SUCCESS" in ours.seen["queryMsgById to a consumer"].out
    assert f"The Consumer <{GROUP}> <1.2.3.4@x> not online" in ours.seen["queryMsgById to nobody"].all
    assert MEMBER in ours.seen["consumerStatus of all"].out
    assert MEMBER in ours.seen["producerConnection"].out
    if ours.version == "5.3.3":
        assert f"producer group ({PRODUCERS}) instance : clientId={MEMBER}" in ours.seen["producer"].out


def test_offsets_are_reset_with_and_without_consumers(ours: Run) -> None:
    online = {row[1]: row[2] for row in ours.rows("resetOffsetByTime") if row[0] == "broker-a"}
    assert online == {"0": str(MESSAGES - 1), "1": "0", "2": "0", "3": "0"}
    assert "Consumer not online" not in ours.seen["resetOffsetByTime"].all
    offline = {row[1]: row[-1] for row in ours.rows("resetOffsetByTime of nobody") if row[0] == "broker-a"}
    assert offline == dict.fromkeys("0123", "0")
    assert f"Diff Total: {MESSAGES + 1}" in ours.seen["consumerProgress after the reset"].out
    assert "clone group offset success" in ours.seen["cloneGroupOffset"].out


def test_a_configuration_update_is_shown(ours: Run) -> None:
    assert "update broker config success" in ours.seen["updateBrokerConfig"].out
    assert ours.table("getBrokerConfig", "=")["longPollingEnable"] == "true"
    assert ours.table("getBrokerConfig after the update", "=")["longPollingEnable"] == "false"
    assert ours.table("getNamesrvConfig", "=")["orderMessageEnable"] == "false"
    assert ours.table("getNamesrvConfig after the update", "=")["orderMessageEnable"] == "true"


def test_units_of_a_queue_are_shown(ours: Run) -> None:
    shown = ours.seen["queryCq"].out
    assert f"max: {MESSAGES}, min: 0" in shown
    assert [int(index) for index in re.findall(r"^idx: (\d+)", shown, re.MULTILINE)] == [1, 2]


def test_access_control_is_said_to_be_off(ours: Run) -> None:
    if ours.version != "4.5.2":
        pytest.skip("the commands are gone")
    for name, code in (("updateAclConfig", 209), ("deleteAccessConfig", 210), ("updateGlobalWhiteAddr", 211)):
        assert f"CODE: {code}" in ours.seen[name].all
        assert "access control is off on this broker" in ours.seen[name].all
    assert "access control is off on this broker" in ours.seen["clusterAclConfigVersion"].all
