package oncegate

import (
	"slices"
	"strconv"
)

// Judgement is what a result means for its record.
type Judgement uint32

// What a result means for its record.
const (
	// JudgedFinal: it is stored, and duplicates get it inside the dedup window.
	JudgedFinal Judgement = 1
	// JudgedRetryable: it had no effect worth keeping; the next attempt may start.
	JudgedRetryable Judgement = 2
	// JudgedInDoubt: nobody knows whether it took effect; it never runs again until it is resolved.
	JudgedInDoubt Judgement = 3
)

func (j Judgement) String() string {
	switch j {
	case JudgedFinal:
		return "Final"
	case JudgedRetryable:
		return "Retryable"
	case JudgedInDoubt:
		return "InDoubt"
	}
	return "Judgement" + strconv.Itoa(int(j))
}

// OutcomePreset is the published behaviour of a system that users come from.
type OutcomePreset uint32

// Published behaviour.
const (
	// OutcomesIETF: draft-ietf-httpapi-idempotency-key-header. The first result is replayed,
	// success or error; answers that say that the operation did not run (401, 403, 408, 409, 425,
	// 429) and server errors are retried.
	OutcomesIETF OutcomePreset = 0
	// OutcomesStripeV1: every result is replayed once the operation began, 500 too; conflicts and
	// rate limits (409, 429) are no results.
	OutcomesStripeV1 OutcomePreset = 1
	// OutcomesStripeV2: success never repeats, failed work is driven on by the next attempt.
	OutcomesStripeV2 OutcomePreset = 2
	// OutcomesOASIS: Repeatable Requests 1.0. 2xx, 3xx and 4xx are replayed, 5xx runs again.
	OutcomesOASIS OutcomePreset = 3
	// OutcomesIceberg: the REST catalog of Apache Iceberg.
	OutcomesIceberg OutcomePreset = 4
)

// OutcomePolicy decides what a result means, by its status. The zero value is the preset of the
// IETF draft, by which errors, cancellations and panics let the next attempt start.
//
// Where an error does not mean that nothing happened, as after a timeout, set OnError and OnCancel
// to [JudgedInDoubt].
type OutcomePolicy struct {
	Preset OutcomePreset
	// Statuses are judged so, whatever the preset says.
	Statuses map[uint16]Judgement
	// OnError judges an attempt that ended in an error, or in a response that broke off; OnCancel
	// one that ended in an error after its context was done; OnPanic one that panicked. Zero is
	// JudgedRetryable; JudgedFinal is taken for JudgedInDoubt, since there is no outcome to store.
	OnError, OnCancel, OnPanic Judgement
}

// Judge gives the judgement on a status.
func (p *OutcomePolicy) Judge(status uint16) Judgement {
	if judgement, ok := p.Statuses[status]; ok {
		return judgement
	}
	return p.Preset.judge(status)
}

func (p OutcomePreset) judge(status uint16) Judgement {
	var final bool
	switch p {
	case OutcomesStripeV1:
		final = status != 409 && status != 429
	case OutcomesStripeV2:
		final = status < 400
	case OutcomesOASIS:
		final = status < 500
	case OutcomesIceberg:
		final = status == 200 || status == 201 || status == 204 || status >= 400 && status < 500 &&
			!slices.Contains([]uint16{401, 403, 408, 419, 425, 429}, status)
	default:
		final = status < 500 && !slices.Contains([]uint16{401, 403, 408, 409, 425, 429}, status)
	}
	if final {
		return JudgedFinal
	}
	return JudgedRetryable
}

// failure is how an attempt ends that left nothing to store.
func (j Judgement) failure() Failure {
	switch j {
	case JudgedFinal, JudgedInDoubt:
		return InDoubt()
	}
	return Retryable(0)
}
