use std::time::Duration;

use super::*;
use crate::convert::{ONCEGATE_ZERO, ONCEGATE_ZERO_F64};

type Change = fn(&mut RawBudget);

const NAME: &str = "search";
const KINDS: [FailureKind; 3] = FailureKind::ALL;

fn blank() -> RawBudget {
    let nothing = Bytes { data: std::ptr::null(), len: 0 };
    RawBudget {
        struct_size: size_of::<RawBudget>(),
        kind: 0,
        preset: 0,
        name: nothing,
        capacity: 0.0,
        cost_transient: 0.0,
        cost_throttled: 0.0,
        cost_timeout: 0.0,
        charge: 0,
        refund_cost: 0,
        threshold: 0.0,
        success: 0.0,
        refill_per_second: 0.0,
        ratio: 0.0,
        min_per_second: 0,
        ttl_ms: 0,
        slices: 0,
        share: 0.0,
        min_retries: 0,
    }
}

fn made(change: impl FnOnce(&mut RawBudget)) -> RetryBudget {
    let mut raw = blank();
    change(&mut raw);
    build(&raw, NAME).expect("in range")
}

/// What a budget does: what is left, what each kind of failure costs, when it refuses, and what
/// comes back; by a program that tells all settings apart.
fn trace(budget: &RetryBudget) -> Vec<Option<f64>> {
    let mut seen = vec![Some(budget.left(Duration::ZERO))];
    for second in 0..40_u64 {
        let now = Duration::from_secs(second);
        let kind = KINDS[second as usize % KINDS.len()];
        match second % 5 {
            0 | 1 => budget.deposit(now).succeeded(now),
            2 => budget.failed_for_good(kind, now),
            _ => {}
        }
        let held: Vec<_> = (0..4).map_while(|_| budget.try_withdraw(kind, now).ok()).collect();
        seen.push(Some(held.len() as f64));
        for (number, mut paid) in held.into_iter().enumerate() {
            seen.push(Some(paid.cost()));
            paid.start();
            if number == 0 { paid.succeeded(now) } else { paid.failed() }
        }
        seen.push(Some(budget.left(now)));
        seen.push(
            budget
                .try_withdraw(kind, now)
                .err()
                .and_then(|refused| refused.refills_in().map(|time| time.as_secs_f64())),
        );
    }
    seen
}

/// Goal: each kind and preset of the header is the engine's of that name, and each field is the
/// setter of that name.
/// Method: one field at a time, for one program that tells them apart, against the engine's own
/// builders; with no field set they differ from each other.
#[test]
fn fields_are_the_builders() {
    let built = |bucket: TokenBucket| bucket.build().expect("in range");
    let plain = || RetryBudget::bucket();
    let buckets: [(Change, TokenBucket); 13] = [
        (|_| {}, plain()),
        (|raw| raw.preset = ONCEGATE_BUCKET_GRPC, RetryBudget::grpc(10, 0.1)),
        (|raw| raw.preset = ONCEGATE_BUCKET_AWS_STANDARD, RetryBudget::aws_standard()),
        (|raw| raw.preset = ONCEGATE_BUCKET_AWS_2026, RetryBudget::aws_2026()),
        (|raw| raw.capacity = 30.0, plain().capacity(30.0)),
        (|raw| raw.cost_transient = 2.5, plain().cost(FailureKind::Transient, 2.5)),
        (|raw| raw.cost_throttled = 7.0, plain().cost(FailureKind::Throttled, 7.0)),
        (|raw| raw.cost_timeout = 9.0, plain().cost(FailureKind::Timeout, 9.0)),
        (|raw| raw.charge = ONCEGATE_CHARGE_FAILURE, plain().charge(Charge::Failure)),
        (|raw| raw.threshold = 40.0, plain().threshold(40.0)),
        (|raw| raw.success = ONCEGATE_ZERO_F64, plain().success(0.0)),
        (|raw| raw.refund_cost = 1, plain().refund_cost(true)),
        (|raw| raw.refill_per_second = 0.25, plain().refill_per_second(0.25)),
    ];
    let mut traces = Vec::new();
    for (change, own) in buckets {
        let trace_of = trace(&made(change));
        assert_eq!(trace_of, trace(&built(own)));
        assert!(!traces.contains(&trace_of), "the program tells settings apart");
        traces.push(trace_of);
    }
    let aws = made(|raw| {
        (raw.preset, raw.refund_cost) = (ONCEGATE_BUCKET_AWS_STANDARD, 2);
        (raw.charge, raw.success) = (ONCEGATE_CHARGE_RETRY, 2.0);
    });
    let own = RetryBudget::aws_standard().refund_cost(false).charge(Charge::Retry).success(2.0);
    assert_eq!(trace(&aws), trace(&built(own)));
    let grpc = made(|raw| {
        (raw.preset, raw.capacity, raw.success) = (ONCEGATE_BUCKET_GRPC, 20.0, 0.5);
        (raw.threshold, raw.charge) = (ONCEGATE_ZERO_F64, ONCEGATE_CHARGE_RETRY);
    });
    let own = RetryBudget::grpc(20, 0.5).threshold(0.0).charge(Charge::Retry);
    assert_eq!(trace(&grpc), trace(&built(own)));
}

/// Goal: as above, for the kinds that are no buckets.
/// Method: as above.
#[test]
fn fields_of_other_kinds_are_the_builders() {
    let (ratio, envoy) = (RetryBudget::finagle, RetryBudget::envoy);
    let ratios: [(Change, RatioBudget); 5] = [
        (|_| {}, ratio()),
        (|raw| raw.ratio = 1.5, ratio().ratio(1.5)),
        (|raw| raw.min_per_second = ONCEGATE_ZERO, ratio().min_per_second(0)),
        (
            |raw| (raw.ttl_ms, raw.min_per_second) = (2_000, 1),
            ratio().ttl(Duration::from_secs(2)).min_per_second(1),
        ),
        (
            |raw| (raw.slices, raw.min_per_second, raw.ratio) = (2, ONCEGATE_ZERO, 3.0),
            ratio().slices(2).min_per_second(0).ratio(3.0),
        ),
    ];
    let mut traces = Vec::new();
    for (change, own) in ratios {
        let given = made(|raw| {
            raw.kind = ONCEGATE_BUDGET_RATIO;
            change(raw);
        });
        let trace_of = trace(&given);
        assert_eq!(trace_of, trace(&own.build().expect("in range")));
        assert!(!traces.contains(&trace_of), "the program tells settings apart");
        traces.push(trace_of);
    }
    let shares: [(Change, ConcurrencyBudget); 4] = [
        (|_| {}, envoy()),
        (|raw| raw.share = 1.0, envoy().share(1.0)),
        (
            |raw| (raw.share, raw.min_retries) = (ONCEGATE_ZERO_F64, 1),
            envoy().share(0.0).min_retries(1),
        ),
        (|raw| raw.min_retries = ONCEGATE_ZERO, envoy().min_retries(0)),
    ];
    for (change, own) in shares {
        let given = made(|raw| {
            raw.kind = ONCEGATE_BUDGET_CONCURRENCY;
            change(raw);
        });
        let own = own.build().expect("in range");
        let firsts = |budget: &RetryBudget| {
            // A deposit that is held is a first attempt under way.
            let held: Vec<_> = (0..20).map(|_| budget.deposit(Duration::ZERO)).collect();
            let left = budget.left(Duration::ZERO);
            drop(held);
            (left, trace(budget))
        };
        assert_eq!(firsts(&given), firsts(&own));
    }
}

/// Goal: a budget is called as it was named, for whoever reads an error.
/// Method: a refusal of a budget with nothing in it.
#[test]
fn names_are_kept() {
    let budget = made(|raw| {
        (raw.kind, raw.min_per_second) = (ONCEGATE_BUDGET_RATIO, ONCEGATE_ZERO);
    });
    let refused = budget.try_withdraw(FailureKind::Transient, Duration::ZERO).unwrap_err();
    assert_eq!(refused.budget(), NAME);
}
