/* Requests: scope, operation, key and payload. Included by oncegate.hpp. */
#ifndef ONCEGATE_REQUEST_HPP
#define ONCEGATE_REQUEST_HPP

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "call.hpp"

namespace oncegate {

/// Whose request it is. Text alone is the name of a tenant or an account.
class scope {
public:
    scope(const char* name) noexcept : scope(view(name)) {}
    scope(const std::string& name) noexcept : scope(view(name)) {}
    scope(const std::string&& name) = delete;
    scope(std::string_view name) noexcept : scope(view(name)) {}
    scope(view name) noexcept : kind_(ONCEGATE_SCOPE_NAMED), name_(name) {}

    /// There is one tenant, and that is meant so.
    static scope single_tenant() noexcept { return scope(ONCEGATE_SCOPE_SINGLE_TENANT); }
    /// Nobody is known to stand behind the request.
    static scope unauthenticated() noexcept { return scope(ONCEGATE_SCOPE_UNAUTHENTICATED); }

    std::uint32_t kind() const noexcept { return kind_; }
    view name() const noexcept { return name_; }

private:
    explicit scope(std::uint32_t kind) noexcept : kind_(kind) {}

    std::uint32_t kind_;
    view name_;
};

/// A request. It refers to what it is given, and copies nothing.
class request {
public:
    request(scope scope, view operation, view key) : raw_(oncegate_request_init()) {
        raw_.scope_kind = scope.kind();
        raw_.scope = scope.name().raw();
        raw_.operation = operation.raw();
        raw_.key = key.raw();
    }

    /// A request without a key: those with the same payload are the same.
    static request by_payload(scope scope, view operation) {
        request made(scope, operation, view());
        made.raw_.key_kind = ONCEGATE_KEY_FROM_PAYLOAD;
        return made;
    }

    /// The payload is compared as it is.
    request& raw_payload(view bytes) { return payload(ONCEGATE_PAYLOAD_RAW, bytes); }
    /// A JSON document, compared by its canonical form.
    request& json(view document) { return payload(ONCEGATE_PAYLOAD_JSON, document); }
    /// A form, compared by its pairs.
    request& form(view form) { return payload(ONCEGATE_PAYLOAD_FORM, form); }
    /// A form of parts, compared without its boundary.
    request& multipart(view form, view boundary) {
        raw_.boundary = boundary.raw();
        return payload(ONCEGATE_PAYLOAD_MULTIPART, form);
    }
    /// A JSON pointer to a value that may differ between attempts.
    request& excluding(view pointer) {
        excluded_.push_back(pointer.raw());
        return *this;
    }
    /// A JSON pointer to a value that counts; without any, all do.
    request& including(view pointer) {
        included_.push_back(pointer.raw());
        return *this;
    }

    /// The structure of the C header; it refers to this request.
    oncegate_request raw() const noexcept {
        oncegate_request raw = raw_;
        raw.excluded = excluded_.data();
        raw.excluded_count = excluded_.size();
        raw.included = included_.data();
        raw.included_count = included_.size();
        return raw;
    }

private:
    request& payload(std::uint32_t kind, view bytes) {
        raw_.payload_kind = kind;
        raw_.payload = bytes.raw();
        return *this;
    }

    oncegate_request raw_;
    std::vector<oncegate_bytes> excluded_;
    std::vector<oncegate_bytes> included_;
};

}  // namespace oncegate

#endif  // ONCEGATE_REQUEST_HPP
