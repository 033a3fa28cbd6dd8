package oncegate

/*
#include "crossing.h"
*/
import "C"

import (
	"strconv"
	"time"
)

// Verdict is what the engine says of a request. It is an answer, not an error.
type Verdict uint32

// The answers.
const (
	// Admitted: the caller runs it, and ends the lease.
	Admitted Verdict = C.ONCEGATE_ADMITTED
	// Replayed: it has finished inside its dedup window, and here is its outcome.
	Replayed Verdict = C.ONCEGATE_REPLAYED
	// InProgress: another attempt holds the lease.
	InProgress Verdict = C.ONCEGATE_IN_PROGRESS
	// Scheduled: it failed, and its next attempt is not due yet.
	Scheduled Verdict = C.ONCEGATE_SCHEDULED
	// Mismatched: the same key came with another payload.
	Mismatched Verdict = C.ONCEGATE_MISMATCHED
	// Unresolved: nobody knows whether the last attempt took effect.
	Unresolved Verdict = C.ONCEGATE_UNRESOLVED
	// OutcomeGone: it has finished, but its stored bytes are gone. It is not run again.
	OutcomeGone Verdict = C.ONCEGATE_OUTCOME_GONE
)

var verdictNames = [...]string{
	Admitted:    "Admitted",
	Replayed:    "Replayed",
	InProgress:  "InProgress",
	Scheduled:   "Scheduled",
	Mismatched:  "Mismatched",
	Unresolved:  "Unresolved",
	OutcomeGone: "OutcomeGone",
}

func (v Verdict) String() string {
	if int(v) < len(verdictNames) && verdictNames[v] != "" {
		return verdictNames[v]
	}
	return "Verdict" + strconv.Itoa(int(v))
}

// text explains the verdict in a sentence.
func (v Verdict) text() string {
	switch v {
	case InProgress:
		return "another attempt holds the lease"
	case Scheduled:
		return "its next attempt is not due yet"
	case Mismatched:
		return "the same key came with another payload"
	case Unresolved:
		return "nobody knows whether the last attempt took effect"
	case OutcomeGone:
		return "it has finished, but its outcome was not kept"
	}
	return "it may run, or has run"
}

// Admission is the answer to a request. Verdict says which of the other fields mean something.
type Admission struct {
	Verdict Verdict
	// Lease is the right to run the attempt, with Admitted: whoever gets it ends it.
	Lease *Lease
	// Outcome is what the request left, with Replayed.
	Outcome Outcome
	// Attempt is the attempt that was admitted, that runs, or that is to come; from 1 on.
	Attempt uint32
	// After is how long the lease lasts (Admitted, InProgress), or until the next attempt is due
	// (Scheduled).
	After time.Duration
}

// How says why an attempt was admitted.
type How uint32

// Why an attempt was admitted.
const (
	// Created: there was no record; it is the first run.
	Created How = C.ONCEGATE_HOW_CREATED
	// Retried: the attempt before failed, or was handed over.
	Retried How = C.ONCEGATE_HOW_RETRIED
	// Expired: the record's window was over, or the lease before had lapsed.
	Expired How = C.ONCEGATE_HOW_EXPIRED
)

func (h How) String() string {
	switch h {
	case Created:
		return "Created"
	case Retried:
		return "Retried"
	case Expired:
		return "Expired"
	}
	return "How" + strconv.Itoa(int(h))
}

// put makes an answer of C's. The outcome lies in buffer, and keeps its memory.
func (a *Admission) put(e *Engine, told *C.oncegate_admission, buffer []byte) {
	a.Verdict = Verdict(told.verdict)
	a.Attempt = uint32(told.attempt)
	a.After = duration(uint64(told.time_ms))
	switch a.Verdict {
	case Admitted:
		a.Lease = e.leaseOf(told)
	case Replayed:
		a.Outcome.put(buffer, &told.outcome)
	}
}
