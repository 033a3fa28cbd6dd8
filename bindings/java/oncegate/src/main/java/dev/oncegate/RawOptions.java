package dev.oncegate;

/** The options of an engine, into frames. */
final class RawOptions {
    private RawOptions() {}

    /** Roughly how many bytes of a frame they take. */
    static int frameBytes(EngineOptions options) {
        EngineOptions.Builder set = options.set;
        return Frames.SMALL
                + length(set.path) + length(set.secret) + length(set.retiringSecret)
                + 8 * set.fillLevels.length
                + (set.retryPolicy == null ? 0 : (int) set.retryPolicy.bytes())
                + (set.tier == null ? 0 : set.tier.frameBytes());
    }

    private static int length(byte[] bytes) {
        return bytes == null ? 0 : bytes.length + 8;
    }

    /** Writes {@code oncegate_options}; tells where. */
    static int write(Frame frame, EngineOptions options) {
        EngineOptions.Builder set = options.set;
        int at = frame.zeros(Layout.Options.SIZE);
        var memory = frame.memory;
        memory.putLong(at + Layout.Options.STRUCT_SIZE, Layout.Options.SIZE);
        memory.putLong(at + Layout.Options.CAPACITY, set.capacity);
        memory.putLong(at + Layout.Options.OUTCOME_BYTES, set.outcomeBytes);
        memory.putLong(at + Layout.Options.INLINE_OUTCOME, set.inlineOutcome);
        memory.putLong(at + Layout.Options.OUTCOME_LIMIT, set.outcomeLimit);
        memory.putLong(at + Layout.Options.LEASE_MS, set.leaseMs);
        memory.putLong(at + Layout.Options.DEDUP_WINDOW_MS, set.dedupWindowMs);
        memory.putLong(at + Layout.Options.WAIT_MS, set.waitMs);
        memory.putLong(at + Layout.Options.MAX_PROCESSES, set.maxProcesses);
        memory.putLong(at + Layout.Options.MAX_SCOPES, set.maxScopes);
        memory.putLong(at + Layout.Options.MAX_WAITERS, set.maxWaiters);
        memory.putInt(at + Layout.Options.REACH, set.reach);
        memory.putInt(at + Layout.Options.FILE_FLAGS, set.fileFlags);
        frame.bytes(at + Layout.Options.PATH, set.path);
        frame.bytes(at + Layout.Options.SECRET, set.secret);
        frame.bytes(at + Layout.Options.RETIRING_SECRET, set.retiringSecret);
        memory.putInt(at + Layout.Options.FINGERPRINT_MODE, set.fingerprintMode);
        memory.putInt(at + Layout.Options.KEYS, set.keys);
        memory.putLong(at + Layout.Options.KEY_MIN_LEN, set.keyMinLength);
        memory.putLong(at + Layout.Options.KEY_MAX_LEN, set.keyMaxLength);
        memory.putInt(at + Layout.Options.REFUSE_PREDICTABLE_KEYS, set.refusePredictableKeys);
        memory.putInt(at + Layout.Options.CLOCK, set.clock);
        memory.putInt(at + Layout.Options.ON_LAPSE, set.onLapse);
        memory.putInt(at + Layout.Options.ON_FULL, set.onFull);
        set.defaultQuota.write(frame, at + Layout.Options.DEFAULT_QUOTA);
        set.unauthenticatedQuota.write(frame, at + Layout.Options.UNAUTHENTICATED_QUOTA);
        memory.putInt(at + Layout.Options.PREFAULT, set.prefault);
        memory.putInt(at + Layout.Options.TINY, set.tiny);
        if (set.fillLevels.length > 0) {
            int levels = frame.room(8 * set.fillLevels.length);
            for (int i = 0; i < set.fillLevels.length; i++) {
                memory.putDouble(levels + 8 * i, set.fillLevels[i]);
            }
            memory.putLong(at + Layout.Options.FILL_LEVELS, frame.pointer(levels));
            memory.putLong(at + Layout.Options.FILL_LEVEL_COUNT, set.fillLevels.length);
        }
        memory.putLong(at + Layout.Options.TICKER_PERIOD_MS, set.tickerPeriodMs);
        memory.putInt(at + Layout.Options.DRIVER, set.driver);
        memory.putInt(at + Layout.Options.ON_LETTERS_FULL, set.onLettersFull);
        memory.putLong(at + Layout.Options.MAX_IN_FLIGHT, set.maxInFlight);
        memory.putLong(at + Layout.Options.MAX_RETRYING, set.maxRetrying);
        memory.putLong(at + Layout.Options.CONTEXT_LIMIT, set.contextLimit);
        memory.putLong(at + Layout.Options.STEPS_LIMIT, set.stepsLimit);
        memory.putLong(at + Layout.Options.MAX_DEAD_LETTERS, set.maxDeadLetters);
        memory.putLong(at + Layout.Options.JITTER_SEED, set.jitterSeed);
        if (set.retryPolicy != null) {
            memory.putLong(at + Layout.Options.RETRY_POLICY, set.retryPolicy.write(frame));
        }
        if (set.adaptive != null) {
            memory.putLong(at + Layout.Options.ADAPTIVE, set.adaptive.write(frame));
        }
        memory.putInt(at + Layout.Options.RECONCILE, set.reconcile);
        if (set.tier != null) {
            memory.putLong(at + Layout.Options.TIER, set.tier.write(frame));
        }
        return at;
    }
}
