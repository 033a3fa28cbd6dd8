/* Retry policies and budgets, as vectors spell them. A zero in a vector is zero itself. */

#include <string.h>

#include "runner.h"

static const choice PRESETS[] = {{"CUSTOM", ONCEGATE_POLICY_CUSTOM},
                                 {"AWS_STANDARD", ONCEGATE_POLICY_AWS_STANDARD},
                                 {"AWS_2026", ONCEGATE_POLICY_AWS_2026},
                                 {"AWS_2026_THROTTLED", ONCEGATE_POLICY_AWS_2026_THROTTLED},
                                 {"GRPC", ONCEGATE_POLICY_GRPC},
                                 {"GRPC_EXAMPLE", ONCEGATE_POLICY_GRPC_EXAMPLE},
                                 {"RESILIENCE4J", ONCEGATE_POLICY_RESILIENCE4J},
                                 {"CELERY", ONCEGATE_POLICY_CELERY},
                                 {"CELERY_BACKOFF", ONCEGATE_POLICY_CELERY_BACKOFF},
                                 {NULL, 0}};
static const choice BACKOFFS[] = {{"EXPONENTIAL", ONCEGATE_BACKOFF_EXPONENTIAL},
                                  {"LINEAR", ONCEGATE_BACKOFF_LINEAR},
                                  {"CONSTANT", ONCEGATE_BACKOFF_CONSTANT},
                                  {"LIST", ONCEGATE_BACKOFF_LIST},
                                  {NULL, 0}};
static const choice JITTERS[] = {{"NONE", ONCEGATE_JITTER_NONE},
                                 {"FULL", ONCEGATE_JITTER_FULL},
                                 {"EQUAL", ONCEGATE_JITTER_EQUAL},
                                 {"DECORRELATED", ONCEGATE_JITTER_DECORRELATED},
                                 {"PROPORTIONAL", ONCEGATE_JITTER_PROPORTIONAL},
                                 {NULL, 0}};
const choice BURIED[] = {{"NONE", ONCEGATE_BURIED_NONE},
                         {"ATTEMPTS", ONCEGATE_BURIED_ATTEMPTS},
                         {"DEADLINE", ONCEGATE_BURIED_DEADLINE},
                         {"BUDGET", ONCEGATE_BURIED_BUDGET},
                         {"FINAL_ERROR", ONCEGATE_BURIED_FINAL_ERROR},
                         {"LAPSED", ONCEGATE_BURIED_LAPSED},
                         {NULL, 0}};
static const choice BUDGETS[] = {{"BUCKET", ONCEGATE_BUDGET_BUCKET},
                                 {"RATIO", ONCEGATE_BUDGET_RATIO},
                                 {"CONCURRENCY", ONCEGATE_BUDGET_CONCURRENCY},
                                 {NULL, 0}};
static const choice BUCKETS[] = {{"PLAIN", ONCEGATE_BUCKET_PLAIN},
                                 {"GRPC", ONCEGATE_BUCKET_GRPC},
                                 {"AWS_STANDARD", ONCEGATE_BUCKET_AWS_STANDARD},
                                 {"AWS_2026", ONCEGATE_BUCKET_AWS_2026},
                                 {NULL, 0}};
static const choice LEVELS[] = {{"ENGINE", 0}, {"OPERATION", 1}, {"SCOPE", 2}, {NULL, 0}};

/* What is missing is the default, and a zero that is given is meant. */
static uint64_t number(run *r, json_t *object, const char *name) {
    int given = json_object_get(object, name) != NULL;
    uint64_t value = take_number(r, object, name, 0);
    return given && value == 0 ? ONCEGATE_ZERO : value;
}

static double real(run *r, json_t *object, const char *name) {
    int given = json_object_get(object, name) != NULL;
    double value = take_real(r, object, name, 0.0);
    return given && value == 0.0 ? ONCEGATE_ZERO_F64 : value;
}

void read_policy(run *r, json_t *given, oncegate_retry_policy *policy) {
    *policy = oncegate_retry_policy_init();
    policy->preset = take_choice(r, given, "preset", PRESETS, "CUSTOM");
    policy->backoff = take_choice(r, given, "backoff", BACKOFFS, "EXPONENTIAL");
    policy->jitter = take_choice(r, given, "jitter", JITTERS, "NONE");
    policy->max_attempts = (uint32_t)take_number(r, given, "max_attempts", 0);
    policy->multiplier = real(r, given, "multiplier");
    policy->jitter_share = real(r, given, "jitter_share");
    policy->initial_ms = number(r, given, "initial_ms");
    policy->increment_ms = number(r, given, "increment_ms");
    policy->max_ms = number(r, given, "max_ms");
    policy->deadline_ms = number(r, given, "deadline_ms");
    policy->expected_ms = number(r, given, "expected_ms");
    policy->attempt_timeout_ms = number(r, given, "attempt_timeout_ms");
    policy->ignore_hints = take_flag(r, given, "ignore_hints");
    policy->hint_max_ms = number(r, given, "hint_max_ms");
    policy->hint_beyond_drawn_ms = number(r, given, "hint_beyond_drawn_ms");
    json_t *delays = take_list(r, given, "delays_ms");
    policy->delay_count = json_array_size(delays);
    uint64_t *all = allocate(r, policy->delay_count * sizeof *all);
    for (size_t at = 0; at < policy->delay_count; at++) {
        json_t *delay = json_array_get(delays, at);
        if (!json_is_integer(delay)) fail(r, "delays_ms: whole numbers are expected");
        all[at] = (uint64_t)json_integer_value(delay);
    }
    policy->delays_ms = all;
    finish(r, given, "policy");
}

oncegate_status step_preview(run *r, json_t *step, json_t *expect) {
    oncegate_retry_policy policy;
    read_policy(r, take_object(r, step, "policy"), &policy);
    uint64_t seed = take_number(r, step, "seed", 0);
    size_t most = (size_t)take_number(r, step, "most", 0), count = 0;
    uint64_t *delays = allocate(r, most * sizeof *delays);
    uint32_t reason = 0;
    oncegate_status status =
        oncegate_backoff_preview(&policy, seed, delays, most, &count, &reason, &r->error);
    if (status != ONCEGATE_OK) return status;
    json_t *wanted = take_list(r, expect, "delays_ms");
    if (wanted != NULL && json_array_size(wanted) != count) {
        fail(r, "delays_ms: %zu are found", count);
    }
    for (size_t at = 0; wanted != NULL && at < count; at++) {
        json_t *one = json_array_get(wanted, at);
        if (!json_is_integer(one) || (uint64_t)json_integer_value(one) != delays[at]) {
            fail(r, "delays_ms: %llu is number %zu", (unsigned long long)delays[at], at + 1);
        }
    }
    const char *text = name_of(BURIED, reason);
    same_text(r, expect, "reason", text, strlen(text));
    return status;
}

oncegate_status step_set_operation(run *r, json_t *step) {
    oncegate_bytes operation = oncegate_text(need_text(r, step, "operation"));
    oncegate_retry_policy policy;
    int own = json_object_get(step, "policy") != NULL;
    if (own) read_policy(r, take_object(r, step, "policy"), &policy);
    uint64_t most = take_number(r, step, "max_in_flight", 0);
    return oncegate_set_operation(r->engine, operation, own ? &policy : NULL, most, &r->error);
}

static void read_budget(run *r, json_t *given, oncegate_budget *budget) {
    *budget = oncegate_budget_init();
    budget->kind = take_choice(r, given, "kind", BUDGETS, NULL);
    budget->preset = take_choice(r, given, "preset", BUCKETS, "PLAIN");
    budget->capacity = real(r, given, "capacity");
    budget->success = real(r, given, "success");
    budget->cost_transient = real(r, given, "cost_transient");
    budget->cost_throttled = real(r, given, "cost_throttled");
    budget->cost_timeout = real(r, given, "cost_timeout");
    budget->refill_per_second = real(r, given, "refill_per_second");
    budget->ratio = real(r, given, "ratio");
    budget->min_per_second = number(r, given, "min_per_second");
    budget->ttl_ms = number(r, given, "ttl_ms");
    budget->slices = number(r, given, "slices");
    budget->share = real(r, given, "share");
    budget->min_retries = number(r, given, "min_retries");
    finish(r, given, "budget");
}

oncegate_status step_set_budget(run *r, json_t *step) {
    oncegate_budget budget;
    read_budget(r, take_object(r, step, "budget"), &budget);
    uint32_t level = take_choice(r, step, "level", LEVELS, NULL);
    oncegate_bytes scope = oncegate_text(take_text(r, step, "scope", ""));
    oncegate_bytes operation = oncegate_text(take_text(r, step, "operation", ""));
    switch (level) {
    case 0:
        return oncegate_set_retry_budget(r->engine, &budget, &r->error);
    case 1:
        return oncegate_set_operation_budget(r->engine, operation, &budget, &r->error);
    default:
        return oncegate_set_scope_budget(r->engine, ONCEGATE_SCOPE_NAMED, scope, &budget,
                                         &r->error);
    }
}
