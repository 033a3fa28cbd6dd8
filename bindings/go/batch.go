package oncegate

/*
#include "crossing.h"

enum { OG_AT_ONCE = 64 };

// Begins requests that lie behind each other in one piece of memory. What the library answers for
// OG_AT_ONCE of them is put together as if it had been asked for all.
#cgo noescape og_begin_batch
#cgo nocallback og_begin_batch
static inline oncegate_status og_begin_batch(uint64_t engine, const og_shape *shapes, size_t count,
                                             const uint8_t *bytes,
                                             const oncegate_begin_options *options, uint8_t *data,
                                             size_t capacity, size_t *written, size_t *needed,
                                             oncegate_admission *admissions,
                                             oncegate_error *error) {
    oncegate_request requests[OG_AT_ONCE];
    oncegate_status told = ONCEGATE_OK;
    *written = 0;
    *needed = 0;
    og_error(error);
    for (size_t from = 0; from < count && told == ONCEGATE_OK; from += OG_AT_ONCE) {
        size_t part = count - from < OG_AT_ONCE ? count - from : OG_AT_ONCE;
        oncegate_bytes *pointers = NULL;
        for (size_t i = 0; i < part; i++) {
            const og_shape *shape = &shapes[from + i];
            og_parts parts = og_parts_of(bytes + shape->scope_at, bytes + shape->operation_at,
                                         bytes + shape->key_at, bytes + shape->payload_at,
                                         bytes + shape->extra_at);
            oncegate_bytes *own = NULL;
            if (shape->excluded_count + shape->included_count != 0) {
                if (pointers == NULL) {
                    pointers = (oncegate_bytes *)malloc(sizeof *pointers * OG_MAX_POINTERS * part);
                    if (pointers == NULL) {
                        abort();
                    }
                }
                own = pointers + OG_MAX_POINTERS * i;
            }
            requests[i] = og_request(shape, parts, own);
        }
        oncegate_buffer buffer;
        buffer.data = data + *written;
        buffer.capacity = capacity - *written;
        buffer.needed = 0;
        told = oncegate_begin_batch(og_engine(engine), requests, part, options, &buffer,
                                    admissions + from, error);
        free(pointers);
        *written = og_together(admissions + from, part, *written);
        *needed += buffer.needed;
    }
    return told;
}

#cgo noescape og_begin_hashed_batch
#cgo nocallback og_begin_hashed_batch
static inline oncegate_status og_begin_hashed_batch(uint64_t engine, const og_hash *hashes,
                                                    size_t count, const uint8_t *bytes,
                                                    const oncegate_begin_options *options,
                                                    uint8_t *data, size_t capacity,
                                                    size_t *written, size_t *needed,
                                                    oncegate_admission *admissions,
                                                    oncegate_error *error) {
    oncegate_hashed hashed[OG_AT_ONCE];
    oncegate_status told = ONCEGATE_OK;
    *written = 0;
    *needed = 0;
    og_error(error);
    for (size_t from = 0; from < count && told == ONCEGATE_OK; from += OG_AT_ONCE) {
        size_t part = count - from < OG_AT_ONCE ? count - from : OG_AT_ONCE;
        for (size_t i = 0; i < part; i++) {
            const og_hash *hash = &hashes[from + i];
            hashed[i].scope_kind = hash->scope_kind;
            hashed[i].reserved = 0;
            hashed[i].scope = og_bytes(bytes + hash->scope_at, hash->scope_len);
            memcpy(hashed[i].fingerprint, hash->fingerprint, sizeof hash->fingerprint);
            hashed[i].payload_digest = hash->payload_digest;
        }
        oncegate_buffer buffer;
        buffer.data = data + *written;
        buffer.capacity = capacity - *written;
        buffer.needed = 0;
        told = oncegate_begin_hashed_batch(og_engine(engine), hashed, part, options, &buffer,
                                           admissions + from, error);
        *written = og_together(admissions + from, part, *written);
        *needed += buffer.needed;
    }
    return told;
}
*/
import "C"

import (
	"slices"
	"unsafe"
)

// Batch holds requests that are begun together, and then their answers. It costs less than single
// calls: the crossing into the library once, and in a large table most of the time of the look-ups.
// Its zero value works. Its memory is used again after Reset; it is for one goroutine at a time.
//
//	var batch oncegate.Batch
//	for _, message := range messages {
//		batch.Add(oncegate.Request{ … })
//	}
//	if err := engine.BeginBatch(&batch); err != nil { … }
//	for i := range messages {
//		admission, err := batch.Answer(i)
//		…
//	}
type Batch struct {
	// What is asked for: flat, since no memory that C is given may point into Go's.
	shapes []C.og_shape
	hashes []C.og_hash
	bytes  []byte
	// Where the last scope and operation lie in bytes: the next request often has the same.
	scope, operation place

	// What is answered.
	engine  *Engine
	told    []C.oncegate_admission
	buffer  []byte
	refused map[int]error
}

// place is where a string that was added lies.
type place struct {
	text string
	at   C.size_t
}

// MaxBatch is how many requests a batch may hold.
const MaxBatch = 65_536

// Reset empties the batch.
func (b *Batch) Reset() {
	b.shapes = b.shapes[:0]
	b.hashes = b.hashes[:0]
	b.bytes = b.bytes[:0]
	b.scope, b.operation = place{}, place{}
	b.engine, b.told = nil, b.told[:0]
	clear(b.refused)
}

// Len is how many requests were added.
func (b *Batch) Len() int {
	return len(b.shapes) + len(b.hashes)
}

// Add copies a request into the batch.
func (b *Batch) Add(request Request) {
	index := len(b.shapes)
	b.shapes = append(b.shapes, C.og_shape{})
	shape := &b.shapes[index]
	if err := request.shape(shape); err != nil {
		b.refuse(index, err)
		*shape = C.og_shape{}
		return
	}
	shape.scope_at = b.put(&b.scope, request.Scope.name)
	shape.operation_at = b.put(&b.operation, request.Operation)
	shape.key_at = C.size_t(len(b.bytes))
	b.bytes = append(b.bytes, request.Key...)
	shape.payload_at = C.size_t(len(b.bytes))
	b.bytes = append(b.bytes, request.Payload.data...)
	if !request.Payload.plain() {
		shape.extra_at = C.size_t(len(b.bytes))
		b.bytes = request.Payload.extra(b.bytes)
	}
}

// AddHashed copies a request whose digests the caller has made into the batch. A batch holds
// requests of one kind.
func (b *Batch) AddHashed(hashed *Hashed) {
	index := len(b.hashes)
	b.hashes = slices.Grow(b.hashes, 1)[:index+1]
	// Field by field: a whole one would be made elsewhere first, and copied.
	hash := &b.hashes[index]
	hash.payload_digest = C.uint64_t(hashed.PayloadDigest)
	hash.scope_kind = hashed.Scope.kind
	hash.scope_len = C.size_t(len(hashed.Scope.name))
	hash.scope_at = b.put(&b.scope, hashed.Scope.name)
	hash.fingerprint = *(*[32]C.uint8_t)(unsafe.Pointer(&hashed.Fingerprint))
}

// put tells where text lies, after adding it unless it is the one that was added last.
func (b *Batch) put(last *place, text string) C.size_t {
	if text != last.text {
		*last = place{text, C.size_t(len(b.bytes))}
		b.bytes = append(b.bytes, text...)
	}
	return last.at
}

func (b *Batch) refuse(index int, err error) {
	if b.refused == nil {
		b.refused = make(map[int]error)
	}
	b.refused[index] = err
}

// BeginBatch asks to run the requests of a batch. Each is answered for itself: see [Batch.Answer].
// The call fails as a whole only where it is wrong itself, or the engine is closed. It never
// waits. Each batch is begun once, until Reset.
func (e *Engine) BeginBatch(batch *Batch, options ...BeginOption) error {
	how, err := e.how(options)
	if err != nil {
		return err
	}
	count := batch.Len()
	switch {
	case batch.engine != nil:
		return refusal(ErrBadValue, "batch", "found one that was begun; limit: once until Reset")
	case len(batch.hashes) != 0 && len(batch.shapes) != 0:
		return refusal(ErrBadValue, "batch", "found both kinds of requests; limit: one")
	case count > MaxBatch:
		return refusal(ErrBadSize, "batch", "limit: 65536 requests")
	case count == 0:
		return nil
	}
	batch.told = slices.Grow(batch.told[:0], count)[:count]
	// Room for outcomes as small as most are; one that finds none is asked for again.
	batch.buffer = slices.Grow(batch.buffer[:0], count*roomForOutcome)
	batch.buffer = batch.buffer[:cap(batch.buffer)]
	return batch.begin(e, how.raw())
}

// roomForOutcome is what an outcome of a batch is given at first.
const roomForOutcome = 256

func (b *Batch) begin(e *Engine, options *C.oncegate_begin_options) error {
	var written, needed C.size_t
	var why C.oncegate_error
	var status C.int32_t
	buffer, capacity := bytesData(b.buffer), C.size_t(len(b.buffer))
	if len(b.hashes) != 0 {
		status = C.og_begin_hashed_batch(e.handle, &b.hashes[0], C.size_t(len(b.hashes)),
			bytesData(b.bytes), options, buffer, capacity, &written, &needed, &b.told[0], &why)
	} else {
		status = C.og_begin_batch(e.handle, &b.shapes[0], C.size_t(len(b.shapes)),
			bytesData(b.bytes), options, buffer, capacity, &written, &needed, &b.told[0], &why)
	}
	if status != C.ONCEGATE_OK {
		return failure(status, &why)
	}
	b.engine = e
	if needed > written {
		b.findRoom(options, int(written), int(needed))
	}
	return nil
}

// findRoom asks again for outcomes that found none.
func (b *Batch) findRoom(options *C.oncegate_begin_options, written, needed int) {
	b.buffer = slices.Grow(b.buffer[:written], needed-written)
	b.buffer = b.buffer[:cap(b.buffer)]
	for i := range b.told {
		for Status(b.told[i].status) == bufferTooSmall {
			rest := b.buffer[written:]
			var wrote, wants C.size_t
			status := b.beginOne(i, options, rest, &wrote, &wants)
			if status != C.ONCEGATE_OK {
				b.told[i].status = status
				break
			}
			if Status(b.told[i].status) == bufferTooSmall {
				// Others took what was meant for it, or it is another outcome by now.
				b.buffer = slices.Grow(b.buffer[:written], int(wants))
				b.buffer = b.buffer[:cap(b.buffer)]
				continue
			}
			b.told[i].outcome.metadata_offset += C.size_t(written)
			b.told[i].outcome.body_offset += C.size_t(written)
			written += int(wrote)
		}
	}
}

func (b *Batch) beginOne(i int, options *C.oncegate_begin_options, buffer []byte,
	wrote, wants *C.size_t) C.int32_t {
	var why C.oncegate_error
	if len(b.hashes) != 0 {
		return C.og_begin_hashed_batch(b.engine.handle, &b.hashes[i], 1, bytesData(b.bytes), options,
			bytesData(buffer), C.size_t(len(buffer)), wrote, wants, &b.told[i], &why)
	}
	return C.og_begin_batch(b.engine.handle, &b.shapes[i], 1, bytesData(b.bytes), options,
		bytesData(buffer), C.size_t(len(buffer)), wrote, wants, &b.told[i], &why)
}

// Verdict is the answer to request i, without what belongs to it; zero where it was refused.
func (b *Batch) Verdict(i int) Verdict {
	return Verdict(b.told[i].verdict)
}

// Body is that of the outcome of request i, where its verdict is Replayed: the batch's until Reset.
func (b *Batch) Body(i int) []byte {
	stored := &b.told[i].outcome
	return b.buffer[stored.body_offset:][:stored.body_len]
}

// Outcome is that of request i, where its verdict is Replayed. Its bytes are the batch's until
// Reset.
func (b *Batch) Outcome(i int) Outcome {
	stored := &b.told[i].outcome
	if b.told[i].verdict != C.ONCEGATE_REPLAYED {
		return Outcome{}
	}
	return Outcome{
		Status:   uint16(stored.status),
		Body:     b.buffer[stored.body_offset:][:stored.body_len:stored.body_len],
		Metadata: metadataOf(b.buffer, stored),
	}
}

// Answer is the answer to request i, or why it was not looked at. The bytes of an outcome are the
// batch's until Reset.
func (b *Batch) Answer(i int) (admission Admission, err error) {
	told := &b.told[i]
	if len(b.refused) != 0 && b.refused[i] != nil {
		return admission, b.refused[i]
	}
	if told.status != C.ONCEGATE_OK {
		return admission, elementFailure(told)
	}
	admission.put(b.engine, told, b.buffer)
	return admission, nil
}
