package dev.oncegate;

/** No room: for a record, a waiter, a process or an engine. */
public final class FullException extends OncegateException {
    private static final long serialVersionUID = 1L;

    FullException(Refusal refusal) {
        super(refusal);
    }
}
