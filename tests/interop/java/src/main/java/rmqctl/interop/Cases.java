package rmqctl.interop;

import java.util.LinkedHashMap;
import java.util.Map;

/** The table of all cases. The long waits come first, so that a run with few threads ends early. */
final class Cases {
    static final Map<String, Case> ALL = new LinkedHashMap<>();

    static {
        ALL.put("transactions", TransactionCases::transactions);
        ALL.put("transaction_immunity", TransactionCases::transactionImmunity);
        ALL.put("failing_listener", RetryCases::failingListener);
        ALL.put("dead_letter", RetryCases::deadLetter);
        ALL.put("configured_group", RetryCases::configuredGroup);
        ALL.put("orderly_takeover", OrderCases::orderlyTakeover);
        ALL.put("namespaces", NamespaceCases::namespaces);
        ALL.put("request_reply", RequestReplyCases::requestReply);
        ALL.put("delay_levels", DelayCases::delayLevels);
        ALL.put("delayed_message", DelayCases::delayedMessage);
        ALL.put("delivery_time", DelayCases::deliveryTime);
        ALL.put("message_trace", TraceCases::messageTrace);
        ALL.put("two_consumers_share_a_backlog", PushCases::twoConsumersShareABacklog);
        ALL.put("push_orderly", OrderCases::pushOrderly);
        ALL.put("orderly_suspend", OrderCases::orderlySuspend);
        ALL.put("offsets_survive_a_restart", PushCases::offsetsSurviveARestart);
        ALL.put("push_concurrently", PushCases::pushConcurrently);
        ALL.put("broadcasting", PushCases::broadcasting);
        ALL.put("tag_filter", PushCases::tagFilter);
        ALL.put("sql_push", FilterCases::sqlPush);
        ALL.put("sql_resubscribe", FilterCases::sqlResubscribe);
        ALL.put("sql_retry", FilterCases::sqlRetry);
        ALL.put("sql_pull", FilterCases::sqlPull);
        ALL.put("sql_bad_expression", FilterCases::sqlBadExpression);
        ALL.put("properties", PushCases::properties);
        ALL.put("compressed_body", PushCases::compressedBody);
        ALL.put("create_topic_by_producer", TopicCases::createTopicByProducer);
        ALL.put("create_topic_by_admin", TopicCases::createTopicByAdmin);
        ALL.put("delete_topic", TopicCases::deleteTopic);
        ALL.put("auto_created_topic", TopicCases::autoCreatedTopic);
        ALL.put("illegal_topic_name", TopicCases::illegalTopicName);
        ALL.put("cluster_info", TopicCases::clusterInfo);
        ALL.put("send_sync", SendCases::sendSync);
        ALL.put("send_async", SendCases::sendAsync);
        ALL.put("send_oneway", SendCases::sendOneway);
        ALL.put("send_batch", SendCases::sendBatch);
        ALL.put("send_over_vip_channel", SendCases::sendOverVipChannel);
        ALL.put("pull_consumer", PullCases::pullConsumer);
        ALL.put("pull_statuses", PullCases::pullStatuses);
        ALL.put("long_poll", PullCases::longPoll);
        ALL.put("queue_offsets", PullCases::queueOffsets);
        ALL.put("lite_pull_consumer", PullCases::litePullConsumer);
    }

    private Cases() {
    }
}
