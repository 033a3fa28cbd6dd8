package oncegate_test

import (
	"time"

	"github.com/oncegate/oncegate/bindings/go"
)

// What vectors name of retries.
var (
	retryPresets = map[string]oncegate.RetryPreset{
		"CUSTOM": oncegate.RetryCustom, "AWS_STANDARD": oncegate.RetryAWSStandard,
		"AWS_2026": oncegate.RetryAWS2026, "AWS_2026_THROTTLED": oncegate.RetryAWS2026Throttled,
		"GRPC": oncegate.RetryGRPC, "GRPC_EXAMPLE": oncegate.RetryGRPCExample,
		"RESILIENCE4J": oncegate.RetryResilience4j, "CELERY": oncegate.RetryCelery,
		"CELERY_BACKOFF": oncegate.RetryCeleryBackoff,
	}
	backoffs = map[string]oncegate.Backoff{
		"EXPONENTIAL": oncegate.BackoffExponential, "LINEAR": oncegate.BackoffLinear,
		"CONSTANT": oncegate.BackoffConstant, "LIST": oncegate.BackoffList,
	}
	jitters = map[string]oncegate.Jitter{
		"NONE": oncegate.JitterNone, "FULL": oncegate.JitterFull, "EQUAL": oncegate.JitterEqual,
		"DECORRELATED": oncegate.JitterDecorrelated,
		"PROPORTIONAL": oncegate.JitterProportional,
	}
	reasons = map[oncegate.BuriedReason]string{
		oncegate.BuriedNone: "NONE", oncegate.BuriedAttempts: "ATTEMPTS",
		oncegate.BuriedDeadline: "DEADLINE", oncegate.BuriedBudget: "BUDGET",
		oncegate.BuriedFinalError: "FINAL_ERROR", oncegate.BuriedLapsed: "LAPSED",
	}
	kinds = map[string]oncegate.ErrorKind{
		"TRANSIENT": oncegate.KindTransient, "THROTTLED": oncegate.KindThrottled,
		"TIMEOUT": oncegate.KindTimeout,
	}
	budgetKinds = map[string]oncegate.BudgetKind{
		"BUCKET": oncegate.BudgetBucket, "RATIO": oncegate.BudgetRatio,
		"CONCURRENCY": oncegate.BudgetConcurrency,
	}
	buckets = map[string]oncegate.BucketPreset{
		"PLAIN": oncegate.BucketPlain, "GRPC": oncegate.BucketGRPC,
		"AWS_STANDARD": oncegate.BucketAWSStandard, "AWS_2026": oncegate.BucketAWS2026,
	}
)

func readPolicy(given fields) *oncegate.RetryPolicy {
	policy := &oncegate.RetryPolicy{
		Preset:          choose("preset", given.textOr("preset", "CUSTOM"), retryPresets),
		Backoff:         choose("backoff", given.textOr("backoff", "EXPONENTIAL"), backoffs),
		Jitter:          choose("jitter", given.textOr("jitter", "NONE"), jitters),
		JitterShare:     given.realOrZero("jitter_share"),
		Multiplier:      given.realOrZero("multiplier"),
		Initial:         given.msOrZero("initial_ms"),
		Increment:       given.msOrZero("increment_ms"),
		Max:             given.msOrZero("max_ms"),
		MaxAttempts:     given.size("max_attempts"),
		Deadline:        given.msOrZero("deadline_ms"),
		Expected:        given.msOrZero("expected_ms"),
		AttemptTimeout:  given.msOrZero("attempt_timeout_ms"),
		IgnoreHints:     given.flag("ignore_hints"),
		HintMax:         given.msOrZero("hint_max_ms"),
		HintBeyondDrawn: given.msOrZero("hint_beyond_drawn_ms"),
	}
	for _, delay := range given.list("delays_ms") {
		ms := time.Duration(asNumber("delays_ms", delay))
		policy.Delays = append(policy.Delays, ms*time.Millisecond)
	}
	given.finish("policy")
	return policy
}

func preview(step, expect fields) error {
	policy := readPolicy(step.object("policy"))
	delays, reason, err := policy.Preview(step.number("seed"), step.size("most"))
	if err != nil {
		return err
	}
	if expect.has("delays_ms") {
		expected := expect.list("delays_ms")
		if len(expected) != len(delays) {
			fail("delays_ms: expected %v, found %v", expected, delays)
		}
		for at, one := range expected {
			if asNumber("delays_ms", one) != uint64(millis(delays[at])) {
				fail("delays_ms: expected %v, found %v", expected, delays)
			}
		}
	}
	expect.same("reason", reasons[reason])
	return nil
}

func (r *run) retryLater(step, expect fields) error {
	lease := r.lease(step)
	failed := &oncegate.AttemptError{
		Class:    step.textOr("error_class", "503"),
		Kind:     choose("kind", step.textOr("kind", "TRANSIENT"), kinds),
		Terminal: step.flag("terminal"),
	}
	after := step.ms("hint_after_ms")
	failed.Hint = choose("hint", step.textOr("hint", "NONE"), map[string]oncegate.Hint{
		"NONE": {}, "AFTER": oncegate.HintAfter(after), "REFUSED": oncegate.HintRefused(),
	})
	if step.has("outcome_status") {
		outcome := readOutcome(step)
		failed.Outcome = &outcome
	}
	operation := step.textOr("operation", "charge")
	data, _ := step.bytes("context")
	later, err := lease.RetryLater(failed, operation, []byte(data))
	if err != nil {
		return err
	}
	if later.Buried == oncegate.BuriedNone {
		expect.same("later", "SCHEDULED")
		expect.same("next_attempt", later.NextAttempt)
		expect.same("due_in_ms", millis(later.DueIn))
	} else {
		expect.same("later", "BURIED")
		expect.same("reason", reasons[later.Buried])
	}
	return nil
}

func (r *run) nextAttempt(step, expect fields) error {
	lease, fence := step.text("lease"), step.text("fence")
	attempts, err := r.engine.TakeAttempts(1)
	if err != nil {
		return err
	}
	expect.same("found", len(attempts) == 1)
	if len(attempts) == 1 {
		attempt := attempts[0]
		expect.same("attempt", attempt.Lease.Attempt())
		expect.same("remaining_ms", millis(attempt.Lease.Lasts()))
		expect.same("operation", attempt.Operation)
		if data, there := expect.bytes("context"); there && data != string(attempt.Context) {
			fail("context: expected %q, found %q", data, attempt.Context)
		}
		r.keep(lease, fence, attempt.Lease)
	}
	return nil
}

func (r *run) setBudget(step fields) error {
	given := step.object("budget")
	budget := oncegate.RetryBudget{
		Kind:            choose("kind", given.text("kind"), budgetKinds),
		Preset:          choose("preset", given.textOr("preset", "PLAIN"), buckets),
		Capacity:        given.realOrZero("capacity"),
		Success:         given.realOrZero("success"),
		CostTransient:   given.realOrZero("cost_transient"),
		CostThrottled:   given.realOrZero("cost_throttled"),
		CostTimeout:     given.realOrZero("cost_timeout"),
		RefillPerSecond: given.realOrZero("refill_per_second"),
		Ratio:           given.realOrZero("ratio"),
		MinPerSecond:    given.sizeOrZero("min_per_second"),
		TTL:             given.msOrZero("ttl_ms"),
		Slices:          given.sizeOrZero("slices"),
		Share:           given.realOrZero("share"),
		MinRetries:      given.sizeOrZero("min_retries"),
	}
	given.finish("budget")
	level, scope, operation := step.text("level"), step.text("scope"), step.text("operation")
	switch level {
	case "ENGINE":
		return r.engine.SetRetryBudget(budget)
	case "OPERATION":
		return r.engine.SetOperationBudget(operation, budget)
	case "SCOPE":
		return r.engine.SetScopeBudget(oncegate.Tenant(scope), budget)
	}
	fail("level: there is no %s", level)
	return nil
}
