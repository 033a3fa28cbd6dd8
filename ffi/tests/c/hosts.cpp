/*
 * Goal: the C++ wrapper of engines that share a Redis: what one host runs the other one gets, a
 * lease that goes out of scope waits for nobody, an outage is an exception, and the options keep
 * what they are given.
 * Method: engines of tables of their own, which are hosts to each other, and a real server that
 * stands still, is killed by SIGKILL, and is started again.
 */
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <variant>

#include "oncegate.hpp"
#include "server.h"

using namespace std::chrono_literals;

namespace {

unsigned long checks = 0;

#define CHECK(condition)                                                                \
    do {                                                                                \
        if (!(condition)) {                                                             \
            std::fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__,      \
                         #condition);                                                   \
            std::exit(1);                                                               \
        }                                                                               \
        ++checks;                                                                       \
    } while (false)

oncegate::tier_options store() {
    oncegate::tier_options tier{std::string(server_url)};
    // For a machine with a lot to do: no call takes so long.
    tier.prefix(std::string("shop:")).deadline(60s).raw().quarantine_ms = 1;
    return tier;
}

oncegate::engine host(oncegate::tier_options tier) {
    oncegate::options options;
    options.capacity(1000).secret("a secret that both hosts have: 32").tier(std::move(tier));
    return oncegate::engine(options);
}

oncegate::request request_of(oncegate::view key) {
    return oncegate::request("acme", "POST /charges", key);
}

oncegate::lease admitted(oncegate::engine& engine, oncegate::view key) {
    oncegate::admission answer = engine.begin(request_of(key));
    CHECK(std::holds_alternative<oncegate::lease>(answer));
    return std::get<oncegate::lease>(std::move(answer));
}

bool is_replayed(oncegate::engine& engine, oncegate::view key) {
    const oncegate::admission answer = engine.begin(request_of(key));
    const auto* replayed = std::get_if<oncegate::replayed>(&answer);
    return replayed != nullptr && replayed->outcome.body == "receipt 7";
}

template <typename Call>
oncegate::error refused(Call call) {
    try {
        call();
    } catch (const oncegate::error& refused) {
        ++checks;
        return refused;
    }
    std::fprintf(stderr, "nothing was thrown\n");
    std::exit(1);
}

void is_run_once() {
    oncegate::engine one = host(store());
    oncegate::engine other = host(store());
    oncegate::lease lease = admitted(one, "order-1");
    CHECK(!lease.is_local_only());
    CHECK(std::holds_alternative<oncegate::in_progress>(other.begin(request_of("order-1"))));
    CHECK(lease.complete(oncegate::outcome(201, "receipt 7")));
    CHECK(refused([&] { lease.is_local_only(); }).is_fenced());
    CHECK(is_replayed(other, "order-1"));
    CHECK(one.tier_stats().granted == 1 && other.tier_stats().imported == 1);
    // Below another prefix it is another request.
    oncegate::engine elsewhere = host(store().prefix("other:"));
    CHECK(admitted(elsewhere, "order-1").attempt() == 1);
}

void destructors_wait_for_nobody() {
    oncegate::engine one = host(store());
    oncegate::engine other = host(store());
    {
        const oncegate::lease lease = admitted(one, "order-2");
        CHECK(kill(server_pid, SIGSTOP) == 0);
    }
    // Whoever had waited would not know, after a minute, whether the server has done it.
    CHECK(one.tier_stats().unknown == 0);
    CHECK(kill(server_pid, SIGCONT) == 0);
    one.flush_tier(60s);
    oncegate::lease again = admitted(other, "order-2");
    CHECK(again.attempt() == 2 && again.how() == ONCEGATE_HOW_RETRIED);
}

void outages_are_exceptions() {
    oncegate::engine careful = host(store().deadline(2s));
    oncegate::engine alone =
        host(store().deadline(2s).on_outage(ONCEGATE_ON_OUTAGE_LOCAL_ONLY));
    CHECK(admitted(careful, "order-3").complete(oncegate::outcome(201, "receipt 7")));
    CHECK(is_replayed(alone, "order-3"));
    server_kill();
    const oncegate::error error = refused([&] { careful.begin(request_of("order-4")); });
    CHECK(error.status() == ONCEGATE_TIER_UNAVAILABLE && error.field() == "tier");
    CHECK(error.transient());
    oncegate::lease lease = admitted(alone, "order-5");
    CHECK(lease.is_local_only());
    // The outcome is kept here, and duplicates get it.
    CHECK(lease.complete(oncegate::outcome(201, "receipt 7")));
    CHECK(is_replayed(alone, "order-5"));
    CHECK(refused([&] { alone.flush_tier(1ms); }).status() == ONCEGATE_TIER_UNAVAILABLE);
    server_start();
    alone.flush_tier(60s);
    CHECK(alone.tier_stats().delivered_late == 1);
    // A real process: the breaker and the connection take their time.
    for (int looks = 0;; ++looks) {
        try {
            admitted(careful, "order-4").complete(oncegate::outcome(201, "receipt 7"));
            break;
        } catch (const oncegate::error& refused) {
            CHECK(refused.status() == ONCEGATE_TIER_UNAVAILABLE && looks < SERVER_LOOKS);
            server_pause();
        }
    }
    CHECK(is_replayed(alone, "order-4") && is_replayed(careful, "order-5"));
}

void options_are_kept_and_checked() {
    const std::string key(32, 'k');
    const auto field = [](oncegate::tier_options tier) {
        const oncegate::error error = refused([&] { host(std::move(tier)); });
        // Never what was given.
        CHECK(error.message().find("hunter2") == std::string::npos);
        return error.field();
    };
    CHECK(field(oncegate::tier_options("http://hunter2")) == "tier.url");
    CHECK(field(store().prefix("{hunter2}")) == "tier.prefix");
    CHECK(field(store().encryption_key("hunter2")) == "tier.encryption_key");
    CHECK(field(store().retiring_key("hunter2")) == "tier.retiring_key");
    CHECK(field(store().on_outage(3)) == "tier.on_outage");
    CHECK(field(store().deadline(2min)) == "tier.deadline");
    oncegate::tier_options tls("rediss://app:hunter2@127.0.0.1:1");
    CHECK(field(oncegate::tier_options(tls).tls_root("hunter2")) == "tier.tls_root");
    CHECK(field(oncegate::tier_options(tls).tls_client("hunter2", "")) == "tier.tls_key");
    CHECK(field(oncegate::tier_options(tls).tls_client("", "hunter2")) == "tier.tls_certificate");
    CHECK(field(oncegate::tier_options("redis://127.0.0.1:1/7").cluster()) == "tier");
    CHECK(field(store().sentinels("", "redis://hunter2")) == "tier.sentinel_name");
    CHECK(field(store().sentinels("hunter2", "")) == "tier.sentinels");
    CHECK(field(store().dead_letters(ONCEGATE_ZERO)) == "tier.dead_letters");
    // What is encrypted by one key is read by whoever retires it, and by nobody else.
    oncegate::engine one = host(store().encryption_key(key));
    CHECK(admitted(one, "order-6").complete(oncegate::outcome(201, "receipt 7")));
    oncegate::engine rotated = host(store().encryption_key(std::string(32, 'n')).retiring_key(key));
    CHECK(is_replayed(rotated, "order-6"));
    oncegate::engine stranger = host(store().encryption_key(std::string(32, 's')));
    CHECK(!is_replayed(stranger, "order-6"));
    // Without a store there is nothing to tell of.
    oncegate::engine single{oncegate::options{}};
    CHECK(refused([&] { single.tier_stats(); }).status() == ONCEGATE_NOT_FOUND);
    CHECK(oncegate::engine::required_bytes(oncegate::options().secret(key).tier(store())) > 0);
}

}  // namespace

int main() {
    server_make();
    is_run_once();
    destructors_wait_for_nobody();
    outages_are_exceptions();
    options_are_kept_and_checked();
    std::printf("ok hosts: %lu checks\n", checks);
    return 0;
}
