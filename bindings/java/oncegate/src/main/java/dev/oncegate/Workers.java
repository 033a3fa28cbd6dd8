package dev.oncegate;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.SynchronousQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.function.LongFunction;
import java.util.function.Supplier;

/** Attempts that are due, for workers; questions, for reconcilers. */
final class Workers {
    /** Most attempts or questions of one call; more are there for the next. */
    private static final int MOST = 1024;

    /** After at most so long an interrupt is noticed. */
    private static final long SLICE_MS = 200;

    /** A year: the longest time that the library takes. */
    private static final long LONGEST_MS = Duration.ofDays(366).toMillis();

    private static final int TOO_SMALL = Status.BUFFER_TOO_SMALL.number();

    private Workers() {}

    static Optional<Attempt> next(Engine engine, Duration timeout) {
        long ms = Millis.of("timeout_ms", timeout);
        return waiting(engine, ms, Optional.empty(), slice -> Frames.filled(Frames.SMALL, frame -> {
            int at = frame.room(RetryLayout.Attempt.SIZE);
            int rest = frame.offerRest();
            int status = frame.status(Export.NEXT_ATTEMPT, engine.handle(), slice,
                    frame.pointer(Frame.BUFFER), frame.pointer(at), frame.pointer(Frame.OUT));
            if (status == TOO_SMALL) {
                return null;
            }
            frame.check(status);
            return frame.memory.getInt(Frame.OUT) == 0
                    ? Optional.empty()
                    : Optional.of(Attempt.read(engine, frame, at, rest));
        }));
    }

    static List<Attempt> next(Engine engine, int most, Duration timeout) {
        int capacity = capacity("most", most);
        long ms = Millis.of("timeout_ms", timeout);
        int bytes = Frames.SMALL + capacity * (RetryLayout.Attempt.SIZE + 256);
        return waiting(engine, ms, List.of(), slice -> Frames.filled(bytes, frame -> {
            int at = frame.room(capacity * RetryLayout.Attempt.SIZE);
            int rest = frame.offerRest();
            int status = frame.status(Export.NEXT_ATTEMPTS, engine.handle(), capacity, slice,
                    frame.pointer(Frame.BUFFER), frame.pointer(at), frame.pointer(Frame.OUT));
            if (status == TOO_SMALL) {
                return null;
            }
            frame.check(status);
            int count = frame.size(Frame.OUT);
            List<Attempt> attempts = new ArrayList<>(count);
            for (int i = 0; i < count; i++) {
                attempts.add(Attempt.read(engine, frame, at + i * RetryLayout.Attempt.SIZE, rest));
            }
            return attempts;
        }));
    }

    static List<Question> questions(Engine engine, int most) {
        int capacity = capacity("limit", most);
        int bytes = Frames.SMALL + capacity * (RetryLayout.Question.SIZE + 256);
        return Frames.filled(bytes, frame -> {
            int at = frame.room(capacity * RetryLayout.Question.SIZE);
            int rest = frame.offerRest();
            int status = frame.status(Export.RECONCILE_POLL, engine.handle(), capacity,
                    frame.pointer(Frame.BUFFER), frame.pointer(at), capacity,
                    frame.pointer(Frame.OUT));
            if (status == TOO_SMALL) {
                return null;
            }
            frame.check(status);
            int count = frame.size(Frame.OUT);
            List<Question> questions = new ArrayList<>(count);
            for (int i = 0; i < count; i++) {
                questions.add(Question.read(frame, at + i * RetryLayout.Question.SIZE, rest));
            }
            return questions;
        });
    }

    private static int capacity(String field, int most) {
        if (most < 1) {
            throw Refusal.of(Status.BAD_SIZE, field, "found " + most + "; limit: at least 1")
                    .exception();
        }
        return Math.min(most, MOST);
    }

    /** Waits in slices: a foreign call does not see interrupts. */
    private static <T> T waiting(Engine engine, long ms, T none, LongFunction<T> call) {
        if (ms == 0 || ms > LONGEST_MS) {
            // Back at once, unless a tier is asked; too long a time is refused.
            return engine.asking(() -> call.apply(ms));
        }
        if (!Threads.isVirtual()) {
            return sliced(ms, none, call, () -> Thread.currentThread().isInterrupted());
        }
        CompletableFuture<T> answer = new CompletableFuture<>();
        Blocking.THREADS.execute(() -> {
            try {
                deliver(answer, sliced(ms, none, call, answer::isDone));
            } catch (RuntimeException | Error thrown) {
                answer.completeExceptionally(thrown);
            }
        });
        return Futures.join(answer, () -> none);
    }

    private static <T> T sliced(
            long ms, T none, LongFunction<T> call, BooleanSupplier hasLeft) {
        for (long left = ms; left > 0 && !hasLeft.getAsBoolean(); left -= SLICE_MS) {
            T found = call.apply(Math.min(left, SLICE_MS));
            if (!found.equals(none)) {
                return found;
            }
        }
        return none;
    }

    /** Gives it back where whoever waited has left. */
    static <T> void deliver(CompletableFuture<T> answer, T found) {
        if (!answer.complete(found)) {
            giveBack(found);
        }
    }

    private static void giveBack(Object found) {
        if (found instanceof List<?> attempts) {
            attempts.forEach(Workers::giveBack);
        } else if (found instanceof Optional<?> attempt) {
            attempt.ifPresent(Workers::giveBack);
        } else {
            ((Attempt) found).close();
        }
    }

    /**
     * Has a call block. On a virtual thread another one does it, since a foreign call would hold
     * the carrier.
     */
    static <T> T blocking(Supplier<T> call) {
        if (!Threads.isVirtual()) {
            return call.get();
        }
        return Futures.joined(CompletableFuture.supplyAsync(call, Blocking.THREADS));
    }

    /** Made when the first virtual thread waits. */
    private static final class Blocking {
        static final ExecutorService THREADS = new ThreadPoolExecutor(
                0, Integer.MAX_VALUE, 1, TimeUnit.SECONDS, new SynchronousQueue<>(),
                task -> Threads.daemon("oncegate-blocking", task));
    }
}
