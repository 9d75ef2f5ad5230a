"""What a broker says about itself in GET_BROKER_RUNTIME_INFO: Apache's keys, then those of replication.

Java's tools (clusterList, brokerStatus) and consoles parse Apache's keys and fail without them. Rates, daily totals,
put times and waiting times are not measured here and say 0.
Source: AdminBrokerProcessor#prepareRuntimeInfo, StoreStatsService#getRuntimeInfo (RocketMQ 4.5.2).
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rmqnode.broker import system_topics

if TYPE_CHECKING:
    from rmqnode.broker.state import Broker

_NOT_MEASURED: Final = (
    "putMessageEntireTimeMax", "getMessageEntireTimeMax", "putMessageSizeTotal", "dispatchMaxBuffer",
    "pageCacheLockTimeMills", "msgPutTotalYesterdayMorning", "msgPutTotalTodayMorning", "msgPutTotalTodayNow",
    "msgGetTotalYesterdayMorning", "msgGetTotalTodayMorning", "msgGetTotalTodayNow", "sendThreadPoolQueueSize",
    "pullThreadPoolQueueSize", "queryThreadPoolQueueSize", "EndTransactionQueueSize",
    "sendThreadPoolQueueHeadWaitTimeMills", "pullThreadPoolQueueHeadWaitTimeMills",
    "queryThreadPoolQueueHeadWaitTimeMills",
)  # fmt: skip
_TPS: Final = ("putTps", "getFoundTps", "getMissTps", "getTotalTps", "getTransferedTps", "getTransferredTps")
"""The one before the last is 4.x's spelling, the last 5.x's; tools of either fail without theirs."""
_CONSTANT: Final = {
    "brokerVersionDesc": "V4_5_2",
    "brokerVersion": "317",
    # Java says 1 when nothing was put, so that nobody divides by 0.
    "putMessageTimesTotal": "1",
    "putMessageAverageSize": "0.0",
    "putMessageDistributeTime": "".join(
        f"[{span}]:0 "
        for span in (
            "<=0ms", "0~10ms", "10~50ms", "50~100ms", "100~200ms", "200~500ms", "500ms~1s", "1~2s", "2~3s", "3~4s",
            "4~5s", "5~10s", "10s~",
        )
    ),
    "sendThreadPoolQueueCapacity": "10000",
    "pullThreadPoolQueueCapacity": "100000",
    "queryThreadPoolQueueCapacity": "20000",
    "EndTransactionThreadPoolQueueCapacity": "100000",
    "remainTransientStoreBufferNumbs": "2147483647",
}  # fmt: skip


def runtime_info(broker: "Broker") -> dict[str, str]:
    """Return the table of a broker as it is now; every value is text."""
    return {
        **dict.fromkeys(_NOT_MEASURED, "0"),
        **dict.fromkeys(_TPS, "0.0 0.0 0.0"),
        **_CONSTANT,
        **_life(broker),
        **_log(broker),
        **_disk(broker),
        **_delayed(broker),
        **_replication(broker),
    }


def _life(broker: "Broker") -> dict[str, str]:
    seconds = max(0, broker.clock_ms() - broker.boot_timestamp_ms) // 1000
    days, hours, minutes = seconds // 86_400, seconds // 3600 % 24, seconds // 60 % 60
    return {
        "bootTimestamp": str(broker.boot_timestamp_ms),
        "runtime": f"[ {days} days, {hours} hours, {minutes} minutes, {seconds % 60} seconds ]",
        "startAcceptSendRequestTimeStamp": str(broker.config.start_accept_send_request_timestamp_ms),
    }


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
    total, free = disk.f_frsize * disk.f_blocks, disk.f_frsize * disk.f_bavail
    return {
        "commitLogDiskRatio": _disk_ratio(config.store_path_commit_log),
        "consumeQueueDiskRatio": _disk_ratio(config.store_path_root_dir),
        "commitLogDirCapacity": f"Total : {_readable_size(total)}, Free : {_readable_size(free)}.",
    }


def _disk_ratio(folder: Path) -> str:
    try:
        disk = os.statvfs(folder)
    except OSError:
        return "-1.0"
    return repr(1 - disk.f_bavail / max(1, disk.f_blocks))


def _delayed(broker: "Broker") -> dict[str, str]:
    return {
        f"scheduleMessageOffset_{level}": f"{offset},{broker.store.max_offset(system_topics.SCHEDULE_TOPIC, level - 1)}"
        for level, offset in sorted(broker.delayed_delivery.offsets.items())
    }


def _replication(broker: "Broker") -> dict[str, str]:
    """Ours: what `rmqctl status` shows of a pair."""
    replication = broker.replication
    table = {"brokerRole": broker.config.broker_role.value}
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
        "haSlaveAckOffset": str(max((link.stream.confirmed_offset for link in links), default=-1)),
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
