/* What a call that did not work throws. Included by oncegate.hpp. */
#ifndef ONCEGATE_ERROR_HPP
#define ONCEGATE_ERROR_HPP

#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "../oncegate.h"

namespace oncegate {

using milliseconds = std::chrono::milliseconds;

/// A call that did not work. The same call may work later where `transient()` says so.
class error : public std::runtime_error {
public:
    explicit error(const oncegate_error& told)
        : std::runtime_error(told.message), status_(told.status), transient_(told.transient != 0),
          retry_after_(told.retry_after_ms), field_(told.field) {}

    error(oncegate_status status, const std::string& field, const std::string& message)
        : std::runtime_error(field + ": " + message), status_(status), field_(field) {}

    /// The status of an element of a batch.
    explicit error(oncegate_status status) : error(status, "request", text_of(status)) {
        std::uint32_t transient = 0;
        oncegate_status_describe(status, nullptr, nullptr, &transient, nullptr);
        transient_ = transient != 0;
    }

    /// One of `ONCEGATE_INVALID_KEY`, ….
    oncegate_status status() const noexcept { return status_; }
    /// The argument, option or resource that it is about.
    const std::string& field() const noexcept { return field_; }
    /// Field, reason, class of what was found, and limit; as `what()`.
    std::string message() const { return what(); }
    bool transient() const noexcept { return transient_; }
    /// How long to wait before the same call may work; zero: not known.
    milliseconds retry_after() const noexcept { return retry_after_; }
    /// Whether an attempt is no longer the caller's: it must stop, and undo what it can.
    bool is_fenced() const noexcept { return status_ == ONCEGATE_FENCED; }

private:
    static std::string text_of(oncegate_status status) {
        oncegate_bytes text{nullptr, 0};
        if (oncegate_status_describe(status, nullptr, &text, nullptr, nullptr) != ONCEGATE_OK) {
            return "an unknown status";
        }
        return {reinterpret_cast<const char*>(text.data), text.len};
    }

    oncegate_status status_;
    bool transient_ = false;
    milliseconds retry_after_{0};
    std::string field_;
};

}  // namespace oncegate

#endif  // ONCEGATE_ERROR_HPP
