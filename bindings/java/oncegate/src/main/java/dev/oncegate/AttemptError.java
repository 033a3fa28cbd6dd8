package dev.oncegate;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Objects;

/**
 * Why an attempt failed, for {@link Lease#retryLater}.
 *
 * <p>Immutable; each method gives a changed copy.
 */
public final class AttemptError {
    final int kind;
    final byte[] errorClass;
    final RetryHint hint;
    final boolean terminal;
    final Outcome outcome;

    private AttemptError(
            int kind, byte[] errorClass, RetryHint hint, boolean terminal, Outcome outcome) {
        this.kind = kind;
        this.errorClass = errorClass;
        this.hint = hint;
        this.terminal = terminal;
        this.outcome = outcome;
    }

    private static AttemptError of(int kind, String errorClass) {
        byte[] name = errorClass.getBytes(StandardCharsets.UTF_8);
        return new AttemptError(kind, name, RetryHint.none(), false, null);
    }

    /**
     * An error that may pass.
     *
     * @param errorClass what kind of error, for the history; never a payload
     * @return the error
     */
    public static AttemptError transientError(String errorClass) {
        return of(0, errorClass);
    }

    /**
     * The service said that it is asked too often.
     *
     * @param errorClass what kind of error, for the history; never a payload
     * @return the error
     */
    public static AttemptError throttled(String errorClass) {
        return of(1, errorClass);
    }

    /**
     * There was no answer in time, or no connection.
     *
     * @param errorClass what kind of error, for the history; never a payload
     * @return the error
     */
    public static AttemptError timeout(String errorClass) {
        return of(2, errorClass);
    }

    /**
     * What the server said about trying again.
     *
     * @param hint its word
     * @return a changed copy
     */
    public AttemptError hint(RetryHint hint) {
        Objects.requireNonNull(hint, "hint");
        return new AttemptError(kind, errorClass, hint, terminal, outcome);
    }

    /**
     * The server said after how long to try again.
     *
     * @param delay how long
     * @return a changed copy
     */
    public AttemptError hintAfter(Duration delay) {
        return hint(RetryHint.after(delay));
    }

    /**
     * The server said not to try again.
     *
     * @return a changed copy
     */
    public AttemptError refused() {
        return hint(RetryHint.refused());
    }

    /**
     * There is no use in another attempt.
     *
     * @return a changed copy
     */
    public AttemptError terminal() {
        return new AttemptError(kind, errorClass, hint, true, outcome);
    }

    /**
     * What duplicates get, should this have been the last attempt.
     *
     * @param outcome what they get
     * @return a changed copy
     */
    public AttemptError outcome(Outcome outcome) {
        return new AttemptError(kind, errorClass, hint, terminal, outcome);
    }

    /** How large a frame has to be. */
    long bytes() {
        return Outcomes.frameBytes(outcome) + errorClass.length + 8L;
    }

    /** Writes {@code oncegate_attempt_error}; tells its address. */
    long write(Frame frame) {
        int at = frame.zeros(RetryLayout.AttemptError.SIZE);
        var memory = frame.memory;
        memory.putLong(at + RetryLayout.AttemptError.STRUCT_SIZE, RetryLayout.AttemptError.SIZE);
        memory.putInt(at + RetryLayout.AttemptError.KIND, kind);
        memory.putInt(at + RetryLayout.AttemptError.HINT, hint.kind);
        memory.putLong(at + RetryLayout.AttemptError.HINT_AFTER_MS, hint.afterMs);
        frame.bytes(at + RetryLayout.AttemptError.ERROR_CLASS, errorClass);
        memory.putInt(at + RetryLayout.AttemptError.TERMINAL, terminal ? 1 : 0);
        memory.putLong(at + RetryLayout.AttemptError.OUTCOME, Outcomes.pointer(frame, outcome));
        return frame.pointer(at);
    }
}
