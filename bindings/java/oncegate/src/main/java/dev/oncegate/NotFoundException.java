package dev.oncegate;

/** No such record, dead letter or wait, or it is in another state. */
public final class NotFoundException extends OncegateException {
    private static final long serialVersionUID = 1L;

    NotFoundException(Refusal refusal) {
        super(refusal);
    }
}
