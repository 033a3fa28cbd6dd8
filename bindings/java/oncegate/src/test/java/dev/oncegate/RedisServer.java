package dev.oncegate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.stream.Stream;

/** A real server of a test's own, on a free port of the loopback interface. */
final class RedisServer implements AutoCloseable {
    private static final Duration SOON = Duration.ofSeconds(60);

    private final Path folder;
    private final List<String> options;
    private int port;
    private Process process;

    private RedisServer(Path folder, List<String> options) {
        this.folder = folder;
        this.options = options;
    }

    /**
     * Starts a server that loses nothing when it is killed. The test is skipped where there is
     * none, unless ONCEGATE_REQUIRE_ALL=1.
     */
    static RedisServer start(String... options) throws Exception {
        boolean isThere = Stream.of(System.getenv("PATH").split(":"))
                .anyMatch(folder -> Files.isExecutable(Path.of(folder, "redis-server")));
        if ("1".equals(System.getenv("ONCEGATE_REQUIRE_ALL"))) {
            assertTrue(isThere, "redis-server is not installed, and no skip is allowed");
        }
        assumeTrue(isThere, "redis-server is not installed");
        RedisServer server = new RedisServer(
                Files.createTempDirectory("oncegate-redis"), List.of(options));
        Runtime.getRuntime().addShutdownHook(new Thread(server::kill));
        for (int attempt = 0; attempt < 10; attempt++) {
            // Somebody else may take the port before the server does.
            try (ServerSocket free =
                    new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
                server.port = free.getLocalPort();
            }
            if (server.run()) {
                return server;
            }
        }
        return fail("no server starts");
    }

    String url() {
        return "redis://" + address();
    }

    String address() {
        return "127.0.0.1:" + port;
    }

    /** Starts it, and waits until it answers. False: it has ended. */
    private boolean run() throws Exception {
        List<String> command = new ArrayList<>(List.of("redis-server", "--bind", "127.0.0.1",
                "--port", "" + port, "--dir", folder.toString(), "--save", "",
                "--appendonly", "yes", "--appendfsync", "always"));
        command.addAll(options);
        Process started = new ProcessBuilder(command)
                .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                .redirectError(ProcessBuilder.Redirect.DISCARD).start();
        process = started;
        eventually("the server answers", () -> !started.isAlive() || answers());
        return started.isAlive();
    }

    private boolean answers() {
        String answer = ask("PING");
        return answer.startsWith("+PONG") || answer.startsWith("-NOAUTH");
    }

    /** The first line of the answer to a command; empty where there is none. */
    String ask(String command) {
        try (Socket socket = new Socket("127.0.0.1", port)) {
            socket.getOutputStream().write((command + "\r\n").getBytes(StandardCharsets.UTF_8));
            String line = new BufferedReader(new InputStreamReader(
                    socket.getInputStream(), StandardCharsets.UTF_8)).readLine();
            return line == null ? "" : line;
        } catch (IOException away) {
            return "";
        }
    }

    /** Ends it at once. */
    void kill() {
        Process running = process;
        if (running != null) {
            try {
                running.destroyForcibly().waitFor(SOON.toSeconds(), TimeUnit.SECONDS);
            } catch (InterruptedException ended) {
                Thread.currentThread().interrupt();
            }
        }
    }

    /** Starts it again, with what it had. */
    void restart() throws Exception {
        assertTrue(run(), "the server does not start again");
    }

    /** Has it stand still. */
    void pause() throws Exception {
        signal("-STOP");
    }

    /** Has it go on. */
    void resume() throws Exception {
        signal("-CONT");
    }

    private void signal(String name) throws Exception {
        assertEquals(0,
                new ProcessBuilder("kill", name, "" + process.pid()).start().waitFor());
    }

    @Override
    public void close() throws IOException {
        kill();
        try (Stream<Path> files = Files.walk(folder)) {
            for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                Files.deleteIfExists(file);
            }
        }
    }

    /** Waits for what a process of its own, or another thread, brings about in its own time. */
    static void eventually(String what, BooleanSupplier is) throws InterruptedException {
        long until = System.nanoTime() + SOON.toNanos();
        while (!is.getAsBoolean()) {
            if (System.nanoTime() > until) {
                fail("never: " + what);
            }
            Thread.sleep(1);
        }
    }
}
