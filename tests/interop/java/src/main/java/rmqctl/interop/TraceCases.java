package rmqctl.interop;

import static rmqctl.interop.Stage.text;

import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.MQVersion;

/** A case about message traces: clients write what they did to RMQ_SYS_TRACE_TOPIC. */
final class TraceCases {
    /**
     * 4.5.2 traces only the first client of a JVM: those after it cannot register their inner producer. A consumer of
     * 5.x traces only messages that a 5.x broker has marked with its region. That leaves 4.9.7 for all three.
     */
    private static final List<String> KINDS =
        MQVersion.CURRENT_VERSION == 407 ? List.of("Pub", "SubBefore", "SubAfter") : List.of("Pub");

    private TraceCases() {
    }

    static Map<String, Object> messageTrace(Stage stage) throws Exception {
        String topic = stage.topic(1);
        List<String> traces = new CopyOnWriteArrayList<>();
        DefaultMQPushConsumer reader = stage.newPushConsumer(stage.name("tracers"));
        reader.subscribe("RMQ_SYS_TRACE_TOPIC", "*");
        reader.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            messages.forEach(message -> traces.add(text(message)));
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        reader.start();

        DefaultMQProducer producer = new DefaultMQProducer(stage.name("producers"), true, null);
        producer.setNamesrvAddr(stage.nameserver);
        producer.setClientIP(Stage.CLIENT_IP);
        producer.setInstanceName(stage.instanceName());
        stage.onClose(producer::shutdown);
        producer.start();

        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(stage.name("group"), true, null);
        consumer.setNamesrvAddr(stage.nameserver);
        consumer.setClientIP(Stage.CLIENT_IP);
        consumer.setInstanceName(stage.instanceName());
        consumer.subscribe(topic, "*");
        Received received = Received.by(consumer);
        stage.onClose(consumer::shutdown);
        Stage.start(consumer, topic);

        SendResult sent = producer.send(Stage.message(topic, "traced"));
        received.waitFor(1);
        Stage.waitUntil("traces of " + KINDS, 30, () -> KINDS.stream().allMatch(kind -> traces.stream()
            .anyMatch(trace -> trace.contains(kind) && trace.contains(sent.getMsgId()))));
        return Map.of("kinds", KINDS, "received", received.bodies(), "messageId", sent.getMsgId(),
            "group", stage.name("group"));
    }
}
