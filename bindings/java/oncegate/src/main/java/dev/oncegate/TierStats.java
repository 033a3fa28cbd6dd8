package dev.oncegate;

import java.nio.ByteBuffer;
import java.util.Set;

/**
 * What an engine and its tier have done in this process.
 *
 * @param granted claims that were granted
 * @param imported outcomes of other hosts that were stored here
 * @param elsewhere requests that another host ran, or waits to run
 * @param refused requests that were refused for want of an answer
 * @param localOnly attempts that the table of this host alone admitted
 * @param unknown calls of which nobody knows whether they were carried out
 * @param undelivered ends of attempts that wait to be told
 * @param deliveredLate those that were told later
 * @param undeliveredLost those that were lost for want of room
 * @param conflicts attempts that ran here, and that the tier contradicts
 * @param sessionsLost how often the server may have forgotten what it had acknowledged
 * @param breakerOpen whether the breaker refuses calls for a moment
 * @param hazards as they were looked at last: every few seconds from the first request on
 * @param lettersLogged dead letters and conflicts that the server's stream was told of
 * @param lettersWaiting those that wait to be told
 * @param lettersLost those that it is not told of, for want of room
 */
public record TierStats(
        long granted,
        long imported,
        long elsewhere,
        long refused,
        long localOnly,
        long unknown,
        long undelivered,
        long deliveredLate,
        long undeliveredLost,
        long conflicts,
        long sessionsLost,
        boolean breakerOpen,
        Set<Hazard> hazards,
        long lettersLogged,
        long lettersWaiting,
        long lettersLost) {

    static TierStats read(ByteBuffer memory, int at) {
        return new TierStats(
                memory.getLong(at + RetryLayout.TierStats.GRANTED),
                memory.getLong(at + RetryLayout.TierStats.IMPORTED),
                memory.getLong(at + RetryLayout.TierStats.ELSEWHERE),
                memory.getLong(at + RetryLayout.TierStats.REFUSED),
                memory.getLong(at + RetryLayout.TierStats.LOCAL_ONLY),
                memory.getLong(at + RetryLayout.TierStats.UNKNOWN),
                memory.getLong(at + RetryLayout.TierStats.UNDELIVERED),
                memory.getLong(at + RetryLayout.TierStats.DELIVERED_LATE),
                memory.getLong(at + RetryLayout.TierStats.UNDELIVERED_LOST),
                memory.getLong(at + RetryLayout.TierStats.CONFLICTS),
                memory.getLong(at + RetryLayout.TierStats.SESSIONS_LOST),
                memory.getInt(at + RetryLayout.TierStats.BREAKER_OPEN) != 0,
                Hazard.of(memory.getInt(at + RetryLayout.TierStats.HAZARDS)),
                memory.getLong(at + RetryLayout.TierStats.LETTERS_LOGGED),
                memory.getLong(at + RetryLayout.TierStats.LETTERS_WAITING),
                memory.getLong(at + RetryLayout.TierStats.LETTERS_LOST));
    }
}
