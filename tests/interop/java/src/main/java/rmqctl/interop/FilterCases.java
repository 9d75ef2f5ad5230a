package rmqctl.interop;

import static rmqctl.interop.Stage.text;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** Cases about SQL92 filters. */
final class FilterCases {
    private FilterCases() {
    }

    static Map<String, Object> sqlPush(Stage stage) throws Exception {
        String topic = stage.topic(2);
        DefaultMQProducer producer = stage.producer();
        List<String> sent = send(producer, topic, "before", 30);
        DefaultMQPushConsumer consumer = stage.newPushConsumer(stage.name("group"));
        consumer.subscribe(topic, MessageSelector.bySql("n BETWEEN 5 AND 20 AND region = '华东'"));
        Received received = Received.by(consumer);
        Stage.start(consumer, topic);
        received.waitFor(7);
        List<String> backlog = received.bodies();

        // The pulls are held now: others must not wake them, one that matches must.
        send(producer, topic, "other", 5);
        Stage.waitForUninvited();
        long sentAt = System.nanoTime();
        producer.send(message(topic, "woken", "7", "华东"));
        Stage.waitUntil("the message that matches", 60, () -> received.count() == 8);
        double wokenAfter = (System.nanoTime() - sentAt) / 1e9;
        return Map.of("sent", sent, "backlog", backlog, "received", received.bodies(), "woken_after_seconds", wokenAfter);
    }

    static Map<String, Object> sqlResubscribe(Stage stage) throws Exception {
        String topic = stage.topic(1);
        DefaultMQPushConsumer consumer = stage.newPushConsumer(stage.name("group"));
        consumer.subscribe(topic, MessageSelector.bySql("n = 1"));
        Received received = Received.by(consumer);
        Stage.start(consumer, topic);
        DefaultMQProducer producer = stage.producer();
        send(producer, topic, "first", 5);
        received.waitFor(1);
        consumer.subscribe(topic, MessageSelector.bySql("n = 7 OR n IS NULL"));
        // A broker that has not met the new expression answers with a code that makes the client wait 3 s.
        Stage.waitUntil("a message by the new expression", 60, () -> {
            producer.send(message(topic, "probe", null, null));
            Thread.sleep(200);
            return received.bodies().contains("probe");
        });
        send(producer, topic, "second", 9);
        Stage.waitUntil("the rest", 60, () -> received.bodies().contains("second-7"));
        Stage.waitForUninvited();
        List<String> bodies = new ArrayList<>(received.bodies());
        bodies.removeIf("probe"::equals);
        return Map.of("received", bodies);
    }

    static Map<String, Object> sqlRetry(Stage stage) throws Exception {
        String topic = stage.topic(1);
        stage.introduceGroup(stage.name("group"), topic);
        List<String> deliveries = Collections.synchronizedList(new ArrayList<>());
        DefaultMQPushConsumer consumer = stage.newPushConsumer(stage.name("group"));
        consumer.subscribe(topic, MessageSelector.bySql("n = 3"));
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            MessageExt message = messages.get(0);
            deliveries.add(text(message) + " " + message.getReconsumeTimes());
            context.setDelayLevelWhenNextConsume(1);
            return message.getReconsumeTimes() < 1
                ? ConsumeConcurrentlyStatus.RECONSUME_LATER
                : ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        Stage.start(consumer, topic);
        send(stage.producer(), topic, "retried", 5);
        Stage.waitUntil("the retry", 60, () -> deliveries.size() >= 2);
        Stage.waitForUninvited();
        return Map.of("deliveries", deliveries);
    }

    static Map<String, Object> sqlPull(Stage stage) throws Exception {
        String topic = stage.topic(1);
        DefaultMQProducer producer = stage.producer();
        MessageQueue queue = producer.fetchPublishMessageQueues(topic).get(0);
        for (int i = 0; i < 10; i++) {
            producer.send(message(topic, "m-" + i, i == 9 ? "many" : String.valueOf(i), i % 2 == 0 ? "华东" : null), queue);
        }
        DefaultMQPullConsumer consumer = stage.newPullConsumer(stage.name("group"));
        consumer.setHeartbeatBrokerInterval(500); // its answer tells the client that the broker can filter
        consumer.start();
        Stage.waitUntil("10 messages to pull", 60, () -> consumer.maxOffset(queue) == 10);
        Stage.waitUntil("the broker's version", 60, () -> pulls(consumer, queue));
        Map<String, Object> saw = new LinkedHashMap<>();
        Map<String, String> expressions = new TreeMap<>();
        expressions.put("numbers", "n >= 3 AND n < 7.5");
        expressions.put("missing", "region IS NULL");
        expressions.put("texts", "n IN ('1', 'many')");
        expressions.put("nothing", "n = 100");
        expressions.put("bad", "n = ");
        for (Map.Entry<String, String> expression : expressions.entrySet()) {
            try {
                saw.put(expression.getKey(),
                    status(consumer.pull(queue, MessageSelector.bySql(expression.getValue()), 0, 32)));
            } catch (MQBrokerException error) {
                saw.put(expression.getKey(), Map.of("code", error.getResponseCode(), "message", error.getErrorMessage()));
            }
        }
        return saw;
    }

    private static boolean pulls(DefaultMQPullConsumer consumer, MessageQueue queue) throws Exception {
        try {
            consumer.pull(queue, MessageSelector.bySql("TRUE"), 0, 32);
            return true;
        } catch (MQClientException error) {
            return false;
        }
    }

    static Map<String, Object> sqlBadExpression(Stage stage) throws Exception {
        String topic = stage.topic(1);
        List<Object> errors = new ArrayList<>();
        for (String expression : List.of("n = = 1", "n > 'x'", "n BETWEEN 5 AND 1", "n = 1 AND (m = 2")) {
            DefaultMQPushConsumer consumer = stage.newPushConsumer(stage.name("group" + errors.size()));
            consumer.subscribe(topic, MessageSelector.bySql(expression));
            Received.by(consumer);
            try {
                consumer.start();
                errors.add(Map.of("expression", expression, "code", 0, "message", "accepted"));
            } catch (MQClientException error) {
                errors.add(Map.of("expression", expression, "code", error.getResponseCode(),
                    "message", String.valueOf(error.getErrorMessage())));
            }
        }
        return Map.of("errors", errors);
    }

    private static List<String> send(DefaultMQProducer producer, String topic, String word, int count) throws Exception {
        List<String> bodies = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            bodies.add(word + "-" + i);
            // "other" is never in the region, one in eleven has no number
            producer.send(message(topic, word + "-" + i, i % 11 == 10 ? null : String.valueOf(i),
                i % 2 == 0 && !word.equals("other") ? "华东" : "华南"));
        }
        return bodies;
    }

    private static Message message(String topic, String body, String number, String region) {
        Message message = Stage.message(topic, body);
        if (number != null) {
            message.putUserProperty("n", number);
        }
        if (region != null) {
            message.putUserProperty("region", region);
        }
        return message;
    }

    private static Map<String, Object> status(PullResult result) {
        List<String> bodies = new ArrayList<>();
        if (result.getMsgFoundList() != null) {
            result.getMsgFoundList().forEach(message -> bodies.add(text(message)));
        }
        return Map.of("status", result.getPullStatus(), "next", result.getNextBeginOffset(), "bodies", bodies);
    }
}
