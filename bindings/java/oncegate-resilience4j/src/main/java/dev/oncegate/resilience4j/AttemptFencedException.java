package dev.oncegate.resilience4j;

import dev.oncegate.FencedException;

/**
 * The work ended, and its lease had been lost before: another attempt has taken over. What the work
 * left is here and nowhere else; it may have to be undone. Never repeated: ask again, with the same
 * request, for what counts.
 */
public final class AttemptFencedException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private final transient Object result;

    AttemptFencedException(FencedException fenced, Object result) {
        super("the attempt outlived its lease, and another one took over", fenced);
        this.result = result;
    }

    /**
     * What the work left.
     *
     * @return the result; null after serialization
     */
    public Object result() {
        return result;
    }
}
