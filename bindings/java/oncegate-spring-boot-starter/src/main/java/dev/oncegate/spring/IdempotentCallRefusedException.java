package dev.oncegate.spring;

import dev.oncegate.Admission;

/** A method with {@link Idempotent} did not run, and there is no result to answer with. */
public final class IdempotentCallRefusedException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private final transient Admission admission;

    IdempotentCallRefusedException(Admission admission) {
        super(text(admission));
        this.admission = admission;
    }

    private static String text(Admission admission) {
        if (admission instanceof Admission.InProgress) {
            return "a call with this key is still running";
        }
        if (admission instanceof Admission.Scheduled) {
            return "a call with this key waits for its next attempt";
        }
        if (admission instanceof Admission.Mismatched) {
            return "this key was used with another payload";
        }
        return admission instanceof Admission.Unresolved
                ? "nobody knows whether the call with this key took effect"
                : "the call with this key has finished, and its result was not kept";
    }

    /**
     * What the engine said.
     *
     * @return neither admitted nor replayed; null after serialization
     */
    public Admission admission() {
        return admission;
    }
}
