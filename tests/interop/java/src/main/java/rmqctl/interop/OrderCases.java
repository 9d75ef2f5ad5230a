package rmqctl.interop;

import static rmqctl.interop.Stage.message;
import static rmqctl.interop.Stage.text;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.MessageQueueSelector;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.message.MessageExt;

/** Cases about push consumers with an orderly listener: one callback at a time and the order of each queue. */
final class OrderCases {
    private static final int HALF = 100;
    private static final int KEYS = 24;

    private OrderCases() {
    }

    static Map<String, Object> pushOrderly(Stage stage) throws Exception {
        return consumeOrderly(stage, false);
    }

    static Map<String, Object> orderlySuspend(Stage stage) throws Exception {
        return consumeOrderly(stage, true);
    }

    private static Map<String, Object> consumeOrderly(Stage stage, boolean failEachTenthOnce) throws Exception {
        String topic = stage.topic(3);
        QueueLog log = new QueueLog(failEachTenthOnce);
        DefaultMQPushConsumer first = orderlyConsumer(stage, topic, log);
        Stage.waitForQueues(topic, count -> count > 0, first);
        Map<String, List<String>> sent = new TreeMap<>();
        DefaultMQProducer producer = stage.producer();
        sendByKey(producer, topic, 0, HALF, sent);
        Stage.waitUntil("the first half", 90, () -> log.consumed() >= HALF);
        Stage.waitForUninvited();

        DefaultMQPushConsumer second = orderlyConsumer(stage, topic, log);
        Stage.waitForQueues(topic, count -> count == sent.size() / 2, first, second);
        sendByKey(producer, topic, HALF, 2 * HALF, sent);
        Stage.waitUntil("all ordered messages", 60, () -> log.consumed() >= 2 * HALF);
        Stage.waitForUninvited();
        return Map.of("sent", sent, "consumed", log.perQueue(), "overlaps", log.overlaps.get(),
            "suspended", log.suspended.size());
    }

    /** One queue on one broker is one global order: a consumer leaves in the middle, the other goes on behind it. */
    static Map<String, Object> orderlyTakeover(Stage stage) throws Exception {
        String topic = stage.name("topic");
        String master = stage.admins.masterAddresses().iterator().next();
        stage.admins.first().createAndUpdateTopicConfig(master, new TopicConfig(topic, 1, 1, 6));
        Stage.waitUntil("the route of " + topic, 60,
            () -> stage.admins.routes(topic).stream().allMatch(route -> route.size() == 1));
        QueueLog log = new QueueLog(false);
        DefaultMQPushConsumer first = orderlyConsumer(stage, topic, log);
        Stage.waitForQueues(topic, count -> count == 1, first);
        DefaultMQPushConsumer second = orderlyConsumer(stage, topic, log);
        Map<String, List<String>> sent = new TreeMap<>();
        DefaultMQProducer producer = stage.producer();
        sendByKey(producer, topic, 0, HALF, sent);
        Stage.waitUntil("some messages", 60, () -> log.consumed() > 0);
        boolean firstHadIt = !Stage.assigned(first, topic).isEmpty();
        (firstHadIt ? first : second).shutdown();
        sendByKey(producer, topic, HALF, 2 * HALF, sent);
        Stage.waitForQueues(topic, count -> count == 1, firstHadIt ? second : first);
        Stage.waitUntil("all ordered messages", 60, () -> log.distinct() >= 2 * HALF);
        Stage.waitForUninvited();
        return Map.of("sent", sent, "consumed", log.perQueue(), "overlaps", log.overlaps.get());
    }

    private static DefaultMQPushConsumer orderlyConsumer(Stage stage, String topic, QueueLog log) throws Exception {
        DefaultMQPushConsumer consumer = stage.newPushConsumer(stage.name("group"));
        consumer.setSuspendCurrentQueueTimeMillis(50);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerOrderly) (messages, context) ->
            log.take(Stage.label(context.getMessageQueue()), messages));
        consumer.start();
        return consumer;
    }

    private static void sendByKey(DefaultMQProducer producer, String topic, int from, int to,
        Map<String, List<String>> sent) throws Exception {
        MessageQueueSelector byKey = (queues, message, key) -> queues.get((Integer) key % queues.size());
        for (int i = from; i < to; i++) {
            String body = "step-" + i;
            var result = producer.send(message(topic, body), byKey, i % KEYS);
            sent.computeIfAbsent(Stage.label(result.getMessageQueue()), queue -> new ArrayList<>()).add(body);
        }
    }

    /** Notes what each queue's callbacks get, and whether two ever ran at once for the same queue. */
    private static final class QueueLog {
        final AtomicInteger overlaps = new AtomicInteger();
        final Set<String> suspended = new HashSet<>();
        private final boolean failEachTenthOnce;
        private final Map<String, List<String>> consumed = new TreeMap<>();
        private final Set<String> busy = ConcurrentHashMap.newKeySet();

        QueueLog(boolean failEachTenthOnce) {
            this.failEachTenthOnce = failEachTenthOnce;
        }

        ConsumeOrderlyStatus take(String queue, List<MessageExt> messages) {
            if (!busy.add(queue)) {
                overlaps.incrementAndGet();
            }
            try {
                return note(queue, text(messages.get(0)), messages.size());
            } finally {
                busy.remove(queue);
            }
        }

        private synchronized ConsumeOrderlyStatus note(String queue, String body, int batch) {
            if (batch != 1) {
                throw new IllegalStateException("one message a callback is the default, got " + batch);
            }
            if (failEachTenthOnce && body.endsWith("0") && suspended.add(body)) {
                return ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT;
            }
            consumed.computeIfAbsent(queue, name -> new ArrayList<>()).add(body);
            return ConsumeOrderlyStatus.SUCCESS;
        }

        synchronized int consumed() {
            return consumed.values().stream().mapToInt(List::size).sum();
        }

        synchronized int distinct() {
            return consumed.values().stream().mapToInt(bodies -> new HashSet<>(bodies).size()).sum();
        }

        synchronized Map<String, List<String>> perQueue() {
            return new TreeMap<>(consumed);
        }
    }
}
