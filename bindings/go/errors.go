package oncegate

/*
#include "crossing.h"

static inline oncegate_status og_describe(oncegate_status status, int32_t want_name,
                                          const uint8_t **data, size_t *len,
                                          uint32_t *transient) {
    oncegate_bytes name, text;
    oncegate_status told = oncegate_status_describe(status, &name, &text, transient, NULL);
    if (told == ONCEGATE_OK) {
        oncegate_bytes wanted = want_name ? name : text;
        *data = wanted.data;
        *len = wanted.len;
    }
    return told;
}
*/
import "C"

import (
	"runtime"
	"strconv"
	"time"
	"unsafe"
)

// Status says why a call did not happen. Every error of the engine is an *[Error] that wraps its
// Status, so that errors.Is finds it:
//
//	if errors.Is(err, oncegate.ErrFenced) { … }
//
// Numbers are those of the C header, and are never used again for something else.
type Status int32

// Why a call did not happen.
const (
	ErrInvalidKey       Status = C.ONCEGATE_INVALID_KEY       // the key breaks a rule
	ErrInvalidScope     Status = C.ONCEGATE_INVALID_SCOPE     // the scope breaks a rule
	ErrInvalidOperation Status = C.ONCEGATE_INVALID_OPERATION // the operation breaks a rule
	ErrInvalidPayload   Status = C.ONCEGATE_INVALID_PAYLOAD   // the payload cannot be digested
	ErrInvalidConfig    Status = C.ONCEGATE_INVALID_CONFIG    // an option of the engine is refused
	ErrInvalidOption    Status = C.ONCEGATE_INVALID_OPTION    // an option of the call is refused
	ErrFenced           Status = C.ONCEGATE_FENCED            // the attempt is no longer the caller's
	ErrFull             Status = C.ONCEGATE_FULL              // no room for a new record
	ErrQuotaExceeded    Status = C.ONCEGATE_QUOTA_EXCEEDED    // the scope's quota is used up
	ErrForked           Status = C.ONCEGATE_FORKED            // the engine belongs to the parent
	ErrTooManyWaiters   Status = C.ONCEGATE_TOO_MANY_WAITERS  // see Options.MaxWaiters
	ErrNoMemory         Status = C.ONCEGATE_NO_MEMORY         // the region's memory was refused
	ErrNoEntropy        Status = C.ONCEGATE_NO_ENTROPY        // the system gave no randomness
	ErrNotFound         Status = C.ONCEGATE_NOT_FOUND         // no record that the call applies to
	ErrInvalidOutcome   Status = C.ONCEGATE_INVALID_OUTCOME   // the outcome breaks a rule
	ErrInvalidToken     Status = C.ONCEGATE_INVALID_TOKEN     // the lease's bytes are malformed
	ErrRotationPending  Status = C.ONCEGATE_ROTATION_PENDING  // the rotation cannot take this step yet
	ErrExhausted        Status = C.ONCEGATE_EXHAUSTED         // a counter came to its end
	ErrRegionMismatch   Status = C.ONCEGATE_REGION_MISMATCH   // the table was made with other options
	ErrWrongSecret      Status = C.ONCEGATE_WRONG_SECRET      // the table belongs to another secret
	ErrFileRefused      Status = C.ONCEGATE_FILE_REFUSED      // the file is not safe to share
	ErrRegionInvalid    Status = C.ONCEGATE_REGION_INVALID    // the file is no table
	ErrRegistryFull     Status = C.ONCEGATE_REGISTRY_FULL     // no entry for one more process
	ErrOS               Status = C.ONCEGATE_OS                // the operating system refused
	ErrUnsupported      Status = C.ONCEGATE_UNSUPPORTED       // not on this operating system
	ErrRegionInUse      Status = C.ONCEGATE_REGION_IN_USE     // processes use the table
	ErrBudgetExhausted  Status = C.ONCEGATE_BUDGET_EXHAUSTED  // a retry budget has too little left
	ErrTierUnavailable  Status = C.ONCEGATE_TIER_UNAVAILABLE  // the store across machines is not there
	ErrTierUnsafe       Status = C.ONCEGATE_TIER_UNSAFE       // that store may not be used

	ErrBadSize        Status = C.ONCEGATE_BAD_SIZE         // a length or a count is out of range
	ErrBadValue       Status = C.ONCEGATE_BAD_VALUE        // not one of the values that there are
	ErrNotUTF8        Status = C.ONCEGATE_NOT_UTF8         // bytes that have to be UTF-8 are not
	ErrClosed         Status = C.ONCEGATE_CLOSED           // the engine was closed
	ErrPanicked       Status = C.ONCEGATE_PANICKED         // the engine failed inside
	ErrPoisoned       Status = C.ONCEGATE_POISONED         // it failed inside before; close it
	ErrTooManyHandles Status = C.ONCEGATE_TOO_MANY_HANDLES // 256 engines of a process are open
)

// What the engine says between Go and C, and no caller ever sees.
const (
	statusOK       Status = C.ONCEGATE_OK
	bufferTooSmall Status = C.ONCEGATE_BUFFER_TOO_SMALL
	badHandle      Status = C.ONCEGATE_BAD_HANDLE
	// nullArgument is that of an Engine that was never opened: nothing else is ever NULL.
	nullArgument Status = C.ONCEGATE_NULL_ARGUMENT
)

// Error is the text of the status.
func (s Status) Error() string {
	text, _, ok := s.describe(false)
	if !ok {
		text = "unknown status " + strconv.Itoa(int(s))
	}
	return "oncegate: " + text
}

// Name is the status's name, such as "Fenced".
func (s Status) Name() string {
	name, _, ok := s.describe(true)
	if !ok {
		return "Status" + strconv.Itoa(int(s))
	}
	return name
}

// Transient says whether the same call may work later, without anybody changing anything.
func (s Status) Transient() bool {
	_, transient, _ := s.describe(false)
	return transient
}

func (s Status) describe(name bool) (text string, transient, ok bool) {
	var data *C.uint8_t
	var length C.size_t
	var lasts C.uint32_t
	want := C.int32_t(0)
	if name {
		want = 1
	}
	told := C.og_describe(C.oncegate_status(s), want, &data, &length, &lasts)
	if told != C.ONCEGATE_OK {
		return "", false, false
	}
	// The bytes are the library's, for ever.
	return unsafe.String((*byte)(unsafe.Pointer(data)), int(length)), lasts != 0, true
}

// Error tells why a call did not happen: use errors.As to get at it, and errors.Is with a [Status]
// to tell what to do.
type Error struct {
	// Status is what errors.Is compares.
	Status Status
	// Field is the argument, option or resource that it is about.
	Field string
	// Message holds field, reason, class of what was found, and limit. It never holds a key, a
	// payload or a secret.
	Message string
	// RetryAfter is how long to wait before the same call may work; zero: not known.
	RetryAfter time.Duration
	// Transient says whether the same call may work later, without anybody changing anything.
	Transient bool
}

func (e *Error) Error() string {
	return "oncegate: " + e.Message
}

// Unwrap gives the status.
func (e *Error) Unwrap() error {
	return e.Status
}

// refusal makes an error of this package in the form of the library's.
func refusal(status Status, field, detail string) *Error {
	text, transient, _ := status.describe(false)
	message := field + ": " + text
	if detail != "" {
		message += "; " + detail
	}
	return &Error{Status: status, Field: field, Message: message, Transient: transient}
}

// failure makes an error of what the library wrote.
func failure(status C.int32_t, told *C.oncegate_error) error {
	if Status(status) == statusOK {
		return nil
	}
	if Status(status) == badHandle || Status(status) == nullArgument {
		return closed()
	}
	return &Error{
		Status:     Status(status),
		Field:      text(told.field[:]),
		Message:    text(told.message[:]),
		RetryAfter: duration(uint64(told.retry_after_ms)),
		Transient:  told.transient != 0,
	}
}

// failure is that of a call on the engine, which lives on until the call has returned.
func (e *Engine) failure(status C.int32_t, told *C.oncegate_error) error {
	runtime.KeepAlive(e)
	return failure(status, told)
}

// elementFailure makes an error of one request of many, of which status and time are told.
func elementFailure(told *C.oncegate_admission) error {
	field := "request"
	switch Status(told.status) {
	case statusOK:
		return nil
	case ErrTierUnavailable, ErrTierUnsafe:
		field = "tier"
	}
	err := refusal(Status(told.status), field, "")
	err.RetryAfter = duration(uint64(told.time_ms))
	return err
}

// closed is what calls get on an engine that was closed, or never opened.
func closed() error {
	return refusal(ErrClosed, "engine", "")
}
