package dev.oncegate;

/**
 * The engine failed inside, by a fault of its own. Close it; with a shared table the others go on.
 */
public final class BrokenException extends OncegateException {
    private static final long serialVersionUID = 1L;

    BrokenException(Refusal refusal) {
        super(refusal);
    }
}
