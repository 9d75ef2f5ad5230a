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
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** Cases about messages that are delivered later than they were sent. */
final class DelayCases {
    private static final int EACH = 10;

    private DelayCases() {
    }

    static Map<String, Object> delayedMessage(Stage stage) throws Exception {
        String topic = stage.topic(1);
        List<Map<String, Object>> deliveries = consume(stage, topic);
        Message message = Stage.message(topic, "later");
        message.setDelayTimeLevel(2);
        long sentAt = System.currentTimeMillis();
        var result = stage.producer().send(message);
        Stage.waitUntil("the delayed message", 60, () -> !deliveries.isEmpty());
        Stage.waitForUninvited();
        return Map.of("deliveries", deliveries, "sent_at_ms", sentAt, "sent", Stage.sent("later", result));
    }

    /** Levels 1 (1 s), 2 (5 s) and none, mixed, to one queue; level 99 means the last one, hours away. */
    static Map<String, Object> delayLevels(Stage stage) throws Exception {
        String topic = stage.topic(1);
        List<Map<String, Object>> deliveries = consume(stage, topic);
        DefaultMQProducer producer = stage.producer();
        MessageQueue queue = producer.fetchPublishMessageQueues(topic).get(0);
        Map<String, Object> sentAt = new LinkedHashMap<>();
        for (int i = 0; i < EACH; i++) {
            for (int level : new int[] {2, 99, 0, 1}) {
                Message message = Stage.message(topic, "level " + level + " #" + i);
                message.setTags("tag");
                message.setKeys("key-" + i);
                message.putUserProperty("own", "property " + i);
                message.setDelayTimeLevel(level);
                sentAt.put(text(message), System.currentTimeMillis());
                producer.send(message, queue);
            }
        }
        Stage.waitUntil("all that is due within seconds", 60, () -> deliveries.size() >= 3 * EACH);
        Stage.waitForUninvited();
        return Map.of("sent_at_ms", sentAt, "deliveries", deliveries, "topic", topic);
    }

    /** A delivery time of 5.x: each version of the client can write the property. */
    static Map<String, Object> deliveryTime(Stage stage) throws Exception {
        String topic = stage.topic(1);
        List<Map<String, Object>> deliveries = consume(stage, topic);
        Message message = Stage.message(topic, "at a time");
        MessageAccessor.putProperty(message, "TIMER_DELAY_MS", "1500");
        try {
            stage.producer().send(message);
        } catch (MQBrokerException refused) {
            Stage.waitForUninvited();
            return Map.of("code", refused.getResponseCode(), "remark", refused.getErrorMessage(),
                "deliveries", deliveries);
        }
        Stage.waitUntil("the message", 60, () -> !deliveries.isEmpty());
        return Map.of("deliveries", deliveries);
    }

    private static List<Map<String, Object>> consume(Stage stage, String topic) throws Exception {
        DefaultMQPushConsumer consumer = stage.newPushConsumer(stage.name("group"));
        consumer.subscribe(topic, "*");
        List<Map<String, Object>> deliveries = Collections.synchronizedList(new ArrayList<>());
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            messages.forEach(message -> deliveries.add(delivery(message)));
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        Stage.start(consumer, topic);
        return deliveries;
    }

    /** What the test looks at of a message that came. */
    static Map<String, Object> delivery(MessageExt message) {
        Map<String, Object> delivery = new LinkedHashMap<>();
        delivery.put("body", text(message));
        delivery.put("topic", message.getTopic());
        delivery.put("queue_offset", message.getQueueOffset());
        delivery.put("msg_id", message.getMsgId());
        delivery.put("reconsume_times", message.getReconsumeTimes());
        delivery.put("properties", message.getProperties());
        delivery.put("store_ms", message.getStoreTimestamp());
        delivery.put("at_ms", System.currentTimeMillis());
        return delivery;
    }
}
