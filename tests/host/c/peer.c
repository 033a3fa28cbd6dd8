/* A program in C that takes part in a round: see README.md of the folder above. */

#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "oncegate.h"

enum { MOST_BODY = 128, RECORD = 16 };

typedef struct counts {
    uint64_t created, expired, retried, replayed;
} counts;

static oncegate_engine *engine;
static int ledger;
static const char *own_name;
static uint64_t keys, tried;
static uint64_t *order;
static char (*bodies)[MOST_BODY];
static counts counted;

static void die(const char *what, const char *why) {
    fprintf(stderr, "%s: %s: %s\n", own_name == NULL ? "peer" : own_name, what, why);
    exit(1);
}

static void must(oncegate_status status, const char *what, const oncegate_error *error) {
    if (status != ONCEGATE_OK) die(what, error->message);
}

/* Fisher and Yates, by SplitMix64. */
static void shuffle(uint64_t seed) {
    for (uint64_t at = 0; at < keys; at++) order[at] = at;
    for (uint64_t at = keys - 1; at > 0; at--) {
        uint64_t z = seed += 0x9e3779b97f4a7c15u;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        uint64_t other = (z ^ (z >> 31)) % (at + 1);
        uint64_t key = order[at];
        order[at] = order[other];
        order[other] = key;
    }
}

static void lock(uint64_t at, short kind) {
    struct flock bytes;
    memset(&bytes, 0, sizeof bytes);
    bytes.l_type = kind;
    bytes.l_whence = SEEK_SET;
    bytes.l_start = (off_t)at;
    bytes.l_len = RECORD;
    if (fcntl(ledger, F_SETLKW, &bytes) != 0) die("lock", strerror(errno));
}

/* Little-endian, as the ledger is. */
static uint64_t word(const uint8_t *bytes) {
    uint64_t word = 0;
    for (int at = 7; at >= 0; at--) word = word << 8 | bytes[at];
    return word;
}

static void put(uint8_t *bytes, uint64_t word) {
    for (int at = 0; at < 8; at++) bytes[at] = (uint8_t)(word >> (8 * at));
}

/* Has the effect of a key happen, unless it has. */
static void happen(uint64_t key, uint64_t fence) {
    uint8_t record[RECORD];
    uint64_t at = key * RECORD;
    lock(at, F_WRLCK);
    if (pread(ledger, record, RECORD, (off_t)at) != RECORD) die("read", strerror(errno));
    if (fence < word(record)) die("ledger", "the token is stale");
    put(record, fence);
    if (word(record + 8) == 0) put(record + 8, 1);
    if (pwrite(ledger, record, RECORD, (off_t)at) != RECORD) die("write", strerror(errno));
    lock(at, F_UNLCK);
}

/* Whether it was admitted; if not, the outcome was replayed. */
static int begin(uint64_t key, oncegate_admission *answer) {
    char name[32];
    snprintf(name, sizeof name, "key-%" PRIu64, key);
    oncegate_request request = oncegate_request_init();
    request.scope = oncegate_text("acme");
    request.operation = oncegate_text("POST /charges");
    request.key = oncegate_text(name);
    oncegate_begin_options options = oncegate_begin_options_init();
    options.wait_ms = 10000;
    oncegate_error error = oncegate_error_init();
    for (;;) {
        uint8_t bytes[MOST_BODY];
        oncegate_buffer buffer = {bytes, sizeof bytes - 1, 0};
        must(oncegate_begin(engine, &request, &options, &buffer, answer, &error), name, &error);
        switch (answer->verdict) {
        case ONCEGATE_ADMITTED:
            return 1;
        case ONCEGATE_REPLAYED:
            counted.replayed++;
            memcpy(bodies[key], bytes + answer->outcome.body_offset, answer->outcome.body_len);
            bodies[key][answer->outcome.body_len] = '\0';
            return 0;
        case ONCEGATE_IN_PROGRESS:
            break;
        default:
            die(name, "another answer");
        }
    }
}

static void complete(uint64_t key, const oncegate_admission *answer) {
    happen(key, answer->fencing_token);
    snprintf(bodies[key], sizeof bodies[key], "%s:%" PRIu32, own_name, answer->attempt);
    oncegate_outcome outcome = oncegate_outcome_init();
    outcome.status = 200;
    outcome.body = oncegate_text(bodies[key]);
    oncegate_error error = oncegate_error_init();
    must(oncegate_lease_complete(engine, &answer->lease, &outcome, NULL, &error), "complete",
         &error);
}

static uint64_t next_key(void) {
    if (tried == keys) die("try", "no key is left");
    return order[tried++];
}

static void count(const oncegate_admission *answer) {
    counted.created += answer->how == ONCEGATE_HOW_CREATED;
    counted.expired += answer->how == ONCEGATE_HOW_EXPIRED;
    counted.retried += answer->how == ONCEGATE_HOW_RETRIED;
}

static void tell_counts(const char *what) {
    printf("%s %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64, what, counted.created,
           counted.expired, counted.retried, counted.replayed);
}

static void try_some(uint64_t number) {
    oncegate_admission answer;
    while (number-- > 0) {
        uint64_t key = next_key();
        if (begin(key, &answer)) {
            count(&answer);
            complete(key, &answer);
        }
    }
    tell_counts("tried");
    putchar('\n');
}

static void hold(uint64_t number) {
    uint64_t *held = calloc(number, sizeof *held);
    uint64_t have = 0;
    if (held == NULL) die("hold", "no memory");
    while (have < number) {
        oncegate_admission answer;
        uint64_t key = next_key();
        if (!begin(key, &answer)) continue;
        count(&answer);
        if (answer.how != ONCEGATE_HOW_CREATED) {
            complete(key, &answer);
            continue;
        }
        if (have % 2 == 0) happen(key, answer.fencing_token);
        held[have++] = key;
    }
    tell_counts("holds");
    for (uint64_t at = 0; at < have; at++) printf(" %" PRIu64, held[at]);
    putchar('\n');
    free(held);
}

static void digest(void) {
    uint64_t digest = 0xcbf29ce484222325u;
    for (uint64_t key = 0; key < keys; key++) {
        size_t len = strlen(bodies[key]);
        for (size_t at = 0; at <= len; at++) {
            uint8_t byte = at < len ? (uint8_t)bodies[key][at] : (uint8_t)'\n';
            digest = (digest ^ byte) * 0x100000001b3u;
        }
    }
    printf("digest %016" PRIx64 "\n", digest);
}

static void open_all(const char *table, const char *ledger_path) {
    static uint8_t secret[32];
    for (uint8_t at = 0; at < sizeof secret; at++) secret[at] = (uint8_t)(at + 1);
    oncegate_options options = oncegate_options_init();
    options.reach = ONCEGATE_REACH_HOST;
    options.path = oncegate_text(table);
    options.capacity = 20000;
    options.secret.data = secret;
    options.secret.len = sizeof secret;
    oncegate_error error = oncegate_error_init();
    must(oncegate_engine_open(&options, &engine, &error), table, &error);
    ledger = open(ledger_path, O_RDWR);
    if (ledger < 0) die(ledger_path, strerror(errno));
}

int main(int argc, char **argv) {
    char line[64];
    if (argc != 6) die("usage", "TABLE LEDGER NAME SEED KEYS");
    own_name = argv[3];
    keys = strtoull(argv[5], NULL, 10);
    order = calloc(keys, sizeof *order);
    bodies = calloc(keys, sizeof *bodies);
    if (order == NULL || bodies == NULL) die("start", "no memory");
    shuffle(strtoull(argv[4], NULL, 10));
    open_all(argv[1], argv[2]);
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin) != NULL) {
        char *number = strchr(line, ' ');
        uint64_t given = number == NULL ? 0 : strtoull(number, NULL, 10);
        if (strncmp(line, "try ", 4) == 0) try_some(given);
        else if (strncmp(line, "hold ", 5) == 0) hold(given);
        else if (strcmp(line, "digest\n") == 0) digest();
        else die("told", line);
        fflush(stdout);
    }
    free(order);
    free(bodies);
    return oncegate_engine_close(engine, NULL) == ONCEGATE_OK ? 0 : 1;
}
