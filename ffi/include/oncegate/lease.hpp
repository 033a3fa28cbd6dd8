/* Leases: the right to run a request, and the duty to end the attempt. Included by oncegate.hpp. */
#ifndef ONCEGATE_LEASE_HPP
#define ONCEGATE_LEASE_HPP

#include <chrono>
#include <cstdint>
#include <utility>

#include "outcome.hpp"

namespace oncegate {

namespace detail {
struct maker;
}

/// The attempt is the holder's: he runs the request, and ends the lease. One that goes out of scope
/// is abandoned, so that the next caller gets the request at once; that is so when an exception
/// passes, too. It does not own its engine: when that is closed first, the lease lapses.
class lease {
public:
    lease(lease&& other) noexcept
        : engine_(std::exchange(other.engine_, nullptr)), token_(other.token_),
          fencing_token_(other.fencing_token_), attempt_(other.attempt_), how_(other.how_),
          lasts_(other.lasts_) {}
    lease& operator=(lease&& other) noexcept {
        if (this != &other) {
            give_up();
            engine_ = std::exchange(other.engine_, nullptr);
            token_ = other.token_;
            fencing_token_ = other.fencing_token_;
            attempt_ = other.attempt_;
            how_ = other.how_;
            lasts_ = other.lasts_;
        }
        return *this;
    }
    lease(const lease&) = delete;
    lease& operator=(const lease&) = delete;
    ~lease() { give_up(); }

    /// For downstream stores, which refuse a token that is lower than one they have seen.
    std::uint64_t fencing_token() const noexcept { return fencing_token_; }
    /// The attempt, from 1 on.
    std::uint32_t attempt() const noexcept { return attempt_; }
    /// One of `ONCEGATE_HOW_…`.
    std::uint32_t how() const noexcept { return how_; }
    /// How long it lasted when it was got, or renewed.
    milliseconds lasts() const noexcept { return lasts_; }
    /// Whether it is still to be ended.
    bool is_held() const noexcept { return engine_ != nullptr; }

    /// Has the lease last for `duration` from now on.
    template <typename Rep, typename Period>
    milliseconds renew(std::chrono::duration<Rep, Period> duration) {
        const std::uint64_t duration_ms = detail::ms("duration", duration);
        std::uint64_t left = 0;
        detail::call(oncegate_lease_renew, held(), &token_, duration_ms, &left);
        return lasts_ = detail::from_ms(left);
    }

    /// Ends the attempt with success. Tells whether duplicates get the bytes.
    bool complete(const outcome& outcome) {
        const detail::raw_outcome raw(outcome);
        std::uint32_t stored = 0;
        end(oncegate_lease_complete, &token_, raw.get(), &stored);
        return stored == ONCEGATE_STORED;
    }

    /// Ends the attempt; the next one may start after `delay`.
    template <typename Rep = milliseconds::rep, typename Period = milliseconds::period>
    void fail(std::chrono::duration<Rep, Period> delay = milliseconds(0)) {
        const std::uint64_t delay_ms = detail::ms("delay", delay);
        end(oncegate_lease_fail, &token_, std::uint32_t{ONCEGATE_FAILURE_RETRYABLE}, delay_ms,
            static_cast<const oncegate_outcome*>(nullptr));
    }

    /// Ends the request: it failed for good, and duplicates get the outcome.
    void fail_for_good(const outcome& outcome) {
        const detail::raw_outcome raw(outcome);
        end(oncegate_lease_fail, &token_, std::uint32_t{ONCEGATE_FAILURE_TERMINAL},
            std::uint64_t{0}, raw.get());
    }

    /// Ends the attempt: nobody knows whether it took effect.
    void fail_unknown() {
        end(oncegate_lease_fail, &token_, std::uint32_t{ONCEGATE_FAILURE_UNKNOWN}, std::uint64_t{0},
            static_cast<const oncegate_outcome*>(nullptr));
    }

    /// Gives the attempt back as if it had not begun.
    void abandon() { end(oncegate_lease_abandon, &token_); }

    /// The lease as plain bytes, for another thread, process or language. It is no longer abandoned
    /// here; see `engine::take_up`.
    oncegate_lease into_token() && noexcept {
        engine_ = nullptr;
        return token_;
    }
    /// The same bytes, while the lease stays here.
    const oncegate_lease& token() const noexcept { return token_; }

private:
    friend struct detail::maker;

    lease(const oncegate_engine* engine, const oncegate_lease& token, std::uint64_t fencing_token,
          std::uint32_t attempt, std::uint32_t how, std::uint64_t lasts_ms) noexcept
        : engine_(engine), token_(token), fencing_token_(fencing_token), attempt_(attempt),
          how_(how), lasts_(detail::from_ms(lasts_ms)) {}

    const oncegate_engine* held() const {
        if (engine_ == nullptr) {
            throw error(ONCEGATE_FENCED, "lease", "it was ended or given away");
        }
        return engine_;
    }

    /// A lease that could not be ended is still held, unless it was no longer ours.
    template <typename Function, typename... Arguments>
    void end(Function function, Arguments... arguments) {
        oncegate_error told = oncegate_error_init();
        const oncegate_status status = function(held(), arguments..., &told);
        if (status == ONCEGATE_OK || status == ONCEGATE_FENCED) {
            engine_ = nullptr;
        }
        detail::check(status, told);
    }

    void give_up() noexcept {
        if (engine_ != nullptr) {
            oncegate_lease_abandon(engine_, &token_, nullptr);
            engine_ = nullptr;
        }
    }

    const oncegate_engine* engine_;
    oncegate_lease token_;
    std::uint64_t fencing_token_;
    std::uint32_t attempt_;
    std::uint32_t how_;
    milliseconds lasts_;
};

}  // namespace oncegate

#endif  // ONCEGATE_LEASE_HPP
