package dev.oncegate;

import java.time.Duration;

/** Durations as the library takes them: milliseconds, rounded up. */
final class Millis {
    /** In a field where zero means "as by default": zero itself. */
    static final long ZERO = -1L;

    private Millis() {}

    static long of(String field, Duration duration) {
        if (duration == null) {
            throw Refusal.of(Status.NULL_ARGUMENT, field, "found null; limit: a duration")
                    .exception();
        }
        if (duration.isNegative()) {
            throw Refusal.of(Status.BAD_VALUE, field, "found a negative duration; limit: 0 or more")
                    .exception();
        }
        // No limit of the engine is near: it refuses what this saturates to.
        if (duration.getSeconds() >= Long.MAX_VALUE / 1000 - 1) {
            return Long.MAX_VALUE;
        }
        return duration.getSeconds() * 1000 + (duration.getNano() + 999_999) / 1_000_000;
    }

    /** The same, for a field where zero has to be said. */
    static long orZero(String field, Duration duration) {
        long ms = of(field, duration);
        return ms == 0 ? ZERO : ms;
    }

    /** A count, for a field where zero has to be said. */
    static long count(String field, long count) {
        if (count < 0) {
            throw Refusal.of(Status.BAD_VALUE, field, "found " + count + "; limit: 0 or more")
                    .exception();
        }
        return count == 0 ? ZERO : count;
    }

    static Duration duration(long ms) {
        return ms < 0 ? Duration.ofMillis(Long.MAX_VALUE) : Duration.ofMillis(ms);
    }
}
