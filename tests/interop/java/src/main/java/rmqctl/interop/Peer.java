package rmqctl.interop;

import java.io.BufferedReader;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * Clients beside those of another language, told what to do line by line on standard input:
 *
 * <pre>
 * consume NAME GROUP TOPIC concurrently|orderly|broadcasting   start a push consumer; prints "started"
 * queues NAME TOPIC                                            rebalance; prints how many queues it has
 * stop NAME                                                    shut a consumer down; prints "stopped"
 * send TOPIC                                                   send one message of each kind; prints "sent"
 * </pre>
 *
 * Each line of output is a JSON object with "event"; every message that a consumer gets is one.
 */
public final class Peer {
    private static final String TEXT = "已付款 — paid";

    private final String nameserver;
    private final PrintStream lines = new PrintStream(new FileOutputStream(FileDescriptor.out), true,
        StandardCharsets.UTF_8);
    private final Map<String, DefaultMQPushConsumer> consumers = new HashMap<>();

    private Peer(String nameserver) {
        this.nameserver = nameserver;
    }

    public static void main(String[] arguments) throws Exception {
        System.setOut(System.err);
        new Peer(arguments[0]).run();
        System.exit(0);
    }

    private void run() throws Exception {
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            String[] words = line.split(" ");
            switch (words[0]) {
                case "consume":
                    consume(words[1], words[2], words[3], words[4]);
                    break;
                case "queues":
                    queues(words[1], words[2]);
                    break;
                case "stop":
                    consumers.remove(words[1]).shutdown();
                    print("stopped", Map.of("name", words[1]));
                    break;
                case "send":
                    send(words[1]);
                    break;
                default:
                    throw new IllegalArgumentException(line);
            }
        }
        consumers.values().forEach(DefaultMQPushConsumer::shutdown);
    }

    private void consume(String name, String group, String topic, String kind) throws Exception {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(group);
        consumer.setNamesrvAddr(nameserver);
        consumer.setClientIP(Stage.CLIENT_IP);
        if (kind.equals("broadcasting")) {
            Versions.makeBroadcasting(consumer);
        } else {
            consumer.setInstanceName(group + "-" + name);
        }
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.setPersistConsumerOffsetInterval(500);
        consumer.setConsumeThreadMin(4);
        consumer.setConsumeThreadMax(4);
        consumer.subscribe(topic, "*");
        if (kind.equals("orderly")) {
            consumer.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
                messages.forEach(message -> printMessage(name, context.getMessageQueue().getBrokerName(), message));
                return ConsumeOrderlyStatus.SUCCESS;
            });
        } else {
            consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
                messages.forEach(message -> printMessage(name, context.getMessageQueue().getBrokerName(), message));
                return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
        }
        consumer.start();
        consumers.put(name, consumer);
        print("started", Map.of("name", name));
    }

    private void queues(String name, String topic) {
        DefaultMQPushConsumer consumer = consumers.get(name);
        // Left to itself a client that missed a lock tries again only after 20 s.
        consumer.getDefaultMQPushConsumerImpl().getmQClientFactory().rebalanceImmediately();
        print("queues", Map.of("name", name, "count", Stage.assigned(consumer, topic).size()));
    }

    private void send(String topic) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer("peer");
        start(producer);
        Message full = message(topic, "properties", TEXT);
        full.setTags("paid");
        full.putUserProperty("colour", "grün 绿");
        producer.send(full);
        producer.send(message(topic, "compressed", "all work and no play ".repeat(1000)));
        List<Message> batch = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            batch.add(message(topic, "batch-" + i, "part " + i));
        }
        producer.send(batch);
        Message delayed = message(topic, "delayed", "late");
        delayed.setDelayTimeLevel(1);
        producer.send(delayed);
        producer.shutdown();
        sendInTransaction(topic);
        print("sent", Map.of());
    }

    private void sendInTransaction(String topic) throws Exception {
        TransactionMQProducer producer = new TransactionMQProducer("peer-transactions");
        producer.setTransactionListener(new TransactionListener() {
            @Override
            public LocalTransactionState executeLocalTransaction(Message message, Object decision) {
                return (LocalTransactionState) decision;
            }

            @Override
            public LocalTransactionState checkLocalTransaction(MessageExt message) {
                return LocalTransactionState.UNKNOW;
            }
        });
        start(producer);
        producer.sendMessageInTransaction(message(topic, "committed", "yes"), LocalTransactionState.COMMIT_MESSAGE);
        producer.sendMessageInTransaction(message(topic, "rolled-back", "no"), LocalTransactionState.ROLLBACK_MESSAGE);
        producer.shutdown();
    }

    private void start(DefaultMQProducer producer) throws Exception {
        producer.setNamesrvAddr(nameserver);
        producer.setClientIP(Stage.CLIENT_IP);
        producer.setInstanceName(producer.getProducerGroup() + System.nanoTime());
        producer.setSendMsgTimeout(10_000);
        producer.start();
    }

    private static Message message(String topic, String key, String body) {
        Message message = new Message(topic, body.getBytes(StandardCharsets.UTF_8));
        message.setKeys(key);
        return message;
    }

    private void printMessage(String name, String broker, MessageExt message) {
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("name", name);
        line.put("queue", broker + ":" + message.getQueueId());
        line.put("body", new String(message.getBody(), StandardCharsets.UTF_8));
        line.put("topic", message.getTopic());
        line.put("tag", message.getTags());
        line.put("keys", message.getKeys());
        line.put("properties", message.getProperties());
        line.put("delay_ms", message.getStoreTimestamp() - message.getBornTimestamp());
        print("message", line);
    }

    private synchronized void print(String event, Map<String, ?> members) {
        Map<String, Object> line = new LinkedHashMap<>(members);
        line.put("event", event);
        lines.println(Json.write(line));
    }
}
