/* What the tests in C have in common: checks that name their place, and an engine to check. */
#ifndef CHECK_H
#define CHECK_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oncegate.h"

/* Each program is one translation unit; not each uses everything in here. */
#define MAYBE __attribute__((unused))

/* How many checks held. Programs with threads count theirs themselves. */
static unsigned long checks MAYBE;

#define FAIL(...)                                           \
    do {                                                    \
        fprintf(stderr, "%s:%d: ", __FILE__, __LINE__);     \
        fprintf(stderr, __VA_ARGS__);                       \
        fprintf(stderr, "\n");                              \
        exit(1);                                            \
    } while (0)

#define CHECK(condition)                                    \
    do {                                                    \
        if (!(condition)) {                                 \
            FAIL("does not hold: %s", #condition);          \
        }                                                   \
        checks++;                                           \
    } while (0)

/* A call returns this status. It is evaluated once; the last error is told with a failure. */
#define EXPECT(wanted, call)                                                                \
    do {                                                                                    \
        const oncegate_status expect_found = (call);                                        \
        if (expect_found != (wanted)) {                                                     \
            FAIL("%s: expected %s, found %" PRId32 " (%s)", #call, #wanted, expect_found,   \
                 failed.message);                                                           \
        }                                                                                   \
        checks++;                                                                           \
    } while (0)

/* What the last refused call told. */
static oncegate_error failed MAYBE;

/* The same, and that the error is about this argument. */
#define REFUSED(wanted, about, call)                                                        \
    do {                                                                                    \
        failed = oncegate_error_init();                                                     \
        EXPECT(wanted, call);                                                               \
        if (strcmp(failed.field, (about)) != 0 || strstr(failed.message, (about)) == NULL   \
            || failed.status != (wanted)) {                                                 \
            FAIL("%s: about %s, found %s: %s", #call, (about), failed.field,                \
                 failed.message);                                                           \
        }                                                                                   \
    } while (0)

#define OK(call) EXPECT(ONCEGATE_OK, call)

/* The smallest engine, whose clock stands still. */
static MAYBE oncegate_options tiny_options(void) {
    oncegate_options options = oncegate_options_init();
    options.tiny = 1;
    options.clock = ONCEGATE_CLOCK_MANUAL;
    options.lease_ms = 30000;
    options.dedup_window_ms = 60000;
    return options;
}

static MAYBE oncegate_engine *open_engine(const oncegate_options *options) {
    oncegate_engine *engine = NULL;
    failed = oncegate_error_init();
    OK(oncegate_engine_open(options, &engine, &failed));
    CHECK(engine != NULL);
    return engine;
}

static MAYBE oncegate_engine *open_tiny(void) {
    const oncegate_options options = tiny_options();
    return open_engine(&options);
}

static MAYBE oncegate_request request_of(const char *key) {
    oncegate_request request = oncegate_request_init();
    request.scope = oncegate_text("acme");
    request.operation = oncegate_text("POST /charges");
    request.key = oncegate_text(key);
    return request;
}

/* Begins, and gives the verdict; a call that does not work ends the test. */
static MAYBE uint32_t begin(const oncegate_engine *engine, const char *key,
                            oncegate_admission *admission) {
    const oncegate_request request = request_of(key);
    uint8_t bytes[1024];
    oncegate_buffer buffer = {bytes, sizeof bytes, 0};
    failed = oncegate_error_init();
    OK(oncegate_begin(engine, &request, NULL, &buffer, admission, &failed));
    return admission->verdict;
}

static MAYBE void done(const char *name) {
    printf("ok %s: %lu checks\n", name, checks);
}

#endif /* CHECK_H */
