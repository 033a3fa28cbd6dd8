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
 * ONCEGATE_FORKED, in a child that has no part in its table. What a function is given may be
 * refused, too:
 * - oncegate_bytes that have to be UTF-8: ONCEGATE_NOT_UTF8;
 * - oncegate_lease: ONCEGATE_INVALID_TOKEN, where the bytes are no lease;
 * - oncegate_request: ONCEGATE_INVALID_KEY, ONCEGATE_INVALID_SCOPE, ONCEGATE_INVALID_OPERATION,
 *   ONCEGATE_INVALID_PAYLOAD, ONCEGATE_NOT_UTF8;
 * - oncegate_hashed: ONCEGATE_INVALID_SCOPE;
 * - oncegate_begin_options: ONCEGATE_INVALID_OPTION;
 * - oncegate_engine, of one that has a tier: ONCEGATE_TIER_UNAVAILABLE, where that has to be asked
 *   and gives no answer; ONCEGATE_TIER_UNSAFE, where it may not be used as it is;
 * - oncegate_outcome and oncegate_attempt_error: ONCEGATE_INVALID_OUTCOME, ONCEGATE_NOT_UTF8.
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

// Tokens, which retries or failures take, and successes and time bring (gRPC A6, AWS SDKs).
#define ONCEGATE_BUDGET_BUCKET 0

// A share of the first attempts of the last seconds (Finagle, whose defaults it has).
#define ONCEGATE_BUDGET_RATIO 1

// A share of the requests under way (Envoy, whose defaults it has).
#define ONCEGATE_BUDGET_CONCURRENCY 2

// 100 tokens: a retry costs 5, a success brings 1, time brings nothing.
#define ONCEGATE_BUCKET_PLAIN 0

// gRPC A6: a failure costs 1, and no retries while half of the tokens or less are there.
// `capacity` is `maxTokens`, a whole number up to 1,000, and `success` is `tokenRatio`; their
// defaults are the proposal's example, 10 and 0.1.
#define ONCEGATE_BUCKET_GRPC 1

// AWS SDKs, `standard`: 500 tokens; a retry costs 5, after a time-out 10; one that succeeds brings
// back what it cost, and a success without a retry brings 1.
#define ONCEGATE_BUCKET_AWS_STANDARD 2

// AWS SDKs as of 2026: the same, but a retry costs 14, and after throttling 5.
#define ONCEGATE_BUCKET_AWS_2026 3

// A retry that is allowed takes tokens.
#define ONCEGATE_CHARGE_RETRY 1

// Each failure that could be retried takes tokens, whether it is or not.
#define ONCEGATE_CHARGE_FAILURE 2

// It is tried again.
#define ONCEGATE_BURIED_NONE 0

// As many attempts failed, or lapsed, as the policy allows.
#define ONCEGATE_BURIED_ATTEMPTS 1

// No further attempt fits before the policy's deadline.
#define ONCEGATE_BURIED_DEADLINE 2

// A retry budget was spent.
#define ONCEGATE_BURIED_BUDGET 3

// The error was terminal, or the service said not to retry.
#define ONCEGATE_BURIED_FINAL_ERROR 4

// Its last attempt lapsed, and no limit ended it.
#define ONCEGATE_BURIED_LAPSED 5

// In a field where zero means "as by default": zero itself.
#define ONCEGATE_ZERO UINT64_MAX

// The same in a field of the type `double`: zero itself, where zero means "as by default".
#define ONCEGATE_ZERO_F64 -1.0

// How many characters `oncegate_downstream_key` writes, with the final zero.
#define ONCEGATE_DOWNSTREAM_KEY_SIZE 44

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

// The IETF draft on the header `Idempotency-Key`.
#define ONCEGATE_OUTCOMES_IETF 0

// Stripe's API v1: every result is replayed once the operation began.
#define ONCEGATE_OUTCOMES_STRIPE_V1 1

// Stripe's API v2: success never repeats, and what failed is driven on.
#define ONCEGATE_OUTCOMES_STRIPE_V2 2

// OASIS Repeatable Requests 1.0.
#define ONCEGATE_OUTCOMES_OASIS 3

// The REST catalog of Apache Iceberg.
#define ONCEGATE_OUTCOMES_ICEBERG 4

// The result is stored, and duplicates get it: `oncegate_lease_complete`.
#define ONCEGATE_JUDGED_FINAL 1

// The next attempt may start: `oncegate_retry_later`, or a retryable `oncegate_lease_fail`.
#define ONCEGATE_JUDGED_RETRYABLE 2

// Nobody knows whether it took effect: an unknown `oncegate_lease_fail`.
#define ONCEGATE_JUDGED_UNKNOWN 3

// `GET`, `HEAD`, `OPTIONS`, `TRACE`, `QUERY`, `PROPFIND`, `REPORT`, `SEARCH`: run it as often as
// it comes; no record is needed.
#define ONCEGATE_METHOD_SAFE 1

// `PUT`, `DELETE`: the payload stands in for a key, unless the client gave one.
#define ONCEGATE_METHOD_PAYLOAD_DEDUP 2

// All others: refuse the request unless it carries a key.
#define ONCEGATE_METHOD_KEY_REQUIRED 3

// Something that may be over by itself: a refused connection, an error of the server's.
#define ONCEGATE_KIND_TRANSIENT 0

// The service asked for less.
#define ONCEGATE_KIND_THROTTLED 1

// No answer came in time.
#define ONCEGATE_KIND_TIMEOUT 2

// The service said nothing about retrying.
#define ONCEGATE_HINT_NONE 0

// Not before some time has passed.
#define ONCEGATE_HINT_AFTER 1

// Not at all.
#define ONCEGATE_HINT_REFUSED 2

// A worker gets the next attempt.
#define ONCEGATE_LATER_SCHEDULED 1

// There is no next attempt: the record has failed, and is a dead letter where there is room.
#define ONCEGATE_LATER_BURIED 2

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

// Duplicates on this host get the outcome; the tier hears of it as soon as it can be reached.
#define ONCEGATE_STORED_HERE 3

// The next attempt may start, after the delay.
#define ONCEGATE_FAILURE_RETRYABLE 0

// It failed for good: duplicates get the outcome.
#define ONCEGATE_FAILURE_TERMINAL 1

// Nobody knows whether it took effect: it never runs again until that is resolved.
#define ONCEGATE_FAILURE_UNKNOWN 2

// It failed, and said so.
#define ONCEGATE_END_FAILED 1

// Its lease lapsed, or its process died.
#define ONCEGATE_END_LAPSED 2

// It was given back without an error.
#define ONCEGATE_END_GIVEN_BACK 3

// How many attempts a history tells of at most.
#define ONCEGATE_PAST_ATTEMPTS 8

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

// The backoff and the jitter that the other fields name.
#define ONCEGATE_POLICY_CUSTOM 0

// AWS SDKs, `standard`: full jitter below 1 s, 2 s, 4 s and so on, at most 20 s; 3 attempts.
#define ONCEGATE_POLICY_AWS_STANDARD 1

// AWS SDKs as of 2026: full jitter below 50 ms, 100 ms and so on, at most 20 s; 3 attempts.
#define ONCEGATE_POLICY_AWS_2026 2

// The same after throttling: full jitter below 1 s, 2 s and so on.
#define ONCEGATE_POLICY_AWS_2026_THROTTLED 3

// gRPC A6 with values of one's own: `initial_ms`, `multiplier`, `max_ms`, `max_attempts` (above 5:
// 5), which have no defaults there.
#define ONCEGATE_POLICY_GRPC 4

// gRPC A6 with the values of its example: 100 ms, doubled up to 1 s, by a fifth to either side; 4
// attempts.
#define ONCEGATE_POLICY_GRPC_EXAMPLE 5

// Resilience4j's random exponential interval: 500 ms, 750 ms and so on, by one half to either
// side, without a ceiling; 3 attempts.
#define ONCEGATE_POLICY_RESILIENCE4J 6

// Polly v8, exponential with jitter: a base of 2 s, without a ceiling; 4 attempts.
#define ONCEGATE_POLICY_POLLY_V8 7

// Celery's `Task.retry`: 180 s each time; 4 attempts.
#define ONCEGATE_POLICY_CELERY 8

// Celery's `retry_backoff`: full jitter below 1 s, 2 s and so on, at most 600 s; 4 attempts.
#define ONCEGATE_POLICY_CELERY_BACKOFF 9

// Retry k after `initial_ms` times `multiplier` to the power of k - 1, at most `max_ms`.
#define ONCEGATE_BACKOFF_EXPONENTIAL 0

// Retry k after `initial_ms` and k - 1 times `increment_ms`, at most `max_ms`.
#define ONCEGATE_BACKOFF_LINEAR 1

// Each retry after `initial_ms`.
#define ONCEGATE_BACKOFF_CONSTANT 2

// Retry k after number k of `delays_ms`, of which the last one is repeated.
#define ONCEGATE_BACKOFF_LIST 3

// The delay as the backoff names it. Clients that failed together meet again.
#define ONCEGATE_JITTER_NONE 0

// From nothing to the whole delay.
#define ONCEGATE_JITTER_FULL 1

// One half of the delay, and a draw from nothing to the other half.
#define ONCEGATE_JITTER_EQUAL 2

// From the first delay to three times the one before. For exponential backoffs.
#define ONCEGATE_JITTER_DECORRELATED 3

// `jitter_share` of the delay to either side.
#define ONCEGATE_JITTER_PROPORTIONAL 4

// The formula of Polly v8. For exponential backoffs.
#define ONCEGATE_JITTER_DECORRELATED_V2 5

// Nobody knows it yet: it is asked again later.
#define ONCEGATE_RESOLVED_UNKNOWN 3

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

// The store across machines gave no answer, or may have forgotten records.
#define ONCEGATE_TIER_UNAVAILABLE 28

// The store across machines endangers what is promised, or refuses this user.
#define ONCEGATE_TIER_UNSAFE 29

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

// While the tier gives no answer nothing new is run: `ONCEGATE_TIER_UNAVAILABLE`.
#define ONCEGATE_ON_OUTAGE_REFUSE 0

// The table of this host alone decides, unless the tier is known to have forgotten records.
#define ONCEGATE_ON_OUTAGE_LOCAL_ONLY 1

// The table of this host alone decides.
#define ONCEGATE_ON_OUTAGE_RUN 2

// The server may evict records before their time is over.
#define ONCEGATE_HAZARD_EVICTS 1

// The server is almost full, and will refuse what is new.
#define ONCEGATE_HAZARD_ALMOST_FULL 2

// A restart of the server forgets records.
#define ONCEGATE_HAZARD_NOT_PERSISTENT 4

// The server's clock is behind the fencing tokens that it gave.
#define ONCEGATE_HAZARD_CLOCK_BEHIND 8

// Something that this version of the header has no name for.
#define ONCEGATE_HAZARD_OTHER 2147483648

// The version of this header: what the library has to know. It grows with every addition; what
// is not an addition changes the name of the library.
#define ONCEGATE_ABI_VERSION 1

// A descriptor for an event loop, behind a handle. Any thread may use it.
typedef struct oncegate_due oncegate_due;

// An engine, behind a handle: it has the type of a pointer, and is none. Any thread may use it.
typedef struct oncegate_engine oncegate_engine;

// Timers, behind a handle. Any thread may use them, several at once.
typedef struct oncegate_timers oncegate_timers;

// A set of waits, behind a handle. Any thread may use it, several at once.
typedef struct oncegate_waits oncegate_waits;

// Whether a call worked: `ONCEGATE_OK`, or why not.
typedef int32_t oncegate_status;

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

// A due attempt, with what is needed to run it. It ends as one that was begun does.
typedef struct oncegate_attempt {
    // The lease.
    struct oncegate_lease lease;
    // For downstream stores, which refuse a token that is lower than one they have seen.
    uint64_t fencing_token;
    // How long the lease lasts, unless it is renewed, in milliseconds.
    uint64_t remaining_ms;
    // The attempt, from 2 on.
    uint32_t attempt;
    // Zero.
    uint32_t reserved;
    // Where its operation begins in the buffer; UTF-8.
    size_t operation_offset;
    // How many bytes it has.
    size_t operation_len;
    // Where its context begins: the bytes that `oncegate_retry_later` was given.
    size_t context_offset;
    // How many bytes it has.
    size_t context_len;
} oncegate_attempt;

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
    // How long the lease lasts, or until the next attempt is due, in milliseconds. In an element
    // that was refused: after which time to ask again, as `retry_after_ms` of an error; zero where
    // nobody knows.
    uint64_t time_ms;
    // Where the outcome lies in the buffer, with `ONCEGATE_REPLAYED`.
    struct oncegate_stored_outcome outcome;
} oncegate_admission;

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

// A retry budget. Zeros: the defaults of its kind and preset. `ONCEGATE_ZERO` and
// `ONCEGATE_ZERO_F64` stand for zero itself. What is for another kind has to be zero.
//
// Tokens and shares have three decimals.
typedef struct oncegate_budget {
    // `sizeof(oncegate_budget)`.
    size_t struct_size;
    // One of `ONCEGATE_BUDGET_…`.
    uint32_t kind;
    // One of `ONCEGATE_BUCKET_…`, for a bucket.
    uint32_t preset;
    // What errors call it: UTF-8, at most 255 bytes.
    struct oncegate_bytes name;
    // Of a bucket: tokens at the start and at most, 1 to 10,000.
    double capacity;
    // What a retry costs after an error that may pass, 0.001 to the capacity, as the next two.
    double cost_transient;
    // After the service said that it is asked too often.
    double cost_throttled;
    // After a time-out, or where there was no connection.
    double cost_timeout;
    // One of `ONCEGATE_CHARGE_…`, or zero: as the preset has it.
    uint32_t charge;
    // Whether a retry that succeeds brings back what it cost, instead of `success`: 1 yes, 2 no,
    // zero: as the preset has it.
    uint32_t refund_cost;
    // No retries while that many tokens or fewer are there, below the capacity.
    double threshold;
    // How many tokens a success brings, up to the capacity.
    double success;
    // How many tokens time brings each second, 0.001 to 10,000; default: none.
    double refill_per_second;
    // Of a ratio budget: retries for each first attempt, 0 to 1,000; default 0.2.
    double ratio;
    // Retries a second that are always allowed, at most 1,000,000; default 10.
    uint64_t min_per_second;
    // How long attempts count, 1 to 60 s; default 10 s.
    uint64_t ttl_ms;
    // Into how many slices that time is cut, 2 to 60; default 10.
    uint64_t slices;
    // Of a concurrency budget: the share of requests under way that may be retries, 0 to 1;
    // default 0.2.
    double share;
    // So many retries are always allowed at once; default 3.
    uint64_t min_retries;
} oncegate_budget;

// What one look at what is due did.
typedef struct oncegate_driven {
    // How many records were looked at, because something of theirs was due.
    uint64_t looked_at;
    // How many attempts are ready for workers now.
    uint64_t ready;
    // How long until something is due again, in milliseconds; `UINT64_MAX`: nothing is.
    uint64_t due_in_ms;
    // 1: the limit ended it, and there may be more.
    uint32_t more;
    // Zero.
    uint32_t reserved;
} oncegate_driven;

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

// When to try again, and when to stop.
//
// Zeros: exponential from 1 s on, doubled up to 120 s, without jitter, 3 attempts in all. A preset
// brings backoff, jitter and attempts of its own. Beside one, `backoff`, `jitter`, `jitter_share`,
// `multiplier`, `initial_ms`, `increment_ms`, `max_ms` and `delays_ms` are zero
// (`ONCEGATE_POLICY_GRPC` says which of them it takes); all other fields take the place of what
// the preset says.
typedef struct oncegate_retry_policy {
    // `sizeof(oncegate_retry_policy)`.
    size_t struct_size;
    // One of `ONCEGATE_POLICY_…`.
    uint32_t preset;
    // One of `ONCEGATE_BACKOFF_…`.
    uint32_t backoff;
    // One of `ONCEGATE_JITTER_…`.
    uint32_t jitter;
    // How many attempts there are at most, the first one included; default 3, or the preset's.
    uint32_t max_attempts;
    // Of an exponential backoff, 1 to 1,000; default 2.
    double multiplier;
    // Of proportional jitter, above 0 and at most 1; default 0.2, as gRPC has it.
    double jitter_share;
    // The first delay, at most ten years, as all delays; default 1 s. `ONCEGATE_ZERO` for zero,
    // which an exponential backoff refuses.
    uint64_t initial_ms;
    // Of a linear backoff; default 1 s.
    uint64_t increment_ms;
    // No delay is longer, jitter included; default 120 s for an exponential or linear backoff, and
    // otherwise no ceiling.
    uint64_t max_ms;
    // The delays of a list; zeros are zero here.
    const uint64_t *delays_ms;
    // How many, 1 to 1,024.
    size_t delay_count;
    // How long all attempts and delays may take together, at most ten years; default: no deadline.
    uint64_t deadline_ms;
    // How long an attempt is expected to take, until that has been measured; default: nothing.
    uint64_t expected_ms;
    // How long one attempt may run, at most a year; default: the lease of the engine.
    uint64_t attempt_timeout_ms;
    // 1: what a server says about retrying is ignored.
    uint32_t ignore_hints;
    // Zero.
    uint32_t reserved;
    // A server's hint that is shorter counts as this long; default: zero.
    uint64_t hint_min_ms;
    // One that is longer counts as this long; default: an hour.
    uint64_t hint_max_ms;
    // A hint lengthens the delay that was drawn by at most this, and never shortens it. Default:
    // no such limit, and it may shorten it; 5 s with `ONCEGATE_POLICY_AWS_2026` and its like.
    uint64_t hint_beyond_drawn_ms;
} oncegate_retry_policy;

// Targets, pace and bounds of an adaptive backoff. Zeros: the defaults. `ONCEGATE_ZERO` and
// `ONCEGATE_ZERO_F64` stand for zero itself.
typedef struct oncegate_adaptive {
    // `sizeof(oncegate_adaptive)`.
    size_t struct_size;
    // How late ready work may be started; default 100 ms.
    uint64_t lag_target_ms;
    // How much ready work may wait; default 1,000.
    uint64_t ready_target;
    // How many attempts may be under way; default 1,000.
    uint64_t in_flight_target;
    // How high the load of `oncegate_set_load` may be, 0 to 1; default 0.8.
    double load_target;
    // How long a change is left to show before the next one, 1 ms to an hour; default 1 s.
    uint64_t interval_ms;
    // After so long without any observation delays shrink by themselves, and a load is in force no
    // more; at most a day; default 10 s.
    uint64_t quiet_ms;
    // What the rate is multiplied by where something presses, 0.1 to 0.99; default 0.5.
    double decrease;
    // What is added to the rate where nothing does, 0.0001 to 1; default 0.05.
    double increase;
    // The inverse of the smallest rate, 1 to 1,000,000, as those below; default 16.
    double max_factor;
    // By how much delays are stretched at most; default 16.
    double max_base;
    // By how much ceilings are; default 4.
    double max_ceiling;
    // By how much the width of the jitter is; default 16.
    double max_width;
} oncegate_adaptive;

// A store in Redis or Valkey by which engines of several hosts share their records. All but the
// size and the URL may be zero: then the default holds, which the page of the Rust function of
// that name gives. Where zero itself is meant, say `ONCEGATE_ZERO`.
typedef struct oncegate_tier_options {
    // `sizeof(oncegate_tier_options)`.
    size_t struct_size;
    // The server: `redis://user:password@host:port/database`, `rediss://…` for TLS, or
    // `unix:///path/of/a/socket`.
    struct oncegate_bytes url;
    // What the names of all keys begin with, at most 64 bytes; default `oncegate:`.
    struct oncegate_bytes prefix;
    // 32 bytes: outcomes are stored encrypted with them. `NULL`: as they are.
    struct oncegate_bytes encryption_key;
    // 32 bytes that outcomes are still read with, and no longer written. `NULL`: none.
    struct oncegate_bytes retiring_key;
    // How long a call of the store may take, 1 ms to a minute; default 500 ms.
    uint64_t deadline_ms;
    // A call that takes longer counts as failed for the breaker; default: none does.
    uint64_t latency_objective_ms;
    // Leases are claimed for at most this long, and renewed by the engine; default: for all of it.
    uint64_t lease_slice_ms;
    // How much sooner than in the store a lease ends here; default: a fiftieth, and 10 ms.
    uint64_t margin_ms;
    // How often who waits looks without a notice; default 250 ms.
    uint64_t poll_every_ms;
    // How long nothing runs after the store may have forgotten records; default: the longest
    // lease.
    uint64_t quarantine_ms;
    // Ends of attempts that are kept while the store cannot be reached; default 65,536.
    uint64_t undelivered;
    // One of `ONCEGATE_ON_OUTAGE_…`.
    uint32_t on_outage;
    // 1: a server that may evict records is used; a request whose record it evicted runs again.
    uint32_t allow_eviction;
    // The certificate of the authority that the server's is checked with, in PEM. Default: those
    // that the system trusts.
    struct oncegate_bytes tls_root;
    // The certificate that shows the server who connects, in PEM, with `tls_key`. Default: none.
    struct oncegate_bytes tls_certificate;
    // Its key, in PEM.
    struct oncegate_bytes tls_key;
    // 1: the server is a node of a Cluster, whose others it names.
    uint32_t cluster;
    // Zero.
    uint32_t reserved;
    // How many dead letters of all hosts a stream of the server shows, 1 to 1,000,000, the same on
    // each host; default: there is none.
    uint64_t dead_letters;
    // How many replicas must have a grant or an end; default: none.
    uint64_t wait_replicas;
    // How long they are waited for; default 50 ms. Refused without `wait_replicas`.
    uint64_t wait_replicas_ms;
    // How large an outcome may be as it is stored, in bytes, at most 16 MiB; default 64 KiB.
    uint64_t outcome_limit;
    // Outcomes of that many bytes and more are compressed; default: none is.
    uint64_t compress_from;
    // What Sentinels call the primary. Default: there are none, and the server is that of the URL.
    struct oncegate_bytes sentinel_name;
    // Their URLs, separated by commas. The user, the password and whether TLS is spoken with the
    // primary are those of `url`, whose address is not used then.
    struct oncegate_bytes sentinels;
} oncegate_tier_options;

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
    // When records are tried again of operations that have no policy of their own. `NULL`: full
    // jitter below 1 s, 2 s, 4 s and so on, at most 120 s; ten attempts.
    const struct oncegate_retry_policy *retry_policy;
    // Draws delays out under load. `NULL`: never.
    const struct oncegate_adaptive *adaptive;
    // 1: questions about records that nobody knows the effect of are asked by
    // `oncegate_reconcile_poll`.
    uint32_t reconcile;
    // Zero.
    uint32_t reserved;
    // The store that is shared with engines of other hosts, which have the same `secret`. `NULL`:
    // none. It is connected to by the first request; while it is not there, `on_outage` says what
    // is answered. Blocking functions may take `deadline_ms` longer with it for each request;
    // those of waits never block. `ONCEGATE_INVALID_CONFIG` without a `secret`,
    // `ONCEGATE_UNSUPPORTED` where the library was built without Redis.
    const struct oncegate_tier_options *tier;
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

// Why an attempt failed, for its history and for the policy.
typedef struct oncegate_attempt_error {
    // `sizeof(oncegate_attempt_error)`.
    size_t struct_size;
    // One of `ONCEGATE_KIND_…`.
    uint32_t kind;
    // One of `ONCEGATE_HINT_…`: what the service said about retrying.
    uint32_t hint;
    // How long to wait, in milliseconds, with `ONCEGATE_HINT_AFTER`; zero otherwise.
    uint64_t hint_after_ms;
    // What went wrong, in UTF-8, 1 to 32 bytes: `timeout`, `503`. It is shown in histories, so it
    // may hold nothing of the request.
    struct oncegate_bytes error_class;
    // 1: it is never tried again, whatever the policy says.
    uint32_t terminal;
    // Zero.
    uint32_t reserved;
    // What duplicates get if this was the last attempt; `NULL`: status 500 without bytes.
    const struct oncegate_outcome *outcome;
} oncegate_attempt_error;

// What becomes of a record whose attempt failed.
typedef struct oncegate_later {
    // `ONCEGATE_LATER_SCHEDULED` or `ONCEGATE_LATER_BURIED`.
    uint32_t verdict;
    // One of `ONCEGATE_BURIED_…`: why there is no next attempt.
    uint32_t reason;
    // The attempt that is to come.
    uint32_t next_attempt;
    // 1, with `ONCEGATE_LATER_BURIED`: it is a dead letter, which can be looked at and redriven.
    // 0: there was no room for one.
    uint32_t kept;
    // How long until the next attempt may start, in milliseconds.
    uint64_t due_in_ms;
} oncegate_later;

// Where a field of a structure lies, or how large the structure is.
typedef struct oncegate_layout {
    // The structure, as the header calls it, zero-terminated. It is never freed.
    const char *structure;
    // The field, zero-terminated. `NULL`: the structure itself.
    const char *field;
    // Where the field begins, in bytes.
    size_t offset;
    // How many bytes it takes.
    size_t size;
} oncegate_layout;

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

// Which dead letters are meant. Zeros let all through.
typedef struct oncegate_letter_filter {
    // `sizeof(oncegate_letter_filter)`.
    size_t struct_size;
    // One of `ONCEGATE_BURIED_…`; `ONCEGATE_BURIED_NONE`: any.
    uint32_t reason;
    // Zero.
    uint32_t reserved;
    // Those of this operation; empty: any.
    struct oncegate_bytes operation;
    // Those whose last attempt ended with an error of this class; empty: any.
    struct oncegate_bytes error_class;
    // Those that were buried then or later, in milliseconds since 1970; zero: any.
    uint64_t since_unix_ms;
    // Those that were buried before then; zero: any.
    uint64_t until_unix_ms;
} oncegate_letter_filter;

// The name of a dead letter, as long as it is one. The command line writes it as `17-3`.
typedef struct oncegate_letter_id {
    // Its place in the table.
    uint32_t place;
    // Which of those who took that place one after the other it is.
    uint32_t generation;
} oncegate_letter_id;

// A record that failed for good, and where what is kept of it lies in the caller's buffer.
typedef struct oncegate_letter {
    // By which it is shown, redriven and discarded.
    struct oncegate_letter_id id;
    // One of `ONCEGATE_BURIED_…`: why it is not tried again.
    uint32_t reason;
    // How many attempts there were, all told.
    uint32_t attempts;
    // How many of them its history tells of, the first and the last; see `oncegate_letter_show`.
    uint32_t past_count;
    // How many were left out between those.
    uint32_t left_out;
    // How many steps were finished and not undone.
    uint32_t step_count;
    // Zero.
    uint32_t reserved;
    // When it failed for good, in milliseconds since 1970 by the wall clock.
    uint64_t buried_unix_ms;
    // Where the operation that would run it begins in the buffer.
    size_t operation_offset;
    // How many bytes it has.
    size_t operation_len;
    // Where the context begins, as `oncegate_retry_later` was given it.
    size_t context_offset;
    // How many bytes it has.
    size_t context_len;
    // Where the class of the last attempt's error begins.
    size_t class_offset;
    // How many bytes it has; none where the attempt lapsed or told no error.
    size_t class_len;
    // Where the names of the steps begin: `oncegate_metadata_next` reads them, each with an empty
    // value.
    size_t steps_offset;
    // How many bytes they take.
    size_t steps_len;
} oncegate_letter;

// What became of one attempt of a record.
typedef struct oncegate_past_attempt {
    // Its fencing token: what it wrote elsewhere carries it.
    uint64_t fencing_token;
    // When it was handed out to a worker, in milliseconds since 1970; zero: it was the first one,
    // or a caller's, or another process noted its end.
    uint64_t began_unix_ms;
    // When it ended, in milliseconds since 1970.
    uint64_t ended_unix_ms;
    // Its number, from 1 on.
    uint32_t attempt;
    // One of `ONCEGATE_END_…`; zero: an end that this header has no name for.
    uint32_t end;
    // The process that ran it, by its number in the table's registry.
    uint32_t process;
    // Zero.
    uint32_t reserved;
    // Where the class of its error begins in the buffer.
    size_t class_offset;
    // How many bytes it has; none: its holder told none.
    size_t class_len;
} oncegate_past_attempt;

// A record of which nobody knows whether its last attempt took effect.
typedef struct oncegate_question {
    // Names the question, for its answer. A fencing token would not do: it grows for each request,
    // and two requests may have the same.
    uint64_t id;
    // The fencing token of the attempt in doubt: what it wrote elsewhere carries it.
    uint64_t fencing_token;
    // The attempt in doubt.
    uint32_t attempt;
    // Zero.
    uint32_t reserved;
    // Where the operation that `oncegate_retry_later` was given begins in the buffer; UTF-8.
    size_t operation_offset;
    // How many bytes it has; zero: the record was never retried.
    size_t operation_len;
    // Where the context begins that it was given.
    size_t context_offset;
    // How many bytes it has.
    size_t context_len;
} oncegate_question;

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

// Where a finished step lies in the caller's buffer.
typedef struct oncegate_step {
    // Where its name begins in the buffer.
    size_t name_offset;
    // How many bytes it has.
    size_t name_len;
    // Where its result begins.
    size_t result_offset;
    // How many bytes it has.
    size_t result_len;
} oncegate_step;

// What an engine and its tier have done in this process.
typedef struct oncegate_tier_stats {
    // `sizeof(oncegate_tier_stats)`.
    size_t struct_size;
    // Claims that were granted.
    uint64_t granted;
    // Outcomes of other hosts that were stored here.
    uint64_t imported;
    // Requests that another host ran, or waits to run.
    uint64_t elsewhere;
    // Requests that were refused for want of an answer.
    uint64_t refused;
    // Attempts that the table of this host alone admitted.
    uint64_t local_only;
    // Calls of which nobody knows whether they were carried out.
    uint64_t unknown;
    // Ends of attempts that wait to be told.
    uint64_t undelivered;
    // Those that were told later.
    uint64_t delivered_late;
    // Those that were lost for want of room.
    uint64_t undelivered_lost;
    // Attempts that ran here, and that the tier contradicts.
    uint64_t conflicts;
    // How often the tier may have forgotten what it had acknowledged.
    uint64_t sessions_lost;
    // 1: the breaker refuses calls for a moment.
    uint32_t breaker_open;
    // `ONCEGATE_HAZARD_…`, ored, as they were looked at last: every few seconds from the first
    // request on.
    uint32_t hazards;
    // Dead letters and conflicts that the server's stream was told of, if there is one.
    uint64_t letters_logged;
    // Those that wait to be told.
    uint64_t letters_waiting;
    // Those that it is not told of, for want of room.
    uint64_t letters_lost;
} oncegate_tier_stats;

// A wait that is over.
typedef struct oncegate_completion {
    // What `oncegate_waits_submit` gave.
    uint64_t id;
    // What it was given.
    uint64_t user_data;
    // The answer; its `status` tells whether there is one, as in a batch.
    struct oncegate_admission admission;
} oncegate_completion;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Tells the adaptive backoff how loaded this process is, or what it calls: 0 to 1.
//
// It is in force until another load is told, at most for `quiet_ms`: tell it at least as often.
// Returns `ONCEGATE_INVALID_OPTION` for another number, `ONCEGATE_INVALID_CONFIG` where the engine
// was opened without `adaptive`. Any thread may call it.
oncegate_status oncegate_set_load(const struct oncegate_engine *engine,
                                  double load,
                                  struct oncegate_error *error);

// Hands out the next attempt that is due, waiting for one for at most `timeout_ms`, by the
// engine's clock.
//
// Zero never waits; more than a year is `ONCEGATE_INVALID_OPTION`. `*found` is 1 where there is
// one; otherwise `attempt` is left as it was. Its operation and its context are written into
// `buffer`, which has to have room for the longest of both, `context_limit` and 255 bytes, before
// anything is handed out: `ONCEGATE_BUFFER_TOO_SMALL`, with the size in `buffer->needed`. So no
// attempt is lost. `ONCEGATE_CLOSED`: the engine was closed meanwhile. Any thread may call it.
oncegate_status oncegate_next_attempt(const struct oncegate_engine *engine,
                                      uint64_t timeout_ms,
                                      struct oncegate_buffer *buffer,
                                      struct oncegate_attempt *attempt,
                                      uint32_t *found,
                                      struct oncegate_error *error);

// Hands out at most `most` attempts that are due, waiting for the first for at most `timeout_ms`.
//
// As `oncegate_next_attempt`; `attempts` has room for `most`, which is not zero. As many are
// handed out as surely find room in the buffer: as long as there is room for one of the longest.
// Any thread may call it.
oncegate_status oncegate_next_attempts(const struct oncegate_engine *engine,
                                       size_t most,
                                       uint64_t timeout_ms,
                                       struct oncegate_buffer *buffer,
                                       struct oncegate_attempt *attempts,
                                       size_t *count,
                                       struct oncegate_error *error);

// Asks to run a request.
//
// `options` and `buffer` may be `NULL`. A stored outcome is written into `buffer`;
// where it does not fit the call returns `ONCEGATE_BUFFER_TOO_SMALL` with the size in
// `buffer->needed`, and can be made again. With `wait_ms` it blocks while another attempt runs;
// otherwise only while the engine's tier is asked, if it has one. Any thread may call it. Whoever
// gets `ONCEGATE_ADMITTED` ends the lease by `oncegate_lease_complete`, `oncegate_lease_fail`,
// `oncegate_lease_abandon` or `oncegate_retry_later`.
//
// Where nothing was looked up: `ONCEGATE_FULL` and `ONCEGATE_QUOTA_EXCEEDED` for a new record,
// `ONCEGATE_TOO_MANY_WAITERS`, `ONCEGATE_CLOSED` where the engine was closed while the call
// waited, `ONCEGATE_EXHAUSTED` at the end of time.
oncegate_status oncegate_begin(const struct oncegate_engine *engine,
                               const struct oncegate_request *request,
                               const struct oncegate_begin_options *options,
                               struct oncegate_buffer *buffer,
                               struct oncegate_admission *admission,
                               struct oncegate_error *error);

// The same with digests that the caller has made, and vouches for. Such a record is never met by
// a request that the engine has hashed. Returns what `oncegate_begin` does.
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
// `buffer->needed` is what all of them need. At most 65,536; waits for no attempt.
oncegate_status oncegate_begin_batch(const struct oncegate_engine *engine,
                                     const struct oncegate_request *requests,
                                     size_t count,
                                     const struct oncegate_begin_options *options,
                                     struct oncegate_buffer *buffer,
                                     struct oncegate_admission *admissions,
                                     struct oncegate_error *error);

// The same with digests that the caller has made. Returns what `oncegate_begin_batch` does.
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
// stands in for the key. For logs and tests. Any thread may call it.
oncegate_status oncegate_fingerprint(const struct oncegate_engine *engine,
                                     const struct oncegate_request *request,
                                     uint8_t *fingerprint,
                                     struct oncegate_error *error);

// Sets the retry budget of all attempts of this engine, in this process, in place of the one that
// there is. It starts full.
//
// Returns `ONCEGATE_INVALID_CONFIG` with the name of what is out of its range, such as
// `retry_budget.capacity`, and `ONCEGATE_BAD_VALUE` for what is for another kind. Any thread may
// call it, as those below.
oncegate_status oncegate_set_retry_budget(const struct oncegate_engine *engine,
                                          const struct oncegate_budget *budget,
                                          struct oncegate_error *error);

// Sets the retry budget of an operation, in this process: of the requests that begin under this
// name, and of what `oncegate_retry_later` leaves to the engine under it.
//
// Returns what `oncegate_set_retry_budget` does, `ONCEGATE_INVALID_OPERATION` for a name that is
// not of 1 to 1,024 bytes, and `ONCEGATE_QUOTA_EXCEEDED` where 1,024 scopes and operations have
// budgets.
oncegate_status oncegate_set_operation_budget(const struct oncegate_engine *engine,
                                              struct oncegate_bytes operation,
                                              const struct oncegate_budget *budget,
                                              struct oncegate_error *error);

// Sets the retry budget of a scope, in this process; `scope_kind` is one of `ONCEGATE_SCOPE_…`.
//
// Returns what `oncegate_set_operation_budget` does, `ONCEGATE_INVALID_SCOPE` for a name that is
// none, and `ONCEGATE_INVALID_OPTION` where another scope that has a budget cannot be told from
// this one.
oncegate_status oncegate_set_scope_budget(const struct oncegate_engine *engine,
                                          uint32_t scope_kind,
                                          struct oncegate_bytes scope,
                                          const struct oncegate_budget *budget,
                                          struct oncegate_error *error);

// Takes the retry budget of a scope away, if it has one. What the engine and the operation may
// spend holds all the same.
oncegate_status oncegate_remove_scope_budget(const struct oncegate_engine *engine,
                                             uint32_t scope_kind,
                                             struct oncegate_bytes scope,
                                             struct oncegate_error *error);

// Writes an idempotency key for a call of this request to `service`: the same in every attempt,
// and another one for every request, service and step.
//
// `service` and `step` are UTF-8 of 1 to 255 bytes; an empty `step` is none, for the one call that
// a request makes to the service. The key is 43 letters, digits, dashes and underscores with a
// final zero; less `capacity` than `ONCEGATE_DOWNSTREAM_KEY_SIZE` is `ONCEGATE_BUFFER_TOO_SMALL`.
// It tells nothing of the caller's own key. Returns `ONCEGATE_FENCED` where the attempt is no
// longer the caller's. Any thread may call it.
oncegate_status oncegate_downstream_key(const struct oncegate_engine *engine,
                                        const struct oncegate_lease *lease,
                                        struct oncegate_bytes service,
                                        struct oncegate_bytes step,
                                        char *key,
                                        size_t capacity,
                                        struct oncegate_error *error);

// Writes the headers of a call to `service` into the buffer: `idempotency-key` (as a String of
// RFC 8941, in double quotes), `idempotency-attempt` and `fencing-token`.
//
// They are packed as the metadata of an outcome is: `*pairs` says where they lie, and
// `oncegate_metadata_next` reads them. gRPC's `grpc-previous-rpc-attempts` is the attempt less
// one. Returns `ONCEGATE_INVALID_OPTION` for a `service` that is not UTF-8 of 1 to 255 bytes,
// `ONCEGATE_FENCED` where the attempt is no longer the caller's, and `ONCEGATE_BUFFER_TOO_SMALL`
// with the size in `buffer->needed`. Any thread may call it.
oncegate_status oncegate_attempt_headers(const struct oncegate_engine *engine,
                                         const struct oncegate_lease *lease,
                                         struct oncegate_bytes service,
                                         struct oncegate_buffer *buffer,
                                         struct oncegate_stored_outcome *pairs,
                                         struct oncegate_error *error);

// Looks at what is due, at most `limit` records: makes attempts ready, wakes workers for them,
// sees to leases that have lapsed, and sweeps a part of the table now and then.
//
// Never blocks. Needed only where no worker waits in `oncegate_next_attempt` with a timeout, no
// thread of the engine drives (see `driver` of the options), and no descriptor is polled. `driven`
// may be `NULL`. Any thread may call it.
oncegate_status oncegate_advance(const struct oncegate_engine *engine,
                                 size_t limit,
                                 struct oncegate_driven *driven,
                                 struct oncegate_error *error);

// Opens a descriptor that is readable when something is due, for an event loop, and gives its
// handle, which `oncegate_due_close` ends.
//
// The engine lives on until then, even where its own handle is closed before. `ONCEGATE_OS`: no
// descriptor is left; `ONCEGATE_TOO_MANY_HANDLES`: there are 256 of them. It belongs to the
// process that opened it: in a forked child its functions return `ONCEGATE_FORKED`. Linux only:
// `ONCEGATE_UNSUPPORTED` elsewhere.
oncegate_status oncegate_due_open(const struct oncegate_engine *engine,
                                  struct oncegate_due **due,
                                  struct oncegate_error *error);

// Closes a descriptor. `NULL` is fine, and nothing happens. Take it out of event loops before: its
// number may be used again.
oncegate_status oncegate_due_close(struct oncegate_due *due, struct oncegate_error *error);

// Gives the descriptor, for `poll` and its like. Never read from it, and never close it: it is the
// handle's.
oncegate_status oncegate_due_descriptor(const struct oncegate_due *due,
                                        int32_t *fd,
                                        struct oncegate_error *error);

// `oncegate_advance`, for when the descriptor is readable: it arms the descriptor again, for what
// is due next. Then ask for attempts with a timeout of zero. `driven` may be `NULL`.
oncegate_status oncegate_due_advance(const struct oncegate_due *due,
                                     size_t limit,
                                     struct oncegate_driven *driven,
                                     struct oncegate_error *error);

// Opens an engine, and gives its handle, which `oncegate_engine_close` ends.
//
// The options are read during the call alone. Any thread may call it. What is wrong with an
// option is `ONCEGATE_INVALID_CONFIG`, `ONCEGATE_INVALID_OPTION` or `ONCEGATE_BAD_VALUE` with its
// name in `error->field`, and a text that is no UTF-8 `ONCEGATE_NOT_UTF8`; a secret of less than
// 32 bytes is `ONCEGATE_INVALID_CONFIG`. What the system refuses: `ONCEGATE_NO_MEMORY`,
// `ONCEGATE_NO_ENTROPY`, `ONCEGATE_OS`, `ONCEGATE_TOO_MANY_HANDLES` above 256 in a process. Of a
// table that is shared:
// `ONCEGATE_REGION_MISMATCH`, `ONCEGATE_WRONG_SECRET`, `ONCEGATE_FILE_REFUSED`,
// `ONCEGATE_REGION_INVALID`, `ONCEGATE_REGISTRY_FULL`, `ONCEGATE_REGION_IN_USE`, and
// `ONCEGATE_UNSUPPORTED` where the system has none.
oncegate_status oncegate_engine_open(const struct oncegate_options *options,
                                     struct oncegate_engine **engine,
                                     struct oncegate_error *error);

// Closes an engine. `NULL` is fine, and nothing happens.
//
// Calls that are under way in other threads are waited for; those that block return at once,
// with `ONCEGATE_CLOSED`. Leases that are held stay as they are: they lapse, unless
// another process of the host ends them. A tier is told of what it was not told, once: where it
// does not answer that takes as long as two of its calls may. A handle that was closed before is
// `ONCEGATE_BAD_HANDLE`.
oncegate_status oncegate_engine_close(struct oncegate_engine *engine, struct oncegate_error *error);

// How many bytes of memory an engine with these options takes. Nothing is opened.
//
// Returns `ONCEGATE_INVALID_CONFIG`, `ONCEGATE_INVALID_OPTION` or `ONCEGATE_BAD_VALUE` with the
// name of the option in `error->field`. Any thread may call it.
oncegate_status oncegate_required_bytes(const struct oncegate_options *options,
                                        uint64_t *bytes,
                                        struct oncegate_error *error);

// Moves the clock of an engine that was opened with `ONCEGATE_CLOCK_MANUAL`, for tests.
//
// Whoever waits is woken. It stops at the end of time. Returns `ONCEGATE_BAD_VALUE` for an engine
// with another clock. Any thread may call it.
oncegate_status oncegate_engine_advance_clock(const struct oncegate_engine *engine,
                                              uint64_t by_ms,
                                              struct oncegate_error *error);

// Looks at the next `slots` slots of the table for what is over: records whose window has ended,
// leases that have lapsed. Needed only without a ticker, and only for memory and for waiters:
// every call looks at what it meets anyway. `swept` may be `NULL`. Any thread may call it.
oncegate_status oncegate_engine_sweep(const struct oncegate_engine *engine,
                                      size_t slots,
                                      struct oncegate_swept *swept,
                                      struct oncegate_error *error);

// Takes the oldest events, at most `capacity`, and tells how many were lost before.
//
// The engine keeps the last 256. `events` may be `NULL` where `capacity` is 0, and `lost` may be
// `NULL`. Each event is given to one caller. Any thread may call it.
oncegate_status oncegate_engine_events(const struct oncegate_engine *engine,
                                       struct oncegate_event *events,
                                       size_t capacity,
                                       size_t *count,
                                       uint64_t *lost,
                                       struct oncegate_error *error);

// Gives a scope a quota of its own, in all processes that share the table. All zeros: no limits.
//
// `scope_kind` is one of `ONCEGATE_SCOPE_…`; `scope_name` is empty unless it is named. Returns
// `ONCEGATE_INVALID_SCOPE`, `ONCEGATE_INVALID_OPTION` for a rate that is out of its range, and
// `ONCEGATE_QUOTA_EXCEEDED` where `max_scopes` have quotas. Any thread may call it.
oncegate_status oncegate_engine_set_quota(const struct oncegate_engine *engine,
                                          uint32_t scope_kind,
                                          struct oncegate_bytes scope_name,
                                          const struct oncegate_quota *quota,
                                          struct oncegate_error *error);

// Takes the quota of a scope back: the default one holds again. One that has none is fine.
//
// Returns `ONCEGATE_INVALID_SCOPE` for a name that is none. Any thread may call it.
oncegate_status oncegate_engine_remove_quota(const struct oncegate_engine *engine,
                                             uint32_t scope_kind,
                                             struct oncegate_bytes scope_name,
                                             struct oncegate_error *error);

// Ends the uncertainty about a request of which nobody knows whether it took effect.
//
// `resolution` is one of `ONCEGATE_RESOLVED_…`; `outcome` is for the first two, and may be `NULL`.
// The payload of the request plays no part. Returns `ONCEGATE_NOT_FOUND` where there is no such
// record, or it is not in doubt. Any thread may call it.
oncegate_status oncegate_engine_resolve(const struct oncegate_engine *engine,
                                        const struct oncegate_request *request,
                                        uint32_t resolution,
                                        const struct oncegate_outcome *outcome,
                                        struct oncegate_error *error);

// Begins to rotate the secret of the fingerprints: records under the old one are still found.
//
// The secret has at least 32 bytes: `ONCEGATE_INVALID_CONFIG`. Returns
// `ONCEGATE_ROTATION_PENDING` where the rotation before has not ended, and `ONCEGATE_EXHAUSTED`
// after 255 of them. Any thread may call it.
oncegate_status oncegate_engine_rotate_secret(const struct oncegate_engine *engine,
                                              struct oncegate_bytes secret,
                                              struct oncegate_error *error);

// Ends the rotation: records under the old secret are no longer found.
//
// Returns `ONCEGATE_ROTATION_PENDING` while there may be such records, and `ONCEGATE_NOT_FOUND`
// where nothing is being rotated. Any thread may call it.
oncegate_status oncegate_engine_finish_rotation(const struct oncegate_engine *engine,
                                                struct oncegate_error *error);

// Sees to what processes left that died, and tells how many there were. `buried` may be `NULL`.
//
// Calls meet the dead by themselves; this finds them sooner. Any thread may call it.
oncegate_status oncegate_engine_bury_dead(const struct oncegate_engine *engine,
                                          size_t *buried,
                                          struct oncegate_error *error);

// Says what a response with `http_status` means for its record by one of `ONCEGATE_OUTCOMES_…`:
// one of `ONCEGATE_JUDGED_…`.
//
// The presets are the published rules of those systems; none of them judges a status unknown.
// Needs no engine; any thread may call it.
oncegate_status oncegate_judge(uint32_t policy,
                               uint32_t http_status,
                               uint32_t *judgement,
                               struct oncegate_error *error);

// Says what a request with this HTTP method needs before its handler may run: one of
// `ONCEGATE_METHOD_…`.
//
// Method names are case-sensitive (RFC 9110, section 9.1); one that is not known needs a key.
// Needs no engine; any thread may call it.
oncegate_status oncegate_method_class(struct oncegate_bytes method,
                                      uint32_t *method_class,
                                      struct oncegate_error *error);

// Ends the attempt without success, and leaves the next one to the engine: by the policy of the
// operation it is handed out by `oncegate_next_attempt` when it is due, with `context`, in any
// process that shares the table.
//
// `operation` names what workers are to do, in UTF-8, 1 to 255 bytes; `context` is what they need
// for it, at most `context_limit` bytes of the options. Where the policy allows no further attempt
// the record has failed, and is a dead letter. Returns `ONCEGATE_FENCED` where the attempt is no
// longer the caller's, `ONCEGATE_INVALID_OPTION` for what is too long or empty, and
// `ONCEGATE_FULL` where there is no room; the lease lasts then. Any thread may call it.
oncegate_status oncegate_retry_later(const struct oncegate_engine *engine,
                                     const struct oncegate_lease *lease,
                                     const struct oncegate_attempt_error *attempt_error,
                                     struct oncegate_bytes operation,
                                     struct oncegate_bytes context,
                                     struct oncegate_later *later,
                                     struct oncegate_error *error);

// Reads the value of the header `Retry-After` of HTTP, seconds or a date, for the `hint` of an
// attempt's error.
//
// `unix_time_ms` is the wall time since 1970, for a date; one that has passed means now. `*hint`
// is `ONCEGATE_HINT_AFTER`, with the time in `*after_ms`, or `ONCEGATE_HINT_NONE` where the value
// is neither. Any thread may call it.
oncegate_status oncegate_hint_retry_after(struct oncegate_bytes value,
                                          uint64_t unix_time_ms,
                                          uint32_t *hint,
                                          uint64_t *after_ms,
                                          struct oncegate_error *error);

// Tells the layout of every structure: first the structure itself, then its fields in their order.
//
// `*count` is how many there are; at most `capacity` of them are written, and `layouts` may be
// `NULL` where that is 0. For the tests of bindings. Any thread may call it.
oncegate_status oncegate_layouts(struct oncegate_layout *layouts,
                                 size_t capacity,
                                 size_t *count,
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
// caller's: it must stop, and undo what it can; and `ONCEGATE_INVALID_OPTION` for another
// duration. Any thread may call it.
oncegate_status oncegate_lease_renew(const struct oncegate_engine *engine,
                                     const struct oncegate_lease *lease,
                                     uint64_t duration_ms,
                                     uint64_t *remaining_ms,
                                     struct oncegate_error *error);

// Ends the attempt with success: duplicates get the outcome inside the dedup window.
//
// `outcome` may be `NULL`: an empty one with the number 0. `stored` may be `NULL`; it tells
// whether duplicates get the bytes, `ONCEGATE_STORED…`. Returns `ONCEGATE_FENCED` where the
// attempt is no longer the caller's. Any thread may call it.
oncegate_status oncegate_lease_complete(const struct oncegate_engine *engine,
                                        const struct oncegate_lease *lease,
                                        const struct oncegate_outcome *outcome,
                                        uint32_t *stored,
                                        struct oncegate_error *error);

// Ends the attempt with a failure of `kind`, one of `ONCEGATE_FAILURE_…`.
//
// `delay_ms` is for a retryable one, at most a year: `ONCEGATE_INVALID_OPTION`; `outcome` for a
// terminal one, and is not looked at otherwise. Returns `ONCEGATE_FENCED` where the attempt is no
// longer the caller's. Any thread may call it.
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

// The same for whoever may not wait, such as a destructor: with a tier the attempt is given back
// in this host's table at once, and in the tier as soon as it can be told. Without one it is that
// function. Returns what `oncegate_lease_abandon` does. Any thread may call it.
oncegate_status oncegate_lease_abandon_soon(const struct oncegate_engine *engine,
                                            const struct oncegate_lease *lease,
                                            struct oncegate_error *error);

// Lists dead letters, in the order of their places in the table: as many as there is room for in
// `letters` and `buffer`.
//
// `filter` may be `NULL`: all. `after` is the last letter of the page before, or `NULL`. `*count`
// is how many were written; `*next`, where to go on from, is the last of them, or what `after` was
// where there is none: it may be the same place as `after`. `*more` is 1 where there is at least
// one letter more. `next` and `more` may be `NULL`.
//
// `capacity` is at least 1. Where not even the first letter finds room in the buffer, the call
// returns `ONCEGATE_BUFFER_TOO_SMALL` with its size in `buffer->needed`. Reads every place that it
// passes, and what is kept of each letter. What is buried, redriven or discarded meanwhile may be
// on no page, and nothing is on two. Any thread may call it, as those below.
oncegate_status oncegate_letters(const struct oncegate_engine *engine,
                                 const struct oncegate_letter_filter *filter,
                                 const struct oncegate_letter_id *after,
                                 struct oncegate_buffer *buffer,
                                 struct oncegate_letter *letters,
                                 size_t capacity,
                                 size_t *count,
                                 struct oncegate_letter_id *next,
                                 uint32_t *more,
                                 struct oncegate_error *error);

// Shows one dead letter and what its history tells: the first attempts and the last.
//
// The texts of both are in `buffer`. `*past_count` is how many attempts the history tells of, at
// most `ONCEGATE_PAST_ATTEMPTS`; of them the first `past_capacity` are written. `past` may be
// `NULL` where that is 0. Returns `ONCEGATE_NOT_FOUND` where the letter was redriven or discarded,
// or never was, and `ONCEGATE_BUFFER_TOO_SMALL` with the size in `buffer->needed`.
oncegate_status oncegate_letter_show(const struct oncegate_engine *engine,
                                     const struct oncegate_letter_id *id,
                                     struct oncegate_buffer *buffer,
                                     struct oncegate_letter *letter,
                                     struct oncegate_past_attempt *past,
                                     size_t past_capacity,
                                     size_t *past_count,
                                     struct oncegate_error *error);

// Lets a dead letter run again, at once: the next attempt under the same record, with the context
// and the steps that it has. The attempts before count no more against its policy.
//
// Returns `ONCEGATE_NOT_FOUND` where it was redriven or discarded, or never was, and
// `ONCEGATE_FULL` where there is no room to note it.
oncegate_status oncegate_letter_redrive(const struct oncegate_engine *engine,
                                        const struct oncegate_letter_id *id,
                                        struct oncegate_error *error);

// Gives a dead letter up: the record has failed, and answers duplicates for the dedup window.
//
// Returns `ONCEGATE_NOT_FOUND` where it was redriven or discarded, or never was.
oncegate_status oncegate_letter_discard(const struct oncegate_engine *engine,
                                        const struct oncegate_letter_id *id,
                                        struct oncegate_error *error);

// Lets all that `filter` lets through run again, at most `limit`, and tells how many there were.
//
// `filter` may be `NULL`: all. Where the call returns `ONCEGATE_FULL`, those that were redriven
// before stay so.
oncegate_status oncegate_letters_redrive(const struct oncegate_engine *engine,
                                         const struct oncegate_letter_filter *filter,
                                         size_t limit,
                                         size_t *count,
                                         struct oncegate_error *error);

// Gives all up that `filter` lets through, at most `limit`, and tells how many there were.
// `filter` may be `NULL`: all.
oncegate_status oncegate_letters_discard(const struct oncegate_engine *engine,
                                         const struct oncegate_letter_filter *filter,
                                         size_t limit,
                                         size_t *count,
                                         struct oncegate_error *error);

// Sets how attempts of an operation are retried, in this process, and how many of them
// `oncegate_next_attempt` hands out at a time.
//
// The operation is UTF-8 of 1 to 255 bytes, that of `oncegate_retry_later`. `policy` may be
// `NULL`: the engine's own. `max_in_flight` 0: no limit. What was set before for the operation is
// replaced. Returns `ONCEGATE_INVALID_OPTION` with the name of what is out of its range, or
// `ONCEGATE_QUOTA_EXCEEDED` where 1,024 operations have settings. Any thread may call it.
oncegate_status oncegate_set_operation(const struct oncegate_engine *engine,
                                       struct oncegate_bytes operation,
                                       const struct oncegate_retry_policy *policy,
                                       uint64_t max_in_flight,
                                       struct oncegate_error *error);

// Writes the delays before attempts 2, 3 and so on of a request all of whose attempts fail at once
// and bring no hint.
//
// They are drawn as the engine draws them, from `seed`: the same seed gives the same delays, on
// every machine but for `ONCEGATE_JITTER_DECORRELATED_V2`, where they may differ by a millisecond.
// `*count` is how many were written. `*reason`, which may be `NULL`, is why there are no more: one
// of `ONCEGATE_BURIED_…`, or `ONCEGATE_BURIED_NONE` where only `capacity` ended them. Returns
// `ONCEGATE_INVALID_OPTION` with the name of what is out of its range. No engine is needed; any
// thread may call it.
oncegate_status oncegate_backoff_preview(const struct oncegate_retry_policy *policy,
                                         uint64_t seed,
                                         uint64_t *delays_ms,
                                         size_t capacity,
                                         size_t *count,
                                         uint32_t *reason,
                                         struct oncegate_error *error);

// Takes questions about records that nobody knows the effect of, of an engine that was opened with
// `reconcile`.
//
// Looks at no more than `limit` records first; never blocks. A question comes again, by the same
// `id`, as long as it is not answered: after a second, two, four and so on, at most five minutes.
// 1,024 are kept in mind, the newest. Operations and contexts are written into `buffer`; what
// finds no room stays, and where that is the first it is `ONCEGATE_BUFFER_TOO_SMALL`, with the
// size in `buffer->needed`. `ONCEGATE_BAD_VALUE`: the engine was opened without. Any thread may
// call it.
oncegate_status oncegate_reconcile_poll(const struct oncegate_engine *engine,
                                        size_t limit,
                                        struct oncegate_buffer *buffer,
                                        struct oncegate_question *questions,
                                        size_t capacity,
                                        size_t *count,
                                        struct oncegate_error *error);

// Answers the question `id`: `answer` is one of `ONCEGATE_RESOLVED_…`, `outcome` is for the first
// two of them, and may be `NULL`.
//
// The record is decided when the call returns. `ONCEGATE_NOT_FOUND`: it is not in doubt any more,
// this process has not asked, or more than 1,024 others since; in doubt still, it is asked about
// again. Any thread may call it.
oncegate_status oncegate_reconcile_answer(const struct oncegate_engine *engine,
                                          uint64_t id,
                                          uint32_t answer,
                                          const struct oncegate_outcome *outcome,
                                          struct oncegate_error *error);

// Writes the statistics; set `stats->struct_size` before. Sums over all threads of the process:
// some microseconds, and a look at every slot now and then. Any thread may call it.
oncegate_status oncegate_engine_stats(const struct oncegate_engine *engine,
                                      struct oncegate_stats *stats,
                                      struct oncegate_error *error);

// Looks for the result of the step `name` of the record that `lease` names.
//
// `*found` is 1 where an attempt has finished the step, this one or an earlier one: then its
// result is in the buffer, and `*len` says how many bytes it has. Otherwise both are 0: do the
// work, and note it by `oncegate_step_finish`. Between the two a process may die, and then it runs
// again: so pass the key of `oncegate_downstream_key` to the service below.
//
// Returns `ONCEGATE_FENCED` where the attempt is no longer the caller's, `ONCEGATE_INVALID_OPTION`
// for a name that is not UTF-8 of 1 to 255 bytes or that would be one more than 64, and
// `ONCEGATE_BUFFER_TOO_SMALL` with the size in `buffer->needed`. Any thread may call it.
oncegate_status oncegate_step_find(const struct oncegate_engine *engine,
                                   const struct oncegate_lease *lease,
                                   struct oncegate_bytes name,
                                   struct oncegate_buffer *buffer,
                                   size_t *len,
                                   uint32_t *found,
                                   struct oncegate_error *error);

// Notes that the step `name` is finished, and what it left: later attempts, in whichever process,
// find it.
//
// A step that is finished already stays as it was. Besides what `oncegate_step_find` returns, it
// returns `ONCEGATE_FULL` where the steps of the record take more than `steps_limit`, or there is
// no room for more records that are retried; the lease lasts. Any thread may call it.
oncegate_status oncegate_step_finish(const struct oncegate_engine *engine,
                                     const struct oncegate_lease *lease,
                                     struct oncegate_bytes name,
                                     struct oncegate_bytes result,
                                     struct oncegate_error *error);

// Gives the step that was finished last and was not undone, for whoever compensates: undo what it
// did, note that by `oncegate_step_undone`, and ask again until `*found` is 0. Then fail the
// record for good.
//
// Name and result are in the buffer, where `*step` says; with `*found` 0 it is all zeros. Returns
// `ONCEGATE_FENCED` where the attempt is no longer the caller's, and `ONCEGATE_BUFFER_TOO_SMALL`
// with the size in `buffer->needed`. Any thread may call it.
oncegate_status oncegate_step_last(const struct oncegate_engine *engine,
                                   const struct oncegate_lease *lease,
                                   struct oncegate_buffer *buffer,
                                   struct oncegate_step *step,
                                   uint32_t *found,
                                   struct oncegate_error *error);

// Notes that the step `name` was undone: it is finished no more, and runs again if there is
// another attempt. Of several threads that note it at once, one does.
//
// A process that dies between the undoing and this note leaves a step that is undone again.
// Returns `ONCEGATE_NOT_FOUND` where no step of this name is finished, `ONCEGATE_FENCED` where the
// attempt is no longer the caller's, and `ONCEGATE_FULL` where there is no room to note it. Any
// thread may call it.
oncegate_status oncegate_step_undone(const struct oncegate_engine *engine,
                                     const struct oncegate_lease *lease,
                                     struct oncegate_bytes name,
                                     struct oncegate_error *error);

// Writes what the engine and its tier have done; set `stats->struct_size` before. Asks nothing of
// the store. Returns `ONCEGATE_NOT_FOUND` for an engine without a tier. Any thread may call it.
oncegate_status oncegate_engine_tier_stats(const struct oncegate_engine *engine,
                                           struct oncegate_tier_stats *stats,
                                           struct oncegate_error *error);

// Waits until the tier has been told of every attempt that ended here, for at most `timeout_ms`
// of real time, and a call of the store that is under way. For a process that is about to go.
// Returns `ONCEGATE_CLOSED` when the engine is closed meanwhile.
//
// Returns `ONCEGATE_TIER_UNAVAILABLE` where something is left. An engine without a tier has told
// all. Any thread may call it.
oncegate_status oncegate_engine_flush_tier(const struct oncegate_engine *engine,
                                           uint64_t timeout_ms,
                                           struct oncegate_error *error);

// Tells whether the tier gave no answer, so that the table of this host alone admitted the attempt
// of a lease: 1. Another host may run the same request then. 0: it did, or there is no tier.
//
// Asks nothing of the store. Returns `ONCEGATE_FENCED` where the attempt is over. Any thread may
// call it.
oncegate_status oncegate_lease_is_local_only(const struct oncegate_engine *engine,
                                             const struct oncegate_lease *lease,
                                             uint32_t *is_local_only,
                                             struct oncegate_error *error);

// Opens a set of timers, and gives its handle, which `oncegate_timers_close` ends. No engine is
// needed: they run by the monotonic clock of the system. Above 256 sets in a process it is
// `ONCEGATE_TOO_MANY_HANDLES`.
//
// `capacity` is how many may be pending, at most 134,217,728; zero: 1,048,576. Memory is taken as
// they come, about 19 bytes for each, and kept. A set takes one descriptor: `ONCEGATE_OS` where
// none is left. It belongs to the process that opened it: in a forked child its functions return
// `ONCEGATE_FORKED`. Linux only: `ONCEGATE_UNSUPPORTED` elsewhere.
oncegate_status oncegate_timers_open(uint64_t capacity,
                                     struct oncegate_timers **timers,
                                     struct oncegate_error *error);

// Closes timers: those that are pending never fire. `NULL` is fine, and nothing happens.
//
// A call that blocks in another thread returns `ONCEGATE_CLOSED`. Take the descriptor out of event
// loops before: its number may be used again.
oncegate_status oncegate_timers_close(struct oncegate_timers *timers, struct oncegate_error *error);

// Gives the descriptor of the timers, for `poll` and its like: it is readable when one is due, or
// may be. Never read from it, and never close it: it is the set's.
oncegate_status oncegate_timers_descriptor(const struct oncegate_timers *timers,
                                           int32_t *fd,
                                           struct oncegate_error *error);

// Starts a timer that fires after `after_ms`, and never earlier. Its `user_data` comes by
// `oncegate_timers_take`; `id`, which is never zero, cancels it.
//
// Costs a lock and two words in a timing wheel, whatever the number of timers, and a call of the
// kernel where no other is due before. `ONCEGATE_FULL`: as many are pending as may be.
oncegate_status oncegate_timers_insert(const struct oncegate_timers *timers,
                                       uint64_t after_ms,
                                       uint64_t user_data,
                                       uint64_t *id,
                                       struct oncegate_error *error);

// Cancels a timer. `*cancelled` is 1 where its `user_data` will not be given; 0 where it was given
// already, or the timer was cancelled before, or there is none of that number.
oncegate_status oncegate_timers_cancel(const struct oncegate_timers *timers,
                                       uint64_t id,
                                       uint32_t *cancelled,
                                       struct oncegate_error *error);

// Takes the `user_data` of timers that have fired, at most `capacity`, in the order of their
// times.
//
// Blocks until one has, for at most `timeout_ms`; zero never blocks. Several threads may do so at
// once; each timer is taken by one. `ONCEGATE_CLOSED`: the timers are being closed.
// `ONCEGATE_BAD_SIZE`: no capacity.
oncegate_status oncegate_timers_take(const struct oncegate_timers *timers,
                                     uint64_t timeout_ms,
                                     uint64_t *user_data,
                                     size_t capacity,
                                     size_t *count,
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

// Opens a set of waits, and gives its handle, which `oncegate_waits_close` ends.
//
// The engine lives on until the set is closed, even where its own handle is closed before. The set
// takes one descriptor: `ONCEGATE_OS` where none is left, `ONCEGATE_TOO_MANY_HANDLES` above 256
// sets in a process. It belongs to the process that opened
// it: in a forked child its functions return `ONCEGATE_FORKED`. Linux only: `ONCEGATE_UNSUPPORTED`
// elsewhere.
oncegate_status oncegate_waits_open(const struct oncegate_engine *engine,
                                    struct oncegate_waits **waits,
                                    struct oncegate_error *error);

// Closes a set of waits. `NULL` is fine, and nothing happens.
//
// All waits are cancelled, and attempts that were admitted and not taken are given back: the next
// caller gets them at once. A call that blocks in another thread returns `ONCEGATE_CLOSED`. Take
// the descriptor out of event loops before: its number may be used again.
oncegate_status oncegate_waits_close(struct oncegate_waits *waits, struct oncegate_error *error);

// Gives the descriptor of a set, for `poll` and its like: it is readable while there may be
// something to take. Never read from it, and never close it: it is the set's.
oncegate_status oncegate_waits_descriptor(const struct oncegate_waits *waits,
                                          int32_t *fd,
                                          struct oncegate_error *error);

// Asks to run a request, and waits for the running attempt in the set. Never blocks.
//
// The request is copied; `options` may be `NULL`. `wait_ms` of the options limits the wait, by the
// engine's clock: when it is over the answer is `ONCEGATE_IN_PROGRESS` or `ONCEGATE_SCHEDULED`.
// Zero is no limit, whatever the engine's options say; `ONCEGATE_ZERO` does not wait at all. Every
// answer comes by `oncegate_waits_take`, with `user_data` and the number that is written to `id`,
// which no other wait of the set has. If the leader fails, exactly one of those who wait gets the
// next attempt. What is wrong with the request is told here, and nothing is submitted then. At
// most 65,536 in a set: `ONCEGATE_TOO_MANY_WAITERS`. It returns what `oncegate_begin` does of a
// request that cannot be looked up.
oncegate_status oncegate_waits_submit(const struct oncegate_waits *waits,
                                      const struct oncegate_request *request,
                                      const struct oncegate_begin_options *options,
                                      uint64_t user_data,
                                      uint64_t *id,
                                      struct oncegate_error *error);

// Cancels a wait: its answer is taken by nobody, and an attempt that was admitted is given back.
//
// Affects neither the running attempt nor others who wait. Returns `ONCEGATE_NOT_FOUND` where the
// answer was taken already, or there is no such wait.
oncegate_status oncegate_waits_cancel(const struct oncegate_waits *waits,
                                      uint64_t id,
                                      struct oncegate_error *error);

// Takes answers: at least one where the call returns `ONCEGATE_OK` and `count` is not zero.
//
// Blocks until there is one, for at most `timeout_ms` of real time; zero never blocks. Several
// threads may do so at once; each answer is taken by one. `buffer` may be `NULL`; outcomes that
// find no room in it stay for the next call, and where that is the first, the call returns
// `ONCEGATE_BUFFER_TOO_SMALL` with the size in `buffer->needed`. `ONCEGATE_CLOSED`: the set is
// being closed. `ONCEGATE_BAD_SIZE`: no capacity.
oncegate_status oncegate_waits_take(const struct oncegate_waits *waits,
                                    uint64_t timeout_ms,
                                    struct oncegate_completion *completions,
                                    size_t capacity,
                                    struct oncegate_buffer *buffer,
                                    size_t *count,
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

static inline oncegate_retry_policy oncegate_retry_policy_init(void) {
    oncegate_retry_policy policy;
    memset(&policy, 0, sizeof policy);
    policy.struct_size = sizeof policy;
    return policy;
}

static inline oncegate_adaptive oncegate_adaptive_init(void) {
    oncegate_adaptive adaptive;
    memset(&adaptive, 0, sizeof adaptive);
    adaptive.struct_size = sizeof adaptive;
    return adaptive;
}

static inline oncegate_budget oncegate_budget_init(void) {
    oncegate_budget budget;
    memset(&budget, 0, sizeof budget);
    budget.struct_size = sizeof budget;
    return budget;
}

static inline oncegate_letter_filter oncegate_letter_filter_init(void) {
    oncegate_letter_filter filter;
    memset(&filter, 0, sizeof filter);
    filter.struct_size = sizeof filter;
    return filter;
}

static inline oncegate_attempt_error oncegate_attempt_error_init(void) {
    oncegate_attempt_error attempt_error;
    memset(&attempt_error, 0, sizeof attempt_error);
    attempt_error.struct_size = sizeof attempt_error;
    return attempt_error;
}

static inline oncegate_stats oncegate_stats_init(void) {
    oncegate_stats stats;
    memset(&stats, 0, sizeof stats);
    stats.struct_size = sizeof stats;
    return stats;
}

static inline oncegate_tier_options oncegate_tier_options_init(void) {
    oncegate_tier_options options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    return options;
}

static inline oncegate_tier_stats oncegate_tier_stats_init(void) {
    oncegate_tier_stats stats;
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
