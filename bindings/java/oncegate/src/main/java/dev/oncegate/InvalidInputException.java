package dev.oncegate;

/** An argument or an option breaks a rule; {@link #field} names it. */
public final class InvalidInputException extends OncegateException {
    private static final long serialVersionUID = 1L;

    InvalidInputException(Refusal refusal) {
        super(refusal);
    }
}
