/*
 * Goal: a handle is good from its opening to its closing and never again, whatever else is opened
 * meanwhile; and nothing that is no handle is ever taken for one.
 * Method: as many engines as a process may have, closed and opened again in an order that is drawn
 * from a seed, while old handles are kept and tried; then a million numbers that are no handles.
 */
#include "check.h"

enum { MOST = 256, ROUNDS = 2000, NUMBERS = 1000000 };

static uint64_t seed = 0x6f6e636567617465;

/* SplitMix64. */
static uint64_t draw(void) {
    uint64_t z = seed += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static oncegate_engine *held[MOST];
static oncegate_engine *old[ROUNDS + MOST];
static size_t olds;

static void close_one(size_t at) {
    OK(oncegate_engine_close(held[at], &failed));
    old[olds++] = held[at];
    held[at] = NULL;
}

static int is_held(const void *handle) {
    size_t i;
    for (i = 0; i < MOST; i++) {
        if (held[i] == handle) {
            return 1;
        }
    }
    return 0;
}

int main(int count, char **arguments) {
    oncegate_engine *engine = NULL;
    oncegate_options options = tiny_options();
    size_t i, numbers;
    if (count > 1) {
        seed = strtoull(arguments[1], NULL, 0);
    }
    printf("seed %#" PRIx64 "\n", seed);
    OK(oncegate_engine_close(NULL, &failed));
    OK(oncegate_engine_close(NULL, NULL));
    for (i = 0; i < MOST; i++) {
        held[i] = open_engine(&options);
    }
    REFUSED(ONCEGATE_TOO_MANY_HANDLES, "engine", oncegate_engine_open(&options, &engine, &failed));
    CHECK(engine == NULL);
    for (i = 0; i < ROUNDS; i++) {
        size_t at = draw() % MOST;
        const oncegate_engine *stale;
        close_one(at);
        REFUSED(ONCEGATE_BAD_HANDLE, "engine",
                oncegate_engine_close(old[olds - 1], &failed));
        held[at] = open_engine(&options);
        stale = old[draw() % olds];
        CHECK(!is_held(stale));
        REFUSED(ONCEGATE_BAD_HANDLE, "engine",
                oncegate_engine_sweep(stale, 1, NULL, &failed));
    }
    for (i = 0; i < MOST; i++) {
        OK(oncegate_engine_sweep(held[i], 1, NULL, &failed));
    }
    /* Numbers near handles, and any others. */
    numbers = count > 2 ? strtoull(arguments[2], NULL, 0) : NUMBERS;
    for (i = 0; i < numbers; i++) {
        uint64_t number = draw();
        if (i % 2 == 0) {
            number = (uintptr_t)held[number % MOST] ^ ((uint64_t)1 << (draw() % 64));
        }
        if (number != 0 && !is_held((void *)(uintptr_t)number)) {
            const oncegate_status status =
                oncegate_engine_sweep((void *)(uintptr_t)number, 1, NULL, NULL);
            CHECK(status == ONCEGATE_BAD_HANDLE);
        }
    }
    for (i = 0; i < MOST; i++) {
        close_one(i);
    }
    for (i = 0; i < olds; i++) {
        CHECK(oncegate_engine_close(old[i], NULL) == ONCEGATE_BAD_HANDLE);
    }
    done("handles");
    return 0;
}
