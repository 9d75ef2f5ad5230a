"""The commands of mqadmin that are run against a cluster of one master and one slave, in an order that makes sense.

Each is named, so that tests find what it wrote. Every command of 4.5.2 is here except those that run until they are
stopped (startMonitoring, clusterRT); of 5.3.3's own those that ask for something that brokers before it have as well.
"""

import re
import time
from collections.abc import Callable
from typing import NamedTuple

from tests.interop.mqadmin import Mqadmin, Written

CLUSTER = "DefaultCluster"
TOPIC = "Orders"
GROUP = "readers"
PRODUCERS = "writers"
MEMBER = "127.0.0.1@member"
MESSAGES = 7
"""Messages in queue 0: one of sendMessage, those of the program, and one of checkMsgSendRT."""
LATE_MESSAGES = 20
"""Messages that come before brokers are asked for their figures."""
WAIT_SECONDS = 30


class Addresses(NamedTuple):
    """Where the nodes of the cluster are."""

    nameserver: str
    master: str
    slave: str


def run_commands(tool: Mqadmin, at: Addresses, version: str) -> dict[str, Written]:
    """Run all commands that a version has; return what each wrote, by name."""
    session = _Session(tool, at, version)
    for part in (_topics, _messages, _members, _offsets, _brokers, _nameserver, _access_control, _the_end):
        part(session)
    return session.seen


class _Session:
    """A tool, its cluster, and what was seen so far."""

    def __init__(self, tool: Mqadmin, at: Addresses, version: str) -> None:
        self.tool = tool
        self.at = at
        self.is_5 = version.startswith("5.")
        self.seen: dict[str, Written] = {}

    def run(self, name: str, *words: str) -> Written:
        """Run a command and keep what it wrote."""
        assert name not in self.seen, f"{name} twice"
        written = self.seen[name] = self.tool.run(*words)
        return written

    def wait(self, name: str, is_there: Callable[[str], bool], *words: str) -> None:
        """Run a command again and again until its output is as it should be; the last one is kept."""
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            written = self.tool.run(*words)
            if is_there(written.all) or time.monotonic() > deadline:
                self.seen[name] = written
                return
            time.sleep(0.3)


def _topics(session: _Session) -> None:
    run = session.run
    run("updateTopic", "updateTopic", "-c", CLUSTER, "-t", TOPIC, "-r", "4", "-w", "4")
    run("updateTopic on a broker", "updateTopic", "-b", session.at.master, "-t", "Gone", "-r", "2", "-w", "2")
    session.wait("topicRoute", lambda text: TOPIC in text or "brokerDatas" in text, "topicRoute", "-t", TOPIC)
    run("topicRoute of nothing", "topicRoute", "-t", "Missing")
    run("topicList", "topicList")
    run("topicList by cluster", "topicList", "-c")
    run("topicClusterList", "topicClusterList", "-t", TOPIC)
    run("updateTopicPerm", "updateTopicPerm", "-b", session.at.master, "-t", TOPIC, "-p", "4")
    run("topicRoute read only", "topicRoute", "-t", TOPIC)
    run("updateTopicPerm back", "updateTopicPerm", "-c", CLUSTER, "-t", TOPIC, "-p", "6")
    run("allocateMQ", "allocateMQ", "-t", TOPIC, "-i", "10.0.0.1,10.0.0.2")
    run("updateOrderConf", "updateOrderConf", "-t", TOPIC, "-v", "broker-a:4", "-m", "put")
    run("updateOrderConf get", "updateOrderConf", "-t", TOPIC, "-m", "get")
    run("updateOrderConf delete", "updateOrderConf", "-t", TOPIC, "-m", "delete")
    run("deleteTopic", "deleteTopic", "-c", CLUSTER, "-t", "Gone")
    run("topicList after the deletion", "topicList")


def _messages(session: _Session) -> None:
    run = session.run
    words = ("-p", "body", "-k", "key", "-c", "tagA", "-b", "broker-a", "-i", "0")
    run("sendMessage", "sendMessage", "-t", TOPIC, *words)
    session.tool.ask("@send", session.at.nameserver, TOPIC, str(MESSAGES - 2))
    run("sendMsgStatus", "sendMsgStatus", "-b", "broker-a", "-s", "10", "-c", "3")
    run("checkMsgSendRT", "checkMsgSendRT", "-t", TOPIC, "-a", "2", "-s", "10")
    run("topicStatus", "topicStatus", "-t", TOPIC)
    by_offset = run("queryMsgByOffset", "queryMsgByOffset", "-b", "broker-a", "-t", TOPIC, "-i", "0", "-o", "1")
    run("queryMsgByOffset behind the end", "queryMsgByOffset", "-b", "broker-a", "-t", TOPIC, "-i", "0", "-o", "99")
    run("printMsg of moved offsets", "printMsg", "-t", "OFFSET_MOVED_EVENT")
    session.wait("queryMsgByKey", lambda text: "no message" not in text, "queryMsgByKey", "-t", TOPIC, "-k", "key1")
    run("queryMsgByKey of nothing", "queryMsgByKey", "-t", TOPIC, "-k", "no such key")
    message_id = offset_message_id(by_offset)
    unique_id = _found(r"broker-a\s+0\s+SEND_OK\s+(\w+)", session.seen["sendMessage"].out)
    run("queryMsgById", "queryMsgById", "-i", message_id, *(("-t", TOPIC) if session.is_5 else ()))
    run("queryMsgByUniqueKey", "queryMsgByUniqueKey", "-t", TOPIC, "-i", unique_id)
    run("printMsg", "printMsg", "-t", TOPIC)
    run("printMsg by tag", "printMsg", "-t", TOPIC, "-s", "tagA")
    shown = ("-p", "true", "-d", "true", "-f", "true")
    run("printMsgByQueue", "printMsgByQueue", "-t", TOPIC, "-a", "broker-a", "-i", "0", *shown)
    run("consumeMessage", "consumeMessage", "-t", TOPIC, "-b", "broker-a", "-i", "0", "-o", "2", "-c", "2")
    run("queryCq", "queryCq", "-t", TOPIC, "-q", "0", "-i", "1", "-c", "2", "-b", session.at.master)
    run("queryCq of nothing", "queryCq", "-t", TOPIC, "-q", "9", "-i", "0", "-c", "2", "-b", session.at.master)


def offset_message_id(written: Written) -> str:
    """The offset message id in what queryMsgByOffset wrote."""
    return _found(r"OffsetID:\s+([0-9A-F]{32})", written.out)


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return found[1] if found is not None else "0" * 32


def _members(session: _Session) -> None:
    run, at = session.run, session.at
    run("updateSubGroup", "updateSubGroup", "-c", CLUSTER, "-g", GROUP, "-r", "5", "-q", "2")
    run("updateSubGroup on a broker", "updateSubGroup", "-b", at.master, "-g", "leavers")
    run("deleteSubGroup", "deleteSubGroup", "-b", at.master, "-g", "leavers")
    run("consumerConnection of nobody", "consumerConnection", "-g", GROUP)
    run("producerConnection of nobody", "producerConnection", "-g", PRODUCERS, "-t", TOPIC)
    run("consumerStatus of nobody", "consumerStatus", "-g", GROUP, "-i", MEMBER)
    session.tool.ask("@join", at.nameserver, TOPIC, GROUP, PRODUCERS)
    is_level = re.compile(r"Diff Total: 0$", re.MULTILINE).search
    progress = ("consumerProgress", "-g", GROUP)
    session.wait("consumerProgress", lambda text: is_level(text) is not None and f" {MESSAGES} " in text, *progress)
    run("consumerProgress of all", "consumerProgress")
    run("consumerProgress with clients", "consumerProgress", "-g", GROUP, "-s", "true")
    run("consumerConnection", "consumerConnection", "-g", GROUP)
    run("producerConnection", "producerConnection", "-g", PRODUCERS, "-t", TOPIC)
    if session.is_5:
        run("producer", "producer", "-b", at.master)
        run("getConsumerConfig", "getConsumerConfig", "-g", GROUP)
    run("consumerStatus", "consumerStatus", "-g", GROUP, "-i", MEMBER)
    run("consumerStatus with stacks", "consumerStatus", "-g", GROUP, "-i", MEMBER, "-s")
    run("consumerStatus of all", "consumerStatus", "-g", GROUP)
    run("brokerConsumeStats", "brokerConsumeStats", "-b", at.master)
    run("statsAll", "statsAll", "-t", TOPIC)
    message_id = offset_message_id(session.seen["queryMsgByOffset"])
    direct = ("-g", GROUP, "-d", MEMBER, *(("-t", TOPIC) if session.is_5 else ()))
    run("queryMsgById to a consumer", "queryMsgById", "-i", message_id, *direct)
    run("queryMsgById to nobody", "queryMsgById", "-i", message_id, "-g", GROUP, "-d", "1.2.3.4@x", *direct[4:])


def _offsets(session: _Session) -> None:
    run = session.run
    reset = ("resetOffsetByTime", "-g", GROUP, "-t", TOPIC)
    run("resetOffsetByTime", *reset, "-s", "now", "-f", "true")
    run("cloneGroupOffset", "cloneGroupOffset", "-s", GROUP, "-d", "clones", "-t", TOPIC, "-o", "true")
    run("consumerProgress of clones", "consumerProgress", "-g", "clones")
    session.tool.ask("@leave")
    session.wait("consumerConnection after leaving", lambda text: "online" in text, "consumerConnection", "-g", GROUP)
    run("resetOffsetByTime of nobody", *reset, "-s", "2020-01-01#00:00:00:000", "-f", "true")
    run("consumerProgress after the reset", "consumerProgress", "-g", GROUP)
    if session.is_5:
        run("skipAccumulatedMessage", "skipAccumulatedMessage", "-g", GROUP, "-t", TOPIC, "-f", "true")
        run("consumerProgress after skipping", "consumerProgress", "-g", GROUP)


def _brokers(session: _Session) -> None:
    run, at = session.run, session.at
    # Something has to have come in the last ten seconds, and to have reached the slave.
    session.tool.ask("@send", at.nameserver, TOPIC, str(LATE_MESSAGES))
    run("clusterList", "clusterList")
    run("clusterList more", "clusterList", "-m")
    run("brokerStatus of the master", "brokerStatus", "-b", at.master)
    run("brokerStatus of the slave", "brokerStatus", "-b", at.slave)
    run("brokerStatus of the cluster", "brokerStatus", "-c", CLUSTER)
    run("getBrokerConfig", "getBrokerConfig", "-b", at.master)
    run("updateBrokerConfig", "updateBrokerConfig", "-b", at.master, "-k", "longPollingEnable", "-v", "false")
    run("getBrokerConfig after the update", "getBrokerConfig", "-b", at.master)
    run("cleanExpiredCQ", "cleanExpiredCQ", "-b", at.master)
    run("cleanUnusedTopic", "cleanUnusedTopic", "-c", CLUSTER)
    run("wipeWritePerm", "wipeWritePerm", "-b", "broker-a")
    run("topicRoute wiped", "topicRoute", "-t", TOPIC)
    if session.is_5:
        run("addWritePerm", "addWritePerm", "-b", "broker-a")
        run("deleteExpiredCommitLog", "deleteExpiredCommitLog", "-b", at.master)


def _nameserver(session: _Session) -> None:
    run = session.run
    run("getNamesrvConfig", "getNamesrvConfig")
    run("updateNamesrvConfig", "updateNamesrvConfig", "-k", "orderMessageEnable", "-v", "true")
    run("getNamesrvConfig after the update", "getNamesrvConfig")
    run("updateKvConfig", "updateKvConfig", "-s", "ns", "-k", "key", "-v", "value")
    run("deleteKvConfig", "deleteKvConfig", "-s", "ns", "-k", "key")


def _access_control(session: _Session) -> None:
    if session.is_5:
        return
    run, at = session.run, session.at
    run("updateAclConfig", "updateAclConfig", "-b", at.master, "-a", "somebody", "-s", "secret12")
    run("deleteAccessConfig", "deleteAccessConfig", "-b", at.master, "-a", "somebody")
    run("updateGlobalWhiteAddr", "updateGlobalWhiteAddr", "-b", at.master, "-g", "10.0.0.*")
    # Apache's broker does not answer: once is enough.
    session.seen["clusterAclConfigVersion"] = session.tool.run("clusterAclConfigVersion", "-b", at.master, tries=1)


def _the_end(session: _Session) -> None:
    session.run("deleteTopic at last", "deleteTopic", "-c", CLUSTER, "-t", TOPIC)
    session.run("topicList at last", "topicList")
