package oncegate

/*
#include "crossing.h"

#cgo noescape og_set_engine_budget
static inline oncegate_status og_set_engine_budget(uint64_t engine, const oncegate_budget *given,
                                                   const uint8_t *name, size_t name_len,
                                                   oncegate_error *error) {
    oncegate_budget own = *given;
    own.struct_size = sizeof own;
    own.name = og_bytes(name, name_len);
    return oncegate_set_retry_budget(og_engine(engine), &own, og_error(error));
}

#cgo noescape og_set_operation_budget
static inline oncegate_status og_set_operation_budget(uint64_t engine, const uint8_t *operation,
                                                      size_t operation_len,
                                                      const oncegate_budget *given,
                                                      const uint8_t *name, size_t name_len,
                                                      oncegate_error *error) {
    oncegate_budget own = *given;
    own.struct_size = sizeof own;
    own.name = og_bytes(name, name_len);
    return oncegate_set_operation_budget(og_engine(engine), og_bytes(operation, operation_len),
                                         &own, og_error(error));
}

#cgo noescape og_set_scope_budget
static inline oncegate_status og_set_scope_budget(uint64_t engine, uint32_t scope_kind,
                                                  const uint8_t *scope, size_t scope_len,
                                                  const oncegate_budget *given,
                                                  const uint8_t *name, size_t name_len,
                                                  oncegate_error *error) {
    oncegate_budget own = *given;
    own.struct_size = sizeof own;
    own.name = og_bytes(name, name_len);
    return oncegate_set_scope_budget(og_engine(engine), scope_kind, og_bytes(scope, scope_len),
                                     &own, og_error(error));
}

#cgo noescape og_remove_scope_budget
static inline oncegate_status og_remove_scope_budget(uint64_t engine, uint32_t scope_kind,
                                                     const uint8_t *scope, size_t scope_len,
                                                     oncegate_error *error) {
    return oncegate_remove_scope_budget(og_engine(engine), scope_kind, og_bytes(scope, scope_len),
                                        og_error(error));
}
*/
import "C"

import "time"

// BudgetKind is how a retry budget counts.
type BudgetKind uint32

// How a retry budget counts.
const (
	// BudgetBucket: tokens, which retries or failures take, and successes and time bring.
	BudgetBucket BudgetKind = C.ONCEGATE_BUDGET_BUCKET
	// BudgetRatio: a share of the first attempts of the last seconds, as Finagle has it.
	BudgetRatio BudgetKind = C.ONCEGATE_BUDGET_RATIO
	// BudgetConcurrency: a share of the requests under way, as Envoy has it.
	BudgetConcurrency BudgetKind = C.ONCEGATE_BUDGET_CONCURRENCY
)

// BucketPreset is the published bucket of a system that users come from.
type BucketPreset uint32

// Published buckets.
const (
	// BucketPlain: 100 tokens; a retry costs 5, a success brings 1, time brings nothing.
	BucketPlain BucketPreset = C.ONCEGATE_BUCKET_PLAIN
	// BucketGRPC: gRPC A6. A failure costs 1, and no retries while half of the tokens or less are
	// there. Capacity is maxTokens, a whole number up to 1,000, and Success is tokenRatio; 10 and
	// 0.1 by default.
	BucketGRPC BucketPreset = C.ONCEGATE_BUCKET_GRPC
	// BucketAWSStandard: 500 tokens; a retry costs 5, after a time-out 10; one that succeeds brings
	// back what it cost, and a success without a retry brings 1.
	BucketAWSStandard BucketPreset = C.ONCEGATE_BUCKET_AWS_STANDARD
	// BucketAWS2026: the same, but a retry costs 14, and after throttling 5.
	BucketAWS2026 BucketPreset = C.ONCEGATE_BUCKET_AWS_2026
)

// BudgetCharge is what a bucket charges for; zero: as the preset has it.
type BudgetCharge uint32

// What a bucket charges for.
const (
	// ChargeRetry: a retry that is allowed takes tokens.
	ChargeRetry BudgetCharge = C.ONCEGATE_CHARGE_RETRY
	// ChargeFailure: each failure that could be retried does, whether it is or not.
	ChargeFailure BudgetCharge = C.ONCEGATE_CHARGE_FAILURE
)

// BudgetRefund is what a retry that succeeds brings back; zero: as the preset has it.
type BudgetRefund uint32

// What a retry that succeeds brings back.
const (
	// RefundCost: what it cost.
	RefundCost BudgetRefund = 1
	// RefundSuccess: Success, as every success.
	RefundSuccess BudgetRefund = 2
)

// RetryBudget limits retries, so that they do not bury what is failing already. Zeros are the
// defaults of its kind and preset, [Zero] is zero itself; what is for another kind stays zero.
// Tokens and shares have three decimals.
type RetryBudget struct {
	Kind BudgetKind
	// Name is what errors call it: at most 255 bytes of UTF-8.
	Name string

	// Preset, and all down to RefillPerSecond, are for BudgetBucket.
	Preset BucketPreset
	// Capacity is how many tokens there are at the start and at most, 1 to 10,000.
	Capacity float64
	// CostTransient, CostThrottled and CostTimeout are what a retry costs after an error of that
	// kind, 0.001 to the capacity.
	CostTransient, CostThrottled, CostTimeout float64
	// Charge is what takes tokens.
	Charge BudgetCharge
	// Refund is what a retry that succeeds brings back.
	Refund BudgetRefund
	// Threshold: no retries while that many tokens or fewer are there, below the capacity.
	Threshold float64
	// Success is how many tokens a success brings, up to the capacity.
	Success float64
	// RefillPerSecond is how many tokens time brings, 0.001 to 10,000; default: none.
	RefillPerSecond float64

	// Ratio of BudgetRatio: retries for each first attempt, 0 to 1,000; default 0.2.
	Ratio float64
	// MinPerSecond retries are always allowed by BudgetRatio, at most 1,000,000; default 10.
	MinPerSecond int
	// TTL is how long attempts count for BudgetRatio, 1 to 60 s; default 10 s.
	TTL time.Duration
	// Slices is into how many that time is cut, 2 to 60; default 10.
	Slices int

	// Share of BudgetConcurrency: of requests under way that may be retries, 0 to 1; default 0.2.
	Share float64
	// MinRetries are always allowed at once by BudgetConcurrency; default 3.
	MinRetries int
}

func (b *RetryBudget) raw() (C.oncegate_budget, error) {
	var n numbers
	raw := C.oncegate_budget{
		kind:              C.uint32_t(b.Kind),
		preset:            C.uint32_t(b.Preset),
		capacity:          C.double(b.Capacity),
		cost_transient:    C.double(b.CostTransient),
		cost_throttled:    C.double(b.CostThrottled),
		cost_timeout:      C.double(b.CostTimeout),
		charge:            C.uint32_t(b.Charge),
		refund_cost:       C.uint32_t(b.Refund),
		threshold:         C.double(b.Threshold),
		success:           C.double(b.Success),
		refill_per_second: C.double(b.RefillPerSecond),
		ratio:             C.double(b.Ratio),
		min_per_second:    n.countOrZero("retry_budget.min_per_second", b.MinPerSecond),
		ttl_ms:            n.msOrZero("retry_budget.ttl", b.TTL),
		slices:            n.countOrZero("retry_budget.slices", b.Slices),
		share:             C.double(b.Share),
		min_retries:       n.countOrZero("retry_budget.min_retries", b.MinRetries),
	}
	return raw, n.err
}

// SetRetryBudget sets the retry budget of all attempts of this engine, in this process, in place of
// the one that there is. It starts full.
func (e *Engine) SetRetryBudget(budget RetryBudget) error {
	raw, err := budget.raw()
	if err != nil {
		return err
	}
	var why C.oncegate_error
	return e.failure(C.og_set_engine_budget(e.handle, &raw, textData(budget.Name),
		C.size_t(len(budget.Name)), &why), &why)
}

// SetOperationBudget sets the retry budget of an operation, in this process: of the requests that
// begin under this name, and of what [Lease.RetryLater] leaves to the engine under it. At most
// 1,024 scopes and operations have budgets.
func (e *Engine) SetOperationBudget(operation string, budget RetryBudget) error {
	raw, err := budget.raw()
	if err != nil {
		return err
	}
	var why C.oncegate_error
	return e.failure(C.og_set_operation_budget(e.handle, textData(operation),
		C.size_t(len(operation)), &raw, textData(budget.Name), C.size_t(len(budget.Name)), &why),
		&why)
}

// SetScopeBudget sets the retry budget of a scope, in this process.
func (e *Engine) SetScopeBudget(scope Scope, budget RetryBudget) error {
	raw, err := budget.raw()
	if err != nil {
		return err
	}
	var why C.oncegate_error
	return e.failure(C.og_set_scope_budget(e.handle, scope.kind, textData(scope.name),
		C.size_t(len(scope.name)), &raw, textData(budget.Name), C.size_t(len(budget.Name)), &why),
		&why)
}

// RemoveScopeBudget takes the retry budget of a scope away, if it has one. What the engine and the
// operation may spend holds all the same.
func (e *Engine) RemoveScopeBudget(scope Scope) error {
	var why C.oncegate_error
	return e.failure(C.og_remove_scope_budget(e.handle, scope.kind, textData(scope.name),
		C.size_t(len(scope.name)), &why), &why)
}
