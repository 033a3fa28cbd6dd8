package dev.oncegate;

import java.time.Duration;
import java.util.Optional;

/**
 * A call into the engine did not work. Subclasses group statuses by what a caller does about them.
 *
 * <p>The message names the field, the reason, the class of what was found, and the limit; never a
 * key, a payload or a secret.
 */
public class OncegateException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    /** The status. */
    private final Status status;

    /** The argument, option or resource. */
    private final String field;

    /** Whether the same call may work later. */
    private final boolean transientError;

    /** How long to wait; zero: not known. */
    private final Duration retryAfter;

    OncegateException(Refusal refusal) {
        super(refusal.message());
        status = refusal.status();
        field = refusal.field();
        transientError = refusal.isTransient();
        retryAfter = refusal.retryAfter();
    }

    /**
     * Why the call did not work.
     *
     * @return the status of the C header
     */
    public Status status() {
        return status;
    }

    /**
     * The argument, option or resource that it is about.
     *
     * @return its name in the C header, empty where it is about none
     */
    public String field() {
        return field;
    }

    /**
     * Whether the same call may work later, without anybody changing anything.
     *
     * @return false where it will not
     */
    public boolean isTransient() {
        return transientError;
    }

    /**
     * How long to wait before the same call may work.
     *
     * @return empty where that is not known
     */
    public Optional<Duration> retryAfter() {
        return retryAfter.isZero() ? Optional.empty() : Optional.of(retryAfter);
    }
}
