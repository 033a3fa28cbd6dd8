package oncegate

/*
#include "crossing.h"

#cgo noescape og_set_operation
static inline oncegate_status og_set_operation(uint64_t engine, const uint8_t *operation,
                                               size_t operation_len,
                                               const oncegate_retry_policy *given,
                                               const uint64_t *delays, size_t delay_count,
                                               uint64_t max_in_flight, oncegate_error *error) {
    oncegate_retry_policy own;
    return oncegate_set_operation(og_engine(engine), og_bytes(operation, operation_len),
                                  og_policy(&own, given, delays, delay_count), max_in_flight,
                                  og_error(error));
}

#cgo noescape og_preview
static inline oncegate_status og_preview(const oncegate_retry_policy *given,
                                         const uint64_t *delays, size_t delay_count, uint64_t seed,
                                         uint64_t *out, size_t capacity, size_t *count,
                                         uint32_t *reason, oncegate_error *error) {
    oncegate_retry_policy own;
    return oncegate_backoff_preview(og_policy(&own, given, delays, delay_count), seed, out,
                                    capacity, count, reason, og_error(error));
}
*/
import "C"

import (
	"strconv"
	"time"
	"unsafe"
)

// RetryPreset is the published policy of a system that users come from.
type RetryPreset uint32

// Published policies.
const (
	// RetryCustom: Backoff and Jitter say it.
	RetryCustom RetryPreset = C.ONCEGATE_POLICY_CUSTOM
	// RetryAWSStandard: full jitter below 1 s, 2 s, 4 s and so on, at most 20 s; 3 attempts.
	RetryAWSStandard RetryPreset = C.ONCEGATE_POLICY_AWS_STANDARD
	// RetryAWS2026: full jitter below 50 ms, 100 ms and so on, at most 20 s; 3 attempts.
	RetryAWS2026 RetryPreset = C.ONCEGATE_POLICY_AWS_2026
	// RetryAWS2026Throttled: the same after throttling, below 1 s, 2 s and so on.
	RetryAWS2026Throttled RetryPreset = C.ONCEGATE_POLICY_AWS_2026_THROTTLED
	// RetryGRPC: gRPC A6 with Initial, Multiplier, Max and MaxAttempts (above 5: 5).
	RetryGRPC RetryPreset = C.ONCEGATE_POLICY_GRPC
	// RetryGRPCExample: gRPC A6 with the values of its example.
	RetryGRPCExample RetryPreset = C.ONCEGATE_POLICY_GRPC_EXAMPLE
	// RetryResilience4j: its random exponential interval from 500 ms on; 3 attempts.
	RetryResilience4j RetryPreset = C.ONCEGATE_POLICY_RESILIENCE4J
	// RetryPollyV8: exponential with jitter, a base of 2 s, no ceiling; 4 attempts.
	RetryPollyV8 RetryPreset = C.ONCEGATE_POLICY_POLLY_V8
	// RetryCelery: Task.retry, 180 s each time; 4 attempts.
	RetryCelery RetryPreset = C.ONCEGATE_POLICY_CELERY
	// RetryCeleryBackoff: full jitter below 1 s, 2 s and so on, at most 600 s; 4 attempts.
	RetryCeleryBackoff RetryPreset = C.ONCEGATE_POLICY_CELERY_BACKOFF
)

// Backoff is how delays grow.
type Backoff uint32

// How delays grow.
const (
	// BackoffExponential: retry k after Initial times Multiplier to the power of k - 1.
	BackoffExponential Backoff = C.ONCEGATE_BACKOFF_EXPONENTIAL
	// BackoffLinear: retry k after Initial and k - 1 times Increment.
	BackoffLinear Backoff = C.ONCEGATE_BACKOFF_LINEAR
	// BackoffConstant: each retry after Initial.
	BackoffConstant Backoff = C.ONCEGATE_BACKOFF_CONSTANT
	// BackoffList: retry k after number k of Delays, of which the last one is repeated.
	BackoffList Backoff = C.ONCEGATE_BACKOFF_LIST
)

// Jitter is how delays are drawn, so that clients that failed together do not meet again.
type Jitter uint32

// How delays are drawn.
const (
	// JitterNone: the delay as the backoff names it.
	JitterNone Jitter = C.ONCEGATE_JITTER_NONE
	// JitterFull: from nothing to the whole delay.
	JitterFull Jitter = C.ONCEGATE_JITTER_FULL
	// JitterEqual: one half of the delay, and a draw from nothing to the other half.
	JitterEqual Jitter = C.ONCEGATE_JITTER_EQUAL
	// JitterDecorrelated: from the first delay to three times the one before; for
	// BackoffExponential.
	JitterDecorrelated Jitter = C.ONCEGATE_JITTER_DECORRELATED
	// JitterProportional: JitterShare of the delay to either side.
	JitterProportional Jitter = C.ONCEGATE_JITTER_PROPORTIONAL
	// JitterDecorrelatedV2: the formula of Polly v8; for BackoffExponential.
	JitterDecorrelatedV2 Jitter = C.ONCEGATE_JITTER_DECORRELATED_V2
)

// RetryPolicy says when to try again, and when to stop. Its zero value: exponential from 1 s on,
// doubled up to 120 s, without jitter, 3 attempts in all. Beside a Preset the fields down to Delays
// stay zero ([RetryGRPC] says which of them it takes); all others take the place of what it says.
type RetryPolicy struct {
	Preset  RetryPreset
	Backoff Backoff
	Jitter  Jitter
	// JitterShare of JitterProportional, above 0 and at most 1; default 0.2, as gRPC has it.
	JitterShare float64
	// Multiplier of BackoffExponential, 1 to 1,000; default 2.
	Multiplier float64
	// Initial is the first delay, at most ten years, as all delays; default 1 s. [Zero] is zero.
	Initial time.Duration
	// Increment of BackoffLinear; default 1 s.
	Increment time.Duration
	// Max: no delay is longer, jitter included; default 120 s for BackoffExponential and
	// BackoffLinear, and otherwise no ceiling.
	Max time.Duration
	// Delays of BackoffList, 1 to 1,024; zeros are zero here.
	Delays []time.Duration

	// MaxAttempts there are, the first one included; default 3, or the preset's.
	MaxAttempts int
	// Deadline is how long all attempts and delays may take together, at most ten years; default:
	// no deadline.
	Deadline time.Duration
	// Expected is how long an attempt takes, until that has been measured; default: nothing.
	Expected time.Duration
	// AttemptTimeout is how long one attempt may run, at most a year; default: the engine's lease.
	AttemptTimeout time.Duration
	// IgnoreHints ignores what a server says about retrying.
	IgnoreHints bool
	// HintMin: a server's hint that is shorter counts as this long; default: zero.
	HintMin time.Duration
	// HintMax: one that is longer counts as this long; default: an hour.
	HintMax time.Duration
	// HintBeyondDrawn: a hint lengthens the delay that was drawn by at most this, and never
	// shortens it. Default: no such limit, and it may shorten it; 5 s with RetryAWS2026 and its
	// like.
	HintBeyondDrawn time.Duration
}

// raw gives the policy for C, and its delays beside it. Nil stays nil.
func (p *RetryPolicy) raw(prefix string) (*C.oncegate_retry_policy, []C.uint64_t, error) {
	if p == nil {
		return nil, nil, nil
	}
	var n numbers
	raw := &C.oncegate_retry_policy{
		preset:               C.uint32_t(p.Preset),
		backoff:              C.uint32_t(p.Backoff),
		jitter:               C.uint32_t(p.Jitter),
		jitter_share:         C.double(p.JitterShare),
		multiplier:           C.double(p.Multiplier),
		initial_ms:           n.msOrZero(prefix+"initial", p.Initial),
		increment_ms:         n.msOrZero(prefix+"increment", p.Increment),
		max_ms:               n.msOrZero(prefix+"max", p.Max),
		max_attempts:         n.small(prefix+"max_attempts", p.MaxAttempts),
		deadline_ms:          n.msOrZero(prefix+"deadline", p.Deadline),
		expected_ms:          n.msOrZero(prefix+"expected", p.Expected),
		attempt_timeout_ms:   n.msOrZero(prefix+"attempt_timeout", p.AttemptTimeout),
		ignore_hints:         flag(p.IgnoreHints),
		hint_min_ms:          n.msOrZero(prefix+"hint_min", p.HintMin),
		hint_max_ms:          n.msOrZero(prefix+"hint_max", p.HintMax),
		hint_beyond_drawn_ms: n.msOrZero(prefix+"hint_beyond_drawn", p.HintBeyondDrawn),
	}
	delays := make([]C.uint64_t, len(p.Delays))
	for i, delay := range p.Delays {
		delays[i] = n.ms(prefix+"delays", delay)
	}
	return raw, delays, n.err
}

// SetOperation sets how attempts of an operation are retried, in this process, and how many of them
// are handed out at a time; zero: no limit. The operation is that of [Lease.RetryLater]; nil is the
// engine's own policy. What was set before for the operation is replaced. At most 1,024 operations
// have settings.
func (e *Engine) SetOperation(operation string, policy *RetryPolicy, maxInFlight int) error {
	var n numbers
	most := n.count("max_in_flight", maxInFlight)
	if n.err != nil {
		return n.err
	}
	raw, delays, err := policy.raw("")
	if err != nil {
		return err
	}
	var why C.oncegate_error
	return e.failure(C.og_set_operation(e.handle, textData(operation), C.size_t(len(operation)), raw,
		unsafe.SliceData(delays), C.size_t(len(delays)), most, &why), &why)
}

// Preview gives the delays before attempts 2, 3 and so on of a request all of whose attempts fail
// at once and bring no hint, at most so many, and why there are no more; [BuriedNone] where only
// most ended them. The same seed gives the same delays.
func (p RetryPolicy) Preview(seed uint64, most int) ([]time.Duration, BuriedReason, error) {
	var n numbers
	n.count("most", most)
	if n.err != nil {
		return nil, 0, n.err
	}
	raw, given, err := p.raw("")
	if err != nil {
		return nil, 0, err
	}
	out := make([]C.uint64_t, most)
	var count C.size_t
	var reason C.uint32_t
	var why C.oncegate_error
	status := C.og_preview(raw, unsafe.SliceData(given), C.size_t(len(given)), C.uint64_t(seed),
		unsafe.SliceData(out), C.size_t(most), &count, &reason, &why)
	if status != C.ONCEGATE_OK {
		return nil, 0, failure(status, &why)
	}
	delays := make([]time.Duration, count)
	for i := range delays {
		delays[i] = duration(uint64(out[i]))
	}
	return delays, BuriedReason(reason), nil
}

// BuriedReason is why there is no next attempt.
type BuriedReason uint32

// Why there is no next attempt.
const (
	// BuriedNone: it is tried again.
	BuriedNone BuriedReason = C.ONCEGATE_BURIED_NONE
	// BuriedAttempts: as many attempts failed, or lapsed, as the policy allows.
	BuriedAttempts BuriedReason = C.ONCEGATE_BURIED_ATTEMPTS
	// BuriedDeadline: no further attempt fits before the policy's deadline.
	BuriedDeadline BuriedReason = C.ONCEGATE_BURIED_DEADLINE
	// BuriedBudget: a retry budget was spent.
	BuriedBudget BuriedReason = C.ONCEGATE_BURIED_BUDGET
	// BuriedFinalError: the error was terminal, or the service said not to retry.
	BuriedFinalError BuriedReason = C.ONCEGATE_BURIED_FINAL_ERROR
	// BuriedLapsed: its last attempt lapsed, and no limit ended it.
	BuriedLapsed BuriedReason = C.ONCEGATE_BURIED_LAPSED
)

var buriedNames = [...]string{
	BuriedNone:       "None",
	BuriedAttempts:   "Attempts",
	BuriedDeadline:   "Deadline",
	BuriedBudget:     "Budget",
	BuriedFinalError: "FinalError",
	BuriedLapsed:     "Lapsed",
}

func (r BuriedReason) String() string {
	if int(r) < len(buriedNames) {
		return buriedNames[r]
	}
	return "Buried" + strconv.Itoa(int(r))
}
