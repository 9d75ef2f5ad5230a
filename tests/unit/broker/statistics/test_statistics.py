"""What a broker counts, and the figures that tools make of it."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from rmqnode.broker.runtime_info import runtime_info
from rmqnode.broker.statistics.counting import next_morning_ms
from rmqnode.broker.statistics.items import ITEMS_MAX, StatsTable
from rmqnode.broker.statistics.topic_puts import TopicPuts
from rmqnode.protocol.bodies import (
    BrokerStatsData,
    BrokerStatsItem,
    ConsumeStats,
    ConsumeStatsList,
    MessageQueue,
    OffsetWrapper,
    QueryConsumeTimeSpanBody,
    SubscriptionGroupConfig,
)
from rmqnode.protocol.codes import RequestCode, ResponseCode
from rmqnode.protocol.headers import GetConsumeStatsRequestHeader, TopicRequestHeader
from rmqnode.protocol.headers.administration import (
    GetConsumeStatsInBrokerRequestHeader,
    QueryConsumeTimeSpanRequestHeader,
    ViewBrokerStatsDataRequestHeader,
)
from rmqnode.store.put_times import SPANS, PutTimes

MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS


def let_pass(rig: Any, seconds: int) -> None:
    """Move the clock in steps of a sample."""
    for _ in range(seconds // 10):
        rig.clock.now_ms += 10_000
        rig.broker.statistics.sample()


def stats(rig: Any, name: str, key: str) -> Any:
    reply = rig.ask(RequestCode.VIEW_BROKER_STATS_DATA, ViewBrokerStatsDataRequestHeader(name, key))
    return reply.remark if reply.code else BrokerStatsData.decode(reply.body)


def rates(rig: Any, key: str) -> list[float]:
    return [float(rate) for rate in runtime_info(rig.broker)[key].split(" ")]


def send(rig: Any, count: int, topic: str = "t", **fields: Any) -> None:
    for _ in range(count):
        assert rig.send(topic, **fields).code == 0


# --- runtime info ---


def test_a_broker_that_nobody_uses_says_zero(rig: Any) -> None:
    let_pass(rig, 700)
    info = runtime_info(rig.broker)
    for key in ("putTps", "getFoundTps", "getMissTps", "getTotalTps", "getTransferedTps", "getTransferredTps"):
        assert info[key] == "0.0 0.0 0.0"
    assert (info["putMessageTimesTotal"], info["putMessageSizeTotal"], info["putMessageAverageSize"]) == (
        "1",
        "0",
        "0.0",
    )
    assert info["putMessageDistributeTime"] == "".join(f"[{span}]:0 " for span in SPANS)


def test_rates_are_those_of_the_last_ten_seconds_minute_and_ten_minutes(rig: Any) -> None:
    let_pass(rig, 600)
    send(rig, 120)
    let_pass(rig, 50)
    send(rig, 30)
    let_pass(rig, 10)
    assert rates(rig, "putTps") == [3.0, 2.5, 0.25]
    let_pass(rig, 10)
    assert rates(rig, "putTps")[:2] == [0.0, 0.5]


def test_a_young_broker_counts_from_its_start(rig: Any) -> None:
    send(rig, 8)
    assert rates(rig, "putTps") == [8.0, 8.0, 8.0]
    rig.clock.now_ms += 4000
    assert rates(rig, "putTps") == [2.0, 2.0, 2.0]


def test_pulls_are_counted_by_what_they_found(rig: Any) -> None:
    send(rig, 5)
    let_pass(rig, 10)
    rig.pull()
    rig.pull(queue_offset=2)
    rig.pull(queue_offset=5)
    rig.clock.now_ms += 10_000
    assert rates(rig, "getFoundTps")[0] == 0.2
    assert rates(rig, "getMissTps")[0] == 0.1
    assert rates(rig, "getTotalTps")[0] == pytest.approx(0.3)
    assert rates(rig, "getTransferedTps")[0] == rates(rig, "getTransferredTps")[0] == 0.8


def test_totals_and_sizes_are_those_since_the_start(make_rig: Callable[..., Any]) -> None:
    rig = make_rig()
    send(rig, 3, body=b"x" * 100)
    size = rig.store.wrote_offset
    again = rig.reopen()
    assert runtime_info(again.broker)["putMessageSizeTotal"] == "0"
    send(again, 2, body=b"x" * 100)
    info = runtime_info(again.broker)
    assert info["putMessageTimesTotal"] == "2"
    assert int(info["putMessageSizeTotal"]) == again.store.wrote_offset - size
    assert float(info["putMessageAverageSize"]) == (again.store.wrote_offset - size) / 2
    again.close()


def test_a_day_ends_at_midnight(rig: Any) -> None:
    def totals() -> list[int]:
        info = runtime_info(rig.broker)
        return [int(info[f"msg{what}Total{when}"]) for what in ("Put", "Get") for when in whens]

    whens = ("YesterdayMorning", "TodayMorning", "TodayNow")
    send(rig, 4)
    rig.pull()
    assert totals() == [0, 0, 4, 0, 0, 4]
    rig.clock.now_ms = next_morning_ms(rig.clock.now_ms) + 5000
    let_pass(rig, 10)
    send(rig, 1)
    assert totals() == [0, 4, 5, 0, 4, 4]
    rig.clock.now_ms = next_morning_ms(rig.clock.now_ms)
    let_pass(rig, 20)
    assert totals() == [4, 5, 5, 4, 4, 4]


def test_the_next_morning_is_midnight_on_this_machine() -> None:
    for now_ms in (1_700_000_000_000, 1_711_900_000_000, 1_730_000_000_000):
        morning_ms = next_morning_ms(now_ms)
        assert time.localtime(morning_ms / 1000)[3:6] == (0, 0, 0)
        assert 0 < morning_ms - now_ms <= 25 * 60 * MINUTE_MS


def test_a_delay_level_is_told_before_its_first_message_was_due(rig: Any) -> None:
    send(rig, 2, properties={"DELAY": "16"})
    rig.broker.delayed_delivery.offsets[3] = 5
    info = runtime_info(rig.broker)
    levels = {key: value for key, value in info.items() if key.startswith("scheduleMessageOffset")}
    assert levels == {"scheduleMessageOffset_3": "5,0", "scheduleMessageOffset_16": "0,2"}


def test_put_times_are_those_of_the_running_minute(rig: Any) -> None:
    def counts() -> list[int]:
        text = runtime_info(rig.broker)["putMessageDistributeTime"]
        return [int(part.rpartition(":")[2]) for part in text.split()]

    send(rig, 10)
    assert sum(counts()) == 10
    rig.store.put_times.note(0.3)
    assert (counts()[5], runtime_info(rig.broker)["putMessageEntireTimeMax"]) == (1, "300")
    let_pass(rig, 60)
    assert sum(counts()) == 0
    send(rig, 1)
    assert sum(counts()) == 1
    assert runtime_info(rig.broker)["putMessageEntireTimeMax"] == "300"


@pytest.mark.parametrize(
    ("seconds", "span"),
    [(0.0, "<=0ms"), (0.0009, "<=0ms"), (0.001, "0~10ms"), (0.0099, "0~10ms"), (0.01, "10~50ms"), (0.999, "500ms~1s"),
     (1.0, "1~2s"), (9.9, "5~10s"), (10.0, "10s~"), (99.0, "10s~")],
)  # fmt: skip
def test_a_put_time_belongs_to_apaches_span(seconds: float, span: str) -> None:
    times = PutTimes()
    times.note(seconds)
    assert [name for name, count in zip(SPANS, times.counts, strict=True) if count] == [span]


# --- counting puts ---


def test_puts_are_counted_by_topic_with_their_sizes(rig: Any) -> None:
    puts = TopicPuts(rig.store)
    send(rig, 2, "a", body=b"x" * 50)
    send(rig, 1, "a", body=b"x" * 50, queue_id=1)
    send(rig, 4, "b")
    counts, sizes = puts.take()
    assert counts == {"a": 3, "b": 4}
    units = [rig.store.unit("a", queue_id, offset) for queue_id, offset in ((0, 0), (0, 1), (1, 0))]
    assert sizes["a"] == sum(unit[1] for unit in units)
    assert puts.take() == ({}, {})
    assert puts.total == 7


def test_what_was_stored_before_does_not_count(rig: Any) -> None:
    send(rig, 3)
    puts = TopicPuts(rig.store)
    send(rig, 2)
    assert puts.take()[0] == {"t": 2}


def test_a_topic_that_was_deleted_and_comes_again_counts_from_its_new_beginning(rig: Any) -> None:
    puts = TopicPuts(rig.store)
    send(rig, 5)
    puts.take()
    rig.ask(RequestCode.DELETE_TOPIC_IN_BROKER, TopicRequestHeader("t"))
    assert puts.take()[0] == {}
    send(rig, 2)
    assert puts.take()[0] == {"t": 2}


def test_sizes_of_very_many_messages_are_estimated(rig: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rmqnode.broker.statistics.topic_puts._SIZES_READ_MAX", 4)
    puts = TopicPuts(rig.store)
    send(rig, 10, body=b"x" * 50)
    counts, sizes = puts.take()
    assert sizes["t"] == counts["t"] * rig.store.unit("t", 0, 0)[1]


# --- VIEW_BROKER_STATS_DATA ---


def test_a_stats_item_exists_once_something_was_counted(rig: Any) -> None:
    assert stats(rig, "TOPIC_PUT_NUMS", "t") == "The stats <TOPIC_PUT_NUMS> <t> not exist"
    assert stats(rig, "NO_SUCH_STATS", "t") == "The stats <NO_SUCH_STATS> <t> not exist"
    send(rig, 6)
    expected = BrokerStatsItem(sum=6, tps=6.0, avgpt=1.0)
    assert stats(rig, "TOPIC_PUT_NUMS", "t") == BrokerStatsData(
        stats_minute=expected, stats_hour=expected, stats_day=expected
    )
    assert stats(rig, "BROKER_PUT_NUMS", "DefaultCluster").stats_day.sum == 6
    assert stats(rig, "TOPIC_PUT_SIZE", "t").stats_day.sum == rig.store.wrote_offset


def test_a_group_is_counted_by_topic(rig: Any) -> None:
    send(rig, 5)
    rig.pull()
    rig.pull(queue_offset=3)
    minute = stats(rig, "GROUP_GET_NUMS", "t@g").stats_minute
    assert (minute.sum, minute.avgpt) == (7, 3.5)
    assert stats(rig, "GROUP_GET_SIZE", "t@g").stats_minute.sum == 7 * rig.store.wrote_offset // 5
    assert stats(rig, "BROKER_GET_NUMS", "DefaultCluster").stats_minute.sum == 7


def test_the_spans_are_a_minute_an_hour_and_a_day(rig: Any) -> None:
    send(rig, 60)
    let_pass(rig, 120)
    data = stats(rig, "TOPIC_PUT_NUMS", "t")
    assert (data.stats_minute.sum, data.stats_hour.sum, data.stats_day.sum) == (0, 60, 60)
    assert data.stats_hour.tps == pytest.approx(0.5, abs=0.05)
    send(rig, 6)
    let_pass(rig, 2 * 3600)
    data = stats(rig, "TOPIC_PUT_NUMS", "t")
    assert (data.stats_minute.sum, data.stats_hour.sum, data.stats_day.sum) == (0, 0, 66)


def test_an_item_that_stands_still_for_a_day_is_forgotten(rig: Any) -> None:
    send(rig, 1)
    assert stats(rig, "TOPIC_PUT_NUMS", "t").stats_day.sum == 1
    let_pass(rig, 27 * 3600)
    assert stats(rig, "TOPIC_PUT_NUMS", "t") == "The stats <TOPIC_PUT_NUMS> <t> not exist"
    send(rig, 2)
    assert stats(rig, "TOPIC_PUT_NUMS", "t").stats_day.sum == 2


def test_the_number_of_items_is_bounded() -> None:
    table = StatsTable(lambda: 0)
    for index in range(ITEMS_MAX + 10):
        table.add("GROUP_GET_NUMS", f"t@{index}", 1, 1, 0)
    table.add("GROUP_GET_NUMS", "t@0", 1, 1, 0)
    first, beyond = table.data("GROUP_GET_NUMS", "t@0"), table.data("GROUP_GET_NUMS", f"t@{ITEMS_MAX}")
    assert (first.stats_day.sum if first else None, beyond) == (2, None)


# --- how far groups are ---


def test_consume_stats_say_how_fast_a_group_is(rig: Any) -> None:
    send(rig, 30)
    rig.pull(queue_offset=10)
    rig.broker.offsets.commit("g", "t", 0, 30)
    rig.clock.now_ms += 10_000
    reply = rig.ask(RequestCode.GET_CONSUME_STATS, GetConsumeStatsRequestHeader("g"))
    assert ConsumeStats.decode(reply.body).consume_tps == 2.0


def test_the_consume_stats_of_a_broker_have_every_group(rig: Any) -> None:
    rig.create_topic("t", read_queue_nums=1, write_queue_nums=1)
    rig.create_topic("ordered", read_queue_nums=1, write_queue_nums=1, order=True)
    send(rig, 5)
    send(rig, 2, "ordered")
    rig.broker.groups.put(SubscriptionGroupConfig(group_name="g"))
    for topic in ("t", "ordered", "gone"):
        rig.broker.offsets.commit("g", topic, 0, 1)

    def ask(is_order: bool) -> ConsumeStatsList:
        header = GetConsumeStatsInBrokerRequestHeader(is_order)
        return ConsumeStatsList.decode(rig.ask(RequestCode.GET_BROKER_CONSUME_STATS, header).body)

    everything = ask(False)
    (of_group,) = [each["g"] for each in everything.consume_stats_list if "g" in each]
    queues = {queue.topic: where for each in of_group for queue, where in each.offset_table.items()}
    assert queues.keys() == {"t", "ordered"}
    assert (queues["t"].broker_offset, queues["t"].consumer_offset) == (5, 1)
    assert queues["t"].last_timestamp == rig.clock.now_ms
    assert everything.total_diff == 5
    assert everything.broker_addr == "127.0.0.1:10911"
    assert [each for each in everything.consume_stats_list if "TOOLS_CONSUMER" in each] == [{"TOOLS_CONSUMER": []}]
    assert ask(True).total_diff == 1


def test_a_group_that_is_online_counts_where_it_subscribes(rig: Any) -> None:
    rig.create_topic("t")
    rig.create_topic("left")
    rig.heartbeat("g", topics={"t": "*"})
    rig.broker.offsets.commit("g", "left", 0, 1)
    reply = rig.ask(RequestCode.GET_CONSUME_STATS, GetConsumeStatsRequestHeader("g", "left"))
    assert ConsumeStats.decode(reply.body).offset_table == {}
    reply = rig.ask(RequestCode.GET_CONSUME_STATS, GetConsumeStatsRequestHeader("g", "t"))
    queue = MessageQueue(topic="t", broker_name="broker-a", queue_id=0)
    assert ConsumeStats.decode(reply.body).offset_table[queue] == OffsetWrapper(pull_offset=0)


def test_the_time_span_of_a_group_says_how_old_its_next_message_is(rig: Any) -> None:
    rig.create_topic("t", read_queue_nums=2, write_queue_nums=2)
    times = []
    for _ in range(3):
        rig.clock.now_ms += 1000
        times.append(rig.clock.now_ms)
        rig.send()
    rig.clock.now_ms += 5000

    def spans(group: str) -> Any:
        header = QueryConsumeTimeSpanRequestHeader("t", group)
        return QueryConsumeTimeSpanBody.decode(rig.ask(RequestCode.QUERY_CONSUME_TIME_SPAN, header).body)

    rig.broker.offsets.commit("g", "t", 0, 1)
    rig.broker.offsets.commit("done", "t", 0, 3)
    span, empty = spans("g").consume_time_span_set
    assert (span.min_time_stamp, span.max_time_stamp, span.consume_time_stamp) == (times[0], times[2], times[0])
    assert span.delay_time == rig.clock.now_ms - times[1]
    assert (empty.min_time_stamp, empty.max_time_stamp, empty.consume_time_stamp, empty.delay_time) == (-1, -1, -1, 0)
    done = spans("done").consume_time_span_set[0]
    assert (done.consume_time_stamp, done.delay_time) == (times[2], 0)
    new = spans("new").consume_time_span_set[0]
    assert (new.consume_time_stamp, new.delay_time) == (times[0], rig.clock.now_ms - times[0])


def test_the_time_span_of_an_unknown_topic_is_refused(rig: Any) -> None:
    reply = rig.ask(RequestCode.QUERY_CONSUME_TIME_SPAN, QueryConsumeTimeSpanRequestHeader("missing", "g"))
    assert (reply.code, reply.remark) == (ResponseCode.TOPIC_NOT_EXIST, "topic[missing] not exist")
