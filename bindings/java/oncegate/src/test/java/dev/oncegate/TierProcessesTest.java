package dev.oncegate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Processes that share their records by a real server, as hosts do. */
class TierProcessesTest {
    private static final long SOON = 60;

    @TempDir
    private Path folder;

    private final List<Running> hosts = new ArrayList<>();
    private RedisServer server;

    /** A {@link Host}. */
    private record Running(Process process, Writer in, BufferedReader out) {
        void tell(String line) throws IOException {
            in.write(line + "\n");
            in.flush();
        }

        /** A thread of its own reads, since nothing ends a read of a pipe that stays empty. */
        void says(String line) throws Exception {
            CompletableFuture<String> said = CompletableFuture.supplyAsync(() -> {
                try {
                    return out.readLine();
                } catch (IOException gone) {
                    return gone.toString();
                }
            });
            assertEquals(line, said.get(SOON, TimeUnit.SECONDS));
        }

        /** Ends it at once, as a host ends that loses its power. */
        void kill() throws InterruptedException {
            assertTrue(process.destroyForcibly().waitFor(SOON, TimeUnit.SECONDS));
        }
    }

    @BeforeEach
    void start() throws Exception {
        server = RedisServer.start();
    }

    @AfterEach
    void end() throws Exception {
        for (Running host : hosts) {
            host.kill();
        }
        if (server != null) {
            server.close();
        }
    }

    private Path ledger() {
        return folder.resolve("ledger");
    }

    private static String place(Class<?> known) throws Exception {
        return Path.of(known.getProtectionDomain().getCodeSource().getLocation().toURI())
                .toString();
    }

    private Running host() throws Exception {
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin/java").toString());
        if (Runtime.version().feature() >= 22) {
            command.add("--enable-native-access=ALL-UNNAMED");
        }
        command.addAll(List.of("-Doncegate.binding=" + Library.BINDING.name(), "-cp",
                String.join(":", place(Engine.class), place(Host.class),
                        place(Class.forName("com.sun.jna.Native"))),
                Host.class.getName(), server.url(), ledger().toString()));
        Process process = new ProcessBuilder(command)
                .redirectError(ProcessBuilder.Redirect.DISCARD).start();
        Running host = new Running(process,
                process.outputWriter(StandardCharsets.UTF_8),
                new BufferedReader(new InputStreamReader(
                        process.getInputStream(), StandardCharsets.UTF_8)));
        hosts.add(host);
        return host;
    }

    /**
     * Goal: what a process of one host runs, that of another host does not run again; it waits, and
     * has the outcome.
     * Method: two processes, a server, and a file that both add to; one asks while the other runs.
     */
    @Test
    void twoProcessesRunARequestOnce() throws Exception {
        Running one = host();
        Running other = host();
        one.tell("run");
        one.says("attempt 1");
        other.tell("ask");
        other.says("InProgress");
        other.tell("run");
        one.tell("go on");
        one.says("Executed charged");
        other.says("Replayed charged");
        one.tell("ask");
        one.says("Replayed");
        assertEquals("charged by attempt 1\n", Files.readString(ledger()));
    }

    /**
     * Goal: what a host was about to do when it died, another one does after the lease has ended,
     * and not before; it is done once.
     * Method: a process that is killed while it runs; another one that waits from then on, and one
     * that asks afterwards. The time is only looked at for being too short: all have the same
     * clock.
     */
    @Test
    void aKilledProcessIsFollowed() throws Exception {
        Running one = host();
        Running other = host();
        long begun = System.nanoTime();
        one.tell("run");
        one.says("attempt 1");
        one.kill();
        other.tell("run");
        other.says("attempt 2");
        assertTrue(System.nanoTime() - begun >= Host.LEASE.toNanos(), "it did not wait");
        other.tell("go on");
        other.says("Executed charged");
        Running third = host();
        third.tell("run");
        third.says("Replayed charged");
        assertEquals("charged by attempt 2\n", Files.readString(ledger()));
    }
}
