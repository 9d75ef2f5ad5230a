"""Topics of a broker: built in, created by a send, created, changed and deleted by tools."""

import errno
import json
from collections.abc import Callable
from typing import Any

import pytest

from rmqnode.config import BrokerRole
from rmqnode.protocol.bodies import TopicConfig, TopicConfigSerializeWrapper, TopicList, TopicStatsTable
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.headers import CreateTopicRequestHeader, TopicRequestHeader
from rmqnode.store.config_file import ConfigFile

CREATE = RequestCode.UPDATE_AND_CREATE_TOPIC
FAQ = "\nSee http://rocketmq.apache.org/docs/faq/ for further details."


def create(topic: str = "t", **fields: Any) -> CreateTopicRequestHeader:
    values = {"read_queue_nums": 8, "write_queue_nums": 4, "perm": 6}
    return CreateTopicRequestHeader(topic=topic, **values | fields)


def shape(topic: TopicConfig | None) -> tuple[int, int, int]:
    assert topic is not None
    return topic.read_queue_nums, topic.write_queue_nums, topic.perm


def test_the_built_in_topics_are_apaches(rig: Any) -> None:
    assert {name: shape(topic) for name, topic in rig.broker.topics.all.items()} == {
        "SELF_TEST_TOPIC": (1, 1, 6),
        "TBW102": (8, 8, 7),
        "BenchmarkTest": (1024, 1024, 6),
        "DefaultCluster": (16, 16, 7),
        "DefaultCluster_REPLY_TOPIC": (1, 1, 6),
        "broker-a": (1, 1, 7),
        "OFFSET_MOVED_EVENT": (1, 1, 6),
    }


def test_built_in_topics_follow_the_configuration(make_rig: Callable[..., Any]) -> None:
    rig = make_rig(
        auto_create_topic_enable=False,
        cluster_topic_enable=False,
        broker_topic_enable=False,
        trace_topic_enable=True,
        default_topic_queue_nums=3,
    )
    topics = rig.broker.topics
    assert topics.get("TBW102") is None
    assert shape(topics.get("DefaultCluster")) == (16, 16, 1)
    assert shape(topics.get("broker-a")) == (1, 1, 1)
    assert shape(topics.get("RMQ_SYS_TRACE_TOPIC")) == (1, 1, 6)


def test_the_system_topics_are_those_made_at_start(rig: Any) -> None:
    rig.create_topic("mine")
    reply = rig.ask(RequestCode.GET_SYSTEM_TOPIC_LIST_FROM_BROKER)
    names = TopicList.decode(reply.body).topic_list
    assert set(names) == rig.broker.topics.all.keys() - {"mine"}


@pytest.mark.parametrize(("asked", "made"), [(4, 4), (100, 8), (1, 1)])
def test_a_send_creates_an_unknown_topic_from_its_template(rig: Any, asked: int, made: int) -> None:
    before = rig.broker.topics.data_version
    assert rig.send("new", default_topic_queue_nums=asked).code == ResponseCode.SUCCESS
    assert shape(rig.broker.topics.get("new")) == (made, made, 6)
    assert rig.broker.topics.data_version.counter == before.counter + 1


def test_any_topic_that_bequeaths_can_be_a_template(rig: Any) -> None:
    assert rig.send("new", default_topic="DefaultCluster", default_topic_queue_nums=12).code == ResponseCode.SUCCESS
    assert shape(rig.broker.topics.get("new")) == (12, 12, 6)


@pytest.mark.parametrize("template", ["missing", "SELF_TEST_TOPIC"])
def test_without_a_template_that_bequeaths_a_topic_is_refused(rig: Any, template: str) -> None:
    reply = rig.send("new", default_topic=template)
    assert (reply.code, reply.remark) == (
        ResponseCode.TOPIC_NOT_EXIST,
        f"topic[new] not exist, apply first please!{FAQ}",
    )
    assert rig.broker.topics.get("new") is None


def test_a_broker_without_auto_creation_refuses_unknown_topics(make_rig: Callable[..., Any]) -> None:
    assert make_rig(auto_create_topic_enable=False).send("new").code == ResponseCode.TOPIC_NOT_EXIST


def test_a_retry_topic_needs_no_template(make_rig: Callable[..., Any]) -> None:
    rig = make_rig(auto_create_topic_enable=False)
    assert rig.send("%RETRY%g").code == ResponseCode.SUCCESS
    assert shape(rig.broker.topics.get("%RETRY%g")) == (1, 1, 6)


@pytest.mark.parametrize("asked", [0, -1, -(2**31)])
def test_a_topic_created_with_no_queues_takes_no_message(rig: Any, asked: int) -> None:
    reply = rig.send("new", default_topic_queue_nums=asked)
    assert reply.code == ResponseCode.SYSTEM_ERROR
    assert reply.remark.startswith("request queueId[0] is illegal, TopicConfig [topicName=new, readQueueNums=0")


ILLEGAL = {
    "": "The specified topic is blank.",
    "  ": "The specified topic is blank.",
    "..": "The specified topic contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$",
    "a/b": "The specified topic contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$",
    "a\0b": "The specified topic contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$",
    "主题": "The specified topic contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$",
    "t\n": "The specified topic contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$",
    "x" * 128: "The specified topic is longer than topic max length 127.",
}


@pytest.mark.parametrize("name", ILLEGAL, ids=repr)
def test_illegal_topic_names_are_refused_by_sends_and_tools(rig: Any, name: str) -> None:
    for reply in (rig.send(name), rig.ask(CREATE, create(name))):
        assert (reply.code, reply.remark) == (ResponseCode.SYSTEM_ERROR, ILLEGAL[name])
    assert name not in rig.broker.topics.all


def test_the_longest_legal_name_works(rig: Any) -> None:
    assert rig.send("x" * 127).code == ResponseCode.SUCCESS
    assert len(rig.messages("x" * 127)) == 1


def test_creating_a_topic_keeps_read_and_write_queues_apart(rig: Any) -> None:
    rig.ask(CREATE, create(perm=4, topic_sys_flag=1, topic_filter_type="MULTI_TAG"))
    assert rig.broker.topics.get("t") == TopicConfig(
        topic_name="t", read_queue_nums=8, write_queue_nums=4, perm=4, topic_sys_flag=1, topic_filter_type="MULTI_TAG"
    )


def test_changing_a_topic_replaces_it_and_drops_its_order(rig: Any) -> None:
    rig.create_topic("t", order=True)
    rig.ask(CREATE, create(order=True))
    assert rig.broker.topics.get("t") == TopicConfig(topic_name="t", read_queue_nums=8, write_queue_nums=4)


def test_the_clusters_name_is_reserved(rig: Any) -> None:
    reply = rig.ask(CREATE, create("DefaultCluster"))
    assert (reply.code, reply.remark) == (
        ResponseCode.SYSTEM_ERROR,
        "the topic[DefaultCluster] is conflict with system reserved words.",
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"read_queue_nums": -1},
        {"write_queue_nums": 2**31 - 1},
        {"perm": 16},
        {"perm": -1},
        {"topic_filter_type": "NO_TAG"},
    ],
)
def test_numbers_beyond_reason_are_refused(rig: Any, fields: dict[str, Any]) -> None:
    reply = rig.ask(CREATE, create(**fields))
    assert reply.code == ResponseCode.SYSTEM_ERROR
    assert rig.broker.topics.get("t") is None


def test_several_topics_are_created_at_once_or_none(rig: Any) -> None:
    # As mqadmin 5.3.3 (updateTopicList) writes it.
    member = (
        b'{"attributes":{},"order":false,"perm":%d,"readQueueNums":3,"topicFilterType":"SINGLE_TAG","topicName":"%s",'
        b'"topicSysFlag":0,"writeQueueNums":2}'
    )
    code = RequestCode.UPDATE_AND_CREATE_TOPIC_LIST
    refused = rig.ask(code, body=b'{"topicConfigList":[%s,%s]}' % (member % (6, b"one"), member % (99, b"two")))
    assert refused.code == ResponseCode.SYSTEM_ERROR
    assert rig.broker.topics.get("one") is None
    counter = rig.broker.topics.data_version.counter
    outcome = rig.ask(code, body=b'{"topicConfigList":[%s,%s]}' % (member % (6, b"one"), member % (4, b"two")))
    assert outcome.reply.code == ResponseCode.SUCCESS
    assert [shape(rig.broker.topics.get(topic)) for topic in ("one", "two")] == [(3, 2, 6), (3, 2, 4)]
    assert rig.broker.topics.data_version.counter == counter + 1


def test_a_slave_changes_no_topics(make_rig: Callable[..., Any]) -> None:
    reply = make_rig(broker_role=BrokerRole.SLAVE, broker_id=1).ask(CREATE, create())
    remark = "Can't modify topic or subscription group from slave broker, please execute it from master broker."
    assert (reply.code, reply.remark) == (ResponseCode.SYSTEM_ERROR, remark)


def test_a_topic_is_on_disk_before_anybody_is_told(rig: Any) -> None:
    path = rig.config.store_path_root_dir / "config" / "topics.json"
    seen: list[bool] = []
    rig.broker.topics._on_change = lambda: seen.append("mine" in json.loads(path.read_text())["topicConfigTable"])
    rig.create_topic("mine")
    assert seen == [True]


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """No table can be written."""

    def save(file: ConfigFile, text: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(ConfigFile, "save", save)


def test_a_send_to_a_new_topic_is_refused_while_the_topic_cannot_be_kept(
    rig: Any, full_disk: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = rig.broker.topics.data_version
    for _ in range(2):
        assert rig.send("new").code == ResponseCode.SERVICE_NOT_AVAILABLE
    assert (rig.broker.topics.get("new"), rig.broker.topics.data_version) == (None, version)
    monkeypatch.undo()
    assert rig.send("new").code == ResponseCode.SUCCESS


async def test_a_full_disk_stops_neither_consumers_nor_services(
    make_rig: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    rig = make_rig(transaction_check_max=0)
    rig.create_topic()
    rig.send(properties={"TRAN_MSG": "true", "PGROUP": "pg"}, born_timestamp=rig.clock.now_ms)
    request.getfixturevalue("full_disk")
    assert rig.heartbeat("g").code == ResponseCode.SUCCESS
    assert rig.pull().remark == "NO_MESSAGE_IN_QUEUE"
    rig.broker._registered_order_config(["t"])
    assert not rig.broker.topics.get("t").order
    rig.clock.now_ms += 60_000
    await rig.broker.check_back.check_once()
    assert rig.broker.topics.get("RMQ_SYS_TRANS_HALF_TOPIC") is None
    monkeypatch.undo()
    await rig.broker.check_back.check_once()
    assert rig.broker.topics.get("RMQ_SYS_TRANS_HALF_TOPIC") is not None
    rig.heartbeat("g")
    assert rig.broker.topics.get("%RETRY%g") is not None
    assert rig.broker.groups.get("g") is not None


def test_topics_survive_a_restart_with_their_version(rig: Any) -> None:
    rig.create_topic("mine", perm=4)
    version = rig.broker.topics.data_version
    again = rig.reopen()
    assert shape(again.broker.topics.get("mine")) == (4, 4, 4)
    assert again.broker.topics.data_version == version
    again.close()


def test_a_topic_created_by_a_send_is_announced_and_read_back_with_a_number_as_permission(rig: Any) -> None:
    rig.send("new")
    announced = json.loads(rig.ask(RequestCode.GET_ALL_TOPIC_CONFIG).body)["topicConfigTable"]["new"]
    assert announced["perm"] == 6
    again = rig.reopen()
    assert shape(again.broker.topics.get("new")) == (4, 4, 6)
    again.close()


def test_setting_a_topic_to_what_it_is_changes_no_version(rig: Any) -> None:
    rig.ask(CREATE, create())
    version = rig.broker.topics.data_version
    rig.ask(CREATE, create())
    assert rig.broker.topics.data_version == version


def test_deleting_a_topic_takes_its_queues_and_offsets(rig: Any) -> None:
    rig.send("t")
    rig.broker.offsets.commit("g", "t", 0, 1)
    rig.broker.offsets.commit("h", "t", 3, 1)
    rig.broker.offsets.commit("g", "tt", 0, 1)
    assert rig.ask(RequestCode.DELETE_TOPIC_IN_BROKER, TopicRequestHeader("t")).code == ResponseCode.SUCCESS
    assert rig.broker.topics.get("t") is None
    assert rig.store.max_offset("t", 0) == 0
    assert list(rig.broker.offsets.of_topic("t")) == []
    assert rig.broker.offsets.find("g", "tt", 0) == 1
    assert not (rig.config.store_path_root_dir / "consumequeue" / "t").exists()


def test_deleting_the_topic_of_half_messages_leaves_how_far_they_are_worked_off(rig: Any) -> None:
    half = "RMQ_SYS_TRANS_HALF_TOPIC"
    rig.create_topic(half)
    rig.broker.offsets.commit("CID_RMQ_SYS_TRANS", half, 0, 1)
    rig.ask(RequestCode.DELETE_TOPIC_IN_BROKER, TopicRequestHeader(half))
    assert rig.broker.offsets.find("CID_RMQ_SYS_TRANS", half, 0) == 1


def test_deleting_an_unknown_topic_succeeds(rig: Any) -> None:
    assert rig.ask(RequestCode.DELETE_TOPIC_IN_BROKER, TopicRequestHeader("..")).code == ResponseCode.SUCCESS


def test_a_topic_created_anew_begins_at_zero(rig: Any) -> None:
    rig.send("t")
    rig.ask(RequestCode.DELETE_TOPIC_IN_BROKER, TopicRequestHeader("t"))
    assert rig.send("t").header.queue_offset == 0


def test_the_whole_table_is_answered_with_an_empty_header(rig: Any) -> None:
    reply = rig.ask(RequestCode.GET_ALL_TOPIC_CONFIG)
    wrapper = TopicConfigSerializeWrapper.decode(reply.body)
    assert wrapper.topic_config_table == dict(rig.broker.topics.all)
    assert wrapper.data_version == rig.broker.topics.data_version
    assert reply.header is not None


def test_one_topic_is_answered_or_named_as_missing(rig: Any) -> None:
    reply = rig.ask(RequestCode.GET_TOPIC_CONFIG, TopicRequestHeader("TBW102"))
    assert TopicConfig.decode(reply.body) == rig.broker.topics.get("TBW102")
    reply = rig.ask(RequestCode.GET_TOPIC_CONFIG, TopicRequestHeader("t"))
    assert (reply.code, reply.remark) == (ResponseCode.TOPIC_NOT_EXIST, "No topic in this broker. topic: t")


def test_statistics_show_how_far_each_write_queue_reaches(rig: Any) -> None:
    rig.create_topic("t", write_queue_nums=2)
    rig.send("t", queue_id=1)
    rig.send("t", queue_id=1)
    reply = rig.ask(RequestCode.GET_TOPIC_STATS_INFO, TopicRequestHeader("t"))
    table = TopicStatsTable.decode(reply.body).offset_table
    found = {queue.queue_id: (o.min_offset, o.max_offset, o.last_update_timestamp) for queue, o in table.items()}
    assert found == {0: (0, 0, 0), 1: (0, 2, rig.clock.now_ms)}
    reply = rig.ask(RequestCode.GET_TOPIC_STATS_INFO, TopicRequestHeader("u"))
    assert (reply.code, reply.remark) == (ResponseCode.TOPIC_NOT_EXIST, "topic[u] not exist")


def test_order_flags_follow_the_nameserver(rig: Any) -> None:
    rig.create_topic("a")
    rig.create_topic("b", order=True)
    rig.broker.topics.apply_order_config(["a", "missing"])
    assert [rig.broker.topics.get(name).order for name in "ab"] == [True, False]
    version = rig.broker.topics.data_version
    rig.broker.topics.apply_order_config(["a"])
    assert rig.broker.topics.data_version == version


def test_topics_of_a_unit_and_those_that_its_consumers_retry_from_are_marked(rig: Any) -> None:
    rig.send("t", unit_mode=True)
    rig.send("plain")
    rig.heartbeat("g1", unit_mode=True)
    rig.heartbeat("g2")
    rig.send("%RETRY%g3", unit_mode=True, default_topic="none")
    flags = {"t": 1, "plain": 0, "%RETRY%g1": 2, "%RETRY%g2": 0, "%RETRY%g3": 2}
    assert {name: rig.broker.topics.get(name).topic_sys_flag for name in flags} == flags
