/* Admissions: what the engine answers. Included by oncegate.hpp. */
#ifndef ONCEGATE_ADMISSION_HPP
#define ONCEGATE_ADMISSION_HPP

#include <cstdint>
#include <utility>
#include <variant>

#include "lease.hpp"

namespace oncegate {

/// It has finished inside its dedup window.
struct replayed {
    oncegate::outcome outcome;
};
/// Another attempt holds the lease.
struct in_progress {
    std::uint32_t attempt;
    milliseconds remaining;
};
/// It failed and waits for its next attempt.
struct scheduled {
    std::uint32_t next_attempt;
    milliseconds due_in;
};
/// The same key came with another payload.
struct mismatched {};
/// Nobody knows whether it took effect.
struct unresolved {};
/// It has finished, but the bytes of its outcome are gone, or were never kept.
struct outcome_gone {};

/// The answer to a request: a lease is for who runs it.
using admission = std::variant<lease, replayed, in_progress, scheduled, mismatched, unresolved,
                               outcome_gone>;

namespace detail {

/// Makes answers of what the C header tells.
struct maker {
    static admission admitted(const oncegate_engine* engine, const oncegate_admission& told,
                              const room& in) {
        switch (told.verdict) {
            case ONCEGATE_ADMITTED:
                return lease(engine, told.lease, told.fencing_token, told.attempt, told.how,
                             told.time_ms);
            case ONCEGATE_REPLAYED:
                return replayed{stored(told.outcome, in)};
            case ONCEGATE_IN_PROGRESS:
                return in_progress{told.attempt, from_ms(told.time_ms)};
            case ONCEGATE_SCHEDULED:
                return scheduled{told.attempt, from_ms(told.time_ms)};
            case ONCEGATE_MISMATCHED:
                return mismatched{};
            case ONCEGATE_UNRESOLVED:
                return unresolved{};
            case ONCEGATE_OUTCOME_GONE:
                return outcome_gone{};
            default:
                throw error(ONCEGATE_UNSUPPORTED, "verdict", "the library knows more answers");
        }
    }

    static lease taken_up(const oncegate_engine* engine, const oncegate_lease& token,
                          const oncegate_lease_info& info) {
        return {engine, token, info.fencing_token, info.attempt, info.how, info.remaining_ms};
    }

    static lease handed_out(const oncegate_engine* engine, const oncegate_attempt& told) {
        return {engine, told.lease, told.fencing_token, told.attempt,
                std::uint32_t{ONCEGATE_HOW_RETRIED}, told.remaining_ms};
    }
};

}  // namespace detail

/// Functions for `std::visit`, one for each alternative.
template <typename... Functions>
struct overloaded : Functions... {
    using Functions::operator()...;
};
template <typename... Functions>
overloaded(Functions...) -> overloaded<Functions...>;

/// The answer to one request of many: an admission, or why the request was refused.
class answer {
public:
    answer(const oncegate_engine* engine, const oncegate_admission& told, const detail::room& in)
        : told_(error(ONCEGATE_OK)) {
        if (told.status == ONCEGATE_OK) {
            told_.emplace<admission>(detail::maker::admitted(engine, told, in));
        } else {
            told_.emplace<error>(told.status);
        }
    }
    explicit answer(admission&& told) : told_(std::move(told)) {}

    bool has_value() const noexcept { return std::holds_alternative<admission>(told_); }
    explicit operator bool() const noexcept { return has_value(); }
    oncegate_status status() const noexcept {
        const error* refused = std::get_if<error>(&told_);
        return refused == nullptr ? ONCEGATE_OK : refused->status();
    }
    /// The admission; throws where the request was refused.
    admission& value() & {
        if (const error* refused = std::get_if<error>(&told_)) {
            throw *refused;
        }
        return std::get<admission>(told_);
    }
    admission&& value() && { return std::move(value()); }

private:
    std::variant<admission, error> told_;
};

}  // namespace oncegate

#endif  // ONCEGATE_ADMISSION_HPP
