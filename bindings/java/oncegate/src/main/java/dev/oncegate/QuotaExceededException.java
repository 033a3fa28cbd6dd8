package dev.oncegate;

/** The quota of the request's scope is used up; other scopes are not affected. */
public final class QuotaExceededException extends OncegateException {
    private static final long serialVersionUID = 1L;

    QuotaExceededException(Refusal refusal) {
        super(refusal);
    }
}
