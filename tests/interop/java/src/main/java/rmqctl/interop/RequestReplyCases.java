package rmqctl.interop;

import static rmqctl.interop.Stage.text;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.MQVersion;
import org.apache.rocketmq.common.message.Message;

/** A case about request-reply: a producer asks, a consumer's answer comes back to it. Since 4.6. */
final class RequestReplyCases {
    private static final int REQUESTS = 10;

    /** The 5.3.3 client stops waiting as soon as its request is sent: only its callbacks get answers. */
    private static final int SYNC_REQUESTS = MQVersion.CURRENT_VERSION < 450 ? REQUESTS : 0;

    private RequestReplyCases() {
    }

    static Map<String, Object> requestReply(Stage stage) throws Exception {
        String topic = stage.topic(2);
        DefaultMQProducer replies = stage.producer();
        DefaultMQPushConsumer replier = stage.newPushConsumer(stage.name("repliers"));
        replier.subscribe(topic, "*");
        Set<String> clusters = ConcurrentHashMap.newKeySet();
        replier.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            try {
                Message request = messages.get(0);
                clusters.add(String.valueOf(request.getProperty("CLUSTER")));
                if (!text(request).startsWith("silence")) {
                    replies.send(Versions.reply(request, "re: " + text(request)));
                }
            } catch (Exception error) {
                clusters.add(error.toString());
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        Stage.start(replier, topic);

        DefaultMQProducer asker = new DefaultMQProducer(stage.name("askers"));
        asker.setNamesrvAddr(stage.nameserver);
        asker.setClientIP(Stage.CLIENT_IP);
        asker.setInstanceName(stage.instanceName());
        stage.onClose(asker::shutdown);
        asker.start();
        Map<String, Object> answers = new TreeMap<>();
        for (int i = 0; i < SYNC_REQUESTS; i++) {
            String body = stage.name("sync-" + i);
            answers.put(body, text(Versions.request(asker, Stage.message(topic, body), 10_000)));
        }
        Map<String, String> called = new ConcurrentHashMap<>();
        for (int i = 0; i < REQUESTS; i++) {
            String body = stage.name("async-" + i);
            Versions.request(asker, Stage.message(topic, body), 10_000, outcome -> called.put(body, outcome));
        }
        Stage.waitUntil("all callbacks", 60, () -> called.size() >= REQUESTS);
        List<String> unanswered = new CopyOnWriteArrayList<>();
        Versions.request(asker, Stage.message(topic, "silence"), 1_500, unanswered::add);
        Stage.waitUntil("the end of a request that nobody answers", 60, () -> !unanswered.isEmpty());
        List<String> stored = new ArrayList<>();
        stage.stored("DefaultCluster_REPLY_TOPIC", SYNC_REQUESTS + REQUESTS).values().forEach(bodies -> bodies.stream()
            .filter(body -> body.contains(stage.name(""))).forEach(stored::add));
        return Map.of("answers", answers, "called", called, "clusters", new HashSet<>(clusters),
            "unanswered", unanswered.get(0), "stored", stored);
    }
}
