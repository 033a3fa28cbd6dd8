package dev.oncegate;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;

/** What a server said about trying again. */
public final class RetryHint {
    private static final RetryHint NONE = new RetryHint(0, 0);
    private static final RetryHint REFUSED = new RetryHint(2, 0);

    final int kind;
    final long afterMs;

    private RetryHint(int kind, long afterMs) {
        this.kind = kind;
        this.afterMs = afterMs;
    }

    /**
     * It said nothing.
     *
     * @return the hint
     */
    public static RetryHint none() {
        return NONE;
    }

    /**
     * It said not to.
     *
     * @return the hint
     */
    public static RetryHint refused() {
        return REFUSED;
    }

    /**
     * It said when.
     *
     * @param delay after how long
     * @return the hint
     */
    public static RetryHint after(Duration delay) {
        return new RetryHint(1, Millis.of("hint_after_ms", delay));
    }

    /**
     * What a header {@code Retry-After} says.
     *
     * @param value seconds, or a date
     * @param now the time that a date is compared with
     * @return nothing said, where the value is neither
     */
    public static RetryHint ofRetryAfter(String value, Instant now) {
        Library.require();
        byte[] bytes = value.getBytes(StandardCharsets.UTF_8);
        return Frames.use(Frames.SMALL + bytes.length, frame -> {
            frame.call(Export.HINT_RETRY_AFTER, frame.argument(bytes), now.toEpochMilli(),
                    frame.pointer(Frame.OUT), frame.pointer(Frame.OUT + 8));
            return new RetryHint(
                    frame.memory.getInt(Frame.OUT), frame.memory.getLong(Frame.OUT + 8));
        });
    }

    /**
     * After how long the server said to try again.
     *
     * @return empty where it did not
     */
    public java.util.Optional<Duration> delay() {
        return kind == 1
                ? java.util.Optional.of(Millis.duration(afterMs)) : java.util.Optional.empty();
    }

    /**
     * Whether the server said not to try again.
     *
     * @return true where it did
     */
    public boolean isRefused() {
        return kind == 2;
    }
}
