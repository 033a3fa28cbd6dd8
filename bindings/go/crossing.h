/*
 * How Go crosses into the library. A call from Go may pass pointers to Go memory, but that memory
 * may hold none itself; so every pointer is an argument of its own here, and the structures of
 * oncegate.h that hold pointers are made on this side.
 */
#ifndef ONCEGATE_GO_CROSSING_H
#define ONCEGATE_GO_CROSSING_H

#include <stdlib.h>

#ifdef ONCEGATE_SYSTEM
#define ONCEGATE_LIBRARY "installed"
#else
#if defined(__has_include)
#if !__has_include("library.h")
#error "no library: run `make go-library` in the checkout, or build with -tags oncegate_system"
#endif
#endif
/* Made with the library: cgo looks at this folder for what has changed, not at archives. */
#include "library.h"
#endif
#include "oncegate.h"

/* The numbers of a request. */
typedef struct {
    uint32_t scope_kind;
    uint32_t key_kind;
    uint32_t payload_kind;
    uint32_t boundary_len;
    uint32_t excluded_count;
    uint32_t included_count;
    size_t scope_len;
    size_t operation_len;
    size_t key_len;
    size_t payload_len;
    /* In a batch: where each begins in the bytes of all requests. */
    size_t scope_at;
    size_t operation_at;
    size_t key_at;
    size_t payload_at;
    size_t extra_at;
} og_shape;

/* What a request names. `extra` is the boundary, and then each JSON pointer behind its length. */
typedef struct {
    const uint8_t *scope;
    const uint8_t *operation;
    const uint8_t *key;
    const uint8_t *payload;
    const uint8_t *extra;
} og_parts;

enum { OG_MAX_POINTERS = 64 };

/* A handle travels as a number: it is none of Go's pointers, and none of C's either. */
static inline oncegate_engine *og_engine(uint64_t handle) {
    return (oncegate_engine *)(uintptr_t)handle;
}

static inline oncegate_error *og_error(oncegate_error *error) {
    error->struct_size = sizeof *error;
    return error;
}

static inline oncegate_bytes og_bytes(const uint8_t *data, size_t len) {
    oncegate_bytes bytes;
    bytes.data = data;
    bytes.len = len;
    return bytes;
}

/* `pointers` has room for OG_MAX_POINTERS; whoever calls has counted. */
static inline oncegate_request og_request(const og_shape *shape, og_parts parts,
                                          oncegate_bytes *pointers) {
    oncegate_request request = oncegate_request_init();
    request.scope_kind = shape->scope_kind;
    request.key_kind = shape->key_kind;
    request.payload_kind = shape->payload_kind;
    request.scope = og_bytes(parts.scope, shape->scope_len);
    request.operation = og_bytes(parts.operation, shape->operation_len);
    request.key = og_bytes(parts.key, shape->key_len);
    request.payload = og_bytes(parts.payload, shape->payload_len);
    request.boundary = og_bytes(parts.extra, shape->boundary_len);
    uint32_t count = shape->excluded_count + shape->included_count;
    const uint8_t *at = count == 0 ? NULL : parts.extra + shape->boundary_len;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t len;
        memcpy(&len, at, sizeof len);
        pointers[i] = og_bytes(at + sizeof len, len);
        at += sizeof len + len;
    }
    request.excluded = pointers;
    request.excluded_count = shape->excluded_count;
    request.included = pointers + shape->excluded_count;
    request.included_count = shape->included_count;
    return request;
}

static inline og_parts og_parts_of(const uint8_t *scope, const uint8_t *operation,
                                   const uint8_t *key, const uint8_t *payload,
                                   const uint8_t *extra) {
    og_parts parts;
    parts.scope = scope;
    parts.operation = operation;
    parts.key = key;
    parts.payload = payload;
    parts.extra = extra;
    return parts;
}

/* The numbers of an outcome. */
typedef struct {
    uint32_t status;
    uint32_t withheld;
    size_t body_len;
    size_t metadata_count;
} og_result;

enum { OG_FEW_PAIRS = 16 };

/*
 * Makes an outcome. Metadata comes as the library packs it: two lengths of 16 bits, and the bytes.
 * Gives what has to be freed; `some` has room for OG_FEW_PAIRS.
 */
static inline oncegate_pair *og_outcome(oncegate_outcome *outcome, const og_result *result,
                                        const uint8_t *body, const uint8_t *metadata,
                                        oncegate_pair *some) {
    oncegate_pair *made = NULL;
    size_t count = result->metadata_count;
    *outcome = oncegate_outcome_init();
    outcome->status = result->status;
    outcome->withheld = result->withheld;
    outcome->body = og_bytes(body, result->body_len);
    if (count > OG_FEW_PAIRS) {
        made = (oncegate_pair *)malloc(count * sizeof *made);
        if (made == NULL) {
            /* Go ends a process that has no memory left, too. */
            abort();
        }
        some = made;
    }
    for (size_t i = 0; i < count; i++) {
        size_t name_len = metadata[0] | (size_t)metadata[1] << 8;
        size_t value_len = metadata[2] | (size_t)metadata[3] << 8;
        some[i].name = og_bytes(metadata + 4, name_len);
        some[i].value = og_bytes(metadata + 4 + name_len, value_len);
        metadata += 4 + name_len + value_len;
    }
    outcome->metadata = some;
    outcome->metadata_count = count;
    return made;
}

/* A policy with its delays, which are no part of it on Go's side. NULL: as the engine has it. */
static inline const oncegate_retry_policy *og_policy(oncegate_retry_policy *own,
                                                     const oncegate_retry_policy *given,
                                                     const uint64_t *delays, size_t count) {
    if (given == NULL) {
        return NULL;
    }
    *own = *given;
    own->struct_size = sizeof *own;
    own->delays_ms = delays;
    own->delay_count = count;
    return own;
}

/* A tier's options without its texts, whose bytes come one after the other, in this order. */
enum { OG_TIER_TEXTS = 9 };

typedef struct {
    oncegate_tier_options options;
    size_t lens[OG_TIER_TEXTS];
} og_tier;

/* A tier's options with their texts. NULL: there is none. */
static inline const oncegate_tier_options *og_tier_options(oncegate_tier_options *own,
                                                           const og_tier *given,
                                                           const uint8_t *texts) {
    if (given == NULL) {
        return NULL;
    }
    *own = given->options;
    own->struct_size = sizeof *own;
    oncegate_bytes *const fields[OG_TIER_TEXTS] = {
        &own->url,      &own->prefix,          &own->encryption_key, &own->retiring_key,
        &own->tls_root, &own->tls_certificate, &own->tls_key,        &own->sentinel_name,
        &own->sentinels,
    };
    for (int i = 0; i < OG_TIER_TEXTS; i++) {
        /* A key that is not given is NULL. */
        *fields[i] = given->lens[i] == 0 ? (oncegate_bytes){0} : og_bytes(texts, given->lens[i]);
        texts += given->lens[i];
    }
    return own;
}

/* The digests of a request, and its scope among the bytes of all. */
typedef struct {
    uint64_t payload_digest;
    size_t scope_at;
    size_t scope_len;
    uint32_t scope_kind;
    uint8_t fingerprint[32];
} og_hash;

/* Makes offsets into a part of a buffer offsets into all of it, and tells where it ends. */
static inline size_t og_together(oncegate_admission *admissions, size_t count, size_t base) {
    size_t end = base;
    for (size_t i = 0; i < count; i++) {
        if (admissions[i].verdict == ONCEGATE_REPLAYED) {
            oncegate_stored_outcome *outcome = &admissions[i].outcome;
            outcome->metadata_offset += base;
            outcome->body_offset += base;
            size_t last = outcome->body_offset + outcome->body_len;
            end = last > end ? last : end;
        }
    }
    return end;
}

#endif
