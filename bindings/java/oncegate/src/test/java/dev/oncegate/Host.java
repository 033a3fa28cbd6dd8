package dev.oncegate;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.Arrays;

/**
 * A process that is a host of its own: it shares nothing with others but the server, and the file
 * that it tells what it did. Each line that it is told is answered with one.
 */
final class Host {
    /** Short: a test waits until one is over that nobody renews. */
    static final Duration LEASE = Duration.ofMillis(1_500);

    private static final BeginOptions BEGIN =
            BeginOptions.defaults().lease(LEASE).waitUpTo(Duration.ofHours(1));

    private Host() {}

    public static void main(String[] arguments) throws Exception {
        byte[] secret = new byte[32];
        Arrays.fill(secret, (byte) 7);
        BufferedReader told = new BufferedReader(
                new InputStreamReader(System.in, StandardCharsets.UTF_8));
        try (Engine engine = Engine.open(EngineOptions.builder().capacity(1_000).secret(secret)
                .redis(arguments[0]).build())) {
            Request request = Request.of(Scope.named("acme"), "POST /charges", "k");
            for (String line = told.readLine(); line != null; line = told.readLine()) {
                if (line.equals("ask")) {
                    System.out.println(engine.begin(request).getClass().getSimpleName());
                } else {
                    say(engine.run(request, RunOptions.defaults().begin(BEGIN), lease -> {
                        System.out.println("attempt " + lease.attempt());
                        if (told.readLine() == null) {
                            throw new IOException("nobody goes on");
                        }
                        Files.writeString(Path.of(arguments[1]),
                                "charged by attempt " + lease.attempt() + "\n",
                                StandardOpenOption.CREATE, StandardOpenOption.APPEND);
                        return Outcome.of(201, "charged".getBytes(StandardCharsets.UTF_8));
                    }));
                }
            }
        }
    }

    private static void say(Ran ran) {
        String left = ran.outcome()
                .map(outcome -> new String(outcome.body(), StandardCharsets.UTF_8)).orElse("");
        System.out.println(ran.getClass().getSimpleName() + " " + left);
    }
}
