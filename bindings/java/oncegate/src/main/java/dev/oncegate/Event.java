package dev.oncegate;

import java.time.Duration;

/**
 * Something that the engine noticed by itself.
 *
 * @param kind what it is
 * @param process the process that began what is stuck, by its number in the table; zero: none
 * @param level the level that was reached, as a share of the capacity
 * @param fill the live records, as a share of the capacity
 * @param slot the slot of the table that is stuck
 * @param stands for how long at least it has been
 * @param text the event as a line for a log
 */
public record Event(
        Kind kind, int process, double level, double fill, long slot, Duration stands, String text) {

    /** Kinds of events. The order is the header's. */
    public enum Kind {
        /** One that this version does not know. */
        OTHER,
        /** The live records reached one of the levels that were asked for. */
        FILL,
        /** A record stands in the middle of a transition for longer than any step takes. */
        STUCK
    }
}
