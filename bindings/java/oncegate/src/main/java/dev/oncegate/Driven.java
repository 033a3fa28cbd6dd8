package dev.oncegate;

import java.time.Duration;
import java.util.Optional;

/**
 * What {@link Engine#advance} did.
 *
 * @param lookedAt records that were looked at
 * @param ready attempts that are ready for workers now
 * @param dueIn how long until the next one is due; empty: nothing is
 * @param more whether there is more to do at once
 */
public record Driven(long lookedAt, long ready, Optional<Duration> dueIn, boolean more) {}
