package oncegate

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// Goal: a step that an attempt finished is not run by the next ones.
// Method: an attempt finishes one step and fails; the next gets its result, runs the other, and an
// error of it notes nothing. Results may be empty, and large.
func TestStepsRunOncePerRecord(t *testing.T) {
	options := everySecond()
	options.StepsLimit = 8 << 10
	engine := open(t, options)
	lease := begin(t, engine, charge("a"), Admitted).Lease
	ran := map[string]int{}
	step := func(lease *Lease, name string, result []byte, err error) ([]byte, error) {
		return lease.Step(context.Background(), name, func(context.Context) ([]byte, error) {
			ran[name]++
			return result, err
		})
	}
	large := bytes.Repeat([]byte("x"), 5_000)
	for name, result := range map[string][]byte{"empty": {}, "large": large} {
		got, err := step(lease, name, result, nil)
		if err != nil || !bytes.Equal(got, result) {
			t.Fatalf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	broken := errors.New("broken")
	if _, err := step(lease, "third", nil, broken); err != broken {
		t.Errorf("%v", err)
	}
	_, err := lease.RetryLater(&AttemptError{Class: "503"}, "charge", nil)
	must(t, err)
	must(t, engine.AdvanceClock(time.Second))
	attempts, err := engine.TakeAttempts(1)
	must(t, err)
	next := attempts[0].Lease
	for name, result := range map[string][]byte{"empty": {}, "large": large, "third": []byte("3")} {
		got, err := step(next, name, result, nil)
		if err != nil || !bytes.Equal(got, result) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	if ran["empty"] != 1 || ran["large"] != 1 || ran["third"] != 2 {
		t.Errorf("%v", ran)
	}
	if _, err := step(lease, "empty", nil, nil); !errors.Is(err, ErrFenced) {
		t.Errorf("a stale attempt: %v, want fenced", err)
	}
	done, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := next.Step(done, "fourth", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	finish(t, next, Outcome{Status: 200})
}

// Goal: finished steps are undone from the last to the first, and those that are undone run again.
// Method: three steps; the second cannot be undone at first, and what is not undone stays finished.
func TestStepsAreUndoneFromTheLast(t *testing.T) {
	engine := open(t, everySecond())
	lease := begin(t, engine, charge("a"), Admitted).Lease
	for _, name := range []string{"one", "two", "three"} {
		must(t, lease.FinishStep(name, []byte("of "+name)))
	}
	must(t, lease.FinishStep("two", []byte("another")))
	var undone []string
	broken := errors.New("broken")
	undo := func(_ context.Context, step Step) error {
		if step.Name == "two" && len(undone) < 2 {
			undone = append(undone, "failed")
			return broken
		}
		undone = append(undone, step.Name+" "+string(step.Result))
		return nil
	}
	if err := lease.Compensate(context.Background(), undo); err != broken {
		t.Errorf("%v", err)
	}
	if result, found, err := lease.FindStep("two"); !found || err != nil || string(result) != "of two" {
		t.Errorf("%q, %v, %v", result, found, err)
	}
	if _, found, err := lease.FindStep("three"); found || err != nil {
		t.Errorf("found %v, %v", found, err)
	}
	must(t, lease.Compensate(context.Background(), undo))
	if !slices.Equal(undone, []string{"three of three", "failed", "two of two", "one of one"}) {
		t.Errorf("%q", undone)
	}
	if _, found, err := lease.LastStep(); found || err != nil {
		t.Errorf("found %v, %v", found, err)
	}
	if err := lease.UndoneStep("one"); !errors.Is(err, ErrNotFound) {
		t.Errorf("%v", err)
	}
	must(t, lease.Fail(Terminal(Outcome{Status: 500})))
}

// Goal: what is wrong with a step is told.
// Method: names that are none, and more than there is room for, after which the lease lasts.
func TestStepsAreRefused(t *testing.T) {
	engine := open(t, everySecond())
	lease := begin(t, engine, charge("a"), Admitted).Lease
	refused(t, lease.FinishStep("", nil), ErrInvalidOption, "step")
	refused(t, lease.FinishStep(strings.Repeat("n", 256), nil), ErrInvalidOption, "step")
	refused(t, lease.FinishStep("\xff", nil), ErrNotUTF8, "name")
	if err := lease.FinishStep("large", make([]byte, 1<<20)); !errors.Is(err, ErrFull) {
		t.Errorf("%v, want full", err)
	}
	finish(t, lease, Outcome{Status: 200})
}

// Goal: a key for a service is the same in every attempt, and another one for each request, service
// and step; headers carry it.
// Method: two attempts of one request, and another request.
func TestDownstreamKeys(t *testing.T) {
	engine := open(t, everySecond())
	key := func(lease *Lease, service, step string) string {
		key, err := lease.DownstreamKey(service, step)
		must(t, err)
		if len(key) != 43 {
			t.Errorf("%d characters", len(key))
		}
		return key
	}
	first := begin(t, engine, charge("a"), Admitted).Lease
	other := begin(t, engine, charge("b"), Admitted).Lease
	keys := []string{
		key(first, "bank", ""), key(first, "bank", "1"), key(first, "post", ""),
		key(other, "bank", ""),
	}
	for i, one := range keys {
		if slices.Contains(keys[i+1:], one) {
			t.Errorf("key %d comes twice", i)
		}
	}
	_, err := first.RetryLater(&AttemptError{Class: "503"}, "charge", nil)
	must(t, err)
	must(t, engine.AdvanceClock(time.Second))
	attempts, err := engine.TakeAttempts(1)
	must(t, err)
	second := attempts[0].Lease
	if key(second, "bank", "") != keys[0] {
		t.Error("the key is another one in the next attempt")
	}
	header, err := second.AttemptHeaders("bank")
	must(t, err)
	if got := header.Get("Idempotency-Key"); got != `"`+keys[0]+`"` {
		t.Errorf("%q", got)
	}
	if got := header.Get("Idempotency-Attempt"); got != "2" {
		t.Errorf("%q", got)
	}
	if got := header.Get("Fencing-Token"); got != itoa(int(second.FencingToken())) {
		t.Errorf("%q", got)
	}
	if _, err := first.AttemptHeaders("bank"); !errors.Is(err, ErrFenced) {
		t.Errorf("%v, want fenced", err)
	}
	if _, err := first.DownstreamKey("bank", ""); !errors.Is(err, ErrFenced) {
		t.Errorf("%v, want fenced", err)
	}
	if _, err := second.DownstreamKey("", ""); !errors.Is(err, ErrInvalidOption) {
		t.Errorf("%v", err)
	}
}
