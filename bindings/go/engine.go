package oncegate

/*
#include "crossing.h"

static inline oncegate_status og_close(uint64_t engine, oncegate_error *error) {
    return oncegate_engine_close(og_engine(engine), og_error(error));
}

#cgo noescape og_advance_clock
static inline oncegate_status og_advance_clock(uint64_t engine, uint64_t by_ms,
                                               oncegate_error *error) {
    return oncegate_engine_advance_clock(og_engine(engine), by_ms, og_error(error));
}

#cgo noescape og_sweep
static inline oncegate_status og_sweep(uint64_t engine, size_t slots, oncegate_swept *swept,
                                       oncegate_error *error) {
    return oncegate_engine_sweep(og_engine(engine), slots, swept, og_error(error));
}

#cgo noescape og_set_quota
static inline oncegate_status og_set_quota(uint64_t engine, uint32_t scope_kind,
                                           const uint8_t *scope, size_t scope_len,
                                           const oncegate_quota *quota, oncegate_error *error) {
    return oncegate_engine_set_quota(og_engine(engine), scope_kind, og_bytes(scope, scope_len),
                                     quota, og_error(error));
}

#cgo noescape og_remove_quota
static inline oncegate_status og_remove_quota(uint64_t engine, uint32_t scope_kind,
                                              const uint8_t *scope, size_t scope_len,
                                              oncegate_error *error) {
    return oncegate_engine_remove_quota(og_engine(engine), scope_kind, og_bytes(scope, scope_len),
                                        og_error(error));
}

#cgo noescape og_resolve
static inline oncegate_status og_resolve(uint64_t engine, const og_shape *shape,
                                         const uint8_t *scope, const uint8_t *operation,
                                         const uint8_t *key, const uint8_t *payload,
                                         const uint8_t *extra, uint32_t resolution,
                                         og_result result, const uint8_t *body,
                                         const uint8_t *metadata, oncegate_error *error) {
    oncegate_bytes pointers[OG_MAX_POINTERS];
    oncegate_pair some[OG_FEW_PAIRS];
    oncegate_outcome outcome;
    og_parts parts = og_parts_of(scope, operation, key, payload, extra);
    oncegate_request request = og_request(shape, parts, pointers);
    oncegate_pair *pairs = og_outcome(&outcome, &result, body, metadata, some);
    oncegate_status told = oncegate_engine_resolve(og_engine(engine), &request, resolution,
                                                   &outcome, og_error(error));
    free(pairs);
    return told;
}

#cgo noescape og_rotate_secret
static inline oncegate_status og_rotate_secret(uint64_t engine, const uint8_t *secret, size_t len,
                                               oncegate_error *error) {
    return oncegate_engine_rotate_secret(og_engine(engine), og_bytes(secret, len),
                                         og_error(error));
}

#cgo noescape og_finish_rotation
static inline oncegate_status og_finish_rotation(uint64_t engine, oncegate_error *error) {
    return oncegate_engine_finish_rotation(og_engine(engine), og_error(error));
}

#cgo noescape og_bury_dead
static inline oncegate_status og_bury_dead(uint64_t engine, size_t *buried,
                                           oncegate_error *error) {
    return oncegate_engine_bury_dead(og_engine(engine), buried, og_error(error));
}
*/
import "C"

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Engine admits requests so that each runs once. Any goroutine may call its methods. One that is
// never closed is, some time after the last reference to it and to its leases is gone.
type Engine struct {
	// handle is looked up by the library, which refuses one that was closed.
	handle C.uint64_t
	wait   waiting
	// asks says that there is a tier to be asked, for which nobody holds a thread.
	asks bool
	// lease is the engine's own length of a lease, for those that Do renews.
	lease time.Duration
	// maxTimers is zero as by default.
	maxTimers C.uint64_t
	// afterFunc is time.AfterFunc, but in tests.
	afterFunc func(time.Duration, func()) stopper

	opened *opened

	// longest is how much room an attempt may need; zero: not asked yet.
	longest atomic.Uint64
}

// opened is what has to be closed. Nothing of it refers to its Engine for long, so that one that
// nobody has any more is noticed.
type opened struct {
	handle C.uint64_t

	// mutex guards what is started when it is first needed, and closing.
	mutex  sync.Mutex
	isOver bool
	waits  *waitSet
	due    *dueSet
	timers *timerSet
}

// defaultLease is the library's: see Options.LeaseDuration.
const defaultLease = 30 * time.Second

// Open opens an engine. Close it.
func Open(options Options) (*Engine, error) {
	if err := checkLibrary(); err != nil {
		return nil, err
	}
	handle, err := options.open(nil)
	if err != nil {
		return nil, err
	}
	engine := &Engine{
		handle: handle,
		wait:   waiting{asked: options.Wait != 0, limit: options.Wait},
		lease:  options.LeaseDuration,
		asks:   options.Tier != nil,
		opened: &opened{handle: handle},

		maxTimers: C.uint64_t(options.MaxTimers),

		afterFunc: afterFunc,
	}
	if engine.lease == 0 {
		engine.lease = defaultLease
	}
	cleanup := func(left *opened) { _ = left.close() }
	if engine.asks {
		// A tier is told of the rest then: other cleanups are not to wait for that.
		cleanup = func(left *opened) { go func() { _ = left.close() }() }
	}
	runtime.AddCleanup(engine, cleanup, engine.opened)
	return engine, nil
}

// Close closes the engine. Whoever waits gets [ErrClosed], and so does every later call. Calls that
// are under way are waited for. Leases that are held stay as they are: they lapse, unless another
// process of the host ends them. A tier is told of what it has not heard yet, once: where it has to
// hear of it, call [Engine.FlushTier] before. Closing again does nothing.
func (e *Engine) Close() error {
	if e.opened == nil {
		return nil
	}
	err := e.opened.close()
	runtime.KeepAlive(e)
	return err
}

func (o *opened) close() error {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if o.isOver {
		return nil
	}
	o.isOver = true
	if o.waits != nil {
		o.waits.close()
	}
	if o.due != nil {
		o.due.close()
	}
	if o.timers != nil {
		o.timers.close()
	}
	var why C.oncegate_error
	return failure(C.og_close(o.handle, &why), &why)
}

// open gives what is opened, and locked: nothing closes it until it is unlocked.
func (e *Engine) open() (*opened, error) {
	if e.opened == nil {
		return nil, closed()
	}
	e.opened.mutex.Lock()
	if e.opened.isOver {
		e.opened.mutex.Unlock()
		return nil, closed()
	}
	return e.opened, nil
}

// AdvanceClock moves the clock of an engine that was opened with [ClockManual], for tests. Whoever
// waits is woken.
func (e *Engine) AdvanceClock(by time.Duration) error {
	var n numbers
	ms := n.ms("by", by)
	if n.err != nil {
		return n.err
	}
	var why C.oncegate_error
	return e.failure(C.og_advance_clock(e.handle, ms, &why), &why)
}

// Swept is what a sweep did.
type Swept struct {
	// Visited slots of the table.
	Visited uint64
	// Cleared records, which were over.
	Cleared uint64
	// Lapsed leases that were found.
	Lapsed uint64
}

// Sweep looks at the next slots of the table for what is over. It is needed only without a ticker,
// and only for memory and for waiters: every call looks at what it meets anyway.
func (e *Engine) Sweep(slots int) (Swept, error) {
	var n numbers
	count := n.count("slots", slots)
	if n.err != nil {
		return Swept{}, n.err
	}
	var swept C.oncegate_swept
	var why C.oncegate_error
	status := C.og_sweep(e.handle, C.size_t(count), &swept, &why)
	return Swept{
		Visited: uint64(swept.visited),
		Cleared: uint64(swept.cleared),
		Lapsed:  uint64(swept.lapsed),
	}, e.failure(status, &why)
}

// SetQuota gives a scope a quota of its own; the zero Quota has no limits.
func (e *Engine) SetQuota(scope Scope, quota Quota) error {
	var why C.oncegate_error
	raw := quota.raw()
	return e.failure(C.og_set_quota(e.handle, scope.kind, textData(scope.name),
		C.size_t(len(scope.name)), &raw, &why), &why)
}

// RemoveQuota takes the quota of a scope back: the default one holds again.
func (e *Engine) RemoveQuota(scope Scope) error {
	var why C.oncegate_error
	return e.failure(C.og_remove_quota(e.handle, scope.kind, textData(scope.name),
		C.size_t(len(scope.name)), &why), &why)
}

// Resolution is what came of an attempt of which nobody knew.
type Resolution struct {
	kind    C.uint32_t
	outcome Outcome
}

// HasSucceeded says that it took effect: duplicates get the outcome.
func HasSucceeded(outcome Outcome) Resolution {
	return Resolution{kind: C.ONCEGATE_RESOLVED_SUCCEEDED, outcome: outcome}
}

// HasFailed says that it failed for good: duplicates get the outcome.
func HasFailed(outcome Outcome) Resolution {
	return Resolution{kind: C.ONCEGATE_RESOLVED_FAILED, outcome: outcome}
}

// RunAgain says that it had no effect: the next attempt may start at once.
func RunAgain() Resolution {
	return Resolution{kind: C.ONCEGATE_RESOLVED_RUN_AGAIN}
}

// Resolve ends the uncertainty about a request. Its payload plays no part. It returns
// [ErrNotFound] where there is no such record, or it is not in doubt.
func (e *Engine) Resolve(request Request, resolution Resolution) error {
	result, metadata, err := resolution.outcome.result()
	if err != nil {
		return err
	}
	var shape C.og_shape
	if err := request.shape(&shape); err != nil {
		return err
	}
	extra := request.Payload.extra(nil)
	var why C.oncegate_error
	return e.failure(C.og_resolve(e.handle, &shape, textData(request.Scope.name),
		textData(request.Operation), textData(request.Key), bytesData(request.Payload.data),
		bytesData(extra), resolution.kind, result, bytesData(resolution.outcome.Body),
		bytesData(metadata), &why), &why)
}

// RotateSecret begins to rotate the secret of the fingerprints: records under the old one are
// still found.
func (e *Engine) RotateSecret(secret []byte) error {
	var why C.oncegate_error
	return e.failure(C.og_rotate_secret(e.handle, bytesData(secret), C.size_t(len(secret)), &why),
		&why)
}

// FinishRotation ends the rotation: records under the old secret are no longer found.
func (e *Engine) FinishRotation() error {
	var why C.oncegate_error
	return e.failure(C.og_finish_rotation(e.handle, &why), &why)
}

// BuryDead sees to what processes left that died, and tells how many there were.
func (e *Engine) BuryDead() (int, error) {
	var buried C.size_t
	var why C.oncegate_error
	status := C.og_bury_dead(e.handle, &buried, &why)
	return int(buried), e.failure(status, &why)
}
