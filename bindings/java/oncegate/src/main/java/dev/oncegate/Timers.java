package dev.oncegate;

import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Timers in the engine's timing wheel, of which one platform thread takes those that fired, however
 * many there are. They keep the engine only while one is pending.
 */
final class Timers {
    /** How many are taken at a time. */
    private static final int MOST = 256;

    /** The thread asks again after this time; nothing depends on how long it is. */
    private static final long TIMEOUT_MS = 3_600_000;

    private final long handle;
    private final Executor executor;
    private final ConcurrentHashMap<Long, Pending> pending = new ConcurrentHashMap<>();
    private final AtomicLong numbers = new AtomicLong();
    private volatile boolean closed;

    Timers(Executor executor) {
        this.executor = executor;
        handle = Frames.use(Frames.SMALL, frame -> {
            frame.call(Export.TIMERS_OPEN, 0, frame.pointer(Frame.OUT));
            return frame.memory.getLong(Frame.OUT);
        });
        Threads.daemon("oncegate-timers", this::take).start();
    }

    /** A timer that has not fired, and the engine, which it keeps. */
    private static final class Pending extends CompletableFuture<Void> {
        final Engine engine;
        final Runnable task;

        Pending(Engine engine, Runnable task) {
            this.engine = engine;
            this.task = task;
        }

        /** Those that depend on it are plain ones. */
        @Override
        public <U> CompletableFuture<U> newIncompleteFuture() {
            return new CompletableFuture<>();
        }

        void run() {
            if (isDone()) {
                return;
            }
            try {
                task.run();
                complete(null);
            } catch (RuntimeException | Error thrown) {
                completeExceptionally(thrown);
            }
        }
    }

    CompletableFuture<Void> start(Engine engine, Duration delay, Runnable task) {
        long ms = Millis.of("delay", delay);
        long number = numbers.incrementAndGet();
        Pending timer = new Pending(engine, task);
        // Before it starts: it may fire at once.
        pending.put(number, timer);
        long id;
        try {
            id = Frames.use(Frames.SMALL, frame -> {
                frame.call(Export.TIMERS_INSERT, handle, ms, number, frame.pointer(Frame.OUT));
                return frame.memory.getLong(Frame.OUT);
            });
        } catch (OncegateException refused) {
            pending.remove(number);
            throw refused;
        }
        if (closed && pending.remove(number) != null) {
            // They may have been closed before it was started, and after they were looked at.
            timer.completeExceptionally(Refusal.of(Status.CLOSED).exception());
            return timer;
        }
        timer.whenComplete((done, thrown) -> {
            // Nobody has taken it out: it was cancelled, or completed by somebody else.
            if (pending.remove(number) != null) {
                Frames.use(Frames.SMALL, frame -> frame.status(
                        Export.TIMERS_CANCEL, handle, id, frame.pointer(Frame.OUT)));
            }
        });
        return timer;
    }

    /** How many have not fired and were not cancelled. */
    int pending() {
        return pending.size();
    }

    /** Ends the timers: they fail with a {@link ClosedException}. */
    void close() {
        closed = true;
        Frames.use(Frames.SMALL, frame -> frame.status(Export.TIMERS_CLOSE, handle));
    }

    /** What the thread does. */
    private void take() {
        Frame frame = Frames.take(Frames.SMALL);
        int numbers = frame.room(8 * MOST);
        int status;
        while (true) {
            status = frame.status(Export.TIMERS_TAKE, handle, TIMEOUT_MS, frame.pointer(numbers),
                    MOST, frame.pointer(Frame.OUT));
            if (status != 0) {
                break;
            }
            for (int i = 0; i < frame.size(Frame.OUT); i++) {
                Pending timer = pending.remove(frame.memory.getLong(numbers + 8 * i));
                if (timer != null) {
                    execute(timer::run);
                }
            }
        }
        Status why = closed ? Status.CLOSED : Status.of(status);
        closed = true;
        for (Long number : pending.keySet()) {
            Pending timer = pending.remove(number);
            if (timer != null) {
                execute(() -> timer.completeExceptionally(Refusal.of(why).exception()));
            }
        }
    }

    private void execute(Runnable completion) {
        try {
            executor.execute(completion);
        } catch (RejectedExecutionException full) {
            completion.run();
        }
    }
}
