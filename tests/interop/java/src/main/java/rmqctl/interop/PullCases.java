package rmqctl.interop;

import static rmqctl.interop.Stage.label;
import static rmqctl.interop.Stage.message;
import static rmqctl.interop.Stage.text;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** Cases about pulling by queue and offset. */
final class PullCases {
    private PullCases() {
    }

    static Map<String, Object> pullConsumer(Stage stage) throws Exception {
        String topic = stage.topic(2);
        List<String> sent = PushCases.send(stage.producer(), topic, "pulled", 90);
        DefaultMQPullConsumer consumer = stage.newPullConsumer(stage.name("group"));
        consumer.setRegisterTopics(Set.of(topic));
        consumer.start();
        Set<MessageQueue> queues = consumer.fetchSubscribeMessageQueues(topic);
        Stage.waitUntil("all queues", 60, () -> consumer.fetchMessageQueuesInBalance(topic).size() == queues.size());
        awaitMessages(consumer, queues, sent.size());
        Map<String, List<String>> pulled = new TreeMap<>();
        Map<String, Long> committed = new TreeMap<>();
        for (MessageQueue queue : queues) {
            long next = pullAll(consumer, queue, pulled.computeIfAbsent(label(queue), name -> new ArrayList<>()));
            consumer.updateConsumeOffset(queue, next);
            committed.put(label(queue), next);
        }
        // A client commits one-way, and closes its connection right behind: on a busy machine the last ones get lost.
        consumer.getDefaultMQPullConsumerImpl().getOffsetStore().persistAll(new HashSet<>(queues));
        Stage.waitUntil("offsets on the brokers", 60, () -> {
            for (MessageQueue queue : queues) {
                if (consumer.fetchConsumeOffset(queue, true) != committed.get(label(queue))) {
                    return false;
                }
            }
            return true;
        });
        consumer.shutdown();

        DefaultMQPullConsumer successor = stage.pullConsumer(stage.name("group"));
        Map<String, Long> found = new TreeMap<>();
        long deadline = System.currentTimeMillis() + 5_000; // offsets are committed one-way
        while (!found.equals(committed) && System.currentTimeMillis() < deadline) {
            for (MessageQueue queue : queues) {
                found.put(label(queue), successor.fetchConsumeOffset(queue, true));
            }
        }
        return Map.of("sent", sent, "pulled", pulled, "committed", committed, "found", found);
    }

    /** Wait until so many messages can be pulled: brokers answer a send before its queue entry is written. */
    private static void awaitMessages(DefaultMQPullConsumer consumer, Set<MessageQueue> queues, int count)
        throws Exception {
        Stage.waitUntil(count + " messages to pull", 15, () -> {
            long found = 0;
            for (MessageQueue queue : queues) {
                found += consumer.maxOffset(queue);
            }
            return found == count;
        });
    }

    private static long pullAll(DefaultMQPullConsumer consumer, MessageQueue queue, List<String> bodies)
        throws Exception {
        long next = 0;
        while (next < consumer.maxOffset(queue)) {
            PullResult result = consumer.pull(queue, "*", next, 7);
            for (MessageExt message : result.getMsgFoundList()) {
                bodies.add(text(message));
            }
            next = result.getNextBeginOffset();
        }
        return next;
    }

    static Map<String, Object> pullStatuses(Stage stage) throws Exception {
        String topic = stage.topic(1);
        DefaultMQProducer producer = stage.producer();
        MessageQueue queue = producer.fetchPublishMessageQueues(topic).get(0);
        DefaultMQPullConsumer consumer = stage.pullConsumer(stage.name("group"));
        Map<String, Object> saw = new LinkedHashMap<>();
        saw.put("empty_queue", status(consumer.pull(queue, "*", 0, 32)));
        for (int i = 0; i < 10; i++) {
            producer.send(new Message(topic, i % 2 == 0 ? "Even" : "Odd", ("m-" + i).getBytes()), queue);
        }
        awaitMessages(consumer, Set.of(queue), 10);
        saw.put("found", status(consumer.pull(queue, "*", 4, 3)));
        saw.put("one_tag", status(consumer.pull(queue, "Odd", 0, 32)));
        saw.put("no_match", status(consumer.pull(queue, "Neither", 0, 32)));
        saw.put("at_the_end", status(consumer.pull(queue, "*", 10, 32)));
        saw.put("beyond_the_end", status(consumer.pull(queue, "*", 1000, 32)));
        return saw;
    }

    private static Map<String, Object> status(PullResult result) {
        List<String> bodies = new ArrayList<>();
        if (result.getMsgFoundList() != null) {
            result.getMsgFoundList().forEach(message -> bodies.add(text(message)));
        }
        return Map.of("status", result.getPullStatus(), "next", result.getNextBeginOffset(),
            "min", result.getMinOffset(), "max", result.getMaxOffset(), "bodies", bodies);
    }

    static Map<String, Object> longPoll(Stage stage) throws Exception {
        String topic = stage.topic(1);
        DefaultMQProducer producer = stage.producer();
        MessageQueue queue = producer.fetchPublishMessageQueues(topic).get(0);
        DefaultMQPullConsumer consumer = stage.pullConsumer(stage.name("group"));
        consumer.maxOffset(queue); // opens the connection
        long start = System.nanoTime();
        CompletableFuture<PullResult> held = new CompletableFuture<>();
        Thread puller = new Thread(() -> {
            try {
                held.complete(consumer.pullBlockIfNotFound(queue, "*", 0, 32));
            } catch (Exception error) {
                held.completeExceptionally(error);
            }
        });
        puller.start();
        Thread.sleep(800);
        boolean heldBefore = !held.isDone();
        long sentAt = System.nanoTime();
        producer.send(message(topic, "woken"), queue);
        PullResult result = held.get(30, TimeUnit.SECONDS);
        long now = System.nanoTime();
        return Map.of("held_before_the_message", heldBefore, "held_seconds", (now - start) / 1e9,
            "woken_after_seconds", (now - sentAt) / 1e9, "result", status(result));
    }

    static Map<String, Object> queueOffsets(Stage stage) throws Exception {
        String topic = stage.topic(1);
        DefaultMQProducer producer = stage.producer();
        MessageQueue queue = producer.fetchPublishMessageQueues(topic).get(0);
        DefaultMQPullConsumer consumer = stage.pullConsumer(stage.name("group"));
        Map<String, Object> saw = new LinkedHashMap<>();
        saw.put("max_when_empty", consumer.maxOffset(queue));
        for (int i = 0; i < 10; i++) {
            producer.send(message(topic, "at-" + i), queue);
            Thread.sleep(5); // store times have to differ
        }
        awaitMessages(consumer, Set.of(queue), 10);
        List<Long> storeTimes = new ArrayList<>();
        List<Long> searched = new ArrayList<>();
        for (MessageExt message : consumer.pull(queue, "*", 0, 32).getMsgFoundList()) {
            storeTimes.add(message.getStoreTimestamp());
            searched.add(consumer.searchOffset(queue, message.getStoreTimestamp()));
        }
        saw.put("min", consumer.minOffset(queue));
        saw.put("max", consumer.maxOffset(queue));
        saw.put("store_times", storeTimes);
        saw.put("searched", searched);
        saw.put("searched_long_before", consumer.searchOffset(queue, storeTimes.get(0) - 3_600_000));
        saw.put("searched_long_after", consumer.searchOffset(queue, storeTimes.get(9) + 3_600_000));
        saw.put("earliest_store_time", consumer.earliestMsgStoreTime(queue));
        return saw;
    }

    /** DefaultLitePullConsumer came after 4.5.2, so it is only reached by reflection. */
    static Map<String, Object> litePullConsumer(Stage stage) throws Exception {
        String topic = stage.topic(2);
        List<String> sent = PushCases.send(stage.producer(), topic, "lite", 50);
        Class<?> type = Class.forName("org.apache.rocketmq.client.consumer.DefaultLitePullConsumer");
        Object consumer = type.getConstructor(String.class).newInstance(stage.name("group"));
        type.getMethod("setNamesrvAddr", String.class).invoke(consumer, stage.nameserver);
        type.getMethod("setClientIP", String.class).invoke(consumer, Stage.CLIENT_IP);
        type.getMethod("setInstanceName", String.class).invoke(consumer, stage.instanceName());
        type.getMethod("setConsumeFromWhere", ConsumeFromWhere.class)
            .invoke(consumer, ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        type.getMethod("subscribe", String.class, String.class).invoke(consumer, topic, "*");
        type.getMethod("start").invoke(consumer);
        stage.onClose(() -> {
            try {
                type.getMethod("shutdown").invoke(consumer);
            } catch (ReflectiveOperationException error) {
                throw new IllegalStateException(error);
            }
        });
        List<String> received = new ArrayList<>();
        Stage.waitUntil("all messages by lite pull", 60, () -> {
            List<?> messages = (List<?>) type.getMethod("poll", long.class).invoke(consumer, 100L);
            messages.forEach(message -> received.add(text((MessageExt) message)));
            return received.size() >= sent.size();
        });
        return Map.of("sent", sent, "received", received);
    }
}
