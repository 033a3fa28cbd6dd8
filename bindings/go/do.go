package oncegate

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"
)

// Work is what [Engine.Do] runs once: an attempt, which its lease numbers and fences. Its context
// is done when the caller's is, and when the lease is lost; the cause tells which.
type Work func(ctx context.Context, lease *Lease) (Outcome, error)

// Result is what [Engine.Do] gives.
type Result struct {
	Outcome Outcome
	// Executed says that the work ran in this call; otherwise the outcome is a replay.
	Executed bool
	// Judgement is what the outcome means: unless it is JudgedFinal, the work may run again.
	Judgement Judgement
	// Attempt is the one that ran in this call.
	Attempt uint32
	// Later is what becomes of a request whose next attempt was left to the engine; see LeaveTo.
	Later *Later
}

// Declined is the error of a [Engine.Do] that neither ran its work nor has an outcome: use
// errors.As, and look at the verdict.
type Declined struct {
	Admission
}

func (d *Declined) Error() string {
	return "oncegate: " + d.Verdict.String() + ": " + d.Verdict.text()
}

// DoOption says how a request is done.
type DoOption func(*doOptions)

type doOptions struct {
	begin   beginOptions
	policy  OutcomePolicy
	renewal time.Duration
	later   *later
}

// later is what the engine is left a next attempt with.
type later struct {
	operation string
	context   []byte
	// handed says that it was the engine that handed this attempt out.
	handed bool
}

// BeginWith sets how the request is begun. Do waits as long as its context lasts, unless one of
// these says otherwise.
func BeginWith(options ...BeginOption) DoOption {
	return func(o *doOptions) {
		for _, option := range options {
			option(&o.begin)
		}
	}
}

// JudgeBy sets what outcomes, errors, cancellations and panics mean.
func JudgeBy(policy OutcomePolicy) DoOption {
	return func(o *doOptions) { o.policy = policy }
}

// RenewEvery sets how often the lease is renewed while the work runs; default: three times while
// it lasts. Negative: never, and work that takes longer than its lease is fenced.
func RenewEvery(period time.Duration) DoOption {
	return func(o *doOptions) { o.renewal = period }
}

// LeaveTo leaves the attempts after a failed one to the engine: by its retry policy they are handed
// to whoever asks [Engine.NextAttempt], or to [Engine.Work], with this operation and this context.
// Default: the next attempt is for whoever asks next for the same request.
func LeaveTo(operation string, context []byte) DoOption {
	return func(o *doOptions) { o.later = &later{operation: operation, context: context} }
}

// Do runs work once for all calls with this request: the others wait for its outcome, and get it.
//
// The lease is renewed while the work runs. What it returns is judged by the policy: a final
// outcome is stored; after any other, and after an error, a cancellation or a panic, the next
// attempt may start, unless the policy leaves the request in doubt. If some wait, exactly one of
// them becomes that attempt. The record is resolved when the work returns or panics, never by
// lapse; work that ignores its context keeps it as long as it runs, since another attempt must not
// overlap it.
//
// The error is that of the work, a *[Declined] where there is no outcome to be had, an *[Error] of
// the engine, or the cause of a context that was done while it waited. With [ErrFenced] the outcome
// is not given: the lease was lost, and the attempt that took over decides.
func (e *Engine) Do(
	ctx context.Context, request Request, work Work, options ...DoOption,
) (Result, error) {
	asked := doOptions{begin: beginOptions{wait: waiting{asked: true}}}
	for _, option := range options {
		option(&asked)
	}
	admission, err := e.Begin(ctx, request, func(o *beginOptions) { *o = asked.begin })
	if err != nil {
		return Result{}, err
	}
	switch admission.Verdict {
	case Admitted:
		return e.execute(ctx, admission.Lease, work, &asked)
	case Replayed:
		return Result{Outcome: admission.Outcome, Judgement: JudgedFinal}, nil
	}
	return Result{}, &Declined{admission}
}

// execute runs an attempt, and ends it.
func (e *Engine) execute(
	ctx context.Context, lease *Lease, work Work, asked *doOptions,
) (Result, error) {
	inside, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	keeper := e.keep(lease, asked, cancel)
	result := Result{Executed: true, Attempt: lease.Attempt()}
	returned := false
	defer func() {
		keeper.stop()
		if !returned {
			// By a panic, or runtime.Goexit.
			_ = asked.fail(lease, asked.policy.OnPanic, &AttemptError{Class: "panic"}, &result)
		}
	}()
	outcome, err := work(inside, lease)
	returned = true
	keeper.stop()
	if err != nil {
		result.Judgement = asked.policy.judgeError(ctx)
		var ended error
		if asked.isStopped(ctx) && result.Judgement == JudgedRetryable {
			// That is no failure of the attempt's: another worker gets it at once.
			ended = lease.Abandon()
		} else {
			ended = asked.fail(lease, result.Judgement, attemptError(err), &result)
		}
		if ended != nil {
			err = errors.Join(err, ended)
		}
		return result, err
	}
	result.Judgement = asked.policy.Judge(outcome.Status)
	if result.Judgement == JudgedFinal {
		_, err = lease.Complete(outcome)
	} else {
		err = asked.fail(lease, result.Judgement, outcome.failed(), &result)
	}
	if err == nil {
		result.Outcome = outcome
	}
	return result, err
}

// isStopped tells that a worker is being stopped.
func (o *doOptions) isStopped(ctx context.Context) bool {
	return o.later != nil && o.later.handed && ctx.Err() != nil
}

// fail ends an attempt that left nothing to store.
func (o *doOptions) fail(
	lease *Lease, judgement Judgement, failed *AttemptError, result *Result,
) error {
	if judgement == 0 {
		judgement = JudgedRetryable
	}
	if o.later == nil || judgement != JudgedRetryable {
		return lease.Fail(judgement.failure())
	}
	told, err := lease.RetryLater(failed, o.later.operation, o.later.context)
	if err == nil {
		result.Later = &told
	}
	return err
}

// failed is what a response that is to be retried tells the history: its status, by HTTP's numbers.
func (o *Outcome) failed() *AttemptError {
	failed := &AttemptError{Class: strconv.Itoa(int(o.Status)), Outcome: o}
	switch o.Status {
	case http.StatusTooManyRequests:
		failed.Kind = KindThrottled
	case http.StatusRequestTimeout, http.StatusGatewayTimeout:
		failed.Kind = KindTimeout
	}
	return failed
}

// judgeError judges an attempt that ended in an error.
func (p *OutcomePolicy) judgeError(ctx context.Context) Judgement {
	judgement := p.OnError
	if ctx.Err() != nil {
		judgement = p.OnCancel
	}
	if judgement == 0 {
		return JudgedRetryable
	}
	return judgement
}
