package rmqctl.interop;

import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.tools.command.MQAdminStartup;

/**
 * Runs mqadmin commands in one JVM: each line of stdin is one, its words separated by tabs; each gets one line of JSON
 * with what it wrote, {"out", "err"}.
 *
 * <p>{@code @send NAMESERVER TOPIC COUNT} sends to queue 0 of the first broker, with keys and tags: a JVM runs the
 * command sendMessage only once. {@code @join NAMESERVER TOPIC CONSUMER_GROUP PRODUCER_GROUP} lets one consumer and one producer be there from then
 * on, with the client id 127.0.0.1@member; {@code @leave} ends them.
 */
public final class Mqadmin {
    private static DefaultMQPushConsumer consumer;
    private static DefaultMQProducer producer;

    private Mqadmin() {
    }

    public static void main(String[] arguments) throws Exception {
        PrintStream lines = new PrintStream(new FileOutputStream(FileDescriptor.out), true, "US-ASCII");
        BufferedReader commands = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = commands.readLine(); line != null; line = commands.readLine()) {
            lines.println(Json.write(run(line.split("\t"))));
        }
        System.exit(0); // the clients' threads would keep the JVM alive
    }

    private static Map<String, Object> run(String[] words) throws Exception {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        PrintStream usualErr = System.err;
        System.setOut(new PrintStream(out, true, "UTF-8"));
        System.setErr(new PrintStream(err, true, "UTF-8"));
        try {
            if (words[0].equals("@send")) {
                send(words[1], words[2], Integer.parseInt(words[3]));
            } else if (words[0].equals("@join")) {
                join(words[1], words[2], words[3], words[4]);
            } else if (words[0].equals("@leave")) {
                consumer.shutdown();
                producer.shutdown();
            } else {
                MQAdminStartup.main0(words, null);
            }
        } finally {
            System.setOut(usualErr);
            System.setErr(usualErr);
        }
        Map<String, Object> written = new LinkedHashMap<>();
        written.put("out", out.toString("UTF-8"));
        written.put("err", err.toString("UTF-8"));
        return written;
    }

    private static void send(String nameserver, String topic, int count) throws Exception {
        DefaultMQProducer sender = new DefaultMQProducer("senders");
        sender.setNamesrvAddr(nameserver);
        sender.setInstanceName("sender");
        sender.start();
        MessageQueue queue = new MessageQueue(topic, "broker-a", 0);
        for (int index = 0; index < count; index++) {
            byte[] body = ("body " + index).getBytes(StandardCharsets.UTF_8);
            sender.send(new Message(topic, index % 2 == 0 ? "tagA" : "tagB", "key" + index, body), queue);
        }
        sender.shutdown();
    }

    private static void join(String nameserver, String topic, String group, String producerGroup) throws Exception {
        consumer = new DefaultMQPushConsumer(group);
        consumer.setNamesrvAddr(nameserver);
        consumer.setClientIP("127.0.0.1");
        consumer.setInstanceName("member");
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.setPersistConsumerOffsetInterval(500);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener(
            (MessageListenerConcurrently) (messages, context) -> ConsumeConcurrentlyStatus.CONSUME_SUCCESS);
        consumer.start();
        producer = new DefaultMQProducer(producerGroup);
        producer.setNamesrvAddr(nameserver);
        producer.setClientIP("127.0.0.1");
        producer.setInstanceName("member");
        producer.start();
        producer.fetchPublishMessageQueues(topic);
        // The producer shares the consumer's connections; only now do heartbeats name it.
        consumer.getDefaultMQPushConsumerImpl().getmQClientFactory().sendHeartbeatToAllBrokerWithLock();
    }
}
