package oncegate

/*
#include "crossing.h"

#cgo noescape og_judge
#cgo nocallback og_judge
static inline oncegate_status og_judge(uint32_t policy, uint32_t status, uint32_t *judgement) {
    return oncegate_judge(policy, status, judgement, NULL);
}
*/
import "C"

import "strconv"

// Judgement is what a result means for its record.
type Judgement uint32

// What a result means for its record.
const (
	// JudgedFinal: it is stored, and duplicates get it inside the dedup window.
	JudgedFinal Judgement = C.ONCEGATE_JUDGED_FINAL
	// JudgedRetryable: it had no effect worth keeping; the next attempt may start.
	JudgedRetryable Judgement = C.ONCEGATE_JUDGED_RETRYABLE
	// JudgedInDoubt: nobody knows whether it took effect; it never runs again until it is resolved.
	JudgedInDoubt Judgement = C.ONCEGATE_JUDGED_UNKNOWN
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
	OutcomesIETF OutcomePreset = C.ONCEGATE_OUTCOMES_IETF
	// OutcomesStripeV1: every result is replayed once the operation began, 500 too; conflicts and
	// rate limits (409, 429) are no results.
	OutcomesStripeV1 OutcomePreset = C.ONCEGATE_OUTCOMES_STRIPE_V1
	// OutcomesStripeV2: success never repeats, failed work is driven on by the next attempt.
	OutcomesStripeV2 OutcomePreset = C.ONCEGATE_OUTCOMES_STRIPE_V2
	// OutcomesOASIS: Repeatable Requests 1.0. 2xx, 3xx and 4xx are replayed, 5xx runs again.
	OutcomesOASIS OutcomePreset = C.ONCEGATE_OUTCOMES_OASIS
	// OutcomesIceberg: the REST catalog of Apache Iceberg.
	OutcomesIceberg OutcomePreset = C.ONCEGATE_OUTCOMES_ICEBERG
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

// judge asks the library, whose rules are those of every language. A number that is no preset
// judges everything in doubt.
func (p OutcomePreset) judge(status uint16) Judgement {
	var judgement C.uint32_t
	if C.og_judge(C.uint32_t(p), C.uint32_t(status), &judgement) != C.ONCEGATE_OK {
		return JudgedInDoubt
	}
	return Judgement(judgement)
}

// failure is how an attempt ends that left nothing to store.
func (j Judgement) failure() Failure {
	switch j {
	case JudgedFinal, JudgedInDoubt:
		return InDoubt()
	}
	return Retryable(0)
}
