/* The steps of a vector that wait for nobody, each a call of the header. */

#include <stddef.h>
#include <string.h>

#include "runner.h"

static const choice FAILURES[] = {{"RETRYABLE", ONCEGATE_FAILURE_RETRYABLE},
                                  {"TERMINAL", ONCEGATE_FAILURE_TERMINAL},
                                  {"UNKNOWN", ONCEGATE_FAILURE_UNKNOWN},
                                  {NULL, 0}};
static const choice STORED[] = {{"STORED", ONCEGATE_STORED},
                                {"STORED_WITHOUT_BYTES", ONCEGATE_STORED_WITHOUT_BYTES},
                                {NULL, 0}};
static const choice RESOLUTIONS[] = {{"SUCCEEDED", ONCEGATE_RESOLVED_SUCCEEDED},
                                     {"FAILED", ONCEGATE_RESOLVED_FAILED},
                                     {"RUN_AGAIN", ONCEGATE_RESOLVED_RUN_AGAIN},
                                     {NULL, 0}};

/* Where a count lies in the statistics. */
typedef struct count {
    const char *name;
    size_t offset;
} count;
#define COUNT(name) {#name, offsetof(oncegate_stats, name)}
static const count COUNTS[] = {
    COUNT(begun),        COUNT(created),        COUNT(reused),       COUNT(expired),
    COUNT(retried),      COUNT(replayed),       COUNT(in_progress),  COUNT(scheduled),
    COUNT(mismatched),   COUNT(unresolved),     COUNT(outcome_gone), COUNT(fenced),
    COUNT(lapsed),       COUNT(completed),      COUNT(waiters),      COUNT(hand_offs),
    COUNT(live_running), COUNT(live_waiting),   COUNT(live_failed),  COUNT(live_succeeded),
    COUNT(live_unknown), COUNT(dead_letters),   COUNT(buried),
};

static void same_choice(run *r, json_t *expect, const char *name, const choice *choices,
                        uint32_t found) {
    const char *text = name_of(choices, found);
    same_text(r, expect, name, text, strlen(text));
}

/* First with little room, and then with as much as is said to be needed. */
static oncegate_status step_begin(run *r, json_t *step, json_t *expect) {
    oncegate_request request;
    oncegate_begin_options options;
    read_request(r, step, &request);
    read_begin_options(r, step, &options);
    uint8_t little[64];
    oncegate_buffer buffer = {little, sizeof little, 0};
    oncegate_admission answer;
    oncegate_status status =
        oncegate_begin(r->engine, &request, &options, &buffer, &answer, &r->error);
    if (status == ONCEGATE_BUFFER_TOO_SMALL) {
        buffer.capacity = buffer.needed;
        buffer.data = allocate(r, buffer.needed);
        status = oncegate_begin(r->engine, &request, &options, &buffer, &answer, &r->error);
    }
    if (status == ONCEGATE_OK) told(r, step, expect, &answer, buffer.data);
    return status;
}

static oncegate_status step_begin_batch(run *r, json_t *step) {
    oncegate_begin_options options;
    read_begin_options(r, step, &options);
    json_t *list = take_list(r, step, "requests");
    size_t count = json_array_size(list);
    oncegate_request *requests = allocate(r, count * sizeof *requests);
    oncegate_admission *answers = allocate(r, count * sizeof *answers);
    for (size_t at = 0; at < count; at++) {
        read_request(r, json_array_get(list, at), &requests[at]);
    }
    oncegate_buffer buffer = {allocate(r, 65536), 65536, 0};
    oncegate_status status = oncegate_begin_batch(r->engine, requests, count, &options, &buffer,
                                                  answers, &r->error);
    if (status != ONCEGATE_OK) return status;
    for (size_t at = 0; at < count; at++) {
        json_t *one = json_array_get(list, at);
        json_t *expect = take_object(r, one, "expect");
        if (answers[at].status == ONCEGATE_OK) told(r, one, expect, &answers[at], buffer.data);
        settle(r, one, expect, answers[at].status);
    }
    return ONCEGATE_OK;
}

static oncegate_status step_complete(run *r, json_t *step, json_t *expect) {
    const oncegate_lease *lease = lease_of(r, step);
    oncegate_outcome outcome;
    int given = read_outcome(r, step, &outcome);
    uint32_t stored = 0;
    oncegate_status status =
        oncegate_lease_complete(r->engine, lease, given ? &outcome : NULL, &stored, &r->error);
    if (status == ONCEGATE_OK) same_choice(r, expect, "stored", STORED, stored);
    return status;
}

static oncegate_status step_fail(run *r, json_t *step) {
    const oncegate_lease *lease = lease_of(r, step);
    uint32_t kind = take_choice(r, step, "failure", FAILURES, NULL);
    uint64_t delay = take_number(r, step, "delay_ms", 0);
    oncegate_outcome outcome;
    read_outcome(r, step, &outcome);
    return oncegate_lease_fail(r->engine, lease, kind, delay,
                               kind == ONCEGATE_FAILURE_TERMINAL ? &outcome : NULL, &r->error);
}

static oncegate_status step_renew(run *r, json_t *step, json_t *expect) {
    const oncegate_lease *lease = lease_of(r, step);
    uint64_t duration = take_number(r, step, "duration_ms", 0), remaining = 0;
    oncegate_status status =
        oncegate_lease_renew(r->engine, lease, duration, &remaining, &r->error);
    if (status == ONCEGATE_OK) same_number(r, expect, "remaining_ms", remaining);
    return status;
}

static oncegate_status step_take_up(run *r, json_t *step, json_t *expect) {
    const oncegate_lease *lease = lease_of(r, step);
    oncegate_lease_info info;
    oncegate_status status = oncegate_lease_take_up(r->engine, lease, &info, &r->error);
    if (status != ONCEGATE_OK) return status;
    same_number(r, expect, "attempt", info.attempt);
    same_choice(r, expect, "how", HOWS, info.how);
    same_number(r, expect, "remaining_ms", info.remaining_ms);
    keep(r, step, lease, info.fencing_token);
    return status;
}

static oncegate_status step_resolve(run *r, json_t *step) {
    oncegate_request request;
    oncegate_outcome outcome;
    read_request(r, step, &request);
    uint32_t resolution = take_choice(r, step, "resolution", RESOLUTIONS, NULL);
    int given = read_outcome(r, step, &outcome);
    return oncegate_engine_resolve(r->engine, &request, resolution, given ? &outcome : NULL,
                                   &r->error);
}

static oncegate_status step_fingerprint(run *r, json_t *step, json_t *expect) {
    oncegate_request request;
    read_request(r, step, &request);
    uint8_t fingerprint[32];
    oncegate_status status = oncegate_fingerprint(r->engine, &request, fingerprint, &r->error);
    if (status != ONCEGATE_OK) return status;
    char digits[2 * sizeof fingerprint + 1];
    hex(digits, fingerprint, sizeof fingerprint);
    same_text(r, expect, "fingerprint", digits, sizeof digits - 1);
    return status;
}

static oncegate_status step_fences(run *r, json_t *step) {
    json_t *names = take_list(r, step, "ascending");
    uint64_t before = 0;
    size_t index;
    json_t *name;
    json_array_foreach(names, index, name) {
        if (!json_is_string(name)) fail(r, "ascending: texts are expected");
        uint64_t fence = fence_of(r, json_string_value(name));
        if (fence <= before) fail(r, "%s is not greater", json_string_value(name));
        before = fence;
    }
    return ONCEGATE_OK;
}

static oncegate_status step_stats(run *r, json_t *expect) {
    oncegate_stats stats = oncegate_stats_init();
    oncegate_status status = oncegate_engine_stats(r->engine, &stats, &r->error);
    if (status != ONCEGATE_OK) return status;
    for (size_t at = 0; at < sizeof COUNTS / sizeof *COUNTS; at++) {
        uint64_t found;
        memcpy(&found, (const char *)&stats + COUNTS[at].offset, sizeof found);
        same_number(r, expect, COUNTS[at].name, found);
    }
    return status;
}

oncegate_status do_step(run *r, const char *op, json_t *step, json_t *expect) {
    if (strcmp(op, "begin") == 0) return step_begin(r, step, expect);
    if (strcmp(op, "begin_batch") == 0) return step_begin_batch(r, step);
    if (strcmp(op, "submit") == 0) return step_submit(r, step);
    if (strcmp(op, "take") == 0) return step_take(r, step, expect);
    if (strcmp(op, "cancel") == 0) return step_cancel(r, step);
    if (strcmp(op, "complete") == 0) return step_complete(r, step, expect);
    if (strcmp(op, "fail") == 0) return step_fail(r, step);
    if (strcmp(op, "abandon") == 0) {
        return oncegate_lease_abandon(r->engine, lease_of(r, step), &r->error);
    }
    if (strcmp(op, "renew") == 0) return step_renew(r, step, expect);
    if (strcmp(op, "take_up") == 0) return step_take_up(r, step, expect);
    if (strcmp(op, "resolve") == 0) return step_resolve(r, step);
    if (strcmp(op, "fingerprint") == 0) return step_fingerprint(r, step, expect);
    if (strcmp(op, "retry_later") == 0) return step_retry_later(r, step, expect);
    if (strcmp(op, "next_attempt") == 0) return step_next_attempt(r, step, expect);
    if (strcmp(op, "preview") == 0) return step_preview(r, step, expect);
    if (strcmp(op, "set_operation") == 0) return step_set_operation(r, step);
    if (strcmp(op, "set_budget") == 0) return step_set_budget(r, step);
    if (strcmp(op, "fences") == 0) return step_fences(r, step);
    if (strcmp(op, "stats") == 0) return step_stats(r, expect);
    if (strcmp(op, "advance") == 0) {
        uint64_t by = take_number(r, step, "by_ms", 0);
        return oncegate_engine_advance_clock(r->engine, by, &r->error);
    }
    fail(r, "there is no step %s", op);
}
