"""Topics, groups and offsets that brokers and tools need: nobody else changes or deletes them."""

from typing import Any

import pytest

from rmqnode.protocol.bodies import CreateTopicListRequestBody, SubscriptionGroupConfig, TopicConfig
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.headers import (
    CreateTopicRequestHeader,
    DeleteSubscriptionGroupRequestHeader,
    TopicRequestHeader,
    UpdateConsumerOffsetRequestHeader,
)
from rmqnode.protocol.headers.administration import CloneGroupOffsetRequestHeader

BUILT_IN = [
    "TBW102",
    "SELF_TEST_TOPIC",
    "BenchmarkTest",
    "OFFSET_MOVED_EVENT",
    "broker-a",
    "DefaultCluster",
    "DefaultCluster_REPLY_TOPIC",
]
INTERNAL = [
    "SCHEDULE_TOPIC_XXXX",
    "RMQ_SYS_TRANS_HALF_TOPIC",
    "RMQ_SYS_TRANS_OP_HALF_TOPIC",
    "TRANS_CHECK_MAX_TIME_TOPIC",
]
GROUPS = ["TOOLS_CONSUMER", "FILTERSRV_CONSUMER", "SELF_TEST_C_GROUP", "CID_ONSAPI_OWNER", "CID_RMQ_SYS_TRANS"]
TRANS = "CID_RMQ_SYS_TRANS"
HALF = "RMQ_SYS_TRANS_HALF_TOPIC"


def refusal(reply: Any) -> tuple[int, str]:
    return reply.code, reply.remark


@pytest.mark.parametrize("topic", BUILT_IN + INTERNAL)
def test_a_system_topic_is_not_deleted(rig: Any, topic: str) -> None:
    before = dict(rig.broker.topics.all)
    reply = rig.ask(RequestCode.DELETE_TOPIC_IN_BROKER, TopicRequestHeader(topic=topic))
    assert refusal(reply) == (ResponseCode.SYSTEM_ERROR, f"The topic[{topic}] is conflict with system topic.")
    assert rig.broker.topics.all == before


def test_topics_are_created_by_sends_after_somebody_tried_to_delete_their_template(rig: Any) -> None:
    rig.ask(RequestCode.DELETE_TOPIC_IN_BROKER, TopicRequestHeader(topic="TBW102"))
    assert rig.send("new").code == ResponseCode.SUCCESS


@pytest.mark.parametrize("topic", BUILT_IN + INTERNAL)
@pytest.mark.parametrize("is_list", [False, True])
def test_a_system_topic_is_not_changed(rig: Any, topic: str, is_list: bool) -> None:
    before = dict(rig.broker.topics.all)
    if is_list:
        body = CreateTopicListRequestBody(topic_config_list=[TopicConfig(topic_name=topic, perm=0)]).encode()
        reply = rig.ask(RequestCode.UPDATE_AND_CREATE_TOPIC_LIST, body=body)
    else:
        header = CreateTopicRequestHeader(topic=topic, read_queue_nums=1, write_queue_nums=1, perm=0)
        reply = rig.ask(RequestCode.UPDATE_AND_CREATE_TOPIC, header)
    assert reply.code == ResponseCode.SYSTEM_ERROR
    assert f"the topic[{topic}] is conflict with system" in reply.remark.replace("The", "the")
    assert rig.broker.topics.all == before


def test_ordinary_topics_and_the_brokers_dead_letters_are_deleted(rig: Any) -> None:
    for topic in ("t", "%DLQ%CID_RMQ_SYS_UNDELIVERED", "RMQ_SYS_TRACE_TOPIC"):
        rig.create_topic(topic)
        rig.ask(RequestCode.DELETE_TOPIC_IN_BROKER, TopicRequestHeader(topic=topic))
        assert rig.broker.topics.get(topic) is None


@pytest.mark.parametrize("group", GROUPS)
def test_a_system_group_is_neither_changed_nor_deleted(rig: Any, group: str) -> None:
    rig.broker.groups.find(group)
    rig.broker.offsets.commit(group, "t", 0, 5)
    remark = f"The group[{group}] is conflict with system group."
    body = SubscriptionGroupConfig(group_name=group, consume_enable=False).encode()
    reply = rig.ask(RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, body=body)
    assert refusal(reply) == (ResponseCode.SYSTEM_ERROR, remark)
    header = DeleteSubscriptionGroupRequestHeader(group_name=group, remove_offset=True)
    assert refusal(rig.ask(RequestCode.DELETE_SUBSCRIPTIONGROUP, header)) == (ResponseCode.SYSTEM_ERROR, remark)
    assert rig.broker.groups.get(group).consume_enable
    assert rig.broker.offsets.find(group, "t", 0) == 5


def test_how_far_transactions_are_is_the_brokers_to_say(rig: Any) -> None:
    rig.send("t", b"half", {"TRAN_MSG": "true", "PGROUP": "pg"}, sys_flag=4)
    rig.create_topic(HALF)
    rig.broker.offsets.commit("g", HALF, 0, 99)
    fields = {"consumer_group": TRANS, "topic": HALF, "queue_id": 0}
    replies = [
        rig.ask(RequestCode.UPDATE_CONSUMER_OFFSET, UpdateConsumerOffsetRequestHeader(commit_offset=99, **fields)),
        rig.pull(sys_flag=5, commit_offset=99, **fields),
        rig.ask(
            RequestCode.CLONE_GROUP_OFFSET, CloneGroupOffsetRequestHeader(src_group="g", dest_group=TRANS, topic=HALF)
        ),
    ]
    assert {reply.code for reply in replies} == {ResponseCode.NO_PERMISSION}
    assert rig.broker.offsets.find(TRANS, HALF, 0) is None
    assert rig.pull(sys_flag=4, **fields).code == ResponseCode.SUCCESS
