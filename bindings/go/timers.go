package oncegate

/*
#include "crossing.h"

static inline oncegate_timers *og_timers(uint64_t handle) {
    return (oncegate_timers *)(uintptr_t)handle;
}

static inline oncegate_status og_timers_open(uint64_t capacity, uint64_t *handle, int32_t *fd,
                                             oncegate_error *error) {
    oncegate_timers *timers = NULL;
    oncegate_status told = oncegate_timers_open(capacity, &timers, og_error(error));
    if (told == ONCEGATE_OK) {
        *handle = (uint64_t)(uintptr_t)timers;
        told = oncegate_timers_descriptor(timers, fd, error);
    }
    return told;
}

static inline oncegate_status og_timers_close(uint64_t timers) {
    return oncegate_timers_close(og_timers(timers), NULL);
}

#cgo noescape og_timers_insert
#cgo nocallback og_timers_insert
static inline oncegate_status og_timers_insert(uint64_t timers, uint64_t after_ms,
                                               uint64_t user_data, uint64_t *id,
                                               oncegate_error *error) {
    return oncegate_timers_insert(og_timers(timers), after_ms, user_data, id, og_error(error));
}

#cgo noescape og_timers_cancel
#cgo nocallback og_timers_cancel
static inline oncegate_status og_timers_cancel(uint64_t timers, uint64_t id, uint32_t *cancelled) {
    return oncegate_timers_cancel(og_timers(timers), id, cancelled, NULL);
}

#cgo noescape og_timers_take
#cgo nocallback og_timers_take
static inline oncegate_status og_timers_take(uint64_t timers, uint64_t *fired, size_t capacity,
                                             size_t *count) {
    *count = 0;
    return oncegate_timers_take(og_timers(timers), 0, fired, capacity, count, NULL);
}
*/
import "C"

import (
	"sync"
	"time"
)

// timerSet is the timers that are pending, and the one goroutine that starts what is due when the
// library's descriptor says so.
type timerSet struct {
	handle C.uint64_t
	poller *poller

	mutex   sync.Mutex
	pending map[uint64]putOff
	last    uint64
	over    bool
}

// putOff is a call that is pending. It holds on to its engine, which would be closed otherwise.
type putOff struct {
	f      func()
	engine *Engine
}

// Timer is a call that was put off: see [Engine.AfterFunc].
type Timer struct {
	set    *timerSet
	number uint64
	id     C.uint64_t
}

// AfterFunc calls f in a goroutine of its own after d, rounded up to a millisecond, as
// time.AfterFunc does. Its timers lie in the engine's timing wheel, where starting and stopping one
// costs the same however many there are; with Options.MaxTimers pending it returns [ErrFull]. They
// run by the monotonic clock of the system, whatever Options.Clock says. Those that are pending when
// the engine is closed never fire.
func (e *Engine) AfterFunc(d time.Duration, f func()) (*Timer, error) {
	set, err := e.timerSet()
	if err != nil {
		return nil, err
	}
	number, err := set.enlist(putOff{f, e})
	if err != nil {
		return nil, err
	}
	timer := &Timer{set: set, number: number}
	var why C.oncegate_error
	status := C.og_timers_insert(set.handle, C.uint64_t(millisUp(max(d, 0))), C.uint64_t(number),
		&timer.id, &why)
	if status != C.ONCEGATE_OK {
		set.strike(number)
		return nil, e.failure(status, &why)
	}
	return timer, nil
}

// Stop keeps the timer from firing. It returns false where it has fired, was stopped, or its engine
// was closed. It does not wait for a call that has begun.
func (t *Timer) Stop() bool {
	if t.set.strike(t.number) == nil {
		return false
	}
	// It is nobody's any more; this only makes room in the wheel.
	var cancelled C.uint32_t
	C.og_timers_cancel(t.set.handle, t.id, &cancelled)
	return true
}

// timerSet is the engine's, opened when it is first needed.
func (e *Engine) timerSet() (*timerSet, error) {
	open, err := e.open()
	if err != nil {
		return nil, err
	}
	defer open.mutex.Unlock()
	if open.timers != nil {
		return open.timers, nil
	}
	set := &timerSet{pending: make(map[uint64]putOff)}
	var fd C.int32_t
	var why C.oncegate_error
	status := C.og_timers_open(e.maxTimers, &set.handle, &fd, &why)
	if status != C.ONCEGATE_OK {
		C.og_timers_close(set.handle)
		return nil, e.failure(status, &why)
	}
	poller, err := newPoller(int(fd))
	if err != nil {
		C.og_timers_close(set.handle)
		return nil, err
	}
	set.poller = poller
	open.timers = set
	go set.run()
	return set, nil
}

func (s *timerSet) enlist(call putOff) (uint64, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.over {
		return 0, closed()
	}
	s.last++
	s.pending[s.last] = call
	return s.last, nil
}

// strike takes a timer off the list; nil: it is not there any more.
func (s *timerSet) strike(number uint64) func() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	call := s.pending[number]
	delete(s.pending, number)
	return call.f
}

// run starts what is due until the set is closed.
func (s *timerSet) run() {
	fired := make([]C.uint64_t, 256)
	s.poller.run(func() bool { return s.fire(fired) })
}

// fire starts all that is due. False: the set is closed.
func (s *timerSet) fire(fired []C.uint64_t) bool {
	for {
		var count C.size_t
		status := C.og_timers_take(s.handle, &fired[0], C.size_t(len(fired)), &count)
		if status != C.ONCEGATE_OK {
			return false
		}
		if count == 0 {
			return true
		}
		for _, number := range fired[:count] {
			if f := s.strike(uint64(number)); f != nil {
				go f()
			}
		}
	}
}

// close stops all timers.
func (s *timerSet) close() {
	s.mutex.Lock()
	s.over = true
	clear(s.pending)
	s.mutex.Unlock()
	C.og_timers_close(s.handle)
	s.poller.close()
}
