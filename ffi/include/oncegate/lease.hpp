/* Leases: the right to run a request, and the duty to end the attempt. Included by oncegate.hpp. */
#ifndef ONCEGATE_LEASE_HPP
#define ONCEGATE_LEASE_HPP

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "failure.hpp"

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

    /// Whether the tier gave no answer, so that the table of this host alone admitted the attempt:
    /// another host may run the same request. Throws `ONCEGATE_FENCED` where it has ended.
    bool is_local_only() const {
        std::uint32_t alone = 0;
        detail::call(oncegate_lease_is_local_only, held(), &token_, &alone);
        return alone == 1;
    }

    /// Ends the attempt with success. Tells whether duplicates get the bytes.
    bool complete(const outcome& outcome) {
        const detail::raw_outcome raw(outcome);
        std::uint32_t stored = 0;
        end(oncegate_lease_complete, &token_, raw.get(), &stored);
        return stored != ONCEGATE_STORED_WITHOUT_BYTES;
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

    /// Ends the attempt, and leaves the next one to the engine, which hands it out with `context`
    /// when it is due: see `attempts.hpp`.
    oncegate_later retry_later(const attempt_error& why, view operation, view context) {
        oncegate_later later{};
        end(oncegate_retry_later, &token_, why.raw(), operation.raw(), context.raw(), &later);
        return later;
    }

    /// What the step `name` left, if it is finished: by this attempt or by one before it.
    std::optional<std::string> find_step(view name) const {
        detail::room room;
        std::size_t len = 0;
        std::uint32_t found = 0;
        detail::call_with_room(room, [&](oncegate_buffer* buffer, oncegate_error* told) {
            return oncegate_step_find(held(), &token_, name.raw(), buffer, &len, &found, told);
        });
        return found == 0 ? std::nullopt : std::optional<std::string>(room.text(0, len));
    }
    /// Notes that the step `name` is finished, and what it left for later attempts.
    void finish_step(view name, view result) {
        detail::call(oncegate_step_finish, held(), &token_, name.raw(), result.raw());
    }
    /// Runs `work`, which gives a string, unless the step is finished: then gives what it left.
    template <typename Work>
    std::string step(view name, Work&& work) {
        if (std::optional<std::string> left = find_step(name)) {
            return *std::move(left);
        }
        std::string result = std::forward<Work>(work)();
        finish_step(name, result);
        return result;
    }
    /// The name and the result of the step that was finished last and not undone: for whoever
    /// compensates, who undoes it, says so, and asks again.
    std::optional<std::pair<std::string, std::string>> last_step() const {
        detail::room room;
        oncegate_step last{};
        std::uint32_t found = 0;
        detail::call_with_room(room, [&](oncegate_buffer* buffer, oncegate_error* told) {
            return oncegate_step_last(held(), &token_, buffer, &last, &found, told);
        });
        if (found == 0) {
            return std::nullopt;
        }
        return std::pair(room.text(last.name_offset, last.name_len),
                         room.text(last.result_offset, last.result_len));
    }
    /// Notes that the step `name` was undone.
    void step_undone(view name) {
        detail::call(oncegate_step_undone, held(), &token_, name.raw());
    }

    /// An idempotency key for the call of this request to `service`, or for its call `step`: the
    /// same in every attempt.
    std::string downstream_key(view service, view step = {}) const {
        char key[ONCEGATE_DOWNSTREAM_KEY_SIZE];
        detail::call(oncegate_downstream_key, held(), &token_, service.raw(), step.raw(), &key[0],
                     sizeof key);
        return key;
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
            oncegate_lease_abandon_soon(engine_, &token_, nullptr);
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
