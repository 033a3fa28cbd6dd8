/*
 * Goal: what the C++ wrapper tells of attempts, steps, dead letters and questions is what the
 * engine has, and a lease that was left to the engine is not given back a second time.
 * Method: the life of a few requests on an engine whose clock stands still, from the first attempt
 * to the grave and back.
 */
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
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
    } while (0)

/// Two attempts, a second apart.
oncegate_retry_policy two_attempts() {
    oncegate_retry_policy policy = oncegate_retry_policy_init();
    policy.backoff = ONCEGATE_BACKOFF_CONSTANT;
    policy.initial_ms = 1000;
    policy.jitter = ONCEGATE_JITTER_NONE;
    policy.max_attempts = 2;
    return policy;
}

oncegate::engine open_small() {
    oncegate::options options;
    options.capacity(100).manual_clock().lease_duration(30s).dedup_window(1min);
    options.raw().reconcile = 1;
    options.raw().max_retrying = 100;
    options.raw().max_dead_letters = 100;
    options.raw().on_lapse = ONCEGATE_LAPSE_UNKNOWN;
    oncegate::engine engine(options);
    const oncegate_retry_policy policy = two_attempts();
    oncegate::set_operation(engine, "charge", &policy);
    return engine;
}

oncegate::lease admitted(oncegate::engine& engine, oncegate::view key) {
    return std::get<oncegate::lease>(engine.begin({"acme", "POST /charges", key}));
}

void attempts_are_handed_out_when_they_are_due() {
    oncegate::engine engine = open_small();
    oncegate::lease lease = admitted(engine, "key");
    const std::uint64_t fence = lease.fencing_token();
    const oncegate_later later =
        lease.retry_later(oncegate::attempt_error("503"), "charge", "amount 100");
    CHECK(later.verdict == ONCEGATE_LATER_SCHEDULED && later.next_attempt == 2);
    CHECK(later.due_in_ms == 1000 && !lease.is_held());
    CHECK(!oncegate::next_attempt(engine));
    engine.advance_clock(1s);
    std::optional<oncegate::attempt> next = oncegate::next_attempt(engine);
    CHECK(next && next->operation == "charge" && next->context == "amount 100");
    CHECK(next->lease.attempt() == 2 && next->lease.fencing_token() > fence);
    CHECK(next->lease.how() == ONCEGATE_HOW_RETRIED && next->lease.lasts() == 30s);
    CHECK(oncegate::next_attempts(engine, 8).empty());
    // One that goes out of scope unfinished was none: it is due again at once.
    next.reset();
    std::vector<oncegate::attempt> again = oncegate::next_attempts(engine, 8);
    CHECK(again.size() == 1);
    CHECK(again[0].lease.complete(oncegate::outcome(201)));
    CHECK(oncegate::advance(engine, 100).ready == 0);
}

void no_more_attempts_than_asked_are_in_flight() {
    oncegate::engine engine = open_small();
    const oncegate_retry_policy policy = two_attempts();
    oncegate::set_operation(engine, "charge", &policy, 1);
    for (const char* key : {"one", "two"}) {
        admitted(engine, key).retry_later(oncegate::attempt_error("503"), "charge", key);
    }
    engine.advance_clock(1s);
    std::vector<oncegate::attempt> first = oncegate::next_attempts(engine, 8);
    CHECK(first.size() == 1 && !oncegate::next_attempt(engine));
    first[0].lease.complete(oncegate::outcome(201));
    CHECK(oncegate::next_attempts(engine, 8).size() == 1);
}

void steps_run_once() {
    oncegate::engine engine = open_small();
    oncegate::lease lease = admitted(engine, "steps");
    int runs = 0;
    const auto reserve = [&] {
        ++runs;
        return std::string("reservation 7");
    };
    CHECK(lease.step("reserve", reserve) == "reservation 7");
    CHECK(lease.step("reserve", reserve) == "reservation 7" && runs == 1);
    const std::string key = lease.downstream_key("bank");
    CHECK(key.size() == 43 && key != lease.downstream_key("bank", "capture"));
    const std::string captured(2000, 'x');
    lease.finish_step("capture", captured);
    lease.retry_later(oncegate::attempt_error("timeout").kind(ONCEGATE_KIND_TIMEOUT), "charge", "");
    engine.advance_clock(1s);
    oncegate::attempt next = *oncegate::next_attempt(engine);
    CHECK(next.lease.find_step("reserve") == "reservation 7");
    CHECK(next.lease.find_step("capture") == captured);
    CHECK(!next.lease.find_step("ship") && next.lease.downstream_key("bank") == key);
    // Backwards, as a compensation goes.
    CHECK(next.lease.last_step()->first == "capture");
    next.lease.step_undone("capture");
    CHECK(next.lease.last_step()->second == "reservation 7");
    next.lease.step_undone("reserve");
    CHECK(!next.lease.last_step());
}

void dead_letters_are_found_and_redriven() {
    oncegate::engine engine = open_small();
    oncegate::dead_letters letters(engine);
    CHECK(letters.list().empty());
    constexpr std::size_t count = 70;
    for (std::size_t i = 0; i < count; ++i) {
        const std::string key = "key " + std::to_string(i);
        oncegate::lease lease = admitted(engine, key);
        if (i == 0) {
            lease.finish_step("reserve", "7");
        }
        const oncegate_later later =
            lease.retry_later(oncegate::attempt_error("card-lost").terminal(), "charge", key);
        CHECK(later.verdict == ONCEGATE_LATER_BURIED);
        CHECK(later.reason == ONCEGATE_BURIED_FINAL_ERROR);
    }
    // More than one page of them.
    const std::vector<oncegate::dead_letter> all = letters.list();
    CHECK(all.size() == count);
    oncegate_letter_filter other = oncegate_letter_filter_init();
    other.error_class = oncegate_text("503");
    CHECK(letters.list(other).empty() && letters.redrive_all(100, other) == 0);
    std::size_t with_steps = 0;
    for (const oncegate::dead_letter& letter : all) {
        CHECK(letter.operation == "charge" && letter.error_class == "card-lost");
        CHECK(letter.attempts == 1 && letter.reason == ONCEGATE_BURIED_FINAL_ERROR);
        with_steps += letter.steps == std::vector<std::string>{"reserve"} ? 1 : 0;
    }
    CHECK(with_steps == 1);
    const oncegate::dead_letter shown = letters.show(all[0].id);
    CHECK(shown.history.size() == 1 && shown.history[0].error_class == "card-lost");
    CHECK(shown.history[0].attempt == 1 && shown.context == all[0].context);
    letters.redrive(all[0].id);
    CHECK(oncegate::next_attempt(engine)->context == all[0].context);
    letters.discard(all[1].id);
    CHECK(letters.redrive_all(1) == 1 && letters.discard_all(100) == count - 3);
    CHECK(letters.list().empty());
}

void questions_are_asked_and_answered() {
    oncegate::engine engine = open_small();
    const std::uint64_t fence = admitted(engine, "known").fencing_token();
    {
        oncegate::lease lease = admitted(engine, "doubt");
        CHECK(lease.fencing_token() >= fence);
        lease.fail_unknown();
    }
    const std::vector<oncegate::question> asked = oncegate::questions(engine, 8);
    CHECK(asked.size() == 1 && asked[0].attempt == 1 && asked[0].operation.empty());
    oncegate::answer_question(engine, asked[0].id, ONCEGATE_RESOLVED_SUCCEEDED,
                              oncegate::outcome(200, "it did"));
    const oncegate::admission answer = engine.begin({"acme", "POST /charges", "doubt"});
    CHECK(std::get<oncegate::replayed>(answer).outcome.body == "it did");
}

}  // namespace

int main() {
    attempts_are_handed_out_when_they_are_due();
    no_more_attempts_than_asked_are_in_flight();
    steps_run_once();
    dead_letters_are_found_and_redriven();
    questions_are_asked_and_answered();
    std::printf("ok retries: %lu checks\n", checks);
    return 0;
}
