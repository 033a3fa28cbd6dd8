package oncegate

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"
)

// Goal: what is wrong with a policy or a budget is told by its name.
// Method: one field out of its range at a time, at the open, for an operation, and in a preview.
func TestPoliciesAreRefusedByName(t *testing.T) {
	engine := open(t, manual())
	for field, policy := range map[string]RetryPolicy{
		"initial":         {Initial: -time.Second},
		"max_attempts":    {MaxAttempts: -2},
		"multiplier":      {Multiplier: 0.5},
		"jitter":          {Jitter: JitterProportional, JitterShare: 2},
		"deadline":        {Deadline: 11 * 365 * 24 * time.Hour},
		"attempt_timeout": {AttemptTimeout: 2 * 365 * 24 * time.Hour},
		"delays":          {Backoff: BackoffList, Delays: []time.Duration{-1}},
	} {
		for _, err := range []error{
			engine.SetOperation("charge", &policy, 0),
			second(policy.Preview(1, 1)),
		} {
			var told *Error
			if !errors.As(err, &told) || told.Field != field {
				t.Errorf("%s: %v", field, err)
			}
		}
		if _, err := Open(Options{RetryPolicy: &policy}); err == nil {
			t.Errorf("%s: opened", field)
		}
	}
	for field, budget := range map[string]RetryBudget{
		"retry_budget.capacity":       {Capacity: 20_000},
		"retry_budget.ratio":          {Kind: BudgetRatio, Ratio: 2_000},
		"retry_budget.min_per_second": {Kind: BudgetRatio, MinPerSecond: -2},
		"retry_budget.ttl":            {Kind: BudgetRatio, TTL: time.Hour},
		"retry_budget.share":          {Kind: BudgetConcurrency, Share: 2},
	} {
		for _, err := range []error{
			engine.SetRetryBudget(budget), engine.SetOperationBudget("charge", budget),
			engine.SetScopeBudget(Tenant("acme"), budget),
		} {
			var told *Error
			if !errors.As(err, &told) || told.Field != field {
				t.Errorf("%s: %v", field, err)
			}
		}
	}
}

func second(_ []time.Duration, _ BuriedReason, err error) error { return err }

// Goal: a preview gives the delays that a policy draws.
// Method: a list with a repeated end; zero for zero; a policy that runs out.
func TestPreviews(t *testing.T) {
	policy := RetryPolicy{
		Backoff: BackoffList, MaxAttempts: 10,
		Delays: []time.Duration{0, time.Second, 1500 * time.Microsecond},
	}
	delays, reason, err := policy.Preview(7, 4)
	want := []time.Duration{0, time.Second, 2 * time.Millisecond, 2 * time.Millisecond}
	if err != nil || reason != BuriedNone || !slices.Equal(delays, want) {
		t.Errorf("%v, %v, %v", delays, reason, err)
	}
	policy = RetryPolicy{Backoff: BackoffConstant, Initial: Zero}
	delays, reason, err = policy.Preview(7, 4)
	if err != nil || reason != BuriedAttempts || !slices.Equal(delays, []time.Duration{0, 0}) {
		t.Errorf("%v, %v, %v", delays, reason, err)
	}
}

// Goal: a budget that is spent ends retries, and says so; a scope without one is not held back.
// Method: one retry for the scope's budget, then none; the budget is taken away, and there are more.
func TestBudgetsEndRetries(t *testing.T) {
	engine := open(t, everySecond())
	must(t, engine.SetScopeBudget(Tenant("acme"), RetryBudget{
		Name: "acme's", Capacity: 5, CostTransient: 5, CostThrottled: 5, CostTimeout: 5,
	}))
	retry := func(key string) Later {
		lease := begin(t, engine, charge(key), Admitted).Lease
		later, err := lease.RetryLater(&AttemptError{Class: "503"}, "charge", nil)
		must(t, err)
		return later
	}
	if later := retry("a"); later.Buried != BuriedNone {
		t.Errorf("%+v", later)
	}
	if later := retry("b"); later.Buried != BuriedBudget {
		t.Errorf("%+v", later)
	}
	must(t, engine.RemoveScopeBudget(Tenant("acme")))
	if later := retry("c"); later.Buried != BuriedNone {
		t.Errorf("%+v", later)
	}
}

// Goal: hints of a service are read as HTTP has them.
// Method: seconds, a date, one that has passed, and what is neither.
func TestHintsAreRead(t *testing.T) {
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]Hint{
		"120":                           HintAfter(2 * time.Minute),
		"Fri, 27 Nov 2026 12:00:30 GMT": HintAfter(30 * time.Second),
		"Fri, 27 Nov 2026 11:00:00 GMT": HintAfter(0),
		"soon":                          {},
		"":                              {},
	} {
		if got := HintFromRetryAfter(value, now); got != want {
			t.Errorf("%q: %+v, want %+v", value, got, want)
		}
	}
	if after, ok := HintAfter(time.Second).After(); !ok || after != time.Second {
		t.Errorf("%v, %v", after, ok)
	}
	if _, ok := HintRefused().After(); ok {
		t.Error("a refusal names no time")
	}
}

// Goal: what RetryLater refuses leaves the lease as it was.
// Method: a class that is too long, an operation that is none, a context beyond the limit.
func TestRetriesAreRefused(t *testing.T) {
	engine := open(t, everySecond())
	lease := begin(t, engine, charge("a"), Admitted).Lease
	failed := &AttemptError{Class: "503"}
	later := func(failed *AttemptError, operation string, context []byte) error {
		_, err := lease.RetryLater(failed, operation, context)
		return err
	}
	for name, err := range map[string]error{
		"class":     later(&AttemptError{Class: string(make([]byte, 33))}, "charge", nil),
		"hint":      later(&AttemptError{Class: "503", Hint: HintAfter(-1)}, "charge", nil),
		"operation": later(failed, "", nil),
		"context":   later(failed, "charge", make([]byte, 1<<20)),
	} {
		var told *Error
		if !errors.As(err, &told) {
			t.Errorf("%s: %v", name, err)
		}
	}
	outcome := Outcome{Status: 402, Body: []byte("declined"), Metadata: []Pair{{"a", "b"}}}
	told, err := lease.RetryLater(&AttemptError{Class: "402", Terminal: true, Outcome: &outcome}, "charge", nil)
	if err != nil || told.Buried != BuriedFinalError {
		t.Errorf("%+v, %v", told, err)
	}
	got := begin(t, engine, charge("a"), Replayed).Outcome
	if got.Status != 402 || string(got.Body) != "declined" || got.Metadata[0] != outcome.Metadata[0] {
		t.Errorf("%+v", got)
	}
	if _, err := lease.RetryLater(failed, "charge", nil); !errors.Is(err, ErrFenced) {
		t.Errorf("%v, want fenced", err)
	}
}

// Goal: a load stretches delays where the engine was opened for it, and only there.
// Method: a full load, after an interval, is seen in the factor; without Adaptive it is refused.
func TestLoadStretchesDelays(t *testing.T) {
	options := everySecond()
	options.Adaptive = &Adaptive{Interval: time.Millisecond, LoadTarget: 0.5}
	engine := open(t, options)
	must(t, engine.SetLoad(1))
	for range 3 {
		must(t, engine.AdvanceClock(10*time.Millisecond))
		must(t, engine.SetLoad(1))
		_, err := engine.Advance(100)
		must(t, err)
	}
	stats, err := engine.Stats()
	must(t, err)
	if stats.BackoffFactor <= 1 {
		t.Errorf("the factor is %v", stats.BackoffFactor)
	}
	if err := engine.SetLoad(2); !errors.Is(err, ErrInvalidOption) {
		t.Errorf("%v", err)
	}
	if err := open(t, manual()).SetLoad(1); !errors.Is(err, ErrInvalidConfig) {
		t.Errorf("%v", err)
	}
	_, err = Open(Options{Adaptive: &Adaptive{Quiet: -time.Second}})
	refused(t, err, ErrBadValue, "adaptive.quiet")
	if _, err = Open(Options{Adaptive: &Adaptive{Decrease: 2}}); !errors.Is(err, ErrInvalidConfig) {
		t.Errorf("%v", err)
	}
}

// Goal: an error of an attempt is an error, and gives the one behind it.
// Method: errors.Is and errors.As through it; what is made of other errors.
func TestAttemptErrorsWrap(t *testing.T) {
	behind := errors.New("behind")
	err := error(&AttemptError{Class: "503", Cause: behind})
	if !errors.Is(err, behind) || err.Error() != "oncegate: the attempt failed: 503: behind" {
		t.Errorf("%v", err)
	}
	if made := attemptError(context.DeadlineExceeded); made.Kind != KindTimeout || made.Class != "timeout" {
		t.Errorf("%+v", made)
	}
	if made := attemptError(context.Canceled); made.Class != "cancelled" {
		t.Errorf("%+v", made)
	}
	if made := attemptError(behind); made.Class != "error" || made.Cause != behind {
		t.Errorf("%+v", made)
	}
	if made := attemptError(errors.Join(behind, err)); made != err {
		t.Errorf("%+v", made)
	}
}

// Goal: a response that is to be retried tells budgets what kind of error it is.
// Method: statuses of each kind.
func TestResponsesAreErrorsOfAKind(t *testing.T) {
	for status, kind := range map[uint16]ErrorKind{
		429: KindThrottled, 408: KindTimeout, 504: KindTimeout, 500: KindTransient, 503: KindTransient,
	} {
		outcome := Outcome{Status: status}
		if failed := outcome.failed(); failed.Kind != kind || failed.Class != itoa(int(status)) {
			t.Errorf("%d: %+v", status, failed)
		}
	}
}
