package dev.oncegate;

/**
 * Limits of a scope.
 *
 * @param maxLive live records at most; zero: no limit
 * @param ratePerSecond new records a second in the long run; zero: no limit
 * @param burst new records at once, with a rate
 */
public record Quota(long maxLive, double ratePerSecond, int burst) {
    private static final Quota UNLIMITED = new Quota(0, 0, 0);

    /**
     * No limits.
     *
     * @return the quota
     */
    public static Quota unlimited() {
        return UNLIMITED;
    }

    /**
     * A limit of live records.
     *
     * @param records at most so many
     * @return the quota
     */
    public static Quota ofLive(long records) {
        return new Quota(records, 0, 0);
    }

    /**
     * A limit of new records.
     *
     * @param perSecond in the long run
     * @param burst at once
     * @return the quota
     */
    public static Quota ofRate(double perSecond, int burst) {
        return new Quota(0, perSecond, burst);
    }

    void write(Frame frame, int at) {
        frame.memory.putLong(at + Layout.Quota.MAX_LIVE, maxLive);
        frame.memory.putDouble(at + Layout.Quota.RATE_PER_SECOND, ratePerSecond);
        frame.memory.putInt(at + Layout.Quota.BURST, burst);
        frame.memory.putInt(at + Layout.Quota.RESERVED, 0);
    }
}
