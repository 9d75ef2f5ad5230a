package rmqctl.interop;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

/**
 * The admin clients that all cases of a run share: one per nameserver, because a topic is only there once every
 * nameserver routes it. (Types of routes and cluster tables moved between client versions, so they are never named.)
 */
final class Admins implements AutoCloseable {
    private static final int TOPIC_NOT_EXIST = 17;

    private final List<DefaultMQAdminExt> perNameserver = new ArrayList<>();

    Admins(String nameserver, String run) throws MQClientException {
        for (String address : nameserver.split(";")) {
            DefaultMQAdminExt admin = new DefaultMQAdminExt(run + "-admin");
            admin.setNamesrvAddr(address);
            admin.setClientIP(Stage.CLIENT_IP);
            admin.setInstanceName(run + "-admin-" + address.replace(':', '_'));
            admin.start();
            perNameserver.add(admin);
        }
    }

    DefaultMQAdminExt first() {
        return perNameserver.get(0);
    }

    Set<String> nameserverAddresses() {
        Set<String> addresses = new HashSet<>();
        for (DefaultMQAdminExt admin : perNameserver) {
            addresses.add(admin.getNamesrvAddr());
        }
        return addresses;
    }

    /** Broker name to broker id to address, as GET_BROKER_CLUSTER_INFO tells. */
    Map<String, Map<Long, String>> brokers() throws Exception {
        Map<String, Map<Long, String>> brokers = new TreeMap<>();
        for (var broker : first().examineBrokerClusterInfo().getBrokerAddrTable().values()) {
            brokers.put(broker.getBrokerName(), new TreeMap<>(broker.getBrokerAddrs()));
        }
        return brokers;
    }

    Set<String> masterAddresses() throws Exception {
        Set<String> masters = new HashSet<>();
        for (Map<Long, String> addresses : brokers().values()) {
            masters.add(addresses.get(0L));
        }
        return masters;
    }

    /** Create or change a topic on every master and wait until every nameserver routes it so. */
    void createTopic(String topic, int readQueues, int writeQueues) throws Exception {
        Set<String> masters = masterAddresses();
        for (String master : masters) {
            first().createAndUpdateTopicConfig(master, new TopicConfig(topic, readQueues, writeQueues, 6));
        }
        Map<String, Object> wanted = Map.of("read", readQueues, "write", writeQueues, "perm", 6);
        Stage.waitUntil("every nameserver to route " + topic, 60, () -> {
            for (Map<String, Map<String, Object>> route : routes(topic)) {
                if (route.size() != masters.size() || !route.values().stream().allMatch(wanted::equals)) {
                    return false;
                }
            }
            return true;
        });
    }

    /** Per nameserver: broker name to read queues, write queues and permission; empty if there is no route. */
    List<Map<String, Map<String, Object>>> routes(String topic) throws Exception {
        List<Map<String, Map<String, Object>>> routes = new ArrayList<>();
        for (DefaultMQAdminExt admin : perNameserver) {
            routes.add(route(admin, topic));
        }
        return routes;
    }

    private static Map<String, Map<String, Object>> route(DefaultMQAdminExt admin, String topic) throws Exception {
        Map<String, Map<String, Object>> route = new TreeMap<>();
        try {
            for (var queues : admin.examineTopicRouteInfo(topic).getQueueDatas()) {
                route.put(queues.getBrokerName(), Map.of("read", queues.getReadQueueNums(),
                    "write", queues.getWriteQueueNums(), "perm", queues.getPerm()));
            }
        } catch (MQClientException absent) {
            if (absent.getResponseCode() != TOPIC_NOT_EXIST) {
                throw absent;
            }
        }
        return route;
    }

    @Override
    public void close() {
        perNameserver.forEach(DefaultMQAdminExt::shutdown);
    }
}
