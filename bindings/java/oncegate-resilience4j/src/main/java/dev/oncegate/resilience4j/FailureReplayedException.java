package dev.oncegate.resilience4j;

import dev.oncegate.Outcome;

/** The request had failed for good before: nothing ran now. */
public final class FailureReplayedException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private final String errorClass;
    private final transient Outcome outcome;

    FailureReplayedException(String errorClass, Outcome outcome) {
        super("this request failed before, by " + errorClass);
        this.errorClass = errorClass;
        this.outcome = outcome;
    }

    /**
     * The class of the exception that ended it.
     *
     * @return the name of the class
     */
    public String errorClass() {
        return errorClass;
    }

    /**
     * What the record holds.
     *
     * @return the outcome; null after serialization
     */
    public Outcome outcome() {
        return outcome;
    }
}
