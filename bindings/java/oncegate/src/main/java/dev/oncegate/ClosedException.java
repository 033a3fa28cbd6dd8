package dev.oncegate;

/** The engine was closed, before the call or while it waited. */
public final class ClosedException extends OncegateException {
    private static final long serialVersionUID = 1L;

    ClosedException(Refusal refusal) {
        super(refusal);
    }
}
