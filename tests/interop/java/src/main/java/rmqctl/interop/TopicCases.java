package rmqctl.interop;

import static rmqctl.interop.Stage.message;
import static rmqctl.interop.Stage.sent;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;

/** Cases about topics, routes and the cluster's tables. */
final class TopicCases {
    private TopicCases() {
    }

    static Map<String, Object> createTopicByProducer(Stage stage) throws Exception {
        String topic = stage.name("topic");
        Versions.createTopic(stage.producer(), "TBW102", topic, 3);
        int masters = stage.admins.masterAddresses().size();
        Stage.waitUntil("a route of " + topic, 60,
            () -> stage.admins.routes(topic).stream().allMatch(route -> route.size() == masters));
        return Map.of("brokers", stage.admins.brokers().keySet(), "routes", stage.admins.routes(topic));
    }

    static Map<String, Object> createTopicByAdmin(Stage stage) throws Exception {
        String topic = stage.name("topic");
        stage.admins.createTopic(topic, 5, 3);
        List<Map<String, Map<String, Object>>> created = stage.admins.routes(topic);
        stage.admins.createTopic(topic, 6, 7);
        return Map.of("brokers", stage.admins.brokers().keySet(), "created", created,
            "changed", stage.admins.routes(topic),
            "publish_queues", stage.producer().fetchPublishMessageQueues(topic).size(),
            "subscribe_queues", stage.pullConsumer(stage.name("group")).fetchSubscribeMessageQueues(topic).size());
    }

    static Map<String, Object> deleteTopic(Stage stage) throws Exception {
        String topic = stage.topic(2);
        boolean listedBefore = stage.admins.first().fetchAllTopicList().getTopicList().contains(topic);
        stage.admins.first().deleteTopicInBroker(stage.admins.masterAddresses(), topic);
        String cluster =
            stage.admins.first().examineBrokerClusterInfo().getClusterAddrTable().keySet().iterator().next();
        Versions.deleteTopicInNameServer(
            stage.admins.first(), stage.admins.nameserverAddresses(), topic, cluster);
        return Map.of("listed_before", listedBefore, "routes", stage.admins.routes(topic),
            "listed_after", stage.admins.first().fetchAllTopicList().getTopicList().contains(topic));
    }

    static Map<String, Object> autoCreatedTopic(Stage stage) throws Exception {
        String topic = stage.name("topic");
        DefaultMQProducer producer = stage.producer();
        List<Map<String, Object>> results = new ArrayList<>();
        for (int i = 0; i < 16; i++) {
            results.add(sent("auto-" + i, producer.send(message(topic, "auto-" + i))));
        }
        long brokers = results.stream().map(result -> result.get("queue").toString().split(":")[0]).distinct().count();
        Stage.waitUntil("a route of " + topic, 60,
            () -> stage.admins.routes(topic).stream().allMatch(route -> route.size() == brokers));
        return Map.of("routes", stage.admins.routes(topic),
            "sent", results, "stored", stage.stored(topic, results.size()));
    }

    static Map<String, Object> illegalTopicName(Stage stage) throws Exception {
        DefaultMQProducer producer = stage.producer();
        List<String> refusals = new ArrayList<>();
        for (String topic : List.of("订单", "white space", "slash/ed", "")) {
            try {
                producer.send(message(topic, "body"));
            } catch (MQClientException refused) {
                refusals.add(topic);
            }
        }
        return Map.of("refused", refusals);
    }

    static Map<String, Object> clusterInfo(Stage stage) throws Exception {
        var info = stage.admins.first().examineBrokerClusterInfo();
        Map<String, Object> clusters = info.getClusterAddrTable().entrySet().stream()
            .collect(Collectors.toMap(Map.Entry::getKey, Map.Entry::getValue));
        return Map.of("clusters", clusters, "brokers", stage.admins.brokers());
    }
}
