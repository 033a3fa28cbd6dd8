package oncegate

/*
#include "crossing.h"
*/
import "C"

import (
	"encoding/binary"
	"log/slog"
	"strconv"
)

// Scope is the tenant that a request belongs to. Requests of two scopes never meet. The zero Scope
// is refused: a scope is named, or said to be none.
type Scope struct {
	kind C.uint32_t
	name string
}

var (
	// SingleTenant is for a service without tenants, where that is meant so.
	SingleTenant = Scope{kind: C.ONCEGATE_SCOPE_SINGLE_TENANT}
	// Unauthenticated is for requests of which nobody is known. All of them share it, and the
	// quota that goes with it; whoever guesses a key gets what its owner got.
	Unauthenticated = Scope{kind: C.ONCEGATE_SCOPE_UNAUTHENTICATED}
)

// Tenant is the scope of a name, 1 to 255 bytes. Take it from what was authenticated, never from
// what a client chooses.
func Tenant(name string) Scope {
	return Scope{kind: C.ONCEGATE_SCOPE_NAMED, name: name}
}

// String tells the kind of the scope, and how long its name is: the name may tell who it is.
func (s Scope) String() string {
	switch s {
	case SingleTenant:
		return "SingleTenant"
	case Unauthenticated:
		return "Unauthenticated"
	}
	return "Tenant(" + strconv.Itoa(len(s.name)) + " bytes)"
}

// GoString is String: a name is in no log.
func (s Scope) GoString() string {
	return s.String()
}

// Request names what is asked for. Scope, Operation and Key together are its identity; the payload
// is compared on every duplicate.
type Request struct {
	Scope Scope
	// Operation is what is asked for, in UTF-8, 1 to 1,024 bytes: "POST /charges".
	Operation string
	// Key is the caller's idempotency key, 1 to 255 bytes of any value. It is hashed, and kept
	// nowhere.
	Key string
	// KeyFromPayload lets the payload stand in for a key: requests that are alike are the same.
	KeyFromPayload bool
	// Payload is what duplicates have to have in common; its zero value compares nothing.
	Payload Payload
}

// String tells the operation, and the lengths of the rest: keys and payloads are in no log.
func (r Request) String() string {
	return "Request(" + r.Scope.String() + ", " + strconv.Quote(r.Operation) + ", key of " +
		strconv.Itoa(len(r.Key)) + " bytes, " + r.Payload.String() + ")"
}

// GoString is String.
func (r Request) GoString() string {
	return r.String()
}

// LogValue is String.
func (r Request) LogValue() slog.Value {
	return slog.StringValue(r.String())
}

// Payload is what a request carries, and how two of them are compared. Its bytes are read during
// the call that gets it, and must not be changed meanwhile.
type Payload struct {
	kind      C.uint32_t
	data      []byte
	boundary  string
	excluding []string
	including []string
}

// String tells how long the payload is.
func (p Payload) String() string {
	return "payload of " + strconv.Itoa(len(p.data)) + " bytes"
}

// GoString is String.
func (p Payload) GoString() string {
	return p.String()
}

// Raw is a payload that is compared byte by byte.
func Raw(data []byte) Payload {
	return Payload{kind: C.ONCEGATE_PAYLOAD_RAW, data: data}
}

// JSON is a document that is compared by its canonical form (RFC 8785): the order of members and
// the spelling of numbers do not count.
func JSON(data []byte) Payload {
	return Payload{kind: C.ONCEGATE_PAYLOAD_JSON, data: data}
}

// Form is a payload of the type application/x-www-form-urlencoded, compared by its pairs.
func Form(data []byte) Payload {
	return Payload{kind: C.ONCEGATE_PAYLOAD_FORM, data: data}
}

// Multipart is a payload of the type multipart/form-data, compared without its boundary.
func Multipart(data []byte, boundary string) Payload {
	return Payload{kind: C.ONCEGATE_PAYLOAD_MULTIPART, data: data, boundary: boundary}
}

// Excluding names values of a JSON document, by JSON pointers (RFC 6901), that may differ between
// attempts, such as a time stamp.
func (p Payload) Excluding(pointers ...string) Payload {
	p.excluding = append(p.excluding[:len(p.excluding):len(p.excluding)], pointers...)
	return p
}

// Including names the values of a JSON document, by JSON pointers (RFC 6901), that count; without
// any, all do.
func (p Payload) Including(pointers ...string) Payload {
	p.including = append(p.including[:len(p.including):len(p.including)], pointers...)
	return p
}

// shape counts the parts of a request for C.
func (r *Request) shape(shape *C.og_shape) error {
	p := &r.Payload
	if pointers := len(p.excluding) + len(p.including); pointers > C.OG_MAX_POINTERS {
		detail := "found " + strconv.Itoa(pointers) + "; limit: 64"
		return refusal(ErrBadSize, "excluded", detail)
	}
	shape.scope_kind = r.Scope.kind
	shape.key_kind = C.ONCEGATE_KEY_GIVEN
	if r.KeyFromPayload {
		shape.key_kind = C.ONCEGATE_KEY_FROM_PAYLOAD
	}
	shape.payload_kind = p.kind
	shape.boundary_len = C.uint32_t(len(p.boundary))
	shape.excluded_count = C.uint32_t(len(p.excluding))
	shape.included_count = C.uint32_t(len(p.including))
	shape.scope_len = C.size_t(len(r.Scope.name))
	shape.operation_len = C.size_t(len(r.Operation))
	shape.key_len = C.size_t(len(r.Key))
	shape.payload_len = C.size_t(len(p.data))
	return nil
}

// plain says that there is nothing for extra.
func (p *Payload) plain() bool {
	return p.boundary == "" && p.excluding == nil && p.including == nil
}

// extra is the boundary, and each JSON pointer behind its length.
func (p *Payload) extra(bytes []byte) []byte {
	bytes = append(bytes, p.boundary...)
	for _, pointers := range [2][]string{p.excluding, p.including} {
		for _, pointer := range pointers {
			bytes = binary.NativeEndian.AppendUint32(bytes, uint32(len(pointer)))
			bytes = append(bytes, pointer...)
		}
	}
	return bytes
}
