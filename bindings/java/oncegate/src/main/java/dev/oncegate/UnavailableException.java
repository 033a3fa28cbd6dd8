package dev.oncegate;

/** The operating system, or the moment, does not allow it. */
public final class UnavailableException extends OncegateException {
    private static final long serialVersionUID = 1L;

    UnavailableException(Refusal refusal) {
        super(refusal);
    }
}
