"""`config/consumerFilter.json`, written by one engine and taken over by the other."""

import json
from typing import Any

import pytest

from rmqnode.protocol.bodies import ConsumerData, HeartbeatData, SubscriptionData
from rmqnode.protocol.codes import RequestCode, ResponseCode
from tests.cluster.java import require_apache
from tests.interop.store_brokers import StoreBroker, StoreClient, with_client
from tests.ports import free_port

EXPRESSION = "region = '华东' AND price BETWEEN 10 AND 20"
HANDED_OVER = ("bloomFilterData", "bornTime", "clientVersion", "consumerGroup", "expression", "expressionType", "topic")


async def subscribe(client: StoreClient) -> None:
    """Be a member of a group that filters, for one heartbeat."""
    wanted = SubscriptionData(topic="orders", sub_string=EXPRESSION, expression_type="SQL92", sub_version=7)
    group = ConsumerData(group_name="filtering", subscription_data_set=[wanted])
    heartbeat = HeartbeatData(client_id="127.0.0.1@1", consumer_data_set=[group])
    answer = await client.ask(RequestCode.HEART_BEAT, {}, heartbeat.encode())
    assert answer.code == ResponseCode.SUCCESS, answer


@pytest.mark.parametrize(("first", "second"), [("apache", "embedded"), ("embedded", "apache")])
async def test_the_filter_of_a_group_is_known_to_the_engine_that_comes_next(
    first: str, second: str, tmp_path: Any
) -> None:
    require_apache("4.5.2")
    broker = StoreBroker(tmp_path / "broker", free_port(), properties={"enablePropertyFilter": "true"})
    entries = []
    try:
        for engine in (first, second):
            broker.start(engine)
            await with_client(broker, [], subscribe)
            broker.stop(kill=False)
            table = json.loads((broker.store / "config" / "consumerFilter.json").read_text())
            entries.append(table["filterDataByTopic"]["orders"]["groupFilterData"]["filtering"])
    finally:
        broker.close()
    before, after = ({name: entry[name] for name in HANDED_OVER} for entry in entries)
    assert after == before
    assert (before["expression"], before["clientVersion"]) == (EXPRESSION, 7)
