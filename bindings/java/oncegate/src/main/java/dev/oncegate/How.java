package dev.oncegate;

/** Why an attempt was admitted. The order is the header's, from 1 on. */
public enum How {
    /** There was no record: the first run. */
    CREATED,
    /** The attempt before failed, or was handed over. */
    RETRIED,
    /** The record's window was over, or the lease before had lapsed. */
    EXPIRED;

    private static final How[] ALL = values();

    static How of(int number) {
        return ALL[Math.min(Math.max(number, 1), ALL.length) - 1];
    }
}
