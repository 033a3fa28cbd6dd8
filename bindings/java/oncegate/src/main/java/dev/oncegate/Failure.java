package dev.oncegate;

import java.time.Duration;
import java.util.Objects;

/** How an attempt failed, for {@link Lease#fail}. */
public final class Failure {
    final int kind;
    final long delayMs;
    final Outcome outcome;

    private Failure(int kind, long delayMs, Outcome outcome) {
        this.kind = kind;
        this.delayMs = delayMs;
        this.outcome = outcome;
    }

    /**
     * The next attempt may start after a delay.
     *
     * @param delay at most a year; zero: at once
     * @return the failure
     */
    public static Failure retryable(Duration delay) {
        return new Failure(0, Millis.of("delay_ms", delay), null);
    }

    /**
     * It failed for good: duplicates get the outcome.
     *
     * @param outcome what they get
     * @return the failure
     */
    public static Failure terminal(Outcome outcome) {
        return new Failure(1, 0, Objects.requireNonNull(outcome, "outcome"));
    }

    /**
     * Nobody knows whether it took effect: it never runs again until that is resolved.
     *
     * @return the failure
     */
    public static Failure unknown() {
        return new Failure(2, 0, null);
    }
}
