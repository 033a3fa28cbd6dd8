//! Token buckets: gRPC's and AWS's rules, thresholds, refunds, and time.

use super::*;

/// Goal: gRPC A6: with `maxTokens` 10 and `tokenRatio` 0.1, retries stop at half of the tokens,
/// and go on above it. Method: failures until 5 tokens are left, then successes one by one.
#[test]
fn grpc_blocks_at_half() {
    let budget = RetryBudget::grpc(10, 0.1).build().expect("valid");
    assert_eq!(allowed(&budget, FailureKind::Transient, START, 10), 4);
    assert_eq!(budget.left(START), 5.0);
    budget.deposit(START).succeeded(START);
    assert_eq!(budget.left(START), 5.1);
    // The failure comes first, and leaves 4.1.
    assert!(!fails(&budget, FailureKind::Transient, START));
    assert_eq!(budget.left(START), 4.1);
    for _ in 0..19 {
        budget.deposit(START).succeeded(START);
    }
    assert_eq!(budget.left(START), 6.0);
    // One failure leaves exactly the threshold, which is not above it.
    let refused = budget.try_withdraw(FailureKind::Throttled, START).expect_err("at half");
    assert_eq!((refused.left(), refused.needed()), (5.0, 6.001));
    assert_eq!(refused.refills_in(), None);
}

/// Goal: each failure costs one token, whether it is retried or not, down to zero, and a
/// push-back not to retry costs one too. Method: more of both than there are tokens.
#[test]
fn grpc_charges_failures() {
    let budget = RetryBudget::grpc(10, 0.5).build().expect("valid");
    budget.failed_for_good(FailureKind::Transient, START);
    assert_eq!(budget.left(START), 9.0);
    // A withdrawal that never starts gives nothing back: the failure has happened.
    drop(budget.try_withdraw(FailureKind::Timeout, START).expect("8 are above 5"));
    assert_eq!(budget.left(START), 8.0);
    for _ in 0..20 {
        let _ = fails(&budget, FailureKind::Transient, START);
    }
    assert_eq!(budget.left(START), 0.0);
    // Every success brings the ratio, with a retry or without, and never more than the tokens.
    budget.deposit(START).succeeded(START);
    assert_eq!(budget.left(START), 0.5);
    for _ in 0..40 {
        budget.deposit(START).succeeded(START);
    }
    assert_eq!(budget.left(START), 10.0);
    budget.try_withdraw(FailureKind::Transient, START).expect("full").succeeded(START);
    assert_eq!(budget.left(START), 9.5);
}

/// Goal: gRPC's limits: `maxTokens` in (0, 1000], `tokenRatio` above zero with three decimals.
/// Method: both sides of each.
#[test]
fn grpc_has_its_limits() {
    let refused = |max, ratio| RetryBudget::grpc(max, ratio).build().expect_err("out of range");
    assert_eq!(refused(0, 0.1).field(), "retry_budget.capacity");
    assert_eq!(refused(1_001, 0.1).field(), "retry_budget.capacity");
    for ratio in [0.0, -1.0, 0.0009, f64::NAN] {
        assert_eq!(refused(10, ratio).field(), "retry_budget.success", "{ratio}");
    }
    let budget = RetryBudget::grpc(1_000, 0.001).build().expect("valid");
    assert!(fails(&budget, FailureKind::Transient, START));
    budget.deposit(START).succeeded(START);
    assert_eq!(budget.left(START), 999.001);
}

/// Goal: of gRPC's `tokenRatio` three decimals count, and the rest is dropped ("0.5466 is treated
/// as 0.546"). Method: what one success brings.
#[test]
fn grpc_drops_the_fourth_decimal() {
    for (ratio, left) in
        [(0.5466, 2.546), (0.5469, 2.546), (0.57, 2.57), (0.0019, 2.001), (0.29, 2.29), (1.0, 3.0)]
    {
        let budget = RetryBudget::grpc(10, ratio).build().expect("valid");
        for _ in 0..8 {
            budget.failed_for_good(FailureKind::Transient, START);
        }
        budget.deposit(START).succeeded(START);
        assert_eq!(budget.left(START), left, "{ratio}");
    }
}

/// Goal: the AWS SDKs' standard mode: 500 tokens, 5 for a retry and 10 after a time-out. Method:
/// as many of each as there are tokens for.
#[test]
fn aws_prices_by_failure() {
    for (kind, retries) in
        [(FailureKind::Transient, 100), (FailureKind::Throttled, 100), (FailureKind::Timeout, 50)]
    {
        let budget = RetryBudget::aws_standard().build().expect("valid");
        assert_eq!(allowed(&budget, kind, START, 1_000), retries, "{kind:?}");
        let refused = budget.try_withdraw(kind, START).expect_err("empty");
        assert_eq!((refused.left(), refused.needed()), (0.0, 500.0 / retries as f64));
    }
    for (kind, cost) in [
        (FailureKind::Transient, 14.0),
        (FailureKind::Timeout, 14.0),
        (FailureKind::Throttled, 5.0),
    ] {
        let budget = RetryBudget::aws_2026().build().expect("valid");
        assert!(fails(&budget, kind, START));
        assert_eq!(budget.left(START), 500.0 - cost, "{kind:?}");
    }
}

/// Goal: a retry that succeeds brings back what it cost, and a success without one brings 1, never
/// above the capacity. Method: two retries of different prices, one success of each kind.
#[test]
fn aws_refunds_the_cost() {
    let budget = RetryBudget::aws_standard().build().expect("valid");
    let retry = |kind| budget.try_withdraw(kind, START).expect("enough");
    let (first, second) = (retry(FailureKind::Timeout), retry(FailureKind::Transient));
    assert_eq!(budget.left(START), 485.0);
    second.succeeded(START);
    assert_eq!(budget.left(START), 490.0);
    first.failed();
    assert_eq!(budget.left(START), 490.0);
    budget.deposit(START).succeeded(START);
    assert_eq!(budget.left(START), 491.0);
    budget.deposit(START).failed();
    for _ in 0..20 {
        budget.deposit(START).succeeded(START);
    }
    assert_eq!(budget.left(START), 500.0);
}

/// Goal: a refusal takes nothing, and a threshold is kept where retries are charged. Method: a
/// bucket of 10 whose retries stop at 4.
#[test]
fn retries_stop_at_the_threshold() {
    let bucket = RetryBudget::bucket().capacity(10.0).threshold(4.0);
    let bucket = bucket.cost(FailureKind::Transient, 3.0).cost(FailureKind::Throttled, 4.5);
    let budget = bucket.build().expect("valid");
    // 10, 7, and 4 is not above 4.
    assert_eq!(allowed(&budget, FailureKind::Transient, START, 9), 2);
    assert_eq!(budget.left(START), 4.0);
    budget.deposit(START).succeeded(START);
    // 5 are above the threshold, and enough for 4.5.
    assert!(fails(&budget, FailureKind::Throttled, START));
    assert_eq!(budget.left(START), 0.5);
}

/// Goal: time brings what it should, not a thousandth more or less, however often somebody looks.
/// Method: a slow rate at every millisecond of 100 s, and once at its end.
#[test]
fn time_brings_tokens_exactly() {
    let bucket = RetryBudget::bucket().capacity(100.0).refill_per_second(0.333);
    let (often, once) = (bucket.clone().build().expect("valid"), bucket.build().expect("valid"));
    for budget in [&often, &once] {
        assert_eq!(allowed(budget, FailureKind::Transient, ms(7), 100), 20);
    }
    for now in 8..=100_007 {
        often.failed_for_good(FailureKind::Transient, ms(now));
        assert!(often.left(ms(now)) <= 33.3);
        // A change of nothing, so that the word is written.
        if let Ok(retry) = often.try_withdraw(FailureKind::Transient, ms(now)) {
            drop(retry);
        }
    }
    assert_eq!(often.left(ms(100_007)), 33.3);
    assert_eq!(once.left(ms(100_007)), 33.3);
    // Never above the capacity, and not for an earlier time.
    assert_eq!(once.left(ms(10_000_000)), 100.0);
    assert_eq!(often.left(ms(50_000)), often.left(ms(100_007)));
}

/// Goal: a refusal says when time has refilled enough, to the millisecond. Method: nothing is
/// allowed one millisecond before, and a retry is then.
#[test]
fn a_refusal_says_when() {
    let bucket = RetryBudget::bucket().capacity(5.0).refill_per_second(0.7);
    let budget = bucket.build().expect("valid");
    // Far from the origin, where an origin of 1970 would be.
    let now = Duration::from_secs(1_800_000_000);
    assert!(fails(&budget, FailureKind::Transient, now));
    let refused = budget.try_withdraw(FailureKind::Transient, now).expect_err("empty");
    let wait = refused.refills_in().expect("time refills it");
    assert!([7_142, 7_143].contains(&wait.as_millis()), "5 / 0.7 s, by the phase: {wait:?}");
    assert!(!fails(&budget, FailureKind::Transient, now + wait - ms(1)));
    assert!(fails(&budget, FailureKind::Transient, now + wait));
}

/// Goal: what no bucket can be is refused by name. Method: each field, out of its range.
#[test]
fn settings_are_checked() {
    let bucket = RetryBudget::bucket;
    for (built, field) in [
        (bucket().capacity(0.999), "retry_budget.capacity"),
        (bucket().capacity(10_000.1), "retry_budget.capacity"),
        (bucket().capacity(f64::NAN), "retry_budget.capacity"),
        (bucket().cost(FailureKind::Timeout, 0.0), "retry_budget.cost"),
        (bucket().cost(FailureKind::Timeout, 101.0), "retry_budget.cost"),
        (bucket().success(-0.1), "retry_budget.success"),
        (bucket().threshold(100.0), "retry_budget.threshold"),
        (bucket().threshold(f64::INFINITY), "retry_budget.threshold"),
        (bucket().refill_per_second(-1.0), "retry_budget.refill_per_second"),
        (bucket().refill_per_second(10_001.0), "retry_budget.refill_per_second"),
        (bucket().name("n".repeat(256)), "retry_budget.name"),
    ] {
        let error = built.build().expect_err(field);
        assert_eq!((error.code(), error.field()), (ErrorCode::InvalidConfig, field));
    }
    assert!(bucket().capacity(10_000.0).refill_per_second(10_000.0).build().is_ok());
}
