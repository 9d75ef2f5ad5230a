// Writes what fastjson 1.2.51 and the body classes of RocketMQ 4.5.2 make of some values; see README.md.
import com.alibaba.fastjson.JSON;
import com.alibaba.fastjson.JSONException;
import com.alibaba.fastjson.serializer.SerializerFeature;
import java.util.*;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.rocketmq.common.*;
import org.apache.rocketmq.common.admin.*;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.common.protocol.body.*;
import org.apache.rocketmq.common.protocol.heartbeat.*;
import org.apache.rocketmq.common.protocol.route.*;
import org.apache.rocketmq.common.subscription.*;
import org.apache.rocketmq.common.filter.FilterAPI;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import java.io.*;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;

public class FastjsonVectors {
    static Path out;
    static void write(String name, String text) throws Exception { Files.write(out.resolve(name), text.getBytes(StandardCharsets.UTF_8)); }
    static void compact(String name, Object value) throws Exception { write(name + ".compact.json", JSON.toJSONString(value, false)); }
    static void both(String name, Object value) throws Exception {
        write(name + ".compact.json", JSON.toJSONString(value, false));
        write(name + ".pretty.json", JSON.toJSONString(value, true));
    }
    static DataVersion version() { DataVersion v = new DataVersion(); v.setTimestamp(1700000000123L); v.setCounter(new AtomicLong(7)); return v; }
    static SubscriptionData sub() throws Exception { SubscriptionData s = new SubscriptionData("T1", "TagA"); s.setSubVersion(5L); s.getTagsSet().add("TagA"); s.getCodeSet().add("TagA".hashCode()); return s; }
    public static void main(String[] args) throws Exception {
        out = Paths.get(args[0]);
        TopicConfigSerializeWrapper topics = new TopicConfigSerializeWrapper();
        topics.setDataVersion(version());
        topics.getTopicConfigTable().put("T1", new TopicConfig("T1", 4, 8, 6));
        both("topics", topics);
        TopicConfigSerializeWrapper none = new TopicConfigSerializeWrapper(); none.setDataVersion(version());
        both("topics_empty", none);
        SubscriptionGroupWrapper groups = new SubscriptionGroupWrapper(); groups.setDataVersion(version());
        SubscriptionGroupConfig group = new SubscriptionGroupConfig(); group.setGroupName("G\u4e2d");
        groups.getSubscriptionGroupTable().put("G\u4e2d", group);
        both("subscription_groups", groups);
        ConsumerOffsetSerializeWrapper offsets = new ConsumerOffsetSerializeWrapper();
        java.util.concurrent.ConcurrentHashMap<Integer, Long> queues = new java.util.concurrent.ConcurrentHashMap<>();
        queues.put(0, 12L); queues.put(1, 9000000000L);
        offsets.getOffsetTable().put("T1@G1", queues);
        both("consumer_offsets", offsets);
        RegisterBrokerBody register = new RegisterBrokerBody(); register.setTopicConfigSerializeWrapper(topics);
        both("register_broker", register);
        Files.write(out.resolve("register_broker.compressed.bin"), register.encode(true));
        TopicRouteData route = new TopicRouteData();
        HashMap<Long, String> addrs = new HashMap<>(); addrs.put(0L, "1.2.3.4:10911"); addrs.put(1L, "1.2.3.5:10911");
        QueueData queue = new QueueData(); queue.setBrokerName("broker-a"); queue.setPerm(6); queue.setReadQueueNums(4); queue.setWriteQueueNums(4); queue.setTopicSynFlag(0);
        route.setBrokerDatas(new ArrayList<>(Arrays.asList(new BrokerData("C", "broker-a", addrs))));
        route.setQueueDatas(new ArrayList<>(Arrays.asList(queue)));
        route.setFilterServerTable(new HashMap<String, List<String>>());
        both("topic_route", route);
        ConsumeStats stats = new ConsumeStats(); stats.setConsumeTps(0.25);
        OffsetWrapper wrapper = new OffsetWrapper(); wrapper.setBrokerOffset(9); wrapper.setConsumerOffset(3); wrapper.setLastTimestamp(11);
        stats.getOffsetTable().put(new MessageQueue("T1", "broker-a", 2), wrapper);
        both("consume_stats", stats);
        TopicStatsTable table = new TopicStatsTable(); TopicOffset offset = new TopicOffset(); offset.setMinOffset(1); offset.setMaxOffset(2); offset.setLastUpdateTimestamp(3);
        table.getOffsetTable().put(new MessageQueue("T1", "broker-a", 2), offset);
        both("topic_stats", table);
        HeartbeatData heartbeat = new HeartbeatData(); heartbeat.setClientID("10.0.0.1@1");
        ProducerData producer = new ProducerData(); producer.setGroupName("P1"); heartbeat.getProducerDataSet().add(producer);
        ConsumerData consumer = new ConsumerData(); consumer.setGroupName("G1"); consumer.setConsumeType(ConsumeType.CONSUME_PASSIVELY); consumer.setMessageModel(MessageModel.CLUSTERING);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_LAST_OFFSET); consumer.getSubscriptionDataSet().add(sub()); heartbeat.getConsumerDataSet().add(consumer);
        compact("heartbeat", heartbeat);
        LockBatchRequestBody lock = new LockBatchRequestBody(); lock.setClientId("c"); lock.setConsumerGroup("G1"); lock.getMqSet().add(new MessageQueue("T1", "broker-a", 2));
        compact("lock_batch", lock);
        ConsumerConnection connections = new ConsumerConnection(); Connection connection = new Connection(); connection.setClientAddr("1.2.3.4:5"); connection.setClientId("c"); connection.setLanguage(org.apache.rocketmq.remoting.protocol.LanguageCode.GO); connection.setVersion(317);
        connections.getConnectionSet().add(connection); connections.setConsumeType(ConsumeType.CONSUME_PASSIVELY); connections.setMessageModel(MessageModel.BROADCASTING); connections.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_TIMESTAMP);
        connections.getSubscriptionTable().put("T1", sub());
        compact("consumer_connection", connections);
        ClusterInfo cluster = new ClusterInfo(); HashMap<String, BrokerData> brokers = new HashMap<>(); brokers.put("broker-a", new BrokerData("C", "broker-a", addrs)); HashMap<String, Set<String>> clusters = new HashMap<>(); clusters.put("C", new HashSet<>(Arrays.asList("broker-a"))); cluster.setBrokerAddrTable(brokers); cluster.setClusterAddrTable(clusters);
        compact("cluster_info", cluster);
        both("nothing_set", new ProducerData());
        org.apache.rocketmq.store.schedule.DelayOffsetSerializeWrapper delays = new org.apache.rocketmq.store.schedule.DelayOffsetSerializeWrapper(); delays.getOffsetTable().put(3, 17L);
        both("delay_offsets", delays);
        org.apache.rocketmq.namesrv.kvconfig.KVConfigSerializeWrapper kv = new org.apache.rocketmq.namesrv.kvconfig.KVConfigSerializeWrapper();
        HashMap<String, HashMap<String, String>> namespaces = new HashMap<>(); HashMap<String, String> order = new HashMap<>(); order.put("T1", "broker-a:4"); namespaces.put("ORDER_TOPIC_CONFIG", order); kv.setConfigTable(namespaces);
        both("kv_config", kv);
        TopicList topicList = new TopicList(); topicList.setTopicList(new HashSet<>(Arrays.asList("T1"))); compact("topic_list", topicList);
        KVTable kvTable = new KVTable(); HashMap<String, String> figures = new HashMap<>(); figures.put("bootTimestamp", "1"); kvTable.setTable(figures); compact("kv_table", kvTable);
        GroupList groupList = new GroupList(); groupList.getGroupList().add("G1"); compact("group_list", groupList);
        LockBatchResponseBody locked = new LockBatchResponseBody(); locked.getLockOKMQSet().add(new MessageQueue("T1", "broker-a", 2)); compact("lock_batch_response", locked);
        org.apache.rocketmq.common.protocol.header.GetConsumerListByGroupResponseBody members = new org.apache.rocketmq.common.protocol.header.GetConsumerListByGroupResponseBody(); members.setConsumerIdList(Arrays.asList("c1")); compact("consumer_list", members);
        CheckClientRequestBody check = new CheckClientRequestBody(); check.setClientId("c"); check.setGroup("G1"); check.setSubscriptionData(sub()); compact("check_client", check);
        ProducerConnection producers = new ProducerConnection(); producers.getConnectionSet().add(connection); compact("producer_connection", producers);
        org.apache.rocketmq.common.protocol.topic.OffsetMovedEvent moved = new org.apache.rocketmq.common.protocol.topic.OffsetMovedEvent(); moved.setConsumerGroup("G1"); moved.setMessageQueue(new MessageQueue("T1", "broker-a", 2)); moved.setOffsetRequest(5); moved.setOffsetNew(7); compact("offset_moved_event", moved);
        // generic values
        LinkedHashMap<Object, Object> generic = new LinkedHashMap<>();
        generic.put("list", Arrays.asList(1, null, "x", Arrays.asList(), Arrays.asList(true, 1.5), new LinkedHashMap<String, Object>()));
        generic.put("nothing", null);
        LinkedHashMap<Object, Object> inner = new LinkedHashMap<>(); inner.put(2, "int"); inner.put(3L, "long"); inner.put(true, "bool"); generic.put("keys", inner);
        generic.put("bytes", new byte[]{1, 2, (byte) 0xff});
        LinkedHashMap<String, Object> nulls = new LinkedHashMap<>(); nulls.put("a", null); generic.put("nulls", nulls);
        generic.put("objects", Arrays.asList(Collections.singletonMap("a", 1), Collections.singletonMap("b", 2)));
        both("generic", generic);
        // every char below U+3000 plus some, one per line: the JSON text of the one-char string
        StringBuilder sb = new StringBuilder();
        for (int c = 0; c < 0x10000; c++) {
            String s = JSON.toJSONString(String.valueOf((char) c));
            boolean plain = s.equals("\"" + (char) c + "\"");
            if (!plain) sb.append(Integer.toHexString(c)).append(' ').append(s).append('\n');
        }
        write("escapes.txt", sb.toString());
        // what the reader makes of odd texts
        String[] texts = {"{a:1}", "{1:2}", "{true:1}", "{null:1}", "{'a':'b'}", "{\"a\":1,}", "[1,,2]", "[1,2,]", "{\"a\":1,,\"b\":2}", "{,\"a\":1}", "[,1]", "/*c*/{\"a\"/*d*/:1}", "{//x\n\"a\":1}", "\"\\x41\\v\\7\\/\\'\"", "\"a\nb\"", "{\"a\":01}", "{\"a\":+1}", "{\"a\":1L}", "{\"a\":.5}", "{\"a\":5.}", "{\"a\":NaN}", "{\"a\":undefined}", "{-1:2}", "{$a_b:1}", "{\u4e2d:1}", "{a-b:1}", "{a.b:1}", "{\"a\":1} x", "[1 2]", "{{\"b\":2,\"a\":1}:3}", "{[1]:3}", "{1.5:2}", "{\"a\":{\"x\":1},\"b\":{\"$ref\":\"$.a\"}}", "{\"a\":[{\"x\":1}],\"b\":{\"$ref\":\"$.a[0]\"}}", "\"\\ud83d\\ude00\"", "\"\\ud800\"", "tRUE", "'a\"b'", "{\"a\":TRUE}", "", " ", "\ufeff{\"a\":1}", "{\"a\":1", "1e5", "{\"a\":1e5}", "{\"a\":\"\\q\"}", "{\"a\":123456789012345678901234567890}", "{ 1 : 2 }", "{\"a\" \"b\"}","{\"a\":'it\\'s'}"};
        sb = new StringBuilder();
        for (String t : texts) {
            String r;
            try { r = JSON.toJSONString(JSON.toJSONString(JSON.parse(t), SerializerFeature.DisableCircularReferenceDetect)); } catch (JSONException e) { r = "null"; }
            sb.append('[').append(JSON.toJSONString(t)).append(", ").append(r).append("]\n");
        }
        write("reader.jsonl", sb.toString());
    }
}
