package oncegate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// everySecond has an attempt tried again after a second, as often as it takes.
func everySecond() Options {
	options := manual()
	options.MaxRetrying = 1_000
	options.RetryPolicy = &RetryPolicy{Backoff: BackoffConstant, MaxAttempts: 1_000}
	return options
}

// putOffOne begins a request, and leaves its next attempt to the engine.
func putOffOne(t testing.TB, engine *Engine, key string) {
	t.Helper()
	lease := begin(t, engine, charge(key), Admitted).Lease
	later, err := lease.RetryLater(&AttemptError{Class: "503"}, "charge", []byte("context of "+key))
	must(t, err)
	if later != (Later{NextAttempt: 2, DueIn: time.Second}) {
		t.Fatalf("%+v", later)
	}
}

// sleepers blocks until n goroutines wait for attempts.
func sleepers(t testing.TB, engine *Engine, n int) {
	t.Helper()
	deadline := time.Now().Add(soon)
	for {
		var found int
		if open, err := engine.open(); err == nil {
			if due := open.due; due != nil {
				due.mutex.Lock()
				found = due.seats.Len()
				due.mutex.Unlock()
			}
			open.mutex.Unlock()
		}
		if found == n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines wait, want %d", found, n)
		}
		runtime.Gosched()
	}
}

// Goal: an attempt that was put off is handed out when it is due, with operation and context, as an
// attempt like any other.
// Method: none before its time, to the millisecond; then one, once; its outcome is replayed.
func TestAttemptsAreHandedOutWhenDue(t *testing.T) {
	engine := open(t, everySecond())
	putOffOne(t, engine, "a")
	must(t, engine.AdvanceClock(999*time.Millisecond))
	if attempts, err := engine.TakeAttempts(10); err != nil || len(attempts) != 0 {
		t.Fatalf("%v, %v", attempts, err)
	}
	must(t, engine.AdvanceClock(time.Millisecond))
	attempts, err := engine.TakeAttempts(10)
	must(t, err)
	if len(attempts) != 1 {
		t.Fatalf("%v", attempts)
	}
	attempt := attempts[0]
	if attempt.Operation != "charge" || string(attempt.Context) != "context of a" ||
		attempt.Lease.Attempt() != 2 || attempt.Lease.How() != Retried ||
		attempt.Lease.Lasts() != 30*time.Second {
		t.Fatalf("%v, %+v", attempt, attempt.Lease)
	}
	if text := fmt.Sprintf("%v %+v %#v", attempt, attempt, attempt); strings.Contains(text, "of a") {
		t.Errorf("the context is printed: %s", text)
	}
	begin(t, engine, charge("a"), InProgress)
	finish(t, attempt.Lease, Outcome{Status: 200})
	begin(t, engine, charge("a"), Replayed)
}

// Goal: whoever waits gets the attempt when it becomes due, whoever moves time.
// Method: a goroutine waits with nothing due, then with one due later; time moves in one step, and
// by an engine whose own clock goes.
func TestAttemptsAreWaitedFor(t *testing.T) {
	engine := open(t, everySecond())
	got := make(chan *Attempt, 1)
	wait := func(engine *Engine) {
		attempt, err := engine.NextAttempt(context.Background())
		if err != nil {
			t.Errorf("NextAttempt: %v", err)
		}
		got <- attempt
	}
	go wait(engine)
	sleepers(t, engine, 1)
	putOffOne(t, engine, "a")
	must(t, engine.AdvanceClock(time.Second))
	finish(t, receive(t, got).Lease, Outcome{Status: 200})

	real := open(t, Options{RetryPolicy: &RetryPolicy{Backoff: BackoffConstant, Initial: time.Millisecond}})
	go wait(real)
	sleepers(t, real, 1)
	lease := begin(t, real, charge("b"), Admitted).Lease
	_, err := lease.RetryLater(&AttemptError{Class: "503"}, "charge", nil)
	must(t, err)
	finish(t, receive(t, got).Lease, Outcome{Status: 200})
}

// Goal: each attempt goes to one of those who wait, and none is left behind.
// Method: 16 goroutines wait; 300 attempts become due in one step of the clock. Each is handed out
// once.
func TestEachAttemptGoesToOne(t *testing.T) {
	engine := open(t, everySecond())
	const all = 300
	for i := range all {
		putOffOne(t, engine, fmt.Sprint("key ", i))
	}
	ctx, cancel := context.WithCancel(context.Background())
	var mutex sync.Mutex
	seen := map[string]int{}
	var goroutines sync.WaitGroup
	for range 16 {
		goroutines.Go(func() {
			for {
				attempts, err := engine.NextAttempts(ctx, 7)
				if err != nil {
					return
				}
				mutex.Lock()
				for _, attempt := range attempts {
					seen[string(attempt.Context)]++
				}
				enough := len(seen) == all
				mutex.Unlock()
				for _, attempt := range attempts {
					if _, err := attempt.Lease.Complete(Outcome{Status: 200}); err != nil {
						t.Errorf("Complete: %v", err)
					}
				}
				if enough {
					cancel()
				}
			}
		})
	}
	sleepers(t, engine, 16)
	must(t, engine.AdvanceClock(time.Second))
	select {
	case <-ctx.Done():
	case <-time.After(soon):
		t.Errorf("%d of %d attempts were handed out", len(seen), all)
	}
	cancel()
	goroutines.Wait()
	for name, times := range seen {
		if times != 1 {
			t.Errorf("%q: %d times", name, times)
		}
	}
}

// Goal: a wait ends with its context, with the cause, and takes no attempt along.
// Method: a cancelled wait, one with a deadline, and one whose context is done before, while an
// attempt is due; the attempt is there for the next caller.
func TestWaitsForAttemptsEndWithTheirContext(t *testing.T) {
	engine := open(t, everySecond())
	why := errors.New("shutting down")
	ctx, cancel := context.WithCancelCause(context.Background())
	errs := make(chan error, 1)
	go func() {
		_, err := engine.NextAttempt(ctx)
		errs <- err
	}()
	sleepers(t, engine, 1)
	cancel(why)
	if err := receive(t, errs); err != why {
		t.Errorf("%v, want the cause", err)
	}
	sleepers(t, engine, 0)
	short, done := context.WithTimeout(context.Background(), time.Millisecond)
	defer done()
	if _, err := engine.NextAttempt(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want the deadline", err)
	}
	putOffOne(t, engine, "a")
	must(t, engine.AdvanceClock(time.Second))
	if attempt, err := engine.NextAttempt(ctx); err != why {
		t.Errorf("%v, %v", attempt, err)
	}
	attempt, err := engine.NextAttempt(context.Background())
	must(t, err)
	must(t, attempt.Lease.Abandon())
}

// Goal: all that is due at once is handed out at once, to as many as wait.
// Method: eight wait for one attempt each, and eight become due in one step. One is called, and
// nobody else looks after what is due.
func TestAllWhoWaitAreCalled(t *testing.T) {
	engine := open(t, everySecond())
	due := &dueSet{poller: idle(t)}
	engine.opened.due = due
	got := make(chan *Attempt, 8)
	for i := range cap(got) {
		putOffOne(t, engine, fmt.Sprint("key ", i))
		go func() {
			attempt, err := engine.NextAttempt(context.Background())
			if err != nil {
				t.Errorf("NextAttempt: %v", err)
			}
			got <- attempt
		}()
	}
	sleepers(t, engine, cap(got))
	must(t, engine.AdvanceClock(time.Second))
	due.call()
	for range cap(got) {
		receive(t, got)
	}
}

// Goal: an attempt that one who leaves was called for is another's.
// Method: two wait, and nobody else looks after what is due. The context of the first ends, and he
// is called: whichever he sees first, the second gets the attempt.
func TestWhoLeavesPassesTheCallOn(t *testing.T) {
	passedOn := 0
	for round := 0; passedOn < 50; round++ {
		engine := open(t, everySecond())
		due := &dueSet{poller: idle(t)}
		engine.opened.due = due
		first, leave := context.WithCancel(context.Background())
		second, end := context.WithCancel(context.Background())
		left, got := make(chan error, 1), make(chan error, 1)
		wait := func(ctx context.Context, told chan<- error) {
			_, err := engine.NextAttempt(ctx)
			told <- err
		}
		go wait(first, left)
		sleepers(t, engine, 1)
		go wait(second, got)
		sleepers(t, engine, 2)
		putOffOne(t, engine, "a")
		must(t, engine.AdvanceClock(time.Second))
		due.mutex.Lock()
		if round%2 == 0 {
			leave()
		}
		due.callOne()
		leave()
		due.mutex.Unlock()
		if err := receive(t, left); err != nil {
			must(t, receive(t, got))
			passedOn++
		} else if end(); receive(t, got) == nil {
			t.Error("both got it: he who was called before he left, and the other")
		}
		end()
		must(t, engine.Close())
	}
}

// idle is a poller of a descriptor that nothing happens on.
func idle(t testing.TB) *poller {
	t.Helper()
	read, write, err := os.Pipe()
	must(t, err)
	t.Cleanup(func() {
		_ = read.Close()
		_ = write.Close()
	})
	poller, err := newPoller(int(read.Fd()))
	must(t, err)
	return poller
}

// Goal: a thousand goroutines that wait for attempts hold no threads.
// Method: count those of the process, by the kernel, before and while they wait.
func TestWaitingForAttemptsHoldsNoThreads(t *testing.T) {
	engine := open(t, everySecond())
	ctx, cancel := context.WithCancel(context.Background())
	count := func() int {
		threads, err := os.ReadDir("/proc/self/task")
		must(t, err)
		return len(threads)
	}
	before := count()
	var goroutines sync.WaitGroup
	for range 1_000 {
		goroutines.Go(func() {
			if _, err := engine.NextAttempt(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("NextAttempt: %v", err)
			}
		})
	}
	sleepers(t, engine, 1_000)
	if more := count() - before; more > 8 {
		t.Errorf("%d more threads", more)
	}
	cancel()
	goroutines.Wait()
}

// Goal: closing the engine ends every wait for an attempt.
// Method: 20 wait, the engine is closed, all get ErrClosed, and so does the next.
func TestCloseEndsWaitsForAttempts(t *testing.T) {
	engine := open(t, everySecond())
	errs := make(chan error, 20)
	for range cap(errs) {
		go func() {
			_, err := engine.NextAttempt(context.Background())
			errs <- err
		}()
	}
	sleepers(t, engine, cap(errs))
	must(t, engine.Close())
	for range cap(errs) {
		if err := receive(t, errs); !errors.Is(err, ErrClosed) {
			t.Errorf("%v, want closed", err)
		}
	}
	if _, err := engine.NextAttempt(context.Background()); !errors.Is(err, ErrClosed) {
		t.Errorf("%v, want closed", err)
	}
}

// Goal: no more attempts of an operation are handed out at once than may be, and the next when one
// ends.
// Method: three are due, two may run. One waits for the third, and gets it when another ends.
func TestBulkheadsHoldAttemptsBack(t *testing.T) {
	engine := open(t, everySecond())
	must(t, engine.SetOperation("charge", &RetryPolicy{Backoff: BackoffConstant}, 2))
	for _, key := range []string{"a", "b", "c"} {
		putOffOne(t, engine, key)
	}
	must(t, engine.AdvanceClock(time.Second))
	attempts, err := engine.TakeAttempts(10)
	must(t, err)
	if len(attempts) != 2 {
		t.Fatalf("%d handed out", len(attempts))
	}
	got := make(chan *Attempt, 1)
	go func() {
		attempt, err := engine.NextAttempt(context.Background())
		if err != nil {
			t.Errorf("NextAttempt: %v", err)
		}
		got <- attempt
	}()
	sleepers(t, engine, 1)
	finish(t, attempts[0].Lease, Outcome{Status: 200})
	finish(t, receive(t, got).Lease, Outcome{Status: 200})
	finish(t, attempts[1].Lease, Outcome{Status: 200})
}

// Goal: a context as large as may be comes back whole, and batches give as many as there are.
// Method: contexts of the largest size, more than one call takes; all come, each its own.
func TestLargeContextsComeBack(t *testing.T) {
	options := everySecond()
	options.ContextLimit, options.MaxRetrying = 16<<10, 100
	engine := open(t, options)
	for i := range 70 {
		lease := begin(t, engine, charge(fmt.Sprint("key ", i)), Admitted).Lease
		context := bytes.Repeat([]byte{byte(i)}, 16<<10)
		_, err := lease.RetryLater(&AttemptError{Class: "503"}, "charge", context)
		must(t, err)
	}
	must(t, engine.AdvanceClock(time.Second))
	var seen [70]bool
	for left := 70; left > 0; {
		attempts, err := engine.TakeAttempts(1_000)
		must(t, err)
		if len(attempts) == 0 {
			t.Fatalf("%d are left", left)
		}
		left -= len(attempts)
		for _, attempt := range attempts {
			i := attempt.Context[0]
			if seen[i] || !bytes.Equal(attempt.Context, bytes.Repeat([]byte{i}, 16<<10)) {
				t.Errorf("attempt %d came twice, or is another's", i)
			}
			seen[i] = true
			finish(t, attempt.Lease, Outcome{Status: 200})
		}
	}
}

// Goal: what is due can be looked after by hand.
// Method: Advance tells how long until the next thing, and how much is ready then.
func TestAdvanceTellsWhatIsDue(t *testing.T) {
	options := manual()
	options.RetryPolicy = &RetryPolicy{Backoff: BackoffConstant, Initial: 300 * time.Millisecond}
	engine := open(t, options)
	lease := begin(t, engine, charge("a"), Admitted).Lease
	_, err := lease.RetryLater(&AttemptError{Class: "503"}, "charge", nil)
	must(t, err)
	driven, err := engine.Advance(100)
	if err != nil || !driven.Later || driven.DueIn != 300*time.Millisecond || driven.Ready != 0 {
		t.Errorf("%+v, %v", driven, err)
	}
	must(t, engine.AdvanceClock(300*time.Millisecond))
	if driven, err = engine.Advance(100); err != nil || driven.Ready != 1 || driven.LookedAt == 0 {
		t.Errorf("%+v, %v", driven, err)
	}
	_, err = engine.Advance(-1)
	refused(t, err, ErrBadValue, "limit")
	_, err = engine.TakeAttempts(0)
	refused(t, err, ErrBadSize, "most")
}

// Goal: goroutines that take, wait, leave and close at once under the race detector do not race.
// Method: 8 goroutines put off, 8 take and put off again, with contexts that end, and then it is
// closed.
func TestAttemptsUnderLoad(t *testing.T) {
	options := Options{MaxRetrying: 1_000, RetryPolicy: &RetryPolicy{
		Backoff: BackoffConstant, Initial: Zero, MaxAttempts: 1_000,
	}}
	engine := open(t, options)
	var handed atomic.Int64
	var goroutines sync.WaitGroup
	enough := make(chan struct{})
	for i := range 8 {
		goroutines.Go(func() {
			for j := range 50 {
				lease, err := engine.Begin(context.Background(), charge(fmt.Sprint(i, " ", j)))
				if err != nil {
					return
				}
				_, err = lease.Lease.RetryLater(&AttemptError{Class: "503"}, "charge", nil)
				if err != nil && !errors.Is(err, ErrClosed) {
					t.Errorf("RetryLater: %v", err)
				}
			}
		})
		goroutines.Go(func() {
			for round := 0; ; round++ {
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(round%3)*time.Millisecond)
				attempt, err := engine.NextAttempt(ctx)
				cancel()
				if errors.Is(err, ErrClosed) {
					return
				}
				if err != nil {
					continue
				}
				if handed.Add(1) == 2_000 {
					close(enough)
				}
				if _, err := attempt.RetryLater(&AttemptError{Class: "again"}); err != nil && !errors.Is(err, ErrClosed) {
					t.Errorf("RetryLater: %v", err)
				}
			}
		})
	}
	receive(t, enough)
	must(t, engine.Close())
	goroutines.Wait()
}
