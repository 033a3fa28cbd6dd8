/* What the engine answers, held against what is expected. */

#include <ctype.h>
#include <string.h>

#include "runner.h"

static const choice VERDICTS[] = {{"ADMITTED", ONCEGATE_ADMITTED},
                                  {"REPLAYED", ONCEGATE_REPLAYED},
                                  {"IN_PROGRESS", ONCEGATE_IN_PROGRESS},
                                  {"SCHEDULED", ONCEGATE_SCHEDULED},
                                  {"MISMATCHED", ONCEGATE_MISMATCHED},
                                  {"UNRESOLVED", ONCEGATE_UNRESOLVED},
                                  {"OUTCOME_GONE", ONCEGATE_OUTCOME_GONE},
                                  {NULL, 0}};
const choice HOWS[] = {{"CREATED", ONCEGATE_HOW_CREATED},
                       {"RETRIED", ONCEGATE_HOW_RETRIED},
                       {"EXPIRED", ONCEGATE_HOW_EXPIRED},
                       {NULL, 0}};

/* The library calls it `InvalidKey`, and the header INVALID_KEY. */
static void header_name(run *r, oncegate_status status, char *name, size_t room) {
    oncegate_bytes told = {NULL, 0};
    if (oncegate_status_describe(status, &told, NULL, NULL, NULL) != ONCEGATE_OK) {
        fail(r, "status %d is none", (int)status);
    }
    size_t len = 0;
    for (size_t at = 0; at < told.len && len + 2 < room; at++) {
        if (isupper(told.data[at]) && at != 0) name[len++] = '_';
        name[len++] = (char)toupper(told.data[at]);
    }
    name[len] = '\0';
}

void settle(run *r, json_t *step, json_t *expect, oncegate_status status) {
    char found[64];
    header_name(r, status, found, sizeof found);
    const char *expected = take_text(r, expect, "status", "OK");
    if (strcmp(expected, found) != 0) {
        fail(r, "status: expected %s, found %s; %s", expected, found,
             status == ONCEGATE_OK ? "" : r->error.message);
    }
    const char *field = status == ONCEGATE_OK ? "" : r->error.field;
    same_text(r, expect, "field", field, strlen(field));
    finish(r, expect, "expect");
    finish(r, step, "step");
}

static void same_outcome(run *r, json_t *expect, const oncegate_stored_outcome *outcome,
                         const uint8_t *bytes) {
    same_number(r, expect, "outcome_status", outcome->status);
    same_bytes(r, expect, "body", bytes + outcome->body_offset, outcome->body_len);
    json_t *pairs = take_list(r, expect, "metadata");
    if (pairs == NULL) return;
    if (json_array_size(pairs) != outcome->metadata_count) {
        fail(r, "metadata: %u pairs are found", (unsigned)outcome->metadata_count);
    }
    oncegate_bytes packed = {bytes + outcome->metadata_offset, outcome->metadata_len};
    size_t cursor = 0, index;
    json_t *pair;
    json_array_foreach(pairs, index, pair) {
        oncegate_bytes name, value;
        if (oncegate_metadata_next(packed, &cursor, &name, &value, &r->error) != ONCEGATE_OK) {
            fail(r, "metadata: %s", r->error.message);
        }
        json_t *wanted_name = json_array_get(pair, 0), *wanted_value = json_array_get(pair, 1);
        if (json_array_size(pair) != 2 || json_string_length(wanted_name) != name.len ||
            memcmp(json_string_value(wanted_name), name.data, name.len) != 0 ||
            json_string_length(wanted_value) != value.len ||
            memcmp(json_string_value(wanted_value), value.data, value.len) != 0) {
            fail(r, "metadata: pair %zu is another", index + 1);
        }
    }
}

void told(run *r, json_t *step, json_t *expect, const oncegate_admission *answer,
          const uint8_t *bytes) {
    const char *found = name_of(VERDICTS, answer->verdict);
    const char *expected = take_text(r, expect, "verdict", NULL);
    if (expected == NULL) fail(r, "`verdict` is missing; found %s", found);
    if (strcmp(expected, found) != 0) fail(r, "verdict: expected %s, found %s", expected, found);
    switch (answer->verdict) {
    case ONCEGATE_ADMITTED: {
        const char *how = name_of(HOWS, answer->how);
        same_text(r, expect, "how", how, strlen(how));
        same_number(r, expect, "attempt", answer->attempt);
        same_number(r, expect, "time_ms", answer->time_ms);
        keep(r, step, &answer->lease, answer->fencing_token);
        break;
    }
    case ONCEGATE_IN_PROGRESS:
    case ONCEGATE_SCHEDULED:
        same_number(r, expect, "attempt", answer->attempt);
        same_number(r, expect, "time_ms", answer->time_ms);
        break;
    case ONCEGATE_REPLAYED:
        same_outcome(r, expect, &answer->outcome, bytes);
        break;
    default:
        break;
    }
    /* Names that nothing was given to are fine: another of several waits may have got it. */
    take_text(r, step, "lease", NULL);
    take_text(r, step, "fence", NULL);
}

static named *find(named *all, size_t count, const char *name) {
    for (size_t at = 0; at < count; at++) {
        if (strcmp(all[at].name, name) == 0) return &all[at];
    }
    return NULL;
}

static named *put(run *r, named *all, size_t *count, const char *name) {
    named *found = find(all, *count, name);
    if (found != NULL) return found;
    if (*count == MOST_NAMES) fail(r, "more than %d names", MOST_NAMES);
    found = &all[(*count)++];
    found->name = name;
    return found;
}

oncegate_lease *lease_of(run *r, json_t *step) {
    const char *name = need_text(r, step, "lease");
    named *found = find(r->leases, r->lease_count, name);
    if (found == NULL) fail(r, "there is no lease %s", name);
    return &found->lease;
}

void keep(run *r, json_t *step, const oncegate_lease *lease, uint64_t fence) {
    const char *name = take_text(r, step, "lease", NULL);
    if (name != NULL) put(r, r->leases, &r->lease_count, name)->lease = *lease;
    name = take_text(r, step, "fence", NULL);
    if (name != NULL) put(r, r->fences, &r->fence_count, name)->number = fence;
}

uint64_t fence_of(run *r, const char *name) {
    named *found = find(r->fences, r->fence_count, name);
    if (found == NULL) fail(r, "there is no fence %s", name);
    return found->number;
}
