package dev.oncegate;

/** Whether duplicates get the bytes of an outcome. The order is the header's, from 1 on. */
public enum Stored {
    /** They do. */
    WITH_BYTES,
    /** The record is finished, but the bytes were withheld, are over the limit, or found no room. */
    WITHOUT_BYTES,
    /** Those on this host do; the tier hears of it as soon as it can be reached. */
    HERE;

    private static final Stored[] ALL = values();

    static Stored of(int number) {
        return number >= 1 && number <= ALL.length ? ALL[number - 1] : WITHOUT_BYTES;
    }
}
