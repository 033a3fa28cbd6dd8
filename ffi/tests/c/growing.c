/*
 * Goal: programs and libraries of different ages understand each other: a structure that begins
 * with its size may be smaller than the library's, and is then neither read nor written beyond its
 * end; or larger, if what the library does not know is zero.
 * Method: each such structure cut to each size that it may have, at the very end of a block of its
 * own, so that valgrind and the address sanitizer see a byte too many, with a canary behind it; and
 * made larger, with zeros and then with one bit.
 */
#include "check.h"

/* A copy of the first bytes of a structure, in a block of exactly that size. */
static void *cut(const void *structure, size_t whole, size_t size) {
    unsigned char *block = malloc(size);
    CHECK(block != NULL);
    memset(block, 0, size);
    memcpy(block, structure, size < whole ? size : whole);
    memcpy(block, &size, sizeof size);
    return block;
}

/* What one structure is passed to, with whether its call must work. */
typedef oncegate_status user(const oncegate_engine *engine, const void *structure);

static oncegate_status use_options(const oncegate_engine *engine, const void *structure) {
    uint64_t bytes = 0;
    (void)engine;
    return oncegate_required_bytes(structure, &bytes, &failed);
}

static oncegate_status use_begin_options(const oncegate_engine *engine, const void *structure) {
    const oncegate_request request = request_of("options");
    oncegate_admission admission;
    return oncegate_begin(engine, &request, structure, NULL, &admission, &failed);
}

static oncegate_status use_request(const oncegate_engine *engine, const void *structure) {
    oncegate_admission admission;
    return oncegate_begin(engine, structure, NULL, NULL, &admission, &failed);
}

static oncegate_status use_outcome(const oncegate_engine *engine, const void *structure) {
    oncegate_admission admission;
    oncegate_status status;
    CHECK(begin(engine, "outcome", &admission) == ONCEGATE_ADMITTED);
    status = oncegate_lease_fail(engine, &admission.lease, ONCEGATE_FAILURE_TERMINAL, 0, structure,
                                 &failed);
    if (status == ONCEGATE_OK) {
        /* Make room for the next one. */
        OK(oncegate_engine_advance_clock(engine, 100000, &failed));
    } else {
        const oncegate_error kept = failed;
        OK(oncegate_lease_abandon(engine, &admission.lease, &failed));
        failed = kept;
    }
    return status;
}

/* Structures that are read: every size from `least` on works, and so do zeros beyond the end. */
static void read_in_all_sizes(const char *about, user *use, const void *structure, size_t whole,
                              size_t least) {
    oncegate_engine *engine = open_tiny();
    size_t size;
    void *block;
    for (size = least; size <= whole + 64; size += 8) {
        block = cut(structure, whole, size);
        failed = oncegate_error_init();
        OK(use(engine, block));
        free(block);
    }
    for (size = 0; size < least; size += 8) {
        block = cut(structure, whole, size < sizeof(size_t) ? sizeof(size_t) : size);
        memcpy(block, &size, sizeof size);
        REFUSED(ONCEGATE_BAD_SIZE, about, use(engine, block));
        free(block);
    }
    for (size = whole + 8; size <= whole + 64; size += 8) {
        size_t bit = size - 1 - (size / 8) % 8;
        block = cut(structure, whole, size);
        ((unsigned char *)block)[bit] = 0x10;
        REFUSED(ONCEGATE_BAD_SIZE, about, use(engine, block));
        free(block);
    }
    OK(oncegate_engine_close(engine, &failed));
}

/* Requests of a batch lie as far apart as the first one says. */
static void batches_in_all_sizes(void) {
    enum { COUNT = 3, GROWN = sizeof(oncegate_request) + 16 };
    const char *const keys[COUNT] = {"one", "two", "three"};
    oncegate_engine *engine = open_tiny();
    size_t size;
    int i;
    for (size = 72; size <= GROWN; size += 8) {
        oncegate_admission admissions[COUNT];
        unsigned char *block = calloc(COUNT, size);
        CHECK(block != NULL);
        for (i = 0; i < COUNT; i++) {
            const oncegate_request request = request_of(keys[i]);
            memcpy(block + i * size, &request, size < sizeof request ? size : sizeof request);
            memcpy(block + i * size, &size, sizeof size);
        }
        failed = oncegate_error_init();
        OK(oncegate_begin_batch(engine, (const oncegate_request *)block, COUNT, NULL, NULL,
                                admissions, &failed));
        for (i = 0; i < COUNT; i++) {
            CHECK(admissions[i].verdict == ONCEGATE_ADMITTED);
            OK(oncegate_lease_abandon(engine, &admissions[i].lease, &failed));
        }
        memset(block + size, 0, sizeof size);
        REFUSED(ONCEGATE_BAD_SIZE, "requests.struct_size",
                oncegate_begin_batch(engine, (const oncegate_request *)block, COUNT, NULL, NULL,
                                     admissions, &failed));
        free(block);
    }
    OK(oncegate_engine_close(engine, &failed));
}

/* A structure that is written: what the caller has room for, and zeros for what only he knows. */
static void written_in_all_sizes(void) {
    oncegate_engine *engine = open_tiny();
    oncegate_stats whole = oncegate_stats_init();
    oncegate_admission admission;
    size_t size;
    CHECK(begin(engine, "counted", &admission) == ONCEGATE_ADMITTED);
    OK(oncegate_engine_stats(engine, &whole, &failed));
    CHECK(whole.begun == 1 && whole.bytes != 0);
    for (size = 16; size <= sizeof whole + 64; size += 8) {
        const size_t known = size < sizeof whole ? size : sizeof whole;
        unsigned char *block = malloc(size);
        size_t at;
        CHECK(block != NULL);
        memset(block, 0xa5, size);
        memcpy(block, &size, sizeof size);
        OK(oncegate_engine_stats(engine, (oncegate_stats *)block, &failed));
        CHECK(memcmp(block, &size, sizeof size) == 0);
        CHECK(memcmp(block + sizeof size, (unsigned char *)&whole + sizeof size, 8) == 0);
        for (at = known; at < size; at++) {
            CHECK(block[at] == 0);
        }
        free(block);
        /* The same before a canary, in one block. */
        block = malloc(size + 64);
        CHECK(block != NULL);
        memset(block, 0xa5, size + 64);
        memcpy(block, &size, sizeof size);
        OK(oncegate_engine_stats(engine, (oncegate_stats *)block, &failed));
        for (at = size; at < size + 64; at++) {
            CHECK(block[at] == 0xa5);
        }
        free(block);
    }
    OK(oncegate_engine_close(engine, &failed));
}

/* An error is written as far as the caller has room; one that says nothing true, not at all. */
static void errors_in_all_sizes(void) {
    size_t size;
    for (size = 0; size <= sizeof(oncegate_error) + 32; size += 8) {
        unsigned char *block = malloc(size < sizeof size ? sizeof size : size);
        size_t at;
        CHECK(block != NULL);
        memset(block, 0xa5, size);
        memcpy(block, &size, sizeof size);
        CHECK(oncegate_check_abi(0, (oncegate_error *)block) == ONCEGATE_UNSUPPORTED);
        CHECK(memcmp(block, &size, sizeof size) == 0);
        for (at = sizeof size; size < 24 && at < size; at++) {
            CHECK(block[at] == 0xa5);
        }
        if (size >= 24) {
            int32_t status;
            memcpy(&status, block + sizeof size, sizeof status);
            CHECK(status == ONCEGATE_UNSUPPORTED);
        }
        free(block);
    }
}

int main(void) {
    const oncegate_options options = tiny_options();
    const oncegate_begin_options begin_options = oncegate_begin_options_init();
    const oncegate_request request = request_of("request");
    oncegate_outcome outcome = oncegate_outcome_init();
    outcome.status = 200;
    /* The smallest sizes are those of the first version of the header, and never change. */
    read_in_all_sizes("options.struct_size", use_options, &options, sizeof options, 16);
    read_in_all_sizes("options.struct_size", use_begin_options, &begin_options,
                      sizeof begin_options, 16);
    read_in_all_sizes("request.struct_size", use_request, &request, sizeof request, 72);
    read_in_all_sizes("outcome.struct_size", use_outcome, &outcome, sizeof outcome, 32);
    batches_in_all_sizes();
    written_in_all_sizes();
    errors_in_all_sizes();
    done("growing");
    return 0;
}
