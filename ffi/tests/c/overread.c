/*
 * A planted error, for whoever looks for errors: a key that says it is longer than its memory. The
 * library reads it, and the address sanitizer and valgrind have to report that.
 */
#include "check.h"

int main(void) {
    oncegate_engine *engine = open_tiny();
    oncegate_request request = request_of("");
    oncegate_admission admission;
    uint8_t *key = malloc(24);
    CHECK(key != NULL);
    memset(key, 'k', 24);
    request.key.data = key;
    request.key.len = 25;
    OK(oncegate_begin(engine, &request, NULL, NULL, &admission, &failed));
    free(key);
    OK(oncegate_engine_close(engine, &failed));
    return 0;
}
