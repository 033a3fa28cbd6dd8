/* Requests that wait in a set while other steps follow. */

#include <string.h>

#include "runner.h"

static uint64_t waiters(run *r) {
    oncegate_stats stats = oncegate_stats_init();
    if (oncegate_engine_stats(r->engine, &stats, &r->error) != ONCEGATE_OK) {
        fail(r, "stats: %s", r->error.message);
    }
    return stats.waiters;
}

oncegate_status step_submit(run *r, json_t *step) {
    const char *name = need_text(r, step, "wait");
    oncegate_request request;
    oncegate_begin_options options;
    read_request(r, step, &request);
    read_begin_options(r, step, &options);
    if (r->submitted_count == MOST_NAMES) fail(r, "more than %d waits", MOST_NAMES);
    named *wait = &r->submitted[r->submitted_count];
    uint64_t before = waiters(r);
    oncegate_status status = oncegate_waits_submit(r->waits, &request, &options,
                                                   r->submitted_count, &wait->number, &r->error);
    if (status != ONCEGATE_OK) return status;
    wait->name = name;
    wait->waits = 1;
    r->submitted_count++;
    if (waiters(r) != before + 1) fail(r, "a request that is submitted has to wait");
    return ONCEGATE_OK;
}

static int is_among(run *r, json_t *names, const named *wait) {
    size_t index;
    json_t *name;
    json_array_foreach(names, index, name) {
        if (!json_is_string(name)) fail(r, "waits: texts are expected");
        if (strcmp(json_string_value(name), wait->name) == 0) return 1;
    }
    return 0;
}

/* Compares the answer of a wait, which is over. */
static oncegate_status answered(run *r, json_t *step, json_t *expect, const stash *answer) {
    named *wait = &r->submitted[answer->completion.user_data];
    if (answer->completion.id != wait->number || !wait->waits) fail(r, "that wait was over");
    wait->waits = 0;
    oncegate_status status = answer->completion.admission.status;
    if (status == ONCEGATE_OK) {
        told(r, step, expect, &answer->completion.admission, answer->bytes);
    }
    return status;
}

/* One answer of the set; there is one within half a minute. */
static stash next_answer(run *r) {
    stash answer;
    oncegate_buffer buffer = {NULL, 0, 0};
    size_t count = 0;
    oncegate_status status = oncegate_waits_take(r->waits, 30000, &answer.completion, 1, &buffer,
                                                 &count, &r->error);
    if (status == ONCEGATE_BUFFER_TOO_SMALL) {
        buffer.data = allocate(r, buffer.needed);
        buffer.capacity = buffer.needed;
        status = oncegate_waits_take(r->waits, 30000, &answer.completion, 1, &buffer, &count,
                                     &r->error);
    }
    if (status != ONCEGATE_OK) fail(r, "waits_take: %s", r->error.message);
    if (count == 0) fail(r, "no wait has an answer");
    if (answer.completion.user_data >= r->submitted_count) fail(r, "a wait that is none");
    answer.bytes = buffer.data;
    return answer;
}

oncegate_status step_take(run *r, json_t *step, json_t *expect) {
    json_t *names = take_list(r, step, "waits");
    for (size_t at = 0; at < r->stashed_count; at++) {
        if (is_among(r, names, &r->submitted[r->stashed[at].completion.user_data])) {
            stash answer = r->stashed[at];
            r->stashed[at] = r->stashed[--r->stashed_count];
            return answered(r, step, expect, &answer);
        }
    }
    for (;;) {
        stash answer = next_answer(r);
        if (is_among(r, names, &r->submitted[answer.completion.user_data])) {
            return answered(r, step, expect, &answer);
        }
        if (r->stashed_count == MOST_NAMES) fail(r, "more than %d answers", MOST_NAMES);
        r->stashed[r->stashed_count++] = answer;
    }
}

oncegate_status step_cancel(run *r, json_t *step) {
    const char *name = need_text(r, step, "wait");
    for (size_t at = 0; at < r->submitted_count; at++) {
        named *wait = &r->submitted[at];
        if (wait->waits && strcmp(wait->name, name) == 0) {
            wait->waits = 0;
            return oncegate_waits_cancel(r->waits, wait->number, &r->error);
        }
    }
    fail(r, "there is no wait %s", name);
}
