package oncegate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

// Goal: the zero options open an engine that works.
// Method: a request is run and replayed.
func TestZeroOptionsWork(t *testing.T) {
	engine := open(t, Options{})
	finish(t, begin(t, engine, charge("a"), Admitted).Lease, Outcome{Status: 201, Body: []byte("ok")})
	replay := begin(t, engine, charge("a"), Replayed)
	if replay.Outcome.Status != 201 || string(replay.Outcome.Body) != "ok" {
		t.Fatalf("replayed %v", replay.Outcome)
	}
}

// Goal: what is wrong with an option is told with its name, also where Go finds it.
// Method: one bad value for each kind of option.
func TestOptionsAreRefusedByName(t *testing.T) {
	cases := []struct {
		field   string
		status  Status
		options Options
	}{
		{"capacity", ErrInvalidConfig, Options{Capacity: 3}},
		{"capacity", ErrBadValue, Options{Capacity: -1}},
		{"lease_duration", ErrBadValue, Options{LeaseDuration: -time.Second}},
		{"wait", ErrBadValue, Options{Wait: -time.Second}},
		{"reach", ErrBadValue, Options{Reach: 9}},
		{"keys", ErrBadValue, Options{Keys: KeyRules{Charset: 9}}},
		{"clock", ErrBadValue, Options{Clock: 9}},
		{"on_full", ErrBadValue, Options{OnFull: 9}},
		{"secret", ErrInvalidConfig, Options{Secret: []byte("short")}},
		{"path", ErrBadSize, Options{Path: "x"}},
		{"default_quota", ErrBadValue, Options{DefaultQuota: Quota{Burst: 1}}},
	}
	for _, c := range cases {
		engine, err := Open(c.options)
		if engine != nil {
			t.Errorf("%s was accepted", c.field)
			continue
		}
		refused(t, err, c.status, c.field)
		if _, err := c.options.RequiredBytes(); err == nil && c.field != "path" {
			t.Errorf("%s was accepted by RequiredBytes", c.field)
		}
	}
}

// Goal: sizes reach the library.
// Method: each by itself changes how much memory an engine takes, or is refused.
func TestRequiredBytesFollowTheOptions(t *testing.T) {
	zero, err := Options{}.RequiredBytes()
	must(t, err)
	for _, options := range []Options{
		{Capacity: 1 << 18},
		{OutcomeBytes: 1 << 28},
		{InlineOutcome: 256},
		{MaxProcesses: 4_000},
		{MaxScopes: 100_000},
		{MaxRetrying: 1 << 18},
		{ContextLimit: 1 << 14},
		{StepsLimit: 1 << 14},
		{MaxDeadLetters: 1 << 16},
		{Tiny: true},
	} {
		bytes, err := options.RequiredBytes()
		if err == nil && bytes == zero {
			t.Errorf("%+v changes nothing", options)
		}
	}
}

// Goal: closing twice is fine, and afterwards every call is refused as closed.
// Method: each method of the engine and of a lease, after Close, and on an engine that was never
// opened.
func TestCloseIsIdempotentAndFinal(t *testing.T) {
	engine := open(t, Options{})
	lease := begin(t, engine, charge("a"), Admitted).Lease
	must(t, engine.Close())
	must(t, engine.Close())
	for _, engine := range []*Engine{engine, {afterFunc: afterFunc}} {
		lease.engine = engine
		errs := everyCall(engine, lease)
		if len(errs) < 50 {
			t.Errorf("%d calls", len(errs))
		}
		for name, err := range errs {
			if !errors.Is(err, ErrClosed) {
				t.Errorf("%s: %v, want closed", name, err)
			}
		}
	}
}

// everyCall makes every call that can fail, and gives the errors.
func everyCall(engine *Engine, lease *Lease) map[string]error {
	request, errs := charge("a"), map[string]error{}
	_, errs["Begin"] = engine.Begin(context.Background(), request)
	_, errs["Begin and wait"] = engine.join(context.Background(), &request, &beginHow{})
	_, errs["BeginHashed"] = engine.BeginHashed(Hashed{Scope: SingleTenant})
	var batch Batch
	batch.Add(request)
	errs["BeginBatch"] = engine.BeginBatch(&batch)
	_, errs["Do"] = engine.Do(context.Background(), request, nil)
	_, errs["Fingerprint"] = engine.Fingerprint(request)
	_, errs["Stats"] = engine.Stats()
	_, _, errs["Events"] = engine.Events()
	_, errs["Sweep"] = engine.Sweep(1)
	_, errs["BuryDead"] = engine.BuryDead()
	_, errs["TakeUp"] = engine.TakeUp(lease.Token())
	errs["AdvanceClock"] = engine.AdvanceClock(time.Second)
	errs["SetQuota"] = engine.SetQuota(SingleTenant, Quota{})
	errs["RemoveQuota"] = engine.RemoveQuota(SingleTenant)
	errs["Resolve"] = engine.Resolve(request, RunAgain())
	errs["RotateSecret"] = engine.RotateSecret(bytes.Repeat([]byte("s"), 32))
	errs["FinishRotation"] = engine.FinishRotation()
	_, errs["NextAttempt"] = engine.NextAttempt(context.Background())
	_, errs["TakeAttempts"] = engine.TakeAttempts(1)
	_, errs["Advance"] = engine.Advance(1)
	_, errs["AfterFunc"] = engine.AfterFunc(0, nil)
	errs["Work"] = engine.Work(context.Background(), 2, nil)
	errs["SetOperation"] = engine.SetOperation("charge", nil, 0)
	errs["SetRetryBudget"] = engine.SetRetryBudget(RetryBudget{})
	errs["SetOperationBudget"] = engine.SetOperationBudget("charge", RetryBudget{})
	errs["SetScopeBudget"] = engine.SetScopeBudget(SingleTenant, RetryBudget{})
	errs["RemoveScopeBudget"] = engine.RemoveScopeBudget(SingleTenant)
	errs["SetLoad"] = engine.SetLoad(0)
	_, errs["Questions"] = engine.Questions(1)
	errs["Answer"] = engine.Answer(1, RunAgain())
	errs["Reconcile"] = engine.Reconcile(context.Background(), time.Hour, nil)
	for _, err := range engine.Letters(LetterFilter{}) {
		errs["Letters"] = err
	}
	_, _, errs["ShowLetter"] = engine.ShowLetter(LetterID{})
	errs["RedriveLetter"] = engine.RedriveLetter(LetterID{})
	errs["DiscardLetter"] = engine.DiscardLetter(LetterID{})
	_, errs["RedriveLetters"] = engine.RedriveLetters(LetterFilter{}, 1)
	_, errs["DiscardLetters"] = engine.DiscardLetters(LetterFilter{}, 1)
	_, errs["RetryLater"] = lease.RetryLater(&AttemptError{Class: "503"}, "charge", nil)
	_, _, errs["FindStep"] = lease.FindStep("step")
	errs["FinishStep"] = lease.FinishStep("step", nil)
	_, _, errs["LastStep"] = lease.LastStep()
	errs["UndoneStep"] = lease.UndoneStep("step")
	_, errs["Step"] = lease.Step(context.Background(), "step", nil)
	errs["Compensate"] = lease.Compensate(context.Background(), nil)
	_, errs["DownstreamKey"] = lease.DownstreamKey("bank", "")
	_, errs["AttemptHeaders"] = lease.AttemptHeaders("bank")
	_, errs["Complete"] = lease.Complete(Outcome{})
	errs["Fail"] = lease.Fail(Retryable(0))
	errs["Abandon"] = lease.Abandon()
	_, errs["Renew"] = lease.Renew(time.Second)
	return errs
}

// Goal: an engine may be closed while others call it: they get an answer or ErrClosed.
// Method: 16 goroutines begin, complete and wait until they are refused.
func TestCloseWhileSixteenCall(t *testing.T) {
	engine, err := Open(Options{Capacity: 10_000})
	must(t, err)
	must(t, func() error { _, err := engine.Begin(context.Background(), charge("held")); return err }())
	var running, ended sync.WaitGroup
	for worker := range 16 {
		running.Add(1)
		ended.Add(1)
		go func() {
			defer ended.Done()
			for i := 0; ; i++ {
				if i == 10 {
					running.Done()
				}
				request := charge(fmt.Sprintf("%d-%d", worker, i))
				var options []BeginOption
				if i > 10 && worker%4 == 0 {
					request, options = charge("held"), []BeginOption{Wait()}
				}
				admission, err := engine.Begin(context.Background(), request, options...)
				if err == nil && admission.Lease != nil {
					_, err = admission.Lease.Complete(Outcome{Status: 200})
				}
				if errors.Is(err, ErrClosed) {
					return
				}
				if err != nil {
					t.Errorf("worker %d: %v", worker, err)
					return
				}
			}
		}()
	}
	running.Wait()
	must(t, engine.Close())
	ended.Wait()
}

// Goal: statuses have names and texts, and errors carry what the library told.
// Method: every status of the package; the error of a key that is too long.
func TestErrorsTellFieldAndLimit(t *testing.T) {
	for status := ErrInvalidKey; status <= ErrTierUnsafe; status++ {
		if strings.HasPrefix(status.Name(), "Status") || strings.Contains(status.Error(), "unknown") {
			t.Errorf("status %d has no name: %q, %q", status, status.Name(), status.Error())
		}
	}
	if !ErrFull.Transient() || ErrFenced.Transient() {
		t.Error("a full table is transient, a fence is not")
	}
	if !ErrTierUnavailable.Transient() || ErrTierUnsafe.Transient() {
		t.Error("a store that is away may come back, one that may not be used does not change")
	}
	if got := Status(999).Error(); got != "oncegate: unknown status 999" {
		t.Errorf("%q", got)
	}
	engine := open(t, Options{})
	_, err := engine.Begin(context.Background(), charge(strings.Repeat("k", 256)))
	refused(t, err, ErrInvalidKey, "key")
	if !strings.Contains(err.Error(), "256") || !strings.Contains(err.Error(), "255") {
		t.Errorf("%q names neither what was found nor the limit", err)
	}
	if errors.Is(err, ErrFull) {
		t.Error("one status is taken for another")
	}
}

// Goal: a quota refuses with the time after which to come back.
// Method: a scope with one new record a second, by a clock that stands still.
func TestQuotaRefusesWithATime(t *testing.T) {
	engine := open(t, manual())
	must(t, engine.SetQuota(Tenant("acme"), Quota{RatePerSecond: 1, Burst: 1}))
	begin(t, engine, charge("a"), Admitted)
	_, err := engine.Begin(context.Background(), charge("b"))
	var told *Error
	if !errors.As(err, &told) || told.Status != ErrQuotaExceeded {
		t.Fatalf("error %v", err)
	}
	if told.RetryAfter <= 0 || told.RetryAfter > time.Second || !told.Transient {
		t.Fatalf("retry after %v, transient %v", told.RetryAfter, told.Transient)
	}
	must(t, engine.AdvanceClock(told.RetryAfter))
	begin(t, engine, charge("b"), Admitted)
	must(t, engine.RemoveQuota(Tenant("acme")))
	begin(t, engine, charge("c"), Admitted)
}

// Goal: a record in doubt runs again only when that is said.
// Method: an attempt fails as in doubt, and is resolved in each of the three ways.
func TestResolveEndsTheDoubt(t *testing.T) {
	engine := open(t, Options{})
	for name, resolution := range map[string]Resolution{
		"succeeded": HasSucceeded(Outcome{Status: 201, Metadata: []Pair{{"id", "7"}}}),
		"failed":    HasFailed(Outcome{Status: 402}),
		"again":     RunAgain(),
	} {
		must(t, begin(t, engine, charge(name), Admitted).Lease.Fail(InDoubt()))
		begin(t, engine, charge(name), Unresolved)
		must(t, engine.Resolve(charge(name), resolution))
		refused(t, engine.Resolve(charge(name), resolution), ErrNotFound, "record")
	}
	if got := begin(t, engine, charge("succeeded"), Replayed).Outcome; got.Status != 201 ||
		!reflect.DeepEqual(got.Metadata, []Pair{{"id", "7"}}) {
		t.Errorf("replayed %v", got)
	}
	if got := begin(t, engine, charge("failed"), Replayed).Outcome; got.Status != 402 {
		t.Errorf("replayed %v", got)
	}
	if got := begin(t, engine, charge("again"), Admitted); got.Attempt != 2 {
		t.Errorf("attempt %d", got.Attempt)
	}
}

// Goal: a rotation finds the records of both secrets, and is finished when the old ones are over.
// Method: a record under each, by a clock that stands still.
func TestSecretsRotate(t *testing.T) {
	secret := func(letter string) []byte { return bytes.Repeat([]byte(letter), 32) }
	engine := open(t, Options{Secret: secret("a"), Clock: ClockManual})
	finish(t, begin(t, engine, charge("old"), Admitted, DedupFor(time.Minute)).Lease, Outcome{})
	before, err := engine.Fingerprint(charge("old"))
	must(t, err)
	must(t, engine.RotateSecret(secret("b")))
	finish(t, begin(t, engine, charge("new"), Admitted).Lease, Outcome{})
	begin(t, engine, charge("old"), Replayed)
	refused(t, engine.FinishRotation(), ErrRotationPending, "secret")
	must(t, engine.AdvanceClock(time.Minute))
	must(t, engine.FinishRotation())
	begin(t, engine, charge("new"), Replayed)
	begin(t, engine, charge("old"), Admitted)
	after, err := engine.Fingerprint(charge("old"))
	must(t, err)
	if before == after {
		t.Error("the fingerprint does not follow the secret")
	}
}

// Goal: a table that fills up says so, once for each level.
// Method: the smallest engine, and one level at half of it.
func TestEventsTellOfTheFill(t *testing.T) {
	engine := open(t, Options{Capacity: 64, FillLevels: []float64{0.5}})
	for i := range 64 {
		begin(t, engine, charge(fmt.Sprint(i)), Admitted)
	}
	events, lost, err := engine.Events()
	must(t, err)
	if len(events) == 0 || lost != 0 || events[0].Kind != EventFill || events[0].Level != 0.5 ||
		events[0].Text == "" {
		t.Fatalf("events %+v, %d lost", events, lost)
	}
	if events, _, _ := engine.Events(); len(events) != 0 {
		t.Errorf("told again: %+v", events)
	}
}

// Goal: statistics count what was answered.
// Method: one of each answer.
func TestStatsCount(t *testing.T) {
	engine := open(t, manual())
	lease := begin(t, engine, charge("a"), Admitted).Lease
	begin(t, engine, charge("a"), InProgress)
	finish(t, lease, Outcome{})
	begin(t, engine, charge("a"), Replayed)
	other := charge("a")
	other.Payload = JSON([]byte(`{"amount": 200}`))
	begin(t, engine, other, Mismatched)
	if _, err := lease.Complete(Outcome{}); !errors.Is(err, ErrFenced) {
		t.Fatalf("completed twice: %v", err)
	}
	stats, err := engine.Stats()
	must(t, err)
	got := [...]uint64{stats.Begun, stats.Created, stats.Replayed, stats.InProgress,
		stats.Mismatched, stats.Completed, stats.Fenced, stats.LiveSucceeded}
	if want := [...]uint64{4, 1, 1, 1, 1, 1, 1, 1}; got != want {
		t.Errorf("counted %v, want %v", got, want)
	}
	if stats.Bytes == 0 || stats.Fill <= 0 {
		t.Errorf("levels %v, %v", stats.Bytes, stats.Fill)
	}
}

// Goal: no key, scope or payload is in a log.
// Method: everything that holds some is printed in every way.
func TestNothingSecretIsPrinted(t *testing.T) {
	request := Request{Scope: Tenant("tenant-x"), Operation: "op", Key: "key-x", Payload: Raw([]byte("body-x"))}
	outcome := Outcome{Status: 200, Body: []byte("body-x"), Metadata: []Pair{{"name-x", "value-x"}}}
	var log bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(handler).Info("m", "request", request, "outcome", outcome)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		fmt.Fprintf(&log, verb+verb+verb+"\n", request, outcome, request.Scope)
	}
	if strings.Contains(log.String(), "-x") {
		t.Errorf("printed: %s", log.String())
	}
}
