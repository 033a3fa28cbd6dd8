/*
 * Goal: a forked child is refused where its parent's table is not its own, and has its part in one
 * that is meant to be shared; neither side hangs or harms the other.
 * Method: real forks, with an engine of each reach. A child reports by its exit code.
 */
#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

/* Forks, and waits for the child, which runs `in_child` and must end well. */
static void in_a_child(void (*in_child)(oncegate_engine *), oncegate_engine *engine) {
    int status = -1;
    pid_t child;
    fflush(stdout);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        in_child(engine);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        FAIL("the child ended with %#x", (unsigned)status);
    }
    checks++;
}

static void complete(oncegate_engine *engine, const oncegate_admission *admission) {
    OK(oncegate_lease_complete(engine, &admission->lease, NULL, NULL, &failed));
}

/* What every function on an engine says that belongs to the parent. */
static void is_refused(oncegate_engine *engine) {
    const oncegate_request request = request_of("key");
    oncegate_stats stats = oncegate_stats_init();
    oncegate_admission admission;
    oncegate_engine *own;
    EXPECT(ONCEGATE_FORKED, oncegate_begin(engine, &request, NULL, NULL, &admission, &failed));
    EXPECT(ONCEGATE_FORKED, oncegate_engine_stats(engine, &stats, &failed));
    EXPECT(ONCEGATE_FORKED, oncegate_engine_sweep(engine, 1, NULL, &failed));
    /* An engine of its own is another thing. */
    own = open_tiny();
    CHECK(begin(own, "key", &admission) == ONCEGATE_ADMITTED);
    OK(oncegate_engine_close(own, &failed));
    OK(oncegate_engine_close(engine, &failed));
    EXPECT(ONCEGATE_BAD_HANDLE, oncegate_engine_close(engine, &failed));
}

static void private_tables_stay_the_parents(void) {
    oncegate_engine *engine = open_tiny();
    oncegate_admission admission;
    CHECK(begin(engine, "key", &admission) == ONCEGATE_ADMITTED);
    in_a_child(is_refused, engine);
    complete(engine, &admission);
    OK(oncegate_engine_close(engine, &failed));
}

static void *wait_for_key(void *engine) {
    const oncegate_request request = request_of("key");
    oncegate_begin_options options = oncegate_begin_options_init();
    oncegate_error error = oncegate_error_init();
    oncegate_admission admission;
    uint8_t bytes[64];
    oncegate_buffer buffer = {bytes, sizeof bytes, 0};
    options.wait_ms = 3600000;
    if (oncegate_begin(engine, &request, &options, &buffer, &admission, &error) != ONCEGATE_OK
        || admission.verdict != ONCEGATE_REPLAYED) {
        FAIL("the waiter was not answered: %s", error.message);
    }
    return NULL;
}

static void closes(oncegate_engine *engine) {
    OK(oncegate_engine_close(engine, &failed));
}

/* A thread of the parent is in the middle of a call: in the child there is none to wait for. */
static void closing_waits_for_nobody_elses_threads(void) {
    oncegate_engine *engine = open_tiny();
    oncegate_stats stats = oncegate_stats_init();
    oncegate_admission admission;
    pthread_t waiter;
    CHECK(begin(engine, "key", &admission) == ONCEGATE_ADMITTED);
    CHECK(pthread_create(&waiter, NULL, wait_for_key, engine) == 0);
    while (stats.waiters == 0) {
        OK(oncegate_engine_stats(engine, &stats, &failed));
        sched_yield();
    }
    in_a_child(closes, engine);
    complete(engine, &admission);
    CHECK(pthread_join(waiter, NULL) == 0);
    OK(oncegate_engine_close(engine, &failed));
}

/* In a table that the child has inherited: it meets what runs, and leaves what it finished. */
static void shares(oncegate_engine *engine) {
    oncegate_admission admission;
    CHECK(begin(engine, "parent's", &admission) == ONCEGATE_IN_PROGRESS);
    CHECK(begin(engine, "child's", &admission) == ONCEGATE_ADMITTED);
    complete(engine, &admission);
    /* Dies with this one: it is free at once. */
    CHECK(begin(engine, "orphan", &admission) == ONCEGATE_ADMITTED);
}

static void check_shared(oncegate_engine *engine, const oncegate_admission *parents) {
    oncegate_admission admission;
    CHECK(begin(engine, "child's", &admission) == ONCEGATE_REPLAYED);
    CHECK(begin(engine, "orphan", &admission) == ONCEGATE_ADMITTED);
    CHECK(admission.attempt == 2);
    complete(engine, parents);
    CHECK(begin(engine, "parent's", &admission) == ONCEGATE_REPLAYED);
    OK(oncegate_engine_close(engine, &failed));
}

static void inherited_tables_are_shared(void) {
    oncegate_options options = oncegate_options_init();
    oncegate_admission parents;
    oncegate_engine *engine;
    options.tiny = 1;
    options.reach = ONCEGATE_REACH_INHERITED;
    engine = open_engine(&options);
    CHECK(begin(engine, "parent's", &parents) == ONCEGATE_ADMITTED);
    in_a_child(shares, engine);
    check_shared(engine, &parents);
}

static char path[] = "/dev/shm/oncegate-forks-XXXXXX";

static oncegate_options file_options(void) {
    oncegate_options options = oncegate_options_init();
    options.tiny = 1;
    options.reach = ONCEGATE_REACH_HOST;
    options.path = oncegate_text(path);
    options.secret = oncegate_text("a secret that all processes have in common");
    return options;
}

/* The child opens the file itself, as any other process would. */
static void opens_and_shares(oncegate_engine *engine) {
    const oncegate_options options = file_options();
    oncegate_engine *own = open_engine(&options);
    (void)engine;
    shares(own);
}

static void files_are_shared(void) {
    char folder[] = "/dev/shm/oncegate-forks-XXXXXX";
    oncegate_options options;
    oncegate_admission parents;
    oncegate_engine *engine;
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s", folder);
    strcpy(path + strlen(path) - 1, "f");
    options = file_options();
    engine = open_engine(&options);
    CHECK(begin(engine, "parent's", &parents) == ONCEGATE_ADMITTED);
    in_a_child(opens_and_shares, engine);
    check_shared(engine, &parents);
    CHECK(unlink(path) == 0);
    CHECK(rmdir(folder) == 0);
}

int main(void) {
    private_tables_stay_the_parents();
    closing_waits_for_nobody_elses_threads();
    inherited_tables_are_shared();
    files_are_shared();
    done("forks");
    return 0;
}
