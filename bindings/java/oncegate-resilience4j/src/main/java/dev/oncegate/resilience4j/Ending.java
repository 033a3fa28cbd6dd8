package dev.oncegate.resilience4j;

import dev.oncegate.AttemptError;
import dev.oncegate.Failure;
import dev.oncegate.Lease;
import dev.oncegate.Outcome;
import java.time.Duration;
import java.util.Objects;

/** How a record ends that is not tried again by its retry. */
public final class Ending {
    private static final Ending RELEASED = new Ending(Kind.RELEASED, null, null, null);
    private static final Ending UNKNOWN = new Ending(Kind.UNKNOWN, null, null, null);
    private static final Ending FAILED = new Ending(Kind.FAILED, null, null, null);
    private static final Ending BURIED = new Ending(Kind.BURIED, null, null, new byte[0]);

    /** The longest class of an error in the history of a record. */
    private static final int HISTORY = 32;

    private final Kind kind;
    private final Outcome outcome;
    private final String operation;
    private final byte[] context;

    private enum Kind { RELEASED, UNKNOWN, FAILED, COMPLETED, BURIED }

    private Ending(Kind kind, Outcome outcome, String operation, byte[] context) {
        this.kind = kind;
        this.outcome = outcome;
        this.operation = operation;
        this.context = context;
    }

    /**
     * The next caller may try again, at once.
     *
     * @return the ending
     */
    public static Ending released() {
        return RELEASED;
    }

    /**
     * Nobody knows whether it took effect: it never runs again until that is resolved.
     *
     * @return the ending
     */
    public static Ending unknown() {
        return UNKNOWN;
    }

    /**
     * It failed for good: duplicates get a {@link FailureReplayedException}, or the last result.
     *
     * @return the ending
     */
    public static Ending failed() {
        return FAILED;
    }

    /**
     * It ends with success after all: duplicates get this outcome as a result.
     *
     * @param outcome as the codec would have made it
     * @return the ending
     */
    public static Ending completed(Outcome outcome) {
        Objects.requireNonNull(outcome, "outcome");
        return new Ending(Kind.COMPLETED, outcome, null, null);
    }

    /**
     * It failed for good, and is a dead letter besides, under the operation of the request, which
     * then has at most 255 bytes.
     *
     * @return the ending
     */
    public static Ending buried() {
        return BURIED;
    }

    /**
     * The same, with what a worker needs that gets the attempt when the letter is redriven.
     *
     * @param operation which code runs it, 1 to 255 bytes in UTF-8
     * @param context what that code needs
     * @return the ending
     */
    public static Ending buried(String operation, byte[] context) {
        Objects.requireNonNull(operation, "operation");
        return new Ending(Kind.BURIED, null, operation, context.clone());
    }

    /** Ends an attempt; where there is an outcome to be kept, it is this one. */
    void end(Lease lease, String errorClass, Outcome left, String ownOperation) {
        switch (kind) {
            case RELEASED -> lease.fail(Failure.retryable(Duration.ZERO));
            case UNKNOWN -> lease.fail(Failure.unknown());
            case FAILED -> lease.fail(Failure.terminal(left));
            case COMPLETED -> lease.complete(outcome);
            case BURIED -> lease.retryLater(
                    AttemptError.transientError(inHistory(errorClass)).terminal().outcome(left),
                    operation == null ? ownOperation : operation, context);
            default -> throw new AssertionError(kind);
        }
    }

    /** The last part of a name, as the history of a dead letter takes it: 1 to 32 bytes. */
    private static String inHistory(String errorClass) {
        String name = errorClass.substring(errorClass.lastIndexOf('.') + 1);
        if (name.isEmpty()) {
            return "unwanted result";
        }
        String plain = name.replaceAll("[^A-Za-z0-9_$]", "_");
        return plain.substring(0, Math.min(plain.length(), HISTORY));
    }

    @Override
    public String toString() {
        return "Ending[" + kind + "]";
    }
}
