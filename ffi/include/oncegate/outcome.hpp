/* Outcomes: what a finished request left, in both directions. Included by oncegate.hpp. */
#ifndef ONCEGATE_OUTCOME_HPP
#define ONCEGATE_OUTCOME_HPP

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "call.hpp"

namespace oncegate {

/// What an attempt leaves for its duplicates.
struct outcome {
    /// A number of the caller's, such as an HTTP status.
    std::uint32_t status = 0;
    std::string body;
    /// Names and values beside it: headers of a response.
    std::vector<std::pair<std::string, std::string>> metadata;
    /// Duplicates get the number alone, as `outcome_gone`.
    bool is_withheld = false;

    outcome() = default;
    explicit outcome(std::uint32_t its_status, std::string its_body = {})
        : status(its_status), body(std::move(its_body)) {}

    static outcome withheld(std::uint32_t its_status) {
        outcome made(its_status);
        made.is_withheld = true;
        return made;
    }

    /// Adds a pair of metadata.
    outcome& with(std::string name, std::string value) & {
        metadata.emplace_back(std::move(name), std::move(value));
        return *this;
    }
    outcome&& with(std::string name, std::string value) && {
        return std::move(with(std::move(name), std::move(value)));
    }
};

namespace detail {

/// An outcome as the C header has it; it refers to the one that it was made of.
class raw_outcome {
public:
    explicit raw_outcome(const outcome& of) : raw_(oncegate_outcome_init()) {
        pairs_.reserve(of.metadata.size());
        for (const auto& pair : of.metadata) {
            pairs_.push_back({view(pair.first).raw(), view(pair.second).raw()});
        }
        raw_.status = of.status;
        raw_.withheld = of.is_withheld ? 1 : 0;
        raw_.body = view(of.body).raw();
        raw_.metadata = pairs_.data();
        raw_.metadata_count = pairs_.size();
    }
    raw_outcome(const raw_outcome&) = delete;
    raw_outcome& operator=(const raw_outcome&) = delete;

    const oncegate_outcome* get() const noexcept { return &raw_; }

private:
    oncegate_outcome raw_;
    std::vector<oncegate_pair> pairs_;
};

/// Memory for what a call gives, which grows when it is too small.
class room {
public:
    room() : bytes_(first) {}

    oncegate_buffer raw() noexcept { return {bytes_.data(), bytes_.size(), 0}; }
    void grow(const oncegate_buffer& buffer) { bytes_.resize(buffer.needed); }
    std::string text(std::size_t offset, std::size_t len) const {
        return {reinterpret_cast<const char*>(bytes_.data()) + offset, len};
    }
    const std::uint8_t* at(std::size_t offset) const noexcept { return bytes_.data() + offset; }

private:
    static constexpr std::size_t first = 1024;
    std::vector<std::uint8_t> bytes_;
};

/// Calls a function that fills `memory`, and again with more where that was too small. `ask` takes
/// a buffer and an error.
template <typename Ask>
void call_with_room(room& memory, Ask ask) {
    for (;;) {
        oncegate_buffer buffer = memory.raw();
        oncegate_error told = oncegate_error_init();
        const oncegate_status status = ask(&buffer, &told);
        if (status != ONCEGATE_BUFFER_TOO_SMALL) {
            check(status, told);
            return;
        }
        memory.grow(buffer);
    }
}

inline std::string text(const oncegate_bytes& bytes) {
    return bytes.len == 0 ? std::string()
                          : std::string(reinterpret_cast<const char*>(bytes.data), bytes.len);
}

inline outcome stored(const oncegate_stored_outcome& at, const room& in) {
    outcome made(at.status, in.text(at.body_offset, at.body_len));
    const oncegate_bytes packed{in.at(at.metadata_offset), at.metadata_len};
    std::size_t cursor = 0;
    for (std::uint32_t left = at.metadata_count; left > 0; --left) {
        oncegate_bytes name{nullptr, 0};
        oncegate_bytes value{nullptr, 0};
        call(oncegate_metadata_next, packed, &cursor, &name, &value);
        made.metadata.emplace_back(text(name), text(value));
    }
    return made;
}

}  // namespace detail

}  // namespace oncegate

#endif  // ONCEGATE_OUTCOME_HPP
