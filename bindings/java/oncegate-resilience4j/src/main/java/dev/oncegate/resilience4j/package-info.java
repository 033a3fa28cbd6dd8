/**
 * Retries of Resilience4j whose attempts never overlap.
 *
 * <p>A {@code Retry} starts attempt n+1 when attempt n has answered, or when something between the
 * two has given up on it: a {@code TimeLimiter} gives up on a future, and the work goes on in its
 * thread. {@link dev.oncegate.resilience4j.AdmittedRetry} asks the engine before each attempt, in
 * the thread that runs it: as long as an earlier attempt works, in this process or elsewhere, the
 * next one waits or is refused, and what the earlier one leaves is the answer.
 *
 * <p>All classes may be used by any thread.
 */
package dev.oncegate.resilience4j;
