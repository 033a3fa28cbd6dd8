package dev.oncegate;

/** What a result means for its record. The order is the header's, from 1 on. */
public enum Judgement {
    /** It is stored, and duplicates get it. */
    FINAL,
    /** The attempt had no effect worth keeping; the next one may start. */
    RETRYABLE,
    /** Nobody knows whether the attempt took effect: it never runs again until that is resolved. */
    UNKNOWN
}
