/*
 * Goal: sixteen threads may use an engine while it is closed: each call works, or says that the
 * handle was closed; no request ever runs twice at once; one closing of many works.
 * Method: rounds in which all threads begin a few keys, alone, in batches and waiting, renew, end
 * what they got, read statistics and sweep, until they are told that it is over; after a number of
 * calls that is drawn from a seed, two of them close the engine at the same time.
 *   threads <rounds> <seed>
 */
#include <pthread.h>
#include <stdatomic.h>

#include "check.h"

enum { THREADS = 16, KEYS = 6, ROUNDS = 60, CLOSERS = 2 };

static const char *const keys[KEYS] = {"a", "b", "c", "d", "e", "f"};

/* One round: an engine, and what its threads have in common. */
static oncegate_engine *engine;
static pthread_barrier_t all_there;
static atomic_int running[KEYS];
static atomic_ulong calls, admitted, ended_by_close, closed;
static unsigned long close_after;

struct thread {
    int number;
    uint64_t random;
};

static uint64_t draw(struct thread *thread) {
    uint64_t z = thread->random += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

/* Whether the call worked; ends the test unless it worked or found the handle closed. */
static int worked(oncegate_status status, const oncegate_error *error) {
    atomic_fetch_add(&calls, 1);
    if (status == ONCEGATE_OK) {
        return 1;
    }
    if (status != ONCEGATE_BAD_HANDLE && status != ONCEGATE_CLOSED) {
        FAIL("status %" PRId32 ": %s", status, error->message);
    }
    atomic_fetch_add(&ended_by_close, 1);
    return 0;
}

/* Runs what was admitted: nobody else may be at it. */
static int run(struct thread *thread, size_t key, const oncegate_admission *admission) {
    oncegate_error error = oncegate_error_init();
    oncegate_status status;
    if (atomic_exchange(&running[key], 1) != 0) {
        FAIL("key %s runs twice at once", keys[key]);
    }
    atomic_fetch_add(&admitted, 1);
    if (draw(thread) % 2 == 0
        && !worked(oncegate_lease_renew(engine, &admission->lease, 60000, NULL, &error), &error)) {
        return 0;
    }
    atomic_store(&running[key], 0);
    /* Failed, so that it is run again. */
    status = draw(thread) % 2 == 0
                 ? oncegate_lease_abandon(engine, &admission->lease, &error)
                 : oncegate_lease_fail(engine, &admission->lease, ONCEGATE_FAILURE_RETRYABLE, 0,
                                       NULL, &error);
    return worked(status, &error);
}

static int begin_some(struct thread *thread, int waits) {
    const size_t first = draw(thread) % KEYS;
    const size_t count = waits ? 1 : 1 + draw(thread) % 3;
    oncegate_begin_options options = oncegate_begin_options_init();
    oncegate_error error = oncegate_error_init();
    oncegate_request requests[3];
    oncegate_admission answers[3];
    oncegate_status status;
    size_t i;
    options.wait_ms = waits ? 3600000 : 0;
    for (i = 0; i < count; i++) {
        requests[i] = request_of(keys[(first + i) % KEYS]);
    }
    status = count == 1 ? oncegate_begin(engine, requests, &options, NULL, answers, &error)
                        : oncegate_begin_batch(engine, requests, count, &options, NULL, answers,
                                               &error);
    if (!worked(status, &error)) {
        return 0;
    }
    for (i = 0; i < count; i++) {
        if (answers[i].status != ONCEGATE_OK) {
            FAIL("an element of a batch: status %" PRId32, answers[i].status);
        }
        if (answers[i].verdict == ONCEGATE_ADMITTED
            && !run(thread, (first + i) % KEYS, &answers[i])) {
            return 0;
        }
    }
    return 1;
}

static int look(struct thread *thread) {
    oncegate_error error = oncegate_error_init();
    oncegate_stats stats = oncegate_stats_init();
    oncegate_event events[4];
    size_t count;
    switch (draw(thread) % 3) {
        case 0: return worked(oncegate_engine_stats(engine, &stats, &error), &error);
        case 1: return worked(oncegate_engine_sweep(engine, 16, NULL, &error), &error);
        default:
            return worked(oncegate_engine_events(engine, events, 4, &count, NULL, &error), &error);
    }
}

static void close_it(void) {
    oncegate_error error = oncegate_error_init();
    const oncegate_status status = oncegate_engine_close(engine, &error);
    if (status == ONCEGATE_OK) {
        atomic_fetch_add(&closed, 1);
    } else if (status != ONCEGATE_BAD_HANDLE) {
        FAIL("closing: status %" PRId32 ": %s", status, error.message);
    }
}

static void *work(void *argument) {
    struct thread *thread = argument;
    int goes_on = 1;
    pthread_barrier_wait(&all_there);
    while (goes_on) {
        if (thread->number < CLOSERS && atomic_load(&calls) >= close_after) {
            close_it();
            break;
        }
        switch (draw(thread) % 8) {
            case 0: goes_on = look(thread); break;
            /* The closers do not wait: somebody has to close. */
            case 1: goes_on = begin_some(thread, thread->number >= CLOSERS); break;
            default: goes_on = begin_some(thread, 0);
        }
    }
    return NULL;
}

static void one_round(uint64_t seed) {
    pthread_t threads[THREADS];
    struct thread own[THREADS];
    int i;
    engine = open_tiny();
    atomic_store(&calls, 0);
    atomic_store(&closed, 0);
    for (i = 0; i < KEYS; i++) {
        atomic_store(&running[i], 0);
    }
    CHECK(pthread_barrier_init(&all_there, NULL, THREADS) == 0);
    for (i = 0; i < THREADS; i++) {
        own[i].number = i;
        own[i].random = seed * THREADS + (uint64_t)i;
        CHECK(pthread_create(&threads[i], NULL, work, &own[i]) == 0);
    }
    for (i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    CHECK(pthread_barrier_destroy(&all_there) == 0);
    CHECK(atomic_load(&closed) == 1);
    CHECK(atomic_load(&calls) >= close_after);
    EXPECT(ONCEGATE_BAD_HANDLE, oncegate_engine_close(engine, &failed));
}

int main(int count, char **arguments) {
    const unsigned long rounds = count > 1 ? strtoul(arguments[1], NULL, 0) : ROUNDS;
    uint64_t seed = count > 2 ? strtoull(arguments[2], NULL, 0) : 1;
    unsigned long all = 0, i;
    printf("seed %" PRIu64 "\n", seed);
    for (i = 0; i < rounds; i++) {
        close_after = (seed * 2654435761u) % 2000;
        one_round(seed++);
        all += atomic_load(&calls);
    }
    printf("%lu calls, %lu admitted, %lu ended by closing\n", all, atomic_load(&admitted),
           atomic_load(&ended_by_close));
    CHECK(atomic_load(&admitted) > 0 && atomic_load(&ended_by_close) > 0);
    checks += all;
    done("threads");
    return 0;
}
