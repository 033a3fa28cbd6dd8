package dev.oncegate;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Objects;
import java.util.concurrent.Executor;
import java.util.concurrent.ForkJoinPool;

/**
 * How an engine is opened. What is not set has the default of the engine; what breaks a rule is
 * refused by {@link Engine#open}, which names the option.
 */
public final class EngineOptions {
    /** Who shares the table. The order is the header's. */
    public enum Reach {
        /** This process alone. */
        PROCESS,
        /** This process and the children that it forks. */
        INHERITED,
        /** Every process of the host that opens the same file. */
        HOST
    }

    /** What an engine tells the time by. The order is the header's. */
    public enum Clock {
        /** A clock that is read in 3 ns and moves every few milliseconds. */
        COARSE,
        /** A precise clock: for leases below 50 ms. */
        PRECISE,
        /** A clock that stands still until {@link Engine#advanceClock}: for tests. */
        MANUAL
    }

    /** How fingerprints are made. The order is the header's. */
    public enum FingerprintMode {
        /** They cannot be guessed by who does not know the secret. */
        KEYED,
        /** A faster hash, for keys that only trusted parties choose. */
        FAST_TRUSTED
    }

    /** What keys are made of. The order is the header's. */
    public enum Keys {
        /** Any bytes. */
        ANY,
        /** Visible ASCII characters. */
        VISIBLE,
        /** Letters, digits, dashes and underscores. */
        ALPHANUMERIC,
        /** Hexadecimal digits. */
        HEX,
        /** A UUID (RFC 9562). */
        UUID
    }

    private static final EngineOptions DEFAULTS = new Builder().build();

    /** What was set; never changed any more. */
    final Builder set;

    private EngineOptions(Builder set) {
        this.set = set;
    }

    /**
     * Every default: a private table of 65,536 records, leases of 30 s, a window of 24 hours.
     *
     * @return the options
     */
    public static EngineOptions defaults() {
        return DEFAULTS;
    }

    /**
     * Options of one's own.
     *
     * @return a builder in which nothing is set
     */
    public static Builder builder() {
        return new Builder();
    }

    /** Collects options; not for several threads at once. */
    public static final class Builder implements Cloneable {
        long capacity;
        long outcomeBytes;
        long inlineOutcome;
        long outcomeLimit;
        long leaseMs;
        long dedupWindowMs;
        long waitMs;
        long maxProcesses;
        long maxScopes;
        long maxWaiters;
        int reach;
        int fileFlags;
        byte[] path;
        byte[] secret;
        byte[] retiringSecret;
        int fingerprintMode;
        int keys;
        long keyMinLength;
        long keyMaxLength;
        int refusePredictableKeys;
        int clock;
        int onLapse;
        int onFull;
        Quota defaultQuota = Quota.unlimited();
        Quota unauthenticatedQuota = Quota.unlimited();
        int prefault;
        int tiny;
        double[] fillLevels = new double[0];
        long tickerPeriodMs;
        int driver;
        int onLettersFull;
        long maxInFlight;
        long maxRetrying;
        long contextLimit;
        long stepsLimit;
        long maxDeadLetters;
        long jitterSeed;
        RetryPolicy retryPolicy;
        Adaptive adaptive;
        int reconcile;
        TierOptions tier;
        Executor executor = ForkJoinPool.commonPool();

        private Builder() {}

        /**
         * The options as they are now.
         *
         * @return options that later changes of this builder do not reach
         */
        public EngineOptions build() {
            try {
                return new EngineOptions((Builder) clone());
            } catch (CloneNotSupportedException impossible) {
                throw new AssertionError(impossible);
            }
        }

        /**
         * How many records live at once.
         *
         * @param records 16 to 200,000,000; default 65,536
         * @return this
         */
        public Builder capacity(long records) {
            capacity = Millis.count("capacity", records);
            return this;
        }

        /**
         * The room for outcomes that do not lie beside their record.
         *
         * @param bytes by default as the capacity asks for; zero: none
         * @return this
         */
        public Builder outcomeBytes(long bytes) {
            outcomeBytes = Millis.count("outcome_bytes", bytes);
            return this;
        }

        /**
         * Outcomes up to this size lie beside their record.
         *
         * @param bytes at most 448; default 64
         * @return this
         */
        public Builder inlineOutcome(long bytes) {
            inlineOutcome = Millis.count("inline_outcome", bytes);
            return this;
        }

        /**
         * The largest outcome that is stored.
         *
         * @param bytes 64 to 1,000,000; default 16 KiB
         * @return this
         */
        public Builder outcomeLimit(long bytes) {
            outcomeLimit = Millis.count("outcome_limit", bytes);
            return this;
        }

        /**
         * How long an attempt may run before its lease lapses.
         *
         * @param lease 1 ms to a year; default 30 s
         * @return this
         */
        public Builder lease(Duration lease) {
            leaseMs = Millis.orZero("lease_ms", lease);
            return this;
        }

        /**
         * How long a finished record answers duplicates.
         *
         * @param window 1 ms to ten years; default 24 hours
         * @return this
         */
        public Builder dedupWindow(Duration window) {
            dedupWindowMs = Millis.orZero("dedup_window_ms", window);
            return this;
        }

        /**
         * How long a duplicate waits for the running attempt.
         *
         * @param wait at most a year; default: not at all
         * @return this
         */
        public Builder waitUpTo(Duration wait) {
            waitMs = Millis.orZero("wait_ms", wait);
            return this;
        }

        /**
         * How many processes may share the table.
         *
         * @param processes default 64
         * @return this
         */
        public Builder maxProcesses(long processes) {
            maxProcesses = Millis.count("max_processes", processes);
            return this;
        }

        /**
         * How many scopes may have a quota at once.
         *
         * @param scopes default 4,096
         * @return this
         */
        public Builder maxScopes(long scopes) {
            maxScopes = Millis.count("max_scopes", scopes);
            return this;
        }

        /**
         * How many callers may wait at once.
         *
         * @param waiters default 16,384
         * @return this
         */
        public Builder maxWaiters(long waiters) {
            maxWaiters = Millis.count("max_waiters", waiters);
            return this;
        }

        /**
         * Who shares the table. For a file, {@link #file} says it too.
         *
         * @param reach default: this process alone
         * @return this
         */
        public Builder reach(Reach reach) {
            this.reach = reach.ordinal();
            return this;
        }

        /**
         * Has every process of the host that opens this file share the table.
         *
         * @param file the file, in memory best: {@code /dev/shm/…}
         * @param flags what is accepted of it
         * @return this
         */
        public Builder file(Path file, FileFlag... flags) {
            reach = Reach.HOST.ordinal();
            path = file.toString().getBytes(StandardCharsets.UTF_8);
            fileFlags = 0;
            for (FileFlag flag : flags) {
                fileFlags |= 1 << flag.ordinal();
            }
            return this;
        }

        /**
         * The secret of the fingerprints.
         *
         * @param secret at least 32 bytes; default: a random one
         * @return this
         */
        public Builder secret(byte[] secret) {
            this.secret = secret.clone();
            return this;
        }

        /**
         * The secret that is being rotated out.
         *
         * @param secret at least 32 bytes
         * @return this
         */
        public Builder retiringSecret(byte[] secret) {
            retiringSecret = secret.clone();
            return this;
        }

        /**
         * How fingerprints are made.
         *
         * @param mode default: keyed
         * @return this
         */
        public Builder fingerprintMode(FingerprintMode mode) {
            fingerprintMode = mode.ordinal();
            return this;
        }

        /**
         * What keys are made of.
         *
         * @param keys default: any bytes
         * @return this
         */
        public Builder keys(Keys keys) {
            this.keys = keys.ordinal();
            return this;
        }

        /**
         * How long keys may be.
         *
         * @param least in bytes; default 1
         * @param most in bytes; default 255
         * @return this
         */
        public Builder keyLength(long least, long most) {
            keyMinLength = Millis.count("key_min_len", least);
            keyMaxLength = Millis.count("key_max_len", most);
            return this;
        }

        /**
         * Whether keys that can be predicted are refused.
         *
         * @param refuse default: they are not
         * @return this
         */
        public Builder refusePredictableKeys(boolean refuse) {
            refusePredictableKeys = refuse ? 1 : 0;
            return this;
        }

        /**
         * What the engine tells the time by.
         *
         * @param clock default: the coarse one
         * @return this
         */
        public Builder clock(Clock clock) {
            this.clock = clock.ordinal();
            return this;
        }

        /**
         * What follows when a lease lapses.
         *
         * @param onLapse default: the next attempt
         * @return this
         */
        public Builder onLapse(OnLapse onLapse) {
            this.onLapse = onLapse.ordinal() + 1;
            return this;
        }

        /**
         * What a full table does with a new record.
         *
         * @param onFull default: it makes room
         * @return this
         */
        public Builder onFull(OnFull onFull) {
            this.onFull = onFull.ordinal();
            return this;
        }

        /**
         * The quota of every scope that has none of its own.
         *
         * @param quota default: none
         * @return this
         */
        public Builder defaultQuota(Quota quota) {
            defaultQuota = Objects.requireNonNull(quota, "quota");
            return this;
        }

        /**
         * The quota of the unauthenticated scope.
         *
         * @param quota default: a sixteenth of the capacity
         * @return this
         */
        public Builder unauthenticatedQuota(Quota quota) {
            unauthenticatedQuota = Objects.requireNonNull(quota, "quota");
            return this;
        }

        /**
         * Whether all memory is faulted in when the engine is opened.
         *
         * @param prefault default: it is not
         * @return this
         */
        public Builder prefault(boolean prefault) {
            this.prefault = prefault ? 1 : 0;
            return this;
        }

        /**
         * The smallest engine, for tests that want to see it full.
         *
         * @return this
         */
        public Builder tiny() {
            tiny = 1;
            return this;
        }

        /**
         * Shares of the capacity at which there is an {@link Event}.
         *
         * @param levels at most 16, each from 0 to 1
         * @return this
         */
        public Builder fillLevels(double... levels) {
            fillLevels = levels.clone();
            return this;
        }

        /**
         * How often a thread of the engine sweeps.
         *
         * @param period default: none does
         * @return this
         */
        public Builder ticker(Duration period) {
            tickerPeriodMs = Millis.of("ticker_period_ms", period);
            return this;
        }

        /**
         * Whether a thread of the engine sees to retries that are due. Without it, whoever asks
         * for the next attempt does.
         *
         * @param driver default: none does
         * @return this
         */
        public Builder driver(boolean driver) {
            this.driver = driver ? 1 : 0;
            return this;
        }

        /**
         * What happens where there is no room for a dead letter.
         *
         * @param onLettersFull default: the oldest one goes
         * @return this
         */
        public Builder onLettersFull(OnLettersFull onLettersFull) {
            this.onLettersFull = onLettersFull.ordinal();
            return this;
        }

        /**
         * How many attempts this process is handed out at a time.
         *
         * @param attempts default: no limit
         * @return this
         */
        public Builder maxInFlight(long attempts) {
            maxInFlight = Millis.count("max_in_flight", attempts);
            return this;
        }

        /**
         * How many records may be retried, or be dead letters, at a time.
         *
         * @param records the number
         * @return this
         */
        public Builder maxRetrying(long records) {
            maxRetrying = Millis.count("max_retrying", records);
            return this;
        }

        /**
         * The largest context of a retry.
         *
         * @param bytes the size
         * @return this
         */
        public Builder contextLimit(long bytes) {
            contextLimit = Millis.count("context_limit", bytes);
            return this;
        }

        /**
         * The room for the finished steps of a record.
         *
         * @param bytes the size
         * @return this
         */
        public Builder stepsLimit(long bytes) {
            stepsLimit = Millis.count("steps_limit", bytes);
            return this;
        }

        /**
         * How many dead letters are kept at a time.
         *
         * @param letters the number
         * @return this
         */
        public Builder maxDeadLetters(long letters) {
            maxDeadLetters = Millis.count("max_dead_letters", letters);
            return this;
        }

        /**
         * The seed of the jitter, for tests.
         *
         * @param seed default: from the system
         * @return this
         */
        public Builder jitterSeed(long seed) {
            jitterSeed = seed == 0 ? Millis.ZERO : seed;
            return this;
        }

        /**
         * When records are tried again of operations that have no policy of their own.
         *
         * @param policy default: full jitter below 1 s, 2 s, 4 s and so on, at most 120 s; ten
         *     attempts
         * @return this
         */
        public Builder retryPolicy(RetryPolicy policy) {
            retryPolicy = Objects.requireNonNull(policy, "policy");
            return this;
        }

        /**
         * Draws delays out under load.
         *
         * @param adaptive default: never
         * @return this
         */
        public Builder adaptive(Adaptive adaptive) {
            this.adaptive = Objects.requireNonNull(adaptive, "adaptive");
            return this;
        }

        /**
         * Whether records in doubt are noted for {@link Engine#questions}.
         *
         * @param reconcile default: they are not
         * @return this
         */
        public Builder reconcile(boolean reconcile) {
            this.reconcile = reconcile ? 1 : 0;
            return this;
        }

        /**
         * Shares the records with engines of other hosts. It needs a {@link #secret}.
         *
         * @param tier the server, and how it is used; default: none
         * @return this
         */
        public Builder tier(TierOptions tier) {
            this.tier = Objects.requireNonNull(tier, "tier");
            return this;
        }

        /**
         * The same with every default.
         *
         * @param url as in {@link TierOptions#redis}
         * @return this
         */
        public Builder redis(String url) {
            return tier(TierOptions.redis(url));
        }

        /**
         * Where futures of {@link Engine#beginAsync} are completed, and what depends on them runs
         * unless it says otherwise.
         *
         * @param executor default: the common pool
         * @return this
         */
        public Builder executor(Executor executor) {
            this.executor = Objects.requireNonNull(executor, "executor");
            return this;
        }
    }
}
