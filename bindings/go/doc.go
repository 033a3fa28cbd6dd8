// Package oncegate makes a retried request run once.
//
// One record per logical request owns its lease, its outcome and its next attempt: attempt n+1
// does not start until attempt n has ended, or was fenced off. Duplicates get the first outcome,
// wait for it, or are told what is going on. That is "effectively once": a process that dies
// between an effect and the note of it runs again, and what is written elsewhere has to check
// fencing tokens.
//
// # Requests
//
// [Open] opens an [Engine]: a table in memory, of this process or, with a file, of all processes of
// the host. A [Request] is named by scope, operation and key; the payload is compared on every
// duplicate. [Engine.Do] runs work once for all calls with the same request:
//
//	work := func(ctx context.Context, lease *oncegate.Lease) (oncegate.Outcome, error) {
//		receipt, err := bank.Charge(ctx, amount, lease.FencingToken())
//		return oncegate.Outcome{Status: 201, Body: receipt}, err
//	}
//	result, err := engine.Do(ctx, request, work)
//
// [Engine.Begin] is what lies below: it answers with an [Admission], and whoever is admitted ends
// the [Lease]. [Engine.BeginBatch] begins many by one call. [Engine.Middleware] does all of it for
// handlers of net/http, by the IETF draft on the header Idempotency-Key.
//
// # Retries
//
// [Lease.RetryLater] leaves the next attempt to the engine. By a [RetryPolicy], and within a
// [RetryBudget], it is handed out when it is due: by [Engine.NextAttempt], or to the handler of
// [Engine.Work], in any process that shares the table. [Lease.Step] keeps what attempts before
// have finished, [Lease.DownstreamKey] gives keys for calls to other services. What is tried no
// more is a dead letter: [Engine.Letters], [Engine.RedriveLetter]. Records of which nobody knows
// whether they took effect never run again until [Engine.Resolve] or [Engine.Answer] says what
// came of them.
//
// # Waiting
//
// Everything that waits takes a context. A goroutine that waits holds no thread: the library tells
// of what happens by descriptors, which Go's own poller watches. [Engine.AfterFunc] starts timers
// in the engine's timing wheel. A leader whose context is cancelled resolves its record; one who
// waits and leaves changes nothing for the others.
//
// # Errors
//
// What the engine says of a request is a [Verdict]. An error says that the call did not happen: it
// is an [*Error], and errors.Is finds its [Status], such as [ErrFenced] or [ErrFull]. No error and
// no log line holds a key, a payload or a secret.
//
// # Memory
//
// Any goroutine may call anything but a [Batch], which is for one at a time. Bytes that a call is
// given are read during the call, and never kept. [Engine.Close] may be called at any time, and
// more than once: every call after it returns [ErrClosed]. An engine that nobody has any more is
// closed with the garbage.
//
// The package links the library statically: `make go-library` in the checkout builds it. With the
// build tag oncegate_system it links the one that pkg-config finds.
package oncegate
