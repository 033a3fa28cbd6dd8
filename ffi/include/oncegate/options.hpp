/* How an engine is opened, and how a request is begun. Included by oncegate.hpp. */
#ifndef ONCEGATE_OPTIONS_HPP
#define ONCEGATE_OPTIONS_HPP

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "call.hpp"

namespace oncegate {

/// How one request is begun. What is not set is as the engine's options say.
class begin_options {
public:
    /// How long the attempt may run before its lease lapses.
    template <typename Rep, typename Period>
    begin_options& lease_duration(std::chrono::duration<Rep, Period> duration) {
        raw_.lease_ms = detail::ms_or_zero("lease_duration", duration);
        return *this;
    }
    /// How long the finished record answers duplicates.
    template <typename Rep, typename Period>
    begin_options& dedup_window(std::chrono::duration<Rep, Period> duration) {
        raw_.dedup_window_ms = detail::ms_or_zero("dedup_window", duration);
        return *this;
    }
    /// How long to wait for a running attempt.
    template <typename Rep, typename Period>
    begin_options& wait(std::chrono::duration<Rep, Period> limit) {
        raw_.wait_ms = detail::ms_or_zero("wait", limit);
        return *this;
    }
    /// One of `ONCEGATE_LAPSE_…`.
    begin_options& on_lapse(std::uint32_t lapse) {
        raw_.on_lapse = lapse;
        return *this;
    }
    /// An attempt that was put off runs here if its time has come.
    begin_options& run_due() {
        raw_.run_due = 1;
        return *this;
    }

    const oncegate_begin_options& raw() const noexcept { return raw_; }

private:
    oncegate_begin_options raw_ = oncegate_begin_options_init();
};

/// How an engine is opened. It keeps copies of the texts that it is given. Options without a
/// function of their own are set by `raw()`.
class options {
public:
    /// Live records.
    options& capacity(std::uint64_t records) {
        raw_.capacity = records;
        return *this;
    }
    template <typename Rep, typename Period>
    options& lease_duration(std::chrono::duration<Rep, Period> duration) {
        raw_.lease_ms = detail::ms_or_zero("lease_duration", duration);
        return *this;
    }
    template <typename Rep, typename Period>
    options& dedup_window(std::chrono::duration<Rep, Period> duration) {
        raw_.dedup_window_ms = detail::ms_or_zero("dedup_window", duration);
        return *this;
    }
    /// How long a duplicate waits for the running attempt.
    template <typename Rep, typename Period>
    options& wait(std::chrono::duration<Rep, Period> limit) {
        raw_.wait_ms = detail::ms_or_zero("wait", limit);
        return *this;
    }
    /// This process and the children that it forks share the table.
    options& inherited() {
        raw_.reach = ONCEGATE_REACH_INHERITED;
        return *this;
    }
    /// Every process of the host that opens the file shares the table.
    options& file(std::string path) {
        raw_.reach = ONCEGATE_REACH_HOST;
        path_ = std::move(path);
        return *this;
    }
    /// The secret of the fingerprints, at least 32 bytes.
    options& secret(std::string secret) {
        secret_ = std::move(secret);
        return *this;
    }
    options& retiring_secret(std::string secret) {
        retiring_secret_ = std::move(secret);
        return *this;
    }
    /// Shares of the capacity at which there is an event.
    options& fill_levels(std::vector<double> levels) {
        fill_levels_ = std::move(levels);
        return *this;
    }
    /// A clock that stands still until `engine::advance_clock`: for tests.
    options& manual_clock() {
        raw_.clock = ONCEGATE_CLOCK_MANUAL;
        return *this;
    }

    /// All options; the texts above are filled in when the engine is opened.
    oncegate_options& raw() noexcept { return raw_; }

    /// The structure of the C header; it refers to these options.
    oncegate_options filled() const noexcept {
        oncegate_options filled = raw_;
        if (!path_.empty()) {
            filled.path = view(path_).raw();
        }
        if (!secret_.empty()) {
            filled.secret = view(secret_).raw();
        }
        if (!retiring_secret_.empty()) {
            filled.retiring_secret = view(retiring_secret_).raw();
        }
        if (!fill_levels_.empty()) {
            filled.fill_levels = fill_levels_.data();
            filled.fill_level_count = fill_levels_.size();
        }
        return filled;
    }

private:
    oncegate_options raw_ = oncegate_options_init();
    std::string path_;
    std::string secret_;
    std::string retiring_secret_;
    std::vector<double> fill_levels_;
};

}  // namespace oncegate

#endif  // ONCEGATE_OPTIONS_HPP
