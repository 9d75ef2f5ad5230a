package rmqctl.interop;

import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.IntPredicate;
import java.util.stream.Stream;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** What one case works with: names of its own, clients that are shut down with it, and ways to wait and to look. */
final class Stage implements AutoCloseable {
    static final String CLIENT_IP = "127.0.0.1";
    private static final AtomicInteger INSTANCES = new AtomicInteger();

    final Admins admins;
    final String nameserver;
    private final String prefix;
    private final Deque<Runnable> shutdowns = new ArrayDeque<>();

    Stage(Admins admins, String nameserver, String run, String caseName) {
        this.admins = admins;
        this.nameserver = nameserver;
        this.prefix = run + "-" + caseName;
    }

    /** A topic or group name that no other case and no other run uses. */
    String name(String suffix) {
        return prefix + "-" + suffix;
    }

    String instanceName() {
        return prefix + "-" + INSTANCES.incrementAndGet();
    }

    /** A new topic of this case with the same number of read and write queues on every master. */
    String topic(int queuesPerMaster) throws Exception {
        String topic = name("topic");
        admins.createTopic(topic, queuesPerMaster, queuesPerMaster);
        return topic;
    }

    DefaultMQProducer producer() throws Exception {
        DefaultMQProducer producer = newProducer();
        producer.start();
        return producer;
    }

    /** A producer that is not started yet. */
    DefaultMQProducer newProducer() {
        DefaultMQProducer producer = new DefaultMQProducer(name("producers"));
        producer.setNamesrvAddr(nameserver);
        producer.setClientIP(CLIENT_IP);
        producer.setInstanceName(instanceName());
        producer.setSendMsgTimeout(10_000);
        shutdowns.push(producer::shutdown);
        return producer;
    }

    /** A push consumer that is not started yet and reads its topics from the start. */
    DefaultMQPushConsumer newPushConsumer(String group) {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(group);
        consumer.setNamesrvAddr(nameserver);
        consumer.setClientIP(CLIENT_IP);
        consumer.setInstanceName(instanceName());
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        // 5.3 skips the heartbeat that tells a new subscription when another one is on its way. Until the next (by
        // default after 30 s) the broker answers its pulls with SUBSCRIPTION_NOT_LATEST.
        consumer.setHeartbeatBrokerInterval(1_000);
        consumer.setConsumeThreadMin(4);
        consumer.setConsumeThreadMax(4);
        shutdowns.push(consumer::shutdown);
        return consumer;
    }

    /**
     * Let a consumer of the group come and go, so that the group's retry topic is there when the case's own consumer
     * starts. (A client asks for a topic that was missing at its start only every 30 s.)
     */
    void introduceGroup(String group, String topic) throws Exception {
        DefaultMQPushConsumer consumer = newPushConsumer(group);
        consumer.subscribe(topic, "*");
        Received.by(consumer);
        consumer.start();
        int masters = admins.masterAddresses().size();
        waitUntil("the retry topic of " + group, 60,
            () -> admins.routes("%RETRY%" + group).stream().allMatch(route -> route.size() == masters));
        consumer.shutdown();
    }

    DefaultMQPullConsumer pullConsumer(String group) throws Exception {
        DefaultMQPullConsumer consumer = newPullConsumer(group);
        consumer.start();
        return consumer;
    }

    /** A pull consumer that is not started yet. */
    DefaultMQPullConsumer newPullConsumer(String group) {
        DefaultMQPullConsumer consumer = new DefaultMQPullConsumer(group);
        consumer.setNamesrvAddr(nameserver);
        consumer.setClientIP(CLIENT_IP);
        consumer.setInstanceName(instanceName());
        shutdowns.push(consumer::shutdown);
        return consumer;
    }

    void onClose(Runnable shutdown) {
        shutdowns.push(shutdown);
    }

    /** The queues that a started push consumer holds at the moment. */
    static List<MessageQueue> assigned(DefaultMQPushConsumer consumer, String topic) {
        List<MessageQueue> queues = new ArrayList<>();
        Set<MessageQueue> table =
            consumer.getDefaultMQPushConsumerImpl().getRebalanceImpl().getProcessQueueTable().keySet();
        for (MessageQueue queue : table) {
            if (queue.getTopic().equals(topic)) {
                queues.add(queue);
            }
        }
        return queues;
    }

    /** Start the consumer and wait until it holds queues of the topic. */
    static void start(DefaultMQPushConsumer consumer, String topic) throws Exception {
        consumer.start();
        waitForQueues(topic, count -> count > 0, consumer);
    }

    /**
     * Wait until the number of queues that each consumer holds is right, waking their rebalance now and then: left to
     * itself a client tries again only after 20 s when a heartbeat was skipped (5.3 does so while another is on its
     * way), a queue's lock was not free or it asked a broker that did not know the new consumer yet.
     */
    static void waitForQueues(String topic, IntPredicate right, DefaultMQPushConsumer... consumers) throws Exception {
        waitUntil("queues of " + topic, 60, () -> {
            if (Stream.of(consumers).allMatch(consumer -> right.test(assigned(consumer, topic).size()))) {
                return true;
            }
            Thread.sleep(200);
            for (DefaultMQPushConsumer consumer : consumers) {
                consumer.getDefaultMQPushConsumerImpl().getmQClientFactory().rebalanceImmediately();
            }
            return false;
        });
    }

    /** Read every queue of the topic from its start until `count` messages are there: queue to bodies, by offset. */
    Map<String, List<String>> stored(String topic, int count) throws Exception {
        DefaultMQPullConsumer consumer = pullConsumer(name("reader"));
        Map<String, List<String>> bodies = new TreeMap<>();
        waitUntil(count + " stored messages in " + topic, 15, () -> {
            bodies.clear();
            for (MessageQueue queue : consumer.fetchSubscribeMessageQueues(topic)) {
                bodies.put(label(queue), readQueue(consumer, queue));
            }
            return bodies.values().stream().mapToInt(List::size).sum() >= count;
        });
        return bodies;
    }

    private static List<String> readQueue(DefaultMQPullConsumer consumer, MessageQueue queue) throws Exception {
        List<String> bodies = new ArrayList<>();
        long offset = 0;
        while (true) {
            PullResult result = consumer.pull(queue, "*", offset, 32);
            if (result.getPullStatus() != PullStatus.FOUND) {
                return bodies;
            }
            for (MessageExt message : result.getMsgFoundList()) {
                bodies.add(text(message));
            }
            offset = result.getNextBeginOffset();
        }
    }

    static Message message(String topic, String body) {
        return new Message(topic, body.getBytes(StandardCharsets.UTF_8));
    }

    static String text(Message message) {
        return new String(message.getBody(), StandardCharsets.UTF_8);
    }

    static String label(MessageQueue queue) {
        return queue.getBrokerName() + ":" + queue.getQueueId();
    }

    static Map<String, Object> sent(String body, SendResult result) {
        Map<String, Object> sent = new LinkedHashMap<>();
        sent.put("body", body);
        sent.put("status", result.getSendStatus());
        sent.put("queue", label(result.getMessageQueue()));
        sent.put("offset", result.getQueueOffset());
        sent.put("msg_id", result.getMsgId());
        sent.put("offset_msg_id", result.getOffsetMsgId());
        return sent;
    }

    /** Poll the condition until it holds; an exception of the condition ends the wait. */
    static void waitUntil(String what, int seconds, Callable<Boolean> condition) throws Exception {
        long deadline = System.nanoTime() + seconds * 1_000_000_000L;
        while (!condition.call()) {
            if (System.nanoTime() > deadline) {
                throw new IllegalStateException("waited " + seconds + " s in vain for " + what);
            }
            Thread.sleep(10);
        }
    }

    /** Time in which a message that must not come, such as a duplicate, would come. */
    static void waitForUninvited() throws InterruptedException {
        Thread.sleep(500);
    }

    @Override
    public void close() {
        shutdowns.forEach(Runnable::run);
    }
}
