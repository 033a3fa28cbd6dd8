/* Engines, requests and outcomes, as vectors spell them. */

#include <string.h>

#include "runner.h"

const choice LAPSES[] = {{"RECLAIM", ONCEGATE_LAPSE_RECLAIM},
                         {"UNKNOWN", ONCEGATE_LAPSE_UNKNOWN},
                         {"FAILED", ONCEGATE_LAPSE_FAILED},
                         {"DEFAULT", 0},
                         {NULL, 0}};
static const choice FULLS[] = {{"EVICT_LRU", ONCEGATE_FULL_EVICT_LRU},
                               {"REJECT", ONCEGATE_FULL_REJECT},
                               {NULL, 0}};
static const choice MODES[] = {{"KEYED", ONCEGATE_FINGERPRINT_KEYED},
                               {"FAST_TRUSTED", ONCEGATE_FINGERPRINT_FAST_TRUSTED},
                               {NULL, 0}};
static const choice KEYS[] = {{"ANY", ONCEGATE_KEYS_ANY},
                              {"VISIBLE", ONCEGATE_KEYS_VISIBLE},
                              {"ALPHANUMERIC", ONCEGATE_KEYS_ALPHANUMERIC},
                              {"HEX", ONCEGATE_KEYS_HEX},
                              {"UUID", ONCEGATE_KEYS_UUID},
                              {NULL, 0}};
static const choice SCOPE_KINDS[] = {{"NAMED", ONCEGATE_SCOPE_NAMED},
                                     {"SINGLE_TENANT", ONCEGATE_SCOPE_SINGLE_TENANT},
                                     {"UNAUTHENTICATED", ONCEGATE_SCOPE_UNAUTHENTICATED},
                                     {NULL, 0}};
static const choice KEY_KINDS[] = {{"GIVEN", ONCEGATE_KEY_GIVEN},
                                   {"FROM_PAYLOAD", ONCEGATE_KEY_FROM_PAYLOAD},
                                   {NULL, 0}};
static const choice PAYLOAD_KINDS[] = {{"NONE", ONCEGATE_PAYLOAD_NONE},
                                       {"RAW", ONCEGATE_PAYLOAD_RAW},
                                       {"JSON", ONCEGATE_PAYLOAD_JSON},
                                       {"FORM", ONCEGATE_PAYLOAD_FORM},
                                       {"MULTIPART", ONCEGATE_PAYLOAD_MULTIPART},
                                       {NULL, 0}};

void open_engine(run *r, json_t *given) {
    static uint8_t usual[32];
    for (uint8_t at = 0; at < sizeof usual; at++) usual[at] = (uint8_t)(at + 1);
    oncegate_options options = oncegate_options_init();
    options.clock = ONCEGATE_CLOCK_MANUAL;
    options.capacity = take_number(r, given, "capacity", 1000);
    options.outcome_limit = take_number(r, given, "outcome_limit", 0);
    options.inline_outcome = take_number(r, given, "inline_outcome", 0);
    options.max_waiters = take_number(r, given, "max_waiters", 0);
    options.lease_ms = take_number(r, given, "lease_ms", 0);
    options.dedup_window_ms = take_number(r, given, "dedup_window_ms", 0);
    options.wait_ms = take_number(r, given, "wait_ms", 0);
    options.default_quota.max_live = take_number(r, given, "quota_max_live", 0);
    options.jitter_seed = take_number(r, given, "jitter_seed", 1);
    options.key_min_len = take_number(r, given, "key_min_len", 0);
    options.key_max_len = take_number(r, given, "key_max_len", 0);
    options.refuse_predictable_keys = take_flag(r, given, "refuse_predictable_keys");
    options.on_lapse = take_choice(r, given, "on_lapse", LAPSES, "DEFAULT");
    options.on_full = take_choice(r, given, "on_full", FULLS, "EVICT_LRU");
    options.fingerprint_mode = take_choice(r, given, "fingerprint_mode", MODES, "KEYED");
    options.keys = take_choice(r, given, "keys", KEYS, "ANY");
    if (!take_bytes(r, given, "secret", &options.secret)) {
        options.secret.data = usual;
        options.secret.len = sizeof usual;
    }
    oncegate_retry_policy policy;
    if (json_object_get(given, "retry_policy") != NULL) {
        read_policy(r, take_object(r, given, "retry_policy"), &policy);
        options.retry_policy = &policy;
    }
    finish(r, given, "options");
    if (oncegate_engine_open(&options, &r->engine, &r->error) != ONCEGATE_OK) {
        fail(r, "opening: %s", r->error.message);
    }
    if (oncegate_waits_open(r->engine, &r->waits, &r->error) != ONCEGATE_OK) {
        fail(r, "opening waits: %s", r->error.message);
    }
}

static const oncegate_bytes *read_pointers(run *r, json_t *step, const char *name, size_t *count) {
    json_t *list = take_list(r, step, name);
    *count = json_array_size(list);
    oncegate_bytes *pointers = allocate(r, *count * sizeof *pointers);
    for (size_t at = 0; at < *count; at++) {
        json_t *text = json_array_get(list, at);
        if (!json_is_string(text)) fail(r, "%s: texts are expected", name);
        pointers[at] = oncegate_text(json_string_value(text));
    }
    return pointers;
}

void read_request(run *r, json_t *step, oncegate_request *request) {
    *request = oncegate_request_init();
    request->scope_kind = take_choice(r, step, "scope_kind", SCOPE_KINDS, "NAMED");
    if (!take_bytes(r, step, "scope", &request->scope) &&
        request->scope_kind == ONCEGATE_SCOPE_NAMED) {
        request->scope = oncegate_text("acme");
    }
    request->operation = oncegate_text(take_text(r, step, "operation", "POST /charges"));
    request->key_kind = take_choice(r, step, "key_kind", KEY_KINDS, "GIVEN");
    take_bytes(r, step, "key", &request->key);
    request->payload_kind = take_choice(r, step, "payload_kind", PAYLOAD_KINDS, "NONE");
    take_bytes(r, step, "payload", &request->payload);
    request->boundary = oncegate_text(take_text(r, step, "boundary", ""));
    request->excluded = read_pointers(r, step, "excluded", &request->excluded_count);
    request->included = read_pointers(r, step, "included", &request->included_count);
}

void read_begin_options(run *r, json_t *step, oncegate_begin_options *options) {
    *options = oncegate_begin_options_init();
    options->lease_ms = take_number(r, step, "lease_ms", 0);
    options->dedup_window_ms = take_number(r, step, "dedup_window_ms", 0);
    options->wait_ms = take_number(r, step, "wait_ms", 0);
    options->on_lapse = take_choice(r, step, "on_lapse", LAPSES, "DEFAULT");
    options->run_due = take_flag(r, step, "run_due");
}

int read_outcome(run *r, json_t *step, oncegate_outcome *outcome) {
    *outcome = oncegate_outcome_init();
    int given = json_object_get(step, "outcome_status") != NULL ||
                json_object_get(step, "metadata") != NULL;
    outcome->status = (uint32_t)take_number(r, step, "outcome_status", 0);
    outcome->withheld = take_flag(r, step, "withheld");
    given |= take_bytes(r, step, "body", &outcome->body);
    json_t *list = take_list(r, step, "metadata");
    outcome->metadata_count = json_array_size(list);
    oncegate_pair *pairs = allocate(r, outcome->metadata_count * sizeof *pairs);
    for (size_t at = 0; at < outcome->metadata_count; at++) {
        const char *name = json_string_value(json_array_get(json_array_get(list, at), 0));
        const char *value = json_string_value(json_array_get(json_array_get(list, at), 1));
        if (name == NULL || value == NULL) fail(r, "metadata: a name and a value are expected");
        pairs[at].name = oncegate_text(name);
        pairs[at].value = oncegate_text(value);
    }
    outcome->metadata = pairs;
    return given || outcome->withheld;
}
