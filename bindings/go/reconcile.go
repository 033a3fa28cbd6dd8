package oncegate

/*
#include "crossing.h"

#cgo noescape og_questions
#cgo nocallback og_questions
static inline oncegate_status og_questions(uint64_t engine, size_t limit, uint8_t *data,
                                           size_t capacity, size_t *needed,
                                           oncegate_question *questions, size_t most,
                                           size_t *count, oncegate_error *error) {
    oncegate_buffer buffer;
    buffer.data = data;
    buffer.capacity = capacity;
    buffer.needed = 0;
    oncegate_status told = oncegate_reconcile_poll(og_engine(engine), limit, &buffer, questions,
                                                   most, count, og_error(error));
    *needed = buffer.needed;
    return told;
}

#cgo noescape og_answer
#cgo nocallback og_answer
static inline oncegate_status og_answer(uint64_t engine, uint64_t id, uint32_t answer,
                                        og_result result, const uint8_t *body,
                                        const uint8_t *metadata, oncegate_error *error) {
    oncegate_pair some[OG_FEW_PAIRS];
    oncegate_outcome outcome;
    oncegate_pair *pairs = og_outcome(&outcome, &result, body, metadata, some);
    oncegate_status told =
        oncegate_reconcile_answer(og_engine(engine), id, answer, &outcome, og_error(error));
    free(pairs);
    return told;
}
*/
import "C"

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"time"
)

// Question is about a record of which nobody knows whether its last attempt took effect.
type Question struct {
	// ID names the question, for [Engine.Answer].
	ID uint64
	// FencingToken is that of the attempt in doubt: what it wrote elsewhere carries it.
	FencingToken uint64
	// Attempt is the attempt in doubt.
	Attempt uint32
	// Operation and Context are what [Lease.RetryLater] was given; both are empty where the record
	// was never retried.
	Operation string
	Context   []byte
}

// String tells the operation, and the length of the context, which is in no log.
func (q Question) String() string {
	return "Question(" + strconv.Quote(q.Operation) + ", attempt " +
		strconv.FormatUint(uint64(q.Attempt), 10) + ", context of " +
		strconv.Itoa(len(q.Context)) + " bytes)"
}

// GoString is String.
func (q Question) GoString() string {
	return q.String()
}

// StillUnknown says that nobody knows it yet: it is asked again later.
func StillUnknown() Resolution {
	return Resolution{kind: C.ONCEGATE_RESOLVED_UNKNOWN}
}

// Questions takes questions about records in doubt, of an engine that was opened with
// Options.Reconcile: at most 64. It looks at no more than limit records, and never waits.
//
// A question comes again, by the same ID, as long as it is not answered: after a second, two, four
// and so on, at most five minutes. 1,024 are kept in mind, the newest.
func (e *Engine) Questions(limit int) ([]Question, error) {
	var n numbers
	look := n.count("limit", limit)
	if n.err != nil {
		return nil, n.err
	}
	buffer := make([]byte, questionBytes)
	for {
		var raw [64]C.oncegate_question
		var needed, count C.size_t
		var why C.oncegate_error
		status := C.og_questions(e.handle, C.size_t(look), bytesData(buffer),
			C.size_t(len(buffer)), &needed, &raw[0], C.size_t(len(raw)), &count, &why)
		if Status(status) == bufferTooSmall {
			buffer = make([]byte, needed)
			continue
		}
		if status != C.ONCEGATE_OK {
			return nil, e.failure(status, &why)
		}
		questions := make([]Question, count)
		for i := range questions {
			one := &raw[i]
			questions[i] = Question{
				ID:           uint64(one.id),
				FencingToken: uint64(one.fencing_token),
				Attempt:      uint32(one.attempt),
				Operation:    string(buffer[one.operation_offset:][:one.operation_len]),
				Context:      bytes.Clone(buffer[one.context_offset:][:one.context_len]),
			}
		}
		return questions, nil
	}
}

// questionBytes is room for operations and contexts; what finds none comes by the next call.
const questionBytes = 16 << 10

// Asker tells what came of an attempt in doubt.
type Asker func(ctx context.Context, question Question) (Resolution, error)

// Answer answers a question. The record is decided when it returns. [ErrNotFound]: it is not in
// doubt any more, this process has not asked, or more than 1,024 others since; in doubt still, it
// is asked about again.
func (e *Engine) Answer(id uint64, resolution Resolution) error {
	result, metadata, err := resolution.outcome.result()
	if err != nil {
		return err
	}
	var why C.oncegate_error
	return e.failure(C.og_answer(e.handle, C.uint64_t(id), resolution.kind, result,
		bytesData(resolution.outcome.Body), bytesData(metadata), &why), &why)
}

// Reconcile looks for records in doubt every so often, asks about each, and notes the answer, until
// ctx is done or the engine is closed; it returns why. An error of ask leaves the record in doubt,
// and it is asked about again.
func (e *Engine) Reconcile(ctx context.Context, every time.Duration, ask Asker) error {
	if every <= 0 {
		return refusal(ErrBadValue, "every", "limit: above 0")
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		if err := e.reconcileOnce(ctx, ask); err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// reconcileOnce asks about all that is to be asked about now.
func (e *Engine) reconcileOnce(ctx context.Context, ask Asker) error {
	for {
		questions, err := e.Questions(lookLimit)
		if err != nil || len(questions) == 0 {
			return err
		}
		for _, question := range questions {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			resolution, err := ask(ctx, question)
			if err != nil {
				resolution = StillUnknown()
			}
			if err := e.Answer(question.ID, resolution); err != nil && !errors.Is(err, ErrNotFound) {
				return err
			}
		}
	}
}
