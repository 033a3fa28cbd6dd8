package dev.oncegate.resilience4j;

import dev.oncegate.Admission;
import dev.oncegate.How;

/** What the engine did for a retry, for its event consumers. No event holds a key or a payload. */
public sealed interface AttemptEvent {
    /**
     * Which retry it is about.
     *
     * @return its name
     */
    String retryName();

    /**
     * How often the caller had asked.
     *
     * @return from 1 on
     */
    int call();

    /**
     * An attempt was admitted, and begins.
     *
     * @param retryName the retry
     * @param call how often the caller had asked
     * @param attempt the number of the attempt, over all callers
     * @param fencingToken its fencing token
     * @param how why it was admitted
     */
    record Admitted(String retryName, int call, int attempt, long fencingToken, How how)
            implements AttemptEvent {}

    /**
     * A finished record answered; nothing ran.
     *
     * @param retryName the retry
     * @param call how often the caller had asked
     * @param failed whether what it told was a failure
     */
    record Replayed(String retryName, int call, boolean failed) implements AttemptEvent {}

    /**
     * The attempt was not admitted.
     *
     * @param retryName the retry
     * @param call how often the caller had asked
     * @param why what the engine said
     */
    record Refused(String retryName, int call, Admission why) implements AttemptEvent {}

    /**
     * An attempt succeeded, and its result counts.
     *
     * @param retryName the retry
     * @param call how often the caller had asked
     * @param attempt the number of the attempt
     * @param kept whether duplicates get the result
     */
    record Completed(String retryName, int call, int attempt, boolean kept)
            implements AttemptEvent {}

    /**
     * An attempt failed, and the next one may start.
     *
     * @param retryName the retry
     * @param call how often the caller had asked
     * @param attempt the number of the attempt
     * @param errorClass the class of the exception; empty: a result that is to be retried
     */
    record Failed(String retryName, int call, int attempt, String errorClass)
            implements AttemptEvent {}

    /**
     * An attempt failed, and the retry does not try again.
     *
     * @param retryName the retry
     * @param call how often the caller had asked
     * @param attempt the number of the attempt
     * @param errorClass the class of the exception; empty: a result that is to be retried
     * @param ending how the record ended
     */
    record Ended(String retryName, int call, int attempt, String errorClass, Ending ending)
            implements AttemptEvent {}

    /**
     * An attempt ended after another one had taken over: what it left does not count.
     *
     * @param retryName the retry
     * @param call how often the caller had asked
     * @param attempt the number of the attempt
     */
    record Fenced(String retryName, int call, int attempt) implements AttemptEvent {}
}
