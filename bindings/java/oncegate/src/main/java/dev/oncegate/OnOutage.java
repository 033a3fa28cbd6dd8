package dev.oncegate;

/** What is done with new requests while the tier gives no answer. The order is the header's. */
public enum OnOutage {
    /** Nothing new is run: a {@link TierException}. */
    REFUSE,
    /**
     * The table of this host alone decides, unless the tier is known to have forgotten records. The
     * same request may then run once on each host; {@link Lease#isLocalOnly} tells.
     */
    LOCAL_ONLY,
    /** The table of this host alone decides. */
    RUN
}
