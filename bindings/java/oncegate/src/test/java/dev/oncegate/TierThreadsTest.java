package dev.oncegate;

import static dev.oncegate.Given.admitted;
import static dev.oncegate.Given.fresh;
import static dev.oncegate.RedisServer.eventually;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Function;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledForJreRange;
import org.junit.jupiter.api.condition.JRE;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What goes on in a JVM while its threads ask a server that does not answer. */
class TierThreadsTest {
    private static final long SOON = 60;

    /** Long enough for what is tested, and what is waited for where it fails. */
    private static final Duration DEADLINE = Duration.ofSeconds(10);

    private static final AtomicLong DIGESTS = new AtomicLong();

    private RedisServer server;
    private Engine engine;

    /** A call that asks the server, of an attempt that was begun before. */
    record Call(String name, Function<Lease, Object> call) {
        @Override
        public String toString() {
            return name;
        }
    }

    /** No other test's. */
    private static byte[] digest() {
        return ByteBuffer.allocate(Hashed.FINGERPRINT_BYTES).putLong(DIGESTS.incrementAndGet())
                .array();
    }

    static Stream<Call> calls() {
        return Stream.of(
                new Call("begin", lease -> lease.engine().begin(fresh())),
                new Call("beginHashed", lease -> lease.engine().beginHashed(
                        Hashed.of(Given.ACME, digest(), 0), BeginOptions.defaults())),
                new Call("beginAll", lease -> lease.engine().beginAll(List.of(fresh()))),
                new Call("renew", lease -> lease.renew(Duration.ofSeconds(60))),
                new Call("complete", lease -> lease.complete(Outcome.of(200))),
                new Call("fail", lease -> {
                    lease.fail(Failure.unknown());
                    return null;
                }),
                new Call("abandon", lease -> {
                    lease.abandon();
                    return null;
                }));
    }

    @BeforeEach
    void open() throws Exception {
        server = RedisServer.start();
        byte[] secret = new byte[32];
        Arrays.fill(secret, (byte) 7);
        engine = Engine.open(EngineOptions.builder().capacity(1_000).secret(secret)
                .tier(TierOptions.redis(server.url()).deadline(DEADLINE)).build());
        admitted(engine.begin(fresh())).complete(Outcome.of(200));
        engine.flushTier(Duration.ofSeconds(SOON));
    }

    @AfterEach
    void close() throws Exception {
        if (engine != null) {
            engine.close();
        }
        if (server != null) {
            server.close();
        }
    }

    static boolean isInLibrary(Thread thread) {
        return Arrays.stream(thread.getStackTrace())
                .anyMatch(frame -> frame.getClassName().contains("Binding"));
    }

    /**
     * Goal: a call that asks the server holds up no collection of garbage.
     * Method: a server that stands still; while a thread is in such a call the garbage is
     * collected, which every thread has to be stopped for.
     */
    @ParameterizedTest
    @MethodSource("calls")
    void garbageIsCollectedMeanwhile(Call call) throws Exception {
        Lease lease = admitted(engine.begin(fresh()));
        server.pause();
        CompletableFuture<Object> over = new CompletableFuture<>();
        Thread asks = new Thread(() -> {
            try {
                over.complete(call.call().apply(lease));
            } catch (Throwable thrown) {
                over.completeExceptionally(thrown);
            }
        });
        asks.start();
        eventually("it asks, or is over", () -> isInLibrary(asks) || over.isDone());
        System.gc();
        assertFalse(over.isDone(), "it had to be over before");
        server.resume();
        over.get(SOON, TimeUnit.SECONDS);
    }

    /**
     * Goal: virtual threads that ask the server hold no carrier.
     * Method: many of them, at a server that stands still; one that comes after them runs.
     */
    @ParameterizedTest
    @MethodSource("calls")
    @EnabledForJreRange(min = JRE.JAVA_21)
    void virtualThreadsHoldNoCarrier(Call call) throws Exception {
        int many = 4 * Runtime.getRuntime().availableProcessors();
        List<Lease> leases = new ArrayList<>();
        for (int i = 0; i < many; i++) {
            leases.add(admitted(engine.begin(fresh())));
        }
        server.pause();
        List<CompletableFuture<Object>> over = new ArrayList<>();
        for (Lease lease : leases) {
            over.add(virtually(() -> call.call().apply(lease)));
        }
        virtually(() -> null).get(SOON, TimeUnit.SECONDS);
        assertTrue(over.stream().noneMatch(CompletableFuture::isDone), "it ran after them");
        server.resume();
        for (CompletableFuture<Object> each : over) {
            each.get(SOON, TimeUnit.SECONDS);
        }
    }

    private static CompletableFuture<Object> virtually(java.util.concurrent.Callable<Object> task)
            throws Exception {
        CompletableFuture<Object> over = new CompletableFuture<>();
        Thread.class.getMethod("startVirtualThread", Runnable.class).invoke(null, (Runnable) () -> {
            try {
                over.complete(task.call());
            } catch (Throwable thrown) {
                over.completeExceptionally(thrown);
            }
        });
        return over;
    }

    /**
     * Goal: engines that nobody has any more are closed, and the thread that does so, which is that
     * of all leases, does not wait for a server.
     * Method: what the collector has run of an engine; an attempt is left to be told.
     */
    @Test
    void theCleanerDoesNotWait() throws Exception {
        admitted(engine.begin(fresh())).close();
        engine.flushTier(Duration.ofSeconds(SOON));
        Lease lease = admitted(engine.begin(fresh()));
        server.pause();
        lease.close();
        CompletableFuture<Object> closed = CompletableFuture.supplyAsync(() -> {
            new Handle(engine.handle(), Runnable::run, true).run();
            return null;
        });
        closed.get(SOON, TimeUnit.SECONDS);
        // It goes on elsewhere: the server has not answered.
        boolean[] found = new boolean[1];
        eventually("somebody closes it", () -> {
            found[0] = Thread.getAllStackTraces().keySet().stream()
                    .anyMatch(thread -> thread.getName().equals("oncegate-close"));
            return found[0];
        });
        server.resume();
    }
}
