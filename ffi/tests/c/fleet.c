/*
 * Goal: engines of several hosts that share a Redis run a request once; without the server nothing
 * new is run, or as the options say, and work goes on when it is back; options that cannot be are
 * refused by name, and nothing of what was given is told.
 * Method: engines of tables of their own, which are hosts to each other, and a real server that is
 * killed by SIGKILL and started again.
 */
#include "check.h"
#include "server.h"

/* What must never be read in an error: it is in everything that is secret here. */
#define MARK "hunter2"

static const char secret[] = "a secret that both hosts have: 32";
static const char key[] = MARK "-a-key-of-thirty-two-byte";

static oncegate_tier_options tier_at(const char *url) {
    oncegate_tier_options tier = oncegate_tier_options_init();
    tier.url = oncegate_text(url);
    /* For a machine with a lot to do: no call takes so long. */
    tier.deadline_ms = 10000;
    return tier;
}

static oncegate_options options_with(const oncegate_tier_options *tier) {
    oncegate_options options = oncegate_options_init();
    options.capacity = 1000;
    options.secret = oncegate_text(secret);
    options.tier = tier;
    return options;
}

static oncegate_engine *host(const oncegate_tier_options *tier) {
    const oncegate_options options = options_with(tier);
    return open_engine(&options);
}

static oncegate_tier_stats stats_of(const oncegate_engine *engine) {
    oncegate_tier_stats stats = oncegate_tier_stats_init();
    OK(oncegate_engine_tier_stats(engine, &stats, &failed));
    return stats;
}

/* Ends an attempt, and gives what the engine says of its outcome. */
static uint32_t complete(const oncegate_engine *engine, const oncegate_lease *lease) {
    oncegate_outcome outcome = oncegate_outcome_init();
    uint32_t stored = 0;
    outcome.status = 201;
    outcome.body = oncegate_text("receipt 7");
    OK(oncegate_lease_complete(engine, lease, &outcome, &stored, &failed));
    return stored;
}

static void is_replayed(const oncegate_engine *engine, const char *name) {
    const oncegate_request request = request_of(name);
    uint8_t bytes[64];
    oncegate_buffer buffer = {bytes, sizeof bytes, 0};
    oncegate_admission admission;
    OK(oncegate_begin(engine, &request, NULL, &buffer, &admission, &failed));
    CHECK(admission.verdict == ONCEGATE_REPLAYED && admission.outcome.status == 201);
    CHECK(admission.outcome.body_len == 9
          && memcmp(bytes + admission.outcome.body_offset, "receipt 7", 9) == 0);
}

/* Asks again until the store is used again: the breaker and the connection take their time. */
static void until_admitted(const oncegate_engine *engine, const char *name,
                           oncegate_admission *admission) {
    const oncegate_request request = request_of(name);
    int looks;
    for (looks = 0; oncegate_begin(engine, &request, NULL, NULL, admission, &failed)
                    == ONCEGATE_TIER_UNAVAILABLE; looks++) {
        if (looks == SERVER_LOOKS) {
            FAIL("the store is not used again");
        }
        server_pause();
    }
    CHECK(admission->verdict == ONCEGATE_ADMITTED);
}

static void is_run_once(void) {
    const oncegate_tier_options tier = tier_at(server_url);
    oncegate_engine *one = host(&tier), *other = host(&tier);
    oncegate_admission admission, again;
    oncegate_tier_stats told;
    uint32_t alone = 7;
    CHECK(begin(one, "order-1", &admission) == ONCEGATE_ADMITTED);
    CHECK(begin(other, "order-1", &again) == ONCEGATE_IN_PROGRESS);
    OK(oncegate_lease_is_local_only(one, &admission.lease, &alone, &failed));
    CHECK(alone == 0);
    CHECK(complete(one, &admission.lease) == ONCEGATE_STORED);
    is_replayed(other, "order-1");
    REFUSED(ONCEGATE_FENCED, "lease",
            oncegate_lease_is_local_only(one, &admission.lease, &alone, &failed));
    told = stats_of(one);
    CHECK(told.granted == 1 && told.imported == 0 && told.undelivered == 0);
    told = stats_of(other);
    CHECK(told.granted == 0 && told.imported == 1 && told.elsewhere == 1 && told.refused == 0);
    /* Who gives an attempt back does not wait; the other host gets it all the same. */
    CHECK(begin(one, "order-2", &admission) == ONCEGATE_ADMITTED);
    OK(oncegate_lease_abandon_soon(one, &admission.lease, &failed));
    REFUSED(ONCEGATE_FENCED, "lease",
            oncegate_lease_abandon_soon(one, &admission.lease, &failed));
    OK(oncegate_engine_flush_tier(one, 60000, &failed));
    CHECK(begin(other, "order-2", &again) == ONCEGATE_ADMITTED);
    CHECK(again.attempt == 2 && again.fencing_token > admission.fencing_token);
    OK(oncegate_engine_close(one, &failed));
    OK(oncegate_engine_close(other, &failed));
}

/* Waits of a set hear of the other host, without a thread that blocks. */
static void a_set_hears_of_it(void) {
    const oncegate_tier_options tier = tier_at(server_url);
    oncegate_engine *one = host(&tier), *other = host(&tier);
    const oncegate_request request = request_of("order-3");
    oncegate_admission admission;
    oncegate_waits *waits = NULL;
    oncegate_completion completion;
    size_t taken = 0;
    uint64_t id = 0;
    int32_t descriptor = -1;
    struct pollfd ready;
    uint8_t bytes[64];
    oncegate_buffer buffer = {bytes, sizeof bytes, 0};
    CHECK(begin(one, "order-3", &admission) == ONCEGATE_ADMITTED);
    OK(oncegate_waits_open(other, &waits, &failed));
    OK(oncegate_waits_submit(waits, &request, NULL, 7, &id, &failed));
    OK(oncegate_waits_descriptor(waits, &descriptor, &failed));
    CHECK(complete(one, &admission.lease) == ONCEGATE_STORED);
    while (taken == 0) {
        ready.fd = descriptor;
        ready.events = POLLIN;
        CHECK(poll(&ready, 1, 60000) == 1);
        OK(oncegate_waits_take(waits, 0, &completion, 1, &buffer, &taken, &failed));
    }
    CHECK(completion.id == id && completion.user_data == 7);
    CHECK(completion.admission.verdict == ONCEGATE_REPLAYED);
    OK(oncegate_waits_close(waits, &failed));
    OK(oncegate_engine_close(one, &failed));
    OK(oncegate_engine_close(other, &failed));
}

static void an_outage_is_survived(void) {
    oncegate_tier_options tier = tier_at(server_url);
    oncegate_options options;
    oncegate_engine *careful, *alone;
    oncegate_admission admission;
    const oncegate_request request = request_of("order-5");
    uint32_t is_alone = 7;
    /* Of a server that began anew nobody knows what it kept: for so long nothing is run. */
    tier.quarantine_ms = 1;
    careful = host(&tier);
    tier.on_outage = ONCEGATE_ON_OUTAGE_LOCAL_ONLY;
    options = options_with(&tier);
    alone = open_engine(&options);
    CHECK(begin(careful, "order-4", &admission) == ONCEGATE_ADMITTED);
    CHECK(complete(careful, &admission.lease) == ONCEGATE_STORED);
    is_replayed(alone, "order-4");

    server_kill();
    REFUSED(ONCEGATE_TIER_UNAVAILABLE, "tier",
            oncegate_begin(careful, &request, NULL, NULL, &admission, &failed));
    CHECK(failed.transient == 1);
    CHECK(stats_of(careful).refused == 1);
    is_replayed(careful, "order-4");
    CHECK(begin(alone, "order-6", &admission) == ONCEGATE_ADMITTED);
    OK(oncegate_lease_is_local_only(alone, &admission.lease, &is_alone, &failed));
    CHECK(is_alone == 1);
    CHECK(complete(alone, &admission.lease) == ONCEGATE_STORED_HERE);
    CHECK(stats_of(alone).local_only == 1 && stats_of(alone).undelivered == 1);
    REFUSED(ONCEGATE_TIER_UNAVAILABLE, "tier", oncegate_engine_flush_tier(alone, 1, &failed));

    server_start();
    OK(oncegate_engine_flush_tier(alone, 60000, &failed));
    CHECK(stats_of(alone).undelivered == 0 && stats_of(alone).delivered_late == 1);
    until_admitted(careful, "order-5", &admission);
    CHECK(complete(careful, &admission.lease) == ONCEGATE_STORED);
    is_replayed(careful, "order-6");
    is_replayed(alone, "order-5");
    OK(oncegate_engine_close(careful, &failed));
    OK(oncegate_engine_close(alone, &failed));
}

/* A field of 32 bits, and what is no value of it. */
struct choice {
    size_t offset;
    uint32_t wrong;
    const char *about;
};

static void refuse(oncegate_status status, const char *about, const oncegate_tier_options *tier) {
    const oncegate_options options = options_with(tier);
    oncegate_engine *engine = NULL;
    REFUSED(status, about, oncegate_engine_open(&options, &engine, &failed));
    CHECK(engine == NULL && strstr(failed.message, MARK) == NULL);
}

static void options_are_checked(void) {
    static const struct choice choices[] = {
        {offsetof(oncegate_tier_options, on_outage), 3, "tier.on_outage"},
        {offsetof(oncegate_tier_options, allow_eviction), 2, "tier.allow_eviction"},
        {offsetof(oncegate_tier_options, cluster), 2, "tier.cluster"},
        {offsetof(oncegate_tier_options, reserved), 1, "tier.reserved"},
    };
    static const char url[] = "redis://app:" MARK "@127.0.0.1:1/0";
    oncegate_tier_options tier = tier_at(url);
    oncegate_options options;
    oncegate_engine *engine = NULL;
    size_t at;
    for (at = 0; at < sizeof choices / sizeof *choices; at++) {
        tier = tier_at(url);
        memcpy((char *)&tier + choices[at].offset, &choices[at].wrong, sizeof(uint32_t));
        refuse(ONCEGATE_BAD_VALUE, choices[at].about, &tier);
    }
    tier = tier_at("http://app:" MARK "@127.0.0.1");
    refuse(ONCEGATE_INVALID_CONFIG, "tier.url", &tier);
    tier = tier_at("");
    refuse(ONCEGATE_INVALID_CONFIG, "tier.url", &tier);
    tier = tier_at(url);
    tier.url.data = NULL;
    refuse(ONCEGATE_NULL_ARGUMENT, "tier.url", &tier);
    tier = tier_at(url);
    tier.prefix = oncegate_text("{" MARK "}");
    refuse(ONCEGATE_INVALID_CONFIG, "tier.prefix", &tier);
    tier = tier_at(url);
    tier.deadline_ms = 60001;
    refuse(ONCEGATE_INVALID_CONFIG, "tier.deadline", &tier);
    tier = tier_at(url);
    tier.encryption_key = oncegate_text(key);
    tier.encryption_key.len--;
    refuse(ONCEGATE_BAD_SIZE, "tier.encryption_key", &tier);
    tier = tier_at(url);
    tier.retiring_key = oncegate_text(key);
    tier.retiring_key.len--;
    refuse(ONCEGATE_BAD_SIZE, "tier.retiring_key", &tier);
    tier = tier_at("rediss://app:" MARK "@127.0.0.1:1/0");
    tier.tls_key = oncegate_text(key);
    refuse(ONCEGATE_INVALID_CONFIG, "tier.tls_certificate", &tier);
    tier.tls_certificate = oncegate_text(key);
    refuse(ONCEGATE_INVALID_CONFIG, "tier.tls_certificate", &tier);
    tier = tier_at(url);
    options = options_with(&tier);
    options.secret.len = 0;
    REFUSED(ONCEGATE_INVALID_CONFIG, "secret", oncegate_engine_open(&options, &engine, &failed));
    CHECK(engine == NULL);
}

/* A server that nobody has ever seen: engines open, and say so of each request. */
static void a_server_of_nobody(void) {
    oncegate_tier_options tier = tier_at("redis://app:" MARK "@127.0.0.1:1/0");
    const oncegate_request request = request_of(MARK);
    oncegate_engine *engine;
    oncegate_admission admission;
    tier.encryption_key = oncegate_text(key);
    tier.deadline_ms = 100;
    engine = host(&tier);
    REFUSED(ONCEGATE_TIER_UNAVAILABLE, "tier",
            oncegate_begin(engine, &request, NULL, NULL, &admission, &failed));
    CHECK(strstr(failed.message, MARK) == NULL);
    OK(oncegate_engine_close(engine, &failed));
}

int main(void) {
    CHECK(sizeof key == 33);
    options_are_checked();
    a_server_of_nobody();
    server_make();
    is_run_once();
    a_set_hears_of_it();
    an_outage_is_survived();
    done("fleet");
    return 0;
}
