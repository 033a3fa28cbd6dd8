/* Why an attempt failed, for whoever decides whether there is another. Included by oncegate.hpp. */
#ifndef ONCEGATE_FAILURE_HPP
#define ONCEGATE_FAILURE_HPP

#include <chrono>
#include <cstdint>

#include "outcome.hpp"

namespace oncegate {

/// Why an attempt failed. It refers to what it is given, and copies nothing.
class attempt_error {
public:
    /// What went wrong, 1 to 32 bytes: `timeout`, `503`. It is shown in histories.
    explicit attempt_error(view error_class) { raw_.error_class = error_class.raw(); }

    /// One of `ONCEGATE_KIND_…`; without it, `ONCEGATE_KIND_TRANSIENT`.
    attempt_error& kind(std::uint32_t kind) {
        raw_.kind = kind;
        return *this;
    }
    /// The service said how long to wait.
    template <typename Rep, typename Period>
    attempt_error& retry_after(std::chrono::duration<Rep, Period> delay) {
        raw_.hint = ONCEGATE_HINT_AFTER;
        raw_.hint_after_ms = detail::ms("retry_after", delay);
        return *this;
    }
    /// The service said not to retry.
    attempt_error& refused() {
        raw_.hint = ONCEGATE_HINT_REFUSED;
        raw_.hint_after_ms = 0;
        return *this;
    }
    /// It is never tried again, whatever the policy says.
    attempt_error& terminal() {
        raw_.terminal = 1;
        return *this;
    }
    /// What duplicates get if this was the last attempt.
    attempt_error& leaving(const oncegate_outcome* outcome) {
        raw_.outcome = outcome;
        return *this;
    }

    const oncegate_attempt_error* raw() const noexcept { return &raw_; }

private:
    oncegate_attempt_error raw_ = oncegate_attempt_error_init();
};

}  // namespace oncegate

#endif  // ONCEGATE_FAILURE_HPP
