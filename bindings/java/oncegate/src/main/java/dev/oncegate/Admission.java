package dev.oncegate;

import java.time.Duration;

/** The answer to a request: whether to run it, and if not, why. */
public sealed interface Admission extends Answer {

    @Override
    default Admission orThrow() {
        return this;
    }

    /**
     * Nobody runs it: the caller does, and ends the lease.
     *
     * @param lease the right to run this attempt
     */
    record Admitted(Lease lease) implements Admission {}

    /**
     * It has finished inside its dedup window.
     *
     * @param outcome what the attempt left
     */
    record Replayed(Outcome outcome) implements Admission {}

    /**
     * Another attempt holds the lease.
     *
     * @param attempt the attempt that runs
     * @param remaining how long its lease lasts at most, unless it is renewed
     */
    record InProgress(int attempt, Duration remaining) implements Admission {}

    /**
     * It failed, and its next attempt is not due yet.
     *
     * @param nextAttempt the attempt that is to come
     * @param dueIn how long until it may start
     */
    record Scheduled(int nextAttempt, Duration dueIn) implements Admission {}

    /** The same key came with another payload. */
    record Mismatched() implements Admission {}

    /** Nobody knows whether the last attempt took effect: it never runs until it is resolved. */
    record Unresolved() implements Admission {}

    /** It has finished, but the bytes of its outcome are gone, or were never kept. */
    record OutcomeGone() implements Admission {}
}
