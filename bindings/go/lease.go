package oncegate

/*
#include "crossing.h"

#cgo noescape og_take_up
#cgo nocallback og_take_up
static inline oncegate_status og_take_up(uint64_t engine, const oncegate_lease *lease,
                                         oncegate_lease_info *info, oncegate_error *error) {
    return oncegate_lease_take_up(og_engine(engine), lease, info, og_error(error));
}

#cgo noescape og_renew
#cgo nocallback og_renew
static inline oncegate_status og_renew(uint64_t engine, const oncegate_lease *lease,
                                       uint64_t duration_ms, uint64_t *remaining_ms,
                                       oncegate_error *error) {
    return oncegate_lease_renew(og_engine(engine), lease, duration_ms, remaining_ms,
                                og_error(error));
}

#cgo noescape og_abandon
#cgo nocallback og_abandon
static inline oncegate_status og_abandon(uint64_t engine, const oncegate_lease *lease,
                                         oncegate_error *error) {
    return oncegate_lease_abandon(og_engine(engine), lease, og_error(error));
}

#cgo noescape og_abandon_soon
#cgo nocallback og_abandon_soon
static inline oncegate_status og_abandon_soon(uint64_t engine, const oncegate_lease *lease) {
    return oncegate_lease_abandon_soon(og_engine(engine), lease, NULL);
}

#cgo noescape og_complete
#cgo nocallback og_complete
static inline oncegate_status og_complete(uint64_t engine, const oncegate_lease *lease,
                                          og_result result, const uint8_t *body,
                                          const uint8_t *metadata, uint32_t *stored,
                                          oncegate_error *error) {
    oncegate_pair some[OG_FEW_PAIRS];
    oncegate_outcome outcome;
    oncegate_pair *pairs = og_outcome(&outcome, &result, body, metadata, some);
    oncegate_status ended = oncegate_lease_complete(og_engine(engine), lease, &outcome, stored,
                                                    og_error(error));
    free(pairs);
    return ended;
}

#cgo noescape og_fail
#cgo nocallback og_fail
static inline oncegate_status og_fail(uint64_t engine, const oncegate_lease *lease, uint32_t kind,
                                      uint64_t delay_ms, og_result result, const uint8_t *body,
                                      const uint8_t *metadata, oncegate_error *error) {
    oncegate_pair some[OG_FEW_PAIRS];
    oncegate_outcome outcome;
    oncegate_pair *pairs = og_outcome(&outcome, &result, body, metadata, some);
    oncegate_status ended = oncegate_lease_fail(og_engine(engine), lease, kind, delay_ms, &outcome,
                                                og_error(error));
    free(pairs);
    return ended;
}
*/
import "C"

import (
	"runtime"
	"strconv"
	"time"
	"unsafe"
)

// Lease is the right to run one attempt. Whoever has it ends it, by Complete, Fail, Abandon or
// RetryLater; what nobody ends lapses. Any goroutine may call its methods.
//
// A lease is not a lock: a holder that was paused for too long may still be running after its
// lease has lapsed. Give the fencing token to the store that it writes to, and let the store
// refuse lower ones.
type Lease struct {
	engine  *Engine
	token   C.oncegate_lease
	fencing uint64
	lasts   time.Duration
	attempt uint32
	how     How
}

// LeaseToken is a lease as plain bytes, which may cross queues and processes of the host: see
// [Engine.TakeUp].
type LeaseToken [32]byte

func (e *Engine) leaseOf(told *C.oncegate_admission) *Lease {
	return &Lease{
		engine:  e,
		token:   told.lease,
		fencing: uint64(told.fencing_token),
		lasts:   duration(uint64(told.time_ms)),
		attempt: uint32(told.attempt),
		how:     How(told.how),
	}
}

// FencingToken is a number that only grows for a request, for ever: each attempt has a higher one
// than the attempt before.
func (l *Lease) FencingToken() uint64 { return l.fencing }

// Attempt is the number of the attempt, from 1 on.
func (l *Lease) Attempt() uint32 { return l.attempt }

// How says why the attempt was admitted.
func (l *Lease) How() How { return l.how }

// Lasts is how long the lease lasted when it was given, unless it is renewed.
func (l *Lease) Lasts() time.Duration { return l.lasts }

// Token is the lease as plain bytes.
func (l *Lease) Token() LeaseToken {
	return *(*LeaseToken)(unsafe.Pointer(&l.token.token))
}

// TakeUp makes a lease of a token that came from elsewhere. It returns [ErrFenced] where the
// attempt has been followed by another or has ended, so that it need not be started.
func (e *Engine) TakeUp(token LeaseToken) (*Lease, error) {
	var told C.oncegate_error
	var info C.oncegate_lease_info
	lease := &Lease{engine: e}
	*(*LeaseToken)(unsafe.Pointer(&lease.token.token)) = token
	if status := C.og_take_up(e.handle, &lease.token, &info, &told); status != C.ONCEGATE_OK {
		return nil, e.failure(status, &told)
	}
	lease.fencing = uint64(info.fencing_token)
	lease.lasts = duration(uint64(info.remaining_ms))
	lease.attempt = uint32(info.attempt)
	lease.how = How(info.how)
	return lease, nil
}

// Renew has the lease last for d from now on, 1 ms to a year, and tells how long it lasts. It
// returns [ErrFenced] where the attempt is no longer the caller's: it must stop, and undo what it
// can.
func (l *Lease) Renew(d time.Duration) (time.Duration, error) {
	var n numbers
	lasts := n.ms("lease_duration", d)
	if n.err != nil {
		return 0, n.err
	}
	var told C.oncegate_error
	var remaining C.uint64_t
	status := C.og_renew(l.engine.handle, &l.token, lasts, &remaining, &told)
	if status != C.ONCEGATE_OK {
		return 0, l.engine.failure(status, &told)
	}
	return duration(uint64(remaining)), nil
}

// Stored says what duplicates get of an outcome.
type Stored uint32

// What duplicates get of an outcome.
const (
	// StoredWithBytes: they get all of it.
	StoredWithBytes Stored = C.ONCEGATE_STORED
	// StoredWithoutBytes: it was withheld, is over the limit, or found no room.
	StoredWithoutBytes Stored = C.ONCEGATE_STORED_WITHOUT_BYTES
	// StoredHere: those on this host get it; the tier hears of it as soon as it can be reached.
	StoredHere Stored = C.ONCEGATE_STORED_HERE
)

// String names it.
func (s Stored) String() string {
	switch s {
	case StoredWithBytes:
		return "StoredWithBytes"
	case StoredWithoutBytes:
		return "StoredWithoutBytes"
	case StoredHere:
		return "StoredHere"
	}
	return "Stored(" + strconv.Itoa(int(s)) + ")"
}

// Complete ends the attempt with success: duplicates get the outcome inside the dedup window. It
// tells what they get of it. It returns [ErrFenced] where the attempt is no longer the caller's,
// and the outcome is not to be told to anybody: the attempt that took over decides.
func (l *Lease) Complete(outcome Outcome) (Stored, error) {
	result, metadata, err := outcome.result()
	if err != nil {
		return 0, err
	}
	var told C.oncegate_error
	var how C.uint32_t
	status := C.og_complete(l.engine.handle, &l.token, result, bytesData(outcome.Body),
		bytesData(metadata), &how, &told)
	return Stored(how), l.engine.failure(status, &told)
}

// Failure says how an attempt failed.
type Failure struct {
	kind    C.uint32_t
	delay   time.Duration
	outcome Outcome
}

// Retryable lets the next attempt start, for whoever asks next, after the delay.
func Retryable(delay time.Duration) Failure {
	return Failure{kind: C.ONCEGATE_FAILURE_RETRYABLE, delay: delay}
}

// Terminal is a failure for good: duplicates get the outcome.
func Terminal(outcome Outcome) Failure {
	return Failure{kind: C.ONCEGATE_FAILURE_TERMINAL, outcome: outcome}
}

// InDoubt says that nobody knows whether the attempt took effect: the request never runs again
// until [Engine.Resolve] says what came of it.
func InDoubt() Failure {
	return Failure{kind: C.ONCEGATE_FAILURE_UNKNOWN}
}

// Fail ends the attempt with a failure. It returns [ErrFenced] where the attempt is no longer the
// caller's.
func (l *Lease) Fail(failed Failure) error {
	result, metadata, err := failed.outcome.result()
	if err != nil {
		return err
	}
	var n numbers
	delay := n.ms("delay", failed.delay)
	if n.err != nil {
		return n.err
	}
	var told C.oncegate_error
	status := C.og_fail(l.engine.handle, &l.token, failed.kind, delay, result,
		bytesData(failed.outcome.Body), bytesData(metadata), &told)
	return l.engine.failure(status, &told)
}

// Abandon gives the attempt back as if it had not begun: the next caller gets it at once. It
// returns [ErrFenced] where the attempt is no longer the caller's.
func (l *Lease) Abandon() error {
	var told C.oncegate_error
	return l.engine.failure(C.og_abandon(l.engine.handle, &l.token, &told), &told)
}

// abandonSoon is Abandon for who may not wait for a tier: it hears of it soon. One that was lost
// needs nothing.
func (l *Lease) abandonSoon() {
	C.og_abandon_soon(l.engine.handle, &l.token)
	runtime.KeepAlive(l.engine)
}
