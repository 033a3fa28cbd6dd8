package dev.oncegate;

/** What a full table does with a new record. The order is the header's. */
public enum OnFull {
    /** The finished record that was used least recently makes room. */
    EVICT_LRU,
    /** The new record is refused. */
    REJECT
}
