package dev.oncegate;

/** What follows when a lease lapses before its attempt ended. The order is the header's. */
public enum OnLapse {
    /** The next attempt follows. */
    RECLAIM,
    /** Nobody runs again until the record is resolved. */
    UNKNOWN,
    /** The record has failed for good. */
    FAILED
}
