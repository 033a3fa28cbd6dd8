package dev.oncegate;

import java.util.Optional;

/** What came of {@link Engine#run(Request, Work)}. */
public sealed interface Ran {
    /**
     * What the work left, now or before, if it counts.
     *
     * @return empty where the work did not run, or lost its lease
     */
    default Optional<Outcome> outcome() {
        if (this instanceof Executed executed) {
            return Optional.of(executed.left);
        }
        return this instanceof Replayed replayed ? Optional.of(replayed.left) : Optional.empty();
    }

    /**
     * The work ran now. By the policy its outcome is stored, or it will run again.
     *
     * @param left the outcome
     */
    record Executed(Outcome left) implements Ran {}

    /**
     * The work had run before.
     *
     * @param left the outcome
     */
    record Replayed(Outcome left) implements Ran {}

    /**
     * The work did not run.
     *
     * @param why the answer; neither admitted nor replayed
     */
    record Declined(Admission why) implements Ran {}

    /**
     * The work ran now, and its lease was lost meanwhile: another attempt has taken over, or has
     * ended the record. What the work left is here and nowhere else; it may have to be undone.
     *
     * @param left the outcome
     */
    record Fenced(Outcome left) implements Ran {}
}
