package oncegate

/*
#include "crossing.h"

#cgo noescape og_begin
#cgo nocallback og_begin
static inline oncegate_status og_begin(uint64_t engine, const og_shape *shape,
                                       const uint8_t *scope, const uint8_t *operation,
                                       const uint8_t *key, const uint8_t *payload,
                                       const uint8_t *extra,
                                       const oncegate_begin_options *options, uint8_t *data,
                                       size_t capacity, size_t *needed,
                                       oncegate_admission *admission, oncegate_error *error) {
    oncegate_bytes pointers[OG_MAX_POINTERS];
    og_parts parts = og_parts_of(scope, operation, key, payload, extra);
    oncegate_request request = og_request(shape, parts, pointers);
    oncegate_buffer buffer;
    buffer.data = data;
    buffer.capacity = capacity;
    buffer.needed = 0;
    oncegate_status told = oncegate_begin(og_engine(engine), &request, options, &buffer, admission,
                                          og_error(error));
    *needed = buffer.needed;
    return told;
}

#cgo noescape og_begin_hashed
#cgo nocallback og_begin_hashed
static inline oncegate_status og_begin_hashed(uint64_t engine, uint32_t scope_kind,
                                              const uint8_t *scope, size_t scope_len,
                                              const uint8_t *fingerprint, uint64_t digest,
                                              const oncegate_begin_options *options, uint8_t *data,
                                              size_t capacity, size_t *needed,
                                              oncegate_admission *admission,
                                              oncegate_error *error) {
    oncegate_hashed hashed;
    hashed.scope_kind = scope_kind;
    hashed.reserved = 0;
    hashed.scope = og_bytes(scope, scope_len);
    memcpy(hashed.fingerprint, fingerprint, sizeof hashed.fingerprint);
    hashed.payload_digest = digest;
    oncegate_buffer buffer;
    buffer.data = data;
    buffer.capacity = capacity;
    buffer.needed = 0;
    oncegate_status told = oncegate_begin_hashed(og_engine(engine), &hashed, options, &buffer,
                                                 admission, og_error(error));
    *needed = buffer.needed;
    return told;
}

#cgo noescape og_fingerprint
#cgo nocallback og_fingerprint
static inline oncegate_status og_fingerprint(uint64_t engine, const og_shape *shape,
                                             const uint8_t *scope, const uint8_t *operation,
                                             const uint8_t *key, const uint8_t *payload,
                                             const uint8_t *extra, uint8_t *fingerprint,
                                             oncegate_error *error) {
    oncegate_bytes pointers[OG_MAX_POINTERS];
    og_parts parts = og_parts_of(scope, operation, key, payload, extra);
    oncegate_request request = og_request(shape, parts, pointers);
    return oncegate_fingerprint(og_engine(engine), &request, fingerprint, og_error(error));
}
*/
import "C"

import (
	"context"
	"slices"
	"time"
)

// BeginOption says how one request is begun; without any, as the engine's options say.
type BeginOption func(*beginOptions)

type beginOptions struct {
	lease   time.Duration
	window  time.Duration
	onLapse OnLapse
	runDue  bool
	wait    waiting
}

// waiting is how a duplicate meets a running attempt.
type waiting struct {
	asked bool
	// limit is how long at most; zero: as long as its context lasts.
	limit time.Duration
}

// LeaseFor sets how long the attempt may run before its lease lapses, 1 ms to a year.
func LeaseFor(d time.Duration) BeginOption {
	return func(o *beginOptions) { o.lease = d }
}

// DedupFor sets how long the finished record answers duplicates, 1 ms to ten years.
func DedupFor(d time.Duration) BeginOption {
	return func(o *beginOptions) { o.window = d }
}

// LapseTo sets what happens when the lease lapses.
func LapseTo(lapse OnLapse) BeginOption {
	return func(o *beginOptions) { o.onLapse = lapse }
}

// RunDue lets an attempt that was put off run here, if its time has come.
func RunDue() BeginOption {
	return func(o *beginOptions) { o.runDue = true }
}

// WaitFor lets a duplicate wait for the running attempt, for at most limit and as long as the
// context lasts. When the limit is over, the answer is what it would have been without waiting.
// A goroutine that waits holds no thread.
func WaitFor(limit time.Duration) BeginOption {
	return func(o *beginOptions) { o.wait = waiting{asked: limit != 0, limit: limit} }
}

// Wait lets a duplicate wait for the running attempt as long as the context lasts.
func Wait() BeginOption {
	return func(o *beginOptions) { o.wait = waiting{asked: true} }
}

// DoNotWait lets a duplicate have its answer at once, whatever the engine's options say.
func DoNotWait() BeginOption {
	return func(o *beginOptions) { o.wait = waiting{} }
}

// Begin asks to run a request.
//
// Whoever gets [Admitted] ends the lease. It blocks only where an option lets it wait for a
// running attempt, or a tier has to be asked, and then until ctx is done: then it returns the
// cause. Whoever waits holds no thread. A context that is done before begins nothing.
func (e *Engine) Begin(
	ctx context.Context, request Request, options ...BeginOption,
) (Admission, error) {
	if ctx.Err() != nil {
		return Admission{}, context.Cause(ctx)
	}
	how, err := e.how(options)
	if err != nil {
		return Admission{}, err
	}
	if e.asks {
		return e.join(ctx, &request, &how)
	}
	admission, err := e.begin(&request, how.raw())
	if err == nil && how.wait.asked && admission.pending() {
		return e.join(ctx, &request, &how)
	}
	return admission, err
}

// pending says that the answer may change while somebody waits for it.
func (a *Admission) pending() bool {
	return a.Verdict == InProgress || a.Verdict == Scheduled
}

// how is what the options of a call add to those of the engine.
func (e *Engine) how(options []BeginOption) (beginHow, error) {
	how := beginHow{wait: e.wait}
	if len(options) == 0 {
		return how, nil
	}
	return e.howWith(options)
}

// howWith is apart, so that a call without options keeps everything on its stack.
func (e *Engine) howWith(options []BeginOption) (beginHow, error) {
	asked := beginOptions{wait: e.wait}
	for _, option := range options {
		option(&asked)
	}
	var n numbers
	how := beginHow{wait: asked.wait, given: true}
	how.options = C.oncegate_begin_options{
		struct_size:     C.sizeof_oncegate_begin_options,
		lease_ms:        n.ms("lease_duration", asked.lease),
		dedup_window_ms: n.ms("dedup_window", asked.window),
		on_lapse:        C.uint32_t(asked.onLapse),
		run_due:         flag(asked.runDue),
	}
	n.ms("wait", asked.wait.limit)
	return how, n.err
}

// beginHow is how one request is begun, for C.
type beginHow struct {
	wait    waiting
	given   bool
	options C.oncegate_begin_options
}

func (h *beginHow) raw() *C.oncegate_begin_options {
	if !h.given {
		return nil
	}
	return &h.options
}

// stackBuffer is for outcomes that are small: they are copied out, and nothing is allocated twice.
const stackBuffer = 512

// told is what C answers.
type told struct {
	admission C.oncegate_admission
	needed    C.size_t
	why       C.oncegate_error
}

func (e *Engine) begin(
	request *Request, options *C.oncegate_begin_options,
) (admission Admission, err error) {
	var shape C.og_shape
	if err := request.shape(&shape); err != nil {
		return admission, err
	}
	var extra []byte
	if !request.Payload.plain() {
		extra = request.Payload.extra(nil)
	}
	var told told
	var small [stackBuffer]byte
	status := e.ask(request, &shape, extra, options, small[:], &told)
	if Status(status) == bufferTooSmall {
		return e.beginLarge(request, &shape, extra, options, &told)
	}
	if status != C.ONCEGATE_OK {
		return admission, e.failure(status, &told.why)
	}
	admission.put(e, &told.admission, copied(&told, &small))
	return admission, nil
}

// copied is the outcome that lies on the stack, if there is one, in memory of its own.
func copied(told *told, small *[stackBuffer]byte) []byte {
	if told.admission.verdict != C.ONCEGATE_REPLAYED {
		return nil
	}
	return slices.Clone(small[:told.needed])
}

func (e *Engine) ask(request *Request, shape *C.og_shape, extra []byte,
	options *C.oncegate_begin_options, buffer []byte, told *told) C.int32_t {
	return C.og_begin(e.handle, shape, textData(request.Scope.name), textData(request.Operation),
		textData(request.Key), bytesData(request.Payload.data), bytesData(extra), options,
		bytesData(buffer), C.size_t(len(buffer)), &told.needed, &told.admission, &told.why)
}

// beginLarge asks again with room for the outcome, which may have become another one meanwhile.
func (e *Engine) beginLarge(request *Request, shape *C.og_shape, extra []byte,
	options *C.oncegate_begin_options, told *told) (admission Admission, err error) {
	for {
		buffer := make([]byte, told.needed)
		status := e.ask(request, shape, extra, options, buffer, told)
		if status == C.ONCEGATE_OK {
			admission.put(e, &told.admission, buffer)
			return admission, nil
		}
		if Status(status) != bufferTooSmall {
			return admission, e.failure(status, &told.why)
		}
	}
}

// Hashed names a request by digests that the caller has made: of a message id that is a hash, of
// another table. The caller vouches for them.
type Hashed struct {
	// Scope is what quotas count.
	Scope Scope
	// Fingerprint tells apart what differs in scope, operation or key; its bytes are spread
	// evenly. Where clients can choose what is hashed, it has to be a keyed hash.
	Fingerprint [32]byte
	// PayloadDigest is compared on every duplicate, in its 56 upper bits.
	PayloadDigest uint64
}

// BeginHashed asks to run a request whose digests the caller has made. Such a record is never met
// by a request that the engine has hashed. It never waits for a running attempt; where a tier is
// asked, it holds a thread for that.
func (e *Engine) BeginHashed(
	hashed Hashed, options ...BeginOption,
) (admission Admission, err error) {
	how, err := e.how(options)
	if err != nil {
		return admission, err
	}
	var told told
	var small [stackBuffer]byte
	status := e.askHashed(&hashed, how.raw(), small[:], &told)
	for Status(status) == bufferTooSmall {
		large := make([]byte, told.needed)
		status = e.askHashed(&hashed, how.raw(), large, &told)
		if status == C.ONCEGATE_OK {
			admission.put(e, &told.admission, large)
			return admission, nil
		}
	}
	if status != C.ONCEGATE_OK {
		return admission, e.failure(status, &told.why)
	}
	admission.put(e, &told.admission, copied(&told, &small))
	return admission, nil
}

func (e *Engine) askHashed(hashed *Hashed, options *C.oncegate_begin_options, buffer []byte,
	told *told) C.int32_t {
	return C.og_begin_hashed(e.handle, hashed.Scope.kind, textData(hashed.Scope.name),
		C.size_t(len(hashed.Scope.name)), bytesData(hashed.Fingerprint[:]),
		C.uint64_t(hashed.PayloadDigest), options, bytesData(buffer), C.size_t(len(buffer)),
		&told.needed, &told.admission, &told.why)
}

// Fingerprint is the identity of a request under the engine's secret: the same for the same scope,
// operation and key. For logs and tests.
func (e *Engine) Fingerprint(request Request) ([32]byte, error) {
	var fingerprint [32]byte
	var shape C.og_shape
	if err := request.shape(&shape); err != nil {
		return fingerprint, err
	}
	extra := request.Payload.extra(nil)
	var why C.oncegate_error
	status := C.og_fingerprint(e.handle, &shape, textData(request.Scope.name),
		textData(request.Operation), textData(request.Key), bytesData(request.Payload.data),
		bytesData(extra), bytesData(fingerprint[:]), &why)
	return fingerprint, e.failure(status, &why)
}
