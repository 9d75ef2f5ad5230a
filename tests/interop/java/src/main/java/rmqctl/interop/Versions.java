package rmqctl.interop;

import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;
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

    /** Ask and wait for the answer. */
    static Message request(DefaultMQProducer producer, Message message, long timeoutMs)
        throws ReflectiveOperationException {
        return (Message) DefaultMQProducer.class.getMethod("request", Message.class, long.class)
            .invoke(producer, message, timeoutMs);
    }

    /** Ask and be told the answer, or what went wrong. */
    static void request(DefaultMQProducer producer, Message message, long timeoutMs, Consumer<String> outcome)
        throws ReflectiveOperationException {
        Class<?> type = Class.forName("org.apache.rocketmq.client.producer.RequestCallback");
        Object callback = Proxy.newProxyInstance(type.getClassLoader(), new Class<?>[] {type},
            (proxy, method, arguments) -> {
                outcome.accept(method.getName().equals("onSuccess")
                    ? Stage.text((Message) arguments[0]) : String.valueOf(arguments[0]));
                return null;
            });
        DefaultMQProducer.class.getMethod("request", Message.class, type, long.class)
            .invoke(producer, message, callback, timeoutMs);
    }

    static Message reply(Message request, String body) throws ReflectiveOperationException {
        return (Message) Class.forName("org.apache.rocketmq.client.utils.MessageUtil")
            .getMethod("createReplyMessage", Message.class, byte[].class)
            .invoke(null, request, body.getBytes(StandardCharsets.UTF_8));
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
