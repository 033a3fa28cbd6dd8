/*
 * One charge that is asked for twice runs once.
 *
 *   cc charge.c $(pkg-config --cflags --libs oncegate) -o charge && ./charge
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <oncegate.h>

/* Ends the program where a call did not work: none of these is expected here. */
static void must(oncegate_status status, const oncegate_error *error) {
    if (status != ONCEGATE_OK) {
        fprintf(stderr, "status %" PRId32 ": %s\n", status, error->message);
        exit(1);
    }
}

static oncegate_request charge_request(const char *key, const char *payload) {
    oncegate_request request = oncegate_request_init();
    request.scope = oncegate_text("acme");
    request.operation = oncegate_text("POST /charges");
    request.key = oncegate_text(key);
    request.payload_kind = ONCEGATE_PAYLOAD_JSON;
    request.payload = oncegate_text(payload);
    return request;
}

/* What must not happen twice. The store that it writes to refuses an older fencing token. */
static oncegate_outcome charge_card(uint64_t fencing_token, const oncegate_pair *header) {
    oncegate_outcome outcome = oncegate_outcome_init();
    (void)fencing_token;
    outcome.status = 201;
    outcome.body = oncegate_text("{\"charge\": \"ch_1\"}");
    outcome.metadata = header;
    outcome.metadata_count = 1;
    return outcome;
}

static void handle(oncegate_engine *engine, const oncegate_request *request) {
    uint8_t bytes[4096];
    oncegate_buffer buffer = {bytes, sizeof bytes, 0};
    oncegate_error error = oncegate_error_init();
    oncegate_admission admission;
    must(oncegate_begin(engine, request, NULL, &buffer, &admission, &error), &error);
    switch (admission.verdict) {
        case ONCEGATE_ADMITTED: {
            oncegate_pair header = {oncegate_text("content-type"),
                                    oncegate_text("application/json")};
            oncegate_outcome outcome = charge_card(admission.fencing_token, &header);
            must(oncegate_lease_complete(engine, &admission.lease, &outcome, NULL, &error), &error);
            printf("%" PRIu32 ": charged\n", outcome.status);
            break;
        }
        case ONCEGATE_REPLAYED: {
            const oncegate_stored_outcome *stored = &admission.outcome;
            oncegate_bytes packed = {bytes + stored->metadata_offset, stored->metadata_len};
            oncegate_bytes name, value;
            size_t cursor = 0;
            printf("%" PRIu32 ": again %.*s", stored->status, (int)stored->body_len,
                   (const char *)bytes + stored->body_offset);
            while (oncegate_metadata_next(packed, &cursor, &name, &value, NULL) == ONCEGATE_OK) {
                printf(", %.*s: %.*s", (int)name.len, (const char *)name.data, (int)value.len,
                       (const char *)value.data);
            }
            printf("\n");
            break;
        }
        case ONCEGATE_MISMATCHED:
            printf("422: the key was used for another payload\n");
            break;
        default:
            printf("409: ask again in %" PRIu64 " ms\n", admission.time_ms);
    }
}

/* Many at once: the crossing into the library is paid once. */
static void handle_batch(oncegate_engine *engine) {
    enum { COUNT = 3 };
    oncegate_request requests[COUNT];
    oncegate_admission admissions[COUNT];
    uint8_t bytes[4096];
    oncegate_buffer buffer = {bytes, sizeof bytes, 0};
    oncegate_error error = oncegate_error_init();
    requests[0] = charge_request("key-1", "{\"amount\": 100}");
    requests[1] = charge_request("key-2", "{\"amount\": 200}");
    requests[2] = charge_request("key-2", "{\"amount\": 200}");
    must(oncegate_begin_batch(engine, requests, COUNT, NULL, &buffer, admissions, &error), &error);
    for (size_t i = 0; i < COUNT; i++) {
        printf("batch %zu: status %" PRId32 ", verdict %" PRIu32 "\n", i, admissions[i].status,
               admissions[i].verdict);
        if (admissions[i].verdict == ONCEGATE_ADMITTED) {
            must(oncegate_lease_abandon(engine, &admissions[i].lease, &error), &error);
        }
    }
}

int main(void) {
    oncegate_error error = oncegate_error_init();
    oncegate_options options = oncegate_options_init();
    oncegate_engine *engine = NULL;
    oncegate_request request;
    oncegate_admission admission;

    must(oncegate_check_abi(ONCEGATE_ABI_VERSION, &error), &error);
    options.capacity = 10000;
    must(oncegate_engine_open(&options, &engine, &error), &error);

    request = charge_request("key-1", "{\"amount\": 100}");
    handle(engine, &request);
    handle(engine, &request);
    request = charge_request("key-1", "{\"amount\": 999}");
    handle(engine, &request);
    handle_batch(engine);

    /* A call that did not work says which argument it was, and why. */
    request = charge_request("", "{\"amount\": 100}");
    if (oncegate_begin(engine, &request, NULL, NULL, &admission, &error) != ONCEGATE_OK) {
        printf("%s: %s\n", error.field, error.message);
    }
    must(oncegate_engine_close(engine, &error), &error);
    return 0;
}
