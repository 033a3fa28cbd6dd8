/* Dead letters: what failed for good, with its history. Included by oncegate.hpp. */
#ifndef ONCEGATE_LETTERS_HPP
#define ONCEGATE_LETTERS_HPP

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "engine.hpp"

namespace oncegate {

/// What became of one attempt of a dead letter.
struct past_attempt {
    std::uint32_t attempt;
    /// One of `ONCEGATE_END_…`.
    std::uint32_t end;
    std::uint64_t fencing_token;
    /// Milliseconds since 1970; see `oncegate_past_attempt`.
    std::uint64_t began_unix_ms;
    std::uint64_t ended_unix_ms;
    /// Empty: its holder told none.
    std::string error_class;
};

/// A record that failed for good.
struct dead_letter {
    oncegate_letter_id id;
    /// One of `ONCEGATE_BURIED_…`.
    std::uint32_t reason;
    std::uint32_t attempts;
    std::uint64_t buried_unix_ms;
    std::string operation;
    std::string context;
    /// That of the last attempt.
    std::string error_class;
    /// Steps that were finished and not undone.
    std::vector<std::string> steps;
    /// Filled by `dead_letters::show`.
    std::vector<past_attempt> history;
};

/// The dead letters of an engine, which has to be open while this is used.
class dead_letters {
public:
    explicit dead_letters(const engine& engine) : engine_(engine.handle()) {}

    /// All of them, or those that `filter` lets through, in the order of their places.
    std::vector<dead_letter> list(
        const oncegate_letter_filter& filter = oncegate_letter_filter_init()) const {
        std::vector<dead_letter> all;
        oncegate_letter_id after{};
        std::uint32_t more = 1;
        for (bool first = true; more != 0; first = false) {
            std::vector<oncegate_letter> told(page);
            std::size_t count = 0;
            oncegate_letter_id next{};
            detail::room room;
            detail::call_with_room(room, [&](oncegate_buffer* buffer, oncegate_error* refused) {
                return oncegate_letters(engine_, &filter, first ? nullptr : &after, buffer,
                                        told.data(), told.size(), &count, &next, &more, refused);
            });
            for (std::size_t i = 0; i < count; ++i) {
                all.push_back(read(told[i], room));
            }
            after = next;
        }
        return all;
    }

    /// One of them, with its history. Throws `ONCEGATE_NOT_FOUND` where it is none any more.
    dead_letter show(const oncegate_letter_id& id) const {
        oncegate_letter told{};
        std::vector<oncegate_past_attempt> past(page);
        std::size_t count = 0;
        detail::room room;
        detail::call_with_room(room, [&](oncegate_buffer* buffer, oncegate_error* refused) {
            return oncegate_letter_show(engine_, &id, buffer, &told, past.data(), past.size(),
                                        &count, refused);
        });
        dead_letter letter = read(told, room);
        past.resize(count < past.size() ? count : past.size());
        for (const oncegate_past_attempt& one : past) {
            letter.history.push_back({one.attempt, one.end, one.fencing_token, one.began_unix_ms,
                                      one.ended_unix_ms,
                                      room.text(one.class_offset, one.class_len)});
        }
        return letter;
    }

    /// Has it tried again, at once and with as many attempts as its policy gives.
    void redrive(const oncegate_letter_id& id) {
        detail::call(oncegate_letter_redrive, engine_, &id);
    }
    /// Forgets what is kept of it; duplicates are answered as before.
    void discard(const oncegate_letter_id& id) {
        detail::call(oncegate_letter_discard, engine_, &id);
    }
    /// Redrives at most `limit` of those that `filter` lets through, and tells how many.
    std::size_t redrive_all(std::size_t limit, const oncegate_letter_filter& filter =
                                                   oncegate_letter_filter_init()) {
        std::size_t count = 0;
        detail::call(oncegate_letters_redrive, engine_, &filter, limit, &count);
        return count;
    }
    /// Discards at most `limit` of those that `filter` lets through, and tells how many.
    std::size_t discard_all(std::size_t limit, const oncegate_letter_filter& filter =
                                                   oncegate_letter_filter_init()) {
        std::size_t count = 0;
        detail::call(oncegate_letters_discard, engine_, &filter, limit, &count);
        return count;
    }

private:
    static constexpr std::size_t page = 64;

    static dead_letter read(const oncegate_letter& told, const detail::room& in) {
        dead_letter letter{told.id,
                           told.reason,
                           told.attempts,
                           told.buried_unix_ms,
                           in.text(told.operation_offset, told.operation_len),
                           in.text(told.context_offset, told.context_len),
                           in.text(told.class_offset, told.class_len),
                           {},
                           {}};
        const oncegate_bytes packed{in.at(told.steps_offset), told.steps_len};
        std::size_t cursor = 0;
        for (std::uint32_t left = told.step_count; left > 0 && cursor < packed.len; --left) {
            oncegate_bytes name{nullptr, 0};
            oncegate_bytes empty{nullptr, 0};
            detail::call(oncegate_metadata_next, packed, &cursor, &name, &empty);
            letter.steps.push_back(detail::text(name));
        }
        return letter;
    }

    const oncegate_engine* engine_;
};

}  // namespace oncegate

#endif  // ONCEGATE_LETTERS_HPP
