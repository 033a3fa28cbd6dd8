package oncegate

import (
	"context"
	"errors"
	"strconv"
	"sync"
)

// Handler runs an attempt that is due. Its context is done when the worker's is, and when its lease
// lapses or is lost.
type Handler func(ctx context.Context, attempt *Attempt) (Outcome, error)

// Work hands attempts to a handler as they become due, to so many goroutines at most, until ctx is
// done or the engine is closed. It returns why, after all handlers have returned.
//
// What the handler returns is judged as by [Engine.Do]; [JudgeBy] and [RenewEvery] are meant for
// both. After an error, an outcome that is to be retried, or a panic, the next attempt is left to
// the engine, with the same operation and context: return an *[AttemptError] to say more about it.
// A handler that ends with an error because its worker is being stopped has its attempt given back:
// another worker gets it at once.
//
// An attempt may run as long as its lease lasts: by the policy's AttemptTimeout, or else by
// Options.LeaseDuration. With [RenewEvery] its lease is renewed instead. Where the engine does not
// take what came of an attempt, it lapses, and is handed out again.
func (e *Engine) Work(
	ctx context.Context, goroutines int, handler Handler, options ...DoOption,
) error {
	if goroutines < 1 {
		found := "found " + strconv.Itoa(goroutines)
		return refusal(ErrBadSize, "goroutines", found+"; limit: at least 1")
	}
	asked := doOptions{renewal: -1}
	for _, option := range options {
		option(&asked)
	}
	why := make([]error, goroutines)
	var workers sync.WaitGroup
	for i := range why {
		workers.Add(1)
		go func() {
			defer workers.Done()
			why[i] = e.workOn(ctx, handler, asked)
		}()
	}
	workers.Wait()
	for _, err := range why {
		if !errors.Is(err, ErrClosed) {
			return err
		}
	}
	return why[0]
}

// workOn is one of the goroutines of Work.
func (e *Engine) workOn(ctx context.Context, handler Handler, asked doOptions) error {
	for {
		attempt, err := e.NextAttempt(ctx)
		if err != nil {
			return err
		}
		e.handOver(ctx, attempt, handler, asked)
	}
}

// handOver runs one attempt.
func (e *Engine) handOver(ctx context.Context, attempt *Attempt, handler Handler, asked doOptions) {
	asked.later = &later{attempt.Operation, attempt.Context, true}
	work := func(inside context.Context, _ *Lease) (Outcome, error) {
		if asked.renewal < 0 {
			var cancel context.CancelFunc
			inside, cancel = context.WithTimeout(inside, attempt.Lease.Lasts())
			defer cancel()
		}
		return handler(inside, attempt)
	}
	// Its error was told the engine, or is the engine's: then the attempt lapses.
	_, _ = e.execute(ctx, attempt.Lease, work, &asked)
}
