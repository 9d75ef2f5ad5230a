"""Keys that Apache's nodes know and this engine accepts, checks for their type and otherwise ignores.

Thread pools, warm-up, tiered storage, POP, metrics and the like: nothing that a client or an operator was promised
gets lost by ignoring them (for keys where it would, see `refused_keys`). `load` names those that were set, once.

Source: fields and setters of `BrokerConfig`, `MessageStoreConfig`, `NettyServerConfig`, `NettyClientConfig`,
`NamesrvConfig` (RocketMQ 4.5.2, 4.9.7, 5.3.3) and `AuthConfig` (5.3.3).
"""

from dataclasses import dataclass
from typing import Any

from rmqnode.config import kinds
from rmqnode.config.kinds import Kind
from rmqnode.config.setting import AT_RESTART, NEVER, Changes

_BROKER_BOOLEANS = """
    accountStatsEnable accountStatsPrintZeroValues allowRecallWhenBrokerNotWriteable appendAckAsync
    appendCkAsync asyncLearner asyncSendEnable autoDeleteUnusedStats autoMessageVersionOnTopicLen
    checkCRCOnRecover clearRetryTopicWhenDeleteTopic
    coldCtrStrategyEnable coldDataFlowControlEnable coldDataScanEnable commercialEnable
    compatibleWithOldNameSrv dataReadAheadEnable debugLockEnable disableConsumeIfConsumerReadSlowly
    diskFallRecorded dispatchFromSenderThread enableAsyncReput enableAutoInSyncReplicas enableBatchPush
    enableBroadcastOffsetStore enableBuildConsumeQueueConcurrently enableCalcFilterBitMap
    enableCleanExpiredOffset enableCompaction enableCreateSysGroup enableDetailStat
    enableFastChannelEventProcess enableLmq enableLmqStats enableMixedMessageType enableMultiDispatch
    enableNetWorkFlowControl enableNotifyAfterPopOrderLockRelease enableNotifyBeforePopCalculateLag
    enablePopBatchAck enablePopBufferMerge enablePopLog enablePopMessageThreshold enableRegisterProducer
    enableRemoteEscape enableRetryTopicV2 enableRocksDBLog enableScheduleAsyncDeliver
    enableScheduleMessageStats enableSingleTopicRegister enableSkipLongAwaitingAck enableSlaveActingMaster
    enableSplitRegistration estimateAccumulation fastFailIfNoBufferInStorePool
    fetchControllerAddrByDnsLookup fetchNameSrvAddrByDnsLookup flushCommitLogTimed
    haFlowControlEnable highSpeedMode inBrokerContainer initPopOffsetByCheckMsgInMem isBrokerContainer
    isEnableBatchPush isInBrokerContainer isolateLogEnable litePullMessageEnable lockInStrictMode
    mappedFileSwapEnable messageIndexSafe metricsInDelta migrateAuthFromV1Enabled
    popConsumerFSServiceInit popConsumerKVServiceEnable popConsumerKVServiceInit popConsumerKVServiceLog
    popResponseReturnActualRetryTopic printChannelGroups putConsumeQueueDataByFileChannel
    readAheadCacheEnable readUnCommitted realTimeNotifyConsumerChange realTimePersistRocksDBConfig
    recallMessageEnable recheckReputOffsetFromCq recordGetMessageResult recoverConcurrently
    rejectPullConsumerEnable retrieveMessageFromPopRetryTopicV1 rocksdbCQDoubleWriteEnable
    searchBcqByCacheEnable serverLoadBalancerEnable skipPreOnline skipWhenCKRePutReachMaxTimes
    syncFromLastFile syncMasterFlushOffsetWhenStartup tieredStoreCrcCheckEnable
    tieredStoreDeleteFileEnable tieredStoreGroupCommit timerEnableCheckMetrics timerEnableDisruptor
    timerEnableRetryUntilSuccess timerInterceptDelayLevel timerSkipUnknownError timerStopDequeue
    timerStopEnqueue timerWarmEnable timerWheelEnable transferMsgByHeap transientStorePoolEnable
    useABSLock usePIDColdCtrStrategy useReentrantLockWhenPutMessage useServerSideResetOffset
    useStaticSubscription validateSystemTopicWhenUpdateTopic wakeCommitWhenPutMessage
    wakeFlushWhenPutMessage warmMapedFileEnable
"""
"""Switches of a broker."""

_BROKER_INTEGERS = """
    accessMessageInMemoryHotRatio ackMessageThreadPoolNums ackThreadPoolQueueCapacity
    aclCacheExpiredSecond aclCacheMaxNum aclCacheRefreshSecond adminBrokerThreadPoolNums
    adminBrokerThreadPoolQueueCapacity batchDispatchRequestThreadPoolNums bitMapLengthConsumeQueueExt
    brokerElectionPriority brokerHeartbeatInterval cleanOfflineBrokerInterval
    clientManageThreadPoolNums clientManagerThreadPoolQueueCapacity commercialBaseCount commercialBigCount
    commercialSizePerMsg commercialTimerCount commercialTransCount commitCommitLogLeastPages
    commitCommitLogThoroughInterval commitIntervalCommitLog commitLogRollingInterval
    commitLogRollingMinimumSize commitLogSwapMapReserveFileNum compactionCqMappedFileSize
    compactionMappedFileSize compactionScheduleInternal compactionThreadNum consumerManageThreadPoolNums
    consumerManagerThreadPoolQueueCapacity correctLogicMinOffsetForceInterval
    correctLogicMinOffsetSleepInterval defaultPopShareQueueNum
    deleteConsumeQueueFilesInterval deleteFileBatchMax
    destroyMapedFileIntervalForcibly disappearTimeAfterStart
    dispatchCqCacheNum dispatchCqThreads endTransactionPoolQueueCapacity
    endTransactionThreadPoolNums filterServerNums flushConsumeQueueLeastPages
    flushConsumeQueueThoroughInterval flushConsumerOffsetHistoryInterval flushLeastPagesWhenWarmMapedFile
    haMaxGapNotInSync heartbeatThreadPoolNums heartbeatThreadPoolQueueCapacity
    litePullMessageThreadPoolNums litePullThreadPoolQueueCapacity loadBalanceProcessorThreadPoolNums
    loadBalanceThreadPoolQueueCapacity logicQueueSwapMapReserveFileNum mappedFileSizeConsumeQueueExt
    mappedFileSizeTimerLog mapperFileSizeBatchConsumeQueue maxAsyncPutMessageRequests
    maxBatchDeleteFilesNum maxConsumeQueueScan maxDelayTime maxFilterMessageSize
    maxLmqConsumeQueueNum maxOffsetMapSize
    maxRecoveryCommitlogFiles maxStatsIdleTimeInMinutes maxTopicLength metricsOtelCardinalityLimit
    metricsPromExporterPort popCkMaxBufferSize popCkOffsetMaxQueueSize popCkStayBufferTime
    popCkStayBufferTimeOut popFromRetryProbability popPollingMapSize popPollingSize
    popReviveMaxAttemptTimes popReviveMaxReturnSizePerRead printChannelGroupsMinNum
    processReplyMessageThreadPoolNums pullBatchMaxMessageCount pullMessageThreadPoolNums
    pullThreadPoolQueueCapacity putMessageFutureThreadPoolNums putMessageTimeout putMsgIndexHightWater
    putThreadPoolQueueCapacity queryMessageThreadPoolNums queryThreadPoolQueueCapacity
    readAheadMessageCountThreshold readAheadMessageSizeThreshold recoverThreadPoolNums
    redeleteHangedFileInterval replicasPerDiskPartition replyThreadPoolQueueCapacity reviveQueueNum
    rocksdbFlushWalFrequency sampleCountThreshold sampleSteps scheduleAsyncDeliverMaxPendingLimit
    scheduleAsyncDeliverMaxResendNum2Blocked sendHeartbeatTimeoutMillis sendMessageThreadPoolNums
    slaveTimeout spinLockCollisionRetreatOptimalDegree splitRegistrationSize
    statefulAuthenticationCacheExpiredSecond statefulAuthenticationCacheMaxNum
    statefulAuthorizationCacheExpiredSecond statefulAuthorizationCacheMaxNum syncBrokerMemberGroupPeriod
    tieredStoreFileReservedTime tieredStoreGroupCommitCount tieredStoreGroupCommitSize
    tieredStoreGroupCommitTimeout tieredStoreIndexFileMaxHashSlotNum tieredStoreIndexFileMaxIndexNum
    tieredStoreMaxGroupCommitCount tieredStoreMaxPendingLimit timerColdDataCheckIntervalMs
    timerCongestNumEachSlot timerFlushIntervalMs timerGetMessageThreadNum timerMaxDelaySec
    timerMetricSmallThreshold timerPrecisionMs timerProgressLogIntervalMs timerPutMessageThreadNum
    timerRollWindowSlot topicQueueLockNum totalReplicas transactionOpBatchInterval transactionOpMsgMaxSize
    transientStorePoolSize travelCqFileNumWhenGetMessage updateNameServerAddrPeriod userCacheExpiredSecond
    userCacheMaxNum userCacheRefreshSecond
"""
"""Java ints of a broker."""

_BROKER_LONGS = """
    broadcastOffsetExpireMaxSecond broadcastOffsetExpireSecond brokerNotActiveTimeoutMillis
    cgColdReadThreshold channelExpiredTimeout checkSyncStateSetPeriod cleanRocksDBDirtyCQIntervalMin
    cleanSwapedMapInterval commitLogForceSwapMapInterval commitLogSwapMapInterval
    consumerFallbehindThreshold consumerOffsetUpdateVersionStep controllerHeartBeatTimeoutMills
    delayOffsetUpdateVersionStep fetchNamesrvAddrInterval forwardTimeout
    globalColdReadThreshold haMaxTimeSlaveNotCatchup loadBalancePollNameServerInterval
    logicQueueForceSwapMapInterval logicQueueSwapMapInterval maxChecksumRange maxHaTransferByteInSecond
    maxPopPollingSize maxSlaveResendLength memTableFlushIntervalMs metricGrpcExporterIntervalInMills
    metricGrpcExporterTimeOutInMills metricLoggingExporterIntervalInMills osPageCacheBusyTimeOutMills
    popInflightMessageThreshold popLongPollingForceNotifyInterval readAheadCacheExpireDuration
    reviveAckWaitMs reviveInterval reviveMaxSlow reviveScanTime rocksdbWalFileRollingThreshold
    statRocksDBCQIntervalSec subscriptionExpiredTimeout syncBrokerMetadataPeriod
    syncControllerMetadataPeriod tieredStoreCommitLogMaxSize tieredStoreConsumeQueueMaxSize
    tieredStoreDeleteFileInterval transactionMetricFlushInterval waitTimeMillsInAckQueue
    waitTimeMillsInAdminBrokerQueue waitTimeMillsInHeartbeatQueue waitTimeMillsInLitePullQueue
    waitTimeMillsInPullQueue waitTimeMillsInTransactionQueue
"""
"""Java longs of a broker."""

_BROKER_DOUBLES = """
    logicalDiskSpaceCleanForciblyThreshold readAheadCacheSizeThresholdRate
"""
"""Java doubles of a broker."""

_BROKER_TEXTS = """
    authConfigPath authenticationMetadataProvider authenticationProvider authenticationStrategy
    authenticationWhitelist authorizationMetadataProvider authorizationProvider authorizationStrategy
    authorizationWhitelist bottomMostCompressionTypeForConsumeQueueStore clusterName
    configBlackList configManagerVersion configName controllerAddr dLegerGroup dLegerPeers dLegerSelfId
    defaultMessageRequestMode initAuthenticationUser innerClientAuthenticationCredentials
    metricsExporterType metricsGrpcExporterHeader metricsGrpcExporterTarget metricsLabel
    metricsPromExporterHost objectStoreAccessKey objectStoreBucket objectStoreEndpoint
    objectStoreSecretKey preferredLeaderId rmqAddressServerDomain rmqAddressServerSubGroup rocketmqHome
    rocksdbCompressionType storePathBrokerIdentity storePathDLedgerCommitLog storePathEpochFile
    tieredBackendServiceProvider tieredMetadataServiceProvider tieredStorageLevel tieredStoreFilePath
    timerCheckMetricsWhen
"""
"""Texts of a broker."""

_NET_BOOLEANS = """
    clientCloseSocketIfTimeout clientPooledByteBufAllocatorEnable disableCallbackExecutor
    disableNettyWorkerGroup enableReconnectForGoAway enableShutdownGracefully isScanAvailableNameSrv
    scanAvailableNameSrv serverNettyWorkerGroupEnable serverPooledByteBufAllocatorEnable
    useEpollNativeSelector
"""
"""Switches of the network layer, broker and nameserver alike."""

_NET_INTEGERS = """
    channelNotActiveInterval clientAsyncSemaphoreValue clientCallbackExecutorThreads
    clientChannelMaxIdleTimeSeconds clientOnewaySemaphoreValue clientSocketRcvBufSize
    clientSocketSndBufSize clientWorkerThreads connectTimeoutMillis maxReconnectIntervalTimeSeconds
    serverAsyncSemaphoreValue serverCallbackExecutorThreads serverOnewaySemaphoreValue
    serverSelectorThreads serverSocketBacklog serverSocketRcvBufSize serverSocketSndBufSize
    serverWorkerThreads shutdownWaitTimeSeconds writeBufferHighWaterMark writeBufferLowWaterMark
"""
"""Numbers of the network layer."""

_NET_TEXTS = """
    socksProxyConfig tls.client.authServer tls.client.certPath tls.client.keyPassword tls.client.keyPath
    tls.client.trustCertPath tls.config.file tls.server.authClient tls.server.certPath
    tls.server.keyPassword tls.server.keyPath tls.server.need.client.auth tls.server.trustCertPath
    tls.test.mode.enable
"""
"""Texts of the network layer."""

_NAMESERVER_BOOLEANS = """
    deleteTopicWithBrokerRegistration enableAllTopicList enableTopicList needWaitForService
    notifyMinBrokerIdChanged returnOrderTopicConfigToBroker supportActingMaster
"""
"""Switches of a nameserver."""

_NAMESERVER_INTEGERS = """
    clientRequestThreadPoolNums clientRequestThreadPoolQueueCapacity defaultThreadPoolNums
    defaultThreadPoolQueueCapacity unRegisterBrokerQueueCapacity waitSecondsForService
"""
"""Numbers of a nameserver."""

_NAMESERVER_TEXTS = """
    configBlackList rocketmqHome
"""
"""Texts of a nameserver."""

_CHANGEABLE_SWITCHES = """
    autoMessageVersionOnTopicLen clearRetryTopicWhenDeleteTopic debugLockEnable disableConsumeIfConsumerReadSlowly
    diskFallRecorded enableBatchPush enableBroadcastOffsetStore enableCalcFilterBitMap enableCleanExpiredOffset
    enableDetailStat enableMixedMessageType enableNetWorkFlowControl enableRegisterProducer enableScheduleMessageStats
    enableSkipLongAwaitingAck estimateAccumulation highSpeedMode printChannelGroups realTimeNotifyConsumerChange
    recordGetMessageResult serverLoadBalancerEnable skipPreOnline transferMsgByHeap useServerSideResetOffset
    validateSystemTopicWhenUpdateTopic
"""
"""Switches that tools may change: they alter figures, notices and the handling of single requests."""

_NUMBERS: dict[str, Kind[Any]] = {
    "consumerFallbehindThreshold": kinds.integer(0, 1 << 50, "bytes"),
    "deleteConsumeQueueFilesInterval": kinds.duration_ms(0, 60_000),
    "destroyMapedFileIntervalForcibly": kinds.duration_ms(1000, 3_600_000),
    "flushConsumeQueueLeastPages": kinds.count(65_536),
    "flushConsumeQueueThoroughInterval": kinds.duration_ms(0, 3_600_000),
    "osPageCacheBusyTimeOutMills": kinds.duration_ms(100, 60_000),
    "putMsgIndexHightWater": kinds.integer(10_000, 10_000_000),
    "redeleteHangedFileInterval": kinds.duration_ms(1000, 86_400_000),
    "waitTimeMillsInHeartbeatQueue": kinds.duration_ms(100, 3_600_000),
    "waitTimeMillsInPullQueue": kinds.duration_ms(100, 3_600_000),
    "waitTimeMillsInTransactionQueue": kinds.duration_ms(100, 3_600_000),
}
"""Numbers that tools may change, within limits that leave a broker of Apache's useful."""


@dataclass(frozen=True, slots=True)
class UnusedKey:
    """A key without effect on our nodes.

    Attributes:
        kind: What its value may be.
        changes: `AT_RESTART` where a change over the network is kept and handed to a node of Apache's, else `NEVER`:
            a list of what is allowed, because Apache's node takes whatever it finds in its file.
    """

    kind: Kind[Any]
    changes: Changes = NEVER


_BOOLEAN = UnusedKey(kinds.boolean())
_SWITCH = UnusedKey(kinds.boolean(), AT_RESTART)
_INTEGER = UnusedKey(kinds.integer(-kinds.INT_MAX - 1, kinds.INT_MAX))
_LONG = UnusedKey(kinds.integer(-kinds.LONG_MAX - 1, kinds.LONG_MAX))
_DOUBLE = UnusedKey(kinds.double())
_TEXT = UnusedKey(kinds.text())

_NET: dict[str, UnusedKey] = {
    **dict.fromkeys(_NET_BOOLEANS.split(), _BOOLEAN),
    **dict.fromkeys(_NET_INTEGERS.split(), _LONG),
    **dict.fromkeys(_NET_TEXTS.split(), _TEXT),
}

UNUSED_BROKER_KEYS: dict[str, UnusedKey] = {
    **_NET,
    **dict.fromkeys(_BROKER_BOOLEANS.split(), _BOOLEAN),
    **dict.fromkeys(_BROKER_INTEGERS.split(), _INTEGER),
    **dict.fromkeys(_BROKER_LONGS.split(), _LONG),
    **dict.fromkeys(_BROKER_DOUBLES.split(), _DOUBLE),
    **dict.fromkeys(_BROKER_TEXTS.split(), _TEXT),
    **dict.fromkeys(_CHANGEABLE_SWITCHES.split(), _SWITCH),
    **{key: UnusedKey(kind, AT_RESTART) for key, kind in _NUMBERS.items()},
}
"""Broker keys without effect."""

UNUSED_NAMESERVER_KEYS: dict[str, UnusedKey] = {
    **_NET,
    **dict.fromkeys(_NAMESERVER_BOOLEANS.split(), _BOOLEAN),
    **dict.fromkeys(_NAMESERVER_INTEGERS.split(), _INTEGER),
    **dict.fromkeys(_NAMESERVER_TEXTS.split(), _TEXT),
}
"""Nameserver keys without effect."""
