package dev.oncegate.spring;

/** A method with {@link Idempotent} failed before, by an exception that is final. */
public final class IdempotentFailureReplayedException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private final String errorClass;

    IdempotentFailureReplayedException(String errorClass) {
        super("the call with this key failed before, by " + errorClass);
        this.errorClass = errorClass;
    }

    /**
     * The class of the exception.
     *
     * @return the name of the class
     */
    public String errorClass() {
        return errorClass;
    }
}
