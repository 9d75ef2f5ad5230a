package rmqctl.interop;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * Runs cases against a cluster and prints one line of JSON for each: {"case", "ok", "seconds", "saw"} or, if it
 * failed, {"case", "ok", "seconds", "error"}. The exit code is 0 if all were carried out.
 *
 * <p>Arguments: {@code --nameserver ip:port;ip:port --run NAME --parallel N --case A --case B}; without
 * {@code --case} all cases run.
 */
public final class Main {
    private Main() {
    }

    public static void main(String[] arguments) {
        boolean allRan = false;
        try {
            allRan = run(arguments);
        } catch (Exception error) {
            error.printStackTrace();
        }
        System.exit(allRan ? 0 : 1); // the clients' threads would keep the JVM alive
    }

    private static boolean run(String[] arguments) throws Exception {
        PrintStream lines = new PrintStream(new FileOutputStream(FileDescriptor.out), true, "US-ASCII");
        System.setOut(System.err); // the clients' own loggers may print there
        Map<String, List<String>> options = parse(arguments);
        String nameserver = options.get("--nameserver").get(0);
        String run = options.get("--run").get(0);
        List<String> names = options.getOrDefault("--case", new ArrayList<>(Cases.ALL.keySet()));
        int parallel = Integer.parseInt(options.getOrDefault("--parallel", List.of("6")).get(0));

        Admins admins = new Admins(nameserver, run);
        // Opens the connections that all cases share: 4.5.2 may fail when several threads connect at once.
        admins.createTopic(run + "-warm-up", 1, 1);
        ExecutorService pool = Executors.newFixedThreadPool(parallel);
        List<Future<Boolean>> outcomes = new ArrayList<>();
        for (String name : names) {
            outcomes.add(pool.submit(() -> runOne(name, new Stage(admins, nameserver, run, name), lines)));
        }
        boolean allRan = true;
        for (Future<Boolean> outcome : outcomes) {
            allRan &= outcome.get();
        }
        admins.close();
        return allRan;
    }

    private static boolean runOne(String name, Stage stage, PrintStream lines) {
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("case", name);
        long start = System.nanoTime();
        boolean ok = false;
        try (stage) {
            Case body = Cases.ALL.get(name);
            if (body == null) {
                throw new IllegalArgumentException("no such case: " + name);
            }
            line.put("saw", body.run(stage));
            ok = true;
        } catch (Throwable error) {
            StringWriter trace = new StringWriter();
            error.printStackTrace(new PrintWriter(trace));
            line.put("error", trace.toString());
        }
        line.put("ok", ok);
        line.put("seconds", (System.nanoTime() - start) / 1_000_000 / 1000.0);
        synchronized (lines) {
            lines.println(Json.write(line));
        }
        return ok;
    }

    private static Map<String, List<String>> parse(String[] arguments) {
        Map<String, List<String>> options = new HashMap<>();
        for (int i = 0; i + 1 < arguments.length; i += 2) {
            options.computeIfAbsent(arguments[i], key -> new ArrayList<>()).add(arguments[i + 1]);
        }
        return options;
    }
}
