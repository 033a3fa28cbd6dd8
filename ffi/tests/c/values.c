/*
 * Goal: a number that names a choice, a length, a count or bytes that are out of their range are
 * refused by name, and nothing was begun, ended or written.
 * Method: each such field of each structure is wrong once, in an argument that is right otherwise;
 * the statistics of the engine must not have moved.
 */
#include <stddef.h>

#include "check.h"

/* A field of 32 bits, what is no value of it, and what the error calls it. */
struct choice {
    size_t offset;
    uint32_t wrong;
    const char *about;
};

#define CHOICE(structure, field, wrong, about) {offsetof(structure, field), wrong, about}

static void set(void *structure, const struct choice *choice) {
    memcpy((char *)structure + choice->offset, &choice->wrong, sizeof choice->wrong);
}

static void options_are_checked(void) {
    static const struct choice choices[] = {
        CHOICE(oncegate_options, reach, 3, "reach"),
        CHOICE(oncegate_options, file_flags, 16, "file_flags"),
        CHOICE(oncegate_options, fingerprint_mode, 2, "fingerprint_mode"),
        CHOICE(oncegate_options, keys, 5, "keys"),
        CHOICE(oncegate_options, refuse_predictable_keys, 2, "refuse_predictable_keys"),
        CHOICE(oncegate_options, clock, 3, "clock"),
        CHOICE(oncegate_options, on_lapse, 4, "on_lapse"),
        CHOICE(oncegate_options, on_full, 2, "on_full"),
        CHOICE(oncegate_options, default_quota.burst, 1, "default_quota"),
        CHOICE(oncegate_options, default_quota.reserved, 1, "default_quota"),
        CHOICE(oncegate_options, unauthenticated_quota.reserved, 1, "unauthenticated_quota"),
        CHOICE(oncegate_options, prefault, 2, "prefault"),
        CHOICE(oncegate_options, tiny, 2, "tiny"),
        CHOICE(oncegate_options, driver, 2, "driver"),
        CHOICE(oncegate_options, on_letters_full, 2, "on_letters_full"),
    };
    oncegate_engine *engine = NULL;
    uint64_t bytes = 7;
    oncegate_options options;
    size_t i;
    for (i = 0; i < sizeof choices / sizeof *choices; i++) {
        options = tiny_options();
        set(&options, &choices[i]);
        REFUSED(ONCEGATE_BAD_VALUE, choices[i].about,
                oncegate_engine_open(&options, &engine, &failed));
        REFUSED(ONCEGATE_BAD_VALUE, choices[i].about,
                oncegate_required_bytes(&options, &bytes, &failed));
        CHECK(engine == NULL && bytes == 7);
    }
    options = tiny_options();
    options.capacity = 1000;
    REFUSED(ONCEGATE_BAD_VALUE, "capacity", oncegate_engine_open(&options, &engine, &failed));
    options = oncegate_options_init();
    options.capacity = 15;
    REFUSED(ONCEGATE_INVALID_CONFIG, "capacity", oncegate_engine_open(&options, &engine, &failed));
    options.capacity = ONCEGATE_ZERO;
    REFUSED(ONCEGATE_INVALID_CONFIG, "capacity", oncegate_engine_open(&options, &engine, &failed));
    options = tiny_options();
    options.path = oncegate_text("/dev/null");
    REFUSED(ONCEGATE_BAD_SIZE, "path", oncegate_engine_open(&options, &engine, &failed));
    options = tiny_options();
    options.secret = oncegate_text("short");
    EXPECT(ONCEGATE_INVALID_CONFIG, oncegate_engine_open(&options, &engine, &failed));
    options = tiny_options();
    options.secret.len = 32;
    REFUSED(ONCEGATE_NULL_ARGUMENT, "secret", oncegate_engine_open(&options, &engine, &failed));
    options = tiny_options();
    options.fill_level_count = 1;
    REFUSED(ONCEGATE_NULL_ARGUMENT, "fill_levels",
            oncegate_engine_open(&options, &engine, &failed));
    CHECK(engine == NULL);
}

static void begin_options_are_checked(const oncegate_engine *engine) {
    static const struct choice choices[] = {
        CHOICE(oncegate_begin_options, on_lapse, 4, "on_lapse"),
        CHOICE(oncegate_begin_options, run_due, 2, "run_due"),
    };
    const oncegate_request request = request_of("key");
    oncegate_begin_options options;
    oncegate_admission admission;
    size_t i;
    for (i = 0; i < sizeof choices / sizeof *choices; i++) {
        options = oncegate_begin_options_init();
        set(&options, &choices[i]);
        REFUSED(ONCEGATE_BAD_VALUE, choices[i].about,
                oncegate_begin(engine, &request, &options, NULL, &admission, &failed));
    }
    options = oncegate_begin_options_init();
    options.lease_ms = ONCEGATE_ZERO;
    EXPECT(ONCEGATE_INVALID_OPTION,
           oncegate_begin(engine, &request, &options, NULL, &admission, &failed));
    options.lease_ms = ONCEGATE_ZERO - 1;
    EXPECT(ONCEGATE_INVALID_OPTION,
           oncegate_begin(engine, &request, &options, NULL, &admission, &failed));
}

/* Bytes of a request that are not there, that are too many, or that are no text. */
static void requests_are_checked(const oncegate_engine *engine) {
    static const struct choice choices[] = {
        CHOICE(oncegate_request, scope_kind, 3, "scope_kind"),
        CHOICE(oncegate_request, key_kind, 2, "key_kind"),
        CHOICE(oncegate_request, payload_kind, 5, "payload_kind"),
        CHOICE(oncegate_request, reserved, 1, "reserved"),
    };
    static const struct choice texts[] = {
        CHOICE(oncegate_request, scope, 0, "scope"),
        CHOICE(oncegate_request, operation, 0, "operation"),
        CHOICE(oncegate_request, key, 0, "key"),
        CHOICE(oncegate_request, payload, 0, "payload"),
        CHOICE(oncegate_request, boundary, 0, "boundary"),
    };
    oncegate_admission admission;
    oncegate_request request;
    oncegate_bytes bytes;
    size_t i;
    for (i = 0; i < sizeof choices / sizeof *choices; i++) {
        request = request_of("key");
        set(&request, &choices[i]);
        REFUSED(ONCEGATE_BAD_VALUE, choices[i].about,
                oncegate_begin(engine, &request, NULL, NULL, &admission, &failed));
    }
    for (i = 0; i < sizeof texts / sizeof *texts; i++) {
        request = request_of("key");
        bytes.data = NULL;
        bytes.len = 1;
        memcpy((char *)&request + texts[i].offset, &bytes, sizeof bytes);
        REFUSED(ONCEGATE_NULL_ARGUMENT, texts[i].about,
                oncegate_begin(engine, &request, NULL, NULL, &admission, &failed));
        bytes.data = (const uint8_t *)"x";
        bytes.len = (size_t)-1;
        memcpy((char *)&request + texts[i].offset, &bytes, sizeof bytes);
        REFUSED(ONCEGATE_BAD_SIZE, texts[i].about,
                oncegate_begin(engine, &request, NULL, NULL, &admission, &failed));
    }
    request = request_of("key");
    request.operation = oncegate_text("caf\xe9");
    REFUSED(ONCEGATE_NOT_UTF8, "operation",
            oncegate_begin(engine, &request, NULL, NULL, &admission, &failed));
    request = request_of("key");
    request.scope_kind = ONCEGATE_SCOPE_SINGLE_TENANT;
    REFUSED(ONCEGATE_BAD_SIZE, "scope",
            oncegate_begin(engine, &request, NULL, NULL, &admission, &failed));
    request = request_of("key");
    request.key_kind = ONCEGATE_KEY_FROM_PAYLOAD;
    REFUSED(ONCEGATE_BAD_SIZE, "key",
            oncegate_begin(engine, &request, NULL, NULL, &admission, &failed));
    request = request_of("key");
    request.excluded_count = 65;
    REFUSED(ONCEGATE_BAD_SIZE, "excluded",
            oncegate_begin(engine, &request, NULL, NULL, &admission, &failed));
    request = request_of("key");
    request.included_count = 1;
    REFUSED(ONCEGATE_NULL_ARGUMENT, "included",
            oncegate_begin(engine, &request, NULL, NULL, &admission, &failed));
    request = oncegate_request_init();
    EXPECT(ONCEGATE_INVALID_SCOPE,
           oncegate_begin(engine, &request, NULL, NULL, &admission, &failed));
}

static void hashed_are_checked(const oncegate_engine *engine) {
    oncegate_admission admission;
    oncegate_hashed hashed;
    memset(&hashed, 0, sizeof hashed);
    hashed.scope = oncegate_text("acme");
    hashed.reserved = 1;
    REFUSED(ONCEGATE_BAD_VALUE, "reserved",
            oncegate_begin_hashed(engine, &hashed, NULL, NULL, &admission, &failed));
    hashed.reserved = 0;
    hashed.scope_kind = 3;
    REFUSED(ONCEGATE_BAD_VALUE, "scope_kind",
            oncegate_begin_hashed(engine, &hashed, NULL, NULL, &admission, &failed));
}

/* Counts that no memory holds are refused before anything is read. */
static void counts_are_checked(const oncegate_engine *engine) {
    const oncegate_request request = request_of("key");
    oncegate_hashed hashed;
    oncegate_admission admission;
    oncegate_event event;
    oncegate_buffer buffer = {NULL, 1, 0};
    uint8_t byte = 0;
    size_t count = 7;
    memset(&hashed, 0, sizeof hashed);
    REFUSED(ONCEGATE_BAD_SIZE, "requests",
            oncegate_begin_batch(engine, &request, 65537, NULL, NULL, &admission, &failed));
    REFUSED(ONCEGATE_BAD_SIZE, "requests",
            oncegate_begin_batch(engine, &request, (size_t)-1, NULL, NULL, &admission, &failed));
    REFUSED(ONCEGATE_BAD_SIZE, "hashed",
            oncegate_begin_hashed_batch(engine, &hashed, 65537, NULL, NULL, &admission, &failed));
    REFUSED(ONCEGATE_BAD_SIZE, "events",
            oncegate_engine_events(engine, &event, (size_t)-1, &count, NULL, &failed));
    REFUSED(ONCEGATE_NULL_ARGUMENT, "buffer",
            oncegate_begin(engine, &request, NULL, &buffer, &admission, &failed));
    buffer.data = &byte;
    buffer.capacity = (size_t)-1;
    REFUSED(ONCEGATE_BAD_SIZE, "buffer",
            oncegate_begin(engine, &request, NULL, &buffer, &admission, &failed));
    CHECK(count == 7 && buffer.needed == 0);
    /* None at all is fine. */
    OK(oncegate_begin_batch(engine, NULL, 0, NULL, NULL, NULL, &failed));
    OK(oncegate_begin_hashed_batch(engine, NULL, 0, NULL, NULL, NULL, &failed));
    OK(oncegate_engine_events(engine, NULL, 0, &count, NULL, &failed));
    CHECK(count == 0);
}

/* A lease that somebody changed is refused, or it is the same one. */
static void leases_are_checked(const oncegate_engine *engine) {
    const char *const out_of_range = "outcome.status";
    oncegate_outcome outcome = oncegate_outcome_init();
    oncegate_admission admission;
    oncegate_lease_info info;
    oncegate_pair pair;
    oncegate_lease lease;
    size_t bit;
    CHECK(begin(engine, "leased", &admission) == ONCEGATE_ADMITTED);
    memset(&lease, 0, sizeof lease);
    REFUSED(ONCEGATE_INVALID_TOKEN, "lease_token", oncegate_lease_abandon(engine, &lease, &failed));
    for (bit = 0; bit < 8 * sizeof lease.token; bit++) {
        oncegate_status status;
        lease = admission.lease;
        lease.token[bit / 8] ^= (uint8_t)(1u << bit % 8);
        status = oncegate_lease_take_up(engine, &lease, &info, &failed);
        CHECK(status == ONCEGATE_OK || status == ONCEGATE_INVALID_TOKEN
              || status == ONCEGATE_FENCED);
        CHECK(status != ONCEGATE_OK || info.fencing_token == admission.fencing_token);
    }
    REFUSED(ONCEGATE_BAD_VALUE, "kind",
            oncegate_lease_fail(engine, &admission.lease, 3, 0, NULL, &failed));
    REFUSED(ONCEGATE_NULL_ARGUMENT, "outcome",
            oncegate_lease_fail(engine, &admission.lease, ONCEGATE_FAILURE_TERMINAL, 0, NULL,
                                &failed));
    outcome.status = 65536;
    REFUSED(ONCEGATE_BAD_VALUE, out_of_range,
            oncegate_lease_complete(engine, &admission.lease, &outcome, NULL, &failed));
    outcome.status = 200;
    outcome.withheld = 2;
    REFUSED(ONCEGATE_BAD_VALUE, "outcome.withheld",
            oncegate_lease_complete(engine, &admission.lease, &outcome, NULL, &failed));
    outcome.withheld = 1;
    outcome.body = oncegate_text("kept");
    REFUSED(ONCEGATE_BAD_SIZE, "outcome.body",
            oncegate_lease_complete(engine, &admission.lease, &outcome, NULL, &failed));
    outcome.withheld = 0;
    outcome.metadata = &pair;
    outcome.metadata_count = 1;
    pair.name = oncegate_text("caf\xe9");
    pair.value = oncegate_text("");
    REFUSED(ONCEGATE_NOT_UTF8, "outcome.metadata.name",
            oncegate_lease_complete(engine, &admission.lease, &outcome, NULL, &failed));
    pair.name = oncegate_text("");
    EXPECT(ONCEGATE_INVALID_OUTCOME,
           oncegate_lease_complete(engine, &admission.lease, &outcome, NULL, &failed));
    EXPECT(ONCEGATE_INVALID_OPTION,
           oncegate_lease_renew(engine, &admission.lease, 0, NULL, &failed));
    /* The lease outlived all of that. One that is not terminal has no outcome. */
    OK(oncegate_lease_fail(engine, &admission.lease, ONCEGATE_FAILURE_RETRYABLE, 0, NULL, &failed));
    REFUSED(ONCEGATE_FENCED, "lease", oncegate_lease_abandon(engine, &admission.lease, &failed));
}

static void scopes_and_resolutions_are_checked(const oncegate_engine *engine) {
    const oncegate_bytes none = {NULL, 0};
    const oncegate_request request = request_of("key");
    oncegate_quota quota;
    memset(&quota, 0, sizeof quota);
    REFUSED(ONCEGATE_BAD_VALUE, "scope_kind",
            oncegate_engine_set_quota(engine, 3, oncegate_text("acme"), &quota, &failed));
    REFUSED(ONCEGATE_BAD_VALUE, "scope_kind",
            oncegate_engine_remove_quota(engine, 3, oncegate_text("acme"), &failed));
    EXPECT(ONCEGATE_INVALID_SCOPE, oncegate_engine_set_quota(engine, ONCEGATE_SCOPE_NAMED, none,
                                                             &quota, &failed));
    quota.burst = 1;
    REFUSED(ONCEGATE_BAD_VALUE, "quota",
            oncegate_engine_set_quota(engine, ONCEGATE_SCOPE_NAMED, oncegate_text("acme"), &quota,
                                      &failed));
    REFUSED(ONCEGATE_BAD_VALUE, "resolution",
            oncegate_engine_resolve(engine, &request, 3, NULL, &failed));
    REFUSED(ONCEGATE_BAD_VALUE, "status",
            oncegate_status_describe(99, NULL, NULL, NULL, &failed));
    REFUSED(ONCEGATE_UNSUPPORTED, "version", oncegate_check_abi(0, &failed));
    REFUSED(ONCEGATE_UNSUPPORTED, "version",
            oncegate_check_abi(oncegate_abi_version() + 1, &failed));
    OK(oncegate_check_abi(ONCEGATE_ABI_VERSION, &failed));
}

/* A buffer that is too small says what it needs, and is otherwise left alone. */
static void small_buffers_are_told(const oncegate_engine *engine) {
    const oncegate_request request = request_of("stored");
    oncegate_request requests[2];
    oncegate_admission admission, answers[2];
    oncegate_outcome outcome = oncegate_outcome_init();
    oncegate_pair pair = {oncegate_text("name"), oncegate_text("value")};
    uint8_t bytes[64];
    oncegate_buffer buffer = {bytes, 0, 0};
    size_t needed;
    outcome.status = 201;
    outcome.body = oncegate_text("body");
    outcome.metadata = &pair;
    outcome.metadata_count = 1;
    CHECK(begin(engine, "stored", &admission) == ONCEGATE_ADMITTED);
    OK(oncegate_lease_complete(engine, &admission.lease, &outcome, NULL, &failed));
    EXPECT(ONCEGATE_BUFFER_TOO_SMALL,
           oncegate_begin(engine, &request, NULL, NULL, &admission, &failed));
    REFUSED(ONCEGATE_BUFFER_TOO_SMALL, "buffer",
            oncegate_begin(engine, &request, NULL, &buffer, &admission, &failed));
    needed = buffer.needed;
    CHECK(needed > 4 && needed <= sizeof bytes);
    for (buffer.capacity = 0; buffer.capacity < needed; buffer.capacity++) {
        memset(bytes, 0xa5, sizeof bytes);
        EXPECT(ONCEGATE_BUFFER_TOO_SMALL,
               oncegate_begin(engine, &request, NULL, &buffer, &admission, &failed));
        CHECK(bytes[0] == 0xa5 && bytes[needed - 1] == 0xa5 && buffer.needed == needed);
    }
    memset(bytes, 0xa5, sizeof bytes);
    OK(oncegate_begin(engine, &request, NULL, &buffer, &admission, &failed));
    CHECK(admission.verdict == ONCEGATE_REPLAYED && bytes[needed] == 0xa5);
    CHECK(admission.outcome.body_len == 4
          && memcmp(bytes + admission.outcome.body_offset, "body", 4) == 0);
    /* In a batch they share it: the second one finds no room, and can be asked for again. */
    requests[0] = requests[1] = request;
    OK(oncegate_begin_batch(engine, requests, 2, NULL, &buffer, answers, &failed));
    CHECK(answers[0].verdict == ONCEGATE_REPLAYED && answers[0].status == ONCEGATE_OK);
    CHECK(answers[1].verdict == 0 && answers[1].status == ONCEGATE_BUFFER_TOO_SMALL);
    CHECK(buffer.needed == 2 * needed);
    /* One that is wrong does not keep the other from its answer. */
    requests[1].reserved = 1;
    OK(oncegate_begin_batch(engine, requests, 2, NULL, &buffer, answers, &failed));
    CHECK(answers[0].verdict == ONCEGATE_REPLAYED && answers[1].status == ONCEGATE_BAD_VALUE);
}

int main(void) {
    oncegate_engine *engine = open_tiny();
    oncegate_stats stats = oncegate_stats_init();
    options_are_checked();
    begin_options_are_checked(engine);
    requests_are_checked(engine);
    hashed_are_checked(engine);
    counts_are_checked(engine);
    OK(oncegate_engine_stats(engine, &stats, &failed));
    CHECK(stats.created == 0);
    leases_are_checked(engine);
    scopes_and_resolutions_are_checked(engine);
    small_buffers_are_told(engine);
    OK(oncegate_engine_close(engine, &failed));
    done("values");
    return 0;
}
