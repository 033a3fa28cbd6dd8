package dev.oncegate;

import java.lang.ref.Cleaner;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;

/**
 * The exclusive right to run one attempt, until it is ended or its time is over.
 *
 * <p><b>A lease is not a lock.</b> A holder that was paused may still run after its lease lapsed;
 * only a store that checks the {@link #fencingToken} keeps it out.
 *
 * <p>End it by {@link #complete}, {@link #fail}, {@link #abandon} or {@link #retryLater}.
 * {@link #close} abandons it unless it was ended, so that a block {@code try (lease) { … }} never
 * leaves a record stuck.
 */
public final class Lease implements AutoCloseable {
    /** How many bytes a token has. */
    public static final int TOKEN_BYTES = 32;

    /** {@code ONCEGATE_DOWNSTREAM_KEY_SIZE}. */
    private static final int KEY_SIZE = 44;

    private final Held held;
    private final Cleaner.Cleanable cleanable;
    private final long fencingToken;
    private final int attempt;
    private final How how;
    private final long durationMs;

    Lease(Engine engine, Frame frame, int token, long fencing, int attempt, int how, long ms) {
        held = new Held(engine, frame.memory, token);
        fencingToken = fencing;
        this.attempt = attempt;
        this.how = How.of(how);
        durationMs = ms;
        cleanable = Engine.CLEANER.register(this, held);
    }

    /**
     * For downstream stores, which refuse a token that is lower than one they have seen.
     *
     * @return a number that only grows, for this request and for ever
     */
    public long fencingToken() {
        return fencingToken;
    }

    /**
     * The number of the attempt.
     *
     * @return from 1 on
     */
    public int attempt() {
        return attempt;
    }

    /**
     * Why it was admitted.
     *
     * @return the reason
     */
    public How how() {
        return how;
    }

    /**
     * How long the lease lasted when it was given.
     *
     * @return the time, from then on
     */
    public Duration duration() {
        return Millis.duration(durationMs);
    }

    /**
     * The lease as bytes, which {@link Engine#takeUp} takes in any process and language. Whoever
     * passes it on calls {@link #detach}.
     *
     * @return 32 bytes
     */
    public byte[] token() {
        byte[] bytes = new byte[TOKEN_BYTES];
        ByteBuffer buffer = ByteBuffer.wrap(bytes).order(ByteOrder.nativeOrder());
        held.write(buffer, 0);
        return bytes;
    }

    /**
     * Leaves the attempt to whoever has the {@link #token}: {@link #close} does nothing any more.
     */
    public void detach() {
        ended();
    }

    /**
     * Whether this object has ended the attempt, or left it to others.
     *
     * @return true where {@link #close} does nothing
     */
    public boolean isEnded() {
        return held.ended;
    }

    /**
     * Has the lease last for so long from now on.
     *
     * @param duration 1 ms to a year
     * @return how long it lasts
     * @throws FencedException the attempt is no longer the caller's: stop, and undo what can be
     */
    public Duration renew(Duration duration) {
        long ms = Millis.of("duration_ms", duration);
        Frame frame = Frames.take(Frames.SMALL);
        try {
            frame.check(held.renew(frame, ms));
            return Millis.duration(frame.memory.getLong(Frame.OUT));
        } finally {
            Frames.give(frame);
        }
    }

    /**
     * Ends the attempt with success: duplicates get the outcome inside the dedup window.
     *
     * @param outcome what they get
     * @return whether they get the bytes
     * @throws FencedException the attempt is no longer the caller's
     */
    public Stored complete(Outcome outcome) {
        Frame frame = Frames.take(Outcomes.frameBytes(outcome));
        try {
            int at = Outcomes.write(frame, outcome);
            settled(frame, held.complete(frame, frame.pointer(at)));
            return Stored.of(frame.memory.getInt(Frame.OUT));
        } finally {
            Frames.give(frame);
        }
    }

    /**
     * Ends the attempt with a failure.
     *
     * @param failure of which kind, and what follows
     * @throws FencedException the attempt is no longer the caller's
     */
    public void fail(Failure failure) {
        Frame frame = Frames.take(Outcomes.frameBytes(failure.outcome));
        try {
            long token = held.pointer(frame);
            long outcome = Outcomes.pointer(frame, failure.outcome);
            settled(frame, held.engine.asking(() -> frame.status(Export.LEASE_FAIL,
                    held.engine.handle(), token, failure.kind, failure.delayMs, outcome)));
        } finally {
            Frames.give(frame);
        }
    }

    /**
     * Leaves the next attempt to the engine: a worker of any process gets it when it is due, by
     * the policy of the operation.
     *
     * @param error why this attempt failed
     * @param operation which code runs the next one, 1 to 255 bytes in UTF-8
     * @param context what that code needs
     * @return when it is due, or why there is none
     * @throws FencedException the attempt is no longer the caller's
     */
    public Later retryLater(AttemptError error, String operation, byte[] context) {
        byte[] name = operation.getBytes(StandardCharsets.UTF_8);
        long bytes = error.bytes() + name.length + context.length;
        return Frames.use(Frames.size(Frames.SMALL + bytes), frame -> {
            int at = frame.room(RetryLayout.Later.SIZE);
            settled(frame, held.engine.asking(() -> frame.status(Export.RETRY_LATER,
                    held.engine.handle(), pointer(frame), error.write(frame),
                    frame.argument(name), frame.argument(context), frame.pointer(at))));
            var memory = frame.memory;
            return memory.getInt(at + RetryLayout.Later.VERDICT) == 1
                    ? new Later.Scheduled(
                            memory.getInt(at + RetryLayout.Later.NEXT_ATTEMPT),
                            Millis.duration(memory.getLong(at + RetryLayout.Later.DUE_IN_MS)))
                    : new Later.Ended(Buried.of(memory.getInt(at + RetryLayout.Later.REASON)));
        });
    }

    /**
     * The finished steps of the request, which later attempts find.
     *
     * @return a view, for this attempt
     */
    public Steps steps() {
        return new Steps(this);
    }

    /**
     * An idempotency key for the one call of this request to a service: the same in every attempt,
     * and another one for every request and service. It tells nothing of the caller's own key.
     *
     * @param service 1 to 255 bytes in UTF-8
     * @return 43 letters, digits, dashes and underscores
     * @throws FencedException the attempt is no longer the caller's
     */
    public String downstreamKey(String service) {
        return downstreamKey(service, "");
    }

    /**
     * The same, for one of several calls of this request to a service.
     *
     * @param service 1 to 255 bytes in UTF-8
     * @param step which call, 1 to 255 bytes in UTF-8
     * @return 43 letters, digits, dashes and underscores
     * @throws FencedException the attempt is no longer the caller's
     */
    public String downstreamKey(String service, String step) {
        byte[] name = service.getBytes(StandardCharsets.UTF_8);
        byte[] call = step.getBytes(StandardCharsets.UTF_8);
        return Frames.use(Frames.SMALL + name.length + call.length, frame -> {
            frame.call(Export.DOWNSTREAM_KEY, held.engine.handle(), pointer(frame),
                    frame.argument(name), frame.argument(call), frame.pointer(Frame.OUT),
                    KEY_SIZE);
            return frame.field(Frame.OUT, KEY_SIZE);
        });
    }

    /**
     * The headers of a call to a service: {@code idempotency-key}, {@code idempotency-attempt} and
     * {@code fencing-token}.
     *
     * @param service 1 to 255 bytes in UTF-8
     * @return names and values
     * @throws FencedException the attempt is no longer the caller's
     */
    public List<Outcome.Pair> attemptHeaders(String service) {
        return new Steps(this).headers(service);
    }

    /**
     * Gives the attempt back as if it had not begun: the next caller gets it at once.
     *
     * @throws FencedException the attempt is no longer the caller's
     */
    public void abandon() {
        Frame frame = Frames.take(Frames.SMALL);
        try {
            settled(frame, held.abandon(frame));
        } finally {
            Frames.give(frame);
        }
    }

    /**
     * Whether the tier gave no answer, so that the table of this host alone admitted the attempt:
     * another host may run the same request then. Asks nothing of the server.
     *
     * @return true where only this host knows of it
     * @throws FencedException the attempt is over
     */
    public boolean isLocalOnly() {
        return Frames.use(Frames.SMALL, frame -> {
            frame.call(Export.LEASE_IS_LOCAL_ONLY, held.engine.handle(), pointer(frame),
                    frame.pointer(Frame.OUT));
            return frame.memory.getInt(Frame.OUT) != 0;
        });
    }

    /**
     * Abandons the attempt, unless it was ended, or is no longer the caller's. It waits for no
     * tier, which is told soon.
     */
    @Override
    public void close() {
        if (!held.ended) {
            // What it runs is below; it runs at most once.
            cleanable.clean();
        }
    }

    Engine engine() {
        return held.engine;
    }

    /** Writes the token; tells its address. */
    long pointer(Frame frame) {
        return held.pointer(frame);
    }

    /** The attempt is over, or another's: nothing is left to abandon. */
    private void settled(Frame frame, int status) {
        if (status == 0 || status == Status.FENCED.number()) {
            ended();
        }
        frame.check(status);
    }

    private void ended() {
        held.ended = true;
        cleanable.clean();
    }

    /** Says which attempt it is; the token is not for logs. */
    @Override
    public String toString() {
        return "Lease[attempt " + attempt + ", fencing token " + fencingToken + "]";
    }

    /** What abandoning needs. It keeps the engine, and not the lease. */
    private static final class Held implements Runnable {
        final Engine engine;
        private final long first;
        private final long second;
        private final long third;
        private final long fourth;
        volatile boolean ended;

        Held(Engine engine, ByteBuffer memory, int at) {
            this.engine = engine;
            first = memory.getLong(at);
            second = memory.getLong(at + 8);
            third = memory.getLong(at + 16);
            fourth = memory.getLong(at + 24);
        }

        void write(ByteBuffer memory, int at) {
            memory.putLong(at, first);
            memory.putLong(at + 8, second);
            memory.putLong(at + 16, third);
            memory.putLong(at + 24, fourth);
        }

        long pointer(Frame frame) {
            int at = frame.room(TOKEN_BYTES);
            write(frame.memory, at);
            return frame.pointer(at);
        }

        int renew(Frame frame, long ms) {
            Binding library = Library.BINDING;
            long token = pointer(frame);
            long remaining = frame.pointer(Frame.OUT);
            long error = frame.pointer(Frame.ERROR);
            return engine.hasTier()
                    ? Workers.blocking(() ->
                            library.leaseRenew(engine.handle(), token, ms, remaining, error))
                    : library.leaseRenewQuick(engine.handle(), token, ms, remaining, error);
        }

        int complete(Frame frame, long outcome) {
            Binding library = Library.BINDING;
            long token = pointer(frame);
            long stored = frame.pointer(Frame.OUT);
            long error = frame.pointer(Frame.ERROR);
            return engine.hasTier()
                    ? Workers.blocking(() ->
                            library.leaseComplete(engine.handle(), token, outcome, stored, error))
                    : library.leaseCompleteQuick(engine.handle(), token, outcome, stored, error);
        }

        int abandon(Frame frame) {
            Binding library = Library.BINDING;
            long token = pointer(frame);
            long error = frame.pointer(Frame.ERROR);
            return engine.hasTier()
                    ? Workers.blocking(() -> library.leaseAbandon(engine.handle(), token, error))
                    : library.leaseAbandonQuick(engine.handle(), token, error);
        }

        @Override
        public void run() {
            if (ended) {
                return;
            }
            ended = true;
            Frame frame = Frames.take(Frames.SMALL);
            try {
                // Refused where the attempt is another's, or the engine is closed: both are fine.
                if (engine.hasTier()) {
                    frame.status(Export.LEASE_ABANDON_SOON, engine.handle(), pointer(frame));
                } else {
                    abandon(frame);
                }
            } finally {
                Frames.give(frame);
            }
        }
    }
}
