package dev.oncegate;

/** Why a vector does not hold. */
final class VectorFailure extends RuntimeException {
    private static final long serialVersionUID = 1;

    VectorFailure(String why) {
        super(why);
    }

    VectorFailure(String where, VectorFailure cause) {
        super(where + ": " + cause.getMessage(), cause);
    }
}
