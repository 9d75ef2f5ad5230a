"""The broker's table of requests: who has read it knows what the broker can do.

Codes that are not here are answered with REQUEST_CODE_NOT_SUPPORTED.
"""

from typing import Final

from rmqnode.broker.handlers.access_control import (
    delete_acl_config,
    get_broker_cluster_acl,
    update_and_create_acl_config,
    update_global_white_addrs_config,
)
from rmqnode.broker.handlers.broker_info import get_broker_config, get_broker_runtime_info, update_broker_config
from rmqnode.broker.handlers.cleaning import (
    clean_expired_consume_queue,
    clean_unused_topic,
    delete_expired_commit_log,
)
from rmqnode.broker.handlers.clients import (
    check_client_config,
    get_all_producer_info,
    get_consumer_connection_list,
    get_consumer_list_by_group,
    get_producer_connection_list,
    heart_beat,
    lock_batch_mq,
    unlock_batch_mq,
    unregister_client,
)
from rmqnode.broker.handlers.groups import (
    delete_subscription_group,
    get_all_subscription_group_config,
    query_topic_consume_by_who,
    update_and_create_subscription_group,
    update_and_create_subscription_group_list,
)
from rmqnode.broker.handlers.offsets import (
    clone_group_offset,
    get_all_consumer_offset,
    get_all_delay_offset,
    get_earliest_msg_storetime,
    get_max_offset,
    get_min_offset,
    query_consumer_offset,
    query_correction_offset,
    search_offset_by_timestamp,
    update_consumer_offset,
)
from rmqnode.broker.handlers.pull import pull_message
from rmqnode.broker.handlers.queries import query_consume_queue, query_message, view_message_by_id
from rmqnode.broker.handlers.relays import (
    consume_message_directly,
    get_consumer_running_info,
    invoke_broker_to_get_consumer_status,
    invoke_broker_to_reset_offset,
)
from rmqnode.broker.handlers.reply_messages import send_reply_message
from rmqnode.broker.handlers.send import send_message
from rmqnode.broker.handlers.send_back import consumer_send_msg_back
from rmqnode.broker.handlers.statistics import (
    get_broker_consume_stats,
    get_consume_stats,
    query_consume_time_span,
    view_broker_stats_data,
)
from rmqnode.broker.handlers.topics import (
    delete_topic,
    get_all_topic_config,
    get_system_topic_list,
    get_topic_config,
    get_topic_stats_info,
    update_and_create_topic,
    update_and_create_topic_list,
)
from rmqnode.broker.handlers.transactions import end_transaction, resume_check_half_message
from rmqnode.protocol.codes import RequestCode
from rmqnode.protocol.headers import (
    ConsumerSendMsgBackRequestHeader,
    CreateTopicRequestHeader,
    DeleteSubscriptionGroupRequestHeader,
    EndTransactionRequestHeader,
    GetAllTopicConfigResponseHeader,
    GetConsumerListByGroupRequestHeader,
    GetConsumeStatsRequestHeader,
    GetEarliestMsgStoretimeResponseHeader,
    GetProducerConnectionListRequestHeader,
    NoHeader,
    OffsetResponseHeader,
    PullMessageRequestHeader,
    PullMessageResponseHeader,
    QueryConsumerOffsetRequestHeader,
    QueryConsumerOffsetResponseHeader,
    QueryMessageRequestHeader,
    QueryMessageResponseHeader,
    QueueRequestHeader,
    ResumeCheckHalfMessageRequestHeader,
    SearchOffsetRequestHeader,
    SendMessageRequestHeader,
    SendMessageRequestHeaderV2,
    SendMessageResponseHeader,
    TopicRequestHeader,
    UnregisterClientRequestHeader,
    UnregisterClientResponseHeader,
    UpdateConsumerOffsetRequestHeader,
    UpdateConsumerOffsetResponseHeader,
    ViewMessageRequestHeader,
)
from rmqnode.protocol.headers.administration import (
    CloneGroupOffsetRequestHeader,
    ConsumeMessageDirectlyRequestHeader,
    CreateAccessConfigRequestHeader,
    DeleteAccessConfigRequestHeader,
    GetBrokerConfigResponseHeader,
    GetConsumerRunningInfoRequestHeader,
    GetConsumerStatusRequestHeader,
    GetConsumeStatsInBrokerRequestHeader,
    QueryConsumeQueueRequestHeader,
    QueryConsumeTimeSpanRequestHeader,
    QueryCorrectionOffsetRequestHeader,
    ResetOffsetRequestHeader,
    UpdateGlobalWhiteAddrsConfigRequestHeader,
    ViewBrokerStatsDataRequestHeader,
)
from rmqnode.protocol.routes import Route

# fmt: off
# ruff: noqa: E501 -- a table reads best with one line a row
ROUTES: Final = (
    # Producers.
    Route(RequestCode.SEND_MESSAGE, SendMessageRequestHeader, SendMessageResponseHeader, send_message),
    Route(RequestCode.SEND_MESSAGE_V2, SendMessageRequestHeaderV2, SendMessageResponseHeader, send_message),
    Route(RequestCode.SEND_BATCH_MESSAGE, SendMessageRequestHeaderV2, SendMessageResponseHeader, send_message),
    Route(RequestCode.SEND_REPLY_MESSAGE, SendMessageRequestHeader, SendMessageResponseHeader, send_reply_message),
    Route(RequestCode.SEND_REPLY_MESSAGE_V2, SendMessageRequestHeaderV2, SendMessageResponseHeader, send_reply_message),
    Route(RequestCode.END_TRANSACTION, EndTransactionRequestHeader, None, end_transaction),
    # Consumers.
    Route(RequestCode.PULL_MESSAGE, PullMessageRequestHeader, PullMessageResponseHeader, pull_message),
    Route(RequestCode.LITE_PULL_MESSAGE, PullMessageRequestHeader, PullMessageResponseHeader, pull_message),
    Route(RequestCode.CONSUMER_SEND_MSG_BACK, ConsumerSendMsgBackRequestHeader, None, consumer_send_msg_back),
    Route(RequestCode.QUERY_CONSUMER_OFFSET, QueryConsumerOffsetRequestHeader, QueryConsumerOffsetResponseHeader, query_consumer_offset),
    Route(RequestCode.UPDATE_CONSUMER_OFFSET, UpdateConsumerOffsetRequestHeader, UpdateConsumerOffsetResponseHeader, update_consumer_offset),
    Route(RequestCode.GET_CONSUMER_LIST_BY_GROUP, GetConsumerListByGroupRequestHeader, None, get_consumer_list_by_group),
    Route(RequestCode.LOCK_BATCH_MQ, NoHeader, None, lock_batch_mq),
    Route(RequestCode.UNLOCK_BATCH_MQ, NoHeader, None, unlock_batch_mq),
    # All clients.
    Route(RequestCode.HEART_BEAT, NoHeader, None, heart_beat),
    Route(RequestCode.UNREGISTER_CLIENT, UnregisterClientRequestHeader, UnregisterClientResponseHeader, unregister_client),
    Route(RequestCode.CHECK_CLIENT_CONFIG, NoHeader, None, check_client_config),
    # Queues.
    Route(RequestCode.SEARCH_OFFSET_BY_TIMESTAMP, SearchOffsetRequestHeader, OffsetResponseHeader, search_offset_by_timestamp),
    Route(RequestCode.GET_MAX_OFFSET, QueueRequestHeader, OffsetResponseHeader, get_max_offset),
    Route(RequestCode.GET_MIN_OFFSET, QueueRequestHeader, OffsetResponseHeader, get_min_offset),
    Route(RequestCode.GET_EARLIEST_MSG_STORETIME, QueueRequestHeader, GetEarliestMsgStoretimeResponseHeader, get_earliest_msg_storetime),
    # Single messages.
    Route(RequestCode.QUERY_MESSAGE, QueryMessageRequestHeader, QueryMessageResponseHeader, query_message),
    Route(RequestCode.VIEW_MESSAGE_BY_ID, ViewMessageRequestHeader, None, view_message_by_id),
    Route(RequestCode.RESUME_CHECK_HALF_MESSAGE, ResumeCheckHalfMessageRequestHeader, None, resume_check_half_message),
    Route(RequestCode.QUERY_CONSUME_QUEUE, QueryConsumeQueueRequestHeader, None, query_consume_queue),
    # Topics.
    Route(RequestCode.UPDATE_AND_CREATE_TOPIC, CreateTopicRequestHeader, None, update_and_create_topic),
    Route(RequestCode.UPDATE_AND_CREATE_TOPIC_LIST, NoHeader, None, update_and_create_topic_list),
    Route(RequestCode.DELETE_TOPIC_IN_BROKER, TopicRequestHeader, None, delete_topic),
    Route(RequestCode.GET_ALL_TOPIC_CONFIG, NoHeader, GetAllTopicConfigResponseHeader, get_all_topic_config),
    Route(RequestCode.GET_TOPIC_CONFIG, TopicRequestHeader, None, get_topic_config),
    Route(RequestCode.GET_TOPIC_STATS_INFO, TopicRequestHeader, None, get_topic_stats_info),
    Route(RequestCode.GET_SYSTEM_TOPIC_LIST_FROM_BROKER, NoHeader, None, get_system_topic_list),
    # The store.
    Route(RequestCode.CLEAN_EXPIRED_CONSUMEQUEUE, NoHeader, None, clean_expired_consume_queue),
    Route(RequestCode.CLEAN_UNUSED_TOPIC, NoHeader, None, clean_unused_topic),
    Route(RequestCode.DELETE_EXPIRED_COMMITLOG, NoHeader, None, delete_expired_commit_log),
    # Groups.
    Route(RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, NoHeader, None, update_and_create_subscription_group),
    Route(RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST, NoHeader, None, update_and_create_subscription_group_list),
    Route(RequestCode.GET_ALL_SUBSCRIPTIONGROUP_CONFIG, NoHeader, None, get_all_subscription_group_config),
    Route(RequestCode.DELETE_SUBSCRIPTIONGROUP, DeleteSubscriptionGroupRequestHeader, None, delete_subscription_group),
    Route(RequestCode.GET_CONSUMER_CONNECTION_LIST, GetConsumerListByGroupRequestHeader, None, get_consumer_connection_list),
    Route(RequestCode.GET_PRODUCER_CONNECTION_LIST, GetProducerConnectionListRequestHeader, None, get_producer_connection_list),
    Route(RequestCode.GET_ALL_PRODUCER_INFO, NoHeader, None, get_all_producer_info),
    Route(RequestCode.GET_CONSUME_STATS, GetConsumeStatsRequestHeader, None, get_consume_stats),
    Route(RequestCode.QUERY_TOPIC_CONSUME_BY_WHO, TopicRequestHeader, None, query_topic_consume_by_who),
    Route(RequestCode.QUERY_CONSUME_TIME_SPAN, QueryConsumeTimeSpanRequestHeader, None, query_consume_time_span),
    Route(RequestCode.GET_BROKER_CONSUME_STATS, GetConsumeStatsInBrokerRequestHeader, None, get_broker_consume_stats),
    Route(RequestCode.CLONE_GROUP_OFFSET, CloneGroupOffsetRequestHeader, None, clone_group_offset),
    Route(RequestCode.QUERY_CORRECTION_OFFSET, QueryCorrectionOffsetRequestHeader, None, query_correction_offset),
    Route(RequestCode.GET_ALL_CONSUMER_OFFSET, NoHeader, None, get_all_consumer_offset),
    Route(RequestCode.GET_ALL_DELAY_OFFSET, NoHeader, None, get_all_delay_offset),
    # Relayed to clients.
    Route(RequestCode.INVOKE_BROKER_TO_RESET_OFFSET, ResetOffsetRequestHeader, None, invoke_broker_to_reset_offset),
    Route(RequestCode.INVOKE_BROKER_TO_GET_CONSUMER_STATUS, GetConsumerStatusRequestHeader, None, invoke_broker_to_get_consumer_status),
    Route(RequestCode.GET_CONSUMER_RUNNING_INFO, GetConsumerRunningInfoRequestHeader, None, get_consumer_running_info),
    Route(RequestCode.CONSUME_MESSAGE_DIRECTLY, ConsumeMessageDirectlyRequestHeader, None, consume_message_directly),
    # Access control.
    Route(RequestCode.UPDATE_AND_CREATE_ACL_CONFIG, CreateAccessConfigRequestHeader, None, update_and_create_acl_config),
    Route(RequestCode.DELETE_ACL_CONFIG, DeleteAccessConfigRequestHeader, None, delete_acl_config),
    Route(RequestCode.UPDATE_GLOBAL_WHITE_ADDRS_CONFIG, UpdateGlobalWhiteAddrsConfigRequestHeader, None, update_global_white_addrs_config),
    Route(RequestCode.GET_BROKER_CLUSTER_ACL_INFO, NoHeader, None, get_broker_cluster_acl),
    Route(RequestCode.GET_BROKER_CLUSTER_ACL_CONFIG, NoHeader, None, get_broker_cluster_acl),
    # The broker itself.
    Route(RequestCode.GET_BROKER_CONFIG, NoHeader, GetBrokerConfigResponseHeader, get_broker_config),
    Route(RequestCode.UPDATE_BROKER_CONFIG, NoHeader, None, update_broker_config),
    Route(RequestCode.VIEW_BROKER_STATS_DATA, ViewBrokerStatsDataRequestHeader, None, view_broker_stats_data),
    Route(RequestCode.GET_BROKER_RUNTIME_INFO, NoHeader, None, get_broker_runtime_info),
)
# fmt: on
