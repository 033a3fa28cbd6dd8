/*
 * The runner of conformance vectors on the C header: what its files share.
 *
 * Whatever goes wrong with a vector ends it by `fail`, which does not come back. What was taken out
 * of JSON or allocated until then belongs to the run, and goes with it.
 */
#ifndef RUNNER_H
#define RUNNER_H

#include <jansson.h>
#include <setjmp.h>
#include <stdint.h>

#include "oncegate.h"

/* Names in a vector are few. */
#define MOST_NAMES 64

/* A value that a step has given a name. */
typedef struct named {
    const char *name;
    oncegate_lease lease;
    uint64_t number;
    /* Of a wait: 1 until it is over. */
    int waits;
} named;

/* An answer that came before a step took it. */
typedef struct stash {
    oncegate_completion completion;
    uint8_t *bytes;
} stash;

/* One vector under way. */
typedef struct run {
    oncegate_engine *engine;
    oncegate_waits *waits;
    oncegate_error error;
    named leases[MOST_NAMES];
    size_t lease_count;
    named fences[MOST_NAMES];
    size_t fence_count;
    /* Waits that were submitted, by the number that the library gave them. */
    named submitted[MOST_NAMES];
    size_t submitted_count;
    stash stashed[MOST_NAMES];
    size_t stashed_count;
    /* What goes with the run. */
    json_t *values;
    void **memory;
    size_t memory_count;
    size_t memory_room;
    jmp_buf end;
    int held;
    char why[512];
} run;

/* A name in a vector, and the number that the header has for it. */
typedef struct choice {
    const char *name;
    uint32_t number;
} choice;

#if defined(__GNUC__)
#define NO_RETURN __attribute__((noreturn, format(printf, 2, 3)))
#else
#define NO_RETURN
#endif

/* fields.c: fields of JSON objects, each taken out as it is read. */
void fail(run *r, const char *format, ...) NO_RETURN;
void *allocate(run *r, size_t bytes);
json_t *take(run *r, json_t *object, const char *name);
json_t *take_object(run *r, json_t *object, const char *name);
json_t *take_list(run *r, json_t *object, const char *name);
const char *take_text(run *r, json_t *object, const char *name, const char *fallback);
const char *need_text(run *r, json_t *object, const char *name);
uint64_t take_number(run *r, json_t *object, const char *name, uint64_t fallback);
double take_real(run *r, json_t *object, const char *name, double fallback);
uint32_t take_flag(run *r, json_t *object, const char *name);
uint32_t take_choice(run *r, json_t *object, const char *name, const choice *choices,
                     const char *fallback);
/* Whether there is the text `name`, or `name_hex`; their bytes. */
int take_bytes(run *r, json_t *object, const char *name, oncegate_bytes *bytes);
void finish(run *r, json_t *object, const char *what);
void same_number(run *r, json_t *expect, const char *name, uint64_t found);
void same_text(run *r, json_t *expect, const char *name, const char *found, size_t len);
void same_flag(run *r, json_t *expect, const char *name, int found);
void same_bytes(run *r, json_t *expect, const char *name, const uint8_t *found, size_t len);
const char *name_of(const choice *choices, uint32_t number);
void hex(char *digits, const uint8_t *bytes, size_t len);

/* request.c: engines, requests and outcomes, as vectors spell them. */
extern const choice LAPSES[];
void open_engine(run *r, json_t *options);
void read_request(run *r, json_t *step, oncegate_request *request);
void read_begin_options(run *r, json_t *step, oncegate_begin_options *options);
/* Whether the step says anything of an outcome. */
int read_outcome(run *r, json_t *step, oncegate_outcome *outcome);

/* answers.c: what the engine answers, held against what is expected. */
void settle(run *r, json_t *step, json_t *expect, oncegate_status status);
void told(run *r, json_t *step, json_t *expect, const oncegate_admission *answer,
          const uint8_t *bytes);
oncegate_lease *lease_of(run *r, json_t *step);
void keep(run *r, json_t *step, const oncegate_lease *lease, uint64_t fence);
uint64_t fence_of(run *r, const char *name);
extern const choice HOWS[];

/* waits.c: requests that wait while other steps follow. */
oncegate_status step_submit(run *r, json_t *step);
oncegate_status step_take(run *r, json_t *step, json_t *expect);
oncegate_status step_cancel(run *r, json_t *step);

/* policy.c: retry policies and budgets. */
extern const choice BURIED[];
void read_policy(run *r, json_t *given, oncegate_retry_policy *policy);
oncegate_status step_preview(run *r, json_t *step, json_t *expect);
oncegate_status step_set_operation(run *r, json_t *step);
oncegate_status step_set_budget(run *r, json_t *step);

/* retries.c: attempts that are left to the engine. */
oncegate_status step_retry_later(run *r, json_t *step, json_t *expect);
oncegate_status step_next_attempt(run *r, json_t *step, json_t *expect);

/* steps.c: the other steps. */
oncegate_status do_step(run *r, const char *op, json_t *step, json_t *expect);

#endif
