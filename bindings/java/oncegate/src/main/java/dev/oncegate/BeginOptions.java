package dev.oncegate;

import java.time.Duration;
import java.util.Objects;

/**
 * How one request is begun. What is not set is as the engine's options say.
 *
 * <p>Immutable; each method gives a changed copy.
 */
public final class BeginOptions {
    private static final BeginOptions DEFAULTS = new BeginOptions(0, 0, 0, 0, false);

    final long leaseMs;
    final long dedupWindowMs;
    final long waitMs;
    final int onLapse;
    final boolean runDue;

    private BeginOptions(long leaseMs, long windowMs, long waitMs, int onLapse, boolean runDue) {
        this.leaseMs = leaseMs;
        this.dedupWindowMs = windowMs;
        this.waitMs = waitMs;
        this.onLapse = onLapse;
        this.runDue = runDue;
    }

    /**
     * As the engine's options say.
     *
     * @return options in which nothing is set
     */
    public static BeginOptions defaults() {
        return DEFAULTS;
    }

    /**
     * How long the attempt may run before its lease lapses.
     *
     * @param lease 1 ms to a year
     * @return a changed copy
     */
    public BeginOptions lease(Duration lease) {
        long ms = Millis.orZero("lease_ms", lease);
        return new BeginOptions(ms, dedupWindowMs, waitMs, onLapse, runDue);
    }

    /**
     * How long the finished record answers duplicates.
     *
     * @param window 1 ms to ten years
     * @return a changed copy
     */
    public BeginOptions dedupWindow(Duration window) {
        long ms = Millis.orZero("dedup_window_ms", window);
        return new BeginOptions(leaseMs, ms, waitMs, onLapse, runDue);
    }

    /**
     * How long to wait for a running attempt; then the answer is {@link Admission.InProgress}.
     *
     * @param wait at most a year; zero: not at all
     * @return a changed copy
     */
    public BeginOptions waitUpTo(Duration wait) {
        long ms = Millis.orZero("wait_ms", wait);
        return new BeginOptions(leaseMs, dedupWindowMs, ms, onLapse, runDue);
    }

    /**
     * What follows when the lease lapses.
     *
     * @param onLapse what to do
     * @return a changed copy
     */
    public BeginOptions onLapse(OnLapse onLapse) {
        Objects.requireNonNull(onLapse, "onLapse");
        return new BeginOptions(leaseMs, dedupWindowMs, waitMs, onLapse.ordinal() + 1, runDue);
    }

    /**
     * Whether an attempt that was put off runs here if its time has come.
     *
     * @param runDue true: here; false: by a worker
     * @return a changed copy
     */
    public BeginOptions runDue(boolean runDue) {
        return new BeginOptions(leaseMs, dedupWindowMs, waitMs, onLapse, runDue);
    }

    /** Whether a call with these options may block, where the engine's options say so. */
    boolean waits(long engineWaitMs) {
        long ms = waitMs == 0 ? engineWaitMs : waitMs;
        return ms != 0 && ms != Millis.ZERO;
    }

    /** The same, with the engine's wait where there is none. */
    BeginOptions withWait(long engineWaitMs) {
        return waitMs == 0
                ? new BeginOptions(leaseMs, dedupWindowMs, engineWaitMs, onLapse, runDue) : this;
    }

    private boolean isDefault() {
        return (leaseMs | dedupWindowMs | waitMs | onLapse) == 0 && !runDue;
    }

    /** Writes {@code oncegate_begin_options}; its address, or none where all is as by default. */
    long write(Frame frame) {
        if (isDefault()) {
            return 0;
        }
        int at = frame.room(Layout.BeginOptions.SIZE);
        var memory = frame.memory;
        memory.putLong(at + Layout.BeginOptions.STRUCT_SIZE, Layout.BeginOptions.SIZE);
        memory.putLong(at + Layout.BeginOptions.LEASE_MS, leaseMs);
        memory.putLong(at + Layout.BeginOptions.DEDUP_WINDOW_MS, dedupWindowMs);
        memory.putLong(at + Layout.BeginOptions.WAIT_MS, waitMs);
        memory.putInt(at + Layout.BeginOptions.ON_LAPSE, onLapse);
        memory.putInt(at + Layout.BeginOptions.RUN_DUE, runDue ? 1 : 0);
        return frame.pointer(at);
    }
}
