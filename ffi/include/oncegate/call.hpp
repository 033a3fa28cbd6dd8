/* How the C header is called: texts, durations, statuses. Included by oncegate.hpp. */
#ifndef ONCEGATE_CALL_HPP
#define ONCEGATE_CALL_HPP

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "error.hpp"

namespace oncegate {

/// Bytes or text that are only referred to: what they refer to has to be there until the call that
/// they are passed to is over. A string that is about to end is refused by the compiler.
class view {
public:
    view() noexcept = default;
    view(const char* text) noexcept : text_(text) {}
    view(std::string_view text) noexcept : text_(text) {}
    view(const std::string& text) noexcept : text_(text) {}
    view(const std::string&& text) = delete;
    view(const std::uint8_t* data, std::size_t len) noexcept
        : text_(reinterpret_cast<const char*>(data), len) {}

    std::string_view text() const noexcept { return text_; }
    oncegate_bytes raw() const noexcept {
        return {reinterpret_cast<const std::uint8_t*>(text_.data()), text_.size()};
    }

private:
    std::string_view text_;
};

namespace detail {

inline void check(oncegate_status status, const oncegate_error& told) {
    if (status != ONCEGATE_OK) {
        throw error(told);
    }
}

/// Calls a function of the C header, whose last argument is the error.
template <typename Function, typename... Arguments>
void call(Function function, Arguments... arguments) {
    oncegate_error told = oncegate_error_init();
    check(function(arguments..., &told), told);
}

/// Whole milliseconds, rounded up. What is longer than any limit stays so.
template <typename Rep, typename Period>
std::uint64_t ms(const char* field, std::chrono::duration<Rep, Period> duration) {
    constexpr double most = 1e15;
    const double about = std::chrono::duration<double, std::milli>(duration).count();
    if (!(about >= 0)) {
        throw error(ONCEGATE_BAD_VALUE, field, "found a negative duration; limit: zero or more");
    }
    if (about > most) {
        return static_cast<std::uint64_t>(most);
    }
    using whole = std::chrono::duration<std::int64_t, std::milli>;
    return static_cast<std::uint64_t>(std::chrono::ceil<whole>(duration).count());
}

/// The same for a field in which zero means "as by default".
template <typename Rep, typename Period>
std::uint64_t ms_or_zero(const char* field, std::chrono::duration<Rep, Period> duration) {
    const std::uint64_t whole = ms(field, duration);
    return whole == 0 ? ONCEGATE_ZERO : whole;
}

/// A duration of the library's; what is longer than the type holds is as long as it can be.
inline milliseconds from_ms(std::uint64_t ms) {
    constexpr auto most = static_cast<std::uint64_t>(milliseconds::max().count());
    return milliseconds(static_cast<milliseconds::rep>(ms < most ? ms : most));
}

}  // namespace detail

}  // namespace oncegate

#endif  // ONCEGATE_CALL_HPP
