package dev.oncegate.resilience4j;

import dev.oncegate.Admission;

/**
 * The engine did not admit an attempt, and there is no result to answer with.
 *
 * <p>That an earlier attempt still runs, or that the next one is not due, is worth a repetition:
 * such a refusal goes to the retry like any exception of the work. The others end the call at once.
 */
public final class AttemptRefusedException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private final transient Admission admission;
    private final boolean worthRepeating;

    AttemptRefusedException(Admission admission) {
        super(text(admission));
        this.admission = admission;
        worthRepeating = admission instanceof Admission.InProgress
                || admission instanceof Admission.Scheduled;
    }

    private static String text(Admission admission) {
        if (admission instanceof Admission.InProgress running) {
            return "attempt " + running.attempt() + " of this request is still running";
        }
        if (admission instanceof Admission.Scheduled scheduled) {
            return "attempt " + scheduled.nextAttempt() + " of this request is not due yet";
        }
        if (admission instanceof Admission.Mismatched) {
            return "this key was used with another payload";
        }
        return admission instanceof Admission.Unresolved
                ? "nobody knows whether this request took effect"
                : "this request has finished, and its result is gone";
    }

    /**
     * What the engine said.
     *
     * @return neither admitted nor replayed; null after serialization
     */
    public Admission admission() {
        return admission;
    }

    /**
     * Whether a later attempt may be admitted, or answered with the result.
     *
     * @return true for {@link Admission.InProgress} and {@link Admission.Scheduled}
     */
    public boolean isWorthRepeating() {
        return worthRepeating;
    }
}
