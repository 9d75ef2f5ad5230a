package rmqctl.interop;

import java.util.Map;

/** One case: does something with the official client and returns what it saw, for the test to judge. */
@FunctionalInterface
interface Case {
    Map<String, Object> run(Stage stage) throws Exception;
}
