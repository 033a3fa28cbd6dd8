/* Attempts that were left to the engine, and questions about those in doubt: for workers. Included
 * by oncegate.hpp. */
#ifndef ONCEGATE_ATTEMPTS_HPP
#define ONCEGATE_ATTEMPTS_HPP

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine.hpp"

namespace oncegate {

/// An attempt that is due: who has it runs it, and ends its lease.
struct attempt {
    oncegate::lease lease;
    /// What `lease::retry_later` was given.
    std::string operation;
    std::string context;
};

/// Hands out at most `most` attempts that are due, of any operation, and waits for the first one at
/// most that long, by default not.
template <typename Rep = milliseconds::rep, typename Period = milliseconds::period>
std::vector<attempt> next_attempts(engine& engine, std::size_t most,
                                   std::chrono::duration<Rep, Period> timeout = milliseconds(0)) {
    const std::uint64_t timeout_ms = detail::ms("timeout", timeout);
    std::vector<oncegate_attempt> told(most);
    std::size_t count = 0;
    detail::room room;
    detail::call_with_room(room, [&](oncegate_buffer* buffer, oncegate_error* refused) {
        return oncegate_next_attempts(engine.handle(), most, timeout_ms, buffer, told.data(),
                                      &count, refused);
    });
    std::vector<attempt> attempts;
    attempts.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
        const oncegate_attempt& one = told[i];
        attempts.push_back({detail::maker::handed_out(engine.handle(), one),
                            room.text(one.operation_offset, one.operation_len),
                            room.text(one.context_offset, one.context_len)});
    }
    return attempts;
}

/// The same for one.
template <typename Rep = milliseconds::rep, typename Period = milliseconds::period>
std::optional<attempt> next_attempt(engine& engine,
                                    std::chrono::duration<Rep, Period> timeout = milliseconds(0)) {
    std::vector<attempt> one = next_attempts(engine, 1, timeout);
    return one.empty() ? std::nullopt : std::optional<attempt>(std::move(one.front()));
}

/// Looks at what is due, at most `limit` records, for whoever has neither a driver nor workers that
/// wait.
inline oncegate_driven advance(engine& engine, std::size_t limit) {
    oncegate_driven driven{};
    detail::call(oncegate_advance, engine.handle(), limit, &driven);
    return driven;
}

/// Sets how attempts of an operation are retried, in this process: by `policy`, or as the engine's
/// options say where that is `nullptr`; and how many are handed out at a time, zero: no limit.
inline void set_operation(engine& engine, view operation, const oncegate_retry_policy* policy,
                          std::uint64_t max_in_flight = 0) {
    detail::call(oncegate_set_operation, engine.handle(), operation.raw(), policy, max_in_flight);
}

/// A record of which nobody knows whether its last attempt took effect.
struct question {
    /// For `answer_question`.
    std::uint64_t id;
    std::uint64_t fencing_token;
    std::uint32_t attempt;
    /// What `lease::retry_later` was given; empty where the record was never retried.
    std::string operation;
    std::string context;
};

/// Takes at most `most` questions, of an engine that was opened with `reconcile`, looking at
/// `limit` records at most.
inline std::vector<question> questions(engine& engine, std::size_t most, std::size_t limit = 1024) {
    std::vector<oncegate_question> told(most);
    std::size_t count = 0;
    detail::room room;
    detail::call_with_room(room, [&](oncegate_buffer* buffer, oncegate_error* refused) {
        return oncegate_reconcile_poll(engine.handle(), limit, buffer, told.data(), told.size(),
                                       &count, refused);
    });
    std::vector<question> taken;
    taken.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
        const oncegate_question& one = told[i];
        taken.push_back({one.id, one.fencing_token, one.attempt,
                         room.text(one.operation_offset, one.operation_len),
                         room.text(one.context_offset, one.context_len)});
    }
    return taken;
}

/// Answers a question: one of `ONCEGATE_RESOLVED_…`, with the outcome that duplicates get.
inline void answer_question(engine& engine, std::uint64_t id, std::uint32_t resolved,
                            const outcome& outcome = {}) {
    const detail::raw_outcome raw(outcome);
    const bool ends =
        resolved == ONCEGATE_RESOLVED_SUCCEEDED || resolved == ONCEGATE_RESOLVED_FAILED;
    detail::call(oncegate_reconcile_answer, engine.handle(), id, resolved,
                 ends ? raw.get() : nullptr);
}

}  // namespace oncegate

#endif  // ONCEGATE_ATTEMPTS_HPP
