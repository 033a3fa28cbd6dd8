package dev.oncegate;

/** What happens where there is no room for a dead letter. The order is the header's. */
public enum OnLettersFull {
    /** The oldest dead letter goes for a new one. */
    DROP_OLDEST,
    /** The record fails without a dead letter. */
    REJECT
}
