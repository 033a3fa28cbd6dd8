package dev.oncegate;

import java.time.Duration;

/** What came of {@link Lease#retryLater}. */
public sealed interface Later {
    /**
     * A worker gets the next attempt when it is due.
     *
     * @param nextAttempt its number
     * @param dueIn how long until it may start
     */
    record Scheduled(int nextAttempt, Duration dueIn) implements Later {}

    /**
     * There is no next attempt: the record failed for good, and is a dead letter.
     *
     * @param why what ended it
     */
    record Ended(Buried why) implements Later {}
}
