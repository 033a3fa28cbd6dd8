package dev.oncegate.spring;

import dev.oncegate.FencedException;

/**
 * A method with {@link Idempotent} ended after its lease was lost, and another attempt took over:
 * what it left does not count, and may have to be undone.
 */
public final class IdempotentCallFencedException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private final transient Object result;

    IdempotentCallFencedException(FencedException fenced, Object result) {
        super("the call outlived its lease, and another one took over", fenced);
        this.result = result;
    }

    /**
     * What the method left.
     *
     * @return the result; null after serialization
     */
    public Object result() {
        return result;
    }
}
