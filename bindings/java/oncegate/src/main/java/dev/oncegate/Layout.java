package dev.oncegate;

/**
 * Where the fields of the header's structures lie, on platforms with 64-bit pointers.
 *
 * <p>Each nested class is one structure, with its size; {@link Layouts} compares them with what
 * the library itself says of its structures.
 */
final class Layout {
    private Layout() {}

    /** {@code oncegate_bytes}. */
    static final class Bytes {
        static final int DATA = 0;
        static final int LEN = 8;
        static final int SIZE = 16;
    }

    /** {@code oncegate_error}. */
    static final class Error {
        static final int STRUCT_SIZE = 0;
        static final int STATUS = 8;
        static final int TRANSIENT = 12;
        static final int RETRY_AFTER_MS = 16;
        static final int FIELD = 24;
        static final int MESSAGE = 72;
        static final int SIZE = 328;
    }

    /** {@code oncegate_buffer}. */
    static final class Buffer {
        static final int DATA = 0;
        static final int CAPACITY = 8;
        static final int NEEDED = 16;
        static final int SIZE = 24;
    }

    /** {@code oncegate_stored_outcome}. */
    static final class StoredOutcome {
        static final int STATUS = 0;
        static final int METADATA_COUNT = 4;
        static final int METADATA_OFFSET = 8;
        static final int METADATA_LEN = 16;
        static final int BODY_OFFSET = 24;
        static final int BODY_LEN = 32;
        static final int SIZE = 40;
    }

    /** {@code oncegate_admission}. */
    static final class Admission {
        static final int VERDICT = 0;
        static final int STATUS = 4;
        static final int LEASE = 8;
        static final int FENCING_TOKEN = 40;
        static final int ATTEMPT = 48;
        static final int HOW = 52;
        static final int TIME_MS = 56;
        static final int OUTCOME = 64;
        static final int SIZE = 104;
    }

    /** {@code oncegate_begin_options}. */
    static final class BeginOptions {
        static final int STRUCT_SIZE = 0;
        static final int LEASE_MS = 8;
        static final int DEDUP_WINDOW_MS = 16;
        static final int WAIT_MS = 24;
        static final int ON_LAPSE = 32;
        static final int RUN_DUE = 36;
        static final int SIZE = 40;
    }

    /** {@code oncegate_request}. */
    static final class Request {
        static final int STRUCT_SIZE = 0;
        static final int SCOPE_KIND = 8;
        static final int KEY_KIND = 12;
        static final int PAYLOAD_KIND = 16;
        static final int RESERVED = 20;
        static final int SCOPE = 24;
        static final int OPERATION = 40;
        static final int KEY = 56;
        static final int PAYLOAD = 72;
        static final int BOUNDARY = 88;
        static final int EXCLUDED = 104;
        static final int EXCLUDED_COUNT = 112;
        static final int INCLUDED = 120;
        static final int INCLUDED_COUNT = 128;
        static final int SIZE = 136;
    }

    /** {@code oncegate_lease}. */
    static final class Lease {
        static final int TOKEN = 0;
        static final int SIZE = 32;
    }

    /** {@code oncegate_pair}. */
    static final class Pair {
        static final int NAME = 0;
        static final int VALUE = 16;
        static final int SIZE = 32;
    }

    /** {@code oncegate_outcome}. */
    static final class Outcome {
        static final int STRUCT_SIZE = 0;
        static final int STATUS = 8;
        static final int WITHHELD = 12;
        static final int BODY = 16;
        static final int METADATA = 32;
        static final int METADATA_COUNT = 40;
        static final int SIZE = 48;
    }

    /** {@code oncegate_lease_info}. */
    static final class LeaseInfo {
        static final int FENCING_TOKEN = 0;
        static final int REMAINING_MS = 8;
        static final int ATTEMPT = 16;
        static final int HOW = 20;
        static final int SIZE = 24;
    }

    /** {@code oncegate_quota}. */
    static final class Quota {
        static final int MAX_LIVE = 0;
        static final int RATE_PER_SECOND = 8;
        static final int BURST = 16;
        static final int RESERVED = 20;
        static final int SIZE = 24;
    }

    /** {@code oncegate_options}. */
    static final class Options {
        static final int STRUCT_SIZE = 0;
        static final int CAPACITY = 8;
        static final int OUTCOME_BYTES = 16;
        static final int INLINE_OUTCOME = 24;
        static final int OUTCOME_LIMIT = 32;
        static final int LEASE_MS = 40;
        static final int DEDUP_WINDOW_MS = 48;
        static final int WAIT_MS = 56;
        static final int MAX_PROCESSES = 64;
        static final int MAX_SCOPES = 72;
        static final int MAX_WAITERS = 80;
        static final int REACH = 88;
        static final int FILE_FLAGS = 92;
        static final int PATH = 96;
        static final int SECRET = 112;
        static final int RETIRING_SECRET = 128;
        static final int FINGERPRINT_MODE = 144;
        static final int KEYS = 148;
        static final int KEY_MIN_LEN = 152;
        static final int KEY_MAX_LEN = 160;
        static final int REFUSE_PREDICTABLE_KEYS = 168;
        static final int CLOCK = 172;
        static final int ON_LAPSE = 176;
        static final int ON_FULL = 180;
        static final int DEFAULT_QUOTA = 184;
        static final int UNAUTHENTICATED_QUOTA = 208;
        static final int PREFAULT = 232;
        static final int TINY = 236;
        static final int FILL_LEVELS = 240;
        static final int FILL_LEVEL_COUNT = 248;
        static final int TICKER_PERIOD_MS = 256;
        static final int DRIVER = 264;
        static final int ON_LETTERS_FULL = 268;
        static final int MAX_IN_FLIGHT = 272;
        static final int MAX_RETRYING = 280;
        static final int CONTEXT_LIMIT = 288;
        static final int STEPS_LIMIT = 296;
        static final int MAX_DEAD_LETTERS = 304;
        static final int JITTER_SEED = 312;
        static final int RETRY_POLICY = 320;
        static final int ADAPTIVE = 328;
        static final int RECONCILE = 336;
        static final int RESERVED = 340;
        static final int TIER = 344;
        static final int SIZE = 352;
    }

    /** {@code oncegate_hashed}. */
    static final class Hashed {
        static final int SCOPE_KIND = 0;
        static final int RESERVED = 4;
        static final int SCOPE = 8;
        static final int FINGERPRINT = 24;
        static final int PAYLOAD_DIGEST = 56;
        static final int SIZE = 64;
    }

    /** {@code oncegate_swept}. */
    static final class Swept {
        static final int VISITED = 0;
        static final int CLEARED = 8;
        static final int LAPSED = 16;
        static final int SIZE = 24;
    }

    /** {@code oncegate_event}. */
    static final class Event {
        static final int KIND = 0;
        static final int PROCESS = 4;
        static final int LEVEL = 8;
        static final int FILL = 16;
        static final int SLOT = 24;
        static final int STANDS_MS = 32;
        static final int TEXT = 40;
        static final int SIZE = 168;
    }

    /** {@code oncegate_stats}. */
    static final class Stats {
        static final int STRUCT_SIZE = 0;
        static final int BEGUN = 8;
        static final int CREATED = 16;
        static final int REUSED = 24;
        static final int EXPIRED = 32;
        static final int RETRIED = 40;
        static final int REPLAYED = 48;
        static final int IN_PROGRESS = 56;
        static final int SCHEDULED = 64;
        static final int MISMATCHED = 72;
        static final int UNRESOLVED = 80;
        static final int OUTCOME_GONE = 88;
        static final int FENCED = 96;
        static final int LAPSED = 104;
        static final int COMPLETED = 112;
        static final int EVICTED_EXPIRED = 120;
        static final int EVICTED_EARLY = 128;
        static final int OUTCOMES_EVICTED = 136;
        static final int FULL = 144;
        static final int QUOTA = 152;
        static final int WAITERS = 160;
        static final int HAND_OFFS = 168;
        static final int LIVE_RUNNING = 176;
        static final int LIVE_WAITING = 184;
        static final int LIVE_SUCCEEDED = 192;
        static final int LIVE_FAILED = 200;
        static final int LIVE_UNKNOWN = 208;
        static final int RETRIES_SCHEDULED = 216;
        static final int RETRIES_WAITING = 224;
        static final int RETRIES_READY = 232;
        static final int RETRIES_IN_FLIGHT = 240;
        static final int DEAD_LETTERS = 248;
        static final int BURIED = 256;
        static final int REDRIVEN = 264;
        static final int DISCARDED = 272;
        static final int LETTERS_LOST = 280;
        static final int STUCK = 288;
        static final int BYTES = 296;
        static final int FILL = 304;
        static final int OUTCOME_FILL = 312;
        static final int BACKOFF_FACTOR = 320;
        static final int BEGIN = 328;
        static final int COMPLETE = 352;
        static final int DISPATCH_LAG = 376;
        static final int SIZE = 400;
    }

    /** {@code oncegate_latency}. */
    static final class Latency {
        static final int P50_NS = 0;
        static final int P99_NS = 8;
        static final int P999_NS = 16;
        static final int SIZE = 24;
    }
}
