/*
 * Conformance vectors on the C header.
 *
 *   vectors FOLDER REPORT
 *
 * runs every vector of every file in FOLDER and writes one line for each to REPORT. Ends with 1 if
 * a vector failed, unless ONCEGATE_VECTORS_TWISTED is 1; with 2 if a file cannot be read.
 */

/* POSIX.1-2008, for scandir. */
#define _POSIX_C_SOURCE 200809L

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runner.h"

static void do_steps(run *r, json_t *steps) {
    size_t index;
    json_t *step;
    json_array_foreach(steps, index, step) {
        if (!json_is_object(step)) fail(r, "step %zu is no object", index + 1);
        const char *op = need_text(r, step, "op");
        json_t *expect = take_object(r, step, "expect");
        oncegate_status status = do_step(r, op, step, expect);
        settle(r, step, expect, status);
    }
}

/* A panic inside the library is a status that no vector expects, and closing tells of one, too. */
static int close_all(run *r) {
    int closed = oncegate_waits_close(r->waits, NULL) == ONCEGATE_OK;
    closed &= oncegate_engine_close(r->engine, NULL) == ONCEGATE_OK;
    for (size_t at = 0; at < r->memory_count; at++) free(r->memory[at]);
    free(r->memory);
    json_decref(r->values);
    return closed;
}

/* Runs one vector, and writes how it ended. Whether it held. */
static int run_vector(json_t *vector, FILE *report) {
    run *r = calloc(1, sizeof *r);
    if (r == NULL || (r->values = json_array()) == NULL) {
        fputs("no memory\n", stderr);
        exit(2);
    }
    r->error = oncegate_error_init();
    const char *id = json_string_value(json_object_get(vector, "id"));
    json_t *copy = json_deep_copy(vector);
    if (setjmp(r->end) == 0) {
        need_text(r, copy, "id");
        need_text(r, copy, "about");
        open_engine(r, take_object(r, copy, "options"));
        json_t *steps = take_list(r, copy, "steps");
        finish(r, copy, "vector");
        do_steps(r, steps);
        r->held = 1;
    }
    json_decref(copy);
    if (!close_all(r) && r->held) {
        r->held = 0;
        snprintf(r->why, sizeof r->why, "it cannot be closed");
    }
    for (char *at = r->why; *at != '\0'; at++) {
        if (*at == '\n' || *at == '\r') *at = ' ';
    }
    if (r->held) fprintf(report, "ok %s\n", id);
    else fprintf(report, "failed %s: %s\n", id == NULL ? "?" : id, r->why);
    int held = r->held;
    free(r);
    return held;
}

static int is_json(const struct dirent *entry) {
    size_t len = strlen(entry->d_name);
    return len > 5 && strcmp(entry->d_name + len - 5, ".json") == 0;
}

/* Runs the vectors of one file, and counts those that fail; negative: it cannot be read. */
static int run_file(const char *path, FILE *report) {
    json_error_t error;
    json_t *file = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (file == NULL) {
        fprintf(stderr, "%s:%d: %s\n", path, error.line, error.text);
        return -1;
    }
    int failed = 0;
    size_t index;
    json_t *vector;
    json_array_foreach(json_object_get(file, "vectors"), index, vector) {
        failed += !run_vector(vector, report);
    }
    json_decref(file);
    return failed;
}

int main(int argc, char **argv) {
    struct dirent **entries;
    if (argc != 3) {
        fputs("usage: vectors FOLDER REPORT\n", stderr);
        return 2;
    }
    if (oncegate_check_abi(ONCEGATE_ABI_VERSION, NULL) != ONCEGATE_OK) {
        fputs("the library is older than the header\n", stderr);
        return 2;
    }
    FILE *report = fopen(argv[2], "w");
    int count = scandir(argv[1], &entries, is_json, alphasort);
    if (report == NULL || count < 0) {
        fprintf(stderr, "%s: %s\n", report == NULL ? argv[2] : argv[1], strerror(errno));
        return 2;
    }
    int failed = 0, unread = 0;
    for (int at = 0; at < count; at++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", argv[1], entries[at]->d_name);
        int found = run_file(path, report);
        if (found < 0) unread = 1;
        else failed += found;
        free(entries[at]);
    }
    free(entries);
    if (fclose(report) != 0) unread = 1;
    const char *twisted = getenv("ONCEGATE_VECTORS_TWISTED");
    int may_fail = twisted != NULL && strcmp(twisted, "1") == 0;
    if (unread) return 2;
    return failed > 0 && !may_fail ? 1 : 0;
}
