/* The table of calls that `calls.awk` makes, and how one of them is tried. */
#ifndef TABLE_H
#define TABLE_H

#include <stddef.h>

#include "world.h"

#define ALIGNMENT(type) offsetof(struct { char first; type second; }, second)

#include "calls.inc"

enum { FUNCTIONS = sizeof functions / sizeof *functions };

/* Statuses that say that an argument was wrong, or that the library failed. */
static MAYBE int is_of_boundary(oncegate_status status) {
    return status >= ONCEGATE_NULL_ARGUMENT && status != ONCEGATE_BUFFER_TOO_SMALL;
}

/* One call, in a world of its own, and what that was before. */
struct trial {
    struct world world;
    struct world before;
    void *arguments[MOST_PARAMETERS];
    oncegate_error error;
};

static struct trial trial;

static MAYBE void prepare(const struct function *function) {
    memset(&trial, 0, sizeof trial);
    make_world(&trial.world);
    CHECK(function->count <= MOST_PARAMETERS);
    function->fill(&trial.world, trial.arguments);
    trial.error = oncegate_error_init();
}

static MAYBE oncegate_status call(const struct function *function, oncegate_error *error) {
    memcpy(&trial.before, &trial.world, sizeof trial.world);
    return function->call(&trial.world, trial.arguments, error);
}

/* The status was `expected`, the error is about `about`, and nothing else was written. */
static MAYBE void check_refused(const struct function *function, oncegate_status found,
                          oncegate_status expected, const char *about) {
    if (found != expected || trial.error.status != expected) {
        FAIL("%s, %s: expected %" PRId32 ", found %" PRId32 " (%s)", function->name, about,
             expected, found, trial.error.message);
    }
    if (strcmp(trial.error.field, about) != 0 || strstr(trial.error.message, about) == NULL) {
        FAIL("%s: about %s, found %s: %s", function->name, about, trial.error.field,
             trial.error.message);
    }
    if (memcmp(&trial.world, &trial.before, sizeof trial.world) != 0) {
        FAIL("%s: wrote to an argument, though it refused %s", function->name, about);
    }
    checks++;
}

#endif /* TABLE_H */
