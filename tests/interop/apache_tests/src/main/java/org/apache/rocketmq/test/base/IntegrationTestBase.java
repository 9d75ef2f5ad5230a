package org.apache.rocketmq.test.base;

import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.broker.BrokerController;
import org.apache.rocketmq.common.BrokerConfig;
import org.apache.rocketmq.common.namesrv.NamesrvConfig;
import org.apache.rocketmq.namesrv.NamesrvController;
import org.apache.rocketmq.remoting.netty.NettyClientConfig;
import org.apache.rocketmq.remoting.netty.NettyServerConfig;
import org.apache.rocketmq.store.config.MessageStoreConfig;
import org.apache.rocketmq.test.util.MQAdmin;
import org.apache.rocketmq.test.util.TestUtils;

/**
 * Stands before Apache's class of this name on the class path: names the nodes of a running cluster instead of starting
 * some. What it returns is never started; Apache's BaseConf asks it for names and ports only.
 */
public class IntegrationTestBase {
    private static final int QUEUES = 8;
    private static final int TOPIC_TIMEOUT_MS = 30_000;
    private static final String[] BROKER_NAMES = System.getProperty("rmqctl.brokerNames").split(",");
    private static final AtomicInteger ASKED_FOR = new AtomicInteger();

    public static NamesrvController createAndStartNamesrv() {
        NettyServerConfig server = new NettyServerConfig();
        server.setListenPort(Integer.getInteger("rmqctl.nameserverPort"));
        return new NamesrvController(new NamesrvConfig(), server);
    }

    public static BrokerController createAndStartBroker(String nameserver) {
        BrokerConfig config = new BrokerConfig();
        config.setBrokerName(BROKER_NAMES[ASKED_FOR.getAndIncrement()]);
        config.setNamesrvAddr(nameserver);
        return new BrokerController(config, new NettyServerConfig(), new NettyClientConfig(), new MessageStoreConfig());
    }

    public static boolean initTopic(String topic, String nameserver, String cluster) {
        long deadline = System.currentTimeMillis() + TOPIC_TIMEOUT_MS;
        while (!MQAdmin.createTopic(nameserver, cluster, topic, QUEUES)) {
            if (System.currentTimeMillis() > deadline) {
                throw new AssertionError("topic " + topic + " could not be created");
            }
            TestUtils.waitForMoment(500);
        }
        return true;
    }
}
