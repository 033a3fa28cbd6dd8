/*
 * Goal: a panic inside never crosses into C: the call returns ONCEGATE_PANICKED and has written
 * nothing; where it was made on a handle, that one answers nobody any more but its closing, and
 * no other handle is touched.
 * Method: a library that was built with the configuration `oncegate_planted_panic` panics where the
 * variable ONCEGATE_PLANTED_PANIC says: "entry", before an argument is looked at, or "call", after
 * a handle was looked up. Each function of the header is called so.
 */
#include "table.h"

static void plant(const char *where) {
    CHECK(setenv("ONCEGATE_PLANTED_PANIC", where, 1) == 0);
}

static void unplant(void) {
    CHECK(unsetenv("ONCEGATE_PLANTED_PANIC") == 0);
}

static int takes_handle(const struct function *function) {
    return function->count > 0 && function->parameters[0].is_handle && !function->closes;
}

/* The world is as it was, and the error says that it was a panic. */
static void check_panicked(const struct function *function, oncegate_status status) {
    if (status != ONCEGATE_PANICKED || trial.error.status != ONCEGATE_PANICKED) {
        FAIL("%s: expected a panic, found %" PRId32 " (%s)", function->name, status,
             trial.error.message);
    }
    CHECK(strstr(trial.error.message, "planted") != NULL);
    CHECK(memcmp(&trial.world, &trial.before, sizeof trial.world) == 0);
}

/* Before an argument is looked at, no handle is in danger: the next call works. */
static void panics_at_the_entry(const struct function *function) {
    oncegate_status status;
    prepare(function);
    plant("entry");
    status = call(function, &trial.error);
    unplant();
    check_panicked(function, status);
    plant("entry");
    CHECK(function->call(&trial.world, trial.arguments, NULL) == ONCEGATE_PANICKED);
    unplant();
    CHECK(!is_of_boundary(call(function, &trial.error)));
    drop_world(&trial.world);
}

/* In the middle of a call on a handle, nobody knows what is left half done behind it. */
static void panics_in_the_call(const struct function *function, oncegate_engine *other) {
    oncegate_admission admission;
    oncegate_status status;
    prepare(function);
    plant("call");
    status = call(function, &trial.error);
    unplant();
    check_panicked(function, status);
    check_refused(function, call(function, &trial.error), ONCEGATE_POISONED,
                  function->parameters[0].name);
    CHECK(begin(other, function->name, &admission) == ONCEGATE_ADMITTED);
    OK(oncegate_lease_abandon(other, &admission.lease, &failed));
    /* Closing works, once. */
    OK(oncegate_timers_close(trial.world.timers, &failed));
    OK(oncegate_due_close(trial.world.due, &failed));
    OK(oncegate_waits_close(trial.world.waits, &failed));
    REFUSED(ONCEGATE_BAD_HANDLE, "waits", oncegate_waits_close(trial.world.waits, &failed));
    OK(oncegate_engine_close(trial.world.engine, &failed));
    REFUSED(ONCEGATE_BAD_HANDLE, "engine", oncegate_engine_close(trial.world.engine, &failed));
}

int main(void) {
    oncegate_engine *other = open_tiny();
    size_t at;
    for (at = 0; at < FUNCTIONS; at++) {
        panics_at_the_entry(&functions[at]);
        if (takes_handle(&functions[at])) {
            panics_in_the_call(&functions[at], other);
        }
    }
    OK(oncegate_engine_close(other, &failed));
    done("panics");
    return 0;
}
