/*
 * Goal: every function of the header refuses, by name, each argument that it can see is wrong, and
 * then has written nothing but the error.
 * Method: a table made of the header itself. Each function is called with arguments that are right;
 * then again with one of them wrong: NULL, unaligned, of a wrong size, or a handle that stands for
 * nothing. All memory of the arguments is compared with what it was.
 */
#include "table.h"

/* Each function takes arguments that are right, also without anybody to tell errors to. */
static void right_arguments(const struct function *function) {
    oncegate_status status;
    prepare(function);
    status = call(function, &trial.error);
    if (is_of_boundary(status)) {
        FAIL("%s: refused what is right: %" PRId32 " (%s)", function->name, status,
             trial.error.message);
    }
    drop_world(&trial.world);
    prepare(function);
    CHECK(call(function, NULL) == status);
    drop_world(&trial.world);
}

/* Each pointer is NULL once; `nullable.txt` says for which of them that means something. */
static void null_arguments(const struct function *function) {
    size_t at;
    for (at = 0; at < function->count; at++) {
        const struct parameter *parameter = &function->parameters[at];
        oncegate_status status;
        prepare(function);
        trial.arguments[at] = NULL;
        status = call(function, &trial.error);
        if (!parameter->is_nullable) {
            check_refused(function, status, ONCEGATE_NULL_ARGUMENT, parameter->name);
            CHECK(function->call(&trial.world, trial.arguments, NULL) == status);
        } else if (is_of_boundary(status)) {
            FAIL("%s: %s may be NULL, and was refused: %s", function->name, parameter->name,
                 trial.error.message);
        }
        drop_world(&trial.world);
    }
}

/* Each pointer is off by one once. */
static void unaligned_arguments(const struct function *function) {
    size_t at;
    for (at = 0; at < function->count; at++) {
        const struct parameter *parameter = &function->parameters[at];
        if (parameter->is_handle || parameter->alignment == 1) {
            continue;
        }
        prepare(function);
        trial.arguments[at] = (char *)trial.arguments[at] + 1;
        check_refused(function, call(function, &trial.error), ONCEGATE_BAD_VALUE, parameter->name);
        drop_world(&trial.world);
    }
}

/* A structure that may grow says that it has a size that none of them can have. */
static void wrong_sizes(const struct function *function) {
    static const size_t sizes[] = {0, 1, 8, 33, 65544, (size_t)-8, (size_t)-1};
    size_t at, i;
    for (at = 0; at < function->count; at++) {
        const struct parameter *parameter = &function->parameters[at];
        char about[64];
        if (!parameter->grows) {
            continue;
        }
        snprintf(about, sizeof about, "%s.struct_size", parameter->name);
        for (i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            prepare(function);
            memcpy(trial.arguments[at], &sizes[i], sizeof *sizes);
            check_refused(function, call(function, &trial.error), ONCEGATE_BAD_SIZE, about);
            drop_world(&trial.world);
        }
    }
}

/* One call in which a structure that grows is a block of `size` bytes: what the caller knows of it,
 * and zeros beyond, the last of which becomes `last`. */
static oncegate_status call_grown(const struct function *function, size_t at, size_t size,
                                  unsigned char last) {
    const struct parameter *parameter = &function->parameters[at];
    unsigned char *block = calloc(1, size);
    oncegate_status status;
    CHECK(block != NULL);
    prepare(function);
    memcpy(block, trial.arguments[at], size < parameter->size ? size : parameter->size);
    memcpy(block, &size, sizeof size);
    if (last != 0) {
        block[size - 1] = last;
    }
    trial.arguments[at] = block;
    status = call(function, &trial.error);
    CHECK(memcmp(block, &size, sizeof size) == 0);
    free(block);
    drop_world(&trial.world);
    return status;
}

/* Callers of another age: each size from some smallest one on is good, also those that are larger
 * than the library knows, if what it does not know is zero. Blocks end where they end, for valgrind
 * and the address sanitizer. */
static void grown_arguments(const struct function *function) {
    size_t at, size;
    for (at = 0; at < function->count; at++) {
        const struct parameter *parameter = &function->parameters[at];
        size_t least = 0;
        if (!parameter->grows) {
            continue;
        }
        for (size = 8; size <= parameter->size + 32; size += 8) {
            const oncegate_status status = call_grown(function, at, size, 0);
            if (least == 0 && status != ONCEGATE_BAD_SIZE) {
                least = size;
            }
            if (least != 0 && is_of_boundary(status)) {
                FAIL("%s: %s of %zu bytes was refused: %" PRId32 " (%s)", function->name,
                     parameter->name, size, status, trial.error.message);
            }
        }
        /* Something can have been added since the first version, and the first had something. */
        CHECK(least >= 16 && least <= parameter->size);
        for (size = parameter->size + 8; size <= parameter->size + 32; size += 8) {
            const oncegate_status status = call_grown(function, at, size, 1);
            if (parameter->is_output ? is_of_boundary(status) : status != ONCEGATE_BAD_SIZE) {
                FAIL("%s: %s with what nobody knows: %" PRId32, function->name, parameter->name,
                     status);
            }
        }
    }
}

/* A handle was closed, has the magic number of another kind, or was never one. */
static void wrong_handles(const struct function *function) {
    size_t at;
    for (at = 0; at < function->count; at++) {
        const struct parameter *parameter = &function->parameters[at];
        uintptr_t handle;
        uintptr_t wrong[7];
        size_t i;
        if (!parameter->is_handle) {
            continue;
        }
        prepare(function);
        handle = (uintptr_t)trial.arguments[at];
        wrong[0] = handle ^ 1;              /* another magic number */
        wrong[1] = handle ^ (1u << 8);      /* another index */
        wrong[2] = handle ^ (1u << 16);     /* another generation */
        wrong[3] = (uintptr_t)&trial.world; /* a pointer */
        wrong[4] = (uintptr_t)-1;
        wrong[5] = 1;
        wrong[6] = handle + ((uintptr_t)1 << 62);
        for (i = 0; i < sizeof wrong / sizeof *wrong; i++) {
            trial.arguments[at] = (void *)wrong[i];
            check_refused(function, call(function, &trial.error), ONCEGATE_BAD_HANDLE,
                          parameter->name);
        }
        drop_world(&trial.world);
        trial.arguments[at] = (void *)handle;
        check_refused(function, call(function, &trial.error), ONCEGATE_BAD_HANDLE, parameter->name);
        CHECK(function->call(&trial.world, trial.arguments, NULL) == ONCEGATE_BAD_HANDLE);
    }
}

int main(void) {
    size_t at;
    for (at = 0; at < FUNCTIONS; at++) {
        right_arguments(&functions[at]);
        null_arguments(&functions[at]);
        unaligned_arguments(&functions[at]);
        wrong_sizes(&functions[at]);
        grown_arguments(&functions[at]);
        wrong_handles(&functions[at]);
    }
    printf("%d functions\n", (int)FUNCTIONS);
    done("calls");
    return 0;
}
