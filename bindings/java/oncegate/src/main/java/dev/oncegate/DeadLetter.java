package dev.oncegate;

import java.time.Instant;
import java.util.List;
import java.util.Objects;
import java.util.Optional;

/**
 * A record that failed for good, kept until somebody redrives or discards it.
 *
 * @param id by which it is shown, redriven and discarded
 * @param reason why it is not tried again
 * @param attempts how many attempts there were, all told
 * @param leftOut how many of them its history leaves out, between the first and the last
 * @param buried when it failed for good, by the wall clock
 * @param operation what would run it
 * @param context as {@link Lease#retryLater} was given it
 * @param errorClass of the last attempt; empty where it lapsed or told no error
 * @param steps the steps that were finished and not undone
 * @param history what became of its attempts; empty in a listing
 */
public record DeadLetter(
        Id id,
        Buried reason,
        int attempts,
        int leftOut,
        Instant buried,
        String operation,
        byte[] context,
        String errorClass,
        List<String> steps,
        List<Past> history) {

    /**
     * The name of a dead letter, as long as it is one.
     *
     * @param place its place in the table
     * @param generation which of those who took that place one after the other it is
     */
    public record Id(int place, int generation) {
        /** As the command line writes it. */
        @Override
        public String toString() {
            return Integer.toUnsignedString(place) + "-" + Integer.toUnsignedString(generation);
        }
    }

    /** How an attempt ended. The order is the header's. */
    public enum End {
        /** In a way that this version has no name for. */
        OTHER,
        /** It failed, and said so. */
        FAILED,
        /** Its lease lapsed, or its process died. */
        LAPSED,
        /** It was given back without an error. */
        GIVEN_BACK
    }

    /**
     * What became of one attempt.
     *
     * @param fencingToken what it wrote elsewhere carries it
     * @param attempt its number
     * @param began when it was handed out to a worker; empty: it was the first one, or a caller's,
     *     or another process noted its end
     * @param ended when it ended
     * @param end how
     * @param process that ran it, by its number in the table
     * @param errorClass of its error; empty: its holder told none
     */
    public record Past(
            long fencingToken,
            int attempt,
            Optional<Instant> began,
            Instant ended,
            End end,
            int process,
            String errorClass) {}

    /**
     * Which dead letters are meant.
     *
     * <p>Immutable; each method gives a changed copy.
     */
    public static final class Filter {
        private static final Filter ALL = new Filter(0, "", "", 0, 0);

        final int reason;
        final String operation;
        final String errorClass;
        final long sinceMs;
        final long untilMs;

        private Filter(
                int reason, String operation, String errorClass, long sinceMs, long untilMs) {
            this.reason = reason;
            this.operation = Objects.requireNonNull(operation, "operation");
            this.errorClass = Objects.requireNonNull(errorClass, "errorClass");
            this.sinceMs = sinceMs;
            this.untilMs = untilMs;
        }

        /**
         * All of them.
         *
         * @return the filter
         */
        public static Filter all() {
            return ALL;
        }

        /**
         * Those that ended for this reason.
         *
         * @param reason which
         * @return a changed copy
         */
        public Filter reason(Buried reason) {
            return new Filter(reason.ordinal() + 1, operation, errorClass, sinceMs, untilMs);
        }

        /**
         * Those of this operation.
         *
         * @param operation its name
         * @return a changed copy
         */
        public Filter operation(String operation) {
            return new Filter(reason, operation, errorClass, sinceMs, untilMs);
        }

        /**
         * Those whose last attempt ended with an error of this class.
         *
         * @param errorClass its name
         * @return a changed copy
         */
        public Filter errorClass(String errorClass) {
            return new Filter(reason, operation, errorClass, sinceMs, untilMs);
        }

        /**
         * Those that were buried in a span of time.
         *
         * @param from then or later
         * @param before before then
         * @return a changed copy
         */
        public Filter buried(Instant from, Instant before) {
            return new Filter(reason, operation, errorClass,
                    Math.max(from.toEpochMilli(), 0), Math.max(before.toEpochMilli(), 1));
        }
    }
}
