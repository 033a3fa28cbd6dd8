package oncegate

/*
#include "crossing.h"

// The filter's texts come beside it. It is none where nothing is asked for.
static inline oncegate_letter_filter og_filter(const oncegate_letter_filter *given,
                                               const uint8_t *operation, size_t operation_len,
                                               const uint8_t *error_class, size_t class_len) {
    oncegate_letter_filter own = *given;
    own.struct_size = sizeof own;
    own.operation = og_bytes(operation, operation_len);
    own.error_class = og_bytes(error_class, class_len);
    return own;
}

#cgo noescape og_letters
#cgo nocallback og_letters
static inline oncegate_status og_letters(uint64_t engine, const oncegate_letter_filter *given,
                                         const uint8_t *operation, size_t operation_len,
                                         const uint8_t *error_class, size_t class_len,
                                         const oncegate_letter_id *after, uint8_t *data,
                                         size_t capacity, size_t *needed,
                                         oncegate_letter *letters, size_t most, size_t *count,
                                         oncegate_letter_id *next, uint32_t *more,
                                         oncegate_error *error) {
    oncegate_letter_filter filter =
        og_filter(given, operation, operation_len, error_class, class_len);
    oncegate_buffer buffer;
    buffer.data = data;
    buffer.capacity = capacity;
    buffer.needed = 0;
    oncegate_status told = oncegate_letters(og_engine(engine), &filter, after, &buffer, letters,
                                            most, count, next, more, og_error(error));
    *needed = buffer.needed;
    return told;
}

#cgo noescape og_letter_show
#cgo nocallback og_letter_show
static inline oncegate_status og_letter_show(uint64_t engine, const oncegate_letter_id *id,
                                             uint8_t *data, size_t capacity, size_t *needed,
                                             oncegate_letter *letter, oncegate_past_attempt *past,
                                             size_t *past_count, oncegate_error *error) {
    oncegate_buffer buffer;
    buffer.data = data;
    buffer.capacity = capacity;
    buffer.needed = 0;
    oncegate_status told =
        oncegate_letter_show(og_engine(engine), id, &buffer, letter, past, ONCEGATE_PAST_ATTEMPTS,
                             past_count, og_error(error));
    *needed = buffer.needed;
    return told;
}

#cgo noescape og_letter_end
#cgo nocallback og_letter_end
static inline oncegate_status og_letter_end(uint64_t engine, const oncegate_letter_id *id,
                                            int32_t redrive, oncegate_error *error) {
    return redrive ? oncegate_letter_redrive(og_engine(engine), id, og_error(error))
                   : oncegate_letter_discard(og_engine(engine), id, og_error(error));
}

#cgo noescape og_letters_end
#cgo nocallback og_letters_end
static inline oncegate_status og_letters_end(uint64_t engine, const oncegate_letter_filter *given,
                                             const uint8_t *operation, size_t operation_len,
                                             const uint8_t *error_class, size_t class_len,
                                             size_t limit, int32_t redrive, size_t *count,
                                             oncegate_error *error) {
    oncegate_letter_filter filter =
        og_filter(given, operation, operation_len, error_class, class_len);
    return redrive
               ? oncegate_letters_redrive(og_engine(engine), &filter, limit, count, og_error(error))
               : oncegate_letters_discard(og_engine(engine), &filter, limit, count,
                                          og_error(error));
}
*/
import "C"

import (
	"bytes"
	"iter"
	"strconv"
	"time"
)

// LetterID is the name of a dead letter, as long as it is one.
type LetterID struct {
	// Place is its place in the table, and Generation which of those it is who took that place one
	// after the other.
	Place, Generation uint32
}

// String writes it as the command line does: 17-3.
func (id LetterID) String() string {
	return strconv.FormatUint(uint64(id.Place), 10) + "-" +
		strconv.FormatUint(uint64(id.Generation), 10)
}

func (id LetterID) raw() C.oncegate_letter_id {
	return C.oncegate_letter_id{
		place: C.uint32_t(id.Place), generation: C.uint32_t(id.Generation),
	}
}

// Letter is a dead letter: a record that failed for good, and what is kept of it.
type Letter struct {
	ID LetterID
	// Reason is why it is not tried again.
	Reason BuriedReason
	// Attempts is how many there were, all told.
	Attempts uint32
	// Buried is when it failed for good, by the wall clock.
	Buried time.Time
	// Operation and Context are what [Lease.RetryLater] was given.
	Operation string
	Context   []byte
	// Class is that of the last attempt's error; none where the attempt lapsed or told no error.
	Class string
	// Steps are the names of those that were finished and not undone.
	Steps []string
}

// String tells what is no secret: not the context.
func (l Letter) String() string {
	return "Letter(" + l.ID.String() + ", " + strconv.Quote(l.Operation) + ", " +
		l.Reason.String() + " after " + strconv.FormatUint(uint64(l.Attempts), 10) + ")"
}

// GoString is String.
func (l Letter) GoString() string {
	return l.String()
}

// PastAttempt is what became of one attempt of a dead letter.
type PastAttempt struct {
	// FencingToken: what it wrote elsewhere carries it.
	FencingToken uint64
	// Began is when it was handed out to a worker; zero: it was the first one, or a caller's, or
	// another process noted its end.
	Began time.Time
	// Ended is when it ended.
	Ended time.Time
	// Attempt is its number, from 1 on.
	Attempt uint32
	// End is how it ended.
	End AttemptEnd
	// Process ran it, by its number in the table's registry.
	Process uint32
	// Class is that of its error; none: its holder told none.
	Class string
}

// AttemptEnd is how an attempt ended; later versions may know more.
type AttemptEnd uint32

// How an attempt ended.
const (
	// EndFailed: it failed, and said so.
	EndFailed AttemptEnd = C.ONCEGATE_END_FAILED
	// EndLapsed: its lease lapsed, or its process died.
	EndLapsed AttemptEnd = C.ONCEGATE_END_LAPSED
	// EndGivenBack: it was given back without an error.
	EndGivenBack AttemptEnd = C.ONCEGATE_END_GIVEN_BACK
)

func (e AttemptEnd) String() string {
	switch e {
	case EndFailed:
		return "Failed"
	case EndLapsed:
		return "Lapsed"
	case EndGivenBack:
		return "GivenBack"
	}
	return "End" + strconv.Itoa(int(e))
}

// LetterFilter says which dead letters are meant. Its zero value lets all through.
type LetterFilter struct {
	// Reason why they were buried; BuriedNone: any.
	Reason BuriedReason
	// Operation that would run them; empty: any.
	Operation string
	// Class of the last attempt's error; empty: any.
	Class string
	// Since and Until: buried at Since or later, and before Until; zero: any.
	Since, Until time.Time
}

func (f *LetterFilter) raw() C.oncegate_letter_filter {
	return C.oncegate_letter_filter{
		reason:        C.uint32_t(f.Reason),
		since_unix_ms: unixMillis(f.Since),
		until_unix_ms: unixMillis(f.Until),
	}
}

// unixMillis of the zero time, which is no limit, is zero.
func unixMillis(t time.Time) C.uint64_t {
	if t.IsZero() {
		return 0
	}
	return C.uint64_t(max(t.UnixMilli(), 1))
}

func timeOf(ms C.uint64_t) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(ms))
}

// Letters gives the dead letters that the filter lets through, in the order of their places in the
// table. What is buried, redriven or discarded meanwhile may be left out, and nothing comes twice.
// An error ends it.
func (e *Engine) Letters(filter LetterFilter) iter.Seq2[Letter, error] {
	return func(yield func(Letter, error) bool) {
		pages := letterPages{engine: e, filter: filter, buffer: make([]byte, letterBytes)}
		for {
			letters, more, err := pages.next()
			if err != nil {
				yield(Letter{}, err)
				return
			}
			for _, letter := range letters {
				if !yield(letter, nil) {
					return
				}
			}
			if !more {
				return
			}
		}
	}
}

// letterBytes is room for the texts of a page; a letter that finds none comes on the next one.
const letterBytes = 64 << 10

// letterPages reads dead letters page by page.
type letterPages struct {
	engine *Engine
	filter LetterFilter
	buffer []byte
	raw    [32]C.oncegate_letter
	after  *C.oncegate_letter_id
}

func (p *letterPages) next() ([]Letter, bool, error) {
	filter := p.filter.raw()
	for {
		var needed, count C.size_t
		var more C.uint32_t
		var next C.oncegate_letter_id
		var why C.oncegate_error
		status := C.og_letters(p.engine.handle, &filter, textData(p.filter.Operation),
			C.size_t(len(p.filter.Operation)), textData(p.filter.Class),
			C.size_t(len(p.filter.Class)), p.after, bytesData(p.buffer), C.size_t(len(p.buffer)),
			&needed, &p.raw[0], C.size_t(len(p.raw)), &count, &next, &more, &why)
		if Status(status) == bufferTooSmall {
			p.buffer = make([]byte, needed)
			continue
		}
		if status != C.ONCEGATE_OK {
			return nil, false, p.engine.failure(status, &why)
		}
		letters := make([]Letter, count)
		for i := range letters {
			letters[i] = letterOf(&p.raw[i], p.buffer)
		}
		p.after = &next
		return letters, more != 0, nil
	}
}

func letterOf(raw *C.oncegate_letter, buffer []byte) Letter {
	letter := Letter{
		ID:        LetterID{uint32(raw.id.place), uint32(raw.id.generation)},
		Reason:    BuriedReason(raw.reason),
		Attempts:  uint32(raw.attempts),
		Buried:    timeOf(raw.buried_unix_ms),
		Operation: string(buffer[raw.operation_offset:][:raw.operation_len]),
		Context:   bytes.Clone(buffer[raw.context_offset:][:raw.context_len]),
		Class:     string(buffer[raw.class_offset:][:raw.class_len]),
	}
	steps := buffer[raw.steps_offset:][:raw.steps_len]
	for _, pair := range unpackMetadata(steps, int(raw.step_count)) {
		letter.Steps = append(letter.Steps, pair.Name)
	}
	return letter
}

// ShowLetter shows a dead letter, and what its history tells of: the first attempts and the last,
// at most 8. It returns [ErrNotFound] where the letter was redriven or discarded, or never was.
func (e *Engine) ShowLetter(id LetterID) (Letter, []PastAttempt, error) {
	named := id.raw()
	buffer := make([]byte, letterBytes)
	for {
		var needed, count C.size_t
		var raw C.oncegate_letter
		var past [C.ONCEGATE_PAST_ATTEMPTS]C.oncegate_past_attempt
		var why C.oncegate_error
		status := C.og_letter_show(e.handle, &named, bytesData(buffer), C.size_t(len(buffer)),
			&needed, &raw, &past[0], &count, &why)
		if Status(status) == bufferTooSmall {
			buffer = make([]byte, needed)
			continue
		}
		if status != C.ONCEGATE_OK {
			return Letter{}, nil, e.failure(status, &why)
		}
		attempts := make([]PastAttempt, min(int(count), len(past)))
		for i := range attempts {
			one := &past[i]
			attempts[i] = PastAttempt{
				FencingToken: uint64(one.fencing_token),
				Began:        timeOf(one.began_unix_ms),
				Ended:        timeOf(one.ended_unix_ms),
				Attempt:      uint32(one.attempt),
				End:          AttemptEnd(one.end),
				Process:      uint32(one.process),
				Class:        string(buffer[one.class_offset:][:one.class_len]),
			}
		}
		return letterOf(&raw, buffer), attempts, nil
	}
}

// RedriveLetter lets a dead letter run again, at once: the next attempt under the same record, with
// the context and the steps that it has. The attempts before count no more against its policy. It
// returns [ErrNotFound] where it was redriven or discarded, or never was.
func (e *Engine) RedriveLetter(id LetterID) error {
	return e.endLetter(id, 1)
}

// DiscardLetter gives a dead letter up: the record has failed, and answers duplicates for the dedup
// window. It returns [ErrNotFound] where it was redriven or discarded, or never was.
func (e *Engine) DiscardLetter(id LetterID) error {
	return e.endLetter(id, 0)
}

func (e *Engine) endLetter(id LetterID, redrive C.int32_t) error {
	named := id.raw()
	var why C.oncegate_error
	return e.failure(C.og_letter_end(e.handle, &named, redrive, &why), &why)
}

// RedriveLetters lets all that the filter lets through run again, at most limit, and tells how many
// there were. With [ErrFull] those that were redriven before stay so.
func (e *Engine) RedriveLetters(filter LetterFilter, limit int) (int, error) {
	return e.endLetters(&filter, limit, 1)
}

// DiscardLetters gives all up that the filter lets through, at most limit, and tells how many there
// were.
func (e *Engine) DiscardLetters(filter LetterFilter, limit int) (int, error) {
	return e.endLetters(&filter, limit, 0)
}

func (e *Engine) endLetters(filter *LetterFilter, limit int, redrive C.int32_t) (int, error) {
	var n numbers
	most := n.count("limit", limit)
	if n.err != nil {
		return 0, n.err
	}
	raw := filter.raw()
	var count C.size_t
	var why C.oncegate_error
	status := C.og_letters_end(e.handle, &raw, textData(filter.Operation),
		C.size_t(len(filter.Operation)), textData(filter.Class), C.size_t(len(filter.Class)),
		C.size_t(most), redrive, &count, &why)
	return int(count), e.failure(status, &why)
}
