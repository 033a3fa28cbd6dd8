package dev.oncegate.resilience4j;

/**
 * What one attempt does.
 *
 * @param <T> what it leaves: a result, or the stage of one
 */
@FunctionalInterface
public interface AttemptWork<T> {
    /**
     * Does the work. It has to have ended when this returns, or when the stage that it returns is
     * done: then the next attempt may start.
     *
     * @param attempt which attempt it is
     * @return what it leaves
     * @throws Exception the attempt failed
     */
    T run(AdmittedAttempt attempt) throws Exception;
}
