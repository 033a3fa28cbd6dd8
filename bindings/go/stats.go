package oncegate

/*
#include "crossing.h"

#cgo noescape og_stats
static inline oncegate_status og_stats(uint64_t engine, oncegate_stats *stats,
                                       oncegate_error *error) {
    stats->struct_size = sizeof *stats;
    return oncegate_engine_stats(og_engine(engine), stats, og_error(error));
}
*/
import "C"

import "time"

// Latency are quantiles of one call in 1,024; zero: no sample yet.
type Latency struct {
	P50, P99, P999 time.Duration
}

// Stats are counts of this process since the engine was opened, and levels of the table.
type Stats struct {
	Begun           uint64 // requests that were begun
	Created         uint64 // records that were made
	Reused          uint64 // requests that met a record
	Expired         uint64 // attempts after a window that was over, or a lease that had lapsed
	Retried         uint64 // attempts after a failed one
	Replayed        uint64 // duplicates that got the outcome
	InProgress      uint64 // duplicates that met a running attempt
	Scheduled       uint64 // duplicates that came before the next attempt was due
	Mismatched      uint64 // duplicates with another payload
	Unresolved      uint64 // duplicates of a record in doubt
	OutcomeGone     uint64 // duplicates of a record whose outcome is gone
	Fenced          uint64 // calls that were refused by the fencing token
	Lapsed          uint64 // leases that lapsed
	Completed       uint64 // attempts that were completed
	EvictedExpired  uint64 // records that gave way when their window was over
	EvictedEarly    uint64 // records that gave way before
	OutcomesEvicted uint64 // outcomes that gave way to others
	Full            uint64 // requests that found no room
	Quota           uint64 // requests that a quota refused
	Waiters         uint64 // callers that wait
	HandOffs        uint64 // attempts that were handed over to a waiter

	LiveRunning   uint64 // records that run
	LiveWaiting   uint64 // records that wait for their next attempt
	LiveSucceeded uint64 // records that succeeded
	LiveFailed    uint64 // records that failed for good
	LiveInDoubt   uint64 // records of which nobody knows whether they took effect

	RetriesScheduled uint64 // attempts that were put off
	RetriesWaiting   uint64 // records that the engine retries now
	RetriesReady     uint64 // attempts that are ready for workers
	RetriesInFlight  uint64 // attempts that workers run
	DeadLetters      uint64 // dead letters that are there
	Buried           uint64 // dead letters that were made
	Redriven         uint64 // dead letters that were driven again
	Discarded        uint64 // dead letters that were discarded
	LettersLost      uint64 // dead letters that found no room
	Stuck            uint64 // transitions that stand still

	Bytes         uint64  // memory of the table
	Fill          float64 // live records as a share of the capacity
	OutcomeFill   float64 // outcomes as a share of their room
	BackoffFactor float64 // the factor of adaptive backoff; zero: it is off

	Begin       Latency // how long beginning takes
	Complete    Latency // how long completing takes
	DispatchLag Latency // how long after they were due attempts are handed out
}

// Stats gives the statistics. It sums over all threads of the process: some microseconds, and a
// look at every slot now and then.
func (e *Engine) Stats() (Stats, error) {
	var raw C.oncegate_stats
	var why C.oncegate_error
	if status := C.og_stats(e.handle, &raw, &why); status != C.ONCEGATE_OK {
		return Stats{}, e.failure(status, &why)
	}
	return Stats{
		Begun:            uint64(raw.begun),
		Created:          uint64(raw.created),
		Reused:           uint64(raw.reused),
		Expired:          uint64(raw.expired),
		Retried:          uint64(raw.retried),
		Replayed:         uint64(raw.replayed),
		InProgress:       uint64(raw.in_progress),
		Scheduled:        uint64(raw.scheduled),
		Mismatched:       uint64(raw.mismatched),
		Unresolved:       uint64(raw.unresolved),
		OutcomeGone:      uint64(raw.outcome_gone),
		Fenced:           uint64(raw.fenced),
		Lapsed:           uint64(raw.lapsed),
		Completed:        uint64(raw.completed),
		EvictedExpired:   uint64(raw.evicted_expired),
		EvictedEarly:     uint64(raw.evicted_early),
		OutcomesEvicted:  uint64(raw.outcomes_evicted),
		Full:             uint64(raw.full),
		Quota:            uint64(raw.quota),
		Waiters:          uint64(raw.waiters),
		HandOffs:         uint64(raw.hand_offs),
		LiveRunning:      uint64(raw.live_running),
		LiveWaiting:      uint64(raw.live_waiting),
		LiveSucceeded:    uint64(raw.live_succeeded),
		LiveFailed:       uint64(raw.live_failed),
		LiveInDoubt:      uint64(raw.live_unknown),
		RetriesScheduled: uint64(raw.retries_scheduled),
		RetriesWaiting:   uint64(raw.retries_waiting),
		RetriesReady:     uint64(raw.retries_ready),
		RetriesInFlight:  uint64(raw.retries_in_flight),
		DeadLetters:      uint64(raw.dead_letters),
		Buried:           uint64(raw.buried),
		Redriven:         uint64(raw.redriven),
		Discarded:        uint64(raw.discarded),
		LettersLost:      uint64(raw.letters_lost),
		Stuck:            uint64(raw.stuck),
		Bytes:            uint64(raw.bytes),
		Fill:             float64(raw.fill),
		OutcomeFill:      float64(raw.outcome_fill),
		BackoffFactor:    float64(raw.backoff_factor),
		Begin:            latency(raw.begin),
		Complete:         latency(raw.complete),
		DispatchLag:      latency(raw.dispatch_lag),
	}, nil
}

func latency(raw C.oncegate_latency) Latency {
	return Latency{
		P50:  time.Duration(raw.p50_ns),
		P99:  time.Duration(raw.p99_ns),
		P999: time.Duration(raw.p999_ns),
	}
}
