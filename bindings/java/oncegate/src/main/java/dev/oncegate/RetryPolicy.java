package dev.oncegate;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;

/**
 * When to try again, and when to stop.
 *
 * <p>Immutable; each method gives a changed copy. What is out of its range is refused where the
 * policy is used, with the name of the field.
 */
public final class RetryPolicy implements Cloneable {
    /** Policies of systems that users come from. The order is the header's, from 1 on. */
    public enum Preset {
        /** AWS SDKs, {@code standard}: full jitter below 1 s, 2 s, 4 s, at most 20 s; 3 attempts. */
        AWS_STANDARD,
        /** AWS SDKs as of 2026: full jitter below 50 ms, 100 ms, at most 20 s; 3 attempts. */
        AWS_2026,
        /** The same after throttling: full jitter below 1 s, 2 s and so on. */
        AWS_2026_THROTTLED,
        /** gRPC A6 with values of one's own, which it has no defaults for. */
        GRPC,
        /** gRPC A6 with the values of its example: 100 ms, doubled up to 1 s; 4 attempts. */
        GRPC_EXAMPLE,
        /** Resilience4j's random exponential interval: 500 ms, 750 ms, no ceiling; 3 attempts. */
        RESILIENCE4J,
        /** Polly v8, exponential with jitter: a base of 2 s, no ceiling; 4 attempts. */
        POLLY_V8,
        /** Celery's {@code Task.retry}: 180 s each time; 4 attempts. */
        CELERY,
        /** Celery's {@code retry_backoff}: full jitter below 1 s, 2 s, at most 600 s; 4 attempts. */
        CELERY_BACKOFF
    }

    /** How delays are spread, so that clients that failed together do not meet again. */
    public enum Jitter {
        /** The delay as the backoff names it. */
        NONE,
        /** From nothing to the whole delay. */
        FULL,
        /** One half of the delay, and a draw from nothing to the other half. */
        EQUAL,
        /** From the first delay to three times the one before. For exponential backoffs. */
        DECORRELATED,
        /** A share of the delay to either side. */
        PROPORTIONAL,
        /** The formula of Polly v8. For exponential backoffs. */
        DECORRELATED_V2
    }

    /**
     * The delays of a policy.
     *
     * @param delays before attempts 2, 3 and so on
     * @param ended why there are no more; empty where there are
     */
    public record Preview(List<Duration> delays, Optional<Buried> ended) {}

    private final int preset;
    private final int backoff;
    private int jitter;
    private int maxAttempts;
    private double multiplier;
    private double jitterShare;
    private long initialMs;
    private long incrementMs;
    private long maxMs;
    private long[] delaysMs = new long[0];
    private long deadlineMs;
    private long expectedMs;
    private long attemptTimeoutMs;
    private boolean ignoreHints;
    private long hintMinMs;
    private long hintMaxMs;
    private long hintBeyondDrawnMs;

    private RetryPolicy(int preset, int backoff) {
        this.preset = preset;
        this.backoff = backoff;
    }

    /**
     * The policy of another system.
     *
     * @param preset which
     * @return the policy
     */
    public static RetryPolicy preset(Preset preset) {
        return new RetryPolicy(preset.ordinal() + 1, 0);
    }

    /**
     * Retry k after the first delay times a multiplier to the power of k - 1.
     *
     * @param initial the first delay
     * @return a policy without jitter, doubled up to 120 s, of 3 attempts
     */
    public static RetryPolicy exponential(Duration initial) {
        RetryPolicy policy = new RetryPolicy(0, 0);
        policy.initialMs = Millis.orZero("initial_ms", initial);
        return policy;
    }

    /**
     * Retry k after the first delay and k - 1 increments.
     *
     * @param initial the first delay
     * @param increment what is added
     * @return a policy without jitter, up to 120 s, of 3 attempts
     */
    public static RetryPolicy linear(Duration initial, Duration increment) {
        RetryPolicy policy = new RetryPolicy(0, 1);
        policy.initialMs = Millis.orZero("initial_ms", initial);
        policy.incrementMs = Millis.orZero("increment_ms", increment);
        return policy;
    }

    /**
     * Each retry after the same delay.
     *
     * @param delay how long
     * @return a policy without jitter, of 3 attempts
     */
    public static RetryPolicy constant(Duration delay) {
        RetryPolicy policy = new RetryPolicy(0, 2);
        policy.initialMs = Millis.orZero("initial_ms", delay);
        return policy;
    }

    /**
     * Retry k after number k of the delays, of which the last one is repeated.
     *
     * @param delays 1 to 1,024
     * @return a policy without jitter, of 3 attempts
     */
    public static RetryPolicy delays(Duration... delays) {
        RetryPolicy policy = new RetryPolicy(0, 3);
        policy.delaysMs = new long[delays.length];
        for (int i = 0; i < delays.length; i++) {
            policy.delaysMs[i] = Millis.of("delays_ms", delays[i]);
        }
        return policy;
    }

    private RetryPolicy copy() {
        try {
            return (RetryPolicy) clone();
        } catch (CloneNotSupportedException impossible) {
            throw new AssertionError(impossible);
        }
    }

    /**
     * How delays are spread.
     *
     * @param jitter the way
     * @return a changed copy
     */
    public RetryPolicy jitter(Jitter jitter) {
        RetryPolicy copy = copy();
        copy.jitter = jitter.ordinal();
        return copy;
    }

    /**
     * Spreads delays to either side.
     *
     * @param share of the delay, above 0 and at most 1
     * @return a changed copy
     */
    public RetryPolicy proportionalJitter(double share) {
        RetryPolicy copy = jitter(Jitter.PROPORTIONAL);
        copy.jitterShare = share;
        return copy;
    }

    /**
     * How many attempts there are at most, the first one included.
     *
     * @param attempts default 3, or the preset's
     * @return a changed copy
     */
    public RetryPolicy maxAttempts(int attempts) {
        if (attempts < 1) {
            throw Refusal.of(Status.BAD_VALUE, "max_attempts",
                    "found " + attempts + "; limit: at least 1").exception();
        }
        RetryPolicy copy = copy();
        copy.maxAttempts = attempts;
        return copy;
    }

    /**
     * The factor of an exponential backoff.
     *
     * @param factor 1 to 1,000; default 2
     * @return a changed copy
     */
    public RetryPolicy multiplier(double factor) {
        RetryPolicy copy = copy();
        copy.multiplier = factor;
        return copy;
    }

    /**
     * The first delay, of a preset that has none.
     *
     * @param delay at most ten years
     * @return a changed copy
     */
    public RetryPolicy initial(Duration delay) {
        RetryPolicy copy = copy();
        copy.initialMs = Millis.orZero("initial_ms", delay);
        return copy;
    }

    /**
     * No delay is longer, jitter included.
     *
     * @param ceiling default 120 s for an exponential or linear backoff, and otherwise none
     * @return a changed copy
     */
    public RetryPolicy ceiling(Duration ceiling) {
        RetryPolicy copy = copy();
        copy.maxMs = Millis.orZero("max_ms", ceiling);
        return copy;
    }

    /**
     * How long all attempts and delays may take together.
     *
     * @param deadline at most ten years; default: no deadline
     * @return a changed copy
     */
    public RetryPolicy deadline(Duration deadline) {
        RetryPolicy copy = copy();
        copy.deadlineMs = Millis.orZero("deadline_ms", deadline);
        return copy;
    }

    /**
     * How long an attempt is expected to take, until that has been measured.
     *
     * @param duration default: nothing
     * @return a changed copy
     */
    public RetryPolicy expected(Duration duration) {
        RetryPolicy copy = copy();
        copy.expectedMs = Millis.orZero("expected_ms", duration);
        return copy;
    }

    /**
     * How long one attempt may run.
     *
     * @param timeout at most a year; default: the lease of the engine
     * @return a changed copy
     */
    public RetryPolicy attemptTimeout(Duration timeout) {
        RetryPolicy copy = copy();
        copy.attemptTimeoutMs = Millis.orZero("attempt_timeout_ms", timeout);
        return copy;
    }

    /**
     * Ignores what a server says about retrying.
     *
     * @return a changed copy
     */
    public RetryPolicy ignoreHints() {
        RetryPolicy copy = copy();
        copy.ignoreHints = true;
        return copy;
    }

    /**
     * Between which bounds a server's hint counts.
     *
     * @param least a shorter one counts as this; default: zero
     * @param most a longer one counts as this; default: an hour
     * @return a changed copy
     */
    public RetryPolicy hintBounds(Duration least, Duration most) {
        RetryPolicy copy = copy();
        copy.hintMinMs = Millis.orZero("hint_min_ms", least);
        copy.hintMaxMs = Millis.orZero("hint_max_ms", most);
        return copy;
    }

    /**
     * By how much a hint lengthens the delay that was drawn at most; it never shortens it then.
     *
     * @param most default: no such limit, and it may shorten it
     * @return a changed copy
     */
    public RetryPolicy hintBeyondDrawn(Duration most) {
        RetryPolicy copy = copy();
        copy.hintBeyondDrawnMs = Millis.orZero("hint_beyond_drawn_ms", most);
        return copy;
    }

    /**
     * The delays of a request all of whose attempts fail at once and bring no hint, drawn as the
     * engine draws them.
     *
     * @param seed the same gives the same delays
     * @param most how many at most, 1 to 100,000
     * @return the delays, and why there are no more
     */
    public Preview preview(long seed, int most) {
        Objects.checkIndex(most, 100_001);
        Library.require();
        return Frames.use(Frames.size(Frames.SMALL + bytes() + 8L * most), frame -> {
            int delays = frame.room(8 * most);
            int count = Frame.OUT;
            int reason = Frame.OUT + 8;
            frame.call(Export.BACKOFF_PREVIEW, write(frame), seed, frame.pointer(delays), most,
                    frame.pointer(count), frame.pointer(reason));
            List<Duration> list = new ArrayList<>();
            for (int i = 0; i < frame.memory.getLong(count); i++) {
                list.add(Millis.duration(frame.memory.getLong(delays + 8 * i)));
            }
            int ended = frame.memory.getInt(reason);
            return new Preview(List.copyOf(list),
                    ended == 0 ? Optional.empty() : Optional.of(Buried.of(ended)));
        });
    }

    /** How many bytes of a frame it takes. */
    long bytes() {
        return RetryLayout.RetryPolicy.SIZE + 8L * delaysMs.length;
    }

    /** Writes {@code oncegate_retry_policy}; tells its address. */
    long write(Frame frame) {
        int at = frame.zeros(RetryLayout.RetryPolicy.SIZE);
        var memory = frame.memory;
        memory.putLong(at + RetryLayout.RetryPolicy.STRUCT_SIZE, RetryLayout.RetryPolicy.SIZE);
        memory.putInt(at + RetryLayout.RetryPolicy.PRESET, preset);
        memory.putInt(at + RetryLayout.RetryPolicy.BACKOFF, backoff);
        memory.putInt(at + RetryLayout.RetryPolicy.JITTER, jitter);
        memory.putInt(at + RetryLayout.RetryPolicy.MAX_ATTEMPTS, maxAttempts);
        memory.putDouble(at + RetryLayout.RetryPolicy.MULTIPLIER, multiplier);
        memory.putDouble(at + RetryLayout.RetryPolicy.JITTER_SHARE, jitterShare);
        memory.putLong(at + RetryLayout.RetryPolicy.INITIAL_MS, initialMs);
        memory.putLong(at + RetryLayout.RetryPolicy.INCREMENT_MS, incrementMs);
        memory.putLong(at + RetryLayout.RetryPolicy.MAX_MS, maxMs);
        if (delaysMs.length > 0) {
            int delays = frame.room(8 * delaysMs.length);
            for (int i = 0; i < delaysMs.length; i++) {
                memory.putLong(delays + 8 * i, delaysMs[i]);
            }
            memory.putLong(at + RetryLayout.RetryPolicy.DELAYS_MS, frame.pointer(delays));
        }
        memory.putLong(at + RetryLayout.RetryPolicy.DELAY_COUNT, delaysMs.length);
        memory.putLong(at + RetryLayout.RetryPolicy.DEADLINE_MS, deadlineMs);
        memory.putLong(at + RetryLayout.RetryPolicy.EXPECTED_MS, expectedMs);
        memory.putLong(at + RetryLayout.RetryPolicy.ATTEMPT_TIMEOUT_MS, attemptTimeoutMs);
        memory.putInt(at + RetryLayout.RetryPolicy.IGNORE_HINTS, ignoreHints ? 1 : 0);
        memory.putLong(at + RetryLayout.RetryPolicy.HINT_MIN_MS, hintMinMs);
        memory.putLong(at + RetryLayout.RetryPolicy.HINT_MAX_MS, hintMaxMs);
        memory.putLong(at + RetryLayout.RetryPolicy.HINT_BEYOND_DRAWN_MS, hintBeyondDrawnMs);
        return frame.pointer(at);
    }
}
