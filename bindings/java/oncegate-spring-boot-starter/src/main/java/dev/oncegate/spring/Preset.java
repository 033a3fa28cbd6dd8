package dev.oncegate.spring;

import dev.oncegate.OutcomePolicy;

/** Published rules by which responses are final. */
public enum Preset {
    /** The IETF draft on the header {@code Idempotency-Key}. */
    IETF(OutcomePolicy.IETF),
    /** Stripe's API v1: every result is replayed once the operation began. */
    STRIPE_V1(OutcomePolicy.STRIPE_V1),
    /** Stripe's API v2: success never repeats, and what failed is driven on. */
    STRIPE_V2(OutcomePolicy.STRIPE_V2),
    /** OASIS Repeatable Requests 1.0. */
    OASIS(OutcomePolicy.OASIS),
    /** The REST catalog of Apache Iceberg. */
    ICEBERG(OutcomePolicy.ICEBERG);

    final OutcomePolicy policy;

    Preset(OutcomePolicy policy) {
        this.policy = policy;
    }
}
