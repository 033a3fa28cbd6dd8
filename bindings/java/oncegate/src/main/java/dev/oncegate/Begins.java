package dev.oncegate;

import java.time.Duration;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;

/** Begin: a request asks to run, alone or in a batch. */
final class Begins {
    /** Payloads up to this size are digested in a few microseconds. */
    private static final int QUICK_BYTES = 4 * 1024;

    /** Batches up to this size take some tens of microseconds. */
    private static final int QUICK_COUNT = 128;

    /** Room for the outcome of each request of a batch that is offered at first. */
    private static final int OUTCOME_EACH = 256;

    private static final int TOO_SMALL = Status.BUFFER_TOO_SMALL.number();

    private static final Admission MISMATCHED = new Admission.Mismatched();
    private static final Admission UNRESOLVED = new Admission.Unresolved();
    private static final Admission OUTCOME_GONE = new Admission.OutcomeGone();

    /** {@code ONCEGATE_ADMITTED}. */
    static final int ADMITTED = 1;

    private final Engine engine;
    private final long engineWaitMs;

    Begins(Engine engine, long engineWaitMs) {
        this.engine = engine;
        this.engineWaitMs = engineWaitMs;
    }

    /** Who waits does so for a future: a foreign call sees no interrupt, and holds a carrier. */
    Admission one(Request request, BeginOptions options) {
        if (!options.waits(engineWaitMs)) {
            return now(request, options);
        }
        return Futures.join(
                async(request, options.withWait(engineWaitMs), Runnable::run),
                () -> now(request, options.waitUpTo(Duration.ZERO)));
    }

    /** Who asks a tier on a virtual thread does so for a future, too. */
    private Admission now(Request request, BeginOptions options) {
        if (engine.hasTier() && Threads.isVirtual()) {
            return Futures.joined(engine.waits().submit(
                    engine, request, options.waitUpTo(Duration.ZERO), Runnable::run));
        }
        return asked(request, options);
    }

    Admission one(Hashed hashed, BeginOptions options) {
        if (engine.hasTier() || options.waits(engineWaitMs)) {
            return Workers.blocking(() -> asked(hashed, options));
        }
        return asked(hashed, options);
    }

    /** Waits without a thread, and as long as the options say; {@code by} completes the future. */
    CompletableFuture<Admission> async(Request request, BeginOptions options, Executor by) {
        if (engine.hasTier()) {
            // The caller does not wait for a server, either.
            return engine.waits().submit(engine, request, options, by);
        }
        Admission now;
        try {
            // Most answers are there at once, and need no other thread.
            now = asked(request, options.waitUpTo(Duration.ZERO));
        } catch (OncegateException refused) {
            return CompletableFuture.failedFuture(refused);
        }
        if (now instanceof Admission.InProgress || now instanceof Admission.Scheduled) {
            return engine.waits().submit(engine, request, options, by);
        }
        return CompletableFuture.completedFuture(now);
    }

    private Admission asked(Asked asked, BeginOptions options) {
        boolean quick = !engine.hasTier() && !options.waits(engineWaitMs)
                && asked.payloadBytes() <= QUICK_BYTES;
        int capacity = Frames.size(Frames.SMALL + asked.extraBytes());
        Frame frame = Frames.take(capacity);
        try {
            while (true) {
                int at = frame.room(asked.size());
                asked.write(frame, at);
                long how = options.write(frame);
                int rest = frame.offerRest();
                int status = asked.begin(quick, engine.handle(), frame.pointer(at), how,
                        frame.pointer(Frame.BUFFER), frame.pointer(Frame.ADMISSION),
                        frame.pointer(Frame.ERROR));
                if (status == 0) {
                    return admission(engine, frame, Frame.ADMISSION, rest);
                }
                if (status != TOO_SMALL) {
                    frame.check(status);
                }
                long needed = capacity + frame.needed();
                Frames.give(frame);
                frame = Frames.take(Frames.size(needed));
            }
        } finally {
            Frames.give(frame);
        }
    }

    /** All of one kind. */
    List<Answer> all(List<? extends Asked> requests, BeginOptions options) {
        return engine.asking(() -> batch(requests, options));
    }

    private List<Answer> batch(List<? extends Asked> requests, BeginOptions options) {
        Asked[] all = requests.toArray(new Asked[0]);
        if (all.length == 0) {
            return List.of();
        }
        int count = all.length;
        int size = all[0].size();
        long bytes = Frames.SMALL + (long) count * (size + Layout.Admission.SIZE + OUTCOME_EACH);
        long payloads = 0;
        for (Asked one : all) {
            bytes += one.extraBytes();
            payloads += one.payloadBytes();
        }
        boolean quick =
                !engine.hasTier() && count <= QUICK_COUNT && payloads <= QUICK_BYTES;
        Frame frame = Frames.take(Frames.size(bytes));
        try {
            int table = frame.room(count * size);
            int admissions = frame.room(count * Layout.Admission.SIZE);
            for (int i = 0; i < count; i++) {
                all[i].write(frame, table + i * size);
            }
            long how = options.write(frame);
            int rest = frame.offerRest();
            frame.check(all[0].beginBatch(quick, engine.handle(), frame.pointer(table), count, how,
                    frame.pointer(Frame.BUFFER), frame.pointer(admissions),
                    frame.pointer(Frame.ERROR)));
            Answer[] answers = new Answer[count];
            for (int i = 0; i < count; i++) {
                answers[i] = answer(frame, admissions + i * Layout.Admission.SIZE, rest);
            }
            for (int i = 0; i < count; i++) {
                // Its outcome found no room in the buffer that all of them share.
                if (answers[i] == null) {
                    answers[i] = again(all[i], options);
                }
            }
            return Collections.unmodifiableList(Arrays.asList(answers));
        } finally {
            Frames.give(frame);
        }
    }

    /** Null: ask again, alone. */
    private Answer answer(Frame frame, int at, int rest) {
        int status = frame.memory.getInt(at + Layout.Admission.STATUS);
        if (status == 0) {
            return admission(engine, frame, at, rest);
        }
        return status == TOO_SMALL
                ? null
                : new Answer.Refused(Refusal.of(frame, at).exception());
    }

    private Answer again(Asked request, BeginOptions options) {
        try {
            return asked(request, options.waitUpTo(Duration.ZERO));
        } catch (OncegateException refused) {
            return new Answer.Refused(refused);
        }
    }

    /** Reads {@code oncegate_admission}. */
    static Admission admission(Engine engine, Frame frame, int at, int rest) {
        var memory = frame.memory;
        int attempt = memory.getInt(at + Layout.Admission.ATTEMPT);
        long ms = memory.getLong(at + Layout.Admission.TIME_MS);
        return switch (memory.getInt(at + Layout.Admission.VERDICT)) {
            case ADMITTED -> new Admission.Admitted(new Lease(
                    engine, frame, at + Layout.Admission.LEASE,
                    memory.getLong(at + Layout.Admission.FENCING_TOKEN), attempt,
                    memory.getInt(at + Layout.Admission.HOW), ms));
            case 2 -> new Admission.Replayed(
                    Outcomes.read(frame, at + Layout.Admission.OUTCOME, rest));
            case 3 -> new Admission.InProgress(attempt, Millis.duration(ms));
            case 4 -> new Admission.Scheduled(attempt, Millis.duration(ms));
            case 5 -> MISMATCHED;
            case 6 -> UNRESOLVED;
            case 7 -> OUTCOME_GONE;
            default -> throw new AssertionError("a verdict that this version does not know");
        };
    }
}
