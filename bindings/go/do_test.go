package oncegate

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func work(status uint16) Work {
	return func(context.Context, *Lease) (Outcome, error) {
		return Outcome{Status: status, Body: []byte("done")}, nil
	}
}

// Goal: work runs once for all who ask for it, however many there are, and all get its outcome.
// Method: 50 goroutines, while the work of the first waits until all others do.
func TestDoRunsOnceForAll(t *testing.T) {
	engine := open(t, Options{})
	var ran, executed atomic.Int32
	var all sync.WaitGroup
	release := make(chan struct{})
	for range 50 {
		all.Add(1)
		go func() {
			defer all.Done()
			result, err := engine.Do(context.Background(), charge("a"), func(context.Context, *Lease) (Outcome, error) {
				ran.Add(1)
				<-release
				return Outcome{Status: 201, Body: []byte("done")}, nil
			})
			if err != nil || result.Outcome.Status != 201 || string(result.Outcome.Body) != "done" ||
				result.Judgement != JudgedFinal {
				t.Errorf("%+v, %v", result, err)
			}
			if result.Executed {
				executed.Add(1)
			}
		}()
	}
	waiters(t, engine, 49)
	close(release)
	all.Wait()
	if ran.Load() != 1 || executed.Load() != 1 {
		t.Errorf("ran %d times, told %d", ran.Load(), executed.Load())
	}
}

// Goal: what work returns is judged by the policy, and the record goes on from there.
// Method: outcomes and errors under several policies; the next call.
func TestDoJudges(t *testing.T) {
	engine := open(t, Options{})
	failing := func(context.Context, *Lease) (Outcome, error) { return Outcome{}, errors.New("broke") }
	cases := []struct {
		name   string
		work   Work
		policy OutcomePolicy
		next   Verdict
	}{
		{"final", work(201), OutcomePolicy{}, Replayed},
		{"client error", work(422), OutcomePolicy{}, Replayed},
		{"server error", work(500), OutcomePolicy{}, Admitted},
		{"server error, kept", work(500), OutcomePolicy{Preset: OutcomesStripeV1}, Replayed},
		{"changed", work(504), OutcomePolicy{Statuses: map[uint16]Judgement{504: JudgedInDoubt}}, Unresolved},
		{"error", failing, OutcomePolicy{}, Admitted},
		{"error in doubt", failing, OutcomePolicy{OnError: JudgedInDoubt}, Unresolved},
		{"error for good", failing, OutcomePolicy{OnError: JudgedFinal}, Unresolved},
	}
	for _, c := range cases {
		result, err := engine.Do(context.Background(), charge(c.name), c.work, JudgeBy(c.policy))
		if !result.Executed || result.Attempt != 1 {
			t.Errorf("%s: %+v, %v", c.name, result, err)
		}
		begin(t, engine, charge(c.name), c.next)
	}
}

// Goal: a call without an outcome says why, with the answer.
// Method: each answer that is neither a lease nor a replay.
func TestDoDeclines(t *testing.T) {
	engine := open(t, manual())
	begin(t, engine, charge("runs"), Admitted)
	must(t, begin(t, engine, charge("waits"), Admitted).Lease.Fail(Retryable(time.Minute)))
	must(t, begin(t, engine, charge("doubt"), Admitted).Lease.Fail(InDoubt()))
	_, err := begin(t, engine, charge("gone"), Admitted).Lease.Complete(Outcome{Withheld: true})
	must(t, err)
	other := charge("runs")
	other.Payload = Raw(nil)
	for verdict, request := range map[Verdict]Request{
		InProgress: charge("runs"), Scheduled: charge("waits"), Mismatched: other,
		Unresolved: charge("doubt"), OutcomeGone: charge("gone"),
	} {
		_, err := engine.Do(context.Background(), request, work(200), BeginWith(DoNotWait()))
		var declined *Declined
		if !errors.As(err, &declined) || declined.Verdict != verdict || err.Error() == "" {
			t.Errorf("%v: %v", verdict, err)
		}
	}
	_, err = engine.Do(context.Background(), Request{}, work(200))
	refused(t, err, ErrInvalidScope, "scope")
}

// Goal: a leader whose context is cancelled resolves its record at once, not by lapse.
// Method: a clock that stands still, so that nothing lapses; the work returns when its context is
// done. By default a waiter takes over; by a policy the record is in doubt.
func TestACancelledLeaderResolvesItsRecord(t *testing.T) {
	engine := open(t, manual())
	obedient := func(started chan<- struct{}) Work {
		return func(ctx context.Context, _ *Lease) (Outcome, error) {
			close(started)
			<-ctx.Done()
			return Outcome{}, ctx.Err()
		}
	}
	lead := func(key string, options ...DoOption) (stop context.CancelFunc, done <-chan error) {
		ctx, cancel := context.WithCancel(context.Background())
		started, ended := make(chan struct{}), make(chan error, 1)
		go func() {
			_, err := engine.Do(ctx, charge(key), obedient(started), options...)
			ended <- err
		}()
		receive(t, started)
		return cancel, ended
	}
	stop, done := lead("retry")
	next := make(chan Result, 1)
	go func() {
		result, err := engine.Do(context.Background(), charge("retry"), work(201))
		if err != nil {
			t.Error(err)
		}
		next <- result
	}()
	waiters(t, engine, 1)
	stop()
	if err := receive(t, done); !errors.Is(err, context.Canceled) {
		t.Errorf("leader: %v", err)
	}
	if result := receive(t, next); !result.Executed || result.Attempt != 2 {
		t.Errorf("next: %+v", result)
	}
	stop, done = lead("doubt", JudgeBy(OutcomePolicy{OnCancel: JudgedInDoubt}))
	stop()
	receive(t, done)
	begin(t, engine, charge("doubt"), Unresolved)
}

// Goal: work that panics, or ends its goroutine, resolves its record, and the panic goes on.
// Method: both, with the policy's default and with doubt.
func TestWorkThatPanicsResolvesItsRecord(t *testing.T) {
	engine := open(t, manual())
	for key, policy := range map[string]OutcomePolicy{"retry": {}, "doubt": {OnPanic: JudgedInDoubt}} {
		for how, end := range map[string]func(){"panic": func() { panic("broke") }, "exit": runtime.Goexit} {
			recovered := make(chan any, 1)
			go func() {
				defer func() { recovered <- recover() }()
				_, _ = engine.Do(context.Background(), charge(key+how), func(context.Context, *Lease) (Outcome, error) {
					end()
					return Outcome{}, nil
				}, JudgeBy(policy))
			}()
			got := receive(t, recovered)
			if (got == "broke") != (how == "panic") {
				t.Errorf("%s: recovered %v", how, got)
			}
			begin(t, engine, charge(key+how), map[string]Verdict{"retry": Admitted, "doubt": Unresolved}[key])
		}
	}
}

// fakeTimers are timers that a test fires.
type fakeTimers struct {
	mutex   sync.Mutex
	pending []func()
	stopped int
}

type fakeTimer struct{ timers *fakeTimers }

func (f fakeTimer) Stop() bool {
	f.timers.mutex.Lock()
	defer f.timers.mutex.Unlock()
	f.timers.stopped++
	return true
}

func (f *fakeTimers) after(_ time.Duration, call func()) stopper {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.pending = append(f.pending, call)
	return fakeTimer{f}
}

// fire calls what is pending.
func (f *fakeTimers) fire() int {
	f.mutex.Lock()
	pending := f.pending
	f.pending = nil
	f.mutex.Unlock()
	for _, call := range pending {
		call()
	}
	return len(pending)
}

// Goal: a lease is renewed as long as its work runs, and no longer.
// Method: a clock that stands still, moved on by less than the lease and more than it in all;
// timers that the test fires.
func TestLeasesAreRenewedWhileWorkRuns(t *testing.T) {
	engine := open(t, manual())
	timers := &fakeTimers{}
	engine.afterFunc = timers.after
	result, err := engine.Do(context.Background(), charge("a"), func(ctx context.Context, lease *Lease) (Outcome, error) {
		for range 5 {
			must(t, engine.AdvanceClock(6*time.Second))
			if timers.fire() != 1 {
				t.Error("no renewal was due")
			}
		}
		return Outcome{Status: 200}, ctx.Err()
	}, BeginWith(LeaseFor(10*time.Second)))
	if err != nil || result.Attempt != 1 {
		t.Errorf("%+v, %v", result, err)
	}
	if timers.fire(); timers.stopped != 1 {
		t.Errorf("%d timers were stopped", timers.stopped)
	}
	if stats, _ := engine.Stats(); stats.Fenced != 0 || stats.Lapsed != 0 {
		t.Errorf("fenced %d, lapsed %d", stats.Fenced, stats.Lapsed)
	}
}

// Goal: work whose lease is lost is told so, and its outcome is given to nobody.
// Method: the clock passes the lease, and another takes over; then a renewal comes too late.
func TestWorkThatLostItsLeaseIsFenced(t *testing.T) {
	engine := open(t, manual())
	timers := &fakeTimers{}
	engine.afterFunc = timers.after
	var cause error
	result, err := engine.Do(context.Background(), charge("a"), func(ctx context.Context, _ *Lease) (Outcome, error) {
		must(t, engine.AdvanceClock(time.Minute))
		finish(t, begin(t, engine, charge("a"), Admitted).Lease, Outcome{Status: 202})
		timers.fire()
		<-ctx.Done()
		cause = context.Cause(ctx)
		return Outcome{Status: 201, Body: []byte("stale")}, nil
	})
	if !errors.Is(err, ErrFenced) || !errors.Is(cause, ErrFenced) || result.Outcome.Body != nil {
		t.Errorf("%+v, %v, cause %v", result, err, cause)
	}
	if replay := begin(t, engine, charge("a"), Replayed); replay.Outcome.Status != 202 {
		t.Errorf("replayed %v", replay.Outcome)
	}
}

// Goal: without renewal work keeps to its lease; the period may be chosen.
// Method: the timers that are asked for.
func TestRenewalIsChosen(t *testing.T) {
	engine := open(t, manual())
	var periods []time.Duration
	engine.afterFunc = func(d time.Duration, _ func()) stopper {
		periods = append(periods, d)
		return fakeTimer{&fakeTimers{}}
	}
	for i, option := range []DoOption{
		RenewEvery(-1), RenewEvery(time.Second), BeginWith(LeaseFor(9 * time.Second)), BeginWith(),
	} {
		_, err := engine.Do(context.Background(), charge(fmt.Sprint(i)), work(200), option)
		must(t, err)
	}
	want := []time.Duration{time.Second, 3 * time.Second, 10 * time.Second}
	if fmt.Sprint(periods) != fmt.Sprint(want) {
		t.Errorf("periods %v, want %v", periods, want)
	}
}
