package oncegate

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"
)

// Goal: a failed request is driven on by workers until it has an outcome.
// Method: Do fails and leaves it to the engine; the worker's handler fails once, and then succeeds.
func TestWorkersDriveOn(t *testing.T) {
	engine := open(t, everySecond())
	broken := errors.New("broken")
	result, err := engine.Do(context.Background(), charge("a"), func(context.Context, *Lease) (Outcome, error) {
		return Outcome{}, broken
	}, LeaveTo("charge", []byte("context")))
	if err != broken || result.Later == nil || result.Later.NextAttempt != 2 {
		t.Fatalf("%+v, %v", result, err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	handled, ended := make(chan *Attempt, 1), make(chan error, 1)
	go func() {
		ended <- engine.Work(ctx, 3, func(_ context.Context, attempt *Attempt) (Outcome, error) {
			handled <- attempt
			if attempt.Lease.Attempt() == 2 {
				return Outcome{Status: 503}, nil
			}
			return Outcome{Status: 201, Body: []byte("charged")}, nil
		})
	}()
	sleepers(t, engine, 3)
	must(t, engine.AdvanceClock(time.Second))
	if attempt := receive(t, handled); attempt.Operation != "charge" || string(attempt.Context) != "context" {
		t.Errorf("%v", attempt)
	}
	sleepers(t, engine, 3)
	must(t, engine.AdvanceClock(time.Second))
	if attempt := receive(t, handled); attempt.Lease.Attempt() != 3 {
		t.Errorf("%v", attempt)
	}
	sleepers(t, engine, 3)
	if got := begin(t, engine, charge("a"), Replayed).Outcome; got.Status != 201 || string(got.Body) != "charged" {
		t.Errorf("%+v", got)
	}
	why := errors.New("shutting down")
	cancel(why)
	if err := receive(t, ended); err != why {
		t.Errorf("%v, want the cause", err)
	}
}

// Goal: what a handler returns tells the engine what becomes of the request.
// Method: an outcome or an error of each kind, and where the record is then.
func TestHandlersAreJudged(t *testing.T) {
	doubtful := OutcomePolicy{OnError: JudgedInDoubt, OnPanic: JudgedInDoubt}
	plain := OutcomePolicy{}
	for name, c := range map[string]struct {
		policy  OutcomePolicy
		handler Handler
		verdict Verdict
	}{
		"final":    {plain, gives(Outcome{Status: 200}, nil), Replayed},
		"retry":    {plain, gives(Outcome{Status: 429}, nil), Scheduled},
		"error":    {plain, gives(Outcome{}, errors.New("broken")), Scheduled},
		"terminal": {plain, gives(Outcome{}, &AttemptError{Class: "402", Terminal: true}), Replayed},
		"doubt":    {doubtful, gives(Outcome{}, errors.New("broken")), Unresolved},
		"hint":     {plain, gives(Outcome{}, &AttemptError{Class: "503", Hint: HintRefused()}), Replayed},
	} {
		engine := open(t, everySecond())
		putOffOne(t, engine, "a")
		must(t, engine.AdvanceClock(time.Second))
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- engine.Work(ctx, 1, c.handler, JudgeBy(c.policy)) }()
		for deadline := time.Now().Add(soon); ; {
			admission, err := engine.Begin(ctx, charge("a"))
			must(t, err)
			if admission.Verdict == c.verdict && (c.verdict != Scheduled || admission.Attempt == 3) {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %v, want %v", name, admission.Verdict, c.verdict)
			}
		}
		cancel()
		if err := receive(t, ended); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func gives(outcome Outcome, err error) Handler {
	return func(context.Context, *Attempt) (Outcome, error) { return outcome, err }
}

// Goal: stopping a worker gives its attempt back, and waits for its handler.
// Method: the handler waits for its context; the attempt is there at once, with the same number of
// failures before it.
func TestStoppedWorkersGiveBack(t *testing.T) {
	engine := open(t, everySecond())
	putOffOne(t, engine, "a")
	must(t, engine.AdvanceClock(time.Second))
	ctx, cancel := context.WithCancel(context.Background())
	running, ended := make(chan struct{}), make(chan error, 1)
	var returned atomic.Bool
	go func() {
		ended <- engine.Work(ctx, 1, func(ctx context.Context, _ *Attempt) (Outcome, error) {
			close(running)
			<-ctx.Done()
			returned.Store(true)
			return Outcome{}, context.Cause(ctx)
		})
	}()
	receive(t, running)
	cancel()
	if err := receive(t, ended); !errors.Is(err, context.Canceled) || !returned.Load() {
		t.Errorf("%v, the handler has returned: %v", err, returned.Load())
	}
	// The engine may be looking at it just now.
	again, done := context.WithTimeout(context.Background(), soon)
	defer done()
	attempt, err := engine.NextAttempt(again)
	must(t, err)
	if attempt.Lease.Attempt() != 3 || string(attempt.Context) != "context of a" {
		t.Fatalf("%v", attempt)
	}
}

// Goal: a handler has as long as its lease lasts, or as long as that is renewed.
// Method: the deadline of its context; with RenewEvery there is none, and the lease is renewed.
func TestHandlersHaveTheirTime(t *testing.T) {
	for _, renewed := range []bool{false, true} {
		options := everySecond()
		options.RetryPolicy.AttemptTimeout = 7 * time.Second
		engine := open(t, options)
		timers := &fakeTimers{}
		engine.afterFunc = timers.after
		putOffOne(t, engine, "a")
		must(t, engine.AdvanceClock(time.Second))
		ctx, cancel := context.WithCancel(context.Background())
		told, ended := make(chan string, 1), make(chan error, 1)
		var how []DoOption
		if renewed {
			how = append(how, RenewEvery(time.Second))
		}
		go func() {
			ended <- engine.Work(ctx, 1, func(ctx context.Context, _ *Attempt) (Outcome, error) {
				deadline, has := ctx.Deadline()
				left := time.Until(deadline)
				told <- fmt.Sprint(has, " ", has && left > 6*time.Second && left <= 7*time.Second)
				return Outcome{Status: 200}, nil
			}, how...)
		}()
		if got, want := receive(t, told), map[bool]string{false: "true true", true: "false false"}[renewed]; got != want {
			t.Errorf("renewed %v: %s, want %s", renewed, got, want)
		}
		sleepers(t, engine, 1)
		if started := timers.fire(); (started != 0) != renewed {
			t.Errorf("renewed %v: %d timers", renewed, started)
		}
		cancel()
		receive(t, ended)
	}
}

// Goal: a closed engine ends its workers.
// Method: they wait, and get ErrClosed; no goroutines are refused.
func TestCloseEndsWorkers(t *testing.T) {
	engine := open(t, everySecond())
	ended := make(chan error, 1)
	go func() { ended <- engine.Work(context.Background(), 4, gives(Outcome{}, nil)) }()
	sleepers(t, engine, 4)
	must(t, engine.Close())
	if err := receive(t, ended); !errors.Is(err, ErrClosed) {
		t.Errorf("%v, want closed", err)
	}
	refused(t, engine.Work(context.Background(), 0, nil), ErrBadSize, "goroutines")
}

// Goal: a leader that leaves its retries to the engine does so when its context is cancelled, too.
// Method: the work returns the cause; the next attempt is scheduled, and not lost.
func TestCancelledLeadersLeaveTheirRetry(t *testing.T) {
	engine := open(t, everySecond())
	ctx, cancel := context.WithCancel(context.Background())
	result, err := engine.Do(ctx, charge("a"), func(ctx context.Context, _ *Lease) (Outcome, error) {
		cancel()
		<-ctx.Done()
		return Outcome{}, ctx.Err()
	}, LeaveTo("charge", nil))
	if !errors.Is(err, context.Canceled) || result.Later == nil || result.Later.DueIn != time.Second {
		t.Errorf("%+v, %v", result, err)
	}
	begin(t, engine, charge("a"), Scheduled)
}
