package dev.oncegate;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Waits for running attempts, of which one platform thread takes the answers, however many there
 * are. It keeps the engine only while something is waited for.
 */
final class Waits {
    /** How many answers are taken at a time. */
    private static final int MOST = 64;

    private static final int CAPACITY = 64 * 1024;

    /** The thread asks again after this time; nothing depends on how long it is. */
    private static final long TIMEOUT_MS = 3_600_000;

    private static final int TOO_SMALL = Status.BUFFER_TOO_SMALL.number();

    private final long engineHandle;
    private final long handle;
    private final ConcurrentHashMap<Long, Waiting> pending = new ConcurrentHashMap<>();
    private final AtomicLong numbers = new AtomicLong();
    private volatile boolean closed;

    Waits(long engineHandle) {
        this.engineHandle = engineHandle;
        handle = Frames.use(Frames.SMALL, frame -> {
            frame.call(Export.WAITS_OPEN, engineHandle, frame.pointer(Frame.OUT));
            return frame.memory.getLong(Frame.OUT);
        });
        Threads.daemon("oncegate-waits", this::take).start();
    }

    /** A future that somebody waits for, and the engine, which it keeps. */
    private static final class Waiting extends CompletableFuture<Admission> {
        final Engine engine;
        final long number;
        final Executor executor;

        Waiting(Engine engine, long number, Executor executor) {
            this.engine = engine;
            this.number = number;
            this.executor = executor;
        }

        /** Those that depend on it are plain ones. */
        @Override
        public <U> CompletableFuture<U> newIncompleteFuture() {
            return new CompletableFuture<>();
        }
    }

    CompletableFuture<Admission> submit(
            Engine engine, Request request, BeginOptions options, Executor executor) {
        long number = numbers.incrementAndGet();
        Waiting waiting = new Waiting(engine, number, executor);
        // Before it is submitted: the answer may be taken at once.
        pending.put(number, waiting);
        long id;
        try {
            id = Frames.use(Frames.size(Frames.SMALL + request.extraBytes()), frame -> {
                int at = frame.room(request.size());
                request.write(frame, at);
                frame.call(Export.WAITS_SUBMIT, handle, frame.pointer(at), options.write(frame),
                        number, frame.pointer(Frame.OUT));
                return frame.memory.getLong(Frame.OUT);
            });
        } catch (OncegateException refused) {
            pending.remove(number);
            waiting.completeExceptionally(refused);
            return waiting;
        }
        if (closed && pending.remove(number) != null) {
            // The set may have been closed before it was submitted, and after it was looked at.
            waiting.completeExceptionally(closedWhileWaiting());
            return waiting;
        }
        waiting.whenComplete((answer, thrown) -> {
            // Nobody has taken it out: somebody else than `deliver` has completed it.
            if (pending.remove(number) != null) {
                cancel(id);
            }
        });
        return waiting;
    }

    /** How many wait. */
    int count() {
        return pending.size();
    }

    private void cancel(long id) {
        Frames.use(Frames.SMALL, frame -> frame.status(Export.WAITS_CANCEL, handle, id));
    }

    /** Ends the waits; they fail with a {@link ClosedException}. */
    void close() {
        closed = true;
        Frames.use(Frames.SMALL, frame -> frame.status(Export.WAITS_CLOSE, handle));
    }

    /** What the thread does. */
    private void take() {
        Frame frame = Frames.take(CAPACITY);
        OncegateException ended;
        while (true) {
            int table = frame.clear().room(MOST * RetryLayout.Completion.SIZE);
            int rest = frame.offerRest();
            int status = frame.status(Export.WAITS_TAKE, handle, TIMEOUT_MS, frame.pointer(table),
                    MOST, frame.pointer(Frame.BUFFER), frame.pointer(Frame.OUT));
            if (status == TOO_SMALL) {
                frame = Frames.take(Frames.size(CAPACITY + frame.needed()));
            } else if (status != 0) {
                ended = closed ? closedWhileWaiting() : frame.refusal(status).exception();
                break;
            } else {
                for (int i = 0; i < frame.size(Frame.OUT); i++) {
                    deliver(frame, table + i * RetryLayout.Completion.SIZE, rest);
                }
            }
        }
        closed = true;
        for (Waiting waiting : pending.values()) {
            if (pending.remove(waiting.number) != null) {
                complete(waiting, null, ended);
            }
        }
    }

    private void deliver(Frame frame, int at, int rest) {
        int admission = at + RetryLayout.Completion.ADMISSION;
        Waiting waiting = pending.remove(
                frame.memory.getLong(at + RetryLayout.Completion.USER_DATA));
        if (waiting == null) {
            giveBack(frame, admission);
            return;
        }
        if (frame.memory.getInt(admission + Layout.Admission.STATUS) != 0) {
            complete(waiting, null, Refusal.of(frame, admission).exception());
        } else {
            complete(waiting, Begins.admission(waiting.engine, frame, admission, rest), null);
        }
    }

    /** An attempt that was admitted for somebody who has left. */
    private void giveBack(Frame frame, int admission) {
        if (frame.memory.getInt(admission + Layout.Admission.STATUS) == 0
                && frame.memory.getInt(admission + Layout.Admission.VERDICT) == Begins.ADMITTED) {
            frame.status(Export.LEASE_ABANDON_SOON, engineHandle,
                    frame.pointer(admission + Layout.Admission.LEASE));
        }
    }

    /** Not on the thread that takes answers, for which others wait, unless it is quick. */
    private void complete(Waiting waiting, Admission admission, OncegateException thrown) {
        Runnable completion = () -> {
            boolean received = thrown == null
                    ? waiting.complete(admission)
                    : waiting.completeExceptionally(thrown);
            if (!received && admission instanceof Admission.Admitted admitted) {
                admitted.lease().close();
            }
        };
        try {
            waiting.executor.execute(completion);
        } catch (RejectedExecutionException full) {
            completion.run();
        }
    }

    private static ClosedException closedWhileWaiting() {
        return (ClosedException) Refusal.of(Status.CLOSED).exception();
    }
}
