package dev.oncegate;

import java.nio.charset.StandardCharsets;
import java.time.Duration;

/**
 * How many retries all requests together may make. Replays never spend it.
 *
 * <p>Immutable; each method gives a changed copy. What is out of its range, or for a budget of
 * another kind, is refused where the budget is set, with the name of the field.
 */
public final class RetryBudget implements Cloneable {
    /** Token buckets of systems that users come from. The order is the header's. */
    public enum Bucket {
        /** 100 tokens: a retry costs 5, a success brings 1, time brings nothing. */
        PLAIN,
        /** gRPC A6: a failure costs 1, and no retries while half of the tokens or less are there. */
        GRPC,
        /** AWS SDKs, {@code standard}: 500 tokens; a retry costs 5, after a time-out 10. */
        AWS_STANDARD,
        /** AWS SDKs as of 2026: the same, but a retry costs 14, and after throttling 5. */
        AWS_2026
    }

    /** What takes tokens. The order is the header's, from 1 on. */
    public enum Charge {
        /** A retry that is allowed. */
        RETRY,
        /** Each failure that could be retried, whether it is or not. */
        FAILURE
    }

    /** In a field where zero means "as by default": zero itself. */
    private static final double ZERO = -1.0;

    private final int kind;
    private final int preset;
    private byte[] name = new byte[0];
    private double capacity;
    private double costTransient;
    private double costThrottled;
    private double costTimeout;
    private int charge;
    private int refundCost;
    private double threshold;
    private double success;
    private double refillPerSecond;
    private double ratio;
    private long minPerSecond;
    private long ttlMs;
    private long slices;
    private double share;
    private long minRetries;

    private RetryBudget(int kind, int preset) {
        this.kind = kind;
        this.preset = preset;
    }

    /**
     * Tokens, which retries or failures take, and successes and time bring.
     *
     * @param bucket with which values
     * @return the budget
     */
    public static RetryBudget bucket(Bucket bucket) {
        return new RetryBudget(0, bucket.ordinal());
    }

    /**
     * A share of the first attempts of the last seconds (Finagle).
     *
     * @return a fifth of those of ten seconds, and ten a second in any case
     */
    public static RetryBudget ratio() {
        return new RetryBudget(1, 0);
    }

    /**
     * A share of the requests under way (Envoy).
     *
     * @return a fifth of them, and three in any case
     */
    public static RetryBudget concurrency() {
        return new RetryBudget(2, 0);
    }

    private RetryBudget copy() {
        try {
            return (RetryBudget) clone();
        } catch (CloneNotSupportedException impossible) {
            throw new AssertionError(impossible);
        }
    }

    private static double orZero(double value) {
        return value == 0 ? ZERO : value;
    }

    private static long orZero(String field, long value) {
        if (value < 0) {
            throw Refusal.of(Status.BAD_VALUE, field, "found " + value + "; limit: 0 or more")
                    .exception();
        }
        return value == 0 ? Millis.ZERO : value;
    }

    /**
     * What errors call it.
     *
     * @param name at most 255 bytes in UTF-8
     * @return a changed copy
     */
    public RetryBudget named(String name) {
        RetryBudget copy = copy();
        copy.name = name.getBytes(StandardCharsets.UTF_8);
        return copy;
    }

    /**
     * Of a bucket: tokens at the start and at most.
     *
     * @param tokens 1 to 10,000
     * @return a changed copy
     */
    public RetryBudget capacity(double tokens) {
        RetryBudget copy = copy();
        copy.capacity = orZero(tokens);
        return copy;
    }

    /**
     * Of a bucket: what a retry costs after each kind of error.
     *
     * @param afterTransient after one that may pass, 0.001 to the capacity, as the next two
     * @param afterThrottled after the service said that it is asked too often
     * @param afterTimeout after a time-out, or where there was no connection
     * @return a changed copy
     */
    public RetryBudget costs(double afterTransient, double afterThrottled, double afterTimeout) {
        RetryBudget copy = copy();
        copy.costTransient = orZero(afterTransient);
        copy.costThrottled = orZero(afterThrottled);
        copy.costTimeout = orZero(afterTimeout);
        return copy;
    }

    /**
     * Of a bucket: what takes tokens.
     *
     * @param charge default: as the preset has it
     * @return a changed copy
     */
    public RetryBudget charge(Charge charge) {
        RetryBudget copy = copy();
        copy.charge = charge.ordinal() + 1;
        return copy;
    }

    /**
     * Of a bucket: whether a retry that succeeds brings back what it cost.
     *
     * @param refund default: as the preset has it
     * @return a changed copy
     */
    public RetryBudget refundsCost(boolean refund) {
        RetryBudget copy = copy();
        copy.refundCost = refund ? 1 : 2;
        return copy;
    }

    /**
     * Of a bucket: no retries while that many tokens or fewer are there.
     *
     * @param tokens below the capacity
     * @return a changed copy
     */
    public RetryBudget threshold(double tokens) {
        RetryBudget copy = copy();
        copy.threshold = orZero(tokens);
        return copy;
    }

    /**
     * Of a bucket: what brings tokens.
     *
     * @param perSuccess up to the capacity
     * @param perSecond 0.001 to 10,000; zero: time brings none
     * @return a changed copy
     */
    public RetryBudget refill(double perSuccess, double perSecond) {
        RetryBudget copy = copy();
        copy.success = orZero(perSuccess);
        copy.refillPerSecond = perSecond;
        return copy;
    }

    /**
     * Of a ratio budget: retries for each first attempt.
     *
     * @param ratio 0 to 1,000
     * @param minPerSecond that many a second are always allowed, at most 1,000,000
     * @return a changed copy
     */
    public RetryBudget ratio(double ratio, long minPerSecond) {
        RetryBudget copy = copy();
        copy.ratio = orZero(ratio);
        copy.minPerSecond = orZero("min_per_second", minPerSecond);
        return copy;
    }

    /**
     * Of a ratio budget: how long attempts count.
     *
     * @param ttl 1 to 60 s
     * @param slices into how many slices that time is cut, 2 to 60
     * @return a changed copy
     */
    public RetryBudget window(Duration ttl, long slices) {
        RetryBudget copy = copy();
        copy.ttlMs = Millis.orZero("ttl_ms", ttl);
        copy.slices = orZero("slices", slices);
        return copy;
    }

    /**
     * Of a concurrency budget: the share of requests under way that may be retries.
     *
     * @param share 0 to 1
     * @param minRetries that many are always allowed at once
     * @return a changed copy
     */
    public RetryBudget share(double share, long minRetries) {
        RetryBudget copy = copy();
        copy.share = orZero(share);
        copy.minRetries = orZero("min_retries", minRetries);
        return copy;
    }

    /** How many bytes of a frame it takes. */
    int bytes() {
        return RetryLayout.Budget.SIZE + name.length + 8;
    }

    /** Writes {@code oncegate_budget}; tells its address. */
    long write(Frame frame) {
        int at = frame.zeros(RetryLayout.Budget.SIZE);
        var memory = frame.memory;
        memory.putLong(at + RetryLayout.Budget.STRUCT_SIZE, RetryLayout.Budget.SIZE);
        memory.putInt(at + RetryLayout.Budget.KIND, kind);
        memory.putInt(at + RetryLayout.Budget.PRESET, preset);
        frame.bytes(at + RetryLayout.Budget.NAME, name);
        memory.putDouble(at + RetryLayout.Budget.CAPACITY, capacity);
        memory.putDouble(at + RetryLayout.Budget.COST_TRANSIENT, costTransient);
        memory.putDouble(at + RetryLayout.Budget.COST_THROTTLED, costThrottled);
        memory.putDouble(at + RetryLayout.Budget.COST_TIMEOUT, costTimeout);
        memory.putInt(at + RetryLayout.Budget.CHARGE, charge);
        memory.putInt(at + RetryLayout.Budget.REFUND_COST, refundCost);
        memory.putDouble(at + RetryLayout.Budget.THRESHOLD, threshold);
        memory.putDouble(at + RetryLayout.Budget.SUCCESS, success);
        memory.putDouble(at + RetryLayout.Budget.REFILL_PER_SECOND, refillPerSecond);
        memory.putDouble(at + RetryLayout.Budget.RATIO, ratio);
        memory.putLong(at + RetryLayout.Budget.MIN_PER_SECOND, minPerSecond);
        memory.putLong(at + RetryLayout.Budget.TTL_MS, ttlMs);
        memory.putLong(at + RetryLayout.Budget.SLICES, slices);
        memory.putDouble(at + RetryLayout.Budget.SHARE, share);
        memory.putLong(at + RetryLayout.Budget.MIN_RETRIES, minRetries);
        return frame.pointer(at);
    }
}
