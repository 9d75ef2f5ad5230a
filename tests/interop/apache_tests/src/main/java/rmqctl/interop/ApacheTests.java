package rmqctl.interop;

import java.util.Arrays;
import org.junit.runner.JUnitCore;
import org.junit.runner.Result;
import org.junit.runner.notification.Failure;

/** Runs the test classes named on the command line, one after the other; prints a line for each that ended. */
public final class ApacheTests {
    private static final String RESULT = "result";

    private ApacheTests() {
    }

    public static void main(String[] classes) throws ClassNotFoundException {
        for (String name : classes) {
            Result result = JUnitCore.runClasses(Class.forName(name));
            for (Failure failure : result.getFailures()) {
                System.err.println(failure.getTestHeader() + "\n" + failure.getTrace());
            }
            String first = result.getFailures().stream().map(Failure::toString).findFirst().orElse("");
            System.out.println(String.join("\t", Arrays.asList(
                RESULT, name, "" + result.getRunCount(), "" + result.getFailureCount(), first.replaceAll("\\s+", " "))));
        }
        System.exit(0);
    }
}
