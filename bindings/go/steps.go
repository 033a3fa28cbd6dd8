package oncegate

/*
#include "crossing.h"

#cgo noescape og_step_find
#cgo nocallback og_step_find
static inline oncegate_status og_step_find(uint64_t engine, const oncegate_lease *lease,
                                           const uint8_t *name, size_t name_len, uint8_t *data,
                                           size_t capacity, size_t *needed, size_t *len,
                                           uint32_t *found, oncegate_error *error) {
    oncegate_buffer buffer;
    buffer.data = data;
    buffer.capacity = capacity;
    buffer.needed = 0;
    oncegate_status told = oncegate_step_find(og_engine(engine), lease, og_bytes(name, name_len),
                                              &buffer, len, found, og_error(error));
    *needed = buffer.needed;
    return told;
}

#cgo noescape og_step_finish
#cgo nocallback og_step_finish
static inline oncegate_status og_step_finish(uint64_t engine, const oncegate_lease *lease,
                                             const uint8_t *name, size_t name_len,
                                             const uint8_t *result, size_t result_len,
                                             oncegate_error *error) {
    return oncegate_step_finish(og_engine(engine), lease, og_bytes(name, name_len),
                                og_bytes(result, result_len), og_error(error));
}

#cgo noescape og_step_last
#cgo nocallback og_step_last
static inline oncegate_status og_step_last(uint64_t engine, const oncegate_lease *lease,
                                           uint8_t *data, size_t capacity, size_t *needed,
                                           oncegate_step *step, uint32_t *found,
                                           oncegate_error *error) {
    oncegate_buffer buffer;
    buffer.data = data;
    buffer.capacity = capacity;
    buffer.needed = 0;
    oncegate_status told =
        oncegate_step_last(og_engine(engine), lease, &buffer, step, found, og_error(error));
    *needed = buffer.needed;
    return told;
}

#cgo noescape og_step_undone
#cgo nocallback og_step_undone
static inline oncegate_status og_step_undone(uint64_t engine, const oncegate_lease *lease,
                                             const uint8_t *name, size_t name_len,
                                             oncegate_error *error) {
    return oncegate_step_undone(og_engine(engine), lease, og_bytes(name, name_len),
                                og_error(error));
}
*/
import "C"

import (
	"context"
	"errors"
)

// Step is a part of a request's work that is finished, with what it left.
type Step struct {
	Name   string
	Result []byte
}

// Step does a part of the work, unless an attempt of this request, this one or an earlier one in
// whichever process, has finished it: then it gives the result that was noted. The name is 1 to 255
// bytes of UTF-8; a record has at most 64.
//
//	receipt, err := lease.Step(ctx, "charge", func(ctx context.Context) ([]byte, error) {
//		return bank.Charge(ctx, amount, key)
//	})
//
// Between the work and the note a process may die, and then the work runs again: pass the key of
// [Lease.DownstreamKey] to the service below. An error of work notes nothing and is returned;
// [ErrFenced] says that the attempt is no longer the caller's, and [ErrFull] that the steps take
// more than Options.StepsLimit.
func (l *Lease) Step(
	ctx context.Context, name string, work func(context.Context) ([]byte, error),
) ([]byte, error) {
	result, found, err := l.FindStep(name)
	if err != nil || found {
		return result, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if result, err = work(ctx); err != nil {
		return nil, err
	}
	return result, l.FinishStep(name, result)
}

// FindStep looks for the result of a step that was finished.
func (l *Lease) FindStep(name string) (result []byte, found bool, err error) {
	var small [stackBuffer]byte
	buffer := small[:]
	for {
		var needed, length C.size_t
		var there C.uint32_t
		var why C.oncegate_error
		status := C.og_step_find(l.engine.handle, &l.token, textData(name), C.size_t(len(name)),
			bytesData(buffer), C.size_t(len(buffer)), &needed, &length, &there, &why)
		if Status(status) == bufferTooSmall {
			buffer = make([]byte, needed)
			continue
		}
		if status != C.ONCEGATE_OK || there == 0 {
			return nil, false, l.engine.failure(status, &why)
		}
		return append([]byte{}, buffer[:length]...), true, nil
	}
}

// FinishStep notes that a step is finished, and what it left. A step that is finished already stays
// as it was.
func (l *Lease) FinishStep(name string, result []byte) error {
	var why C.oncegate_error
	return l.engine.failure(C.og_step_finish(l.engine.handle, &l.token, textData(name),
		C.size_t(len(name)), bytesData(result), C.size_t(len(result)), &why), &why)
}

// Compensate undoes the finished steps of a request, the last one first. Then fail the record for
// good, by [Terminal] or a terminal [AttemptError].
//
// A process that dies between undo and the note of it leaves a step that is undone again. An error
// of undo ends it and is returned: what is not undone stays finished.
func (l *Lease) Compensate(ctx context.Context, undo func(context.Context, Step) error) error {
	for {
		step, found, err := l.LastStep()
		if err != nil || !found {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := undo(ctx, step); err != nil {
			return err
		}
		// Another goroutine may have noted it.
		if err := l.UndoneStep(step.Name); err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
	}
}

// LastStep gives the step that was finished last and was not undone, if there is one.
func (l *Lease) LastStep() (step Step, found bool, err error) {
	var small [stackBuffer]byte
	buffer := small[:]
	for {
		var needed C.size_t
		var raw C.oncegate_step
		var there C.uint32_t
		var why C.oncegate_error
		status := C.og_step_last(l.engine.handle, &l.token, bytesData(buffer),
			C.size_t(len(buffer)), &needed, &raw, &there, &why)
		if Status(status) == bufferTooSmall {
			buffer = make([]byte, needed)
			continue
		}
		if status != C.ONCEGATE_OK || there == 0 {
			return Step{}, false, l.engine.failure(status, &why)
		}
		return Step{
			Name:   string(buffer[raw.name_offset:][:raw.name_len]),
			Result: append([]byte{}, buffer[raw.result_offset:][:raw.result_len]...),
		}, true, nil
	}
}

// UndoneStep notes that a step was undone: it is finished no more, and runs again if there is
// another attempt. It returns [ErrNotFound] where no step of this name is finished.
func (l *Lease) UndoneStep(name string) error {
	var why C.oncegate_error
	return l.engine.failure(C.og_step_undone(l.engine.handle, &l.token, textData(name),
		C.size_t(len(name)), &why), &why)
}
