/* Attempts that are left to the engine, and handed out again. */

#include <string.h>

#include "runner.h"

static const choice KINDS[] = {{"TRANSIENT", ONCEGATE_KIND_TRANSIENT},
                               {"THROTTLED", ONCEGATE_KIND_THROTTLED},
                               {"TIMEOUT", ONCEGATE_KIND_TIMEOUT},
                               {NULL, 0}};
static const choice HINTS[] = {{"NONE", ONCEGATE_HINT_NONE},
                               {"AFTER", ONCEGATE_HINT_AFTER},
                               {"REFUSED", ONCEGATE_HINT_REFUSED},
                               {NULL, 0}};
static const choice LATERS[] = {{"SCHEDULED", ONCEGATE_LATER_SCHEDULED},
                                {"BURIED", ONCEGATE_LATER_BURIED},
                                {NULL, 0}};

static void same_choice(run *r, json_t *expect, const char *name, const choice *choices,
                        uint32_t found) {
    const char *text = name_of(choices, found);
    same_text(r, expect, name, text, strlen(text));
}

oncegate_status step_retry_later(run *r, json_t *step, json_t *expect) {
    const oncegate_lease *lease = lease_of(r, step);
    oncegate_attempt_error failed = oncegate_attempt_error_init();
    failed.error_class = oncegate_text(take_text(r, step, "error_class", "503"));
    failed.kind = take_choice(r, step, "kind", KINDS, "TRANSIENT");
    failed.hint = take_choice(r, step, "hint", HINTS, "NONE");
    failed.hint_after_ms = take_number(r, step, "hint_after_ms", 0);
    failed.terminal = take_flag(r, step, "terminal");
    oncegate_outcome outcome;
    if (read_outcome(r, step, &outcome)) failed.outcome = &outcome;
    oncegate_bytes operation = oncegate_text(take_text(r, step, "operation", "charge"));
    oncegate_bytes context = {NULL, 0};
    take_bytes(r, step, "context", &context);
    oncegate_later later;
    oncegate_status status =
        oncegate_retry_later(r->engine, lease, &failed, operation, context, &later, &r->error);
    if (status != ONCEGATE_OK) return status;
    same_choice(r, expect, "later", LATERS, later.verdict);
    if (later.verdict == ONCEGATE_LATER_SCHEDULED) {
        same_number(r, expect, "next_attempt", later.next_attempt);
        same_number(r, expect, "due_in_ms", later.due_in_ms);
    } else {
        same_choice(r, expect, "reason", BURIED, later.reason);
    }
    return status;
}

/* First without room, and then with as much as is said to be needed. */
oncegate_status step_next_attempt(run *r, json_t *step, json_t *expect) {
    oncegate_buffer buffer = {NULL, 0, 0};
    oncegate_attempt attempt;
    uint32_t found = 0;
    oncegate_status status =
        oncegate_next_attempt(r->engine, 0, &buffer, &attempt, &found, &r->error);
    if (status != ONCEGATE_BUFFER_TOO_SMALL) fail(r, "an attempt without room: %d", (int)status);
    buffer.capacity = buffer.needed;
    buffer.data = allocate(r, buffer.needed);
    status = oncegate_next_attempt(r->engine, 0, &buffer, &attempt, &found, &r->error);
    if (status != ONCEGATE_OK) return status;
    same_flag(r, expect, "found", found != 0);
    if (found) {
        const char *bytes = (const char *)buffer.data;
        same_number(r, expect, "attempt", attempt.attempt);
        same_number(r, expect, "remaining_ms", attempt.remaining_ms);
        same_text(r, expect, "operation", bytes + attempt.operation_offset, attempt.operation_len);
        same_text(r, expect, "context", bytes + attempt.context_offset, attempt.context_len);
        keep(r, step, &attempt.lease, attempt.fencing_token);
    }
    return status;
}
