package dev.oncegate;

/**
 * The attempt is no longer the caller's: its lease lapsed and another attempt followed, or it has
 * ended. Never worth a repetition: stop, and undo what can be undone.
 */
public final class FencedException extends OncegateException {
    private static final long serialVersionUID = 1L;

    FencedException(Refusal refusal) {
        super(refusal);
    }
}
