/*
 * One charge that is asked for twice runs once, in C++17.
 *
 *   c++ -std=c++17 charge.cpp $(pkg-config --cflags --libs oncegate) -o charge && ./charge
 */
#include <chrono>
#include <cstdint>
#include <iostream>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

#include <oncegate.hpp>

using namespace std::chrono_literals;

namespace {

oncegate::request charge(const std::string& key, const std::string& payload) {
    return oncegate::request("acme", "POST /charges", key).json(payload);
}

// What must not happen twice. The store that it writes to refuses an older fencing token.
oncegate::outcome charge_card(std::uint64_t fencing_token, bool card_is_reachable) {
    static_cast<void>(fencing_token);
    if (!card_is_reachable) {
        throw std::runtime_error("the card network is down");
    }
    return oncegate::outcome(201, R"({"charge": "ch_1"})").with("content-type", "application/json");
}

void handle(oncegate::engine& engine, const oncegate::request& request, bool card_is_reachable) {
    // Copies of a request that runs wait for it, up to two seconds.
    oncegate::admission answer =
        engine.begin(request, oncegate::begin_options().lease_duration(30s).wait(2s));
    std::visit(
        oncegate::overloaded{
            [&](oncegate::lease& lease) {
                // An exception abandons the lease on its way: the next caller runs the request.
                const auto outcome = charge_card(lease.fencing_token(), card_is_reachable);
                lease.complete(outcome);
                std::cout << outcome.status << ": charged\n";
            },
            [](const oncegate::replayed& stored) {
                std::cout << stored.outcome.status << ": again " << stored.outcome.body;
                for (const auto& pair : stored.outcome.metadata) {
                    std::cout << ", " << pair.first << ": " << pair.second;
                }
                std::cout << "\n";
            },
            [](const oncegate::mismatched&) {
                std::cout << "422: the key was used for another payload\n";
            },
            [](const auto&) { std::cout << "409: ask again later\n"; },
        },
        answer);
}

}  // namespace

int main() {
    try {
        oncegate::engine engine(oncegate::options().capacity(10000));
        const std::string key = "key-1";
        const std::string payload = R"({"amount": 100})";
        const oncegate::request request = charge(key, payload);

        try {
            handle(engine, request, false);
        } catch (const std::runtime_error& failed) {
            std::cout << "503: " << failed.what() << "\n";
        }
        handle(engine, request, true);
        handle(engine, request, true);
        const std::string other = R"({"amount": 999})";
        handle(engine, charge(key, other), true);

        // Many at once: the crossing into the library is paid once. The leases among the answers
        // are abandoned with them.
        const std::string second = "key-2";
        for (oncegate::answer& one : engine.begin_batch({request, charge(second, payload)})) {
            std::cout << "batch: " << (std::holds_alternative<oncegate::lease>(one.value())
                                           ? "admitted"
                                           : "not admitted")
                      << "\n";
        }

        // A call that did not work says which argument it was, and why.
        const std::string empty;
        engine.begin(charge(empty, payload));
    } catch (const oncegate::error& refused) {
        std::cout << refused.field() << ": " << refused.message() << "\n";
        return refused.status() == ONCEGATE_INVALID_KEY ? 0 : 1;
    }
    return 1;
}
