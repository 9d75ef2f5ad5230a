package rmqctl.interop;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.MessageExt;

/** A case about namespaces: clients write `ns%topic` and `%RETRY%ns%group`, applications see neither. */
final class NamespaceCases {
    private NamespaceCases() {
    }

    static Map<String, Object> namespaces(Stage stage) throws Exception {
        String topic = stage.name("topic");
        List<List<Map<String, Object>>> deliveries = new ArrayList<>();
        for (String namespace : List.of("one", "two")) {
            stage.admins.createTopic(namespace + "%" + topic, 1, 1);
            stage.introduceGroup(namespace + "%" + stage.name("group"), namespace + "%" + topic);
            deliveries.add(Collections.synchronizedList(new ArrayList<>()));
            consumer(stage, namespace, topic, deliveries.get(deliveries.size() - 1));
        }
        DefaultMQProducer producer = stage.newProducer();
        producer.setNamespace("one");
        producer.start();
        producer.send(Stage.message(topic, "for one"));
        Stage.waitUntil("the message and its retry", 60, () -> deliveries.get(0).size() >= 2);
        Stage.waitForUninvited();
        return Map.of("topic", topic, "one", deliveries.get(0), "two", deliveries.get(1),
            "retry_routes", stage.admins.routes("%RETRY%one%" + stage.name("group")).get(0).size());
    }

    private static void consumer(Stage stage, String namespace, String topic, List<Map<String, Object>> deliveries)
        throws Exception {
        DefaultMQPushConsumer consumer = stage.newPushConsumer(stage.name("group"));
        consumer.setNamespace(namespace);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            MessageExt message = messages.get(0);
            deliveries.add(DelayCases.delivery(message));
            context.setDelayLevelWhenNextConsume(1);
            return message.getReconsumeTimes() == 0
                ? ConsumeConcurrentlyStatus.RECONSUME_LATER : ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        Stage.start(consumer, namespace + "%" + topic);
    }
}
