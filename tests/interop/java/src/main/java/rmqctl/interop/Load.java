package rmqctl.interop;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintStream;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageQueue;

/**
 * A producer with retries and, if a group is named, a push consumer, while nodes are killed around them. Prints a line
 * of progress twice a second. Ends when `count` messages were tried or its standard input ended, then waits until
 * everything acknowledged was consumed, and at least `expect` messages in all, and prints what happened.
 */
public final class Load {
    private static final int WAIT_SECONDS = 60;

    private final Map<String, String> acknowledged = new ConcurrentHashMap<>();
    private final Map<String, AtomicInteger> received = new ConcurrentHashMap<>();
    private final Map<String, AtomicInteger> statuses = new ConcurrentSkipListMap<>();
    private final Map<String, AtomicInteger> errors = new ConcurrentSkipListMap<>();
    private final AtomicInteger tried = new AtomicInteger();
    private final AtomicLong lastReceived = new AtomicLong(System.nanoTime());
    private final PrintStream lines = new PrintStream(new FileOutputStream(FileDescriptor.out), true);
    private final Map<String, String> options = new HashMap<>();
    private volatile boolean stopped;

    private Load(String[] arguments) {
        for (int i = 0; i + 1 < arguments.length; i += 2) {
            options.put(arguments[i].substring(2), arguments[i + 1]);
        }
    }

    public static void main(String[] arguments) {
        System.setOut(System.err);
        try {
            new Load(arguments).run();
        } catch (Exception error) {
            // The client's own threads would keep the program running.
            error.printStackTrace();
            System.exit(1);
        }
        System.exit(0);
    }

    private void run() throws Exception {
        DefaultMQPushConsumer consumer = options.containsKey("group") ? consumer() : null;
        DefaultMQProducer producer = new DefaultMQProducer("load");
        producer.setNamesrvAddr(options.get("nameserver"));
        producer.setClientIP(Stage.CLIENT_IP);
        producer.setInstanceName("load-producer-" + options.get("topic"));
        producer.setPollNameServerInterval(number("poll", 30_000));
        producer.setSendMsgTimeout(number("timeout", 8_000));
        producer.setRetryTimesWhenSendFailed(5);
        producer.setRetryAnotherBrokerWhenNotStoreOK(false);
        producer.start();
        if (number("count", 1) > 0) {
            connect(producer);
        }
        List<Thread> senders = new ArrayList<>();
        for (int i = 0; i < number("threads", 2); i++) {
            Thread sender = new Thread(() -> send(producer));
            sender.start();
            senders.add(sender);
        }
        daemon(this::waitForEndOfInput);
        daemon(this::tellProgress);
        for (Thread sender : senders) {
            sender.join();
        }
        boolean complete = consumer == null || waitUntilConsumed();
        lines.println(Json.write(outcome(complete)));
        producer.shutdown();
        if (consumer != null) {
            consumer.shutdown();
        }
    }

    /**
     * Connects to each broker before the threads do: while a 4.5.2 client connects, a second sender to the same broker
     * closes the new connection (NettyRemotingClient.createChannel), and what was under way is sent again, stored twice.
     * The topic may not exist before the first message; the one that new topics are created after always does.
     */
    private void connect(DefaultMQProducer producer) throws MQClientException {
        for (MessageQueue queue : producer.fetchPublishMessageQueues(producer.getCreateTopicKey())) {
            producer.maxOffset(queue);
        }
    }

    private void send(DefaultMQProducer producer) {
        String padding = "x".repeat(number("size", 100));
        int count = number("count", Integer.MAX_VALUE);
        while (!stopped) {
            int index = tried.getAndIncrement();
            if (index >= count) {
                return;
            }
            String name = "m" + index;
            try {
                Message message = new Message(options.get("topic"), "Tag", name, (name + " " + padding).getBytes());
                SendResult result = producer.send(message);
                statuses.computeIfAbsent(result.getSendStatus().name(), key -> new AtomicInteger()).incrementAndGet();
                acknowledged.put(name, result.getMessageQueue().getBrokerName() + " " + result.getSendStatus());
                Thread.sleep(number("pause", 0));
            } catch (Exception error) {
                String kind = error.getClass().getSimpleName();
                errors.computeIfAbsent(kind, key -> new AtomicInteger()).incrementAndGet();
            }
        }
    }

    private DefaultMQPushConsumer consumer() throws Exception {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(options.get("group"));
        consumer.setNamesrvAddr(options.get("nameserver"));
        consumer.setClientIP(Stage.CLIENT_IP);
        consumer.setInstanceName("load-consumer-" + options.get("topic"));
        consumer.setPollNameServerInterval(number("poll", 30_000));
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(options.get("topic"), "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            messages.forEach(message ->
                received.computeIfAbsent(message.getKeys(), key -> new AtomicInteger()).incrementAndGet());
            lastReceived.set(System.nanoTime());
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        return consumer;
    }

    private boolean waitUntilConsumed() throws InterruptedException {
        long deadline = System.nanoTime() + WAIT_SECONDS * 1_000_000_000L;
        int expected = number("expect", 0);
        while (received.size() < expected || !received.keySet().containsAll(acknowledged.keySet())) {
            if (System.nanoTime() > deadline) {
                return false;
            }
            Thread.sleep(50);
        }
        return true;
    }

    private Map<String, Object> outcome(boolean complete) {
        Set<String> lost = new TreeSet<>();
        if (options.containsKey("group")) {
            lost.addAll(acknowledged.keySet());
            lost.removeAll(received.keySet());
        }
        Map<String, Integer> brokers = new TreeMap<>();
        acknowledged.values().forEach(place -> brokers.merge(place, 1, Integer::sum));
        Map<String, Object> outcome = new LinkedHashMap<>();
        outcome.put("event", "end");
        outcome.put("acknowledged", acknowledged.size());
        outcome.put("statuses", counts(statuses));
        outcome.put("brokers", brokers);
        outcome.put("errors", counts(errors));
        outcome.put("received", received.size());
        outcome.put("twice", received.values().stream().filter(times -> times.get() > 1).count());
        outcome.put("complete", complete);
        outcome.put("lost", new ArrayList<>(lost));
        return outcome;
    }

    private static Map<String, Integer> counts(Map<String, AtomicInteger> counters) {
        Map<String, Integer> counts = new TreeMap<>();
        counters.forEach((name, counter) -> counts.put(name, counter.get()));
        return counts;
    }

    private void waitForEndOfInput() {
        try {
            while (System.in.read() >= 0) {
                continue;
            }
        } catch (java.io.IOException error) {
            error.printStackTrace();
        }
        stopped = true;
    }

    private void tellProgress() {
        try {
            while (true) {
                Map<String, Integer> brokers = new TreeMap<>();
                acknowledged.values().forEach(place -> brokers.merge(place, 1, Integer::sum));
                lines.println(Json.write(Map.of("event", "progress", "acknowledged", acknowledged.size(),
                    "received", received.size(), "brokers", brokers,
                    "silent_seconds", (System.nanoTime() - lastReceived.get()) / 1e9)));
                Thread.sleep(500);
            }
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
        }
    }

    private static void daemon(Runnable work) {
        Thread thread = new Thread(work);
        thread.setDaemon(true);
        thread.start();
    }

    private int number(String option, int otherwise) {
        return options.containsKey(option) ? Integer.parseInt(options.get(option)) : otherwise;
    }
}
