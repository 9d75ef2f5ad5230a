package rmqctl.interop;

import java.lang.reflect.Method;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

/** Calls whose parameters changed between the client versions that share these sources. */
final class Versions {
    private Versions() {
    }

    /** The enumeration moved to another package with 5.0. */
    static void makeBroadcasting(DefaultMQPushConsumer consumer) {
        for (var model : consumer.getMessageModel().getDeclaringClass().getEnumConstants()) {
            if (model.name().equals("BROADCASTING")) {
                consumer.setMessageModel(model);
            }
        }
    }

    static void createTopic(DefaultMQProducer producer, String key, String topic, int queues)
        throws ReflectiveOperationException {
        try {
            DefaultMQProducer.class.getMethod("createTopic", String.class, String.class, int.class)
                .invoke(producer, key, topic, queues);
        } catch (NoSuchMethodException since5) {
            DefaultMQProducer.class.getMethod("createTopic", String.class, String.class, int.class, Map.class)
                .invoke(producer, key, topic, queues, new HashMap<String, String>());
        }
    }

    static void createGroup(DefaultMQAdminExt admin, String broker, String group, int retryQueues, int retryMax)
        throws ReflectiveOperationException {
        for (Method method : DefaultMQAdminExt.class.getMethods()) {
            if (method.getName().equals("createAndUpdateSubscriptionGroupConfig")) {
                Class<?> type = method.getParameterTypes()[1];
                Object config = type.getConstructor().newInstance();
                type.getMethod("setGroupName", String.class).invoke(config, group);
                type.getMethod("setRetryQueueNums", int.class).invoke(config, retryQueues);
                type.getMethod("setRetryMaxTimes", int.class).invoke(config, retryMax);
                method.invoke(admin, broker, config);
            }
        }
    }

    static void deleteTopicInNameServer(DefaultMQAdminExt admin, Set<String> nameservers, String topic,
        String cluster) throws ReflectiveOperationException {
        try {
            DefaultMQAdminExt.class.getMethod("deleteTopicInNameServer", Set.class, String.class)
                .invoke(admin, nameservers, topic);
        } catch (NoSuchMethodException only49) {
            DefaultMQAdminExt.class
                .getMethod("deleteTopicInNameServer", Set.class, String.class, String.class)
                .invoke(admin, nameservers, topic, cluster);
        }
    }
}
