package dev.oncegate;

/** A retry budget has too little left; {@link #field} says whose. */
public final class BudgetExhaustedException extends OncegateException {
    private static final long serialVersionUID = 1L;

    BudgetExhaustedException(Refusal refusal) {
        super(refusal);
    }
}
