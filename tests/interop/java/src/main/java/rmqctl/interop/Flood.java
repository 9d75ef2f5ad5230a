package rmqctl.interop;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintStream;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * Sends as fast as it can from many threads until its standard input ends, then prints how many sends succeeded and
 * failed. Arguments: {@code --nameserver --topic --threads --size --kind delayed|transactions --level}.
 */
public final class Flood {
    private final Map<String, String> options = new HashMap<>();
    private final AtomicLong sent = new AtomicLong();
    private final AtomicLong failed = new AtomicLong();
    private volatile boolean stopped;

    private Flood(String[] arguments) {
        for (int i = 0; i + 1 < arguments.length; i += 2) {
            options.put(arguments[i].substring(2), arguments[i + 1]);
        }
    }

    public static void main(String[] arguments) throws Exception {
        PrintStream lines = new PrintStream(new FileOutputStream(FileDescriptor.out), true);
        System.setOut(System.err);
        lines.println(Json.write(new Flood(arguments).run()));
        System.exit(0);
    }

    private Map<String, Object> run() throws Exception {
        TransactionMQProducer producer = new TransactionMQProducer("flood");
        producer.setNamesrvAddr(options.get("nameserver"));
        producer.setClientIP(Stage.CLIENT_IP);
        producer.setSendMsgTimeout(10_000);
        producer.setTransactionListener(new Committing());
        producer.start();
        producer.fetchPublishMessageQueues(options.get("topic"));
        List<Thread> senders = new ArrayList<>();
        for (int i = 0; i < Integer.parseInt(options.get("threads")); i++) {
            Thread sender = new Thread(() -> send(producer));
            sender.start();
            senders.add(sender);
        }
        while (System.in.read() >= 0) {
            // Only its end matters.
        }
        stopped = true;
        for (Thread sender : senders) {
            sender.join();
        }
        producer.shutdown();
        return Map.of("sent", sent.get(), "failed", failed.get());
    }

    private void send(TransactionMQProducer producer) {
        byte[] body = new byte[Integer.parseInt(options.get("size"))];
        int level = Integer.parseInt(options.get("level"));
        boolean inTransaction = options.get("kind").equals("transactions");
        while (!stopped) {
            Message message = new Message(options.get("topic"), body);
            message.setDelayTimeLevel(level);
            try {
                var result = inTransaction ? producer.sendMessageInTransaction(message, null) : producer.send(message);
                (result.getSendStatus() == SendStatus.SEND_OK ? sent : failed).incrementAndGet();
            } catch (Exception error) {
                error.printStackTrace();
                failed.incrementAndGet();
            }
        }
    }

    private static final class Committing implements TransactionListener {
        @Override
        public LocalTransactionState executeLocalTransaction(Message message, Object argument) {
            return LocalTransactionState.COMMIT_MESSAGE;
        }

        @Override
        public LocalTransactionState checkLocalTransaction(MessageExt message) {
            return LocalTransactionState.COMMIT_MESSAGE;
        }
    }
}
