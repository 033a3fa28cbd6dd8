package dev.oncegate;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.function.Function;

/**
 * Whether a call into the engine worked, and why not: the one table of numbers and exceptions.
 *
 * <p>Numbers are those of the C header, and never used again for something else.
 */
public enum Status {
    /** The idempotency key breaks a rule. */
    INVALID_KEY(1, InvalidInputException::new),
    /** The scope breaks a rule. */
    INVALID_SCOPE(2, InvalidInputException::new),
    /** The operation breaks a rule. */
    INVALID_OPERATION(3, InvalidInputException::new),
    /** The payload cannot be digested. */
    INVALID_PAYLOAD(4, InvalidInputException::new),
    /** The configuration is refused. */
    INVALID_CONFIG(5, InvalidInputException::new),
    /** The option is refused. */
    INVALID_OPTION(6, InvalidInputException::new),
    /** The fencing token is stale: a newer attempt holds the record, or this one has ended. */
    FENCED(7, FencedException::new),
    /** No room for a new record. */
    FULL(8, FullException::new),
    /** The quota of this scope is used up. */
    QUOTA_EXCEEDED(9, QuotaExceededException::new),
    /** The engine belongs to the parent of this fork. */
    FORKED(10, UnavailableException::new),
    /** Too many callers are waiting. */
    TOO_MANY_WAITERS(11, FullException::new),
    /** The memory for the table was refused. */
    NO_MEMORY(12, UnavailableException::new),
    /** The operating system gave no randomness. */
    NO_ENTROPY(13, UnavailableException::new),
    /** No such record in a state that this call applies to. */
    NOT_FOUND(14, NotFoundException::new),
    /** The outcome breaks a rule. */
    INVALID_OUTCOME(15, InvalidInputException::new),
    /** The lease is malformed. */
    INVALID_TOKEN(16, InvalidInputException::new),
    /** The rotation of the secret cannot take this step yet. */
    ROTATION_PENDING(17, UnavailableException::new),
    /** A counter that may never wrap came to its end. */
    EXHAUSTED(18, UnavailableException::new),
    /** The table was made with other options. */
    REGION_MISMATCH(19, TableException::new),
    /** The table belongs to another secret. */
    WRONG_SECRET(20, TableException::new),
    /** The file is not safe to share a table in. */
    FILE_REFUSED(21, TableException::new),
    /** The file is no table that can be used. */
    REGION_INVALID(22, TableException::new),
    /** No entry is left for one more process. */
    REGISTRY_FULL(23, FullException::new),
    /** The operating system refused. */
    OS(24, UnavailableException::new),
    /** Not on this operating system, or not in this version of the library. */
    UNSUPPORTED(25, UnavailableException::new),
    /** Processes use the table, or it is being removed. */
    REGION_IN_USE(26, TableException::new),
    /** A retry budget has too little left. */
    BUDGET_EXHAUSTED(27, BudgetExhaustedException::new),
    /** The store across machines gave no answer, or may have forgotten records. */
    TIER_UNAVAILABLE(28, TierException::new),
    /** The store across machines endangers what is promised, or refuses this user. */
    TIER_UNSAFE(29, TierException::new),
    /** A reference that may not be null is. */
    NULL_ARGUMENT(101, InvalidInputException::new),
    /** A size, a length or a count is out of its range. */
    BAD_SIZE(102, InvalidInputException::new),
    /** The engine was closed. */
    BAD_HANDLE(103, ClosedException::new),
    /** Not one of the values that there are. */
    BAD_VALUE(104, InvalidInputException::new),
    /** Bytes that have to be UTF-8 are not. */
    NOT_UTF8(105, InvalidInputException::new),
    /** The buffer is too small; calls are made again with a larger one, so that nobody sees it. */
    BUFFER_TOO_SMALL(106, InvalidInputException::new),
    /** The engine was closed while this call waited. */
    CLOSED(107, ClosedException::new),
    /** The engine failed inside; close it. */
    PANICKED(108, BrokenException::new),
    /** An earlier call on the engine failed inside; close it. */
    POISONED(109, BrokenException::new),
    /** This process holds as many engines as it may. */
    TOO_MANY_HANDLES(110, FullException::new);

    private static final int TRANSIENT = Frame.OUT;
    private static final int TEXT = Frame.OUT + 8;
    private static final Map<Integer, Status> BY_NUMBER = new HashMap<>();

    static {
        Arrays.stream(values()).forEach(status -> BY_NUMBER.put(status.number, status));
    }

    private final int number;
    private final Function<Refusal, OncegateException> exception;

    Status(int number, Function<Refusal, OncegateException> exception) {
        this.number = number;
        this.exception = exception;
    }

    /**
     * The number in the C header.
     *
     * @return 1 to 99 for errors of the engine, above for those of the boundary
     */
    public int number() {
        return number;
    }

    /**
     * What it means, for people.
     *
     * @return the text of the engine's own table
     */
    public String text() {
        return described(frame -> {
            long data = frame.memory.getLong(TEXT + Layout.Bytes.DATA);
            int length = (int) frame.memory.getLong(TEXT + Layout.Bytes.LEN);
            return new String(Library.BINDING.read(data, length), StandardCharsets.UTF_8);
        });
    }

    /**
     * Whether the same call may work later, without anybody changing anything.
     *
     * @return false where it will not
     */
    public boolean isTransient() {
        return described(frame -> frame.memory.getInt(TRANSIENT) != 0);
    }

    private <T> T described(Function<Frame, T> read) {
        Library.require();
        return Frames.use(Frames.SMALL, frame -> {
            frame.call(Export.STATUS_DESCRIBE,
                    number, 0, frame.pointer(TEXT), frame.pointer(TRANSIENT));
            return read.apply(frame);
        });
    }

    /** The status of a number; one that this version does not know is an unsupported one. */
    static Status of(int number) {
        return BY_NUMBER.getOrDefault(number, UNSUPPORTED);
    }

    OncegateException exception(Refusal refusal) {
        return exception.apply(refusal);
    }
}
