/*
 * Arguments for every function of the header. `calls.awk` makes of each prototype a call with the
 * member of this structure that is of the parameter's type, or with WITH_<name> where it is a
 * number: what is not here does not compile, so that no function can be forgotten.
 */
#ifndef WORLD_H
#define WORLD_H

#include "check.h"

/* More than a function has parameters. */
enum { MOST_PARAMETERS = 12, MEMORY = 1024 };

/* An address that no handle and no output has. */
#define UNTOUCHED ((void *)(uintptr_t)0xa5a5a5a5a5a5a5a5u)

/* Numbers, by the names of their parameters. */
#define WITH_after_ms 60000
#define WITH_answer ONCEGATE_RESOLVED_RUN_AGAIN
#define WITH_by_ms 1
#define WITH_capacity 1
#define WITH_count 1
#define WITH_delay_ms 0
#define WITH_duration_ms 1000
#define WITH_http_status 200
#define WITH_id 1
#define WITH_kind ONCEGATE_FAILURE_TERMINAL
#define WITH_limit 1
#define WITH_load 0.5
#define WITH_max_in_flight 1
#define WITH_most 1
#define WITH_past_capacity 1
#define WITH_policy ONCEGATE_OUTCOMES_IETF
#define WITH_resolution ONCEGATE_RESOLVED_RUN_AGAIN
#define WITH_scope_kind ONCEGATE_SCOPE_NAMED
#define WITH_seed 1
#define WITH_slots 16
#define WITH_status ONCEGATE_FULL
#define WITH_timeout_ms 0
#define WITH_unix_time_ms 0
#define WITH_user_data 1
#define WITH_version ONCEGATE_ABI_VERSION

struct world {
    oncegate_engine *engine;
    oncegate_engine *engine_out;
    oncegate_waits *waits;
    oncegate_waits *waits_out;
    oncegate_due *due;
    oncegate_due *due_out;
    oncegate_timers *timers;
    oncegate_timers *timers_out;
    /* Forty bytes: a name, a secret, and metadata that ends too early. */
    oncegate_bytes bytes;
    oncegate_admission admission;
    oncegate_attempt attempt;
    oncegate_attempt_error attempt_error;
    oncegate_begin_options begin_options;
    oncegate_budget budget;
    oncegate_buffer buffer;
    oncegate_completion completion;
    oncegate_driven driven;
    oncegate_event event;
    oncegate_hashed hashed;
    oncegate_later later;
    oncegate_layout layout;
    oncegate_lease lease;
    oncegate_lease_info lease_info;
    oncegate_letter letter;
    oncegate_letter_filter letter_filter;
    oncegate_letter_id letter_id;
    oncegate_options options;
    oncegate_outcome outcome;
    oncegate_past_attempt past_attempt;
    oncegate_question question;
    oncegate_quota quota;
    oncegate_request request;
    oncegate_retry_policy retry_policy;
    oncegate_stats stats;
    oncegate_step step;
    oncegate_stored_outcome stored_outcome;
    oncegate_swept swept;
    oncegate_tier_stats tier_stats;
    oncegate_bytes bytes_out[MOST_PARAMETERS];
    uint64_t uint64_out[MOST_PARAMETERS];
    uint32_t uint32_out[MOST_PARAMETERS];
    int32_t int32_out[MOST_PARAMETERS];
    size_t size_out[MOST_PARAMETERS];
    uint8_t uint8_out[MOST_PARAMETERS][32];
    char char_out[MOST_PARAMETERS][32];
    uint8_t memory[MEMORY];
};

struct parameter {
    const char *name;
    /* It is looked up, not followed. */
    int is_handle;
    /* NULL means something. */
    int is_nullable;
    /* It begins with its size. */
    int grows;
    /* It is written. */
    int is_output;
    size_t size;
    size_t alignment;
};

struct function {
    const char *name;
    /* Whether it ends what its first parameter stands for. */
    int closes;
    /* Its pointers, error left out. */
    size_t count;
    const struct parameter *parameters;
    void (*fill)(struct world *world, void **arguments);
    oncegate_status (*call)(struct world *world, void *const *arguments, oncegate_error *error);
};

static const char forty_bytes[] = "0123456789abcdefghijklmnopqrstuvwxyzABCD";

/* Everything that is not an input is filled with a pattern. */
static void make_world(struct world *world) {
    oncegate_options options = tiny_options();
    oncegate_admission admission;
    memset(world, 0xa5, sizeof *world);
    /* What an attempt is handed out with fits into the memory. */
    options.context_limit = MEMORY / 2;
    options.reconcile = 1;
    world->engine = open_engine(&options);
    CHECK(begin(world->engine, "held", &admission) == ONCEGATE_ADMITTED);
    OK(oncegate_waits_open(world->engine, &world->waits, &failed));
    OK(oncegate_due_open(world->engine, &world->due, &failed));
    OK(oncegate_timers_open(16, &world->timers, &failed));
    world->engine_out = UNTOUCHED;
    world->waits_out = UNTOUCHED;
    world->due_out = UNTOUCHED;
    world->timers_out = UNTOUCHED;
    world->bytes = oncegate_text(forty_bytes);
    world->attempt_error = oncegate_attempt_error_init();
    world->attempt_error.error_class = oncegate_text("503");
    world->begin_options = oncegate_begin_options_init();
    world->buffer.data = world->memory;
    world->buffer.capacity = MEMORY;
    world->budget = oncegate_budget_init();
    memset(&world->hashed, 0, sizeof world->hashed);
    world->hashed.scope = oncegate_text("acme");
    world->lease = admission.lease;
    world->letter_filter = oncegate_letter_filter_init();
    memset(&world->letter_id, 0, sizeof world->letter_id);
    world->options = tiny_options();
    world->outcome = oncegate_outcome_init();
    memset(&world->quota, 0, sizeof world->quota);
    world->request = request_of("new");
    world->retry_policy = oncegate_retry_policy_init();
    world->stats.struct_size = sizeof world->stats;
    world->tier_stats.struct_size = sizeof world->tier_stats;
}

static MAYBE void drop_world(struct world *world) {
    if (world->waits_out != UNTOUCHED) {
        OK(oncegate_waits_close(world->waits_out, &failed));
    }
    if (world->due_out != UNTOUCHED) {
        OK(oncegate_due_close(world->due_out, &failed));
    }
    if (world->timers_out != UNTOUCHED) {
        OK(oncegate_timers_close(world->timers_out, &failed));
    }
    if (world->engine_out != UNTOUCHED) {
        OK(oncegate_engine_close(world->engine_out, &failed));
    }
    /* One of them is closed already, where that was what the call was for. */
    (void)oncegate_timers_close(world->timers, NULL);
    (void)oncegate_due_close(world->due, NULL);
    (void)oncegate_waits_close(world->waits, NULL);
    (void)oncegate_engine_close(world->engine, NULL);
}

#endif /* WORLD_H */
