/*
 * What a call costs from C, in nanoseconds: a line for each round and each kind of call, as
 * scripts/bench-foreign.sh reads them. `benches/paths/src/bin/crossing.rs` does the same in Rust,
 * without the boundary.
 *   crossing <rounds> <records>
 */
#define _POSIX_C_SOURCE 200809L

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "oncegate.h"

enum { BATCH = 64, BODY = 48, CALLS = 1 << 19, NEW_CALLS = 1 << 16 };

static oncegate_engine *engine;
static oncegate_hashed *finished;
static uint64_t records;
static uint8_t body[BODY];

static void must(oncegate_status status, const oncegate_error *error) {
    if (status != ONCEGATE_OK) {
        fprintf(stderr, "%s\n", error->message);
        exit(1);
    }
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static void tell(const char *what, double since, double calls) {
    printf("%s %.2f\n", what, (now() - since) / calls);
    fflush(stdout);
}

/* Bits that are spread evenly: the end of SplitMix64. */
static uint64_t mix(uint64_t number) {
    uint64_t word = (number + 1) * 0x9e3779b97f4a7c15;
    word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9;
    word = (word ^ (word >> 27)) * 0x94d049bb133111eb;
    return word ^ (word >> 31);
}

static oncegate_hashed hashed(uint64_t number) {
    oncegate_hashed made;
    memset(&made, 0, sizeof made);
    made.scope_kind = ONCEGATE_SCOPE_SINGLE_TENANT;
    for (uint64_t at = 0; at < 4; at++) {
        const uint64_t word = mix(number * 4 + at);
        memcpy(made.fingerprint + at * 8, &word, 8);
    }
    return made;
}

static void begin_and_complete(const oncegate_hashed *request) {
    oncegate_error error = oncegate_error_init();
    oncegate_outcome outcome = oncegate_outcome_init();
    oncegate_admission admission;
    must(oncegate_begin_hashed(engine, request, NULL, NULL, &admission, &error), &error);
    if (admission.verdict != ONCEGATE_ADMITTED) exit(1);
    outcome.status = 201;
    outcome.body.data = body;
    outcome.body.len = BODY;
    must(oncegate_lease_complete(engine, &admission.lease, &outcome, NULL, &error), &error);
}

static void trivial(void) {
    /* Through a pointer, as through any shared library: the call itself, and nothing behind it. */
    uint32_t (*volatile call)(void) = oncegate_abi_version;
    uint32_t sum = 0;
    const double since = now();
    for (uint32_t i = 0; i < CALLS; i++) sum += call();
    tell("trivial", since, CALLS);
    if (sum == 1) puts("");
}

static void single(void) {
    uint8_t bytes[BODY];
    oncegate_buffer buffer = {bytes, sizeof bytes, 0};
    oncegate_error error = oncegate_error_init();
    oncegate_admission admission;
    const double since = now();
    for (uint32_t i = 0; i < CALLS; i++) {
        must(oncegate_begin_hashed(engine, &finished[i % records], NULL, &buffer, &admission,
                                   &error),
             &error);
        if (admission.verdict != ONCEGATE_REPLAYED) exit(1);
    }
    tell("single", since, CALLS);
}

static void batch(void) {
    static uint8_t bytes[BATCH * BODY];
    oncegate_buffer buffer = {bytes, sizeof bytes, 0};
    oncegate_error error = oncegate_error_init();
    oncegate_admission admissions[BATCH];
    const double since = now();
    for (uint32_t i = 0; i < CALLS; i += BATCH) {
        must(oncegate_begin_hashed_batch(engine, &finished[i % records], BATCH, NULL, &buffer,
                                         admissions, &error),
             &error);
        if (admissions[BATCH - 1].verdict != ONCEGATE_REPLAYED) exit(1);
    }
    tell("batch64", since, CALLS);
}

static void fresh(uint64_t from) {
    const double since = now();
    for (uint64_t i = 0; i < NEW_CALLS; i++) {
        const oncegate_hashed request = hashed(from + i);
        begin_and_complete(&request);
    }
    tell("new", since, NEW_CALLS);
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: crossing ROUNDS RECORDS\n");
        return 1;
    }
    const uint64_t rounds = strtoull(argv[1], NULL, 10);
    records = strtoull(argv[2], NULL, 10);
    finished = calloc(records, sizeof *finished);
    if (finished == NULL) return 1;
    oncegate_error error = oncegate_error_init();
    oncegate_options options = oncegate_options_init();
    options.capacity = 2 * records + 1000;
    must(oncegate_engine_open(&options, &engine, &error), &error);
    for (uint64_t i = 0; i < records; i++) {
        finished[i] = hashed(i);
        begin_and_complete(&finished[i]);
    }
    for (uint64_t round = 0; round < rounds; round++) {
        trivial();
        single();
        batch();
    }
    must(oncegate_engine_close(engine, &error), &error);
    /* Among records that are never asked for again, as in a table that is full. */
    options.capacity = NEW_CALLS;
    must(oncegate_engine_open(&options, &engine, &error), &error);
    for (uint64_t round = 0; round < rounds; round++) fresh(round * NEW_CALLS);
    must(oncegate_engine_close(engine, &error), &error);
    free(finished);
    return 0;
}
