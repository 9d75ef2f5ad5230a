"""`BrokerConfig`: every broker key that this engine acts on, with its default and bounds.

Knows nothing of files; `load` builds it from text. Keys that are known but have no field here: `unused_keys`
and `refused_keys`. A field that names no `AT_ONCE` or `AT_RESTART` never changes from the network.

Source: `BrokerConfig`, `MessageStoreConfig` and `NettyServerConfig` (RocketMQ 4.5.2).
"""

# ruff: noqa: RUF009  (prop() declares a field, it is not evaluated per instance)

import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from rmqnode.config import kinds
from rmqnode.config.limits import BrokerLimits
from rmqnode.config.setting import AT_ONCE, AT_RESTART, DERIVED, prop

GIB = 1024**3
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
_YEAR_2100_MS = 4_102_444_800_000

MESSAGE_SIZE_BYTES_MAX = 15 * 1024 * 1024
"""A frame has 16 MiB at most, on our side and on clients', and a message travels with its properties and a header."""


class BrokerRole(StrEnum):
    """What a broker is to its replicas."""

    ASYNC_MASTER = "ASYNC_MASTER"
    """Confirms a message once it is in its own log."""
    SYNC_MASTER = "SYNC_MASTER"
    """Confirms a message once a slave has it too."""
    SLAVE = "SLAVE"
    """Copies a master; takes no messages from producers."""


class FlushDiskType(StrEnum):
    """When a message counts as stored."""

    SYNC_FLUSH = "SYNC_FLUSH"
    """After fsync."""
    ASYNC_FLUSH = "ASYNC_FLUSH"
    """Once it is in the page cache; fsync follows on a timer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BrokerConfig(BrokerLimits):
    """Configuration of one broker. Durations in ms, sizes in bytes, unless the name says otherwise."""

    # Who and where it is.
    namesrv_addr: tuple[str, ...] = prop("namesrvAddr", (), kinds.addresses())
    """Nameservers to register with, `host:port` each. Empty: the broker is not announced anywhere."""
    broker_ip1: str | None = prop("brokerIP1", None, kinds.host())
    """Address that clients are told. None: to be detected at start."""
    broker_ip2: str | None = prop("brokerIP2", DERIVED, kinds.host())
    """Address that slaves are told. Default: `broker_ip1` (Java detects it anew, often a container bridge)."""
    broker_name: str = prop("brokerName", DERIVED, kinds.name())
    """Name shared by a master and its slaves. Default: the host name, else `DEFAULT_BROKER`."""
    broker_cluster_name: str = prop("brokerClusterName", "DefaultCluster", kinds.name())
    """Cluster the broker belongs to."""
    broker_id: int = prop("brokerId", 0, kinds.integer(0, kinds.LONG_MAX))
    """0 for the master of a broker name, above 0 for its slaves."""
    broker_role: BrokerRole = prop("brokerRole", BrokerRole.ASYNC_MASTER, kinds.member(BrokerRole))
    """Master (confirming alone or with a slave) or slave."""
    broker_permission: int = prop("brokerPermission", 6, kinds.integer(0, 15), AT_ONCE)
    """Permission of the whole broker: 4 read, 2 write, 6 both."""
    broker_config_path: Path | None = prop("brokerConfigPath", None, kinds.path())
    """File that the broker was started with; changes of a running broker are kept beside it."""
    region_id: str = prop("regionId", "DefaultRegion", kinds.text(), AT_ONCE)
    """`MSG_REGION` of send responses."""

    # Sockets.
    listen_port: int = prop("listenPort", 10911, kinds.integer(1, 65535))
    """Port for clients. The VIP port is 2 below, the HA port 1 above."""
    bind_address: tuple[str, ...] = prop("bindAddress", ("0.0.0.0",), kinds.bind_addresses())
    """Addresses to listen on (a key of 5.3; 4.x ignores it and listens on all)."""
    server_channel_max_idle_time_seconds: int = prop(
        "serverChannelMaxIdleTimeSeconds", 120, kinds.integer(30, 86_400), AT_RESTART
    )
    """A connection without traffic for so long is closed, in seconds."""

    # Registration.
    register_broker_timeout_ms: int = prop(
        "registerBrokerTimeoutMills", 6000, kinds.duration_ms(100, 10 * MINUTE_MS), AT_RESTART
    )
    """How long the broker waits for its nameservers to answer a registration."""
    register_name_server_period_ms: int = prop(
        "registerNameServerPeriod", 30_000, kinds.duration_ms(0, HOUR_MS), AT_RESTART
    )
    """Time between two registrations; Apache's brokers keep it within 10 s and 60 s."""
    force_register: bool = prop("forceRegister", True, kinds.boolean(), AT_RESTART)
    """Register each period even if no topic changed."""
    compressed_register: bool = prop("compressedRegister", False, kinds.boolean(), AT_RESTART)
    """Send the topic table compressed (loses order flags)."""

    # Topics and groups.
    default_topic_queue_nums: int = prop("defaultTopicQueueNums", 8, kinds.integer(1, 4096), AT_RESTART)
    """Queues of `TBW102`, the template of topics that are created by sending."""
    auto_create_topic_enable: bool = prop("autoCreateTopicEnable", True, kinds.boolean(), AT_ONCE)
    """Create an unknown topic when somebody sends to it."""
    cluster_topic_enable: bool = prop("clusterTopicEnable", True, kinds.boolean(), AT_RESTART)
    """Make the topic named like the cluster readable and writable."""
    broker_topic_enable: bool = prop("brokerTopicEnable", True, kinds.boolean(), AT_RESTART)
    """Make the topic named like the broker readable and writable."""
    auto_create_subscription_group: bool = prop("autoCreateSubscriptionGroup", True, kinds.boolean(), AT_ONCE)
    """Create an unknown consumer group when it pulls or subscribes."""
    trace_topic_enable: bool = prop("traceTopicEnable", False, kinds.boolean(), AT_RESTART)
    """Create the topic for message traces at start."""
    msg_trace_topic_name: str = prop("msgTraceTopicName", "RMQ_SYS_TRACE_TOPIC", kinds.name())
    """Name of the topic for message traces."""
    trace_on: bool = prop("traceOn", True, kinds.boolean(), AT_ONCE)
    """`TRACE_ON` of send responses: false makes clients drop their traces."""

    # Sending.
    max_message_size_bytes: int = prop(
        "maxMessageSize", 4 * 1024 * 1024, kinds.integer(512, MESSAGE_SIZE_BYTES_MAX, "bytes"), AT_RESTART
    )
    """Largest message body."""
    broker_fast_failure_enable: bool = prop("brokerFastFailureEnable", True, kinds.boolean(), AT_RESTART)
    """Refuse sends that waited too long."""
    wait_time_in_send_queue_ms: int = prop("waitTimeMillsInSendQueue", 200, kinds.duration_ms(1, HOUR_MS), AT_RESTART)
    """How long a send may wait from its arrival to its turn."""
    send_thread_pool_queue_capacity: int = prop("sendThreadPoolQueueCapacity", 10_000, kinds.integer(1, 1_000_000))
    """Refuse sends while so many wait for the disk (SYNC_FLUSH) or for a slave (SYNC_MASTER)."""
    store_reply_message_enable: bool = prop("storeReplyMessageEnable", True, kinds.boolean(), AT_RESTART)
    """Keep the replies of request-reply messages (a key since 4.9)."""
    reject_transaction_message: bool = prop("rejectTransactionMessage", False, kinds.boolean(), AT_ONCE)
    """Refuse half messages."""
    start_accept_send_request_timestamp_ms: int = prop(
        "startAcceptSendRequestTimeStamp", 0, kinds.duration_ms(0, _YEAR_2100_MS), AT_ONCE
    )
    """Refuse sends before this time, in ms since 1970."""
    message_delay_level: str = prop(
        "messageDelayLevel", "1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h", kinds.delay_levels()
    )
    """Delays of levels 1, 2, … separated by blanks."""

    # Pulling and consuming.
    long_polling_enable: bool = prop("longPollingEnable", True, kinds.boolean(), AT_ONCE)
    """Hold a pull that finds nothing as long as the client asked for."""
    short_polling_time_ms: int = prop("shortPollingTimeMills", 1000, kinds.duration_ms(0, HOUR_MS), AT_ONCE)
    """How long such a pull is held when long polling is off."""
    notify_consumer_ids_changed_enable: bool = prop("notifyConsumerIdsChangedEnable", True, kinds.boolean(), AT_ONCE)
    """Tell the consumers of a group at once that one joined or left."""
    max_transfer_bytes_on_message_in_memory: int = prop(
        "maxTransferBytesOnMessageInMemory", 256 * 1024, kinds.integer(1, MESSAGE_SIZE_BYTES_MAX, "bytes"), AT_RESTART
    )
    """Bytes of one pull answer whose messages are likely in memory."""
    max_transfer_count_on_message_in_memory: int = prop(
        "maxTransferCountOnMessageInMemory", 32, kinds.integer(1, 65_536), AT_RESTART
    )
    """Messages of one pull answer that are likely in memory."""
    max_transfer_bytes_on_message_in_disk: int = prop(
        "maxTransferBytesOnMessageInDisk", 64 * 1024, kinds.integer(1, MESSAGE_SIZE_BYTES_MAX, "bytes"), AT_RESTART
    )
    """Bytes of one pull answer whose messages are likely only on disk."""
    max_transfer_count_on_message_in_disk: int = prop(
        "maxTransferCountOnMessageInDisk", 8, kinds.integer(1, 65_536), AT_RESTART
    )
    """Messages of one pull answer that are likely only on disk."""
    access_message_in_memory_max_ratio: int = prop(
        "accessMessageInMemoryMaxRatio", 40, kinds.integer(0, 100), AT_RESTART
    )
    """Messages within this share of the machine's memory count as in memory, in percent."""
    slave_read_enable: bool = prop("slaveReadEnable", False, kinds.boolean(), AT_ONCE)
    """Suggest to consumers that lag far behind to read from a slave."""
    enable_property_filter: bool = prop("enablePropertyFilter", False, kinds.boolean(), AT_ONCE)
    """Allow SQL92 filters."""
    filter_support_retry: bool = prop("filterSupportRetry", False, kinds.boolean(), AT_ONCE)
    """Filter redelivered messages too, by the expression of the topic that they were sent to."""
    filter_data_clean_time_span_ms: int = prop(
        "filterDataCleanTimeSpan", 24 * 3600 * 1000, kinds.duration_ms(0, 365 * DAY_MS), AT_RESTART
    )
    """How long the filter of a group that left is kept."""
    max_error_rate_of_bloom_filter: int = prop(
        "maxErrorRateOfBloomFilter", 20, kinds.integer(1, 99, "percent"), AT_RESTART
    )
    """Error rate of the bloom filter whose bits are written for Apache's nodes."""
    expect_consumer_num_use_filter: int = prop("expectConsumerNumUseFilter", 32, kinds.integer(1, 65_536), AT_RESTART)
    """How many groups with a filter it is made for."""
    flush_consumer_offset_interval_ms: int = prop(
        "flushConsumerOffsetInterval", 5000, kinds.duration_ms(100, HOUR_MS), AT_RESTART
    )
    """Time between two writes of the consumer offsets."""
    flush_delay_offset_interval_ms: int = prop(
        "flushDelayOffsetInterval", 10_000, kinds.duration_ms(100, HOUR_MS), AT_RESTART
    )
    """Time between two writes of the offsets of delayed messages."""

    # Transactions.
    transaction_time_out_ms: int = prop("transactionTimeOut", 6000, kinds.duration_ms(0, 30 * DAY_MS), AT_RESTART)
    """Age from which a half message is checked back with its producer."""
    transaction_check_max: int = prop("transactionCheckMax", 15, kinds.count(1_000_000), AT_RESTART)
    """Check-backs before a half message is given up."""
    transaction_check_interval_ms: int = prop(
        "transactionCheckInterval", 60_000, kinds.duration_ms(100, DAY_MS), AT_RESTART
    )
    """Time between two rounds of check-backs."""

    # Store.
    store_path_root_dir: Path = prop("storePathRootDir", DERIVED, kinds.path())
    """Folder of everything the broker keeps. Default: `store` in the user's home folder."""
    store_path_commit_log: Path = prop("storePathCommitLog", DERIVED, kinds.path())
    """Folder of the commit log. Default: `commitlog` in `store_path_root_dir`, as in 4.9 and later."""
    mapped_file_size_commit_log_bytes: int = prop(
        "mappedFileSizeCommitLog", 1 * GIB, kinds.integer(4096, kinds.INT_MAX, "bytes")
    )
    """Size of one commit log file. Fixed for the life of a store folder."""
    mapped_file_size_consume_queue_bytes: int = prop(
        "mappedFileSizeConsumeQueue", 6_000_000, kinds.integer(1, kinds.INT_MAX // 20 * 20, "bytes")
    )
    """Size of one consume queue file, a multiple of 20. Fixed for the life of a store folder."""
    flush_disk_type: FlushDiskType = prop(
        "flushDiskType", FlushDiskType.ASYNC_FLUSH, kinds.member(FlushDiskType), AT_RESTART
    )
    """Whether a send is answered before or after fsync."""
    sync_flush_timeout_ms: int = prop("syncFlushTimeout", 5000, kinds.duration_ms(10, 10 * MINUTE_MS), AT_RESTART)
    """How long a send waits for fsync or for a slave."""
    flush_interval_commit_log_ms: int = prop("flushIntervalCommitLog", 500, kinds.duration_ms(1, HOUR_MS), AT_RESTART)
    """Time between two flushes of the commit log (ASYNC_FLUSH)."""
    flush_commit_log_least_pages: int = prop("flushCommitLogLeastPages", 4, kinds.count(65_536), AT_RESTART)
    """Such a flush waits until so many pages of 4 KiB are dirty …"""
    flush_commit_log_thorough_interval_ms: int = prop(
        "flushCommitLogThoroughInterval", 10_000, kinds.duration_ms(0, HOUR_MS), AT_RESTART
    )
    """… but at most so long."""
    flush_interval_consume_queue_ms: int = prop(
        "flushIntervalConsumeQueue", 1000, kinds.duration_ms(1, HOUR_MS), AT_RESTART
    )
    """Time between two flushes of the consume queues."""
    file_reserved_time_hours: int = prop("fileReservedTime", 72, kinds.count(24 * 366 * 100), AT_ONCE)
    """Commit log files older than this are deleted, in hours."""
    delete_when: tuple[int, ...] = prop("deleteWhen", (4,), kinds.hours(), AT_ONCE)
    """Hours of the day at which old files are deleted."""
    disk_max_used_space_ratio: int = prop("diskMaxUsedSpaceRatio", 75, kinds.integer(10, 95), AT_ONCE)
    """Old files are deleted at any hour when the disk is fuller than this, in percent."""
    clean_file_forcibly_enable: bool = prop("cleanFileForciblyEnable", True, kinds.boolean(), AT_ONCE)
    """Delete files before their time when the disk is fuller than the next key says."""
    disk_space_clean_forcibly_ratio: int = prop("diskSpaceCleanForciblyRatio", 85, kinds.integer(30, 100), AT_ONCE)
    """See there, in percent (a key since 4.9)."""
    disk_space_warning_level_ratio: int = prop("diskSpaceWarningLevelRatio", 90, kinds.integer(35, 100), AT_ONCE)
    """Messages are refused while the disk is fuller than this, in percent (a key since 4.9)."""
    clean_resource_interval_ms: int = prop("cleanResourceInterval", 10_000, kinds.duration_ms(100, HOUR_MS), AT_RESTART)
    """Time between two looks at disks and old files; the first is after a minute."""
    delete_commit_log_files_interval_ms: int = prop(
        "deleteCommitLogFilesInterval", 100, kinds.duration_ms(0, MINUTE_MS), AT_RESTART
    )
    """Pause between two deletions of commit log files."""
    message_index_enable: bool = prop("messageIndexEnable", True, kinds.boolean(), AT_RESTART)
    """Let messages be found by their keys."""
    max_hash_slot_num: int = prop("maxHashSlotNum", 5_000_000, kinds.integer(1, kinds.INT_MAX // 16))
    """Hash slots of an index file. Fixed for the life of a store folder."""
    max_index_num: int = prop("maxIndexNum", 20_000_000, kinds.integer(2, kinds.INT_MAX // 40))
    """Entries of an index file, and 1 more. Fixed for the life of a store folder."""
    max_msgs_num_batch: int = prop("maxMsgsNumBatch", 64, kinds.integer(1, 1024), AT_RESTART)
    """Messages that one query by key returns at most."""
    default_query_max_num: int = prop("defaultQueryMaxNum", 32, kinds.integer(1, 1024), AT_ONCE)
    """Messages that one query by unique key returns at most."""

    # Replication.
    ha_listen_port: int = prop("haListenPort", DERIVED, kinds.integer(1, 65535))
    """Port for slaves: `listen_port` + 1, no other value is allowed (4.x overrides it)."""
    ha_master_address: str | None = prop("haMasterAddress", None, kinds.address())
    """HA address of a slave's master. None: learnt from the nameserver."""
    ha_allowed_addresses: tuple[str, ...] = prop("haAllowedAddresses", (), kinds.networks())
    """Addresses or networks of slaves that no nameserver knows; slaves that are registered need no entry."""
    ha_send_heartbeat_interval_ms: int = prop(
        "haSendHeartbeatInterval", 5000, kinds.duration_ms(100, HOUR_MS), AT_RESTART
    )
    """A silent side of a replication stream says after so long that it is still there."""
    ha_housekeeping_interval_ms: int = prop(
        "haHousekeepingInterval", 20_000, kinds.duration_ms(200, DAY_MS), AT_RESTART
    )
    """A replication stream whose other side was silent for so long is closed."""
    ha_transfer_batch_size_bytes: int = prop(
        "haTransferBatchSize", 32 * 1024, kinds.integer(1024, 4 * 1024 * 1024, "bytes"), AT_RESTART
    )
    """Longest block of the replication stream."""
    ha_slave_fallbehind_max_bytes: int = prop(
        "haSlaveFallbehindMax", 256 * 1024 * 1024, kinds.size_bytes(1), AT_RESTART
    )
    """A SYNC_MASTER does not wait for slaves that are further behind: it answers SLAVE_NOT_AVAILABLE."""
    offset_check_in_slave: bool = prop("offsetCheckInSlave", False, kinds.boolean(), AT_ONCE)
    """Let a slave correct wrong pull offsets as a master does."""

    def __post_init__(self) -> None:
        """Compute the fields whose default depends on others or on the machine."""
        derived: dict[str, object] = {
            "broker_ip2": self.broker_ip1,
            "broker_name": _host_name(),
            "store_path_root_dir": Path.home() / "store",
            "ha_listen_port": self.listen_port + 1,
        }
        for attribute, value in derived.items():
            if getattr(self, attribute) is DERIVED:
                object.__setattr__(self, attribute, value)
        if self.store_path_commit_log is DERIVED:
            object.__setattr__(self, "store_path_commit_log", self.store_path_root_dir / "commitlog")

    @property
    def is_slave(self) -> bool:
        """Whether this broker copies a master."""
        return self.broker_role is BrokerRole.SLAVE


def _host_name() -> str:
    host_name = os.uname().nodename
    try:
        return kinds.name().parse(host_name)
    except ValueError:
        return "DEFAULT_BROKER"
