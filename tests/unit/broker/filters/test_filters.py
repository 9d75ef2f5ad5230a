"""SQL92 filters on a broker: subscriptions by heartbeat and in the pull, what is refused, what is kept in the file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from rmqnode.broker.filters.by_group import ConsumerFilters
from rmqnode.broker.outcome import Hold
from rmqnode.filter import FilterError
from rmqnode.net.budgets import Budget
from rmqnode.protocol import fastjson
from rmqnode.protocol.bodies import (
    CheckClientRequestBody,
    ConsumerData,
    ConsumerFilterWrapper,
    HeartbeatData,
    QueryConsumeQueueResponseBody,
    SubscriptionData,
)
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.headers import UnregisterClientRequestHeader
from rmqnode.protocol.headers.administration import QueryConsumeQueueRequestHeader
from rmqnode.protocol.message.batch import BatchPart, encode_batch
from rmqnode.store.config_file import ConfigFile

Read = Callable[[Any], Any]
INLINE = {"sys_flag": 4, "expression_type": "SQL92"}
FROM_HEARTBEAT = {"sys_flag": 0, "sub_version": 1}
GOLDEN_FILE = Path(__file__).parents[3] / "golden" / "sql_filter" / "consumerFilter.json"
DAY_MS = 24 * 3600 * 1000


@pytest.fixture
def sql(make_rig: Callable[..., Any]) -> Any:
    """A broker with filters on and a topic."""
    rig = make_rig(enable_property_filter=True)
    rig.create_topic()
    return rig


def subscribe(
    rig: Any, expression: str, *, version: int = 1, topic: str = "t", kind: str = "SQL92", **more: Any
) -> None:
    data = SubscriptionData(topic=topic, sub_string=expression, expression_type=kind, sub_version=version, **more)
    heartbeat = HeartbeatData(
        client_id="c1", consumer_data_set=[ConsumerData(group_name="g", subscription_data_set=[data])]
    )
    reply = rig.ask(RequestCode.HEART_BEAT, body=heartbeat.encode(), language="JAVA")
    assert reply.code == ResponseCode.SUCCESS


def leave(rig: Any) -> None:
    rig.ask(RequestCode.UNREGISTER_CLIENT, UnregisterClientRequestHeader(client_id="c1", consumer_group="g"))


def bodies(reply: Any, read: Read) -> list[bytes]:
    return [message.body for message in read(reply)]


def fill(rig: Any, count: int = 10) -> None:
    for number in range(count):
        rig.send(body=b"%d" % number, properties={"n": str(number), "region": "EU" if number % 2 else "US"})


def saved(rig: Any) -> Any:
    write = rig.broker.filters.take_changes()
    assert write is not None
    write()
    return json.loads((rig.config.store_path_root_dir / "config" / "consumerFilter.json").read_text())


def test_a_pull_with_its_own_expression_gets_what_matches(sql: Any, read: Read) -> None:
    fill(sql)
    reply = sql.pull(subscription="n > 2 AND region = 'EU'", **INLINE)
    assert (reply.code, reply.header.next_begin_offset) == (ResponseCode.SUCCESS, 10)
    assert bodies(reply, read) == [b"3", b"5", b"7", b"9"]


def test_a_pull_by_a_subscription_gets_what_matches(sql: Any, read: Read) -> None:
    fill(sql)
    subscribe(sql, "n BETWEEN 4 AND 5")
    assert bodies(sql.pull(**FROM_HEARTBEAT), read) == [b"4", b"5"]


def test_messages_that_cannot_be_compared_do_not_match(sql: Any, read: Read) -> None:
    sql.send(body=b"text", properties={"n": "many"})
    sql.send(body=b"nothing")
    sql.send(body=b"number", properties={"n": "7"})
    assert bodies(sql.pull(subscription="n > 1", **INLINE), read) == [b"number"]


def test_no_match_sends_the_client_on_at_once(sql: Any) -> None:
    fill(sql)
    reply = sql.pull(subscription="n > 100", **INLINE)
    assert (reply.code, reply.remark) == (ResponseCode.PULL_RETRY_IMMEDIATELY, "NO_MATCHED_MESSAGE")
    assert reply.header.next_begin_offset == 10


def test_a_filtered_pull_looks_at_800_messages_and_stops_when_it_is_full(sql: Any, read: Read) -> None:
    fill(sql, 1000)
    reply = sql.pull(subscription="n > 900", **INLINE)
    assert (reply.code, reply.header.next_begin_offset) == (ResponseCode.PULL_RETRY_IMMEDIATELY, 800)
    reply = sql.pull(subscription="region = 'EU'", max_msg_nums=5, **INLINE)
    assert (len(read(reply)), reply.header.next_begin_offset) == (5, 10)
    reply = sql.pull(subscription="region = 'EU'", max_msg_nums=100, **INLINE)
    assert len(read(reply)) == 32


@pytest.mark.parametrize("flags", [INLINE, FROM_HEARTBEAT])
def test_filters_that_are_off_are_refused(rig: Any, flags: dict[str, Any]) -> None:
    rig.create_topic()
    subscribe(rig, "n > 1")
    reply = rig.pull(subscription="n > 1", **flags)
    remark = "The broker does not support consumer to filter message by SQL92"
    assert (reply.code, reply.remark) == (ResponseCode.SYSTEM_ERROR, remark)


def test_filters_can_be_switched_on_while_the_broker_runs(rig: Any, read: Read) -> None:
    rig.create_topic()
    fill(rig)
    subscribe(rig, "n = 1")
    reply = rig.ask(RequestCode.UPDATE_BROKER_CONFIG, body=b"enablePropertyFilter=true")
    assert getattr(reply, "reply", reply).code == ResponseCode.SUCCESS
    assert rig.pull(**FROM_HEARTBEAT).code == ResponseCode.FILTER_DATA_NOT_EXIST
    subscribe(rig, "n = 1")
    assert bodies(rig.pull(**FROM_HEARTBEAT), read) == [b"1"]


@pytest.mark.parametrize(
    ("kind", "expression", "problem"),
    [
        ("SQL92", "n >", "invalid SQL92 expression at line 1, column 4: the expression ends too early"),
        ("SQL92", "", "invalid SQL92 expression at line 1, column 1: the expression ends too early"),
        ("XPATH", "//n", "unknown expression type 'XPATH': there are TAG and SQL92"),
    ],
)
def test_a_bad_expression_is_refused_with_its_place(sql: Any, kind: str, expression: str, problem: str) -> None:
    reply = sql.pull(subscription=expression, sys_flag=4, expression_type=kind)
    assert reply.code == ResponseCode.SUBSCRIPTION_PARSE_FAILED
    assert reply.remark.startswith(f"parse the consumer's subscription failed: {problem}")
    data = SubscriptionData(topic="t", sub_string=expression, expression_type=kind)
    reply = sql.ask(RequestCode.CHECK_CLIENT_CONFIG, body=CheckClientRequestBody(subscription_data=data).encode())
    assert reply.code == ResponseCode.SUBSCRIPTION_PARSE_FAILED
    assert reply.remark.startswith(problem)


def test_a_good_expression_passes_the_check_of_a_client(sql: Any) -> None:
    data = SubscriptionData(topic="t", sub_string="n > 1", expression_type="SQL92")
    reply = sql.ask(RequestCode.CHECK_CLIENT_CONFIG, body=CheckClientRequestBody(subscription_data=data).encode())
    assert reply.code == ResponseCode.SUCCESS


def test_a_subscription_by_a_bad_expression_has_no_filter(sql: Any, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        subscribe(sql, "n >")
    reply = sql.pull(**FROM_HEARTBEAT)
    remark = "The broker's consumer filter data is not exist!Your expression may be wrong!"
    assert (reply.code, reply.remark) == (ResponseCode.FILTER_DATA_NOT_EXIST, remark)
    assert [record.message for record in caplog.records if "not registered" in record.message] == [
        "filter not registered group=g topic=t reason=invalid SQL92 expression at line 1, column 4: "
        "the expression ends too early, expected a property, a constant, '('"
    ]


def test_a_subscription_that_turns_bad_loses_its_filter(sql: Any) -> None:
    fill(sql)
    subscribe(sql, "n = 1", version=1)
    subscribe(sql, "n =", version=2)
    assert sql.pull(**FROM_HEARTBEAT).code == ResponseCode.FILTER_DATA_NOT_EXIST


def test_a_client_that_knows_a_newer_filter_is_told_to_wait(sql: Any) -> None:
    subscribe(sql, "n = 1", version=5)
    assert sql.pull(sys_flag=0, sub_version=6).code == ResponseCode.SUBSCRIPTION_NOT_LATEST
    sql.broker.clients.consumer_group("g").subscriptions["t"] = SubscriptionData(
        topic="t", sub_string="n = 2", expression_type="SQL92", sub_version=6
    )
    reply = sql.pull(sys_flag=0, sub_version=6)
    assert (reply.code, reply.remark) == (28, "the consumer's consumer filter data not latest")


def test_the_newest_expression_of_a_group_counts(sql: Any, read: Read) -> None:
    fill(sql)
    subscribe(sql, "n = 1", version=1)
    subscribe(sql, "n = 2", version=3)
    subscribe(sql, "n = 4", version=2)
    assert bodies(sql.pull(sys_flag=0, sub_version=3), read) == [b"2"]


def test_a_subscription_by_a_class_is_refused(sql: Any) -> None:
    subscribe(sql, "class A {}", kind="TAG", class_filter_mode=True)
    reply = sql.pull(**FROM_HEARTBEAT)
    remark = "The broker does not support consumer to filter message by a class: there are no filter servers"
    assert (reply.code, reply.remark) == (ResponseCode.SYSTEM_ERROR, remark)


def test_an_expression_is_compiled_once_and_kept_while_there_is_room(sql: Any) -> None:
    compiled = sql.broker.filters.compiled
    subscribe(sql, "n = 1")
    first = compiled.get("SQL92", "n = 1")
    assert sql.broker.filters.filter_of(sql.broker.filters.find("t", "g")) is first
    refusal_of(compiled, "n =")
    bad = compiled._kept["SQL92", "n ="]
    refusal_of(compiled, "n =")
    assert compiled._kept["SQL92", "n ="] is bad
    for number in range(100):
        compiled.get("SQL92", f"n = {number} OR TRUE".ljust(16_000))
        assert compiled.get("SQL92", "n = 1") is first, "what is used stays"
    refusal_of(compiled, "n =")
    assert compiled._kept["SQL92", "n ="] is not bad
    assert compiled._length == sum(len(expression) for _, expression in compiled._kept) < 600_000


def test_a_heartbeat_with_many_new_expressions_is_taken_over_step_by_step(sql: Any) -> None:
    wanted = [
        SubscriptionData(
            topic=f"t{index}", sub_string=f"n = {index}".ljust(16_000), expression_type="SQL92", sub_version=1
        )
        for index in range(10)
    ]
    heartbeat = HeartbeatData(
        client_id="c1", consumer_data_set=[ConsumerData(group_name="g", subscription_data_set=wanted)]
    )
    counts = []
    for _ in range(4):
        sql.ask(RequestCode.HEART_BEAT, body=heartbeat.encode(), language="JAVA")
        counts.append(sum(sql.broker.filters.find(data.topic, "g") is not None for data in wanted))
    assert counts == [4, 8, 10, 10]


def test_an_expression_that_is_too_long_is_not_kept(sql: Any) -> None:
    compiled = sql.broker.filters.compiled
    refusal_of(compiled, "n = 1".ljust(10_000_000))
    assert compiled._length == 0


def refusal_of(compiled: Any, expression: str) -> FilterError:
    with pytest.raises(FilterError) as caught:
        compiled.get("SQL92", expression)
    return caught.value


@pytest.mark.parametrize(("supported", "delivered"), [(False, [b"1", b"2", b"other"]), (True, [b"1", b"other"])])
def test_retried_messages_are_filtered_if_the_broker_is_told_so(
    make_rig: Callable[..., Any], read: Read, supported: bool, delivered: list[bytes]
) -> None:
    rig = make_rig(enable_property_filter=True, filter_support_retry=supported)
    rig.create_topic()
    subscribe(rig, "n = 1")
    rig.create_topic("%RETRY%g")
    for number in (b"1", b"2"):
        rig.send("%RETRY%g", body=number, properties={"RETRY_TOPIC": "t", "n": number.decode()})
    rig.send("%RETRY%g", body=b"other", properties={"RETRY_TOPIC": "elsewhere"})
    assert bodies(rig.pull("%RETRY%g"), read) == delivered


class TestHeldPulls:
    """Long polling with a filter."""

    HELD: Any = INLINE | {"sys_flag": 4 | 2}

    async def test_only_a_message_that_matches_wakes_a_pull(self, sql: Any, nursery: trio.Nursery, read: Read) -> None:
        nursery.start_soon(sql.broker.held_pulls.answer_due_pulls)
        assert isinstance(sql.pull(subscription="n > 5", **self.HELD), Hold)
        for number in range(5):
            sql.send(properties={"n": str(number)})
        await trio.testing.wait_all_tasks_blocked()
        assert sql.connection.replies == []
        sql.send(body=b"woken", properties={"n": "6"})
        await trio.testing.wait_all_tasks_blocked()
        ((_, reply),) = sql.connection.replies
        assert (bodies(reply, read), reply.header.next_begin_offset) == ([b"woken"], 6)
        nursery.cancel_scope.cancel()

    async def test_a_part_of_a_batch_wakes_it_too(self, sql: Any, nursery: trio.Nursery, read: Read) -> None:
        nursery.start_soon(sql.broker.held_pulls.answer_due_pulls)
        sql.pull(subscription="n = 2", **self.HELD)
        parts = [BatchPart(0, b"%d" % number, b"n\x01%d\x02" % number) for number in range(4)]
        sql.send(code=RequestCode.SEND_BATCH_MESSAGE, batch=True, body=encode_batch(parts))
        await trio.testing.wait_all_tasks_blocked()
        ((_, reply),) = sql.connection.replies
        assert bodies(reply, read) == [b"2"]
        nursery.cancel_scope.cancel()

    async def test_a_new_expression_ends_the_wait_for_what_the_old_one_wanted(
        self, sql: Any, nursery: trio.Nursery, read: Read
    ) -> None:
        nursery.start_soon(sql.broker.held_pulls.answer_due_pulls)
        subscribe(sql, "n = 1", version=1)
        sql.pull(sys_flag=2, sub_version=1)
        subscribe(sql, "n = 1", version=2)
        sql.send(body=b"two", properties={"n": "2"})
        await trio.testing.wait_all_tasks_blocked()
        assert sql.connection.replies == []
        subscribe(sql, "n = 2", version=3)
        await trio.testing.wait_all_tasks_blocked()
        ((_, reply),) = sql.connection.replies
        assert bodies(reply, read) == [b"two"]
        nursery.cancel_scope.cancel()


class TestFile:
    """`config/consumerFilter.json`."""

    def test_it_has_apaches_form(self, sql: Any) -> None:
        subscribe(sql, "n = 1", version=7)
        assert saved(sql) == {
            "filterDataByTopic": {
                "t": {
                    "groupFilterData": {
                        "g": {
                            "bloomFilterData": {
                                "bitNum": 112,
                                "bitPos": sql.broker.filters._bloom.bit_positions("g#t"),
                            },
                            "bornTime": sql.clock.now_ms,
                            "clientVersion": 7,
                            "consumerGroup": "g",
                            "dead": False,
                            "deadTime": 0,
                            "expression": "n = 1",
                            "expressionType": "SQL92",
                            "topic": "t",
                        }
                    },
                    "topic": "t",
                }
            }
        }

    def test_a_file_of_apaches_is_read_and_written_alike(self, sql: Any, tmp_path: Path) -> None:
        """Written by a broker of 4.5.2 while Java clients ran the cases of tests/interop."""
        text = GOLDEN_FILE.read_text()
        wrapper = ConsumerFilterWrapper.decode(text)
        assert json.loads(fastjson.dumps(wrapper, pretty=True)) == json.loads(text)
        (tmp_path / "f.json").write_text(text)
        filters = ConsumerFilters(ConfigFile(tmp_path / "f.json"), sql.config, sql.clock, Budget("filters", 9))
        for topic, by_group in wrapper.filter_data_by_topic.items():
            for group, data in by_group.group_filter_data.items():
                found = filters.find(topic, group)
                assert found is not None
                assert (found.expression, found.client_version) == (data.expression, data.client_version)
                assert filters.describe(found) == data

    def test_tools_are_shown_it(self, sql: Any) -> None:
        sql.send()
        subscribe(sql, "n = 1")
        header = QueryConsumeQueueRequestHeader(topic="t", queue_id=0, index=0, count=1, consumer_group="g")
        reply = sql.ask(RequestCode.QUERY_CONSUME_QUEUE, header)
        shown = json.loads(QueryConsumeQueueResponseBody.decode(reply.body).filter_data)
        assert shown == saved(sql)["filterDataByTopic"]["t"]["groupFilterData"]["g"]

    def test_what_did_not_change_is_not_written(self, sql: Any) -> None:
        assert sql.broker.filters.take_changes() is None
        subscribe(sql, "n = 1")
        saved(sql)
        subscribe(sql, "n = 1")
        assert sql.broker.filters.take_changes() is None

    def test_a_restart_remembers_filters_as_dead(self, sql: Any) -> None:
        subscribe(sql, "n = 1", version=7)
        sql.clock.now_ms += 100_000
        again = sql.reopen()
        found = again.broker.filters.find("t", "g")
        assert (found.expression, found.client_version) == ("n = 1", 7)
        assert found.is_dead
        assert found.dead_time == sql.clock.now_ms - 30_000
        subscribe(again, "n = 1", version=7)
        assert not again.broker.filters.find("t", "g").is_dead
        again.close()

    def test_a_group_that_left_is_dead_and_forgotten_after_a_day(self, sql: Any) -> None:
        subscribe(sql, "n = 1")
        leave(sql)
        dead = saved(sql)["filterDataByTopic"]["t"]["groupFilterData"]["g"]
        assert (dead["dead"], dead["deadTime"]) == (True, sql.clock.now_ms)
        sql.clock.now_ms += DAY_MS - 1
        assert sql.broker.filters.take_changes() is None
        sql.clock.now_ms += 1
        assert saved(sql) == {"filterDataByTopic": {}}

    def test_a_topic_that_is_no_longer_subscribed_is_dead(self, sql: Any) -> None:
        subscribe(sql, "n = 1")
        subscribe(sql, "n = 1", topic="u")
        groups = saved(sql)["filterDataByTopic"]
        assert [groups[topic]["groupFilterData"]["g"]["dead"] for topic in "tu"] == [True, False]

    def test_an_entry_that_does_not_compile_counts_as_missing(self, sql: Any, tmp_path: Path) -> None:
        subscribe(sql, "n = 1")
        text = json.dumps(saved(sql)).replace("n = 1", "n = ")
        (tmp_path / "f.json").write_text(text)
        filters = ConsumerFilters(ConfigFile(tmp_path / "f.json"), sql.config, sql.clock, Budget("filters", 9))
        assert filters.filter_of(filters.find("t", "g")) is None
