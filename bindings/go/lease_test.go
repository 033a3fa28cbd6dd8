package oncegate

import (
	"errors"
	"testing"
	"time"
)

// Goal: fencing tokens grow from attempt to attempt, and a stale holder changes nothing.
// Method: three attempts that follow each other in three ways; the first holder tries every end.
func TestStaleHoldersAreFenced(t *testing.T) {
	engine := open(t, manual())
	first := begin(t, engine, charge("a"), Admitted, LeaseFor(time.Second)).Lease
	must(t, engine.AdvanceClock(time.Second))
	second := begin(t, engine, charge("a"), Admitted).Lease
	if second.How() != Expired || second.Attempt() != 2 || second.FencingToken() <= first.FencingToken() {
		t.Fatalf("second: %v, attempt %d, token %d after %d", second.How(), second.Attempt(),
			second.FencingToken(), first.FencingToken())
	}
	_, errs := first.Complete(Outcome{})
	for _, err := range []error{
		errs, first.Fail(Retryable(0)), first.Fail(Terminal(Outcome{})), first.Fail(InDoubt()), first.Abandon(),
		func() error { _, err := first.Renew(time.Second); return err }(),
		func() error { _, err := engine.TakeUp(first.Token()); return err }(),
	} {
		if !errors.Is(err, ErrFenced) {
			t.Errorf("error %v, want fenced", err)
		}
	}
	must(t, second.Abandon())
	third := begin(t, engine, charge("a"), Admitted).Lease
	if third.How() != Retried || third.FencingToken() <= second.FencingToken() {
		t.Errorf("third: %v, token %d", third.How(), third.FencingToken())
	}
	finish(t, third, Outcome{Status: 201})
	begin(t, engine, charge("a"), Replayed)
}

// Goal: each kind of failure leads on as it says.
// Method: one attempt for each, by a clock that stands still.
func TestFailuresLeadOn(t *testing.T) {
	engine := open(t, manual())
	must(t, begin(t, engine, charge("now"), Admitted).Lease.Fail(Retryable(0)))
	if again := begin(t, engine, charge("now"), Admitted); again.Attempt != 2 || again.Lease.How() != Retried {
		t.Errorf("attempt %d, %v", again.Attempt, again.Lease.How())
	}
	must(t, begin(t, engine, charge("later"), Admitted).Lease.Fail(Retryable(time.Minute)))
	if wait := begin(t, engine, charge("later"), Scheduled); wait.After != time.Minute || wait.Attempt != 2 {
		t.Errorf("scheduled: %+v", wait)
	}
	must(t, engine.AdvanceClock(time.Minute))
	begin(t, engine, charge("later"), Admitted)
	must(t, begin(t, engine, charge("never"), Admitted).Lease.Fail(Terminal(Outcome{Status: 402, Body: []byte("no")})))
	if replay := begin(t, engine, charge("never"), Replayed); replay.Outcome.Status != 402 {
		t.Errorf("replayed %v", replay.Outcome)
	}
	must(t, begin(t, engine, charge("doubt"), Admitted).Lease.Fail(InDoubt()))
	begin(t, engine, charge("doubt"), Unresolved)
	lease := begin(t, engine, charge("bad"), Admitted).Lease
	refused(t, lease.Fail(Retryable(-time.Second)), ErrBadValue, "delay")
	refused(t, lease.Fail(Failure{kind: 9}), ErrBadValue, "kind")
}

// Goal: a renewed lease lasts, one that is not renewed lapses.
// Method: a clock that stands still, moved beyond the first end.
func TestRenewedLeasesLast(t *testing.T) {
	engine := open(t, manual())
	lease := begin(t, engine, charge("a"), Admitted, LeaseFor(2*time.Second)).Lease
	must(t, engine.AdvanceClock(time.Second))
	lasts, err := lease.Renew(10 * time.Second)
	must(t, err)
	if lasts != 10*time.Second {
		t.Errorf("lasts %v", lasts)
	}
	must(t, engine.AdvanceClock(9*time.Second))
	begin(t, engine, charge("a"), InProgress)
	must(t, engine.AdvanceClock(time.Second))
	begin(t, engine, charge("a"), Admitted)
	_, err = lease.Renew(0)
	refused(t, err, ErrInvalidOption, "lease_duration")
	_, err = lease.Renew(-time.Second)
	refused(t, err, ErrBadValue, "lease_duration")
}

// Goal: a lease crosses as plain bytes, and is what it was.
// Method: taken up by its token; a token of no lease.
func TestLeasesCrossAsBytes(t *testing.T) {
	engine := open(t, manual())
	lease := begin(t, engine, charge("a"), Admitted).Lease
	must(t, engine.AdvanceClock(time.Second))
	taken, err := engine.TakeUp(lease.Token())
	must(t, err)
	if taken.FencingToken() != lease.FencingToken() || taken.Attempt() != 1 ||
		taken.Lasts() != lease.Lasts()-time.Second || taken.Token() != lease.Token() {
		t.Errorf("taken up: %+v, want %+v", taken, lease)
	}
	finish(t, taken, Outcome{})
	_, err = engine.TakeUp(LeaseToken{})
	refused(t, err, ErrInvalidToken, "lease_token")
}
