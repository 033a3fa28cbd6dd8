package oncegate

import (
	"context"
	"errors"
	"os"
	"reflect"
	"runtime"
	"testing"
	"time"
)

// Goal: Go and the library agree on every field of every structure that crosses between them.
// Method: the layouts that the library tells, against those that cgo made of the header.
func TestLayoutsAgree(t *testing.T) {
	told, err := layouts()
	must(t, err)
	byName := map[string][]layout{}
	for _, one := range told {
		byName[one.structure] = append(byName[one.structure], one)
	}
	for _, made := range structures {
		// cgo calls it _Ctype_struct_oncegate_error.
		name := made.Name()[len("_Ctype_struct_"):]
		fields := byName[name]
		if len(fields) == 0 || fields[0].size != made.Size() {
			t.Errorf("%s: %v, and %d bytes in Go", name, fields, made.Size())
			continue
		}
		for i, field := range fields[1:] {
			got := made.Field(i)
			if got.Name != field.field || got.Offset != field.offset || got.Type.Size() != field.size {
				t.Errorf("%s: %+v, and in Go %s at %d, %d bytes", name, field, got.Name, got.Offset, got.Type.Size())
			}
		}
		if extra := made.NumField() - len(fields[1:]); extra != 0 {
			t.Errorf("%s: %d more fields in Go", name, extra)
		}
	}
	if len(structures) < 20 || reflect.TypeFor[layout]().NumField() != 4 {
		t.Errorf("%d structures", len(structures))
	}
}

// Goal: the library is the one that the header is of.
// Method: versions of both.
func TestVersionsAgree(t *testing.T) {
	must(t, checkLibrary())
	if Version() == "" || library() == "" {
		t.Errorf("version %q, library %q", Version(), library())
	}
}

// collect lets what nobody refers to be cleaned up.
func collect() {
	for range 3 {
		runtime.GC()
	}
}

// Goal: an engine that nobody has any more is closed, with what waits in it; one that somebody has
// a lease of is not.
// Method: a process may have 256 engines. More are opened and forgotten, each with everything
// started that has a goroutine of its own; the goroutines end, too.
func TestForgottenEnginesAreClosed(t *testing.T) {
	before := runtime.NumGoroutine()
	forget := func() error {
		engine, err := Open(Options{Capacity: 16})
		if err != nil {
			return err
		}
		_, err = engine.waitSet()
		must(t, err)
		_, err = engine.dueSet()
		must(t, err)
		timer, err := engine.AfterFunc(time.Hour, func() {})
		must(t, err)
		timer.Stop()
		return nil
	}
	kept := begin(t, func() *Engine {
		engine, err := Open(Options{Capacity: 16})
		must(t, err)
		return engine
	}(), charge("a"), Admitted).Lease
	deadline := time.Now().Add(soon)
	for opened := 0; opened < 400; {
		err := forget()
		switch {
		case err == nil:
			opened++
		case !errors.Is(err, ErrTooManyHandles):
			t.Fatal(err)
		case time.Now().After(deadline):
			t.Fatal("engines that were forgotten are not closed")
		default:
			collect()
		}
	}
	for runtime.NumGoroutine() > before+3 {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, and %d before", runtime.NumGoroutine(), before)
		}
		collect()
	}
	finish(t, kept, Outcome{Status: 200})
	must(t, kept.engine.Close())
}

// Goal: an engine lives as long as somebody waits in it.
// Method: nothing refers to it but the call that waits, when garbage is collected and cleaned up;
// the wait ends by its context, and not because the engine was closed.
func TestWaitersHoldOnToTheirEngine(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	errs := make(chan error, 2)
	func() {
		engine, err := Open(Options{Capacity: 16})
		must(t, err)
		begin(t, engine, charge("a"), Admitted)
		go func() {
			_, err := engine.Begin(ctx, charge("a"), Wait())
			errs <- err
		}()
		waiters(t, engine, 1)
		other, err := Open(Options{Capacity: 16})
		must(t, err)
		go func() {
			_, err := other.NextAttempt(ctx)
			errs <- err
		}()
		sleepers(t, other, 1)
	}()
	cleaned := make(chan struct{})
	runtime.AddCleanup(new([64]byte), func(done chan struct{}) { close(done) }, cleaned)
	for deadline := time.Now().Add(soon); ; {
		collect()
		select {
		case <-cleaned:
		default:
			if time.Now().After(deadline) {
				t.Fatal("garbage is not cleaned up")
			}
			continue
		}
		break
	}
	cancel()
	for range cap(errs) {
		if err := receive(t, errs); !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want canceled", err)
		}
	}
}

// Goal: a closed engine leaves nothing behind: no goroutine, no descriptor.
// Method: engines with everything started that has one, ended by Close while some wait.
func TestCloseLeavesNothing(t *testing.T) {
	count := func() int {
		descriptors, err := os.ReadDir("/proc/self/fd")
		must(t, err)
		return len(descriptors) + runtime.NumGoroutine()
	}
	before := count()
	for range 20 {
		engine, err := Open(Options{Capacity: 16, Ticker: time.Hour, Driver: true})
		must(t, err)
		begin(t, engine, charge("a"), Admitted)
		go func() { _, _ = engine.Begin(context.Background(), charge("a"), Wait()) }()
		go func() { _, _ = engine.NextAttempt(context.Background()) }()
		_, err = engine.AfterFunc(time.Hour, func() {})
		must(t, err)
		waiters(t, engine, 1)
		sleepers(t, engine, 1)
		must(t, engine.Close())
	}
	for deadline := time.Now().Add(soon); count() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d descriptors and goroutines, and %d before", count(), before)
		}
	}
}
