package rmqctl.interop;

import static rmqctl.interop.Stage.text;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** Cases about messages that come (back) later: retry, dead letter, delay. */
final class RetryCases {
    private static final int FAILING = 5;

    private RetryCases() {
    }

    static Map<String, Object> failingListener(Stage stage) throws Exception {
        String topic = stage.topic(2);
        stage.introduceGroup(stage.name("group"), topic);
        List<Map<String, Object>> deliveries = Collections.synchronizedList(new ArrayList<>());
        DefaultMQPushConsumer consumer = failingConsumer(stage, topic, deliveries, 2);
        Stage.start(consumer, topic);
        List<String> sent = PushCases.send(stage.producer(), topic, "retry", FAILING);
        Stage.waitUntil("two retries of each message", 30, () -> deliveries.size() >= 3 * FAILING);
        Stage.waitForUninvited();
        return Map.of("sent", sent, "topic", topic, "deliveries", deliveries);
    }

    static Map<String, Object> deadLetter(Stage stage) throws Exception {
        String topic = stage.topic(1);
        stage.introduceGroup(stage.name("group"), topic);
        List<Map<String, Object>> deliveries = Collections.synchronizedList(new ArrayList<>());
        DefaultMQPushConsumer consumer = failingConsumer(stage, topic, deliveries, Integer.MAX_VALUE);
        consumer.setMaxReconsumeTimes(1);
        Stage.start(consumer, topic);
        PushCases.send(stage.producer(), topic, "dead", 1);
        String deadLetters = "%DLQ%" + stage.name("group");
        Stage.waitUntil("the message in " + deadLetters, 30, () -> stored(stage, deadLetters) == 1);
        Stage.waitForUninvited();
        return Map.of("deliveries", deliveries, "dead_letters", stored(stage, deadLetters),
            "routes", stage.admins.routes(deadLetters));
    }

    private static long stored(Stage stage, String topic) throws Exception {
        long count = 0;
        for (String broker : stage.admins.routes(topic).get(0).keySet()) {
            count += stage.admins.first().maxOffset(new MessageQueue(topic, broker, 0));
        }
        return count;
    }

    /** A consumer that asks for each message again after one second, until it was given `failures` times. */
    private static DefaultMQPushConsumer failingConsumer(
        Stage stage, String topic, List<Map<String, Object>> deliveries, int failures) throws Exception {
        DefaultMQPushConsumer consumer = stage.newPushConsumer(stage.name("group"));
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            MessageExt message = messages.get(0);
            deliveries.add(delivery(message));
            context.setDelayLevelWhenNextConsume(1);
            return message.getReconsumeTimes() < failures
                ? ConsumeConcurrentlyStatus.RECONSUME_LATER
                : ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        return consumer;
    }

    private static Map<String, Object> delivery(MessageExt message) {
        Map<String, Object> delivery = new LinkedHashMap<>();
        delivery.put("body", text(message));
        delivery.put("topic", message.getTopic());
        delivery.put("msg_id", message.getMsgId());
        delivery.put("reconsume_times", message.getReconsumeTimes());
        delivery.put("at_ms", System.currentTimeMillis());
        return delivery;
    }

    static Map<String, Object> delayedMessage(Stage stage) throws Exception {
        String topic = stage.topic(1);
        DefaultMQPushConsumer consumer = stage.newPushConsumer(stage.name("group"));
        consumer.subscribe(topic, "*");
        List<Map<String, Object>> deliveries = Collections.synchronizedList(new ArrayList<>());
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            messages.forEach(message -> deliveries.add(delivery(message)));
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        Stage.start(consumer, topic);
        Message message = Stage.message(topic, "later");
        message.setDelayTimeLevel(2);
        long sentAt = System.currentTimeMillis();
        var result = stage.producer().send(message);
        Stage.waitUntil("the delayed message", 30, () -> !deliveries.isEmpty());
        Stage.waitForUninvited();
        return Map.of("deliveries", deliveries, "sent_at_ms", sentAt, "sent", Stage.sent("later", result));
    }
}
