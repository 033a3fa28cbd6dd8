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

/// Functions for `std::visit`, one for each alternative.
template <typename... Functions>
struct overloaded : Functions... {
    using Functions::operator()...;
};
template <typename... Functions>
overloaded(Functions...) -> overloaded<Functions...>;

/// The answer to one request of a batch: an admission, or why the request was refused.
class answer {
public:
    explicit answer(admission&& told) : told_(std::move(told)) {}
    explicit answer(error refused) : told_(std::move(refused)) {}

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
