"""Each request of the table with fields that are missing, empty, null, huge or of another type: answers, no traceback.

What `call_handler` catches is a defect of ours: it logs "request failed" with a traceback.
"""

import logging
from collections.abc import Callable
from typing import Any

import pytest

from rmqnode.broker.routes import ROUTES
from rmqnode.net.dispatch import Dispatcher
from rmqnode.protocol.bodies import (
    CheckClientRequestBody,
    ConsumerData,
    CreateTopicListRequestBody,
    HeartbeatData,
    LockBatchRequestBody,
    MessageQueue,
    ProducerData,
    SubscriptionData,
    SubscriptionGroupConfig,
    SubscriptionGroupList,
    TopicConfig,
)
from rmqnode.protocol.bodies.base import Body
from rmqnode.protocol.codes import RequestCode
from rmqnode.protocol.message.batch import BatchPart, encode_batch
from rmqnode.protocol.routes import Route
from tests.hostile import hostile_requests

QUEUES = [MessageQueue(topic="t", broker_name="broker-a", queue_id=0)]
SUBSCRIPTION = SubscriptionData(topic="t", sub_string="a", tags_set=["a"], code_set=[97], sub_version=1)
BODIES: dict[RequestCode, bytes] = {
    RequestCode.HEART_BEAT: HeartbeatData(
        client_id="c1",
        producer_data_set=[ProducerData(group_name="pg")],
        consumer_data_set=[ConsumerData(group_name="g", subscription_data_set=[SUBSCRIPTION])],
    ).encode(),
    RequestCode.CHECK_CLIENT_CONFIG: CheckClientRequestBody("c1", "g", SUBSCRIPTION).encode(),
    RequestCode.LOCK_BATCH_MQ: LockBatchRequestBody(consumer_group="g", client_id="c1", mq_set=QUEUES).encode(),
    RequestCode.UNLOCK_BATCH_MQ: LockBatchRequestBody(consumer_group="g", client_id="c1", mq_set=QUEUES).encode(),
    RequestCode.UPDATE_AND_CREATE_TOPIC_LIST: CreateTopicListRequestBody(
        topic_config_list=[TopicConfig(topic_name="t2")]
    ).encode(),
    RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP: SubscriptionGroupConfig(group_name="g").encode(),
    RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST: SubscriptionGroupList(
        group_config_list=[SubscriptionGroupConfig(group_name="g")]
    ).encode(),
    RequestCode.UPDATE_BROKER_CONFIG: b"traceOn=true\n",
    RequestCode.SEND_BATCH_MESSAGE: encode_batch([BatchPart(0, b"a", b"TAGS\x01x\x02"), BatchPart(0, b"b", b"")]),
}


def prepare(rig: Any, connection: Any) -> None:
    """A broker that has something of everything."""
    rig.create_topic("t")
    rig.heartbeat("g", producers=("pg",), connection=connection)
    rig.send("t", b"first", {"KEYS": "k", "UNIQ_KEY": "u"})
    rig.send("t", b"half", {"TRAN_MSG": "true", "PGROUP": "pg"}, sys_flag=4)
    rig.send("t", b"later", {"DELAY": "1"})
    for queue_id in range(4):
        rig.broker.offsets.commit("g", "t", queue_id, 0)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.code.name)
def test_a_request_with_hostile_fields_is_answered_and_no_defect_of_ours(
    rig: Any, new_connection: Callable[..., Any], caplog: Any, monkeypatch: pytest.MonkeyPatch, route: Route
) -> None:
    connection = new_connection()
    monkeypatch.setattr(type(connection), "resolve", lambda self, command: None, raising=False)
    prepare(rig, connection)
    dispatch = Dispatcher(ROUTES, rig.broker, rig.broker.finish_later)
    with caplog.at_level(logging.ERROR):
        for frame in hostile_requests(route, BODIES.get(route.code, b"hello")):
            dispatch(connection, frame)
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []
    assert not connection.is_closed


def test_every_body_that_a_request_brings_is_tried() -> None:
    """A code whose handler decodes a body must have one above."""
    import inspect

    from rmqnode.protocol import bodies as body_types

    names = [name for name, each in vars(body_types).items() if isinstance(each, type) and issubclass(each, Body)]
    for route in ROUTES:
        source = inspect.getsource(route.handler)
        if any(f"{name}.decode(request.body)" in source for name in names):
            assert route.code in BODIES, route.code.name


def test_unlocking_for_nobody_is_an_answer(rig: Any) -> None:
    for client_id in (None, ""):
        body = LockBatchRequestBody(consumer_group="g", client_id=client_id, mq_set=QUEUES).encode()
        assert rig.ask(RequestCode.UNLOCK_BATCH_MQ, body=body).code == 0
        assert isinstance(rig.ask(RequestCode.LOCK_BATCH_MQ, body=body).body, bytes)
        assert rig.ask(RequestCode.UNLOCK_BATCH_MQ, body=body).code == 0
