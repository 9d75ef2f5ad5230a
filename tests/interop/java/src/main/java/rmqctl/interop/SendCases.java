package rmqctl.interop;

import static rmqctl.interop.Stage.message;
import static rmqctl.interop.Stage.sent;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageQueue;

/** Cases about the ways to send; each returns what was sent, what was answered and what is stored. */
final class SendCases {
    private static final int COUNT = 60;

    private SendCases() {
    }

    static Map<String, Object> sendSync(Stage stage) throws Exception {
        return sendOneByOne(stage, stage.producer(), COUNT);
    }

    static Map<String, Object> sendOverVipChannel(Stage stage) throws Exception {
        DefaultMQProducer producer = stage.newProducer();
        producer.setVipChannelEnabled(true);
        producer.start();
        return sendOneByOne(stage, producer, 8);
    }

    private static Map<String, Object> sendOneByOne(Stage stage, DefaultMQProducer producer, int count)
        throws Exception {
        String topic = stage.topic(4);
        List<Map<String, Object>> results = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            results.add(sent("sync-" + i, producer.send(message(topic, "sync-" + i))));
        }
        return Map.of("sent", results, "stored", stage.stored(topic, count));
    }

    static Map<String, Object> sendAsync(Stage stage) throws Exception {
        String topic = stage.topic(4);
        DefaultMQProducer producer = stage.producer();
        List<Map<String, Object>> results = Collections.synchronizedList(new ArrayList<>());
        List<String> errors = Collections.synchronizedList(new ArrayList<>());
        // One to each broker first: while a 4.5.2 client connects, a second sender to the same broker closes the new
        // connection (NettyRemotingClient.createChannel), and what was under way on it is sent again and stored twice.
        List<MessageQueue> queues = producer.fetchPublishMessageQueues(topic);
        for (MessageQueue queue : queues) {
            if (queue.getQueueId() == 0) {
                String body = "first-" + queue.getBrokerName();
                results.add(sent(body, producer.send(message(topic, body), queue)));
            }
        }
        int total = results.size() + COUNT;
        for (int i = 0; i < COUNT; i++) {
            String body = "async-" + i;
            producer.send(message(topic, body), new SendCallback() {
                @Override
                public void onSuccess(SendResult result) {
                    results.add(sent(body, result));
                }

                @Override
                public void onException(Throwable error) {
                    errors.add(error.toString());
                }
            });
        }
        Stage.waitUntil("all callbacks", 60, () -> results.size() + errors.size() == total);
        return Map.of("sent", results, "errors", errors, "stored", stage.stored(topic, total));
    }

    static Map<String, Object> sendOneway(Stage stage) throws Exception {
        String topic = stage.topic(1);
        DefaultMQProducer producer = stage.producer();
        MessageQueue queue = producer.fetchPublishMessageQueues(topic).get(0);
        List<String> bodies = new ArrayList<>();
        for (int i = 0; i < COUNT; i++) {
            bodies.add("oneway-" + i);
            producer.sendOneway(message(topic, "oneway-" + i), queue);
        }
        return Map.of("queue", Stage.label(queue), "bodies", bodies, "stored", stage.stored(topic, COUNT));
    }

    static Map<String, Object> sendBatch(Stage stage) throws Exception {
        String topic = stage.topic(2);
        DefaultMQProducer producer = stage.producer();
        MessageQueue queue = producer.fetchPublishMessageQueues(topic).get(0);
        List<Map<String, Object>> batches = new ArrayList<>();
        for (int batch = 0; batch < 2; batch++) {
            List<Message> messages = new ArrayList<>();
            List<String> bodies = new ArrayList<>();
            for (int i = 0; i < COUNT; i++) {
                String body = "batch-" + batch + "-" + i;
                bodies.add(body);
                messages.add(new Message(topic, "Tag", "key-" + i, body.getBytes()));
            }
            SendResult result = producer.send(messages, queue);
            batches.add(Map.of("bodies", bodies, "result", sent("", result)));
        }
        return Map.of("batches", batches, "stored", stage.stored(topic, 2 * COUNT));
    }
}
