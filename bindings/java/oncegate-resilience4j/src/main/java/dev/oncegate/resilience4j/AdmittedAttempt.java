package dev.oncegate.resilience4j;

import dev.oncegate.FencedException;
import dev.oncegate.Lease;
import dev.oncegate.Outcome;
import dev.oncegate.Steps;
import java.time.Duration;
import java.util.List;

/** The attempt that work runs in. The retry ends it. */
public final class AdmittedAttempt {
    private final Lease lease;
    private final String retry;
    private final int call;

    AdmittedAttempt(Lease lease, String retry, int call) {
        this.lease = lease;
        this.retry = retry;
        this.call = call;
    }

    /**
     * The number of the attempt, over all callers and processes.
     *
     * @return from 1 on
     */
    public int number() {
        return lease.attempt();
    }

    /**
     * How often this caller has asked for an attempt; at most {@code maxAttempts} of the retry.
     *
     * @return from 1 on
     */
    public int call() {
        return call;
    }

    /**
     * Whose attempt it is.
     *
     * @return the name of the retry
     */
    public String retryName() {
        return retry;
    }

    /**
     * For downstream stores, which refuse a token that is lower than one they have seen. A lease is
     * not a lock: only they keep out an attempt that was paused.
     *
     * @return a number that only grows, for this request and for ever
     */
    public long fencingToken() {
        return lease.fencingToken();
    }

    /**
     * Has the lease last for so long from now on. An attempt that takes longer than its lease is
     * followed by another one.
     *
     * @param duration 1 ms to a year
     * @throws FencedException another attempt has taken over: stop, and undo what can be
     */
    public void renew(Duration duration) {
        lease.renew(duration);
    }

    /**
     * The finished steps of the request, which later attempts find.
     *
     * @return a view
     */
    public Steps steps() {
        return lease.steps();
    }

    /**
     * An idempotency key for the one call of this request to a service: the same in every attempt.
     *
     * @param service 1 to 255 bytes in UTF-8
     * @return 43 letters, digits, dashes and underscores
     */
    public String downstreamKey(String service) {
        return lease.downstreamKey(service);
    }

    /**
     * The headers of a call to a service: {@code idempotency-key}, {@code idempotency-attempt} and
     * {@code fencing-token}.
     *
     * @param service 1 to 255 bytes in UTF-8
     * @return names and values
     */
    public List<Outcome.Pair> headers(String service) {
        return lease.attemptHeaders(service);
    }

    @Override
    public String toString() {
        return "AdmittedAttempt[" + retry + ", attempt " + number() + ", call " + call + "]";
    }
}
