package dev.oncegate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Tasks after a time, by the engine's timing wheel. */
class TimerTest {
    private static final long SOON = 60;
    private static final Duration HOUR = Duration.ofHours(1);

    private final Engine engine = Given.engine();

    @AfterEach
    void close() {
        engine.close();
    }

    private static Duration ms(long ms) {
        return Duration.ofMillis(ms);
    }

    private static <T> T soon(CompletableFuture<T> future) throws Exception {
        return future.get(SOON, TimeUnit.SECONDS);
    }

    /**
     * Goal: a task runs once its time has come, and not before.
     * Method: the time that a timer of 30 ms took, by a clock of the JVM.
     */
    @Test
    void aTaskRunsAfterItsTime() throws Exception {
        long started = System.nanoTime();
        AtomicInteger runs = new AtomicInteger();
        CompletableFuture<Void> timer = engine.schedule(ms(30), runs::incrementAndGet);
        soon(timer);
        assertTrue(System.nanoTime() - started >= 30_000_000);
        assertEquals(1, runs.get());
        soon(engine.schedule(Duration.ZERO, runs::incrementAndGet));
        assertEquals(2, runs.get());
    }

    /**
     * Goal: tasks run in the order of their times, however they were started.
     * Method: on one thread, the later ones first.
     */
    @Test
    void tasksRunInTheOrderOfTheirTimes() throws Exception {
        ExecutorService one = Executors.newSingleThreadExecutor();
        try (Engine ordered = Engine.open(Given.options().executor(one).build())) {
            List<Integer> order = Collections.synchronizedList(new ArrayList<>());
            List<CompletableFuture<Void>> timers = new ArrayList<>();
            for (int at : new int[] {120, 80, 40, 1}) {
                timers.add(ordered.schedule(ms(at), () -> order.add(at)));
            }
            for (CompletableFuture<Void> each : timers) {
                soon(each);
            }
            assertEquals(List.of(1, 40, 80, 120), order);
        } finally {
            one.shutdown();
        }
    }

    /**
     * Goal: a timer that was cancelled never runs its task, and leaves nothing behind.
     * Method: many, each second one cancelled, some while they fire; the count of what is pending.
     */
    @Test
    void aTimerIsCancelled() throws Exception {
        AtomicInteger runs = new AtomicInteger();
        int cancelled = 0;
        List<CompletableFuture<Void>> timers = new ArrayList<>();
        for (int i = 0; i < 2_000; i++) {
            timers.add(engine.schedule(i % 4 < 2 ? ms(i % 7) : HOUR, runs::incrementAndGet));
        }
        int far = 0;
        for (int i = 0; i < 2_000; i++) {
            if (i % 4 >= 2 || i % 2 == 0) {
                boolean ended = timers.get(i).cancel(false);
                cancelled += ended ? 1 : 0;
                far += ended && i % 4 >= 2 ? 1 : 0;
            }
        }
        assertEquals(1_000, far);
        for (CompletableFuture<Void> each : timers) {
            assertTrue(each.isCancelled() || soon(each) == null);
        }
        assertEquals(0, engine.timers().pending());
        // One whose task runs may be cancelled too late to keep it from that.
        assertTrue(runs.get() >= 2_000 - cancelled);
        assertTrue(runs.get() <= 1_000);
    }

    /**
     * Goal: a timer that is cancelled after it fired, and before its task began, does not run it.
     * Method: an executor that is held up in between.
     */
    @Test
    void aTimerIsCancelledAtTheLastMoment() throws Exception {
        CompletableFuture<Runnable> handed = new CompletableFuture<>();
        try (Engine held = Engine.open(Given.options().executor(handed::complete).build())) {
            AtomicInteger runs = new AtomicInteger();
            CompletableFuture<Void> timer = held.schedule(ms(1), runs::incrementAndGet);
            Runnable fired = soon(handed);
            assertTrue(timer.cancel(false));
            fired.run();
            assertEquals(0, runs.get());
        }
    }

    /**
     * Goal: what a task throws comes by its future; the next one runs all the same.
     * Method: an exception, and an executor that refuses.
     */
    @Test
    void whatATaskThrowsIsTold() throws Exception {
        IllegalStateException thrown = new IllegalStateException("broken");
        CompletableFuture<Void> fails = engine.schedule(ms(1), () -> {
            throw thrown;
        });
        ExecutionException failed = assertThrows(ExecutionException.class, () -> soon(fails));
        assertSame(thrown, failed.getCause());
        EngineOptions refusing = Given.options().executor(task -> {
            throw new java.util.concurrent.RejectedExecutionException();
        }).build();
        try (Engine told = Engine.open(refusing)) {
            soon(told.schedule(ms(1), () -> { }));
        }
        assertThrows(NullPointerException.class, () -> engine.schedule(HOUR, null));
        Given.refused(Status.BAD_VALUE, "delay", () -> engine.schedule(ms(-1), () -> { }));
    }

    /**
     * Goal: closing ends the timers, and no task runs after it.
     * Method: some are pending; one more is started afterwards.
     */
    @Test
    void closingEndsTimers() throws Exception {
        AtomicInteger runs = new AtomicInteger();
        List<CompletableFuture<Void>> timers = new ArrayList<>();
        for (int i = 0; i < 100; i++) {
            timers.add(engine.schedule(HOUR, runs::incrementAndGet));
        }
        assertFalse(timers.get(0).isDone());
        engine.close();
        for (CompletableFuture<Void> each : timers) {
            ExecutionException closed =
                    assertThrows(ExecutionException.class, () -> soon(each));
            assertInstanceOf(ClosedException.class, closed.getCause());
        }
        assertEquals(0, runs.get());
        try {
            CompletableFuture<Void> late = engine.schedule(ms(1), runs::incrementAndGet);
            assertThrows(ExecutionException.class, () -> soon(late));
        } catch (ClosedException closed) {
            assertEquals(Status.BAD_HANDLE, closed.status());
        }
        Engine never = Given.engine();
        never.close();
        assertThrows(ClosedException.class, () -> never.schedule(HOUR, () -> { }));
    }
}
