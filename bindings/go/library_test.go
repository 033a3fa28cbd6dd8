package oncegate

import (
	"errors"
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
