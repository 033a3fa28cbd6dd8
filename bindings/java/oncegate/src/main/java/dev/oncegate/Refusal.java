package dev.oncegate;

import java.time.Duration;

/** What a refused call told. */
record Refusal(
        Status status, String field, String message, boolean isTransient, Duration retryAfter) {

    /** A refusal of this side of the boundary: the field, what was found, and the limit. */
    static Refusal of(Status status, String field, String detail) {
        return new Refusal(status, field, field + ": " + detail, false, Duration.ZERO);
    }

    /** The refusal of an element of a batch, of which the status is known. */
    static Refusal of(Status status) {
        return new Refusal(status, "", status.text(), status.isTransient(), Duration.ZERO);
    }

    OncegateException exception() {
        return status.exception(this);
    }
}
