// Writes what the JDK and the message classes of RocketMQ 4.5.2 make of some texts; see README.md.
import java.io.*;
import java.net.*;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.util.*;
import com.alibaba.fastjson.JSON;
import org.apache.rocketmq.common.message.*;

public class JavaTextVectors {
    static Path out;
    interface Parser { Object parse(String text); }
    static void write(String name, String text) throws Exception { Files.write(out.resolve(name), text.getBytes(StandardCharsets.UTF_8)); }
    static String ascii(String text) {
        StringBuilder sb = new StringBuilder("\"");
        for (char c : text.toCharArray()) sb.append(c < 0x20 || c > 0x7e || c == '"' || c == '\\' ? String.format("\\u%04x", (int) c) : String.valueOf(c));
        return sb.append('"').toString();
    }
    static void table(String name, String[] texts, Parser parser) throws Exception {
        StringBuilder sb = new StringBuilder();
        for (String text : texts) {
            String result;
            try { result = ascii(String.valueOf(parser.parse(text))); } catch (NumberFormatException e) { result = "null"; }
            sb.append('[').append(ascii(text)).append(", ").append(result).append("]\n");
        }
        write(name, sb.toString());
    }
    public static void main(String[] args) throws Exception {
        out = Paths.get(args[0]);
        String[] integers = {"", "0", "-0", "+0", "7", "-7", "+7", "--7", "+-7", "-", "+", "007", "-007", " 7", "7 ", "7\n", "1_0", "0x1", "1e1", "1.0", "2147483647", "2147483648", "-2147483648", "-2147483649", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "000000000000000000000000000000000000000000000012", "\u0661\u0662", "\uff17", "-\u0967", "\u00b2", "\u2163", "\u4e09", "\ud835\udfd7", "7\u0000", "7L", "\u22127", "99999999999999999999999999"};
        table("parse_int.jsonl", integers, Integer::parseInt);
        table("parse_long.jsonl", integers, Long::parseLong);
        table("parse_boolean.jsonl", new String[]{"true", "TRUE", "True", "tRuE", "", "yes", "1", " true", "true ", "false", "\uff54rue", "tru\u0435"}, Boolean::parseBoolean);
        table("parse_double.jsonl", new String[]{"", "1", "-1", "+1.5", "1.", ".5", ".", "1e3", "1E-3", "1e", "e1", " 1.5 ", "\u00001\u001f", "\u00a01", "1f", "1d", "1D", "1F", "1fd", "NaN", "-NaN", "Infinity", "-Infinity", "+Infinity", "inf", "nan", "1e400", "-1e400", "0x1p3", "0x.8p1f", "-0X1.8P-1", "0x1", "0xp1", "0x1p99999", "-0x1p99999", "1_0", "\u0661", "1e-400", "4.9E-324", "1,5", "Infinityf"}, Double::parseDouble);
        table("string_hash.jsonl", new String[]{"", "a", "TagA", "TagB", "\u6807\u7b7e", "polygenelubricants", "\ud83d\ude00", "a\ud83d\ude00b", "\u00e9", "\ud800", "Aa", "BB", "0123456789012345678901234567890123456789"}, String::hashCode);
        String[] properties = {"", "A\u0001b\u0002", "A\u0001b", "A\u0001b\u0002C\u0001d", "A\u0001\u0002C\u0001d\u0002", "A\u0002C\u0001d\u0002", "A\u0001b\u0001\u0002", "A\u0001b\u0001c\u0002", "A\u0001\u0001b\u0002", "\u0001b\u0002", "A\u0001b\u0002A\u0001c\u0002", "A\u0001b\u0002A\u0001\u0002", "\u0002\u0002A\u0001b\u0002\u0002", "\u0001\u0001\u0002", "A\u0001b\u0001\u0001\u0002", "XA\u0001no\u0002A\u0001b\u0002", "X\u0001A\u0002A\u0001b\u0002", "\u6807\u0001\u7b7e\u0002"};
        StringBuilder sb = new StringBuilder();
        for (String text : properties) {
            sb.append('[').append(ascii(text)).append(", {");
            String comma = "";
            for (Map.Entry<String, String> e : new TreeMap<>(MessageDecoder.string2messageProperties(text)).entrySet()) { sb.append(comma).append(ascii(e.getKey())).append(": ").append(ascii(e.getValue())); comma = ", "; }
            sb.append("}]\n");
        }
        write("properties.jsonl", sb.toString());
        sb = new StringBuilder();
        Random random = new Random(7);
        List<Double> doubles = new ArrayList<>(Arrays.asList(0.0, -0.0, 1.0, -1.0, 0.25, 0.001, 0.00099, 1234567.0, 9999999.0, 1e7, 1.0e7 + 0.5, 12345678.9, 1e10, 1.5e-5, 1e21, 1e-7, 123456789012345680.0, 3.141592653589793, 1e300, Double.MAX_VALUE, 100.0, 0.1, 4.35, 9.999e-4, 1.0E22, Double.MIN_VALUE, Double.NaN, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY));
        for (int i = 0; i < 200; i++) doubles.add(random.nextInt(100000000) / Math.pow(10, random.nextInt(12)));
        for (double value : doubles) sb.append(String.format("[\"%016x\", \"%s\"]\n", Double.doubleToLongBits(value), value));
        write("format_double.jsonl", sb.toString());
        MessageExt message = new MessageExt();
        message.setTopic("T1"); message.setQueueId(2); message.setFlag(9); message.setBody("hello".getBytes("UTF-8")); message.setBodyCRC(907060870);
        message.setQueueOffset(3); message.setCommitLogOffset(400); message.setBornTimestamp(1700000000123L); message.setStoreTimestamp(1700000000456L);
        message.setBornHost(new InetSocketAddress("10.1.2.3", 4567)); message.setStoreHost(new InetSocketAddress("10.9.8.7", 10911));
        message.setReconsumeTimes(1); message.setPreparedTransactionOffset(77);
        message.putUserProperty("age", "7"); message.setTags("TagA"); message.setKeys("k1 k2");
        write("record.hex", hex(MessageDecoder.encode(message, false)) + "\n");
        message.setSysFlag(1);
        StringBuilder body = new StringBuilder(); for (int i = 0; i < 100; i++) body.append("hello ");
        message.setBody(body.toString().getBytes("UTF-8"));
        write("record_compressed.hex", hex(MessageDecoder.encode(message, true)) + "\n");
        write("offset_message_id.txt", MessageDecoder.createMessageId(new InetSocketAddress("10.9.8.7", 10911), 400) + "\n");
        Message first = new Message("T1", "TagA", "k1", 5, "one".getBytes("UTF-8"), true); Message second = new Message("T1", "two".getBytes("UTF-8"));
        write("batch.hex", hex(MessageDecoder.encodeMessages(Arrays.asList(first, second))) + "\n");
        String id = MessageClientIDSetter.createUniqID();
        long made = MessageClientIDSetter.getNearlyTimeFromID(id).getTime();
        write("unique_id.txt", id + " " + made + " " + TimeZone.getDefault().getID() + "\n");
    }
    static String hex(byte[] data) { StringBuilder sb = new StringBuilder(); for (byte b : data) sb.append(String.format("%02x", b)); return sb.toString(); }
}
