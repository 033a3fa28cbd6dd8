package dev.oncegate;

/**
 * What {@link Engine#run(Request, Work)} runs.
 *
 * @param <X> what it may throw
 */
@FunctionalInterface
public interface Work<X extends Exception> {
    /**
     * Does the work.
     *
     * @param lease to renew it, and to pass its fencing token on; it is ended by the caller
     * @return what it leaves
     * @throws X the work failed
     */
    Outcome run(Lease lease) throws X;
}
