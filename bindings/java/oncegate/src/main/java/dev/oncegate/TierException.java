package dev.oncegate;

/**
 * The store across machines gave no answer, or may not be used: {@link #status} tells which, and
 * {@link #isTransient} whether the same call may work later.
 */
public final class TierException extends OncegateException {
    private static final long serialVersionUID = 1L;

    TierException(Refusal refusal) {
        super(refusal);
    }
}
