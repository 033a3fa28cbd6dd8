package dev.oncegate;

import java.util.Collections;
import java.util.EnumSet;
import java.util.Set;

/** What about the server endangers what a tier promises. The order is that of the header's bits. */
public enum Hazard {
    /** It may evict records before their time is over. */
    EVICTS,
    /** It is almost full, and will refuse what is new. */
    ALMOST_FULL,
    /** A restart of it forgets records. */
    NOT_PERSISTENT,
    /** Its clock is behind the fencing tokens that it gave. */
    CLOCK_BEHIND,
    /** Something that this version has no name for. */
    OTHER;

    static Set<Hazard> of(int bits) {
        EnumSet<Hazard> hazards = EnumSet.noneOf(Hazard.class);
        for (Hazard hazard : values()) {
            if (hazard != OTHER && (bits >> hazard.ordinal() & 1) != 0) {
                hazards.add(hazard);
            }
        }
        if (bits >> OTHER.ordinal() != 0) {
            hazards.add(OTHER);
        }
        return Collections.unmodifiableSet(hazards);
    }
}
