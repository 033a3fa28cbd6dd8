package dev.oncegate;

import java.nio.ByteBuffer;

/**
 * Counts of this process since the engine was opened, and levels of the table.
 *
 * @param begun requests that were begun
 * @param created records that were made
 * @param reused requests that met a record
 * @param expired attempts that followed a window that was over, or a lease that had lapsed
 * @param retried attempts that followed a failed one
 * @param replayed duplicates that got the outcome
 * @param inProgress duplicates that met a running attempt
 * @param scheduled duplicates that came before the next attempt was due
 * @param mismatched duplicates with another payload
 * @param unresolved duplicates of a record in doubt
 * @param outcomeGone duplicates of a record whose outcome is gone
 * @param fenced calls that were refused by the fencing token
 * @param lapsed leases that lapsed
 * @param completed attempts that were completed
 * @param evictedExpired records that gave way when their window was over
 * @param evictedEarly records that gave way before
 * @param outcomesEvicted outcomes that gave way to others
 * @param full requests that found no room
 * @param quota requests that a quota refused
 * @param waiters callers that wait
 * @param handOffs attempts that were handed over to a waiter
 * @param liveRunning records that run
 * @param liveWaiting records that wait for their next attempt
 * @param liveSucceeded records that succeeded
 * @param liveFailed records that failed for good
 * @param liveUnknown records in doubt
 * @param retriesScheduled attempts that were put off
 * @param retriesWaiting records that the engine retries now
 * @param retriesReady attempts that are ready for workers
 * @param retriesInFlight attempts that workers run
 * @param deadLetters dead letters that are there
 * @param buried dead letters that were made
 * @param redriven dead letters that were driven again
 * @param discarded dead letters that were discarded
 * @param lettersLost dead letters that found no room
 * @param stuck transitions that stand still
 * @param bytes memory of the table, in bytes
 * @param fill live records as a share of the capacity
 * @param outcomeFill outcomes as a share of their room
 * @param backoffFactor the factor of adaptive backoff; zero: it is off
 * @param begin how long beginning takes
 * @param complete how long completing takes
 * @param dispatchLag how long after they were due attempts are handed out
 */
public record Stats(
        long begun,
        long created,
        long reused,
        long expired,
        long retried,
        long replayed,
        long inProgress,
        long scheduled,
        long mismatched,
        long unresolved,
        long outcomeGone,
        long fenced,
        long lapsed,
        long completed,
        long evictedExpired,
        long evictedEarly,
        long outcomesEvicted,
        long full,
        long quota,
        long waiters,
        long handOffs,
        long liveRunning,
        long liveWaiting,
        long liveSucceeded,
        long liveFailed,
        long liveUnknown,
        long retriesScheduled,
        long retriesWaiting,
        long retriesReady,
        long retriesInFlight,
        long deadLetters,
        long buried,
        long redriven,
        long discarded,
        long lettersLost,
        long stuck,
        long bytes,
        double fill,
        double outcomeFill,
        double backoffFactor,
        Latency begin,
        Latency complete,
        Latency dispatchLag) {

    /**
     * Quantiles of one call in 1,024, in nanoseconds; zero: no sample yet.
     *
     * @param p50Nanos the median
     * @param p99Nanos 99 % of the calls took at most this long
     * @param p999Nanos 99.9 % of the calls took at most this long
     */
    public record Latency(long p50Nanos, long p99Nanos, long p999Nanos) {
        static Latency read(ByteBuffer memory, int at) {
            return new Latency(
                    memory.getLong(at + Layout.Latency.P50_NS),
                    memory.getLong(at + Layout.Latency.P99_NS),
                    memory.getLong(at + Layout.Latency.P999_NS));
        }
    }

    static Stats read(ByteBuffer memory, int at) {
        return new Stats(
                memory.getLong(at + Layout.Stats.BEGUN),
                memory.getLong(at + Layout.Stats.CREATED),
                memory.getLong(at + Layout.Stats.REUSED),
                memory.getLong(at + Layout.Stats.EXPIRED),
                memory.getLong(at + Layout.Stats.RETRIED),
                memory.getLong(at + Layout.Stats.REPLAYED),
                memory.getLong(at + Layout.Stats.IN_PROGRESS),
                memory.getLong(at + Layout.Stats.SCHEDULED),
                memory.getLong(at + Layout.Stats.MISMATCHED),
                memory.getLong(at + Layout.Stats.UNRESOLVED),
                memory.getLong(at + Layout.Stats.OUTCOME_GONE),
                memory.getLong(at + Layout.Stats.FENCED),
                memory.getLong(at + Layout.Stats.LAPSED),
                memory.getLong(at + Layout.Stats.COMPLETED),
                memory.getLong(at + Layout.Stats.EVICTED_EXPIRED),
                memory.getLong(at + Layout.Stats.EVICTED_EARLY),
                memory.getLong(at + Layout.Stats.OUTCOMES_EVICTED),
                memory.getLong(at + Layout.Stats.FULL),
                memory.getLong(at + Layout.Stats.QUOTA),
                memory.getLong(at + Layout.Stats.WAITERS),
                memory.getLong(at + Layout.Stats.HAND_OFFS),
                memory.getLong(at + Layout.Stats.LIVE_RUNNING),
                memory.getLong(at + Layout.Stats.LIVE_WAITING),
                memory.getLong(at + Layout.Stats.LIVE_SUCCEEDED),
                memory.getLong(at + Layout.Stats.LIVE_FAILED),
                memory.getLong(at + Layout.Stats.LIVE_UNKNOWN),
                memory.getLong(at + Layout.Stats.RETRIES_SCHEDULED),
                memory.getLong(at + Layout.Stats.RETRIES_WAITING),
                memory.getLong(at + Layout.Stats.RETRIES_READY),
                memory.getLong(at + Layout.Stats.RETRIES_IN_FLIGHT),
                memory.getLong(at + Layout.Stats.DEAD_LETTERS),
                memory.getLong(at + Layout.Stats.BURIED),
                memory.getLong(at + Layout.Stats.REDRIVEN),
                memory.getLong(at + Layout.Stats.DISCARDED),
                memory.getLong(at + Layout.Stats.LETTERS_LOST),
                memory.getLong(at + Layout.Stats.STUCK),
                memory.getLong(at + Layout.Stats.BYTES),
                memory.getDouble(at + Layout.Stats.FILL),
                memory.getDouble(at + Layout.Stats.OUTCOME_FILL),
                memory.getDouble(at + Layout.Stats.BACKOFF_FACTOR),
                Latency.read(memory, at + Layout.Stats.BEGIN),
                Latency.read(memory, at + Layout.Stats.COMPLETE),
                Latency.read(memory, at + Layout.Stats.DISPATCH_LAG));
    }
}
