package dev.oncegate;

/** As {@link Layout}, the structures of tiers, waits, retries, steps and dead letters. */
final class RetryLayout {
    private RetryLayout() {}

    /** {@code oncegate_tier_options}. */
    static final class TierOptions {
        static final int STRUCT_SIZE = 0;
        static final int URL = 8;
        static final int PREFIX = 24;
        static final int ENCRYPTION_KEY = 40;
        static final int RETIRING_KEY = 56;
        static final int DEADLINE_MS = 72;
        static final int LATENCY_OBJECTIVE_MS = 80;
        static final int LEASE_SLICE_MS = 88;
        static final int MARGIN_MS = 96;
        static final int POLL_EVERY_MS = 104;
        static final int QUARANTINE_MS = 112;
        static final int UNDELIVERED = 120;
        static final int ON_OUTAGE = 128;
        static final int ALLOW_EVICTION = 132;
        static final int TLS_ROOT = 136;
        static final int TLS_CERTIFICATE = 152;
        static final int TLS_KEY = 168;
        static final int CLUSTER = 184;
        static final int RESERVED = 188;
        static final int DEAD_LETTERS = 192;
        static final int WAIT_REPLICAS = 200;
        static final int WAIT_REPLICAS_MS = 208;
        static final int OUTCOME_LIMIT = 216;
        static final int COMPRESS_FROM = 224;
        static final int SENTINEL_NAME = 232;
        static final int SENTINELS = 248;
        static final int SIZE = 264;
    }

    /** {@code oncegate_tier_stats}. */
    static final class TierStats {
        static final int STRUCT_SIZE = 0;
        static final int GRANTED = 8;
        static final int IMPORTED = 16;
        static final int ELSEWHERE = 24;
        static final int REFUSED = 32;
        static final int LOCAL_ONLY = 40;
        static final int UNKNOWN = 48;
        static final int UNDELIVERED = 56;
        static final int DELIVERED_LATE = 64;
        static final int UNDELIVERED_LOST = 72;
        static final int CONFLICTS = 80;
        static final int SESSIONS_LOST = 88;
        static final int BREAKER_OPEN = 96;
        static final int HAZARDS = 100;
        static final int LETTERS_LOGGED = 104;
        static final int LETTERS_WAITING = 112;
        static final int LETTERS_LOST = 120;
        static final int SIZE = 128;
    }

    /** {@code oncegate_completion}. */
    static final class Completion {
        static final int ID = 0;
        static final int USER_DATA = 8;
        static final int ADMISSION = 16;
        static final int SIZE = 120;
    }

    /** {@code oncegate_retry_policy}. */
    static final class RetryPolicy {
        static final int STRUCT_SIZE = 0;
        static final int PRESET = 8;
        static final int BACKOFF = 12;
        static final int JITTER = 16;
        static final int MAX_ATTEMPTS = 20;
        static final int MULTIPLIER = 24;
        static final int JITTER_SHARE = 32;
        static final int INITIAL_MS = 40;
        static final int INCREMENT_MS = 48;
        static final int MAX_MS = 56;
        static final int DELAYS_MS = 64;
        static final int DELAY_COUNT = 72;
        static final int DEADLINE_MS = 80;
        static final int EXPECTED_MS = 88;
        static final int ATTEMPT_TIMEOUT_MS = 96;
        static final int IGNORE_HINTS = 104;
        static final int RESERVED = 108;
        static final int HINT_MIN_MS = 112;
        static final int HINT_MAX_MS = 120;
        static final int HINT_BEYOND_DRAWN_MS = 128;
        static final int SIZE = 136;
    }

    /** {@code oncegate_adaptive}. */
    static final class Adaptive {
        static final int STRUCT_SIZE = 0;
        static final int LAG_TARGET_MS = 8;
        static final int READY_TARGET = 16;
        static final int IN_FLIGHT_TARGET = 24;
        static final int LOAD_TARGET = 32;
        static final int INTERVAL_MS = 40;
        static final int QUIET_MS = 48;
        static final int DECREASE = 56;
        static final int INCREASE = 64;
        static final int MAX_FACTOR = 72;
        static final int MAX_BASE = 80;
        static final int MAX_CEILING = 88;
        static final int MAX_WIDTH = 96;
        static final int SIZE = 104;
    }

    /** {@code oncegate_budget}. */
    static final class Budget {
        static final int STRUCT_SIZE = 0;
        static final int KIND = 8;
        static final int PRESET = 12;
        static final int NAME = 16;
        static final int CAPACITY = 32;
        static final int COST_TRANSIENT = 40;
        static final int COST_THROTTLED = 48;
        static final int COST_TIMEOUT = 56;
        static final int CHARGE = 64;
        static final int REFUND_COST = 68;
        static final int THRESHOLD = 72;
        static final int SUCCESS = 80;
        static final int REFILL_PER_SECOND = 88;
        static final int RATIO = 96;
        static final int MIN_PER_SECOND = 104;
        static final int TTL_MS = 112;
        static final int SLICES = 120;
        static final int SHARE = 128;
        static final int MIN_RETRIES = 136;
        static final int SIZE = 144;
    }

    /** {@code oncegate_attempt_error}. */
    static final class AttemptError {
        static final int STRUCT_SIZE = 0;
        static final int KIND = 8;
        static final int HINT = 12;
        static final int HINT_AFTER_MS = 16;
        static final int ERROR_CLASS = 24;
        static final int TERMINAL = 40;
        static final int RESERVED = 44;
        static final int OUTCOME = 48;
        static final int SIZE = 56;
    }

    /** {@code oncegate_later}. */
    static final class Later {
        static final int VERDICT = 0;
        static final int REASON = 4;
        static final int NEXT_ATTEMPT = 8;
        static final int KEPT = 12;
        static final int DUE_IN_MS = 16;
        static final int SIZE = 24;
    }

    /** {@code oncegate_attempt}. */
    static final class Attempt {
        static final int LEASE = 0;
        static final int FENCING_TOKEN = 32;
        static final int REMAINING_MS = 40;
        static final int ATTEMPT = 48;
        static final int RESERVED = 52;
        static final int OPERATION_OFFSET = 56;
        static final int OPERATION_LEN = 64;
        static final int CONTEXT_OFFSET = 72;
        static final int CONTEXT_LEN = 80;
        static final int SIZE = 88;
    }

    /** {@code oncegate_driven}. */
    static final class Driven {
        static final int LOOKED_AT = 0;
        static final int READY = 8;
        static final int DUE_IN_MS = 16;
        static final int MORE = 24;
        static final int RESERVED = 28;
        static final int SIZE = 32;
    }

    /** {@code oncegate_question}. */
    static final class Question {
        static final int ID = 0;
        static final int FENCING_TOKEN = 8;
        static final int ATTEMPT = 16;
        static final int RESERVED = 20;
        static final int OPERATION_OFFSET = 24;
        static final int OPERATION_LEN = 32;
        static final int CONTEXT_OFFSET = 40;
        static final int CONTEXT_LEN = 48;
        static final int SIZE = 56;
    }

    /** {@code oncegate_step}. */
    static final class Step {
        static final int NAME_OFFSET = 0;
        static final int NAME_LEN = 8;
        static final int RESULT_OFFSET = 16;
        static final int RESULT_LEN = 24;
        static final int SIZE = 32;
    }

    /** {@code oncegate_letter_id}. */
    static final class LetterId {
        static final int PLACE = 0;
        static final int GENERATION = 4;
        static final int SIZE = 8;
    }

    /** {@code oncegate_letter}. */
    static final class Letter {
        static final int ID = 0;
        static final int REASON = 8;
        static final int ATTEMPTS = 12;
        static final int PAST_COUNT = 16;
        static final int LEFT_OUT = 20;
        static final int STEP_COUNT = 24;
        static final int RESERVED = 28;
        static final int BURIED_UNIX_MS = 32;
        static final int OPERATION_OFFSET = 40;
        static final int OPERATION_LEN = 48;
        static final int CONTEXT_OFFSET = 56;
        static final int CONTEXT_LEN = 64;
        static final int CLASS_OFFSET = 72;
        static final int CLASS_LEN = 80;
        static final int STEPS_OFFSET = 88;
        static final int STEPS_LEN = 96;
        static final int SIZE = 104;
    }

    /** {@code oncegate_past_attempt}. */
    static final class PastAttempt {
        static final int FENCING_TOKEN = 0;
        static final int BEGAN_UNIX_MS = 8;
        static final int ENDED_UNIX_MS = 16;
        static final int ATTEMPT = 24;
        static final int END = 28;
        static final int PROCESS = 32;
        static final int RESERVED = 36;
        static final int CLASS_OFFSET = 40;
        static final int CLASS_LEN = 48;
        static final int SIZE = 56;
    }

    /** {@code oncegate_letter_filter}. */
    static final class LetterFilter {
        static final int STRUCT_SIZE = 0;
        static final int REASON = 8;
        static final int RESERVED = 12;
        static final int OPERATION = 16;
        static final int ERROR_CLASS = 32;
        static final int SINCE_UNIX_MS = 48;
        static final int UNTIL_UNIX_MS = 56;
        static final int SIZE = 64;
    }
}
