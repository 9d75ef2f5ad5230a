package rmqctl.interop;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** Cases about messages that come back because a consumer failed on them, and about those it gave up. */
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
        Stage.waitUntil("two retries of each message", 60, () -> deliveries.size() >= 3 * FAILING);
        Stage.waitForUninvited();
        return Map.of("sent", sent, "topic", topic, "deliveries", deliveries);
    }

    static Map<String, Object> deadLetter(Stage stage) throws Exception {
        String topic = stage.topic(1);
        stage.introduceGroup(stage.name("group"), topic);
        return failUntilDead(stage, topic);
    }

    /** The group is made by an admin: two retry queues, and a limit that the consumer's own one replaces. */
    static Map<String, Object> configuredGroup(Stage stage) throws Exception {
        String topic = stage.topic(1);
        for (String master : stage.admins.masterAddresses()) {
            Versions.createGroup(stage.admins.first(), master, stage.name("group"), 2, 7);
        }
        stage.introduceGroup(stage.name("group"), topic);
        Map<String, Object> saw = new TreeMap<>(failUntilDead(stage, topic));
        saw.put("retry_routes", stage.admins.routes("%RETRY%" + stage.name("group")));
        return saw;
    }

    private static Map<String, Object> failUntilDead(Stage stage, String topic) throws Exception {
        List<Map<String, Object>> deliveries = Collections.synchronizedList(new ArrayList<>());
        DefaultMQPushConsumer consumer = failingConsumer(stage, topic, deliveries, Integer.MAX_VALUE);
        consumer.setMaxReconsumeTimes(1);
        Stage.start(consumer, topic);
        SendResult sent = stage.producer().send(Stage.message(topic, "dead"));
        String deadLetters = "%DLQ%" + stage.name("group");
        // A client of 4.5.2 that lost its first connection (see Load.connect) asks for routes again after 30 s.
        Stage.waitUntil("the message in " + deadLetters, 60, () -> stored(stage, deadLetters) == 1);
        Stage.waitForUninvited();
        return Map.of("sent", Stage.sent("dead", sent), "topic", topic, "deliveries", deliveries,
            "dead_letters", stored(stage, deadLetters), "routes", stage.admins.routes(deadLetters));
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
            deliveries.add(DelayCases.delivery(message));
            context.setDelayLevelWhenNextConsume(1);
            return message.getReconsumeTimes() < failures
                ? ConsumeConcurrentlyStatus.RECONSUME_LATER
                : ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        return consumer;
    }
}
