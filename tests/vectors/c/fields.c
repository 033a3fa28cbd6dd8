/* Fields of JSON objects, each taken out as it is read: what is left at the end is a mistake. */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runner.h"

void fail(run *r, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(r->why, sizeof r->why, format, arguments);
    va_end(arguments);
    longjmp(r->end, 1);
}

void *allocate(run *r, size_t bytes) {
    if (r->memory_count == r->memory_room) {
        size_t room = r->memory_room == 0 ? 16 : 2 * r->memory_room;
        void **memory = realloc(r->memory, room * sizeof *memory);
        if (memory == NULL) fail(r, "no memory");
        r->memory = memory;
        r->memory_room = room;
    }
    void *made = calloc(1, bytes == 0 ? 1 : bytes);
    if (made == NULL) fail(r, "no memory");
    r->memory[r->memory_count++] = made;
    return made;
}

json_t *take(run *r, json_t *object, const char *name) {
    json_t *value = json_object_get(object, name);
    if (value == NULL) return NULL;
    if (json_array_append(r->values, value) != 0) fail(r, "no memory");
    json_object_del(object, name);
    return value;
}

/* An empty object where there is none. */
json_t *take_object(run *r, json_t *object, const char *name) {
    json_t *value = take(r, object, name);
    if (value == NULL) {
        value = json_object();
        if (json_array_append_new(r->values, value) != 0) fail(r, "no memory");
    }
    if (!json_is_object(value)) fail(r, "%s: an object is expected", name);
    return value;
}

json_t *take_list(run *r, json_t *object, const char *name) {
    json_t *value = take(r, object, name);
    if (value != NULL && !json_is_array(value)) fail(r, "%s: a list is expected", name);
    return value;
}

const char *take_text(run *r, json_t *object, const char *name, const char *fallback) {
    json_t *value = take(r, object, name);
    if (value == NULL) return fallback;
    if (!json_is_string(value)) fail(r, "%s: text is expected", name);
    return json_string_value(value);
}

const char *need_text(run *r, json_t *object, const char *name) {
    const char *text = take_text(r, object, name, NULL);
    if (text == NULL) fail(r, "`%s` is missing", name);
    return text;
}

uint64_t take_number(run *r, json_t *object, const char *name, uint64_t fallback) {
    json_t *value = take(r, object, name);
    if (value == NULL) return fallback;
    if (!json_is_integer(value) || json_integer_value(value) < 0) {
        fail(r, "%s: a whole number is expected", name);
    }
    return (uint64_t)json_integer_value(value);
}

double take_real(run *r, json_t *object, const char *name, double fallback) {
    json_t *value = take(r, object, name);
    if (value == NULL) return fallback;
    if (!json_is_number(value)) fail(r, "%s: a number is expected", name);
    return json_number_value(value);
}

uint32_t take_flag(run *r, json_t *object, const char *name) {
    json_t *value = take(r, object, name);
    if (value == NULL) return 0;
    if (!json_is_boolean(value)) fail(r, "%s: true or false is expected", name);
    return json_is_true(value) ? 1 : 0;
}

uint32_t take_choice(run *r, json_t *object, const char *name, const choice *choices,
                     const char *fallback) {
    const char *text = take_text(r, object, name, fallback);
    if (text == NULL) fail(r, "`%s` is missing", name);
    for (const choice *at = choices; at->name != NULL; at++) {
        if (strcmp(at->name, text) == 0) return at->number;
    }
    fail(r, "%s: there is no %s", name, text);
}

static int digit(char letter) {
    if (letter >= '0' && letter <= '9') return letter - '0';
    if (letter >= 'a' && letter <= 'f') return letter - 'a' + 10;
    return -1;
}

int take_bytes(run *r, json_t *object, const char *name, oncegate_bytes *bytes) {
    json_t *text = take(r, object, name);
    if (text != NULL) {
        if (!json_is_string(text)) fail(r, "%s: text is expected", name);
        bytes->data = (const uint8_t *)json_string_value(text);
        bytes->len = json_string_length(text);
        return 1;
    }
    char in_hex[64];
    snprintf(in_hex, sizeof in_hex, "%s_hex", name);
    const char *digits = take_text(r, object, in_hex, NULL);
    if (digits == NULL) return 0;
    size_t len = strlen(digits);
    uint8_t *made = allocate(r, len / 2);
    for (size_t at = 0; at < len / 2; at++) {
        int high = digit(digits[2 * at]), low = digit(digits[2 * at + 1]);
        if (high < 0 || low < 0) fail(r, "%s: no hexadecimal digits", in_hex);
        made[at] = (uint8_t)(high * 16 + low);
    }
    if (len % 2 != 0) fail(r, "%s: half a byte", in_hex);
    bytes->data = made;
    bytes->len = len / 2;
    return 1;
}

void finish(run *r, json_t *object, const char *what) {
    void *left = json_object_iter(object);
    if (left != NULL) {
        fail(r, "%s: nothing is known of `%s` here", what, json_object_iter_key(left));
    }
}

void same_number(run *r, json_t *expect, const char *name, uint64_t found) {
    json_t *value = take(r, expect, name);
    if (value == NULL) return;
    if (!json_is_integer(value) || (uint64_t)json_integer_value(value) != found) {
        fail(r, "%s: expected %s, found %llu", name,
             json_is_integer(value) ? "another number" : "something else",
             (unsigned long long)found);
    }
}

void same_text(run *r, json_t *expect, const char *name, const char *found, size_t len) {
    json_t *value = take(r, expect, name);
    if (value == NULL) return;
    if (!json_is_string(value)) fail(r, "%s: text is expected", name);
    if (json_string_length(value) != len || memcmp(json_string_value(value), found, len) != 0) {
        fail(r, "%s: expected %s, found %.*s", name, json_string_value(value),
             len < 200 ? (int)len : 200, found);
    }
}

void same_flag(run *r, json_t *expect, const char *name, int found) {
    json_t *value = take(r, expect, name);
    if (value == NULL) return;
    if (!json_is_boolean(value) || json_is_true(value) != (found != 0)) {
        fail(r, "%s: found %s", name, found ? "true" : "false");
    }
}

void same_bytes(run *r, json_t *expect, const char *name, const uint8_t *found, size_t len) {
    oncegate_bytes expected;
    if (!take_bytes(r, expect, name, &expected)) return;
    if (expected.len != len || (len != 0 && memcmp(expected.data, found, len) != 0)) {
        fail(r, "%s: expected %zu bytes, found %zu, or others", name, expected.len, len);
    }
}

const char *name_of(const choice *choices, uint32_t number) {
    for (const choice *at = choices; at->name != NULL; at++) {
        if (at->number == number) return at->name;
    }
    return "?";
}

void hex(char *digits, const uint8_t *bytes, size_t len) {
    static const char letters[] = "0123456789abcdef";
    for (size_t at = 0; at < len; at++) {
        digits[2 * at] = letters[bytes[at] >> 4];
        digits[2 * at + 1] = letters[bytes[at] & 15];
    }
    digits[2 * len] = '\0';
}
