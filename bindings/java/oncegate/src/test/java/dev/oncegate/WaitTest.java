package dev.oncegate;

import static dev.oncegate.Given.admitted;
import static dev.oncegate.Given.fresh;
import static dev.oncegate.Given.replayed;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledForJreRange;
import org.junit.jupiter.api.condition.JRE;

/** Waiting for running attempts: by futures, by threads of both kinds. */
class WaitTest {
    private static final long SOON = 60;

    private final Engine engine = Given.engine();

    @AfterEach
    void close() {
        engine.close();
    }

    private static <T> T soon(CompletableFuture<T> future) throws Exception {
        return future.get(SOON, TimeUnit.SECONDS);
    }

    /**
     * Goal: all who wait get the outcome of the running attempt.
     * Method: many futures, with outcomes larger than one frame of the taking thread.
     */
    @Test
    void waitersGetTheOutcome() throws Exception {
        Request request = fresh();
        Lease leader = admitted(engine.begin(request));
        List<CompletableFuture<Admission>> waiting = new ArrayList<>();
        for (int i = 0; i < 200; i++) {
            waiting.add(engine.beginAsync(request));
        }
        Outcome outcome = Outcome.of(200, new byte[10_000]).with("a", "b");
        leader.complete(outcome);
        for (CompletableFuture<Admission> each : waiting) {
            assertEquals(outcome, replayed(soon(each)));
        }
        assertEquals(0, engine.stats().waiters());
    }

    /**
     * Goal: answers that are taken together are all delivered, each with its metadata.
     * Method: many futures, with an outcome so small that dozens come at a time.
     */
    @Test
    void manySmallAnswersAreDelivered() throws Exception {
        Request request = fresh();
        Lease leader = admitted(engine.begin(request));
        List<CompletableFuture<Admission>> waiting = new ArrayList<>();
        for (int i = 0; i < 500; i++) {
            waiting.add(engine.beginAsync(request));
        }
        Outcome outcome = Outcome.of(200).with("a", "b").with("c", "");
        leader.complete(outcome);
        for (CompletableFuture<Admission> each : waiting) {
            assertEquals(outcome, replayed(soon(each)));
        }
    }

    /**
     * Goal: what needs no wait is there at once, on the calling thread.
     * Method: each answer, looked at without waiting for the future.
     */
    @Test
    void answersAreThereAtOnce() throws Exception {
        Request request = fresh().withPayload(Payload.raw(new byte[] {1}));
        Lease lease = admitted(engine.beginAsync(request).getNow(null));
        lease.complete(Outcome.of(200));
        replayed(engine.beginAsync(request).getNow(null));
        assertEquals(new Admission.Mismatched(), engine.beginAsync(
                request.withPayload(Payload.raw(new byte[] {2}))).getNow(null));
        CompletableFuture<Admission> refused =
                engine.beginAsync(Request.of(Given.ACME, "op", ""));
        ExecutionException thrown = assertThrows(ExecutionException.class, refused::get);
        assertInstanceOf(InvalidInputException.class, thrown.getCause());
    }

    /**
     * Goal: if the leader fails, exactly one of those who wait gets the next attempt, and the
     * others go on waiting.
     * Method: three wait through three attempts.
     */
    @Test
    void oneWaiterIsHandedTheNextAttempt() throws Exception {
        Request request = fresh();
        Lease leader = admitted(engine.begin(request));
        List<CompletableFuture<Admission>> waiting = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            waiting.add(engine.beginAsync(request));
        }
        for (int attempt = 2; attempt <= 3; attempt++) {
            leader.fail(Failure.retryable(Duration.ZERO));
            CompletableFuture<?> any = CompletableFuture.anyOf(
                    waiting.toArray(new CompletableFuture<?>[0]));
            leader = admitted((Admission) any.get(SOON, TimeUnit.SECONDS));
            assertEquals(attempt, leader.attempt());
            assertEquals(1, waiting.stream().filter(CompletableFuture::isDone).count());
            waiting.removeIf(CompletableFuture::isDone);
        }
        leader.complete(Outcome.of(200));
        replayed(soon(waiting.get(0)));
    }

    /**
     * Goal: a wait lasts as long as it may by the engine's clock, and not longer.
     * Method: the clock is moved to a millisecond before the limit, and then to it.
     */
    @Test
    void aWaitIsLimited() throws Exception {
        Request request = fresh();
        BeginOptions options = BeginOptions.defaults().waitUpTo(Duration.ofSeconds(5));
        Lease leader = admitted(engine.begin(request));
        CompletableFuture<Admission> waiting = engine.beginAsync(request, options);
        engine.advanceClock(Duration.ofMillis(4_999));
        // A second wait that is over first shows that the first has been looked at.
        CompletableFuture<Admission> marker = engine.beginAsync(
                request, options.waitUpTo(Duration.ofMillis(1)));
        assertFalse(waiting.isDone());
        engine.advanceClock(Duration.ofMillis(1));
        assertInstanceOf(Admission.InProgress.class, soon(marker));
        assertEquals(new Admission.InProgress(1, Duration.ofSeconds(25)), soon(waiting));
        assertInstanceOf(Admission.InProgress.class,
                soon(engine.beginAsync(request, options.waitUpTo(Duration.ZERO))));
        leader.complete(Outcome.of(200));
    }

    /**
     * Goal: cancelling a future ends its wait, and only that; so does completing it otherwise.
     * Method: two leave by either way, one stays; the count of waiters; the next attempt is the
     * one's who stays.
     */
    @Test
    void aWaitIsCancelled() throws Exception {
        Request request = fresh();
        Lease leader = admitted(engine.begin(request));
        CompletableFuture<Admission> cancelled = engine.beginAsync(request);
        CompletableFuture<Admission> completed = engine.beginAsync(request);
        CompletableFuture<Admission> stays = engine.beginAsync(request);
        assertTrue(cancelled.cancel(true));
        assertTrue(completed.complete(new Admission.Unresolved()));
        leader.fail(Failure.retryable(Duration.ZERO));
        Lease next = admitted(soon(stays));
        assertEquals(2, next.attempt());
        assertThrows(CancellationException.class, cancelled::get);
        assertEquals(0, engine.stats().waiters());
        next.close();
    }

    /**
     * Goal: an attempt that was admitted for somebody who left is given back.
     * Method: an executor that is held up; the future is cancelled before it gets its lease.
     */
    @Test
    void anAttemptNobodyReceivedIsGivenBack() throws Exception {
        CountDownLatch handed = new CountDownLatch(1);
        CountDownLatch go = new CountDownLatch(1);
        ExecutorService slow = Executors.newSingleThreadExecutor();
        EngineOptions options = Given.options().executor(task -> slow.execute(() -> {
            handed.countDown();
            awaits(go);
            task.run();
        })).build();
        try (Engine held = Engine.open(options)) {
            Request request = fresh();
            Lease leader = admitted(held.begin(request));
            CompletableFuture<Admission> waiting = held.beginAsync(request);
            leader.fail(Failure.retryable(Duration.ZERO));
            assertTrue(handed.await(SOON, TimeUnit.SECONDS));
            assertInstanceOf(Admission.InProgress.class, held.begin(request));
            waiting.cancel(true);
            CompletableFuture<Admission> next = held.beginAsync(request);
            go.countDown();
            admitted(soon(next)).close();
        } finally {
            slow.shutdown();
        }
    }

    private static void awaits(CountDownLatch latch) {
        try {
            assertTrue(latch.await(SOON, TimeUnit.SECONDS));
        } catch (InterruptedException interrupted) {
            throw new AssertionError(interrupted);
        }
    }

    /**
     * Goal: futures are completed where the engine was told to, and if that takes no more, all the
     * same. Method: an executor that counts, and one that refuses.
     */
    @Test
    void futuresAreCompletedByTheExecutor() throws Exception {
        CompletableFuture<Thread> ran = new CompletableFuture<>();
        ExecutorService own = Executors.newSingleThreadExecutor(
                task -> new Thread(task, "completes"));
        try (Engine told = Engine.open(Given.options().executor(own).build())) {
            Request request = fresh();
            Lease leader = admitted(told.begin(request));
            told.beginAsync(request).thenRun(() -> ran.complete(Thread.currentThread()));
            leader.complete(Outcome.of(200));
            assertEquals("completes", soon(ran).getName());
        } finally {
            own.shutdown();
        }
        EngineOptions refusing = Given.options().executor(task -> {
            throw new RejectedExecutionException();
        }).build();
        try (Engine told = Engine.open(refusing)) {
            Request request = fresh();
            Lease leader = admitted(told.begin(request));
            CompletableFuture<Admission> waiting = told.beginAsync(request);
            leader.complete(Outcome.of(200));
            replayed(soon(waiting));
        }
    }

    /**
     * Goal: a blocking call waits as a future does.
     * Method: a thread begins with a wait; the leader completes once it is known to wait.
     */
    @Test
    void aThreadWaits() throws Exception {
        Request request = fresh();
        Lease leader = admitted(engine.begin(request));
        BeginOptions options = BeginOptions.defaults().waitUpTo(Duration.ofMinutes(1));
        CompletableFuture<Admission> thread =
                CompletableFuture.supplyAsync(() -> engine.begin(request, options));
        while (engine.stats().waiters() == 0) {
            Thread.onSpinWait();
        }
        leader.complete(Outcome.of(200, "waited for"));
        assertEquals("waited for", replayed(soon(thread)).bodyText());
    }

    /**
     * Goal: 1,000 virtual threads that wait hold no carrier.
     * Method: with fewer carriers than that by far, all of them come to wait, and another virtual
     * thread still runs. A thread that held its carrier would keep the others from starting.
     */
    @Test
    @EnabledForJreRange(min = JRE.JAVA_21)
    void virtualThreadsHoldNoCarrier() throws Exception {
        int threads = 1_000;
        Request request = fresh();
        Lease leader = admitted(engine.begin(request));
        BeginOptions options = BeginOptions.defaults().waitUpTo(Duration.ofMinutes(1));
        ExecutorService virtual = (ExecutorService) Executors.class
                .getMethod("newVirtualThreadPerTaskExecutor").invoke(null);
        try (PinnedThreads pinned = PinnedThreads.watch()) {
            List<CompletableFuture<Admission>> waiting = new ArrayList<>();
            CountDownLatch started = new CountDownLatch(threads);
            for (int i = 0; i < threads; i++) {
                waiting.add(CompletableFuture.supplyAsync(() -> {
                    started.countDown();
                    return engine.begin(request, options);
                }, virtual));
            }
            assertTrue(started.await(SOON, TimeUnit.SECONDS), "carriers were held");
            assertEquals("runs", soon(CompletableFuture.supplyAsync(() -> "runs", virtual)));
            leader.complete(Outcome.of(200, "waited for"));
            for (CompletableFuture<Admission> each : waiting) {
                assertEquals("waited for", replayed(soon(each)).bodyText());
            }
            assertEquals(0, pinned.count());
        } finally {
            virtual.shutdown();
        }
    }

    /**
     * Goal: virtual threads that wait as workers hold no carrier.
     * Method: more of them than there are carriers come to wait, and another one still runs.
     */
    @Test
    @EnabledForJreRange(min = JRE.JAVA_21)
    void virtualWorkersHoldNoCarrier() throws Exception {
        int workers = 4 * Runtime.getRuntime().availableProcessors() + 16;
        ExecutorService virtual = (ExecutorService) Executors.class
                .getMethod("newVirtualThreadPerTaskExecutor").invoke(null);
        Engine real = Engine.open(EngineOptions.builder().capacity(100).build());
        try (PinnedThreads pinned = PinnedThreads.watch()) {
            List<CompletableFuture<?>> waiting = new ArrayList<>();
            CountDownLatch started = new CountDownLatch(workers);
            for (int i = 0; i < workers; i++) {
                waiting.add(CompletableFuture.supplyAsync(() -> {
                    started.countDown();
                    return real.nextAttempt(Duration.ofHours(1));
                }, virtual));
            }
            assertTrue(started.await(SOON, TimeUnit.SECONDS), "carriers were held");
            assertEquals("runs", soon(CompletableFuture.supplyAsync(() -> "runs", virtual)));
            real.close();
            for (CompletableFuture<?> each : waiting) {
                ExecutionException ended = assertThrows(ExecutionException.class,
                        () -> each.get(SOON, TimeUnit.SECONDS));
                assertInstanceOf(ClosedException.class, ended.getCause());
            }
            assertEquals(0, pinned.count());
        } finally {
            real.close();
            virtual.shutdown();
        }
    }

    /**
     * Goal: a virtual thread that waits gets the same answers and errors as another one.
     * Method: an answer after a limited wait by digests and by a request, and a refusal.
     */
    @Test
    @EnabledForJreRange(min = JRE.JAVA_21)
    void virtualThreadsGetTheSameAnswers() throws Exception {
        BeginOptions options = BeginOptions.defaults().waitUpTo(Duration.ofMinutes(1));
        ExecutorService virtual = (ExecutorService) Executors.class
                .getMethod("newVirtualThreadPerTaskExecutor").invoke(null);
        try (Engine waits = Engine.open(
                Given.options().waitUpTo(Duration.ofMinutes(1)).build())) {
            Hashed hashed = Hashed.of(Given.ACME, new byte[32], 1);
            Lease leader = admitted(waits.beginHashed(hashed, options));
            CompletableFuture<Admission> waiting = CompletableFuture.supplyAsync(
                    () -> waits.beginHashed(hashed, options), virtual);
            leader.complete(Outcome.of(200));
            replayed(soon(waiting));

            Request request = fresh();
            Lease second = admitted(waits.begin(request));
            CompletableFuture<Admission> byDefault = CompletableFuture.supplyAsync(
                    () -> waits.begin(request), virtual);
            second.complete(Outcome.of(201));
            assertEquals(201, replayed(soon(byDefault)).status());

            ExecutionException refused = assertThrows(ExecutionException.class,
                    () -> soon(CompletableFuture.supplyAsync(
                            () -> waits.begin(Request.of(Given.ACME, "op", "")), virtual)));
            assertInstanceOf(InvalidInputException.class, refused.getCause());
        } finally {
            virtual.shutdown();
        }
    }
}
