package oncegate

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// bury leaves a dead letter of an operation, with two attempts and a step.
func bury(t testing.TB, engine *Engine, key, operation, class string) {
	t.Helper()
	lease := begin(t, engine, charge(key), Admitted).Lease
	must(t, lease.FinishStep("reserve", nil))
	_, err := lease.RetryLater(&AttemptError{Class: "503"}, operation, []byte("context of "+key))
	must(t, err)
	must(t, engine.AdvanceClock(time.Second))
	attempts, err := engine.TakeAttempts(1)
	must(t, err)
	later, err := attempts[0].RetryLater(&AttemptError{Class: class})
	must(t, err)
	if later.Buried != BuriedAttempts {
		t.Fatalf("%+v", later)
	}
}

func twice() Options {
	options := manual()
	options.MaxRetrying, options.MaxDeadLetters = 200, 200
	options.RetryPolicy = &RetryPolicy{Backoff: BackoffConstant, MaxAttempts: 2}
	return options
}

// listed gives the letters that a filter lets through, by their contexts.
func listed(t testing.TB, engine *Engine, filter LetterFilter) (contexts []string) {
	t.Helper()
	for letter, err := range engine.Letters(filter) {
		must(t, err)
		contexts = append(contexts, strings.TrimPrefix(string(letter.Context), "context of "))
	}
	slices.Sort(contexts)
	return contexts
}

// Goal: dead letters are listed with what is kept of them, by the filter.
// Method: more than a page of them, of two operations and two classes of errors.
func TestLettersAreListed(t *testing.T) {
	engine := open(t, twice())
	var all, charges, timeouts []string
	for i := range 70 {
		key, operation, class := fmt.Sprintf("%03d", i), "charge", "503"
		if i%2 == 1 {
			operation = "refund"
		} else {
			charges = append(charges, key)
		}
		if i%7 == 0 {
			class = "timeout"
			timeouts = append(timeouts, key)
		}
		all = append(all, key)
		bury(t, engine, key, operation, class)
	}
	// Each a second after the one before, by the clock that stands still in between.
	var middle time.Time
	for letter, err := range engine.Letters(LetterFilter{}) {
		must(t, err)
		if string(letter.Context) == "context of 036" {
			middle = letter.Buried
		}
	}
	for name, want := range map[string]struct {
		filter LetterFilter
		keys   []string
	}{
		"all":       {LetterFilter{}, all},
		"operation": {LetterFilter{Operation: "charge"}, charges},
		"class":     {LetterFilter{Class: "timeout"}, timeouts},
		"reason":    {LetterFilter{Reason: BuriedBudget}, nil},
		"since":     {LetterFilter{Since: middle}, all[36:]},
		"until":     {LetterFilter{Until: middle}, all[:36]},
	} {
		if got := listed(t, engine, want.filter); !slices.Equal(got, want.keys) {
			t.Errorf("%s: %v, want %v", name, got, want.keys)
		}
	}
	for letter, err := range engine.Letters(LetterFilter{Class: "timeout"}) {
		must(t, err)
		if letter.Attempts != 2 || letter.Reason != BuriedAttempts || letter.Class != "timeout" ||
			!slices.Equal(letter.Steps, []string{"reserve"}) || letter.Buried.IsZero() {
			t.Errorf("%+v", letter)
		}
		if text := fmt.Sprintf("%v %+v %#v", letter, letter, letter); strings.Contains(text, "context") {
			t.Errorf("the context is printed: %s", text)
		}
		break
	}
}

// Goal: a dead letter tells its history, runs again when it is redriven, and is gone when it is
// discarded.
// Method: three letters, of which one is redriven, one discarded, and one stays.
func TestLettersEnd(t *testing.T) {
	engine := open(t, twice())
	ids := map[string]LetterID{}
	for _, key := range []string{"a", "b", "c"} {
		bury(t, engine, key, "charge", "timeout")
	}
	for letter, err := range engine.Letters(LetterFilter{}) {
		must(t, err)
		ids[strings.TrimPrefix(string(letter.Context), "context of ")] = letter.ID
	}
	shown, past, err := engine.ShowLetter(ids["a"])
	must(t, err)
	if shown.ID != ids["a"] || len(past) != 2 || past[0].Attempt != 1 || past[0].Class != "503" ||
		past[1].Attempt != 2 || past[1].Class != "timeout" || past[1].End != EndFailed ||
		past[1].FencingToken <= past[0].FencingToken || past[1].Began.IsZero() ||
		past[1].Ended.Before(past[1].Began) {
		t.Errorf("%v, %+v", shown, past)
	}
	must(t, engine.RedriveLetter(ids["a"]))
	attempts, err := engine.TakeAttempts(1)
	must(t, err)
	if len(attempts) != 1 || string(attempts[0].Context) != "context of a" || attempts[0].Lease.Attempt() != 3 {
		t.Fatalf("%v", attempts)
	}
	finish(t, attempts[0].Lease, Outcome{Status: 200})
	must(t, engine.DiscardLetter(ids["b"]))
	for _, key := range []string{"a", "b"} {
		for _, err := range []error{engine.RedriveLetter(ids[key]), engine.DiscardLetter(ids[key])} {
			if !errors.Is(err, ErrNotFound) {
				t.Errorf("%s: %v", key, err)
			}
		}
		if _, _, err := engine.ShowLetter(ids[key]); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v", key, err)
		}
	}
	if got := listed(t, engine, LetterFilter{}); !slices.Equal(got, []string{"c"}) {
		t.Errorf("%v", got)
	}
}

// Goal: letters end together, by the filter and up to a limit.
// Method: redrive two of three of one operation, and discard all of the other.
func TestLettersEndTogether(t *testing.T) {
	engine := open(t, twice())
	for _, key := range []string{"a", "b", "c"} {
		bury(t, engine, key, "charge", "503")
		bury(t, engine, key+key, "refund", "503")
	}
	if count, err := engine.RedriveLetters(LetterFilter{Operation: "charge"}, 2); err != nil || count != 2 {
		t.Errorf("%d, %v", count, err)
	}
	if count, err := engine.DiscardLetters(LetterFilter{Operation: "refund"}, 100); err != nil || count != 3 {
		t.Errorf("%d, %v", count, err)
	}
	if got := listed(t, engine, LetterFilter{}); len(got) != 1 {
		t.Errorf("%v", got)
	}
	if attempts, err := engine.TakeAttempts(10); err != nil || len(attempts) != 2 {
		t.Errorf("%v, %v", attempts, err)
	}
	_, err := engine.DiscardLetters(LetterFilter{}, -1)
	refused(t, err, ErrBadValue, "limit")
}
