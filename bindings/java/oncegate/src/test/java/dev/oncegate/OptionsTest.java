package dev.oncegate;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.lang.reflect.Field;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;

/** Options, policies and budgets, as they are written for the library. */
class OptionsTest {
    private final Frame frame = new Frame(Frames.SMALL, Library.BINDING);

    private static Duration ms(long ms) {
        return Duration.ofMillis(ms);
    }

    /** What is written in a structure: each field that is not zero, by its name. */
    private Map<String, Number> written(Class<?> structure, int at, String... doubles)
            throws Exception {
        TreeMap<Integer, String> fields = new TreeMap<>();
        for (Field field : structure.getDeclaredFields()) {
            fields.put(field.getInt(null), field.getName());
        }
        Map<String, Number> values = new HashMap<>();
        for (Map.Entry<Integer, String> field : fields.headMap(fields.lastKey()).entrySet()) {
            int place = at + field.getKey();
            int size = fields.higherKey(field.getKey()) - field.getKey();
            long bits = size == 4 ? frame.memory.getInt(place) : frame.memory.getLong(place);
            if (bits == 0) {
                continue;
            }
            boolean isDouble = java.util.Arrays.asList(doubles).contains(field.getValue());
            // Bytes begin with a pointer: how many there are is what can be compared.
            values.put(field.getValue(), isDouble ? (Number) Double.longBitsToDouble(bits)
                    : size == 16 ? frame.memory.getLong(place + 8) : bits);
        }
        return values;
    }

    private int offset(long pointer) {
        return Math.toIntExact(pointer - frame.address);
    }

    private static Map<String, Number> map(Object... namesAndValues) {
        Map<String, Number> map = new HashMap<>();
        for (int i = 0; i < namesAndValues.length; i += 2) {
            Number value = (Number) namesAndValues[i + 1];
            map.put((String) namesAndValues[i],
                    value instanceof Integer ? (Number) value.longValue() : value);
        }
        return map;
    }

    /**
     * Goal: each option of an engine reaches the field that is meant.
     * Method: a value of its own for each; all fields of the structure that are not zero.
     */
    @Test
    void optionsReachTheirFields() throws Exception {
        EngineOptions options = EngineOptions.builder()
                .capacity(1).outcomeBytes(2).inlineOutcome(3).outcomeLimit(4).lease(ms(5))
                .dedupWindow(ms(6)).waitUpTo(ms(7)).maxProcesses(8).maxScopes(9).maxWaiters(10)
                .file(Path.of("/a/path"), FileFlag.SYMLINK, FileFlag.GROUP)
                .secret(new byte[12]).retiringSecret(new byte[13])
                .fingerprintMode(EngineOptions.FingerprintMode.FAST_TRUSTED)
                .keys(EngineOptions.Keys.UUID).keyLength(14, 15).refusePredictableKeys(true)
                .clock(EngineOptions.Clock.MANUAL).onLapse(OnLapse.FAILED).onFull(OnFull.REJECT)
                .prefault(true).tiny().fillLevels(0.25, 0.5).ticker(ms(16)).driver(true)
                .onLettersFull(OnLettersFull.REJECT).maxInFlight(17).maxRetrying(18)
                .contextLimit(19).stepsLimit(20).maxDeadLetters(21).jitterSeed(22).reconcile(true)
                .build();
        int at = RawOptions.write(frame, options);
        Map<String, Number> written = written(Layout.Options.class, at);
        int levels = offset(written.remove("FILL_LEVELS").longValue());
        assertEquals(0.25, frame.memory.getDouble(levels));
        assertEquals(0.5, frame.memory.getDouble(levels + 8));
        assertEquals(map("STRUCT_SIZE", Layout.Options.SIZE, "CAPACITY", 1, "OUTCOME_BYTES", 2,
                "INLINE_OUTCOME", 3, "OUTCOME_LIMIT", 4, "LEASE_MS", 5, "DEDUP_WINDOW_MS", 6,
                "WAIT_MS", 7, "MAX_PROCESSES", 8, "MAX_SCOPES", 9, "MAX_WAITERS", 10, "REACH", 2,
                "FILE_FLAGS", 5, "PATH", 7, "SECRET", 12, "RETIRING_SECRET", 13,
                "FINGERPRINT_MODE", 1, "KEYS", 4, "KEY_MIN_LEN", 14, "KEY_MAX_LEN", 15,
                "REFUSE_PREDICTABLE_KEYS", 1, "CLOCK", 2, "ON_LAPSE", 3, "ON_FULL", 1,
                "PREFAULT", 1, "TINY", 1, "FILL_LEVEL_COUNT", 2, "TICKER_PERIOD_MS", 16,
                "DRIVER", 1, "ON_LETTERS_FULL", 1, "MAX_IN_FLIGHT", 17, "MAX_RETRYING", 18,
                "CONTEXT_LIMIT", 19, "STEPS_LIMIT", 20, "MAX_DEAD_LETTERS", 21,
                "JITTER_SEED", 22, "RECONCILE", 1), written);
    }

    /**
     * Goal: quotas reach their fields, and zero where it is said is not taken for a default.
     * Method: both quotas; limits of zero.
     */
    @Test
    void quotasAndZerosReachTheirFields() throws Exception {
        EngineOptions options = EngineOptions.builder()
                .defaultQuota(new Quota(31, 0.5, 32)).unauthenticatedQuota(Quota.ofLive(33))
                .waitUpTo(Duration.ZERO).outcomeBytes(0).jitterSeed(0).build();
        int at = RawOptions.write(frame, options);
        assertEquals(map("MAX_LIVE", 31, "RATE_PER_SECOND", 0.5, "BURST", 32),
                written(Layout.Quota.class, at + Layout.Options.DEFAULT_QUOTA,
                        "RATE_PER_SECOND"));
        assertEquals(map("MAX_LIVE", 33),
                written(Layout.Quota.class, at + Layout.Options.UNAUTHENTICATED_QUOTA));
        for (int field : new int[] {Layout.Options.WAIT_MS, Layout.Options.OUTCOME_BYTES,
                Layout.Options.JITTER_SEED}) {
            assertEquals(-1, frame.memory.getLong(at + field));
        }
        assertThrows(InvalidInputException.class, () -> EngineOptions.builder().capacity(-1));
    }

    /**
     * Goal: each part of a policy reaches the field that is meant, with those of adaptive backoff.
     * Method: as for options.
     */
    @Test
    void policiesReachTheirFields() throws Exception {
        RetryPolicy policy = RetryPolicy.exponential(ms(1)).multiplier(3).ceiling(ms(4))
                .proportionalJitter(0.5).maxAttempts(6).deadline(ms(7)).expected(ms(8))
                .attemptTimeout(ms(9)).hintBounds(ms(10), ms(11)).hintBeyondDrawn(ms(12));
        assertEquals(map("STRUCT_SIZE", RetryLayout.RetryPolicy.SIZE, "JITTER", 4,
                "MAX_ATTEMPTS", 6, "MULTIPLIER", 3.0, "JITTER_SHARE", 0.5, "INITIAL_MS", 1,
                "MAX_MS", 4, "DEADLINE_MS", 7, "EXPECTED_MS", 8, "ATTEMPT_TIMEOUT_MS", 9,
                "HINT_MIN_MS", 10, "HINT_MAX_MS", 11, "HINT_BEYOND_DRAWN_MS", 12),
                written(RetryLayout.RetryPolicy.class, offset(policy.write(frame)),
                        "MULTIPLIER", "JITTER_SHARE"));
        Map<String, Number> listed = written(RetryLayout.RetryPolicy.class,
                offset(RetryPolicy.delays(ms(5), ms(0)).ignoreHints().write(frame)));
        int delays = offset(listed.remove("DELAYS_MS").longValue());
        assertArrayEquals(new long[] {5, 0}, new long[] {
                frame.memory.getLong(delays), frame.memory.getLong(delays + 8)});
        assertEquals(map("STRUCT_SIZE", RetryLayout.RetryPolicy.SIZE, "BACKOFF", 3,
                "DELAY_COUNT", 2, "IGNORE_HINTS", 1), listed);

        Adaptive adaptive = Adaptive.defaults().lagTarget(ms(1)).workTargets(2, 3).loadTarget(0.4)
                .pace(ms(5), ms(6)).steps(0.7, 0.8).bounds(9, 10, 11, 12);
        assertEquals(map("STRUCT_SIZE", RetryLayout.Adaptive.SIZE, "LAG_TARGET_MS", 1,
                "READY_TARGET", 2, "IN_FLIGHT_TARGET", 3, "LOAD_TARGET", 0.4, "INTERVAL_MS", 5,
                "QUIET_MS", 6, "DECREASE", 0.7, "INCREASE", 0.8, "MAX_FACTOR", 9.0,
                "MAX_BASE", 10.0, "MAX_CEILING", 11.0, "MAX_WIDTH", 12.0),
                written(RetryLayout.Adaptive.class, offset(adaptive.write(frame)), "LOAD_TARGET",
                        "DECREASE", "INCREASE", "MAX_FACTOR", "MAX_BASE", "MAX_CEILING",
                        "MAX_WIDTH"));
    }

    /**
     * Goal: each option of a tier reaches the field that is meant.
     * Method: as for options; zeros that are said.
     */
    @Test
    void tiersReachTheirFields() throws Exception {
        TierOptions tier = TierOptions.redis("redis://h").prefix("12").encryptionKey(new byte[3])
                .retiringKey(new byte[4]).deadline(ms(5)).latencyObjective(ms(6))
                .leaseSlice(ms(7)).margin(ms(8)).pollEvery(ms(9)).quarantine(ms(10))
                .undelivered(11).onOutage(OnOutage.RUN).allowEviction(true).cluster(true)
                .tlsRoot(new byte[12]).tlsClient(new byte[13], new byte[14])
                .sentinels("fifteen letters", List.of("1234567", "90123456"))
                .waitReplicas(17, ms(18)).outcomeLimit(19).compressFrom(20).deadLetters(21);
        EngineOptions options = EngineOptions.builder().tier(tier).build();
        int at = RawOptions.write(frame, options);
        assertEquals(map("STRUCT_SIZE", RetryLayout.TierOptions.SIZE, "URL", 9, "PREFIX", 2,
                "ENCRYPTION_KEY", 3, "RETIRING_KEY", 4, "DEADLINE_MS", 5,
                "LATENCY_OBJECTIVE_MS", 6, "LEASE_SLICE_MS", 7, "MARGIN_MS", 8,
                "POLL_EVERY_MS", 9, "QUARANTINE_MS", 10, "UNDELIVERED", 11, "ON_OUTAGE", 2,
                "ALLOW_EVICTION", 1, "TLS_ROOT", 12, "TLS_CERTIFICATE", 13, "TLS_KEY", 14,
                "CLUSTER", 1, "SENTINEL_NAME", 15, "SENTINELS", 16, "WAIT_REPLICAS", 17,
                "WAIT_REPLICAS_MS", 18, "OUTCOME_LIMIT", 19, "COMPRESS_FROM", 20,
                "DEAD_LETTERS", 21),
                written(RetryLayout.TierOptions.class,
                        offset(frame.memory.getLong(at + Layout.Options.TIER))));
        TierOptions zeros = TierOptions.redis("redis://h").margin(ms(0)).undelivered(0);
        assertEquals(map("STRUCT_SIZE", RetryLayout.TierOptions.SIZE, "URL", 9, "MARGIN_MS", -1,
                "UNDELIVERED", -1),
                written(RetryLayout.TierOptions.class, offset(zeros.write(frame))));
    }

    /**
     * Goal: each part of a budget reaches the field that is meant.
     * Method: as for options, for each kind.
     */
    @Test
    void budgetsReachTheirFields() throws Exception {
        RetryBudget bucket = RetryBudget.bucket(RetryBudget.Bucket.AWS_STANDARD).named("name")
                .capacity(1.5).costs(2.5, 3.5, 4.5).charge(RetryBudget.Charge.FAILURE)
                .refundsCost(true).threshold(5.5).refill(6.5, 7.5);
        String[] doubles = {"CAPACITY", "COST_TRANSIENT", "COST_THROTTLED", "COST_TIMEOUT",
            "THRESHOLD", "SUCCESS", "REFILL_PER_SECOND", "RATIO", "SHARE"};
        assertEquals(map("STRUCT_SIZE", RetryLayout.Budget.SIZE, "PRESET", 2, "NAME", 4,
                "CAPACITY", 1.5, "COST_TRANSIENT", 2.5, "COST_THROTTLED", 3.5,
                "COST_TIMEOUT", 4.5, "CHARGE", 2, "REFUND_COST", 1, "THRESHOLD", 5.5,
                "SUCCESS", 6.5, "REFILL_PER_SECOND", 7.5),
                written(RetryLayout.Budget.class, offset(bucket.write(frame)), doubles));
        RetryBudget ratio = RetryBudget.ratio().ratio(0.5, 2).window(ms(3), 4);
        assertEquals(map("STRUCT_SIZE", RetryLayout.Budget.SIZE, "KIND", 1, "RATIO", 0.5,
                "MIN_PER_SECOND", 2, "TTL_MS", 3, "SLICES", 4),
                written(RetryLayout.Budget.class, offset(ratio.write(frame)), doubles));
        RetryBudget concurrency = RetryBudget.concurrency().share(0.5, 0);
        assertEquals(map("STRUCT_SIZE", RetryLayout.Budget.SIZE, "KIND", 2, "SHARE", 0.5,
                "MIN_RETRIES", -1),
                written(RetryLayout.Budget.class, offset(concurrency.write(frame)), doubles));
    }
}
