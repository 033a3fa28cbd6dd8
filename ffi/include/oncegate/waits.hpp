/* Waits: many requests that wait, and no thread that does. Included by oncegate.hpp. */
#ifndef ONCEGATE_WAITS_HPP
#define ONCEGATE_WAITS_HPP

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "engine.hpp"

namespace oncegate {

/// A wait that is over.
struct completion {
    /// What `waits::submit` gave.
    std::uint64_t id;
    /// What it was given.
    std::uint64_t user_data;
    oncegate::answer answer;
};

/// A set of waits for event loops: its descriptor is readable while there is something to take.
/// All waits of a set end with it, and attempts that nobody took are given back. The leases that it
/// gives are of its engine, which has to be open when they are ended.
class waits {
public:
    explicit waits(const engine& engine) : engine_(engine.handle()) {
        detail::call(oncegate_waits_open, engine_, &handle_);
    }
    waits(waits&& other) noexcept
        : engine_(other.engine_), handle_(std::exchange(other.handle_, nullptr)) {}
    waits& operator=(waits&& other) noexcept {
        if (this != &other) {
            oncegate_waits_close(handle_, nullptr);
            engine_ = other.engine_;
            handle_ = std::exchange(other.handle_, nullptr);
        }
        return *this;
    }
    waits(const waits&) = delete;
    waits& operator=(const waits&) = delete;
    ~waits() { oncegate_waits_close(handle_, nullptr); }

    /// Closes the set, and tells when that did not work. Nothing happens where it is closed.
    void close() { detail::call(oncegate_waits_close, std::exchange(handle_, nullptr)); }

    /// For `poll` and its like. Never read from it, and never close it.
    int descriptor() const {
        std::int32_t descriptor = -1;
        detail::call(oncegate_waits_descriptor, handle(), &descriptor);
        return descriptor;
    }

    /// Asks to run a request, which is copied, and waits in the set: without a limit, unless
    /// `options` have one. Gives the number of the wait.
    std::uint64_t submit(const request& request, std::uint64_t user_data = 0,
                         const begin_options& options = {}) {
        const oncegate_request raw = request.raw();
        std::uint64_t id = 0;
        detail::call(oncegate_waits_submit, handle(), &raw, &options.raw(), user_data, &id);
        return id;
    }

    /// Cancels a wait. False: its answer was taken already, or there is no such wait.
    bool cancel(std::uint64_t id) {
        oncegate_error told = oncegate_error_init();
        const oncegate_status status = oncegate_waits_cancel(handle(), id, &told);
        if (status != ONCEGATE_NOT_FOUND) {
            detail::check(status, told);
        }
        return status == ONCEGATE_OK;
    }

    /// Takes at most `most` answers; waits for the first one at most that long, by default not.
    template <typename Rep = milliseconds::rep, typename Period = milliseconds::period>
    std::vector<completion> take(std::size_t most,
                                 std::chrono::duration<Rep, Period> timeout = milliseconds(0)) {
        const std::uint64_t timeout_ms = detail::ms("timeout", timeout);
        std::vector<oncegate_completion> told(most);
        std::size_t count = 0;
        detail::room room;
        detail::call_with_room(room, [&](oncegate_buffer* buffer, oncegate_error* refused) {
            return oncegate_waits_take(handle(), timeout_ms, told.data(), told.size(), buffer,
                                       &count, refused);
        });
        std::vector<completion> taken;
        taken.reserve(count);
        for (std::size_t i = 0; i < count; ++i) {
            const oncegate_completion& one = told[i];
            taken.push_back({one.id, one.user_data, answer(engine_, one.admission, room)});
        }
        return taken;
    }

    /// For functions of the C header; it stays the set's.
    const oncegate_waits* handle() const noexcept { return handle_; }

private:
    const oncegate_engine* engine_;
    oncegate_waits* handle_ = nullptr;
};

}  // namespace oncegate

#endif  // ONCEGATE_WAITS_HPP
