/*
 * Goal: the C compiler and the library agree where every field of every structure lies.
 * Method: a table made of the header, whose offsets and sizes the compiler fills in, beside what
 * the library says of its own, both ways, in the same order.
 */
#include <stddef.h>

#include "check.h"

static const oncegate_layout ours[] = {
#include "layouts.inc"
};

enum { OURS = sizeof ours / sizeof *ours };

static const char *shown(const char *field) {
    return field == NULL ? "(all of it)" : field;
}

static int is_same(const char *a, const char *b) {
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* What one side says of a field; NULL where it knows none. */
static const oncegate_layout *find(const oncegate_layout *layouts, size_t count,
                                   const oncegate_layout *like) {
    size_t at;
    for (at = 0; at < count; at++) {
        if (is_same(layouts[at].structure, like->structure)
            && is_same(layouts[at].field, like->field)) {
            return &layouts[at];
        }
    }
    return NULL;
}

static void compare(const char *who, const oncegate_layout *mine, size_t count,
                    const oncegate_layout *others, size_t other_count) {
    size_t at;
    for (at = 0; at < count; at++) {
        const oncegate_layout *other = find(others, other_count, &mine[at]);
        if (other == NULL) {
            FAIL("only %s knows %s.%s", who, mine[at].structure, shown(mine[at].field));
        }
        if (mine[at].offset != other->offset || mine[at].size != other->size) {
            FAIL("%s puts %s.%s at %zu, %zu bytes; the other at %zu, %zu bytes", who,
                 mine[at].structure, shown(mine[at].field), mine[at].offset, mine[at].size,
                 other->offset, other->size);
        }
        checks++;
    }
}

int main(void) {
    oncegate_layout *theirs;
    size_t count = 0, again = 0;
    OK(oncegate_layouts(NULL, 0, &count, &failed));
    CHECK(count > 0);
    theirs = calloc(count, sizeof *theirs);
    CHECK(theirs != NULL);
    OK(oncegate_layouts(theirs, count, &again, &failed));
    CHECK(again == count);
    compare("the header", ours, OURS, theirs, count);
    compare("the library", theirs, count, ours, OURS);
    free(theirs);
    done("layouts");
    return 0;
}
