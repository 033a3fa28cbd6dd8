package dev.oncegate;

import java.time.Duration;

/**
 * Targets, pace and bounds of an adaptive backoff, which draws delays out under load.
 *
 * <p>Immutable; each method gives a changed copy. What is out of its range is refused by
 * {@link Engine#open}, with the name of the field.
 */
public final class Adaptive implements Cloneable {
    private static final Adaptive DEFAULTS = new Adaptive();

    private static final double ZERO = -1.0;

    private long lagTargetMs;
    private long readyTarget;
    private long inFlightTarget;
    private double loadTarget;
    private long intervalMs;
    private long quietMs;
    private double decrease;
    private double increase;
    private double maxFactor;
    private double maxBase;
    private double maxCeiling;
    private double maxWidth;

    private Adaptive() {}

    /**
     * Every default.
     *
     * @return the settings
     */
    public static Adaptive defaults() {
        return DEFAULTS;
    }

    private Adaptive copy() {
        try {
            return (Adaptive) clone();
        } catch (CloneNotSupportedException impossible) {
            throw new AssertionError(impossible);
        }
    }

    private static long orZero(String field, long count) {
        if (count < 0) {
            throw Refusal.of(Status.BAD_VALUE, field, "found " + count + "; limit: 0 or more")
                    .exception();
        }
        return count == 0 ? Millis.ZERO : count;
    }

    private static double orZero(double value) {
        return value == 0 ? ZERO : value;
    }

    /**
     * How late ready work may be started.
     *
     * @param lag default 100 ms
     * @return a changed copy
     */
    public Adaptive lagTarget(Duration lag) {
        Adaptive copy = copy();
        copy.lagTargetMs = Millis.orZero("lag_target_ms", lag);
        return copy;
    }

    /**
     * How much work there may be.
     *
     * @param ready that waits for a worker; default 1,000
     * @param inFlight that is under way; default 1,000
     * @return a changed copy
     */
    public Adaptive workTargets(long ready, long inFlight) {
        Adaptive copy = copy();
        copy.readyTarget = orZero("ready_target", ready);
        copy.inFlightTarget = orZero("in_flight_target", inFlight);
        return copy;
    }

    /**
     * How high the load of {@link Engine#setLoad} may be.
     *
     * @param load 0 to 1; default 0.8
     * @return a changed copy
     */
    public Adaptive loadTarget(double load) {
        Adaptive copy = copy();
        copy.loadTarget = orZero(load);
        return copy;
    }

    /**
     * The pace.
     *
     * @param interval how long a change is left to show, 1 ms to an hour; default 1 s
     * @param quiet after so long without any observation delays shrink by themselves, and a load
     *     is in force no more; at most a day; default 10 s
     * @return a changed copy
     */
    public Adaptive pace(Duration interval, Duration quiet) {
        Adaptive copy = copy();
        copy.intervalMs = Millis.orZero("interval_ms", interval);
        copy.quietMs = Millis.orZero("quiet_ms", quiet);
        return copy;
    }

    /**
     * The steps.
     *
     * @param decrease what the rate is multiplied by where something presses, 0.1 to 0.99;
     *     default 0.5
     * @param increase what is added to it where nothing does, 0.0001 to 1; default 0.05
     * @return a changed copy
     */
    public Adaptive steps(double decrease, double increase) {
        Adaptive copy = copy();
        copy.decrease = orZero(decrease);
        copy.increase = orZero(increase);
        return copy;
    }

    /**
     * The bounds, each 1 to 1,000,000.
     *
     * @param factor the inverse of the smallest rate; default 16
     * @param base by how much delays are stretched at most; default 16
     * @param ceiling by how much ceilings are; default 4
     * @param width by how much the width of the jitter is; default 16
     * @return a changed copy
     */
    public Adaptive bounds(double factor, double base, double ceiling, double width) {
        Adaptive copy = copy();
        copy.maxFactor = orZero(factor);
        copy.maxBase = orZero(base);
        copy.maxCeiling = orZero(ceiling);
        copy.maxWidth = orZero(width);
        return copy;
    }

    /** Writes {@code oncegate_adaptive}; tells its address. */
    long write(Frame frame) {
        int at = frame.zeros(RetryLayout.Adaptive.SIZE);
        var memory = frame.memory;
        memory.putLong(at + RetryLayout.Adaptive.STRUCT_SIZE, RetryLayout.Adaptive.SIZE);
        memory.putLong(at + RetryLayout.Adaptive.LAG_TARGET_MS, lagTargetMs);
        memory.putLong(at + RetryLayout.Adaptive.READY_TARGET, readyTarget);
        memory.putLong(at + RetryLayout.Adaptive.IN_FLIGHT_TARGET, inFlightTarget);
        memory.putDouble(at + RetryLayout.Adaptive.LOAD_TARGET, loadTarget);
        memory.putLong(at + RetryLayout.Adaptive.INTERVAL_MS, intervalMs);
        memory.putLong(at + RetryLayout.Adaptive.QUIET_MS, quietMs);
        memory.putDouble(at + RetryLayout.Adaptive.DECREASE, decrease);
        memory.putDouble(at + RetryLayout.Adaptive.INCREASE, increase);
        memory.putDouble(at + RetryLayout.Adaptive.MAX_FACTOR, maxFactor);
        memory.putDouble(at + RetryLayout.Adaptive.MAX_BASE, maxBase);
        memory.putDouble(at + RetryLayout.Adaptive.MAX_CEILING, maxCeiling);
        memory.putDouble(at + RetryLayout.Adaptive.MAX_WIDTH, maxWidth);
        return frame.pointer(at);
    }
}
