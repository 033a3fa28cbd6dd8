/*
 * Goal: the C++ wrapper owns what it says it owns: an engine closes, a lease that nobody ended is
 * abandoned, also while an exception passes, what moved away does nothing, and every refusal is an
 * exception with what the C call told.
 * Method: each class beside what the statistics and further requests tell of the engine below it.
 * What must not compile is asked of the type traits.
 */
#include <poll.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "oncegate.hpp"

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

// A text that is about to end cannot be referred to; handles and leases have one owner.
static_assert(!std::is_constructible_v<oncegate::view, std::string&&>);
static_assert(!std::is_constructible_v<oncegate::scope, std::string&&>);
static_assert(std::is_constructible_v<oncegate::view, const std::string&>);
static_assert(!std::is_copy_constructible_v<oncegate::engine>);
static_assert(!std::is_copy_constructible_v<oncegate::lease>);
static_assert(!std::is_copy_constructible_v<oncegate::waits>);
static_assert(std::is_nothrow_move_constructible_v<oncegate::engine>);
static_assert(std::is_nothrow_move_constructible_v<oncegate::lease>);
static_assert(std::is_nothrow_move_assignable_v<oncegate::lease>);
static_assert(std::is_nothrow_move_constructible_v<oncegate::waits>);

oncegate::engine open_small() {
    oncegate::options options;
    options.capacity(100).manual_clock().lease_duration(30s).dedup_window(1min);
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

template <typename Answer>
bool answers(oncegate::engine& engine, const oncegate::request& request) {
    const oncegate::admission answer = engine.begin(request);
    return std::holds_alternative<Answer>(answer);
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

void leases_are_owned() {
    oncegate::engine engine = open_small();
    // Goes out of scope: the next caller gets it at once.
    { const oncegate::lease lease = admitted(engine, "scope"); }
    oncegate::lease second = admitted(engine, "scope");
    CHECK(second.attempt() == 2 && second.how() == ONCEGATE_HOW_RETRIED);
    // What moved away gives nothing back.
    oncegate::lease moved = std::move(second);
    CHECK(!second.is_held() && moved.is_held());
    CHECK(answers<oncegate::in_progress>(engine, request_of("scope")));
    CHECK(refused([&] { second.abandon(); }).is_fenced());
    // One that is assigned over is abandoned.
    moved = admitted(engine, "other");
    CHECK(admitted(engine, "scope").attempt() == 3);
    CHECK(moved.complete(oncegate::outcome(200)));
    CHECK(!moved.is_held());
    CHECK(answers<oncegate::replayed>(engine, request_of("other")));
    try {
        const oncegate::lease lease = admitted(engine, "thrown");
        throw std::runtime_error("the handler failed");
    } catch (const std::runtime_error&) {
        CHECK(admitted(engine, "thrown").attempt() == 2);
    }
}

void tokens_are_plain() {
    oncegate::engine engine = open_small();
    oncegate_lease token;
    {
        oncegate::lease lease = admitted(engine, "plain");
        const std::uint64_t fence = lease.fencing_token();
        token = std::move(lease).into_token();
        CHECK(engine.take_up(token).fencing_token() == fence);
    }
    // The one that was taken up was abandoned; the token is stale then.
    CHECK(refused([&] { engine.take_up(token); }).is_fenced());
    token = admitted(engine, "plain").token();
    CHECK(refused([&] { engine.take_up(token); }).is_fenced());
}

void leases_end_in_each_way() {
    oncegate::engine engine = open_small();
    oncegate::lease lease = admitted(engine, "fails");
    CHECK(lease.renew(45s) == 45s && lease.lasts() == 45s);
    lease.fail(5s);
    oncegate::admission answer = engine.begin(request_of("fails"));
    CHECK(std::get<oncegate::scheduled>(answer).due_in == 5s);
    CHECK(std::get<oncegate::scheduled>(answer).next_attempt == 2);
    engine.advance_clock(5s);
    lease = std::get<oncegate::lease>(engine.begin(request_of("fails")));
    lease.fail_unknown();
    CHECK(answers<oncegate::unresolved>(engine, request_of("fails")));
    engine.resolve_run_again(request_of("fails"));
    lease = std::get<oncegate::lease>(engine.begin(request_of("fails")));
    lease.fail_for_good(oncegate::outcome(500, "broken"));
    answer = engine.begin(request_of("fails"));
    CHECK(std::get<oncegate::replayed>(answer).outcome.body == "broken");
    admitted(engine, "doubted").fail_unknown();
    engine.resolve(request_of("doubted"), true, oncegate::outcome(204));
    CHECK(answers<oncegate::replayed>(engine, request_of("doubted")));
    CHECK(!admitted(engine, "withheld").complete(oncegate::outcome::withheld(201)));
    CHECK(answers<oncegate::outcome_gone>(engine, request_of("withheld")));
    // One that could not be ended is still held.
    lease = admitted(engine, "again");
    CHECK(refused([&] { lease.complete(oncegate::outcome(70000)); }).field() == "outcome.status");
    CHECK(lease.is_held() && lease.complete(oncegate::outcome(200)));
}

void outcomes_come_back() {
    oncegate::engine engine = open_small();
    const std::string body(3000, 'x');
    oncegate::outcome outcome(201, body);
    outcome.with("content-type", "text/plain").with("empty", "");
    admitted(engine, "large").complete(outcome);
    admitted(engine, "large too").complete(outcome);
    oncegate::admission answer = engine.begin(request_of("large"));
    const oncegate::outcome& stored = std::get<oncegate::replayed>(answer).outcome;
    CHECK(stored.status == 201 && stored.body == body && stored.metadata == outcome.metadata);
    // Together they are more than a batch has room for at first.
    const std::string bad;
    std::vector<oncegate::answer> batch = engine.begin_batch(
        {request_of("large"), request_of("large too"), request_of("new"), request_of(bad)});
    CHECK(batch.size() == 4 && batch[0] && batch[1] && batch[2] && !batch[3]);
    CHECK(std::get<oncegate::replayed>(batch[1].value()).outcome.body == body);
    CHECK(std::holds_alternative<oncegate::lease>(batch[2].value()));
    CHECK(batch[3].status() == ONCEGATE_INVALID_KEY);
    CHECK(refused([&] { batch[3].value(); }).status() == ONCEGATE_INVALID_KEY);
    CHECK(engine.begin_batch({}).empty());
}

void requests_say_what_they_are() {
    oncegate::engine engine = open_small();
    const std::string first = R"({"amount": 1, "sent": 1})";
    const std::string second = R"({"sent": 2, "amount": 1})";
    const std::string third = R"({"amount": 2})";
    oncegate::request request = request_of("json").json(first).excluding("/sent");
    oncegate::lease lease = std::get<oncegate::lease>(engine.begin(request));
    lease.complete(oncegate::outcome(200));
    CHECK(answers<oncegate::replayed>(engine, request_of("json").json(second).excluding("/sent")));
    CHECK(answers<oncegate::replayed>(engine, request_of("json").json(second).including("/amount"))
          == false);
    CHECK(answers<oncegate::mismatched>(engine, request_of("json").json(third)));
    CHECK(engine.fingerprint(request) == engine.fingerprint(request_of("json")));
    CHECK(engine.fingerprint(request) != engine.fingerprint(request_of("other")));
    auto keyless = oncegate::request::by_payload(oncegate::scope::single_tenant(), "import");
    keyless.raw_payload("the same file");
    lease = std::get<oncegate::lease>(engine.begin(keyless));
    CHECK(answers<oncegate::in_progress>(engine, keyless));
    CHECK(answers<oncegate::lease>(
        engine,
        oncegate::request(oncegate::scope::unauthenticated(), "import", "key").form("a=1")));
}

void refusals_are_exceptions() {
    oncegate::engine engine = open_small();
    const std::string long_key(256, 'k');
    const oncegate::error error = refused([&] { engine.begin(request_of(long_key)); });
    CHECK(error.status() == ONCEGATE_INVALID_KEY && error.field() == "key");
    CHECK(error.message() == error.what() && !error.transient());
    CHECK(error.message().find("256") != std::string::npos);
    oncegate_quota quota{};
    quota.rate_per_second = 1;
    quota.burst = 1;
    engine.set_quota("acme", quota);
    admitted(engine, "first").complete(oncegate::outcome(200));
    const oncegate::error full = refused([&] { engine.begin(request_of("second")); });
    CHECK(full.status() == ONCEGATE_QUOTA_EXCEEDED && full.transient());
    CHECK(full.retry_after() > 0ms && full.retry_after() <= 1s);
    engine.remove_quota("acme");
    admitted(engine, "second").complete(oncegate::outcome(200));
    CHECK(refused([] { oncegate::begin_options().wait(-1ms); }).field() == "wait");
    const double nan = std::numeric_limits<double>::quiet_NaN();
    CHECK(refused([&] { engine.advance_clock(std::chrono::duration<double>(nan)); }).status()
          == ONCEGATE_BAD_VALUE);
    CHECK(refused([&] {
              engine.begin(request_of("k"), oncegate::begin_options().lease_duration(
                                                std::chrono::hours::max()));
          }).status()
          == ONCEGATE_INVALID_OPTION);
}

void engines_are_owned() {
    oncegate::engine engine = open_small();
    oncegate::lease lease = admitted(engine, "key");
    const oncegate_engine* handle = engine.handle();
    oncegate::engine moved = std::move(engine);
    CHECK(moved.handle() == handle && engine.handle() == nullptr);
    CHECK(refused([&] { engine.stats(); }).status() == ONCEGATE_NULL_ARGUMENT);
    CHECK(moved.stats().live_running == 1 && moved.sweep(16).visited > 0);
    CHECK(moved.events().first.empty() && moved.bury_dead() == 0);
    moved.rotate_secret("another secret of thirty-two bytes or more");
    CHECK(refused([&] { moved.finish_rotation(); }).status() == ONCEGATE_ROTATION_PENDING);
    oncegate::engine empty = open_small();
    empty.rotate_secret("another secret of thirty-two bytes or more");
    empty.finish_rotation();
    CHECK(oncegate::engine::required_bytes() > 0);
    moved.close();
    moved.close();
    // The lease ends after its engine: there is nothing left to give back to.
    CHECK(refused([&] { lease.complete(oncegate::outcome(200)); }).status()
          == ONCEGATE_BAD_HANDLE);
    moved = open_small();
    CHECK(answers<oncegate::lease>(moved, request_of("key")));
    CHECK(oncegate::version() == oncegate_version());
}

void waits_need_no_thread() {
    oncegate::engine engine = open_small();
    oncegate::lease leader = admitted(engine, "key");
    oncegate::waits waits(engine);
    pollfd ready{waits.descriptor(), POLLIN, 0};
    const std::uint64_t first = waits.submit(request_of("key"), 7);
    const std::uint64_t second = waits.submit(request_of("key"), 8);
    CHECK(first != second && waits.take(4).empty());
    CHECK(waits.cancel(second) && !waits.cancel(second));
    const std::string body(3000, 'x');
    leader.complete(oncegate::outcome(200, body));
    CHECK(poll(&ready, 1, 10000) == 1);
    std::vector<oncegate::completion> taken = waits.take(4, 10s);
    CHECK(taken.size() == 1 && taken[0].id == first && taken[0].user_data == 7);
    CHECK(std::get<oncegate::replayed>(taken[0].answer.value()).outcome.body == body);
    // An attempt that nobody takes goes back with the set.
    waits.submit(request_of("unclaimed"));
    waits.close();
    CHECK(admitted(engine, "unclaimed").attempt() == 2);
    CHECK(refused([&] { waits.take(1); }).status() == ONCEGATE_NULL_ARGUMENT);
}

}  // namespace

int main() {
    leases_are_owned();
    tokens_are_plain();
    leases_end_in_each_way();
    outcomes_come_back();
    requests_say_what_they_are();
    refusals_are_exceptions();
    engines_are_owned();
    waits_need_no_thread();
    std::printf("ok wrapper: %lu checks\n", checks);
    return 0;
}
