package oncegate

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Goal: timers fire in the order of their times, never early, in goroutines of their own.
// Method: a hundred with times that are mixed up, one of them in the past; each looks at the clock.
func TestTimersFireInOrderAndNeverEarly(t *testing.T) {
	engine := open(t, Options{})
	type fired struct {
		i     int
		early time.Duration
	}
	all := make(chan fired, 100)
	for i := range cap(all) {
		after := time.Duration(i*37%100-1) * time.Millisecond
		started := time.Now()
		_, err := engine.AfterFunc(after, func() {
			all <- fired{i, after - time.Since(started)}
		})
		must(t, err)
	}
	var seen [100]bool
	for range cap(all) {
		one := receive(t, all)
		if seen[one.i] || one.early > 0 {
			t.Errorf("timer %d fired twice, or %v early", one.i, one.early)
		}
		seen[one.i] = true
	}
}

// Goal: a timer that was stopped does not fire, and Stop tells whether it kept it from that.
// Method: stop one that is pending, twice; stop one that has fired; stop one of two that are due at
// the same time, and wait for the other, which is started after it.
func TestStoppedTimersDoNotFire(t *testing.T) {
	engine := open(t, Options{})
	fire := make(chan string, 3)
	start := func(name string, after time.Duration) *Timer {
		timer, err := engine.AfterFunc(after, func() { fire <- name })
		must(t, err)
		return timer
	}
	far := start("far", time.Hour)
	if !far.Stop() || far.Stop() {
		t.Error("one that is pending is stopped once")
	}
	first := start("first", 20*time.Millisecond)
	last := start("last", 20*time.Millisecond)
	if !first.Stop() {
		t.Fatal("it took 20 ms to stop a timer")
	}
	if name := receive(t, fire); name != "last" {
		t.Errorf("%s fired", name)
	}
	if last.Stop() {
		t.Error("one that has fired is not stopped")
	}
	if len(fire) != 0 {
		t.Errorf("%s fired", <-fire)
	}
}

// Goal: a timer that becomes the next one is not late for those that were.
// Method: each starts one earlier than all that are pending; they fire in the opposite order.
func TestEarlierTimersComeFirst(t *testing.T) {
	engine := open(t, Options{})
	far, err := engine.AfterFunc(time.Hour, func() { t.Error("an hour is over") })
	must(t, err)
	fire := make(chan time.Duration, 2)
	for _, after := range []time.Duration{time.Second, time.Millisecond} {
		_, err := engine.AfterFunc(after, func() { fire <- after })
		must(t, err)
	}
	order := []time.Duration{receive(t, fire), receive(t, fire)}
	if !slices.IsSorted(order) {
		t.Errorf("%v", order)
	}
	if !far.Stop() {
		t.Error("the far one has fired")
	}
}

// Goal: a timer fires even where nobody has its engine any more, or itself.
// Method: nothing refers to either when garbage is collected.
func TestTimersHoldOnToTheirEngine(t *testing.T) {
	fired := make(chan struct{})
	func() {
		engine, err := Open(Options{Capacity: 1_000})
		must(t, err)
		_, err = engine.AfterFunc(50*time.Millisecond, func() { close(fired) })
		must(t, err)
	}()
	collect()
	receive(t, fired)
}

// Goal: timers that are pending when the engine is closed never fire; starting one then is refused.
// Method: close with some that are due at once and some later, while others start and stop.
func TestCloseStopsTimers(t *testing.T) {
	engine := open(t, Options{})
	var over atomic.Bool
	var goroutines sync.WaitGroup
	for range 8 {
		goroutines.Go(func() {
			for {
				timer, err := engine.AfterFunc(time.Millisecond, func() {})
				if errors.Is(err, ErrClosed) {
					return
				}
				if err != nil {
					t.Errorf("AfterFunc: %v", err)
					return
				}
				timer.Stop()
			}
		})
	}
	late, err := engine.AfterFunc(time.Second, func() {
		if over.Load() {
			t.Error("one fired after Close")
		}
	})
	must(t, err)
	must(t, engine.Close())
	over.Store(true)
	goroutines.Wait()
	if late.Stop() {
		t.Error("one of a closed engine is not stopped: it will not fire")
	}
	if _, err := engine.AfterFunc(0, func() {}); !errors.Is(err, ErrClosed) {
		t.Errorf("%v, want closed", err)
	}
}

// Goal: many timers are cheap, and their numbers are used again.
// Method: 100,000 are started and stopped, twice.
func TestManyTimers(t *testing.T) {
	engine := open(t, Options{})
	for range 2 {
		timers := make([]*Timer, 100_000)
		for i := range timers {
			timer, err := engine.AfterFunc(time.Hour, func() { t.Error("an hour is over") })
			must(t, err)
			timers[i] = timer
		}
		for _, timer := range timers {
			if !timer.Stop() {
				t.Fatal("a timer of an hour has fired")
			}
		}
	}
}

// Goal: no more timers are pending than may be, and stopping one makes room.
// Method: an engine with three; a capacity that is none.
func TestTimersAreLimited(t *testing.T) {
	engine := open(t, Options{MaxTimers: 3})
	var last *Timer
	for range 3 {
		timer, err := engine.AfterFunc(time.Hour, func() {})
		must(t, err)
		last = timer
	}
	_, err := engine.AfterFunc(time.Hour, func() {})
	refused(t, err, ErrFull, "timers")
	if !last.Stop() {
		t.Error("it is not pending")
	}
	_, err = engine.AfterFunc(time.Hour, func() {})
	must(t, err)
	_, err = Open(Options{MaxTimers: -1})
	refused(t, err, ErrBadValue, "max_timers")
	_, err = open(t, Options{MaxTimers: 1 << 30}).AfterFunc(0, func() {})
	refused(t, err, ErrBadValue, "capacity")
}
