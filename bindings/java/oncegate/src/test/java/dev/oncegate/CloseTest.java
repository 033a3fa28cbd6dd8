package dev.oncegate;

import static dev.oncegate.Given.admitted;
import static dev.oncegate.Given.fresh;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The end of engines and leases: by their users, and by the garbage collector. */
class CloseTest {
    private static final long SOON = 60;

    /**
     * Goal: an engine is closed while others use it; each call works or says that it is closed.
     * Method: 16 threads begin, complete, wait, renew and look at statistics; in each round the
     * engine is closed in the middle of it.
     */
    @Test
    void anEngineIsClosedWhileThreadsCall() throws Exception {
        int threads = 16;
        ExecutorService pool = Executors.newFixedThreadPool(threads);
        try {
            for (int round = 0; round < 20; round++) {
                // What is abandoned keeps its record.
                Engine engine = Engine.open(EngineOptions.builder().capacity(200_000).build());
                Request running = fresh();
                admitted(engine.begin(running)).detach();
                CompletableFuture<Admission> waits = engine.beginAsync(running);
                CountDownLatch busy = new CountDownLatch(threads);
                List<Future<Long>> calls = new ArrayList<>();
                for (int thread = 0; thread < threads; thread++) {
                    calls.add(pool.submit(untilClosed(engine, thread, running, busy)));
                }
                assertTrue(busy.await(SOON, TimeUnit.SECONDS));
                engine.close();
                engine.close();
                for (Future<Long> each : calls) {
                    assertTrue(each.get(SOON, TimeUnit.SECONDS) > 0);
                }
                ExecutionException closed = assertThrows(ExecutionException.class,
                        () -> waits.get(SOON, TimeUnit.SECONDS));
                assertInstanceOf(ClosedException.class, closed.getCause());
            }
        } finally {
            pool.shutdownNow();
        }
    }

    /** What a thread does until it is told that the engine is closed; how many calls worked. */
    private static Callable<Long> untilClosed(
            Engine engine, int thread, Request running, CountDownLatch busy) {
        BeginOptions waits = BeginOptions.defaults().waitUpTo(Duration.ofMillis(1));
        return () -> {
            long worked = 0;
            try {
                while (true) {
                    Request request = fresh();
                    switch (thread % 4) {
                        case 0 -> admitted(engine.begin(request)).complete(Outcome.of(200));
                        case 1 -> admitted(engine.beginAll(List.of(request)).get(0).orThrow())
                                .abandon();
                        case 2 -> engine.begin(running, waits);
                        default -> engine.stats();
                    }
                    worked++;
                    if (worked == 3) {
                        busy.countDown();
                    }
                }
            } catch (ClosedException closed) {
                return worked;
            }
        };
    }

    /**
     * Goal: every call on a closed engine says so, and closing leases is fine.
     * Method: each method once.
     */
    @Test
    void aClosedEngineSaysSo() {
        Engine engine = Given.engine();
        Request request = fresh();
        Lease lease = admitted(engine.begin(request));
        byte[] token = lease.token();
        engine.close();
        List<Runnable> calls = List.of(
                () -> engine.begin(request),
                () -> engine.beginAll(List.of(request)),
                () -> engine.beginHashed(
                        Hashed.of(Given.ACME, new byte[32], 0), BeginOptions.defaults()),
                () -> engine.takeUp(token),
                () -> engine.fingerprint(request),
                () -> engine.resolve(request, Resolution.runAgain()),
                () -> engine.setQuota(Given.ACME, Quota.unlimited()),
                () -> engine.removeQuota(Given.ACME),
                () -> engine.rotateSecret(new byte[32]),
                engine::finishRotation,
                () -> engine.sweep(1),
                engine::buryDead,
                engine::events,
                engine::stats,
                () -> engine.advanceClock(Duration.ofSeconds(1)),
                () -> engine.run(request, held -> Outcome.of(200)),
                () -> lease.complete(Outcome.of(200)),
                () -> lease.renew(Duration.ofSeconds(1)),
                () -> lease.fail(Failure.unknown()),
                lease::abandon);
        for (int i = 0; i < calls.size(); i++) {
            ClosedException closed =
                    assertThrows(ClosedException.class, calls.get(i)::run, "call " + i);
            assertEquals(Status.BAD_HANDLE, closed.status());
        }
        ExecutionException failed = assertThrows(ExecutionException.class,
                () -> engine.beginAsync(request).get(SOON, TimeUnit.SECONDS));
        assertInstanceOf(ClosedException.class, failed.getCause());
        lease.close();
    }

    /**
     * Goal: a lease that was lost is given back when the garbage collector finds it.
     * Method: somebody waits for it; the collector is asked to run until he gets the attempt.
     */
    @Test
    void aLostLeaseIsGivenBack() throws Exception {
        try (Engine engine = Engine.open(EngineOptions.builder().capacity(1_000)
                .lease(Duration.ofDays(1)).build())) {
            Request request = fresh();
            lose(engine, request);
            CompletableFuture<Admission> next = engine.beginAsync(request);
            Admission admission = null;
            for (int i = 0; admission == null && i < 600; i++) {
                System.gc();
                try {
                    admission = next.get(100, TimeUnit.MILLISECONDS);
                } catch (TimeoutException notYet) {
                    // The collector runs when it likes.
                }
            }
            admitted(admission).complete(Outcome.of(200));
        }
    }

    private static void lose(Engine engine, Request request) {
        admitted(engine.begin(request));
        assertInstanceOf(Admission.InProgress.class, engine.begin(request));
    }

    /**
     * Goal: a lease keeps its engine, and a lost engine is closed when the collector finds it.
     * Method: a table that one process may open once; it is opened again when that has happened,
     * and not while the lease is held.
     */
    @Test
    void aLostEngineIsClosed(@TempDir Path directory) throws Exception {
        EngineOptions options = EngineOptions.builder().capacity(1_000).maxProcesses(1)
                .file(directory.resolve("table"), FileFlag.ANY_FILE_SYSTEM)
                .secret("a secret of 32 bytes or more ....".getBytes()).build();
        Lease lease = leaseOfALostEngine(options);
        for (int i = 0; i < 5; i++) {
            System.gc();
            assertThrows(FullException.class, () -> Engine.open(options));
        }
        lease.complete(Outcome.of(200));
        lease = null;
        Engine second = null;
        for (int i = 0; second == null && i < 600; i++) {
            System.gc();
            try {
                second = Engine.open(options);
            } catch (FullException notYet) {
                // Bounded, and no more often than the collector is worth.
                new CountDownLatch(1).await(100, TimeUnit.MILLISECONDS);
            }
        }
        second.close();
    }

    private static Lease leaseOfALostEngine(EngineOptions options) {
        Engine engine = Engine.open(options);
        // The thread that waits for answers does not keep the engine either.
        Request request = fresh();
        Lease lease = admitted(engine.begin(request));
        engine.beginAsync(request).cancel(true);
        return lease;
    }
}
