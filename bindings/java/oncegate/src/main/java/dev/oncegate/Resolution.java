package dev.oncegate;

import java.util.Objects;

/** What is known of a request of which nobody knew whether it took effect. */
public final class Resolution {
    final int kind;
    final Outcome outcome;

    private Resolution(int kind, Outcome outcome) {
        this.kind = kind;
        this.outcome = outcome;
    }

    /**
     * It took effect: duplicates get the outcome.
     *
     * @param outcome what they get
     * @return the resolution
     */
    public static Resolution succeeded(Outcome outcome) {
        return new Resolution(0, Objects.requireNonNull(outcome, "outcome"));
    }

    /**
     * It failed for good: duplicates get the outcome.
     *
     * @param outcome what they get
     * @return the resolution
     */
    public static Resolution failed(Outcome outcome) {
        return new Resolution(1, Objects.requireNonNull(outcome, "outcome"));
    }

    /**
     * It had no effect: the next attempt may start at once.
     *
     * @return the resolution
     */
    public static Resolution runAgain() {
        return new Resolution(2, null);
    }
}
