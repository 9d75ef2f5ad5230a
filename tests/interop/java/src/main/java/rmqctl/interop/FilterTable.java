package rmqctl.interop;

import java.io.BufferedReader;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.rocketmq.filter.FilterFactory;
import org.apache.rocketmq.filter.expression.EvaluationContext;
import org.apache.rocketmq.filter.expression.Expression;
import org.apache.rocketmq.filter.expression.MQFilterException;
import org.apache.rocketmq.filter.util.BloomFilter;

/**
 * Apache's own evaluator of SQL92 filters, line by line: {@code S}, a set of properties; {@code E}, an expression,
 * answered with one letter for each set so far (T true, F false, U unknown, X an exception) or with why it does not
 * compile; {@code B}, a text, answered with its bits in the bloom filter of a broker with default settings. What
 * follows the letter is base64 of UTF-8; properties are {@code name 0x01 value 0x02 …}.
 */
public final class FilterTable {
    private static final List<Map<String, String>> SETS = new ArrayList<>();

    private FilterTable() {
    }

    public static void main(String[] arguments) throws Exception {
        PrintStream lines = new PrintStream(new FileOutputStream(FileDescriptor.out), true);
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            String text = new String(Base64.getDecoder().decode(line.substring(1)), StandardCharsets.UTF_8);
            if (line.charAt(0) == 'S') {
                SETS.add(properties(text));
            } else {
                lines.println(Json.write(line.charAt(0) == 'E' ? judged(text) : bits(text)));
            }
        }
    }

    private static Map<String, String> properties(String text) {
        Map<String, String> properties = new HashMap<>();
        for (String pair : text.split("\u0002")) {
            if (!pair.isEmpty()) {
                String[] parts = pair.split("\u0001", 2);
                properties.put(parts[0], parts[1]);
            }
        }
        return properties;
    }

    private static Map<String, Object> judged(String text) {
        Map<String, Object> answer = new LinkedHashMap<>();
        answer.put("expression", text);
        try {
            Expression expression = FilterFactory.INSTANCE.get("SQL92").compile(text);
            answer.put("results", SETS.stream().map(set -> letter(expression, set)).collect(Collectors.joining()));
        } catch (MQFilterException error) {
            answer.put("invalid", error.getMessage());
        }
        return answer;
    }

    private static String letter(Expression expression, Map<String, String> properties) {
        try {
            Object value = expression.evaluate(new Context(properties));
            return value == null ? "U" : value == Boolean.TRUE ? "T" : value == Boolean.FALSE ? "F" : "?";
        } catch (Exception error) {
            return "X";
        }
    }

    private static Map<String, Object> bits(String text) {
        int[] positions = BloomFilter.createByFn(20, 32).generate(text).getBitPos();
        return Map.of("text", text,
            "bits", IntStream.range(0, positions.length).mapToObj(i -> positions[i]).collect(Collectors.toList()));
    }

    private static final class Context implements EvaluationContext {
        private final Map<String, String> properties;

        private Context(Map<String, String> properties) {
            this.properties = properties;
        }

        @Override
        public Object get(String name) {
            return properties.get(name);
        }

        @Override
        public Map<String, Object> keyValues() {
            return new HashMap<>(properties);
        }
    }
}
