//! Budgets of concurrent retries: Envoy's rule.

use super::*;

/// Goal: Envoy's defaults: three retries at once, or a fifth of what is active. Method: retries
/// beside none, ten and a hundred first attempts.
#[test]
fn envoy_allows_a_fifth_and_three() {
    for (firsts, retries) in [(0, 3), (10, 3), (20, 4), (100, 24)] {
        let budget = RetryBudget::envoy().build().expect("valid");
        let firsts: Vec<_> = (0..firsts).map(|_| budget.deposit(START)).collect();
        let retry = |_| budget.try_withdraw(FailureKind::Transient, START).ok();
        let held: Vec<_> = (0..1_000).map_while(retry).collect();
        assert_eq!(held.len(), retries, "beside {}", firsts.len());
        // The retries are active themselves: a fifth of 124 is 24, and a little.
        assert_eq!(budget.left(START), 0.0);
    }
}

/// Goal: whatever ends makes room, however it ends. Method: each end of a retry and of a first
/// attempt.
#[test]
fn every_end_makes_room() {
    let budget = RetryBudget::envoy().min_retries(1).build().expect("valid");
    let retry = || budget.try_withdraw(FailureKind::Timeout, START);
    let ends: [fn(Withdrawal); 4] = [
        |retry| retry.succeeded(START),
        Withdrawal::failed,
        drop,
        |mut retry| {
            retry.start();
            drop(retry);
        },
    ];
    for end in ends {
        let held = retry().expect("room for one");
        let refused = retry().expect_err("one at a time");
        assert_eq!((refused.needed(), refused.left(), refused.refills_in()), (1.0, 0.0, None));
        end(held);
    }
    let ten: Vec<_> = (0..10).map(|_| budget.deposit(START)).collect();
    assert_eq!(budget.left(START), 2.0);
    for (at, deposit) in ten.into_iter().enumerate() {
        match at % 3 {
            0 => deposit.succeeded(START),
            1 => deposit.failed(),
            _ => drop(deposit),
        }
    }
    assert_eq!(budget.left(START), 1.0);
}

/// Goal: no retries at all can be asked for, and a share is checked. Method: both.
#[test]
fn settings_are_checked() {
    let none = RetryBudget::envoy().share(0.0).min_retries(0).build().expect("valid");
    assert!(none.try_withdraw(FailureKind::Transient, START).is_err());
    for share in [-0.1, 1.001, f64::NAN] {
        let error = RetryBudget::envoy().share(share).build().expect_err("out of range");
        assert_eq!(error.field(), "retry_budget.share");
    }
}
