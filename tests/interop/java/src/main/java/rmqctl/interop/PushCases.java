package rmqctl.interop;

import static rmqctl.interop.Stage.assigned;
import static rmqctl.interop.Stage.message;
import static rmqctl.interop.Stage.text;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** Cases about push consumers with a concurrent listener. */
final class PushCases {
    private static final int BACKLOG = 2000;

    private PushCases() {
    }

    static Map<String, Object> pushConcurrently(Stage stage) throws Exception {
        String topic = stage.topic(4);
        DefaultMQPushConsumer consumer = stage.newPushConsumer(stage.name("group"));
        consumer.subscribe(topic, "*");
        Received received = Received.by(consumer);
        List<String> before = send(stage.producer(), topic, "before", 50);
        Stage.start(consumer, topic);
        received.waitFor(before.size());
        List<String> after = send(stage.producer(), topic, "after", 50);
        received.waitFor(before.size() + after.size());
        return Map.of("sent_before_start", before, "sent_after_start", after, "received", received.bodies());
    }

    static Map<String, Object> twoConsumersShareABacklog(Stage stage) throws Exception {
        int masters = stage.admins.masterAddresses().size();
        String topic = stage.topic(8 / masters);
        List<DefaultMQPushConsumer> consumers = new ArrayList<>();
        List<Received> received = new ArrayList<>();
        for (int i = 0; i < 2; i++) {
            DefaultMQPushConsumer consumer = stage.newPushConsumer(stage.name("group"));
            consumer.subscribe(topic, "*");
            received.add(Received.by(consumer));
            consumer.start();
            consumers.add(consumer);
        }
        DefaultMQPushConsumer first = consumers.get(0);
        DefaultMQPushConsumer second = consumers.get(1);
        Stage.waitForQueues(topic, count -> count == 4, first, second);
        Set<Object> shared = new HashSet<>(assigned(first, topic));
        shared.addAll(assigned(second, topic));
        List<String> sent = send(stage.producer(), topic, "shared", BACKLOG);
        Stage.waitUntil("the whole backlog", 60, () -> distinct(received) >= BACKLOG);
        Stage.waitForUninvited();

        long left = System.nanoTime();
        second.shutdown();
        Stage.waitUntil("the first consumer to take over", 60, () -> assigned(first, topic).size() == 8);
        return Map.of("sent", sent.size(), "distinct", distinct(received), "queues_together", shared.size(),
            "received", List.of(received.get(0).count(), received.get(1).count()),
            "foreign", foreign(received, sent), "takeover_seconds", (System.nanoTime() - left) / 1e9);
    }

    private static int distinct(List<Received> received) {
        return union(received).size();
    }

    private static Set<String> foreign(List<Received> received, List<String> sent) {
        Set<String> bodies = union(received);
        bodies.removeAll(new HashSet<>(sent));
        return bodies;
    }

    private static Set<String> union(List<Received> received) {
        Set<String> bodies = new HashSet<>();
        received.forEach(one -> bodies.addAll(one.bodies()));
        return bodies;
    }

    static Map<String, Object> offsetsSurviveARestart(Stage stage) throws Exception {
        String topic = stage.topic(2);
        DefaultMQProducer producer = stage.producer();
        List<String> first = send(producer, topic, "first", 50);
        List<String> receivedFirst = consume(stage, topic, first.size());
        List<String> second = send(producer, topic, "second", 30);
        List<String> receivedSecond = consume(stage, topic, second.size());
        return Map.of("first", first, "second", second,
            "received_first", receivedFirst, "received_second", receivedSecond);
    }

    private static List<String> consume(Stage stage, String topic, int count) throws Exception {
        DefaultMQPushConsumer consumer = stage.newPushConsumer(stage.name("group"));
        consumer.subscribe(topic, "*");
        Received received = Received.by(consumer);
        Stage.start(consumer, topic);
        received.waitFor(count);
        consumer.shutdown();
        return received.bodies();
    }

    static Map<String, Object> broadcasting(Stage stage) throws Exception {
        String topic = stage.topic(2);
        List<Received> received = new ArrayList<>();
        for (int i = 0; i < 2; i++) {
            DefaultMQPushConsumer consumer = stage.newPushConsumer(stage.name("group"));
            Versions.makeBroadcasting(consumer);
            consumer.subscribe(topic, "*");
            received.add(Received.by(consumer));
            Stage.start(consumer, topic);
        }
        List<String> sent = send(stage.producer(), topic, "broadcast", 20);
        for (Received one : received) {
            one.waitFor(sent.size());
        }
        return Map.of("sent", sent, "received", List.of(received.get(0).bodies(), received.get(1).bodies()));
    }

    static Map<String, Object> tagFilter(Stage stage) throws Exception {
        String topic = stage.topic(2);
        DefaultMQPushConsumer consumer = stage.newPushConsumer(stage.name("group"));
        consumer.subscribe(topic, "TagA || TagC");
        Received received = Received.by(consumer);
        Stage.start(consumer, topic);
        DefaultMQProducer producer = stage.producer();
        for (int i = 0; i < 30; i++) {
            String tag = i % 4 == 3 ? null : "Tag" + (char) ('A' + i % 4); // A, B, C, none
            producer.send(new Message(topic, tag, ("tagged-" + i).getBytes()));
        }
        // "AaAaAa" and "BBBBBB" have one hash code: the broker lets both pass, the client must not
        producer.send(new Message(topic, "AaAaAa", "collision".getBytes()));
        received.waitFor(15);
        DefaultMQPushConsumer colliding = stage.newPushConsumer(stage.name("colliding"));
        colliding.subscribe(topic, "BBBBBB || TagB");
        Received ofColliding = Received.by(colliding);
        Stage.start(colliding, topic);
        ofColliding.waitFor(8);
        return Map.of("received", received.bodies(), "colliding", ofColliding.bodies());
    }

    static Map<String, Object> properties(Stage stage) throws Exception {
        String topic = stage.topic(1);
        DefaultMQPushConsumer consumer = stage.newPushConsumer(stage.name("group"));
        consumer.subscribe(topic, "支付");
        Received received = Received.by(consumer);
        Stage.start(consumer, topic);
        Message message = new Message(topic, "支付", "订单-7 k2", 42, "{\"note\": \"已付款\"}".getBytes(
            StandardCharsets.UTF_8), true);
        message.putUserProperty("备注", "第七号订单 = ok; \"quoted\"");
        message.setBuyerId("买家");
        var result = stage.producer().send(message);
        received.waitFor(1);
        MessageExt got = received.messages().get(0);
        return Map.of("body", text(got), "keys", got.getKeys(), "tags", got.getTags(), "flag", got.getFlag(),
            "note", got.getUserProperty("备注"), "buyer", got.getBuyerId(), "same_id", got.getMsgId().equals(result.getMsgId()),
            "sent", Stage.sent("", result), "offset", got.getQueueOffset());
    }

    static Map<String, Object> compressedBody(Stage stage) throws Exception {
        String topic = stage.topic(1);
        DefaultMQPushConsumer consumer = stage.newPushConsumer(stage.name("group"));
        consumer.subscribe(topic, "*");
        Received received = Received.by(consumer);
        Stage.start(consumer, topic);
        String body = "已付款 0123456789 ".repeat(2000);
        stage.producer().send(message(topic, body));
        received.waitFor(1);
        MessageExt got = received.messages().get(0);
        return Map.of("same_body", text(got).equals(body), "sys_flag", got.getSysFlag(),
            "body_size", body.getBytes(StandardCharsets.UTF_8).length, "store_size", got.getStoreSize());
    }

    /** Send `count` messages and return their bodies. */
    static List<String> send(DefaultMQProducer producer, String topic, String word, int count) throws Exception {
        List<String> bodies = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            bodies.add(word + "-" + i);
            producer.send(message(topic, word + "-" + i));
        }
        return bodies;
    }
}
