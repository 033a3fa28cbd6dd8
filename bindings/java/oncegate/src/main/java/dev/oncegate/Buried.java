package dev.oncegate;

/** Why a record is not tried again. The order is the header's, from 1 on. */
public enum Buried {
    /** As many attempts failed, or lapsed, as the policy allows. */
    ATTEMPTS,
    /** No further attempt fits before the policy's deadline. */
    DEADLINE,
    /** A retry budget was spent. */
    BUDGET,
    /** The error was terminal, or the service said not to retry. */
    FINAL_ERROR,
    /** Its last attempt lapsed, and no limit ended it. */
    LAPSED;

    static Buried of(int number) {
        return values()[number - 1];
    }
}
