package oncegate

/*
#include "crossing.h"

#cgo noescape og_next_attempts
#cgo nocallback og_next_attempts
static inline oncegate_status og_next_attempts(uint64_t engine, size_t most, uint8_t *data,
                                               size_t capacity, size_t *needed,
                                               oncegate_attempt *attempts, size_t *count,
                                               oncegate_error *error) {
    oncegate_buffer buffer;
    buffer.data = data;
    buffer.capacity = capacity;
    buffer.needed = 0;
    oncegate_status told = oncegate_next_attempts(og_engine(engine), most, 0, &buffer, attempts,
                                                  count, og_error(error));
    *needed = buffer.needed;
    return told;
}
*/
import "C"

import (
	"bytes"
	"context"
	"strconv"
)

// Attempt is an attempt that is due, with what is needed to run it. It ends as one that was begun
// does.
type Attempt struct {
	// Lease is the right to run it: whoever gets it ends it.
	Lease *Lease
	// Operation and Context are what [Lease.RetryLater] was given.
	Operation string
	Context   []byte
}

// RetryLater leaves the next attempt to the engine, with the same operation and context: see
// [Lease.RetryLater].
func (a *Attempt) RetryLater(failed *AttemptError) (Later, error) {
	return a.Lease.RetryLater(failed, a.Operation, a.Context)
}

// String tells the operation, and the length of the context, which is in no log.
func (a *Attempt) String() string {
	return "Attempt(" + strconv.Quote(a.Operation) + ", " +
		strconv.FormatUint(uint64(a.Lease.attempt), 10) + ", context of " +
		strconv.Itoa(len(a.Context)) + " bytes)"
}

// GoString is String.
func (a *Attempt) GoString() string {
	return a.String()
}

// NextAttempt waits for an attempt that is due, until ctx is done: then it returns the cause. A
// goroutine that waits holds no thread, and while it does somebody looks after what is due: a
// program that calls this needs no other driver.
func (e *Engine) NextAttempt(ctx context.Context) (*Attempt, error) {
	attempts, err := e.NextAttempts(ctx, 1)
	if err != nil {
		return nil, err
	}
	return attempts[0], nil
}

// NextAttempts is NextAttempt for several: it waits for the first, and gives all that are due, at
// most so many.
func (e *Engine) NextAttempts(ctx context.Context, most int) ([]*Attempt, error) {
	due, err := e.dueSet()
	if err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	for {
		seat, err := due.sit()
		if err != nil {
			return nil, err
		}
		// What becomes due after this look calls somebody who sits.
		attempts, err := e.TakeAttempts(most)
		if err != nil || len(attempts) != 0 {
			// There may be more, and this one may have been called for it.
			due.rise(seat)
			due.call()
			return attempts, err
		}
		select {
		case <-seat.called:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			if !due.rise(seat) {
				// What it was called for is another's.
				due.call()
			}
			return nil, context.Cause(ctx)
		}
	}
}

// TakeAttempts gives the attempts that are due, at most so many, and never waits: one that another
// thread is looking at just now is left out.
func (e *Engine) TakeAttempts(most int) ([]*Attempt, error) {
	if most < 1 {
		return nil, refusal(ErrBadSize, "most", "found "+strconv.Itoa(most)+"; limit: at least 1")
	}
	longest := int(e.longest.Load())
	for {
		// As many at a time as there is some memory for.
		raw := make([]C.oncegate_attempt, min(most, maxAtOnce, max(takeBytes/max(longest, 1), 1)))
		buffer := make([]byte, longest*len(raw))
		var needed, count C.size_t
		var why C.oncegate_error
		status := C.og_next_attempts(e.handle, C.size_t(len(raw)), bytesData(buffer),
			C.size_t(len(buffer)), &needed, &raw[0], &count, &why)
		if Status(status) == bufferTooSmall {
			longest = int(needed)
			e.longest.Store(uint64(needed))
			continue
		}
		if status != C.ONCEGATE_OK {
			return nil, e.failure(status, &why)
		}
		attempts := make([]*Attempt, count)
		for i := range attempts {
			attempts[i] = e.attemptOf(&raw[i], buffer)
		}
		return attempts, nil
	}
}

// maxAtOnce is how many attempts one call takes.
const maxAtOnce = 64

// takeBytes is about how much memory one call is given for operations and contexts.
const takeBytes = 256 << 10

func (e *Engine) attemptOf(raw *C.oncegate_attempt, buffer []byte) *Attempt {
	return &Attempt{
		Lease: &Lease{
			engine:  e,
			token:   raw.lease,
			fencing: uint64(raw.fencing_token),
			lasts:   duration(uint64(raw.remaining_ms)),
			attempt: uint32(raw.attempt),
			how:     Retried,
		},
		Operation: string(buffer[raw.operation_offset:][:raw.operation_len]),
		Context:   bytes.Clone(buffer[raw.context_offset:][:raw.context_len]),
	}
}
