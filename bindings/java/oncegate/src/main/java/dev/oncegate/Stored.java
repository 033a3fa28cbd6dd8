package dev.oncegate;

/** Whether duplicates get the bytes of an outcome. The order is the header's, from 1 on. */
public enum Stored {
    /** They do. */
    WITH_BYTES,
    /** The record is finished, but the bytes were withheld, are over the limit, or found no room. */
    WITHOUT_BYTES
}
