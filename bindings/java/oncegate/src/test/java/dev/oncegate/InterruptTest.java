package dev.oncegate;

import static dev.oncegate.Given.admitted;
import static dev.oncegate.Given.fresh;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executors;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.condition.JRE;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Threads of both kinds that are interrupted while they wait. */
class InterruptTest {
    private static final long SOON = 60;
    private static final BeginOptions WAITS =
            BeginOptions.defaults().waitUpTo(Duration.ofHours(1));

    /** Its clock runs: workers wait by it. */
    private final Engine engine = Engine.open(EngineOptions.builder().capacity(1_000).build());

    @AfterEach
    void close() {
        engine.close();
    }

    static Stream<ThreadFactory> kinds() throws Exception {
        if (JRE.currentVersionNumber() < 21) {
            return Stream.of(Executors.defaultThreadFactory());
        }
        Object builder = Thread.class.getMethod("ofVirtual").invoke(null);
        ThreadFactory virtual = (ThreadFactory) Class.forName("java.lang.Thread$Builder")
                .getMethod("factory").invoke(builder);
        return Stream.of(Executors.defaultThreadFactory(), virtual);
    }

    /** Starts a thread; what its call gave, and whether it was still interrupted afterwards. */
    private static <T> CompletableFuture<T> on(Thread[] started, ThreadFactory kind,
            Supplier<T> call) {
        CompletableFuture<T> result = new CompletableFuture<>();
        started[0] = kind.newThread(() -> {
            try {
                T answer = call.get();
                assertTrue(Thread.currentThread().isInterrupted(), "the interrupt was lost");
                result.complete(answer);
            } catch (Throwable thrown) {
                result.completeExceptionally(thrown);
            }
        });
        started[0].start();
        return result;
    }

    /**
     * Goal: an interrupt ends the wait for a running attempt, and only that.
     * Method: the thread is known to wait; afterwards nobody does, and the attempt runs on.
     */
    @ParameterizedTest
    @MethodSource("kinds")
    void aWaitingBeginIsInterrupted(ThreadFactory kind) throws Exception {
        Request request = fresh();
        Lease leader = admitted(engine.begin(request));
        Thread[] thread = new Thread[1];
        CompletableFuture<Admission> result =
                on(thread, kind, () -> engine.begin(request, WAITS));
        while (engine.stats().waiters() == 0) {
            Thread.onSpinWait();
        }
        thread[0].interrupt();
        assertInstanceOf(Admission.InProgress.class, result.get(SOON, TimeUnit.SECONDS));
        assertEquals(0, engine.stats().waiters());
        leader.complete(Outcome.of(200));
    }

    /**
     * Goal: a thread that was interrupted before it waits gets the answer of the moment.
     * Method: an attempt that runs, and one that nobody runs.
     */
    @ParameterizedTest
    @MethodSource("kinds")
    void anInterruptedThreadDoesNotWait(ThreadFactory kind) throws Exception {
        Request request = fresh();
        admitted(engine.begin(request)).detach();
        assertInstanceOf(Admission.InProgress.class, on(new Thread[1], kind, () -> {
            Thread.currentThread().interrupt();
            return engine.begin(request, WAITS);
        }).get(SOON, TimeUnit.SECONDS));
        admitted(on(new Thread[1], kind, () -> {
            Thread.currentThread().interrupt();
            return engine.begin(fresh(), WAITS);
        }).get(SOON, TimeUnit.SECONDS)).close();
    }

    /**
     * Goal: an interrupt ends a worker's wait, and no attempt is lost by that.
     * Method: a worker for one attempt and one for several; then one is due, and is there.
     */
    @ParameterizedTest
    @MethodSource("kinds")
    void aWorkerIsInterrupted(ThreadFactory kind) throws Exception {
        Thread[] thread = new Thread[1];
        CompletableFuture<Optional<Attempt>> one =
                on(thread, kind, () -> engine.nextAttempt(Duration.ofHours(1)));
        thread[0].interrupt();
        assertEquals(Optional.empty(), one.get(SOON, TimeUnit.SECONDS));
        CompletableFuture<List<Attempt>> several =
                on(thread, kind, () -> engine.nextAttempts(5, Duration.ofHours(1)));
        thread[0].interrupt();
        assertEquals(List.of(), several.get(SOON, TimeUnit.SECONDS));

        engine.setOperation("charge", RetryPolicy.constant(Duration.ofMillis(1)), 0);
        admitted(engine.begin(fresh()))
                .retryLater(AttemptError.transientError("503"), "charge", new byte[0]);
        // Whoever left gives back what was found for him meanwhile.
        Attempt attempt = engine.nextAttempt(Duration.ofSeconds(SOON)).orElseThrow();
        attempt.lease().complete(Outcome.of(200));
    }

    /**
     * Goal: workers that wait get what becomes due, and closing the engine ends their wait.
     * Method: a worker before anything is due; then another one, and the engine is closed.
     */
    @ParameterizedTest
    @MethodSource("kinds")
    void aWaitingWorkerGetsWhatIsDue(ThreadFactory kind) throws Exception {
        CompletableFuture<Attempt> worker = new CompletableFuture<>();
        kind.newThread(() -> worker.complete(
                engine.nextAttempt(Duration.ofHours(1)).orElseThrow())).start();
        engine.setOperation("charge", RetryPolicy.constant(Duration.ofMillis(5)), 0);
        admitted(engine.begin(fresh()))
                .retryLater(AttemptError.transientError("503"), "charge", new byte[] {3});
        Attempt attempt = worker.get(SOON, TimeUnit.SECONDS);
        assertEquals(3, attempt.context()[0]);
        attempt.lease().complete(Outcome.of(200));

        CompletableFuture<Throwable> closed = new CompletableFuture<>();
        Thread thread = kind.newThread(() -> {
            try {
                engine.nextAttempts(3, Duration.ofHours(1));
            } catch (RuntimeException thrown) {
                closed.complete(thrown);
            }
        });
        thread.start();
        engine.close();
        assertInstanceOf(ClosedException.class, closed.get(SOON, TimeUnit.SECONDS));
    }
}
