/*
 * oncegate: a retried request runs once.
 *
 * Strict C99 and C++17. A function returns an oncegate_status: whether the call worked. What the
 * engine says of a request is a verdict, which is written to an output. Outputs are written only
 * when the status is ONCEGATE_OK; where something else is written, its function says so.
 *
 * Threads: any thread may call any function with any handle, at the same time as others.
 * Lifetime: what a pointer refers to is read or written during the call, and never kept. What the
 * library returns a pointer to lives as long as the process.
 * Freeing: only handles, each by the function ..._close of its kind; NULL is fine.
 * Every function that has a parameter error accepts NULL for it.
 * Every function may return ONCEGATE_NULL_ARGUMENT, ONCEGATE_BAD_SIZE, ONCEGATE_BAD_VALUE,
 * ONCEGATE_BAD_HANDLE, ONCEGATE_POISONED and ONCEGATE_PANICKED; those on an engine
 * ONCEGATE_FORKED, in a child that has no part in its table.
 */
#ifndef ONCEGATE_H
#define ONCEGATE_H

/* Made from the crate oncegate-ffi by `make header`; changes by hand are lost. */

#include <stddef.h>
#include <stdint.h>
#include <string.h>


// The caller runs it, and ends the lease.
#define ONCEGATE_ADMITTED 1

// It has finished inside its dedup window: the stored outcome is in the buffer.
#define ONCEGATE_REPLAYED 2

// Another attempt holds the lease.
#define ONCEGATE_IN_PROGRESS 3

// It failed and waits for its next attempt.
#define ONCEGATE_SCHEDULED 4

// The same key came with another payload.
#define ONCEGATE_MISMATCHED 5

// Nobody knows whether it took effect.
#define ONCEGATE_UNRESOLVED 6

// It has finished, but the bytes of its outcome are gone, or were never kept.
#define ONCEGATE_OUTCOME_GONE 7

// In a field where zero means "as by default": zero itself.
#define ONCEGATE_ZERO UINT64_MAX

// It took effect: duplicates get the outcome.
#define ONCEGATE_RESOLVED_SUCCEEDED 0

// It failed for good: duplicates get the outcome.
#define ONCEGATE_RESOLVED_FAILED 1

// It had no effect: the next attempt may start at once.
#define ONCEGATE_RESOLVED_RUN_AGAIN 2

// The live records reached one of the levels that were asked for.
#define ONCEGATE_EVENT_FILL 1

// A record stands in the middle of a transition for longer than any step takes.
#define ONCEGATE_EVENT_STUCK 2

// There was no record: the first run.
#define ONCEGATE_HOW_CREATED 1

// The attempt before failed, or was handed over.
#define ONCEGATE_HOW_RETRIED 2

// The record's window was over, or the lease before had lapsed.
#define ONCEGATE_HOW_EXPIRED 3

// Duplicates get the outcome.
#define ONCEGATE_STORED 1

// The record is finished, but the outcome was withheld, is over the limit, or found no room.
#define ONCEGATE_STORED_WITHOUT_BYTES 2

// The next attempt may start, after the delay.
#define ONCEGATE_FAILURE_RETRYABLE 0

// It failed for good: duplicates get the outcome.
#define ONCEGATE_FAILURE_TERMINAL 1

// Nobody knows whether it took effect: it never runs again until that is resolved.
#define ONCEGATE_FAILURE_UNKNOWN 2

// The table belongs to this process alone.
#define ONCEGATE_REACH_PROCESS 0

// This process and the children that it forks share the table.
#define ONCEGATE_REACH_INHERITED 1

// Every process of the host that opens `path` shares the table.
#define ONCEGATE_REACH_HOST 2

// The file is for its owner and his group.
#define ONCEGATE_FILE_GROUP 1

// A file of another owner is accepted.
#define ONCEGATE_FILE_FOREIGN_OWNER 2

// A symbolic link is followed.
#define ONCEGATE_FILE_SYMLINK 4

// A file system that is not local, or not in memory, is accepted.
#define ONCEGATE_FILE_ANY_FILE_SYSTEM 8

// Fingerprints cannot be guessed by who does not know the secret.
#define ONCEGATE_FINGERPRINT_KEYED 0

// A faster hash, for keys that only trusted parties choose.
#define ONCEGATE_FINGERPRINT_FAST_TRUSTED 1

// Keys of visible ASCII characters, or of any bytes.
#define ONCEGATE_KEYS_ANY 0

// Keys of visible ASCII characters.
#define ONCEGATE_KEYS_VISIBLE 1

// Keys of letters, digits, dashes and underscores.
#define ONCEGATE_KEYS_ALPHANUMERIC 2

// Keys of hexadecimal digits.
#define ONCEGATE_KEYS_HEX 3

// Keys that are a UUID (RFC 9562).
#define ONCEGATE_KEYS_UUID 4

// A clock that is read in 3 ns and moves every few milliseconds.
#define ONCEGATE_CLOCK_COARSE 0

// A precise clock: for leases below 50 ms.
#define ONCEGATE_CLOCK_PRECISE 1

// A clock that stands still until `oncegate_engine_advance_clock`: for tests.
#define ONCEGATE_CLOCK_MANUAL 2

// A lease that lapsed is followed by the next attempt.
#define ONCEGATE_LAPSE_RECLAIM 1

// Nobody runs again until the record is resolved.
#define ONCEGATE_LAPSE_UNKNOWN 2

// The record has failed for good.
#define ONCEGATE_LAPSE_FAILED 3

// A full table makes room for a new record.
#define ONCEGATE_FULL_EVICT_LRU 0

// A full table refuses a new record.
#define ONCEGATE_FULL_REJECT 1

// The oldest dead letter goes for a new one.
#define ONCEGATE_LETTERS_DROP_OLDEST 0

// The record fails without a dead letter.
#define ONCEGATE_LETTERS_REJECT 1

// The scope has a name: a tenant, an account.
#define ONCEGATE_SCOPE_NAMED 0

// There is one tenant, and that is meant so.
#define ONCEGATE_SCOPE_SINGLE_TENANT 1

// Nobody is known to stand behind the request; it has a quota of its own.
#define ONCEGATE_SCOPE_UNAUTHENTICATED 2

// The key is given.
#define ONCEGATE_KEY_GIVEN 0

// The payload stands in for a key: requests that are alike are the same.
#define ONCEGATE_KEY_FROM_PAYLOAD 1

// No payload: duplicates are not compared.
#define ONCEGATE_PAYLOAD_NONE 0

// Bytes that are compared as they are.
#define ONCEGATE_PAYLOAD_RAW 1

// A JSON document, compared by its canonical form (RFC 8785).
#define ONCEGATE_PAYLOAD_JSON 2

// A form (`application/x-www-form-urlencoded`), compared by its pairs.
#define ONCEGATE_PAYLOAD_FORM 3

// A form of parts (`multipart/form-data`), compared without its boundary.
#define ONCEGATE_PAYLOAD_MULTIPART 4

// The call worked; its outputs are written.
#define ONCEGATE_OK 0

// The idempotency key breaks a rule.
#define ONCEGATE_INVALID_KEY 1

// The scope breaks a rule.
#define ONCEGATE_INVALID_SCOPE 2

// The operation breaks a rule.
#define ONCEGATE_INVALID_OPERATION 3

// The payload cannot be digested.
#define ONCEGATE_INVALID_PAYLOAD 4

// The configuration is refused.
#define ONCEGATE_INVALID_CONFIG 5

// The option is refused.
#define ONCEGATE_INVALID_OPTION 6

// The fencing token is stale: a newer attempt holds the record, or this one has ended.
#define ONCEGATE_FENCED 7

// No room for a new record.
#define ONCEGATE_FULL 8

// The quota of this scope is used up.
#define ONCEGATE_QUOTA_EXCEEDED 9

// The engine belongs to the parent of this fork.
#define ONCEGATE_FORKED 10

// Too many callers are waiting.
#define ONCEGATE_TOO_MANY_WAITERS 11

// The memory for the region was refused.
#define ONCEGATE_NO_MEMORY 12

// The operating system gave no randomness.
#define ONCEGATE_NO_ENTROPY 13

// No such record in a state that this call applies to.
#define ONCEGATE_NOT_FOUND 14

// The outcome breaks a rule.
#define ONCEGATE_INVALID_OUTCOME 15

// The lease is malformed.
#define ONCEGATE_INVALID_TOKEN 16

// The rotation of the secret cannot take this step yet.
#define ONCEGATE_ROTATION_PENDING 17

// A counter that may never wrap came to its end.
#define ONCEGATE_EXHAUSTED 18

// The region was made with other options.
#define ONCEGATE_REGION_MISMATCH 19

// The region belongs to another secret.
#define ONCEGATE_WRONG_SECRET 20

// The file is not safe to share a table in.
#define ONCEGATE_FILE_REFUSED 21

// The file is no region that can be used.
#define ONCEGATE_REGION_INVALID 22

// No entry is left for one more process.
#define ONCEGATE_REGISTRY_FULL 23

// The operating system refused.
#define ONCEGATE_OS 24

// Not on this operating system.
#define ONCEGATE_UNSUPPORTED 25

// Processes use the region, or it is being removed.
#define ONCEGATE_REGION_IN_USE 26

// A retry budget has too little left.
#define ONCEGATE_BUDGET_EXHAUSTED 27

// A pointer that may not be `NULL` is.
#define ONCEGATE_NULL_ARGUMENT 101

// A `struct_size`, a length or a count is out of its range.
#define ONCEGATE_BAD_SIZE 102

// Not a handle of this kind, or one that was closed.
#define ONCEGATE_BAD_HANDLE 103

// A number that names a choice is none of them, or a pointer is not aligned.
#define ONCEGATE_BAD_VALUE 104

// Bytes that have to be UTF-8 are not.
#define ONCEGATE_NOT_UTF8 105

// The caller's buffer is too small; how much is needed is in its `needed`.
#define ONCEGATE_BUFFER_TOO_SMALL 106

// The handle was closed while this call waited.
#define ONCEGATE_CLOSED 107

// The engine failed inside. The handle that the call was made on answers nobody any more.
#define ONCEGATE_PANICKED 108

// An earlier call on this handle failed inside; close it.
#define ONCEGATE_POISONED 109

// This process holds as many handles as it may.
#define ONCEGATE_TOO_MANY_HANDLES 110

// The version of this header: what the library has to know. It grows with every addition; what
// is not an addition changes the name of the library.
#define ONCEGATE_ABI_VERSION 1

// An engine, behind a handle: it has the type of a pointer, and is none. Any thread may use it.
typedef struct oncegate_engine oncegate_engine;

// Whether a call worked: `ONCEGATE_OK`, or why not.
typedef int32_t oncegate_status;

// Bytes of the caller: `data` may be `NULL` where `len` is zero. They are read during the call
// and never kept.
typedef struct oncegate_bytes {
    // The first byte.
    const uint8_t *data;
    // How many bytes.
    size_t len;
} oncegate_bytes;

// A request, by references into the caller's memory, which are followed during the call alone.
//
// Zeros are refused: a scope has to be named, or to be said to be none.
typedef struct oncegate_request {
    // `sizeof(oncegate_request)`.
    size_t struct_size;
    // One of `ONCEGATE_SCOPE_…`.
    uint32_t scope_kind;
    // One of `ONCEGATE_KEY_…`.
    uint32_t key_kind;
    // One of `ONCEGATE_PAYLOAD_…`.
    uint32_t payload_kind;
    // Zero.
    uint32_t reserved;
    // 1 to 255 bytes; none unless the scope is named.
    struct oncegate_bytes scope;
    // What is asked for, in UTF-8, 1 to 1,024 bytes: `POST /charges`.
    struct oncegate_bytes operation;
    // 1 to 255 bytes; none where the payload stands in for it.
    struct oncegate_bytes key;
    // At most 64 MiB.
    struct oncegate_bytes payload;
    // The boundary of a form of parts, in UTF-8.
    struct oncegate_bytes boundary;
    // JSON pointers (RFC 6901), in UTF-8, to values that may differ between attempts.
    const struct oncegate_bytes *excluded;
    // How many; with those below at most 64.
    size_t excluded_count;
    // JSON pointers to the values that count; none: all do.
    const struct oncegate_bytes *included;
    // How many.
    size_t included_count;
} oncegate_request;

// How one request is begun. Zeros: as the engine's options say.
typedef struct oncegate_begin_options {
    // `sizeof(oncegate_begin_options)`.
    size_t struct_size;
    // How long the attempt may run before its lease lapses, 1 ms to a year.
    uint64_t lease_ms;
    // How long the finished record answers duplicates, 1 ms to ten years.
    uint64_t dedup_window_ms;
    // How long to wait for a running attempt, at most a year; `ONCEGATE_ZERO`: not at all.
    uint64_t wait_ms;
    // One of `ONCEGATE_LAPSE_…`.
    uint32_t on_lapse;
    // 1: an attempt that was put off runs here if its time has come.
    uint32_t run_due;
} oncegate_begin_options;

// Memory of the caller for bytes that a call gives.
typedef struct oncegate_buffer {
    // The first byte; may be `NULL` where `capacity` is zero.
    uint8_t *data;
    // How many bytes may be written.
    size_t capacity;
    // Written by the call: how many bytes it wrote, or, with `ONCEGATE_BUFFER_TOO_SMALL`, how
    // many it needs.
    size_t needed;
} oncegate_buffer;

// A lease: whoever has these bytes may end the attempt. They cross threads, processes and
// languages; nothing is freed, and nothing happens when they are lost but that the lease lapses.
typedef struct oncegate_lease {
    // Version, attempt, slot, fencing token and window.
    uint8_t token[32];
} oncegate_lease;

// Where a stored outcome lies in the caller's buffer: metadata first, then the body.
typedef struct oncegate_stored_outcome {
    // The number that it was stored with.
    uint32_t status;
    // How many pairs of metadata there are; see `oncegate_metadata_next`.
    uint32_t metadata_count;
    // Where the metadata begins in the buffer.
    size_t metadata_offset;
    // How many bytes it takes.
    size_t metadata_len;
    // Where the body begins in the buffer.
    size_t body_offset;
    // How many bytes it has.
    size_t body_len;
} oncegate_stored_outcome;

// The answer to a request.
typedef struct oncegate_admission {
    // One of `ONCEGATE_ADMITTED`, …; zero in an element of a batch that was refused.
    uint32_t verdict;
    // In a batch: whether this request was looked at, as the status of a call of its own.
    oncegate_status status;
    // The lease, with `ONCEGATE_ADMITTED`.
    struct oncegate_lease lease;
    // The fencing token of that lease.
    uint64_t fencing_token;
    // The attempt that was admitted, that runs, or that is to come.
    uint32_t attempt;
    // One of `ONCEGATE_HOW_…`, with `ONCEGATE_ADMITTED`.
    uint32_t how;
    // How long the lease lasts, or until the next attempt is due, in milliseconds.
    uint64_t time_ms;
    // Where the outcome lies in the buffer, with `ONCEGATE_REPLAYED`.
    struct oncegate_stored_outcome outcome;
} oncegate_admission;

// What a refused call tells, in the caller's memory. Set `struct_size` before the call; pass
// `NULL` where nobody reads it. It is written only when the status is not `ONCEGATE_OK`.
typedef struct oncegate_error {
    // `sizeof(oncegate_error)`.
    size_t struct_size;
    // The status that was returned.
    oncegate_status status;
    // 1: the same call may work later, without anybody changing anything. 0: it will not.
    int32_t transient;
    // How long to wait before it may, in milliseconds; zero: not known.
    uint64_t retry_after_ms;
    // The argument, option or resource that it is about, zero-terminated.
    char field[48];
    // Field, reason, class of what was found, and limit, for people; zero-terminated. Never a key,
    // a payload or a secret.
    char message[256];
} oncegate_error;

// Digests that the caller has made: of a message id that is a hash, of another table.
typedef struct oncegate_hashed {
    // One of `ONCEGATE_SCOPE_…`: what quotas count.
    uint32_t scope_kind;
    // Zero.
    uint32_t reserved;
    // The scope's name.
    struct oncegate_bytes scope;
    // Tells apart what differs in scope, operation or key; its bytes are spread evenly.
    uint8_t fingerprint[32];
    // Compared on every duplicate, in its 56 upper bits.
    uint64_t payload_digest;
} oncegate_hashed;

// Limits of a scope. Zeros: none.
typedef struct oncegate_quota {
    // Live records at most; zero: no limit.
    uint64_t max_live;
    // New records a second in the long run; zero: no limit.
    double rate_per_second;
    // New records at once, with a rate.
    uint32_t burst;
    // Zero.
    uint32_t reserved;
} oncegate_quota;

// How an engine is opened. All but the size may be zero: then the default holds, which the page
// of the Rust function of that name gives. Where zero itself is meant, say `ONCEGATE_ZERO`.
typedef struct oncegate_options {
    // `sizeof(oncegate_options)`.
    size_t struct_size;
    // Live records, from 16 to 200,000,000; default 65,536.
    uint64_t capacity;
    // Bytes for outcomes that do not lie beside their record.
    uint64_t outcome_bytes;
    // Outcomes up to this size lie beside their record, at most 448; default 64.
    uint64_t inline_outcome;
    // The largest outcome that is stored, 64 to 1,000,000 bytes; default 16 KiB.
    uint64_t outcome_limit;
    // How long an attempt may run before its lease lapses; default 30 s.
    uint64_t lease_ms;
    // How long a finished record answers duplicates; default 24 hours.
    uint64_t dedup_window_ms;
    // How long a duplicate waits for the running attempt; default: not at all.
    uint64_t wait_ms;
    // How many processes may share the table; default 64.
    uint64_t max_processes;
    // How many scopes may have a quota at once; default 4,096.
    uint64_t max_scopes;
    // How many callers may wait at once; default 16,384.
    uint64_t max_waiters;
    // One of `ONCEGATE_REACH_…`.
    uint32_t reach;
    // `ONCEGATE_FILE_…`, ored.
    uint32_t file_flags;
    // The file, with `ONCEGATE_REACH_HOST`.
    struct oncegate_bytes path;
    // The secret of the fingerprints, at least 32 bytes; default: a random one.
    struct oncegate_bytes secret;
    // The secret that is being rotated out.
    struct oncegate_bytes retiring_secret;
    // One of `ONCEGATE_FINGERPRINT_…`.
    uint32_t fingerprint_mode;
    // One of `ONCEGATE_KEYS_…`.
    uint32_t keys;
    // The shortest key; default 1.
    uint64_t key_min_len;
    // The longest key; default 255.
    uint64_t key_max_len;
    // 1: keys that can be predicted are refused.
    uint32_t refuse_predictable_keys;
    // One of `ONCEGATE_CLOCK_…`.
    uint32_t clock;
    // One of `ONCEGATE_LAPSE_…`; default: the next attempt follows.
    uint32_t on_lapse;
    // One of `ONCEGATE_FULL_…`.
    uint32_t on_full;
    // The quota of every scope that has none of its own; default: none.
    struct oncegate_quota default_quota;
    // The quota of the unauthenticated scope; default: a sixteenth of the capacity.
    struct oncegate_quota unauthenticated_quota;
    // 1: all memory is faulted in when the engine is opened.
    uint32_t prefault;
    // 1: the smallest engine, for tests that want to see it full.
    uint32_t tiny;
    // Shares of the capacity at which there is an event.
    const double *fill_levels;
    // How many; at most 16.
    size_t fill_level_count;
    // How often a thread of the engine sweeps; default: none does.
    uint64_t ticker_period_ms;
    // 1: a thread of the engine sees to retries that are due.
    uint32_t driver;
    // One of `ONCEGATE_LETTERS_…`.
    uint32_t on_letters_full;
    // Attempts that this process is handed out at a time; default: no limit.
    uint64_t max_in_flight;
    // Records that may be retried, or be dead letters, at a time.
    uint64_t max_retrying;
    // The largest context of a retry, in bytes.
    uint64_t context_limit;
    // The room for the finished steps of a record, in bytes.
    uint64_t steps_limit;
    // Dead letters at a time.
    uint64_t max_dead_letters;
    // The seed of the jitter, for tests; `ONCEGATE_ZERO` for zero. Default: from the system.
    uint64_t jitter_seed;
} oncegate_options;

// What a sweep did.
typedef struct oncegate_swept {
    // Slots that were visited.
    uint64_t visited;
    // Records that were over, and are gone.
    uint64_t cleared;
    // Leases that were found lapsed.
    uint64_t lapsed;
} oncegate_swept;

// Something that the engine noticed by itself.
typedef struct oncegate_event {
    // One of `ONCEGATE_EVENT_…`; later versions may know more.
    uint32_t kind;
    // The process that began what is stuck, by its number in the table's registry; zero: none.
    uint32_t process;
    // The level that was reached, as a share of the capacity.
    double level;
    // The live records, as a share of the capacity.
    double fill;
    // The slot of the table that is stuck.
    uint64_t slot;
    // For how long at least it has been, in milliseconds.
    uint64_t stands_ms;
    // The event as a line for a log, zero-terminated.
    char text[128];
} oncegate_event;

// A name and a value: a header of a response.
typedef struct oncegate_pair {
    // UTF-8, 1 to 255 bytes.
    struct oncegate_bytes name;
    // UTF-8, at most 8,192 bytes.
    struct oncegate_bytes value;
} oncegate_pair;

// What an attempt leaves for its duplicates.
typedef struct oncegate_outcome {
    // `sizeof(oncegate_outcome)`.
    size_t struct_size;
    // A number of the caller's, such as an HTTP status; at most 65,535.
    uint32_t status;
    // 1: the record ends, and duplicates get the number alone, as `ONCEGATE_OUTCOME_GONE`.
    uint32_t withheld;
    // The bytes.
    struct oncegate_bytes body;
    // Names and values beside them, at most 16 KiB in all.
    const struct oncegate_pair *metadata;
    // How many.
    size_t metadata_count;
} oncegate_outcome;

// What a lease says.
typedef struct oncegate_lease_info {
    // For downstream stores, which refuse a token that is lower than one they have seen.
    uint64_t fencing_token;
    // How long the lease lasts, unless it is renewed, in milliseconds.
    uint64_t remaining_ms;
    // The attempt, from 1 on.
    uint32_t attempt;
    // One of `ONCEGATE_HOW_…`: why it was admitted.
    uint32_t how;
} oncegate_lease_info;

// Quantiles of one call in 1,024, in nanoseconds; zero: no sample yet.
typedef struct oncegate_latency {
    // The median.
    uint64_t p50_ns;
    // 99 % of the calls took at most this long.
    uint64_t p99_ns;
    // 99.9 % of the calls took at most this long.
    uint64_t p999_ns;
} oncegate_latency;

// Counts of this process since the engine was opened, and levels of the table.
typedef struct oncegate_stats {
    // `sizeof(oncegate_stats)`.
    size_t struct_size;
    // Requests that were begun.
    uint64_t begun;
    // Records that were made.
    uint64_t created;
    // Requests that met a record.
    uint64_t reused;
    // Attempts that followed a window that was over, or a lease that had lapsed.
    uint64_t expired;
    // Attempts that followed a failed one.
    uint64_t retried;
    // Duplicates that got the outcome.
    uint64_t replayed;
    // Duplicates that met a running attempt.
    uint64_t in_progress;
    // Duplicates that came before the next attempt was due.
    uint64_t scheduled;
    // Duplicates with another payload.
    uint64_t mismatched;
    // Duplicates of a record in doubt.
    uint64_t unresolved;
    // Duplicates of a record whose outcome is gone.
    uint64_t outcome_gone;
    // Calls that were refused by the fencing token.
    uint64_t fenced;
    // Leases that lapsed.
    uint64_t lapsed;
    // Attempts that were completed.
    uint64_t completed;
    // Records that gave way when their window was over.
    uint64_t evicted_expired;
    // Records that gave way before.
    uint64_t evicted_early;
    // Outcomes that gave way to others.
    uint64_t outcomes_evicted;
    // Requests that found no room.
    uint64_t full;
    // Requests that a quota refused.
    uint64_t quota;
    // Callers that wait.
    uint64_t waiters;
    // Attempts that were handed over to a waiter.
    uint64_t hand_offs;
    // Records that run.
    uint64_t live_running;
    // Records that wait for their next attempt.
    uint64_t live_waiting;
    // Records that succeeded.
    uint64_t live_succeeded;
    // Records that failed for good.
    uint64_t live_failed;
    // Records in doubt.
    uint64_t live_unknown;
    // Attempts that were put off.
    uint64_t retries_scheduled;
    // Records that the engine retries now.
    uint64_t retries_waiting;
    // Attempts that are ready for workers.
    uint64_t retries_ready;
    // Attempts that workers run.
    uint64_t retries_in_flight;
    // Dead letters that are there.
    uint64_t dead_letters;
    // Dead letters that were made.
    uint64_t buried;
    // Dead letters that were driven again.
    uint64_t redriven;
    // Dead letters that were discarded.
    uint64_t discarded;
    // Dead letters that found no room.
    uint64_t letters_lost;
    // Transitions that stand still.
    uint64_t stuck;
    // Memory of the table, in bytes.
    uint64_t bytes;
    // Live records as a share of the capacity.
    double fill;
    // Outcomes as a share of their room.
    double outcome_fill;
    // The factor of adaptive backoff; zero: it is off.
    double backoff_factor;
    // How long beginning takes.
    struct oncegate_latency begin;
    // How long completing takes.
    struct oncegate_latency complete;
    // How long after they were due attempts are handed out.
    struct oncegate_latency dispatch_lag;
} oncegate_stats;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Asks to run a request.
//
// `options`, `buffer` and `error` may be `NULL`. A stored outcome is written into `buffer`;
// where it does not fit the call returns `ONCEGATE_BUFFER_TOO_SMALL` with the size in
// `buffer->needed`, and can be made again. With `wait_ms` it blocks while another attempt runs;
// otherwise never. Any thread may call it. Whoever gets `ONCEGATE_ADMITTED` ends the lease by
// `oncegate_lease_complete`, `oncegate_lease_fail`, `oncegate_lease_abandon` or
// `oncegate_retry_later`.
oncegate_status oncegate_begin(const struct oncegate_engine *engine,
                               const struct oncegate_request *request,
                               const struct oncegate_begin_options *options,
                               struct oncegate_buffer *buffer,
                               struct oncegate_admission *admission,
                               struct oncegate_error *error);

// The same with digests that the caller has made, and vouches for. Such a record is never met by
// a request that the engine has hashed.
oncegate_status oncegate_begin_hashed(const struct oncegate_engine *engine,
                                      const struct oncegate_hashed *hashed,
                                      const struct oncegate_begin_options *options,
                                      struct oncegate_buffer *buffer,
                                      struct oncegate_admission *admission,
                                      struct oncegate_error *error);

// Asks to run many requests: answer `i` belongs to request `i`.
//
// Costs less than as many calls: the crossing once, and in a large table most of the time of the
// look-ups. Each request is answered for itself, in `admissions[i].status` and `.verdict`; the
// call is refused as a whole only where its own arguments are wrong. Outcomes share `buffer`:
// one that finds no room has the status `ONCEGATE_BUFFER_TOO_SMALL`, and can be asked for again;
// `buffer->needed` is what all of them need. At most 65,536; never waits.
oncegate_status oncegate_begin_batch(const struct oncegate_engine *engine,
                                     const struct oncegate_request *requests,
                                     size_t count,
                                     const struct oncegate_begin_options *options,
                                     struct oncegate_buffer *buffer,
                                     struct oncegate_admission *admissions,
                                     struct oncegate_error *error);

// The same with digests that the caller has made.
oncegate_status oncegate_begin_hashed_batch(const struct oncegate_engine *engine,
                                            const struct oncegate_hashed *hashed,
                                            size_t count,
                                            const struct oncegate_begin_options *options,
                                            struct oncegate_buffer *buffer,
                                            struct oncegate_admission *admissions,
                                            struct oncegate_error *error);

// Writes the fingerprint of a request under the engine's secret: 32 bytes.
//
// The same for the same scope, operation and key; the payload plays no part in it, unless it
// stands in for the key. For logs and tests.
oncegate_status oncegate_fingerprint(const struct oncegate_engine *engine,
                                     const struct oncegate_request *request,
                                     uint8_t *fingerprint,
                                     struct oncegate_error *error);

// Opens an engine, and gives its handle, which `oncegate_engine_close` ends.
//
// The options are read during the call alone. Any thread may call it. Besides what is wrong with
// an option, `ONCEGATE_INVALID_CONFIG` or `ONCEGATE_BAD_VALUE` with its name in `error.field`,
// it returns what the memory or the file of a shared table refuses.
oncegate_status oncegate_engine_open(const struct oncegate_options *options,
                                     struct oncegate_engine **engine,
                                     struct oncegate_error *error);

// Closes an engine. `NULL` is fine, and nothing happens.
//
// Calls that are under way in other threads are waited for; those that block return at once,
// with `ONCEGATE_CLOSED`. Leases that are held stay as they are: they lapse, unless
// another process of the host ends them. A handle that was closed before is
// `ONCEGATE_BAD_HANDLE`.
oncegate_status oncegate_engine_close(struct oncegate_engine *engine, struct oncegate_error *error);

// How many bytes of memory an engine with these options takes. Nothing is opened.
oncegate_status oncegate_required_bytes(const struct oncegate_options *options,
                                        uint64_t *bytes,
                                        struct oncegate_error *error);

// Moves the clock of an engine that was opened with `ONCEGATE_CLOCK_MANUAL`, for tests.
//
// Whoever waits is woken. Returns `ONCEGATE_BAD_VALUE` for an engine with another clock.
oncegate_status oncegate_engine_advance_clock(const struct oncegate_engine *engine,
                                              uint64_t by_ms,
                                              struct oncegate_error *error);

// Looks at the next `slots` slots of the table for what is over: records whose window has ended,
// leases that have lapsed. Needed only without a ticker, and only for memory and for waiters:
// every call looks at what it meets anyway. `swept` may be `NULL`.
oncegate_status oncegate_engine_sweep(const struct oncegate_engine *engine,
                                      size_t slots,
                                      struct oncegate_swept *swept,
                                      struct oncegate_error *error);

// Takes the oldest events, at most `capacity`, and tells how many were lost before.
//
// The engine keeps the last 256. `lost` may be `NULL`. Any thread may call it.
oncegate_status oncegate_engine_events(const struct oncegate_engine *engine,
                                       struct oncegate_event *events,
                                       size_t capacity,
                                       size_t *count,
                                       uint64_t *lost,
                                       struct oncegate_error *error);

// Gives a scope a quota of its own. All zeros: no limits.
oncegate_status oncegate_engine_set_quota(const struct oncegate_engine *engine,
                                          uint32_t scope_kind,
                                          struct oncegate_bytes scope_name,
                                          const struct oncegate_quota *quota,
                                          struct oncegate_error *error);

// Takes the quota of a scope back: the default one holds again.
oncegate_status oncegate_engine_remove_quota(const struct oncegate_engine *engine,
                                             uint32_t scope_kind,
                                             struct oncegate_bytes scope_name,
                                             struct oncegate_error *error);

// Ends the uncertainty about a request of which nobody knows whether it took effect.
//
// `resolution` is one of `ONCEGATE_RESOLVED_…`; `outcome` is for the first two, and may be `NULL`.
// The payload of the request plays no part. Returns `ONCEGATE_NOT_FOUND` where there is no such
// record, or it is not in doubt.
oncegate_status oncegate_engine_resolve(const struct oncegate_engine *engine,
                                        const struct oncegate_request *request,
                                        uint32_t resolution,
                                        const struct oncegate_outcome *outcome,
                                        struct oncegate_error *error);

// Begins to rotate the secret of the fingerprints: records under the old one are still found.
oncegate_status oncegate_engine_rotate_secret(const struct oncegate_engine *engine,
                                              struct oncegate_bytes secret,
                                              struct oncegate_error *error);

// Ends the rotation: records under the old secret are no longer found.
oncegate_status oncegate_engine_finish_rotation(const struct oncegate_engine *engine,
                                                struct oncegate_error *error);

// Sees to what processes left that died, and tells how many there were. `buried` may be `NULL`.
oncegate_status oncegate_engine_bury_dead(const struct oncegate_engine *engine,
                                          size_t *buried,
                                          struct oncegate_error *error);

// Looks at the attempt of a lease that came from elsewhere.
//
// Returns `ONCEGATE_FENCED` where it has been followed by another or has ended, so that it need
// not be started. Any thread may call it.
oncegate_status oncegate_lease_take_up(const struct oncegate_engine *engine,
                                       const struct oncegate_lease *lease,
                                       struct oncegate_lease_info *info,
                                       struct oncegate_error *error);

// Has the lease last for `duration_ms` from now on, 1 ms to a year, and tells how long it lasts.
//
// `remaining_ms` may be `NULL`. Returns `ONCEGATE_FENCED` where the attempt is no longer the
// caller's: it must stop, and undo what it can. Any thread may call it.
oncegate_status oncegate_lease_renew(const struct oncegate_engine *engine,
                                     const struct oncegate_lease *lease,
                                     uint64_t duration_ms,
                                     uint64_t *remaining_ms,
                                     struct oncegate_error *error);

// Ends the attempt with success: duplicates get the outcome inside the dedup window.
//
// `outcome` may be `NULL`: an empty one with the number 0. `stored` may be `NULL`; it tells
// whether duplicates get the bytes, `ONCEGATE_STORED` or `ONCEGATE_STORED_WITHOUT_BYTES`. Returns
// `ONCEGATE_FENCED` where the attempt is no longer the caller's. Any thread may call it.
oncegate_status oncegate_lease_complete(const struct oncegate_engine *engine,
                                        const struct oncegate_lease *lease,
                                        const struct oncegate_outcome *outcome,
                                        uint32_t *stored,
                                        struct oncegate_error *error);

// Ends the attempt with a failure of `kind`, one of `ONCEGATE_FAILURE_…`.
//
// `delay_ms` is for a retryable one, at most a year; `outcome` for a terminal one, and may be
// `NULL` otherwise. Returns `ONCEGATE_FENCED` where the attempt is no longer the caller's. Any
// thread may call it.
oncegate_status oncegate_lease_fail(const struct oncegate_engine *engine,
                                    const struct oncegate_lease *lease,
                                    uint32_t kind,
                                    uint64_t delay_ms,
                                    const struct oncegate_outcome *outcome,
                                    struct oncegate_error *error);

// Gives the attempt back as if it had not begun: the next caller gets it at once.
//
// Returns `ONCEGATE_FENCED` where the attempt is no longer the caller's. Any thread may call it.
oncegate_status oncegate_lease_abandon(const struct oncegate_engine *engine,
                                       const struct oncegate_lease *lease,
                                       struct oncegate_error *error);

// Writes the statistics; set `stats->struct_size` before. Sums over all threads of the process:
// some microseconds, and a look at every slot now and then. Any thread may call it.
oncegate_status oncegate_engine_stats(const struct oncegate_engine *engine,
                                      struct oncegate_stats *stats,
                                      struct oncegate_error *error);

// The version of the library, zero-terminated; it is never freed.
const char *oncegate_version(void);

// The version of the header that the library was made with.
uint32_t oncegate_abi_version(void);

// Whether the library knows all of the header that the caller was compiled with: pass
// `ONCEGATE_ABI_VERSION`. Returns `ONCEGATE_UNSUPPORTED` where the library is older.
oncegate_status oncegate_check_abi(uint32_t version, struct oncegate_error *error);

// The name and the text of a status, and whether the same call may work later; each may be
// `NULL`. The bytes are the library's, for ever. Returns `ONCEGATE_BAD_VALUE` for a number that
// is no status.
oncegate_status oncegate_status_describe(oncegate_status status,
                                         struct oncegate_bytes *name,
                                         struct oncegate_bytes *text,
                                         uint32_t *transient,
                                         struct oncegate_error *error);

// Reads a pair of metadata. `packed` is the part of the buffer that an `oncegate_stored_outcome`
// names; `*cursor` is zero for the first pair, and is moved on. `name` and `value` are parts of
// `packed`. Returns `ONCEGATE_NOT_FOUND` when there are no more.
oncegate_status oncegate_metadata_next(struct oncegate_bytes packed,
                                       size_t *cursor,
                                       struct oncegate_bytes *name,
                                       struct oncegate_bytes *value,
                                       struct oncegate_error *error);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

/* What every structure that may grow begins as: zeros, and its size. */
static inline oncegate_options oncegate_options_init(void) {
    oncegate_options options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    return options;
}

static inline oncegate_begin_options oncegate_begin_options_init(void) {
    oncegate_begin_options options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    return options;
}

static inline oncegate_request oncegate_request_init(void) {
    oncegate_request request;
    memset(&request, 0, sizeof request);
    request.struct_size = sizeof request;
    return request;
}

static inline oncegate_outcome oncegate_outcome_init(void) {
    oncegate_outcome outcome;
    memset(&outcome, 0, sizeof outcome);
    outcome.struct_size = sizeof outcome;
    return outcome;
}

static inline oncegate_stats oncegate_stats_init(void) {
    oncegate_stats stats;
    memset(&stats, 0, sizeof stats);
    stats.struct_size = sizeof stats;
    return stats;
}

static inline oncegate_error oncegate_error_init(void) {
    oncegate_error error;
    memset(&error, 0, sizeof error);
    error.struct_size = sizeof error;
    return error;
}

/* The bytes of a zero-terminated string. */
static inline oncegate_bytes oncegate_text(const char *text) {
    oncegate_bytes bytes;
    bytes.data = (const uint8_t *)text;
    bytes.len = strlen(text);
    return bytes;
}

#endif /* ONCEGATE_H */
