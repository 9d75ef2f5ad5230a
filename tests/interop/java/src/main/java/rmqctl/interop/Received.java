package rmqctl.interop;

import static rmqctl.interop.Stage.text;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.common.message.MessageExt;

/** What a push consumer has been given, in the order of its callbacks. */
final class Received {
    private final List<MessageExt> messages = new ArrayList<>();

    static Received by(DefaultMQPushConsumer consumer) {
        Received received = new Received();
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            messages.forEach(received::add);
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        return received;
    }

    synchronized void add(MessageExt message) {
        messages.add(message);
    }

    synchronized int count() {
        return messages.size();
    }

    synchronized List<MessageExt> messages() {
        return new ArrayList<>(messages);
    }

    List<String> bodies() {
        List<String> bodies = new ArrayList<>();
        messages().forEach(message -> bodies.add(text(message)));
        return bodies;
    }

    int distinct() {
        return new HashSet<>(bodies()).size();
    }

    /** Wait until `count` different messages came, then long enough for duplicates to show. */
    void waitFor(int count) throws Exception {
        try {
            Stage.waitUntil(count + " received messages", 30, () -> distinct() >= count);
        } catch (IllegalStateException late) {
            throw new IllegalStateException(late.getMessage() + ", got " + bodies(), late);
        }
        Stage.waitForUninvited();
    }
}
