package rmqctl.interop;

import static rmqctl.interop.Stage.text;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** Cases about transactional messages. What becomes of each is the first word of its body. */
final class TransactionCases {
    private static final List<String> FATES =
        List.of("commit", "rollback", "throw", "later-commit", "later-rollback", "never");
    private static final int EACH = 3;
    private static final String GIVEN_UP = "TRANS_CHECK_MAX_TIME_TOPIC";

    private TransactionCases() {
    }

    static Map<String, Object> transactions(Stage stage) throws Exception {
        String topic = stage.topic(2);
        DefaultMQPushConsumer consumer = stage.newPushConsumer(stage.name("group"));
        consumer.subscribe(topic, "*");
        Received received = Received.by(consumer);
        Stage.start(consumer, topic);
        Checks checks = new Checks();
        TransactionMQProducer producer = producer(stage, topic, checks);
        String run = stage.name("");
        List<Map<String, Object>> sent = new ArrayList<>();
        for (String fate : FATES) {
            for (int i = 0; i < EACH; i++) {
                String body = fate + " " + run + i;
                var result = producer.sendMessageInTransaction(Stage.message(topic, body), null);
                Map<String, Object> line = Stage.sent(body, result);
                line.put("state", result.getLocalTransactionState());
                sent.add(line);
            }
        }
        int committed = 3 * EACH;
        Stage.waitUntil("the committed messages", 60, () -> received.bodies().size() >= committed);
        List<String> givenUp = new ArrayList<>();
        DefaultMQPullConsumer reader = stage.pullConsumer(stage.name("given-up"));
        Stage.waitUntil("the messages that nobody decides", 60, () -> {
            Thread.sleep(300);
            givenUp.clear();
            givenUp.addAll(givenUp(reader, run));
            return givenUp.size() >= EACH;
        });
        Stage.waitForUninvited();
        return Map.of("sent", sent, "received", received.bodies(), "checks", checks.times(), "given_up", givenUp,
            "topics_in_checks", checks.topics());
    }

    static Map<String, Object> transactionImmunity(Stage stage) throws Exception {
        String topic = stage.topic(1);
        Checks checks = new Checks();
        TransactionMQProducer producer = producer(stage, topic, checks);
        Message message = Stage.message(topic, "later-commit patient");
        message.putUserProperty("CHECK_IMMUNITY_TIME_IN_SECONDS", "5");
        long sentAt = System.currentTimeMillis();
        producer.sendMessageInTransaction(message, null);
        Map<String, List<String>> stored = stage.stored(topic, 1);
        return Map.of("stored", stored, "first_check_after_ms", checks.firstAtMs() - sentAt);
    }

    private static TransactionMQProducer producer(Stage stage, String topic, Checks checks) throws Exception {
        TransactionMQProducer producer = new TransactionMQProducer(stage.name("producers"));
        producer.setNamesrvAddr(stage.nameserver);
        producer.setClientIP(Stage.CLIENT_IP);
        producer.setInstanceName(stage.instanceName());
        producer.setSendMsgTimeout(10_000);
        producer.setHeartbeatBrokerInterval(500); // each broker must know the producer when it asks
        producer.setTransactionListener(checks);
        stage.onClose(producer::shutdown);
        producer.start();
        producer.fetchPublishMessageQueues(topic);
        return producer;
    }

    /** Bodies of this run among the messages that brokers gave up; the topic is there once one of them did. */
    private static List<String> givenUp(DefaultMQPullConsumer reader, String run) throws Exception {
        List<String> bodies = new ArrayList<>();
        Iterable<MessageQueue> queues;
        try {
            queues = reader.fetchSubscribeMessageQueues(GIVEN_UP);
        } catch (MQClientException noRoute) {
            return bodies;
        }
        for (MessageQueue queue : queues) {
            long offset = 0;
            PullResult result;
            while ((result = reader.pull(queue, "*", offset, 32)).getPullStatus() == PullStatus.FOUND) {
                for (MessageExt message : result.getMsgFoundList()) {
                    if (text(message).contains(run)) {
                        bodies.add(text(message));
                    }
                }
                offset = result.getNextBeginOffset();
            }
        }
        return bodies;
    }

    /** Decides as the body says, and notes each question of a broker. */
    private static final class Checks implements TransactionListener {
        private final Map<String, List<String>> times = new TreeMap<>();
        private final List<String> topics = Collections.synchronizedList(new ArrayList<>());
        private long firstAtMs;

        @Override
        public LocalTransactionState executeLocalTransaction(Message message, Object argument) {
            switch (text(message).split(" ")[0]) {
                case "commit":
                    return LocalTransactionState.COMMIT_MESSAGE;
                case "rollback":
                    return LocalTransactionState.ROLLBACK_MESSAGE;
                case "throw":
                    throw new IllegalStateException("the local transaction failed");
                default:
                    return LocalTransactionState.UNKNOW;
            }
        }

        @Override
        public synchronized LocalTransactionState checkLocalTransaction(MessageExt message) {
            if (firstAtMs == 0) {
                firstAtMs = System.currentTimeMillis();
            }
            String body = text(message);
            times.computeIfAbsent(body, key -> new ArrayList<>()).add(message.getProperty("TRANSACTION_CHECK_TIMES"));
            topics.add(message.getTopic());
            switch (body.split(" ")[0]) {
                case "throw":
                case "later-commit":
                    return LocalTransactionState.COMMIT_MESSAGE;
                case "later-rollback":
                    return LocalTransactionState.ROLLBACK_MESSAGE;
                default:
                    return LocalTransactionState.UNKNOW;
            }
        }

        synchronized Map<String, List<String>> times() {
            return new TreeMap<>(times);
        }

        synchronized long firstAtMs() {
            return firstAtMs;
        }

        List<String> topics() {
            return new ArrayList<>(topics);
        }
    }
}
