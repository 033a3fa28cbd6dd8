package oncegate

import (
	"context"
	"errors"
	"os"
	"runtime"
	"testing"
	"time"
)

// open opens an engine for a test, with a clock that stands still unless another is asked for.
func open(t testing.TB, options Options) *Engine {
	t.Helper()
	if options.Capacity == 0 && !options.Tiny {
		options.Capacity = 1_000
	}
	engine, err := Open(options)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() {
		if err := engine.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return engine
}

// manual are options with a clock that stands still.
func manual() Options {
	return Options{Clock: ClockManual}
}

func charge(key string) Request {
	return Request{
		Scope:     Tenant("acme"),
		Operation: "POST /charges",
		Key:       key,
		Payload:   JSON([]byte(`{"amount": 100}`)),
	}
}

// begin begins a request that has to be answered with verdict.
func begin(
	t testing.TB, engine *Engine, request Request, verdict Verdict, options ...BeginOption,
) Admission {
	t.Helper()
	admission, err := engine.Begin(context.Background(), request, options...)
	if err != nil {
		t.Fatalf("Begin: %v", err)
	}
	if admission.Verdict != verdict {
		t.Fatalf("Begin: %v, want %v", admission.Verdict, verdict)
	}
	return admission
}

// finish completes a lease.
func finish(t testing.TB, lease *Lease, outcome Outcome) {
	t.Helper()
	if stored, err := lease.Complete(outcome); err != nil || stored != StoredWithBytes {
		t.Fatalf("Complete: %v, %v", stored, err)
	}
}

// must fails the test on an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// refused checks status and field of an error.
func refused(t testing.TB, err error, status Status, field string) {
	t.Helper()
	if !errors.Is(err, status) {
		t.Fatalf("error %v, want %v", err, status)
	}
	var told *Error
	if !errors.As(err, &told) {
		t.Fatalf("error %v is no *Error", err)
	}
	if told.Field != field || told.Status != status {
		t.Fatalf("%v in %q, want %v in %q: %v", told.Status.Name(), told.Field, status.Name(), field, err)
	}
}

// soon is how long a test waits for what happens at once on an idle machine; it fails then.
const soon = 30 * time.Second

// receive takes a value that is on its way.
func receive[T any](t testing.TB, from <-chan T) T {
	t.Helper()
	select {
	case value := <-from:
		return value
	case <-time.After(soon):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// waiters blocks until n callers wait in the engine.
func waiters(t testing.TB, engine *Engine, n uint64) {
	t.Helper()
	deadline := time.Now().Add(soon)
	for {
		stats, err := engine.Stats()
		must(t, err)
		if stats.Waiters == n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d callers wait, want %d", stats.Waiters, n)
		}
		runtime.Gosched()
	}
}

func TestMain(m *testing.M) {
	if role := os.Getenv("ONCEGATE_TEST_ROLE"); role != "" {
		os.Exit(child(role))
	}
	os.Exit(m.Run())
}
