package dev.oncegate;

/**
 * The file of a shared table cannot be used: made with other options or another secret, not safe,
 * or in use.
 */
public final class TableException extends OncegateException {
    private static final long serialVersionUID = 1L;

    TableException(Refusal refusal) {
        super(refusal);
    }
}
