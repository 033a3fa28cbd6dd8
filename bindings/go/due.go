package oncegate

/*
#include "crossing.h"

static inline oncegate_due *og_due(uint64_t handle) {
    return (oncegate_due *)(uintptr_t)handle;
}

static inline oncegate_status og_due_open(uint64_t engine, uint64_t *handle, int32_t *fd,
                                          oncegate_error *error) {
    oncegate_due *due = NULL;
    oncegate_status told = oncegate_due_open(og_engine(engine), &due, og_error(error));
    if (told == ONCEGATE_OK) {
        *handle = (uint64_t)(uintptr_t)due;
        told = oncegate_due_descriptor(due, fd, error);
    }
    return told;
}

static inline oncegate_status og_due_close(uint64_t due) {
    return oncegate_due_close(og_due(due), NULL);
}

#cgo noescape og_due_advance
#cgo nocallback og_due_advance
static inline oncegate_status og_due_advance(uint64_t due, size_t limit, oncegate_driven *driven) {
    return oncegate_due_advance(og_due(due), limit, driven, NULL);
}

#cgo noescape og_advance
#cgo nocallback og_advance
static inline oncegate_status og_advance(uint64_t engine, size_t limit, oncegate_driven *driven,
                                         oncegate_error *error) {
    return oncegate_advance(og_engine(engine), limit, driven, og_error(error));
}
*/
import "C"

import (
	"container/list"
	"math"
	"sync"
	"time"
)

// dueSet is who waits for attempts, and the one goroutine that looks after what is due when the
// library's descriptor says so.
type dueSet struct {
	handle C.uint64_t
	poller *poller

	mutex sync.Mutex
	// seats are those of who waits, the longest first.
	seats list.List
	over  bool
}

// seat is somebody's who is about to look for an attempt, and may wait for one.
type seat struct {
	called chan struct{}
	// place is nil once it was called.
	place *list.Element
}

// dueSet is the engine's, opened when it is first needed.
func (e *Engine) dueSet() (*dueSet, error) {
	open, err := e.open()
	if err != nil {
		return nil, err
	}
	defer open.mutex.Unlock()
	if open.due != nil {
		return open.due, nil
	}
	set := &dueSet{}
	var fd C.int32_t
	var why C.oncegate_error
	status := C.og_due_open(e.handle, &set.handle, &fd, &why)
	if status != C.ONCEGATE_OK {
		C.og_due_close(set.handle)
		return nil, e.failure(status, &why)
	}
	poller, err := newPoller(int(fd))
	if err != nil {
		C.og_due_close(set.handle)
		return nil, err
	}
	set.poller = poller
	open.due = set
	go set.run()
	return set, nil
}

// sit queues somebody, before he looks.
func (s *dueSet) sit() (*seat, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.over {
		return nil, closed()
	}
	taken := &seat{called: make(chan struct{})}
	taken.place = s.seats.PushBack(taken)
	return taken, nil
}

// rise gives a seat up. False: its owner was called, and somebody else has to look instead.
func (s *dueSet) rise(taken *seat) bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if taken.place == nil {
		return false
	}
	s.seats.Remove(taken.place)
	taken.place = nil
	return true
}

// call has the one look who waits the longest. Whoever finds something calls the next.
func (s *dueSet) call() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.callOne()
}

func (s *dueSet) callOne() bool {
	first := s.seats.Front()
	if first == nil {
		return false
	}
	taken := s.seats.Remove(first).(*seat)
	taken.place = nil
	close(taken.called)
	return true
}

// run looks after what is due until the set is closed.
func (s *dueSet) run() {
	s.poller.run(s.look)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.over = true
	for s.callOne() {
	}
}

// look looks after all that is due. False: the set is closed.
func (s *dueSet) look() bool {
	for {
		var driven C.oncegate_driven
		if C.og_due_advance(s.handle, lookLimit, &driven) != C.ONCEGATE_OK {
			return false
		}
		if driven.ready != 0 {
			s.call()
		}
		if driven.more == 0 {
			return true
		}
	}
}

// lookLimit is how many records one call looks at: no call takes long.
const lookLimit = 1_024

// close ends it. The engine of the library lives on until then.
func (s *dueSet) close() {
	C.og_due_close(s.handle)
	s.poller.close()
}

// Driven is what one look at what is due did.
type Driven struct {
	// LookedAt is how many records were looked at, because something of theirs was due.
	LookedAt int
	// Ready is how many attempts are ready for workers now.
	Ready int
	// DueIn is how long until something is due again, if Later.
	DueIn time.Duration
	// Later: something is due at some time.
	Later bool
	// More: the limit ended it.
	More bool
}

// Advance looks at what is due, at most limit records: it makes attempts ready, sees to leases that
// have lapsed, and sweeps a part of the table now and then. It never waits. It is needed only where
// nobody waits in [Engine.NextAttempt] and the engine has no driver.
func (e *Engine) Advance(limit int) (Driven, error) {
	var n numbers
	count := n.count("limit", limit)
	if n.err != nil {
		return Driven{}, n.err
	}
	var driven C.oncegate_driven
	var why C.oncegate_error
	if status := C.og_advance(e.handle, C.size_t(count), &driven, &why); status != C.ONCEGATE_OK {
		return Driven{}, e.failure(status, &why)
	}
	told := Driven{
		LookedAt: int(driven.looked_at),
		Ready:    int(driven.ready),
		Later:    driven.due_in_ms != math.MaxUint64,
		More:     driven.more != 0,
	}
	if told.Later {
		told.DueIn = duration(uint64(driven.due_in_ms))
	}
	return told, nil
}
