package dev.oncegate;

import java.util.HashMap;
import java.util.Map;
import java.util.Objects;

/**
 * Decides by status code, and for exceptions, how an attempt ended.
 *
 * <p>The presets are the published rules of systems that users come from; each may be changed
 * status by status. Immutable; each method gives a changed copy.
 */
public final class OutcomePolicy {
    /** The IETF draft on the header {@code Idempotency-Key}. */
    public static final OutcomePolicy IETF = new OutcomePolicy(0);

    /** Stripe's API v1: every result is replayed once the operation began. */
    public static final OutcomePolicy STRIPE_V1 = new OutcomePolicy(1);

    /** Stripe's API v2: success never repeats, and what failed is driven on. */
    public static final OutcomePolicy STRIPE_V2 = new OutcomePolicy(2);

    /** OASIS Repeatable Requests 1.0. */
    public static final OutcomePolicy OASIS = new OutcomePolicy(3);

    /** The REST catalog of Apache Iceberg. */
    public static final OutcomePolicy ICEBERG = new OutcomePolicy(4);

    private final int preset;
    private final Map<Integer, Judgement> changed;
    private final Judgement onException;

    private OutcomePolicy(int preset) {
        this(preset, Map.of(), Judgement.RETRYABLE);
    }

    private OutcomePolicy(int preset, Map<Integer, Judgement> changed, Judgement onException) {
        this.preset = preset;
        this.changed = changed;
        this.onException = onException;
    }

    /**
     * Judges one status otherwise.
     *
     * @param status 0 to 65,535
     * @param judgement what it means
     * @return a changed copy
     */
    public OutcomePolicy status(int status, Judgement judgement) {
        Map<Integer, Judgement> more = new HashMap<>(changed);
        more.put(status, Objects.requireNonNull(judgement, "judgement"));
        return new OutcomePolicy(preset, Map.copyOf(more), onException);
    }

    /**
     * Judges exceptions. By default the next attempt may start; where an exception does not mean
     * that nothing happened, as after a time-out, say {@link Judgement#UNKNOWN}.
     *
     * @param judgement retryable or unknown; there is no outcome that could be final
     * @return a changed copy
     */
    public OutcomePolicy onException(Judgement judgement) {
        if (judgement == Judgement.FINAL) {
            throw Refusal.of(Status.BAD_VALUE, "judgement",
                    "found FINAL; limit: RETRYABLE or UNKNOWN").exception();
        }
        return new OutcomePolicy(
                preset, changed, Objects.requireNonNull(judgement, "judgement"));
    }

    /**
     * What a status means.
     *
     * @param status 0 to 65,535
     * @return what follows
     */
    public Judgement judge(int status) {
        Judgement own = changed.get(status);
        if (own != null) {
            return own;
        }
        Library.require();
        return Frames.use(Frames.SMALL, frame -> {
            frame.call(Export.JUDGE, preset, status, frame.pointer(Frame.OUT));
            return Judgement.values()[frame.memory.getInt(Frame.OUT) - 1];
        });
    }

    /**
     * What an exception means.
     *
     * @return what follows
     */
    public Judgement judgeException() {
        return onException;
    }
}
