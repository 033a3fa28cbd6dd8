package dev.oncegate.spring;

import static dev.oncegate.spring.Client.problem;
import static dev.oncegate.spring.Client.ran;
import static dev.oncegate.spring.Client.replayed;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.oncegate.Admission;
import dev.oncegate.BeginOptions;
import dev.oncegate.Engine;
import dev.oncegate.Hashed;
import dev.oncegate.OnOutage;
import dev.oncegate.Request;
import dev.oncegate.Scope;
import dev.oncegate.Status;
import dev.oncegate.TierException;
import io.micrometer.core.instrument.MeterRegistry;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.AutoConfigurations;
import org.springframework.boot.test.context.runner.ApplicationContextRunner;
import org.springframework.context.ConfigurableApplicationContext;

/** Services of two hosts that share their records by a real server. */
class FleetTest {
    private static final Duration SOON = Duration.ofSeconds(60);

    private int port;

    /** Starts a server, which the test ends; it is skipped where there is none. */
    private Process server(Path folder, String... options) throws Exception {
        boolean isThere = Stream.of(System.getenv("PATH").split(":"))
                .anyMatch(each -> Files.isExecutable(Path.of(each, "redis-server")));
        if ("1".equals(System.getenv("ONCEGATE_REQUIRE_ALL"))) {
            assertTrue(isThere, "redis-server is not installed, and no skip is allowed");
        }
        assumeTrue(isThere, "redis-server is not installed");
        for (int attempt = 0; attempt < 10; attempt++) {
            // Somebody else may take the port before the server does.
            try (ServerSocket free = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
                port = free.getLocalPort();
            }
            Process server = run(folder, options);
            if (server.isAlive()) {
                return server;
            }
        }
        return fail("no server starts");
    }

    /** Starts it on that port, and waits until it listens, or has ended. */
    private Process run(Path folder, String... options) throws Exception {
        List<String> command = new ArrayList<>(List.of("redis-server", "--bind", "127.0.0.1",
                "--port", "" + port, "--dir", folder.toString(), "--save", ""));
        command.addAll(List.of(options));
        Process server = new ProcessBuilder(command)
                .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                .redirectError(ProcessBuilder.Redirect.DISCARD).start();
        Runtime.getRuntime().addShutdownHook(new Thread(server::destroyForcibly));
        eventually("it listens", () -> {
            try {
                new Socket("127.0.0.1", port).close();
                return true;
            } catch (IOException notYet) {
                return !server.isAlive();
            }
        });
        return server;
    }

    private ConfigurableApplicationContext host(
            Path secret, OnOutage onOutage, String... properties) {
        List<String> arguments = new ArrayList<>(List.of("--server.port=0",
                "--oncegate.http.paths=/charges", "--oncegate.engine.secret-file=" + secret,
                "--oncegate.redis.url=redis://127.0.0.1:" + port, "--oncegate.redis.prefix=shop:",
                "--oncegate.redis.on-outage=" + onOutage,
                "--management.endpoints.web.exposure.include=health",
                "--management.endpoint.health.show-details=always"));
        arguments.addAll(List.of(properties));
        return SpringApplication.run(Site.class, arguments.toArray(new String[0]));
    }

    /** The first line of the server's answer that begins so. */
    private String ask(String command, String begins) throws IOException {
        try (Socket socket = new Socket("127.0.0.1", port)) {
            socket.getOutputStream().write((command + "\r\n").getBytes(StandardCharsets.US_ASCII));
            BufferedReader lines = new BufferedReader(new InputStreamReader(
                    socket.getInputStream(), StandardCharsets.US_ASCII));
            String line = lines.readLine();
            while (line != null && !line.startsWith(begins)) {
                line = lines.readLine();
            }
            return line;
        }
    }

    /** Waits for what other threads, or a process of its own, bring about in their own time. */
    private static void eventually(String what, Callable<Boolean> is) throws Exception {
        long until = System.nanoTime() + SOON.toNanos();
        while (!is.call()) {
            if (System.nanoTime() > until) {
                fail("never: " + what);
            }
            Thread.sleep(1);
        }
    }

    private static Client client(ConfigurableApplicationContext host) {
        return new Client(
                host.getEnvironment().getProperty("local.server.port", Integer.class));
    }

    /**
     * Goal: a request that one host ran is replayed by the other; while the server is gone a new
     * one is answered with 503, or runs where that is asked for, and the application stays up.
     * Method: two applications, of which one may go on alone; a server that is killed.
     */
    @Test
    void twoHosts(@TempDir Path folder) throws Exception {
        Process server = server(folder);
        Path secret = Files.writeString(
                folder.resolve("secret"), "32 bytes that all hosts have: ok");
        try (ConfigurableApplicationContext one = host(secret, OnOutage.REFUSE);
                ConfigurableApplicationContext other = host(secret, OnOutage.LOCAL_ONLY)) {
            HttpResponse<String> first = client(one).send(client(one).charge("shared"));
            ran(201, first);
            replayed(first, client(other).send(client(other).charge("shared")));
            assertEquals(1, other.getBean(MeterRegistry.class).get("oncegate.tier")
                    .tag("event", "imported").functionCounter().count());
            one.getBean(Engine.class).flushTier(SOON);
            other.getBean(Engine.class).flushTier(SOON);

            server.destroyForcibly().waitFor(SOON.toSeconds(), TimeUnit.SECONDS);
            HttpResponse<String> refused = client(one).send(client(one).charge("new"));
            problem(503, "tier-unavailable", refused);
            assertTrue(Integer.parseInt(Client.header(refused, "Retry-After").orElseThrow()) > 0);
            replayed(first, client(one).send(client(one).charge("shared")));
            ran(201, client(other).send(client(other).charge("new")));
            HttpResponse<String> health =
                    client(other).send(client(other).to("/actuator/health", null).GET());
            ran(200, health);
            assertTrue(health.body().contains("\"tier\":{"), health::body);
            assertTrue(health.body().contains("\"undelivered\":1"), health::body);
            assertEquals(1, other.getBean(MeterRegistry.class).get("oncegate.tier.undelivered")
                    .gauge().value());
            assertEquals(1, one.getBean(MeterRegistry.class).get("oncegate.tier")
                    .tag("event", "refused").functionCounter().count());
        } finally {
            server.destroyForcibly();
        }
    }

    /**
     * Goal: a response whose end nobody has confirmed, and whose lease is lost, is discarded:
     * another run may be the one that counts.
     * Method: the end of an attempt is on its way to a server that puts off what writes; meanwhile
     * its lease lapses, and a resend takes the record over; then the server is killed, so that the
     * resend runs alone.
     */
    @Test
    void anEndThatMayNotCountIsDiscarded(@TempDir Path folder) throws Exception {
        Process server = server(folder);
        Path secret = Files.writeString(
                folder.resolve("secret"), "32 bytes that all hosts have: ok");
        // Longer than what happens meanwhile; the end is asked again until it is over.
        try (ConfigurableApplicationContext host =
                host(secret, OnOutage.LOCAL_ONLY, "--oncegate.redis.deadline=10s")) {
            Engine engine = host.getBean(Engine.class);
            Site.Gate gate = new Site.Gate();
            Site.GATES.put("undecided", gate);
            CompletableFuture<HttpResponse<String>> slow =
                    client(host).later(client(host).charge("undecided"));
            Site.Gate.await(gate.entered);
            Site.GATES.remove("undecided");
            assertEquals("+OK", ask("CLIENT PAUSE 60000 WRITE", ""));
            gate.open.countDown();
            eventually("its end is on its way",
                    () -> !ask("INFO clients", "blocked_clients:").equals("blocked_clients:0"));
            engine.advanceClock(Duration.ofHours(1));
            CompletableFuture<HttpResponse<String>> resent =
                    client(host).later(client(host).charge("undecided"));
            eventually("its record is taken over", () -> engine.stats().lapsed() == 1);
            server.destroyForcibly().waitFor(SOON.toSeconds(), TimeUnit.SECONDS);

            HttpResponse<String> discarded = slow.get(SOON.toSeconds(), TimeUnit.SECONDS);
            problem(503, "tier-unavailable", discarded);
            assertTrue(Integer.parseInt(Client.header(discarded, "Retry-After").orElseThrow()) > 0);
            assertEquals(Optional.empty(), Client.header(discarded, "Location"));
            HttpResponse<String> second = resent.get(SOON.toSeconds(), TimeUnit.SECONDS);
            ran(201, second);
            assertTrue(second.body().contains("\"ran\":2"), second::body);
            replayed(second, client(host).send(client(host).charge("undecided")));
        } finally {
            server.destroyForcibly();
        }
    }

    /**
     * Goal: a client learns when to ask again, also where the filter waits for duplicates, and on
     * virtual threads.
     * Method: a server that is started again without what it had, and a quarantine of an hour.
     */
    @Test
    void aQuarantineIsTold(@TempDir Path folder) throws Exception {
        Process server = server(folder);
        Path secret = Files.writeString(
                folder.resolve("secret"), "32 bytes that all hosts have: ok");
        String quarantine = "--oncegate.redis.quarantine=1h";
        try (ConfigurableApplicationContext plain = host(secret, OnOutage.REFUSE, quarantine);
                ConfigurableApplicationContext waits =
                        host(secret, OnOutage.REFUSE, quarantine, "--oncegate.http.wait=1h");
                ConfigurableApplicationContext virtual =
                        host(secret, OnOutage.REFUSE, quarantine,
                                "--spring.threads.virtual.enabled=true")) {
            List<ConfigurableApplicationContext> hosts = List.of(plain, waits, virtual);
            for (ConfigurableApplicationContext host : hosts) {
                ran(201, client(host).send(client(host).charge("of-" + hosts.indexOf(host))));
                host.getBean(Engine.class).flushTier(SOON);
            }
            server.destroyForcibly().waitFor(SOON.toSeconds(), TimeUnit.SECONDS);
            server = run(folder);
            assertTrue(server.isAlive());
            for (ConfigurableApplicationContext host : hosts) {
                // A connection that was cut, at first; what is lost is seen with the next one.
                eventually("it is in quarantine", () -> assertThrows(TierException.class,
                        () -> host.getBean(Engine.class).beginHashed(
                                Hashed.of(Scope.named("acme"), new byte[32], 0),
                                BeginOptions.defaults()))
                        .retryAfter().orElseThrow().toMinutes() > 1);
                HttpResponse<String> refused = client(host).send(client(host).charge("new"));
                problem(503, "tier-unavailable", refused);
                int after = Integer.parseInt(Client.header(refused, "Retry-After").orElseThrow());
                assertTrue(after > 60, () -> hosts.indexOf(host) + ": " + after);
            }
        } finally {
            server.destroyForcibly();
        }
    }

    /**
     * Goal: what is said of the server reaches the engine.
     * Method: a server that may evict, and is in no Cluster; the properties that say so, and not.
     */
    @Test
    void whatTheServerIs(@TempDir Path folder) throws Exception {
        Process server = server(folder, "--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru");
        Path secret = Files.writeString(
                folder.resolve("secret"), "32 bytes that all hosts have: ok");
        ApplicationContextRunner host = new ApplicationContextRunner()
                .withConfiguration(AutoConfigurations.of(OncegateAutoConfiguration.class))
                .withPropertyValues("oncegate.engine.secret-file=" + secret,
                        "oncegate.redis.url=redis://127.0.0.1:" + port);
        ApplicationContextRunner evicting =
                host.withPropertyValues("oncegate.redis.allow-eviction=true");
        Request request = Request.of(Scope.named("acme"), "POST /charges", "key");
        try {
            host.run(context -> assertEquals(Status.TIER_UNSAFE, assertThrows(TierException.class,
                    () -> context.getBean(Engine.class).begin(request)).status()));
            evicting.run(context -> assertInstanceOf(Admission.Admitted.class,
                    context.getBean(Engine.class).begin(request)));
            evicting.withPropertyValues("oncegate.redis.cluster=true").run(context ->
                    assertEquals(Status.TIER_UNAVAILABLE, assertThrows(TierException.class,
                            () -> context.getBean(Engine.class).begin(request)).status()));
        } finally {
            server.destroyForcibly();
        }
    }
}
