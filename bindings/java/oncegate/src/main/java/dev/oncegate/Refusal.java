package dev.oncegate;

import java.time.Duration;

/** What a refused call told. */
record Refusal(
        Status status, String field, String message, boolean isTransient, Duration retryAfter) {

    /** A refusal of this side of the boundary: the field, what was found, and the limit. */
    static Refusal of(Status status, String field, String detail) {
        return new Refusal(status, field, field + ": " + detail, false, Duration.ZERO);
    }

    /** A refusal of which the status is known. */
    static Refusal of(Status status) {
        return new Refusal(status, "", status.text(), status.isTransient(), Duration.ZERO);
    }

    /** That of an {@code oncegate_admission} of a batch or of a set of waits. */
    static Refusal of(Frame frame, int admission) {
        Status status = Status.of(frame.memory.getInt(admission + Layout.Admission.STATUS));
        Duration after =
                Millis.duration(frame.memory.getLong(admission + Layout.Admission.TIME_MS));
        Refusal known = of(status);
        return switch (status) {
            // They are about nothing else.
            case TIER_UNAVAILABLE, TIER_UNSAFE -> new Refusal(status, "tier",
                    "tier: " + known.message(), known.isTransient(), after);
            default -> new Refusal(status, "", known.message(), known.isTransient(), after);
        };
    }

    OncegateException exception() {
        return status.exception(this);
    }
}
