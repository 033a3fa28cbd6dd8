/* How an engine is opened, and how a request is begun. Included by oncegate.hpp. */
#ifndef ONCEGATE_OPTIONS_HPP
#define ONCEGATE_OPTIONS_HPP

#include <chrono>
#include <cstdint>
#include <optional>
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

/// A store in Redis or Valkey by which engines of several hosts share their records. It keeps
/// copies of the texts that it is given. Options without a function of their own are set by
/// `raw()`.
class tier_options {
public:
    /// `redis://user:password@host:port/database`, `rediss://…` for TLS, or
    /// `unix:///path/of/a/socket`.
    explicit tier_options(std::string url) : url_(std::move(url)) {}

    /// What the names of all keys begin with.
    tier_options& prefix(std::string prefix) {
        prefix_ = std::move(prefix);
        return *this;
    }
    /// 32 bytes: outcomes are stored encrypted with them.
    tier_options& encryption_key(std::string key) {
        encryption_key_.emplace(std::move(key));
        return *this;
    }
    /// 32 bytes that outcomes are still read with, and no longer written.
    tier_options& retiring_key(std::string key) {
        retiring_key_.emplace(std::move(key));
        return *this;
    }
    /// The certificate of the authority that the server's is checked with, in PEM, instead of those
    /// that the system trusts.
    tier_options& tls_root(std::string pem) {
        tls_root_ = std::move(pem);
        return *this;
    }
    /// The certificate and the key, both in PEM, that show the server who connects.
    tier_options& tls_client(std::string certificate, std::string key) {
        tls_certificate_ = std::move(certificate);
        tls_key_ = std::move(key);
        return *this;
    }
    /// The server is a node of a Cluster, whose others it names.
    tier_options& cluster(bool is_node = true) {
        raw_.cluster = is_node ? 1 : 0;
        return *this;
    }
    /// The server is the primary that Sentinels know by `name`; `urls` are theirs, separated by
    /// commas.
    tier_options& sentinels(std::string name, std::string urls) {
        sentinel_name_ = std::move(name);
        sentinels_ = std::move(urls);
        return *this;
    }
    /// Has each grant and each end wait until so many replicas have it, for at most `limit`.
    template <typename Rep, typename Period>
    tier_options& wait_replicas(std::uint64_t replicas, std::chrono::duration<Rep, Period> limit) {
        raw_.wait_replicas = replicas;
        raw_.wait_replicas_ms = detail::ms_or_zero("wait_replicas", limit);
        return *this;
    }
    /// How many dead letters of all hosts a stream of the server shows, the same on each host.
    tier_options& dead_letters(std::uint64_t entries) {
        raw_.dead_letters = entries;
        return *this;
    }
    /// How long a call of the store may take.
    template <typename Rep, typename Period>
    tier_options& deadline(std::chrono::duration<Rep, Period> duration) {
        raw_.deadline_ms = detail::ms_or_zero("deadline", duration);
        return *this;
    }
    /// One of `ONCEGATE_ON_OUTAGE_…`.
    tier_options& on_outage(std::uint32_t policy) {
        raw_.on_outage = policy;
        return *this;
    }

    /// All options; the texts above are filled in when the engine is opened.
    oncegate_tier_options& raw() noexcept { return raw_; }

    /// The structure of the C header; it refers to these options.
    oncegate_tier_options filled() const noexcept {
        oncegate_tier_options filled = raw_;
        filled.url = view(url_).raw();
        filled.prefix = view(prefix_).raw();
        filled.encryption_key = given(encryption_key_);
        filled.retiring_key = given(retiring_key_);
        filled.tls_root = view(tls_root_).raw();
        filled.tls_certificate = view(tls_certificate_).raw();
        filled.tls_key = view(tls_key_).raw();
        filled.sentinel_name = view(sentinel_name_).raw();
        filled.sentinels = view(sentinels_).raw();
        return filled;
    }

private:
    /// One of no bytes is no key: the engine refuses it.
    static oncegate_bytes given(const std::optional<std::string>& key) noexcept {
        return key ? view(*key).raw() : oncegate_bytes{};
    }

    oncegate_tier_options raw_ = oncegate_tier_options_init();
    std::string url_;
    std::string prefix_;
    std::optional<std::string> encryption_key_;
    std::optional<std::string> retiring_key_;
    std::string tls_root_;
    std::string tls_certificate_;
    std::string tls_key_;
    std::string sentinel_name_;
    std::string sentinels_;
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
    /// The store that is shared with engines of other hosts, which have the same secret.
    options& tier(tier_options tier) {
        tier_ = std::move(tier);
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

    /// The structure of the C header; it refers to these options, and to `tier`, which
    /// `filled_tier` has filled.
    oncegate_options filled(const oncegate_tier_options* tier) const noexcept {
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
        if (tier_) {
            filled.tier = tier;
        }
        return filled;
    }
    /// The structure of the C header for the store, all zeros where there is none.
    oncegate_tier_options filled_tier() const noexcept {
        return tier_ ? tier_->filled() : oncegate_tier_options_init();
    }

private:
    oncegate_options raw_ = oncegate_options_init();
    std::string path_;
    std::string secret_;
    std::string retiring_secret_;
    std::vector<double> fill_levels_;
    std::optional<tier_options> tier_;
};

}  // namespace oncegate

#endif  // ONCEGATE_OPTIONS_HPP
