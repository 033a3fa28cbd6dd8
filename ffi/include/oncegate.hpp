/*
 * oncegate for C++17: the C ABI of oncegate.h with owners, values and exceptions. Header only.
 *
 * A call that does not work throws oncegate::error. What the engine says of a request is a value,
 * oncegate::admission. Everything else is as in the C header: any thread may use an engine, and
 * what a call is given is read during the call alone.
 */
#ifndef ONCEGATE_HPP
#define ONCEGATE_HPP

#include <string_view>

#include "oncegate/attempts.hpp"
#include "oncegate/engine.hpp"
#include "oncegate/letters.hpp"
#include "oncegate/waits.hpp"

namespace oncegate {

/// The version of the library.
inline std::string_view version() { return oncegate_version(); }

}  // namespace oncegate

#endif  // ONCEGATE_HPP
