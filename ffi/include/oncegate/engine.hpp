/* The engine. Included by oncegate.hpp. */
#ifndef ONCEGATE_ENGINE_HPP
#define ONCEGATE_ENGINE_HPP

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "admission.hpp"
#include "options.hpp"
#include "request.hpp"

namespace oncegate {

/// An engine, which is closed when it goes out of scope. Any thread may use it, but for moving it
/// and closing it, which have to come after all other uses in this process.
class engine {
public:
    explicit engine(const options& options = {}) {
        const oncegate_tier_options tier = options.filled_tier();
        const oncegate_options raw = options.filled(&tier);
        detail::call(oncegate_check_abi, std::uint32_t{ONCEGATE_ABI_VERSION});
        detail::call(oncegate_engine_open, &raw, &handle_);
    }
    engine(engine&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    engine& operator=(engine&& other) noexcept {
        if (this != &other) {
            oncegate_engine_close(handle_, nullptr);
            handle_ = std::exchange(other.handle_, nullptr);
        }
        return *this;
    }
    engine(const engine&) = delete;
    engine& operator=(const engine&) = delete;
    ~engine() { oncegate_engine_close(handle_, nullptr); }

    /// Closes the engine, and tells when that did not work. Nothing happens where it is closed.
    void close() { detail::call(oncegate_engine_close, std::exchange(handle_, nullptr)); }

    /// How many bytes of memory an engine with these options takes. Nothing is opened.
    static std::uint64_t required_bytes(const options& options = {}) {
        const oncegate_tier_options tier = options.filled_tier();
        const oncegate_options raw = options.filled(&tier);
        std::uint64_t bytes = 0;
        detail::call(oncegate_required_bytes, &raw, &bytes);
        return bytes;
    }

    /// Asks to run a request; waits where the options say so.
    admission begin(const request& request, const begin_options& options = {}) {
        const oncegate_request raw = request.raw();
        return begin_with(oncegate_begin, &raw, options);
    }

    /// The same with digests that the caller has made, and vouches for.
    admission begin(const oncegate_hashed& hashed, const begin_options& options = {}) {
        return begin_with(oncegate_begin_hashed, &hashed, options);
    }

    /// Asks to run many requests: answer `i` belongs to request `i`. Never waits.
    std::vector<answer> begin_batch(const std::vector<request>& requests,
                                    const begin_options& options = {}) {
        std::vector<oncegate_request> raw;
        raw.reserve(requests.size());
        for (const request& one : requests) {
            raw.push_back(one.raw());
        }
        detail::room room;
        oncegate_buffer buffer = room.raw();
        std::vector<oncegate_admission> told(raw.size());
        detail::call(oncegate_begin_batch, handle(), raw.data(), raw.size(), &options.raw(),
                     &buffer, told.data());
        std::vector<answer> answers;
        answers.reserve(told.size());
        for (const oncegate_admission& one : told) {
            answers.emplace_back(handle(), one, room);
        }
        // Outcomes that found no room are asked for alone.
        begin_options at_once = options;
        at_once.wait(milliseconds(0));
        for (std::size_t i = 0; i < told.size(); ++i) {
            if (told[i].status == ONCEGATE_BUFFER_TOO_SMALL) {
                answers[i] = answer(begin_with(oncegate_begin, &raw[i], at_once));
            }
        }
        return answers;
    }

    /// Takes over a lease that came from elsewhere. Throws `ONCEGATE_FENCED` where it has ended.
    lease take_up(const oncegate_lease& token) {
        oncegate_lease_info info{};
        detail::call(oncegate_lease_take_up, handle(), &token, &info);
        return detail::maker::taken_up(handle(), token, info);
    }

    /// The fingerprint of a request under the engine's secret.
    std::array<std::uint8_t, 32> fingerprint(const request& request) const {
        const oncegate_request raw = request.raw();
        std::array<std::uint8_t, 32> bytes{};
        detail::call(oncegate_fingerprint, handle(), &raw, bytes.data());
        return bytes;
    }

    /// Ends the uncertainty about a request: it took effect, or failed for good.
    void resolve(const request& request, bool succeeded, const outcome& outcome) {
        const oncegate_request raw = request.raw();
        const detail::raw_outcome with(outcome);
        detail::call(oncegate_engine_resolve, handle(), &raw,
                     std::uint32_t(succeeded ? ONCEGATE_RESOLVED_SUCCEEDED
                                             : ONCEGATE_RESOLVED_FAILED),
                     with.get());
    }
    /// Ends the uncertainty about a request: it had no effect.
    void resolve_run_again(const request& request) {
        const oncegate_request raw = request.raw();
        detail::call(oncegate_engine_resolve, handle(), &raw,
                     std::uint32_t{ONCEGATE_RESOLVED_RUN_AGAIN},
                     static_cast<const oncegate_outcome*>(nullptr));
    }

    oncegate_stats stats() const {
        oncegate_stats stats = oncegate_stats_init();
        detail::call(oncegate_engine_stats, handle(), &stats);
        return stats;
    }

    /// What the engine and its tier have done. Throws `ONCEGATE_NOT_FOUND` without a tier.
    oncegate_tier_stats tier_stats() const {
        oncegate_tier_stats stats = oncegate_tier_stats_init();
        detail::call(oncegate_engine_tier_stats, handle(), &stats);
        return stats;
    }

    /// Waits until the tier has been told of every attempt that ended here. Throws
    /// `ONCEGATE_TIER_UNAVAILABLE` where something is left.
    template <typename Rep, typename Period>
    void flush_tier(std::chrono::duration<Rep, Period> limit) {
        detail::call(oncegate_engine_flush_tier, handle(), detail::ms("limit", limit));
    }

    /// Takes the oldest events, at most `most`, and tells how many were lost before.
    std::pair<std::vector<oncegate_event>, std::uint64_t> events(std::size_t most = 256) {
        std::vector<oncegate_event> events(most);
        std::size_t count = 0;
        std::uint64_t lost = 0;
        detail::call(oncegate_engine_events, handle(), events.data(), events.size(), &count, &lost);
        events.resize(count);
        return {std::move(events), lost};
    }

    oncegate_swept sweep(std::size_t slots) {
        oncegate_swept swept{};
        detail::call(oncegate_engine_sweep, handle(), slots, &swept);
        return swept;
    }

    void set_quota(scope scope, const oncegate_quota& quota) {
        detail::call(oncegate_engine_set_quota, handle(), scope.kind(), scope.name().raw(), &quota);
    }
    void remove_quota(scope scope) {
        detail::call(oncegate_engine_remove_quota, handle(), scope.kind(), scope.name().raw());
    }

    void rotate_secret(view secret) {
        detail::call(oncegate_engine_rotate_secret, handle(), secret.raw());
    }
    void finish_rotation() { detail::call(oncegate_engine_finish_rotation, handle()); }

    /// Sees to what processes left that died, and tells how many there were.
    std::size_t bury_dead() {
        std::size_t buried = 0;
        detail::call(oncegate_engine_bury_dead, handle(), &buried);
        return buried;
    }

    /// Moves the clock of an engine that was opened with `options::manual_clock`.
    template <typename Rep, typename Period>
    void advance_clock(std::chrono::duration<Rep, Period> by) {
        detail::call(oncegate_engine_advance_clock, handle(), detail::ms("by", by));
    }

    /// For functions of the C header; it stays the engine's.
    const oncegate_engine* handle() const noexcept { return handle_; }

private:
    template <typename Function, typename What>
    admission begin_with(Function function, const What* what, const begin_options& options) {
        detail::room room;
        oncegate_admission one{};
        detail::call_with_room(room, [&](oncegate_buffer* buffer, oncegate_error* told) {
            return function(handle(), what, &options.raw(), buffer, &one, told);
        });
        return detail::maker::admitted(handle(), one, room);
    }

    oncegate_engine* handle_ = nullptr;
};

}  // namespace oncegate

#endif  // ONCEGATE_ENGINE_HPP
