package oncegate

/*
#include "crossing.h"

static inline oncegate_waits *og_waits(uint64_t handle) {
    return (oncegate_waits *)(uintptr_t)handle;
}

static inline oncegate_status og_waits_open(uint64_t engine, uint64_t *handle, int32_t *fd,
                                            oncegate_error *error) {
    oncegate_waits *waits = NULL;
    oncegate_status told = oncegate_waits_open(og_engine(engine), &waits, og_error(error));
    if (told == ONCEGATE_OK) {
        *handle = (uint64_t)(uintptr_t)waits;
        told = oncegate_waits_descriptor(waits, fd, error);
    }
    return told;
}

static inline oncegate_status og_waits_close(uint64_t waits) {
    return oncegate_waits_close(og_waits(waits), NULL);
}

#cgo noescape og_waits_submit
#cgo nocallback og_waits_submit
static inline oncegate_status og_waits_submit(uint64_t waits, const og_shape *shape,
                                              const uint8_t *scope, const uint8_t *operation,
                                              const uint8_t *key, const uint8_t *payload,
                                              const uint8_t *extra,
                                              const oncegate_begin_options *options,
                                              uint64_t user_data, uint64_t *id,
                                              oncegate_error *error) {
    oncegate_bytes pointers[OG_MAX_POINTERS];
    og_parts parts = og_parts_of(scope, operation, key, payload, extra);
    oncegate_request request = og_request(shape, parts, pointers);
    return oncegate_waits_submit(og_waits(waits), &request, options, user_data, id,
                                 og_error(error));
}

static inline oncegate_status og_waits_cancel(uint64_t waits, uint64_t id) {
    return oncegate_waits_cancel(og_waits(waits), id, NULL);
}

#cgo noescape og_waits_take
#cgo nocallback og_waits_take
static inline oncegate_status og_waits_take(uint64_t waits, oncegate_completion *completions,
                                            size_t capacity, uint8_t *data, size_t len,
                                            size_t *needed, size_t *count) {
    oncegate_buffer buffer;
    buffer.data = data;
    buffer.capacity = len;
    buffer.needed = 0;
    *count = 0;
    oncegate_status told = oncegate_waits_take(og_waits(waits), 0, completions, capacity, &buffer,
                                               count, NULL);
    *needed = buffer.needed;
    return told;
}
*/
import "C"

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"weak"
)

// waitSet is who waits for running attempts, and the one goroutine that takes their answers when
// the library's descriptor says that there are some.
type waitSet struct {
	// engine is not held on to: whoever waits does.
	engine weak.Pointer[Engine]
	handle C.uint64_t
	poller *poller
	taker  *taker

	mutex   sync.Mutex
	waiters map[uint64]chan<- answered
	last    uint64
	over    bool
}

// answered is what came of a wait.
type answered struct {
	admission Admission
	err       error
}

// join asks to run a request, and waits for its answer.
func (e *Engine) join(ctx context.Context, request *Request, how *beginHow) (Admission, error) {
	defer runtime.KeepAlive(e)
	set, err := e.waitSet()
	if err != nil {
		return Admission{}, err
	}
	options := how.options
	options.struct_size = C.sizeof_oncegate_begin_options
	options.wait_ms = zeroItself
	if how.wait.asked {
		options.wait_ms = C.uint64_t(millisUp(how.wait.limit))
	}
	answers := make(chan answered, 1)
	number, id, err := set.submit(request, &options, answers)
	if err != nil {
		return Admission{}, err
	}
	if e.asks {
		// What this host knows is answered already: it need not come by the poller.
		set.taker.tryTake()
	}
	select {
	case answer := <-answers:
		return answer.admission, answer.err
	case <-ctx.Done():
		set.leave(number, id, answers)
		return Admission{}, context.Cause(ctx)
	}
}

// waitSet is the engine's, opened when it is first needed.
func (e *Engine) waitSet() (*waitSet, error) {
	open, err := e.open()
	if err != nil {
		return nil, err
	}
	defer open.mutex.Unlock()
	if open.waits != nil {
		return open.waits, nil
	}
	set := &waitSet{engine: weak.Make(e), waiters: make(map[uint64]chan<- answered)}
	set.taker = newTaker(set)
	var fd C.int32_t
	var why C.oncegate_error
	status := C.og_waits_open(e.handle, &set.handle, &fd, &why)
	if status != C.ONCEGATE_OK {
		C.og_waits_close(set.handle)
		return nil, e.failure(status, &why)
	}
	poller, err := newPoller(int(fd))
	if err != nil {
		C.og_waits_close(set.handle)
		return nil, err
	}
	set.poller = poller
	open.waits = set
	go set.run()
	return set, nil
}

func (s *waitSet) submit(request *Request, options *C.oncegate_begin_options,
	answers chan<- answered) (number, id uint64, err error) {
	var shape C.og_shape
	if err := request.shape(&shape); err != nil {
		return 0, 0, err
	}
	extra := request.Payload.extra(nil)
	// The answer may be there before the call returns.
	if number, err = s.enlist(answers); err != nil {
		return 0, 0, err
	}
	var raw C.uint64_t
	var why C.oncegate_error
	status := C.og_waits_submit(s.handle, &shape, textData(request.Scope.name),
		textData(request.Operation), textData(request.Key), bytesData(request.Payload.data),
		bytesData(extra), options, C.uint64_t(number), &raw, &why)
	if status != C.ONCEGATE_OK {
		s.strike(number)
		return 0, 0, failure(status, &why)
	}
	return number, uint64(raw), nil
}

func (s *waitSet) enlist(answers chan<- answered) (uint64, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.over {
		return 0, closed()
	}
	s.last++
	s.waiters[s.last] = answers
	return s.last, nil
}

// strike takes a waiter off the list; nil: he got his answer.
func (s *waitSet) strike(number uint64) chan<- answered {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	answers := s.waiters[number]
	delete(s.waiters, number)
	return answers
}

// leave gives up a wait. An attempt that was admitted meanwhile is given back.
func (s *waitSet) leave(number, id uint64, answers <-chan answered) {
	if C.og_waits_cancel(s.handle, C.uint64_t(id)) == C.ONCEGATE_OK {
		s.strike(number)
		return
	}
	// It was taken: it is here, or on its way.
	if answer := <-answers; answer.admission.Lease != nil {
		// One that was lost needs nothing.
		answer.admission.Lease.abandonSoon()
	}
}

// run takes answers until the set is closed.
func (s *waitSet) run() {
	s.poller.run(s.taker.take)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.over = true
	for _, answers := range s.waiters {
		answers <- answered{err: closed()}
	}
	clear(s.waiters)
}

// close cancels all waits.
func (s *waitSet) close() {
	C.og_waits_close(s.handle)
	s.poller.close()
}

// taker is the memory of whoever takes answers.
type taker struct {
	set *waitSet
	// mutex is held while answers are taken and told.
	mutex       sync.Mutex
	completions []C.oncegate_completion
	buffer      []byte
}

func newTaker(set *waitSet) *taker {
	return &taker{
		set:         set,
		completions: make([]C.oncegate_completion, 64),
		buffer:      make([]byte, 4096),
	}
}

// tryTake takes all answers that there are, unless somebody is doing so.
func (t *taker) tryTake() {
	if t.mutex.TryLock() {
		t.takeLocked()
		t.mutex.Unlock()
	}
}

// take takes all answers that there are. False: the set is closed.
func (t *taker) take() bool {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return t.takeLocked()
}

func (t *taker) takeLocked() bool {
	for {
		var needed, count C.size_t
		status := C.og_waits_take(t.set.handle, &t.completions[0], C.size_t(len(t.completions)),
			bytesData(t.buffer), C.size_t(len(t.buffer)), &needed, &count)
		switch {
		case Status(status) == bufferTooSmall:
			t.buffer = make([]byte, needed)
		case status != C.ONCEGATE_OK:
			return false
		case count == 0:
			return true
		}
		for i := range t.completions[:count] {
			t.tell(&t.completions[i])
		}
	}
}

// tell gives one answer to whom it is for.
func (t *taker) tell(completion *C.oncegate_completion) {
	var answer answered
	told := &completion.admission
	if told.status != C.ONCEGATE_OK {
		answer.err = elementFailure(told)
	} else {
		// Nil: it is being closed, and nobody waits.
		answer.admission.put(t.set.engine.Value(), told, t.ownOutcome(told))
	}
	if answers := t.set.strike(uint64(completion.user_data)); answers != nil {
		answers <- answer
	}
}

// ownOutcome copies the outcome of an answer into memory of its own.
func (t *taker) ownOutcome(told *C.oncegate_admission) []byte {
	if told.verdict != C.ONCEGATE_REPLAYED {
		return nil
	}
	stored := &told.outcome
	from, to := stored.metadata_offset, stored.body_offset+stored.body_len
	stored.metadata_offset -= from
	stored.body_offset -= from
	return slices.Clone(t.buffer[from:to])
}
