package oncegate_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/oncegate/oncegate/bindings/go"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func ExampleEngine_Do() {
	engine, err := oncegate.Open(oncegate.Options{})
	must(err)
	defer engine.Close()

	request := oncegate.Request{
		Scope:     oncegate.Tenant("acme"),
		Operation: "POST /charges",
		Key:       "order-1042",
		Payload:   oncegate.JSON([]byte(`{"amount": 100}`)),
	}
	charge := func(_ context.Context, lease *oncegate.Lease) (oncegate.Outcome, error) {
		fmt.Println("charging, attempt", lease.Attempt())
		return oncegate.Outcome{Status: 201, Body: []byte("receipt 7")}, nil
	}
	for range 2 {
		result, err := engine.Do(context.Background(), request, charge)
		must(err)
		fmt.Printf("%s, executed here: %v\n", result.Outcome.Body, result.Executed)
	}

	request.Payload = oncegate.JSON([]byte(`{"amount": 200}`))
	_, err = engine.Do(context.Background(), request, charge)
	var declined *oncegate.Declined
	fmt.Println(errors.As(err, &declined) && declined.Verdict == oncegate.Mismatched)
	// Output:
	// charging, attempt 1
	// receipt 7, executed here: true
	// receipt 7, executed here: false
	// true
}

func ExampleEngine_Begin() {
	engine, err := oncegate.Open(oncegate.Options{})
	must(err)
	defer engine.Close()

	request := oncegate.Request{
		Scope: oncegate.SingleTenant, Operation: "send mail", Key: "newsletter-7/anna",
	}
	first, err := engine.Begin(context.Background(), request)
	must(err)
	fmt.Println(first.Verdict, first.Lease.How())

	second, err := engine.Begin(context.Background(), request)
	must(err)
	fmt.Println(second.Verdict)

	_, err = first.Lease.Complete(oncegate.Outcome{Status: 200, Body: []byte("sent")})
	must(err)
	third, err := engine.Begin(context.Background(), request)
	must(err)
	fmt.Printf("%v: %s\n", third.Verdict, third.Outcome.Body)

	// The lease has ended: whoever still holds it changes nothing.
	fmt.Println(errors.Is(first.Lease.Abandon(), oncegate.ErrFenced))
	// Output:
	// Admitted Created
	// InProgress
	// Replayed: sent
	// true
}

func ExampleEngine_BeginBatch() {
	engine, err := oncegate.Open(oncegate.Options{})
	must(err)
	defer engine.Close()

	var batch oncegate.Batch
	for _, message := range []string{"m-1", "m-2", "m-1"} {
		batch.Add(oncegate.Request{
			Scope: oncegate.SingleTenant, Operation: "consume", Key: message,
		})
	}
	must(engine.BeginBatch(&batch))
	for i := range batch.Len() {
		admission, err := batch.Answer(i)
		must(err)
		fmt.Println(admission.Verdict)
	}
	// Output:
	// Admitted
	// Admitted
	// InProgress
}

func ExampleEngine_Middleware() {
	engine, err := oncegate.Open(oncegate.Options{})
	must(err)
	defer engine.Close()
	middleware, err := engine.Middleware(oncegate.MiddlewareOptions{SingleTenant: true})
	must(err)
	charges := 0
	server := httptest.NewServer(middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		charges++
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, "charge %d", charges)
	})))
	defer server.Close()

	send := func(key, body string) {
		request, err := http.NewRequest("POST", server.URL+"/charges", strings.NewReader(body))
		must(err)
		if key != "" {
			request.Header.Set("Idempotency-Key", key)
		}
		response, err := http.DefaultClient.Do(request)
		must(err)
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		must(err)
		switch {
		case response.Header.Get("Content-Type") == "application/problem+json":
			fmt.Println(response.StatusCode)
		case response.Header.Get("Idempotent-Replayed") == "true":
			fmt.Println(response.StatusCode, string(text), "(replayed)")
		default:
			fmt.Println(response.StatusCode, string(text))
		}
	}
	send(`"order-1042"`, "100")
	send(`"order-1042"`, "100")
	send(`"order-1042"`, "200")
	send("", "100")
	// Output:
	// 201 charge 1
	// 201 charge 1 (replayed)
	// 422
	// 400
}

func ExampleEngine_Work() {
	engine, err := oncegate.Open(oncegate.Options{
		RetryPolicy: &oncegate.RetryPolicy{
			Backoff: oncegate.BackoffConstant, Initial: 10 * time.Millisecond,
		},
	})
	must(err)
	defer engine.Close()
	ctx, stop := context.WithCancel(context.Background())

	request := oncegate.Request{
		Scope: oncegate.SingleTenant, Operation: "deliver", Key: "webhook-9",
	}
	_, err = engine.Do(ctx, request, func(context.Context, *oncegate.Lease) (oncegate.Outcome, error) {
		return oncegate.Outcome{}, &oncegate.AttemptError{Class: "refused"}
	}, oncegate.LeaveTo("deliver", []byte("https://example.com/hook")))
	fmt.Println(err)

	err = engine.Work(ctx, 4, func(_ context.Context, attempt *oncegate.Attempt) (oncegate.Outcome, error) {
		fmt.Printf("attempt %d: %s %s\n", attempt.Lease.Attempt(), attempt.Operation, attempt.Context)
		stop()
		return oncegate.Outcome{Status: 200}, nil
	})
	fmt.Println(err)

	again, err := engine.Begin(context.Background(), request)
	must(err)
	fmt.Println(again.Verdict, again.Outcome.Status)
	// Output:
	// oncegate: the attempt failed: refused
	// attempt 2: deliver https://example.com/hook
	// context canceled
	// Replayed 200
}

func ExampleLease_Step() {
	engine, err := oncegate.Open(oncegate.Options{})
	must(err)
	defer engine.Close()
	request := oncegate.Request{
		Scope: oncegate.SingleTenant, Operation: "order", Key: "order-1042",
	}
	failed := false
	order := func(ctx context.Context, lease *oncegate.Lease) (oncegate.Outcome, error) {
		receipt, err := lease.Step(ctx, "charge", func(context.Context) ([]byte, error) {
			fmt.Println("charging")
			return []byte("receipt 7"), nil
		})
		if err != nil {
			return oncegate.Outcome{}, err
		}
		if !failed {
			failed = true
			return oncegate.Outcome{}, errors.New("no parcel service answers")
		}
		fmt.Println("shipping")
		return oncegate.Outcome{Status: 200, Body: receipt}, nil
	}
	for range 2 {
		result, err := engine.Do(context.Background(), request, order)
		fmt.Println(result.Attempt, err)
	}
	// Output:
	// charging
	// 1 no parcel service answers
	// shipping
	// 2 <nil>
}

func ExampleEngine_Letters() {
	engine, err := oncegate.Open(oncegate.Options{})
	must(err)
	defer engine.Close()
	admission, err := engine.Begin(context.Background(), oncegate.Request{
		Scope: oncegate.SingleTenant, Operation: "deliver", Key: "webhook-9",
	})
	must(err)
	failed := &oncegate.AttemptError{Class: "410", Terminal: true}
	later, err := admission.Lease.RetryLater(failed, "deliver", nil)
	must(err)
	fmt.Println(later.Buried)

	for letter, err := range engine.Letters(oncegate.LetterFilter{Operation: "deliver"}) {
		must(err)
		fmt.Println(letter.Class, letter.Attempts)
		must(engine.RedriveLetter(letter.ID))
	}
	attempt, err := engine.NextAttempt(context.Background())
	must(err)
	fmt.Println(attempt.Lease.Attempt())
	// Output:
	// FinalError
	// 410 1
	// 2
}

func ExampleEngine_AfterFunc() {
	engine, err := oncegate.Open(oncegate.Options{})
	must(err)
	defer engine.Close()
	done := make(chan struct{})
	_, err = engine.AfterFunc(10*time.Millisecond, func() {
		fmt.Println("10 ms are over")
		close(done)
	})
	must(err)
	timer, err := engine.AfterFunc(time.Hour, func() { fmt.Println("an hour is over") })
	must(err)
	<-done
	fmt.Println(timer.Stop())
	// Output:
	// 10 ms are over
	// true
}
