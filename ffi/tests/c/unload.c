/*
 * Goal: a program may load and unload the library as often as it likes, with threads of an engine
 * running, with an engine left open, and may fork in between.
 * Method: a hundred times dlopen, work, dlclose. The library stays in memory (-z nodelete): code of
 * it runs in threads and in handlers of forks after the last dlclose. In the end all threads of the
 * library have ended.
 *   unload <path of liboncegate.so>
 */
#include <dirent.h>
#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

enum { LOADS = 100, LEFT_OPEN_EVERY = 10 };

/* The functions that are used here, as they are found in the library. */
struct library {
    void *loaded;
    oncegate_status (*open)(const oncegate_options *, oncegate_engine **, oncegate_error *);
    oncegate_status (*close)(oncegate_engine *, oncegate_error *);
    oncegate_status (*begin)(const oncegate_engine *, const oncegate_request *,
                             const oncegate_begin_options *, oncegate_buffer *,
                             oncegate_admission *, oncegate_error *);
    oncegate_status (*complete)(const oncegate_engine *, const oncegate_lease *,
                                const oncegate_outcome *, uint32_t *, oncegate_error *);
};

/* ISO C knows no cast from data to functions; POSIX says that this works. */
static void find(const struct library *library, const char *name, void *function) {
    void *found = dlsym(library->loaded, name);
    CHECK(found != NULL);
    memcpy(function, &found, sizeof found);
}

static struct library load(const char *path) {
    struct library library;
    library.loaded = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library.loaded == NULL) {
        FAIL("%s", dlerror());
    }
    find(&library, "oncegate_engine_open", &library.open);
    find(&library, "oncegate_engine_close", &library.close);
    find(&library, "oncegate_begin", &library.begin);
    find(&library, "oncegate_lease_complete", &library.complete);
    return library;
}

static oncegate_engine *work(const struct library *library) {
    oncegate_options options = oncegate_options_init();
    const oncegate_request request = request_of("key");
    oncegate_engine *engine = NULL;
    oncegate_admission admission;
    options.tiny = 1;
    options.ticker_period_ms = 1;
    options.driver = 1;
    OK(library->open(&options, &engine, &failed));
    OK(library->begin(engine, &request, NULL, NULL, &admission, &failed));
    CHECK(admission.verdict == ONCEGATE_ADMITTED);
    OK(library->complete(engine, &admission.lease, NULL, NULL, &failed));
    return engine;
}

static int threads(void) {
    DIR *tasks = opendir("/proc/self/task");
    int count = 0;
    struct dirent *entry;
    CHECK(tasks != NULL);
    while ((entry = readdir(tasks)) != NULL) {
        count += entry->d_name[0] != '.';
    }
    closedir(tasks);
    return count;
}

/* A child runs the handlers of forks, whether anybody has the library loaded or not. */
static void fork_once(void) {
    int status = -1;
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(int count, char **arguments) {
    oncegate_engine *left[LOADS / LEFT_OPEN_EVERY];
    size_t lefts = 0;
    int i;
    struct library library;
    if (count < 2) {
        FAIL("usage: unload <path of liboncegate.so>");
    }
    for (i = 0; i < LOADS; i++) {
        oncegate_engine *engine;
        library = load(arguments[1]);
        engine = work(&library);
        if (i % LEFT_OPEN_EVERY == 0) {
            left[lefts++] = engine;
            CHECK(threads() > 1);
        } else {
            OK(library.close(engine, &failed));
        }
        CHECK(dlclose(library.loaded) == 0);
        fork_once();
    }
    /* It is still there, and so are the engines that were left open. */
    library.loaded = dlopen(arguments[1], RTLD_NOW | RTLD_NOLOAD);
    CHECK(library.loaded != NULL);
    while (lefts > 0) {
        OK(library.close(left[--lefts], &failed));
    }
    CHECK(dlclose(library.loaded) == 0);
    CHECK(threads() == 1);
    done("unload");
    return 0;
}
