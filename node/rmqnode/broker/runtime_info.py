"""What a broker says about itself in GET_BROKER_RUNTIME_INFO: Apache's keys, then those of replication.

Java's tools (clusterList, brokerStatus) and consoles parse Apache's keys and fail without them; those of 5.x read some
that are not in 4.5.2.
Source: AdminBrokerProcessor#prepareRuntimeInfo, StoreStatsService#getRuntimeInfo (RocketMQ 4.5.2, 5.3.3).
"""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from rmqnode.broker import system_topics
from rmqnode.broker.statistics.counting import Totals
from rmqnode.store.disk import used_ratio
from rmqnode.store.put_times import SPANS

if TYPE_CHECKING:
    from rmqnode.broker.state import Broker

_NO_QUEUES: Final = tuple(
    f"{queue}{figure}"
    for queue, figures in (
        ("sendThreadPoolQueue", ("Size", "HeadWaitTimeMills")),
        ("pullThreadPoolQueue", ("Size", "HeadWaitTimeMills")),
        ("queryThreadPoolQueue", ("Size", "HeadWaitTimeMills")),
        ("litePullThreadPoolQueue", ("Size", "HeadWaitTimeMills")),
        ("ackThreadPoolQueue", ("Size", "HeadWaitTimeMills")),
        ("EndTransactionQueue", ("Size",)),
    )
    for figure in figures
)
"""Queues between threads: requests are handled where they are read, none ever waits."""
_CONSTANT: Final = {
    "brokerVersionDesc": "V4_5_2",
    "brokerVersion": "317",
    "sendThreadPoolQueueCapacity": "10000",
    "pullThreadPoolQueueCapacity": "100000",
    "queryThreadPoolQueueCapacity": "20000",
    "litePullThreadPoolQueueCapacity": "100000",
    "ackThreadPoolQueueCapacity": "100000",
    "EndTransactionThreadPoolQueueCapacity": "100000",
    "remainTransientStoreBufferNumbs": "2147483647",
    # Reads are not timed; there is no lock around puts, no queue of dispatched ones and no timer wheel.
    "getMessageEntireTimeMax": "0",
    "pageCacheLockTimeMills": "0",
    "dispatchMaxBuffer": "0",
    "timerReadBehind": "0",
    "timerOffsetBehind": "0",
    "timerCongestNum": "0",
    "timerEnqueueTps": "0.0",
    "timerDequeueTps": "0.0",
}


def runtime_info(broker: "Broker") -> dict[str, str]:
    """Return the table of a broker as it is now; every value is text."""
    totals = broker.statistics.totals()
    return {
        **dict.fromkeys(_NO_QUEUES, "0"),
        **_CONSTANT,
        **_life(broker),
        **_puts(broker, totals),
        **_rates(broker, totals),
        **_days(broker, totals),
        **_log(broker),
        **_disk(broker),
        **_delayed(broker),
        **_replication(broker),
        **broker.meter.table(),
        **broker.budgets.table(),
        **broker.limitations.table(),
    }


def _life(broker: "Broker") -> dict[str, str]:
    seconds = max(0, broker.clock_ms() - broker.boot_timestamp_ms) // 1000
    days, hours, minutes = seconds // 86_400, seconds // 3600 % 24, seconds // 60 % 60
    return {
        "bootTimestamp": str(broker.boot_timestamp_ms),
        "runtime": f"[ {days} days, {hours} hours, {minutes} minutes, {seconds % 60} seconds ]",
        "startAcceptSendRequestTimeStamp": str(broker.config.start_accept_send_request_timestamp_ms),
    }


def _puts(broker: "Broker", totals: Totals) -> dict[str, str]:
    statistics = broker.statistics
    # Java says 1 when nothing was put, so that nobody divides by 0.
    puts = totals.puts or 1
    times = zip(SPANS, statistics.put_time_counts(totals), strict=True)
    return {
        "putMessageEntireTimeMax": str(broker.store.put_times.max_ms),
        "putMessageTimesTotal": str(puts),
        "putMessageSizeTotal": str(statistics.put_bytes),
        "putMessageAverageSize": repr(statistics.put_bytes / puts),
        "putMessageDistributeTime": "".join(f"[{span}]:{count} " for span, count in times),
    }


def _rates(broker: "Broker", totals: Totals) -> dict[str, str]:
    def rates(count: Callable[[Totals], int]) -> str:
        return broker.statistics.rates(totals, count)

    transferred = rates(lambda each: each.gets)
    return {
        "putTps": rates(lambda each: each.puts),
        "getFoundTps": rates(lambda each: each.gets_found),
        "getMissTps": rates(lambda each: each.gets_missed),
        "getTotalTps": rates(lambda each: each.gets_found + each.gets_missed),
        # 4.x's spelling, then 5.x's; tools of either fail without theirs.
        "getTransferedTps": transferred,
        "getTransferredTps": transferred,
    }


def _days(broker: "Broker", totals: Totals) -> dict[str, str]:
    statistics = broker.statistics
    mornings = {
        "YesterdayMorning": statistics.yesterday_morning,
        "TodayMorning": statistics.today_morning,
        "TodayNow": totals,
    }
    puts = {f"msgPutTotal{when}": str(each.puts) for when, each in mornings.items()}
    return puts | {f"msgGetTotal{when}": str(each.gets) for when, each in mornings.items()}


def _log(broker: "Broker") -> dict[str, str]:
    store = broker.store
    return {
        "commitLogMinOffset": str(store.log_min_offset),
        "commitLogMaxOffset": str(store.wrote_offset),
        "dispatchBehindBytes": str(store.wrote_offset - store.dispatched_offset),
        "remainHowManyDataToFlush": _readable_size(store.wrote_offset - store.flushed_offset),
        "earliestMessageTimeStamp": str(store.earliest_message_time),
        "lastStoreTimestamp": str(store.last_store_timestamp),
    }


def _disk(broker: "Broker") -> dict[str, str]:
    config = broker.config
    disk = os.statvfs(config.store_path_root_dir)
    total, free = disk.f_frsize * disk.f_blocks, disk.f_frsize * disk.f_bfree
    return {
        "commitLogDiskRatio": repr(used_ratio(config.store_path_commit_log)),
        "consumeQueueDiskRatio": repr(used_ratio(config.store_path_root_dir / "consumequeue")),
        "commitLogDirCapacity": f"Total : {_readable_size(total)}, Free : {_readable_size(free)}.",
    }


def _delayed(broker: "Broker") -> dict[str, str]:
    """How far each delay level is and where its queue ends; also of a level that has only waited so far.

    And how many messages could not be delivered, when there are any; ours alone.
    """
    offsets = broker.delayed_delivery.offsets
    ends = {
        level: broker.store.max_offset(system_topics.SCHEDULE_TOPIC, level - 1)
        for level in sorted({*offsets, *range(1, broker.delay_levels.level_max + 1)})
    }
    table = {
        f"scheduleMessageOffset_{level}": f"{offsets.get(level, 0)},{end}"
        for level, end in ends.items()
        if end or level in offsets
    }
    kept = system_topics.UNDELIVERED_TOPIC
    undelivered = broker.store.max_offset(kept, 0) - broker.store.min_offset(kept, 0)
    return table | {"undeliveredMessages": str(undelivered)} if undelivered else table


def _replication(broker: "Broker") -> dict[str, str]:
    """What `rmqctl status` shows of a pair; ours, but for the first."""
    replication = broker.replication
    table = {
        # Of 5.x: whether it does what only a master does.
        "brokerActive": "false" if broker.config.is_slave else "true",
        "brokerRole": broker.config.broker_role.value,
    }
    if broker.config.is_slave:
        master = replication.master
        table |= {
            "haState": master.state.value,
            "haProblem": master.problem or "",
            "haMasterAddress": master.ha_address or "",
        }
    links = replication.slaves.links
    return table | {
        "haSlaveCount": str(len(links)),
        "haRefusedConnections": str(replication.admission.refused_count),
        "haSlaveAckOffset": str(max((link.stream.known_offset for link in links), default=-1)),
    }


def _readable_size(size_bytes: float) -> str:
    """Write a size as Java's `MessageStoreConfig` tools do: `0 B`, `1.5 KiB`."""
    if size_bytes < 1024:
        return f"{size_bytes:.0f} B"
    units = ["PiB", "TiB", "GiB", "MiB", "KiB"]
    size_bytes /= 1024
    while size_bytes >= 1024 and len(units) > 1:
        size_bytes /= 1024
        units.pop()
    return f"{size_bytes:.1f} {units[-1]}"
