package oncegate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// doubt leaves a record in doubt, with a context or without one.
func doubt(t testing.TB, engine *Engine, key string, retried bool) uint64 {
	t.Helper()
	lease := begin(t, engine, charge(key), Admitted).Lease
	if retried {
		_, err := lease.RetryLater(&AttemptError{Class: "503"}, "charge", []byte("context of "+key))
		must(t, err)
		must(t, engine.AdvanceClock(time.Second))
		attempts, err := engine.TakeAttempts(1)
		must(t, err)
		lease = attempts[0].Lease
	}
	must(t, lease.Fail(InDoubt()))
	return lease.FencingToken()
}

func asked() Options {
	options := everySecond()
	options.Reconcile = true
	return options
}

// questions asks until there are so many: the engine looks at a part of the table at a time.
func questions(t testing.TB, engine *Engine, n int) []Question {
	t.Helper()
	var all []Question
	for range 1_000 {
		some, err := engine.Questions(1_000)
		must(t, err)
		if all = append(all, some...); len(all) >= n {
			return all
		}
	}
	t.Fatalf("%d questions, want %d", len(all), n)
	return nil
}

// Goal: records in doubt are asked about, and end by the answer.
// Method: one for each answer; those that are still unknown come again, later, by the same number.
func TestDoubtsAreAskedAbout(t *testing.T) {
	engine := open(t, asked())
	answers := map[string]Resolution{
		"done":    HasSucceeded(Outcome{Status: 201, Body: []byte("it did")}),
		"failed":  HasFailed(Outcome{Status: 402}),
		"again":   RunAgain(),
		"unknown": StillUnknown(),
		"":        HasSucceeded(Outcome{Status: 200}),
	}
	tokens := map[string]uint64{}
	for key := range answers {
		tokens[key] = doubt(t, engine, "key "+key, key != "")
	}
	for _, question := range questions(t, engine, len(answers)) {
		key := strings.TrimPrefix(string(question.Context), "context of key ")
		operation, attempt := "charge", uint32(2)
		if key == "" {
			operation, attempt = "", 1
		}
		if question.Operation != operation || question.Attempt != attempt || question.FencingToken != tokens[key] {
			t.Errorf("%s: %+v", key, question)
		}
		if text := fmt.Sprintf("%v %+v %#v", question, question, question); strings.Contains(text, "of key") {
			t.Errorf("the context is printed: %s", text)
		}
		must(t, engine.Answer(question.ID, answers[key]))
		if err := engine.Answer(question.ID, answers[key]); key != "unknown" && !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: a second answer: %v", key, err)
		}
	}
	for key, status := range map[string]uint16{"done": 201, "failed": 402, "": 200} {
		if got := begin(t, engine, charge("key "+key), Replayed).Outcome.Status; got != status {
			t.Errorf("%s: %d", key, got)
		}
	}
	begin(t, engine, charge("key unknown"), Unresolved)
	if attempts, err := engine.TakeAttempts(10); err != nil || len(attempts) != 1 ||
		string(attempts[0].Context) != "context of key again" {
		t.Errorf("%v, %v", attempts, err)
	}
}

// Goal: a question that is not answered comes again, by the same number.
// Method: it is told that nobody knows; after the time it comes once more.
func TestQuestionsComeAgain(t *testing.T) {
	engine := open(t, asked())
	doubt(t, engine, "a", true)
	first := questions(t, engine, 1)[0]
	must(t, engine.Answer(first.ID, StillUnknown()))
	begin(t, engine, charge("a"), Unresolved)
	for range 10 {
		if some, err := engine.Questions(10_000); err != nil || len(some) != 0 {
			t.Fatalf("%v, %v: asked again at once", some, err)
		}
	}
	must(t, engine.AdvanceClock(10*time.Second))
	if again := questions(t, engine, 1)[0]; again.ID != first.ID || again.FencingToken != first.FencingToken {
		t.Errorf("%+v, first %+v", again, first)
	}
	plain := open(t, manual())
	if _, err := plain.Questions(1); !errors.Is(err, ErrBadValue) {
		t.Errorf("%v: the engine was not opened for it", err)
	}
}

// Goal: Reconcile asks until its context is done; an error leaves the record in doubt.
// Method: the first answer is an error, the second ends the doubt.
func TestReconcileAsks(t *testing.T) {
	engine := open(t, asked())
	token := doubt(t, engine, "a", true)
	ctx, cancel := context.WithCancel(context.Background())
	asked, ended := make(chan Question), make(chan error, 1)
	times := 0
	go func() {
		ended <- engine.Reconcile(ctx, time.Millisecond, func(_ context.Context, question Question) (Resolution, error) {
			asked <- question
			if times++; times == 1 {
				return Resolution{}, errors.New("the bank does not answer")
			}
			return HasSucceeded(Outcome{Status: 201}), nil
		})
	}()
	if question := receive(t, asked); question.FencingToken != token {
		t.Errorf("%+v", question)
	}
	for deadline := time.Now().Add(soon); ; {
		must(t, engine.AdvanceClock(time.Second))
		select {
		case <-asked:
		default:
			if time.Now().After(deadline) {
				t.Fatal("it is not asked about again")
			}
			continue
		}
		break
	}
	for deadline := time.Now().Add(soon); ; {
		admission, err := engine.Begin(ctx, charge("a"))
		must(t, err)
		if admission.Verdict == Replayed {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%v", admission.Verdict)
		}
	}
	cancel()
	if err := receive(t, ended); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	refused(t, engine.Reconcile(ctx, 0, nil), ErrBadValue, "every")
}
