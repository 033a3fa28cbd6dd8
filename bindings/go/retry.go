package oncegate

/*
#include "crossing.h"

#cgo noescape og_retry_later
#cgo nocallback og_retry_later
static inline oncegate_status og_retry_later(uint64_t engine, const oncegate_lease *lease,
                                             const oncegate_attempt_error *given,
                                             const uint8_t *error_class, size_t class_len,
                                             const og_result *result, const uint8_t *body,
                                             const uint8_t *metadata, const uint8_t *operation,
                                             size_t operation_len, const uint8_t *context,
                                             size_t context_len, oncegate_later *later,
                                             oncegate_error *error) {
    oncegate_pair some[OG_FEW_PAIRS];
    oncegate_outcome outcome;
    oncegate_pair *pairs = NULL;
    oncegate_attempt_error own = *given;
    own.struct_size = sizeof own;
    own.error_class = og_bytes(error_class, class_len);
    own.outcome = NULL;
    if (result != NULL) {
        pairs = og_outcome(&outcome, result, body, metadata, some);
        own.outcome = &outcome;
    }
    oncegate_status told =
        oncegate_retry_later(og_engine(engine), lease, &own, og_bytes(operation, operation_len),
                             og_bytes(context, context_len), later, og_error(error));
    free(pairs);
    return told;
}

#cgo noescape og_hint
#cgo nocallback og_hint
static inline oncegate_status og_hint(const uint8_t *value, size_t len, uint64_t unix_time_ms,
                                      uint32_t *hint, uint64_t *after_ms) {
    return oncegate_hint_retry_after(og_bytes(value, len), unix_time_ms, hint, after_ms, NULL);
}
*/
import "C"

import (
	"context"
	"errors"
	"time"
)

// ErrorKind is what kind of error an attempt ended with: budgets charge by it.
type ErrorKind uint32

// Kinds of errors.
const (
	// KindTransient: it may be over by itself; a refused connection, an error of the server's.
	KindTransient ErrorKind = C.ONCEGATE_KIND_TRANSIENT
	// KindThrottled: the service asked for less.
	KindThrottled ErrorKind = C.ONCEGATE_KIND_THROTTLED
	// KindTimeout: no answer came in time.
	KindTimeout ErrorKind = C.ONCEGATE_KIND_TIMEOUT
)

// Hint is what a service said about retrying. The zero Hint is nothing.
type Hint struct {
	kind  C.uint32_t
	after time.Duration
}

// HintAfter: not before some time has passed.
func HintAfter(d time.Duration) Hint {
	return Hint{kind: C.ONCEGATE_HINT_AFTER, after: d}
}

// HintRefused: not at all.
func HintRefused() Hint {
	return Hint{kind: C.ONCEGATE_HINT_REFUSED}
}

// HintFromRetryAfter reads the value of the header Retry-After of HTTP, seconds or a date; now is
// for a date. What is neither is no hint.
func HintFromRetryAfter(value string, now time.Time) Hint {
	var hint C.uint32_t
	var after C.uint64_t
	status := C.og_hint(textData(value), C.size_t(len(value)),
		C.uint64_t(max(now.UnixMilli(), 0)), &hint, &after)
	if status != C.ONCEGATE_OK {
		return Hint{}
	}
	return Hint{kind: hint, after: duration(uint64(after))}
}

// After is how long the service asked to wait, if it did.
func (h Hint) After() (d time.Duration, ok bool) {
	return h.after, h.kind == C.ONCEGATE_HINT_AFTER
}

// AttemptError is why an attempt failed, for its history and for the policy. Work may return one as
// its error.
type AttemptError struct {
	// Class is what went wrong, 1 to 32 bytes of UTF-8: "timeout", "503". It is shown in
	// histories, so that it may hold nothing of the request.
	Class string
	Kind  ErrorKind
	// Hint is what the service said about retrying.
	Hint Hint
	// Terminal: it is never tried again, whatever the policy says.
	Terminal bool
	// Outcome is what duplicates get if this was the last attempt; nil: status 500 without bytes.
	Outcome *Outcome
	// Cause is the error behind it, for errors.Is and errors.As; it is kept nowhere.
	Cause error
}

func (a *AttemptError) Error() string {
	text := "oncegate: the attempt failed: " + a.Class
	if a.Cause != nil {
		text += ": " + a.Cause.Error()
	}
	return text
}

// Unwrap gives the error behind it.
func (a *AttemptError) Unwrap() error {
	return a.Cause
}

// attemptError makes one of any error.
func attemptError(err error) *AttemptError {
	var told *AttemptError
	switch {
	case errors.As(err, &told):
		return told
	case errors.Is(err, context.DeadlineExceeded):
		return &AttemptError{Class: "timeout", Kind: KindTimeout, Cause: err}
	case errors.Is(err, context.Canceled):
		return &AttemptError{Class: "cancelled", Cause: err}
	}
	return &AttemptError{Class: "error", Cause: err}
}

// Later is what becomes of a record whose attempt failed.
type Later struct {
	// Buried says why there is no next attempt: the record has failed, and is a dead letter where
	// there is room. BuriedNone: a worker gets the next attempt.
	Buried BuriedReason
	// NextAttempt is the attempt that is to come.
	NextAttempt uint32
	// DueIn is how long until it may start.
	DueIn time.Duration
}

// RetryLater ends the attempt without success, and leaves the next one to the engine: by the policy
// of the operation it is handed out by [Engine.NextAttempt] when it is due, with context, in any
// process that shares the table.
//
// The operation names what workers are to do, in UTF-8, 1 to 255 bytes; context is what they need
// for it, at most Options.ContextLimit bytes. Where the policy allows no further attempt the record
// has failed, and is a dead letter. It returns [ErrFenced] where the attempt is no longer the
// caller's, and [ErrFull] where there is no room; the lease lasts then.
func (l *Lease) RetryLater(failed *AttemptError, operation string, context []byte) (Later, error) {
	var n numbers
	given := C.oncegate_attempt_error{
		kind:          C.uint32_t(failed.Kind),
		hint:          failed.Hint.kind,
		hint_after_ms: n.ms("hint_after", failed.Hint.after),
		terminal:      flag(failed.Terminal),
	}
	if n.err != nil {
		return Later{}, n.err
	}
	var outcome Outcome
	var own C.og_result
	var result *C.og_result
	var metadata []byte
	if failed.Outcome != nil {
		outcome = *failed.Outcome
		var err error
		if own, metadata, err = outcome.result(); err != nil {
			return Later{}, err
		}
		result = &own
	}
	var later C.oncegate_later
	var why C.oncegate_error
	status := C.og_retry_later(l.engine.handle, &l.token, &given, textData(failed.Class),
		C.size_t(len(failed.Class)), result, bytesData(outcome.Body), bytesData(metadata),
		textData(operation), C.size_t(len(operation)), bytesData(context),
		C.size_t(len(context)), &later, &why)
	if status != C.ONCEGATE_OK {
		return Later{}, l.engine.failure(status, &why)
	}
	return Later{
		Buried:      BuriedReason(later.reason),
		NextAttempt: uint32(later.next_attempt),
		DueIn:       duration(uint64(later.due_in_ms)),
	}, nil
}
