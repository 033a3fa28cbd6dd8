//! Ratio budgets: Finagle's rule, and what its slices do at their edges.

use proptest::prelude::*;

use super::*;

const KIND: FailureKind = FailureKind::Transient;

fn deposits(budget: &RetryBudget, now: Duration, count: usize) {
    (0..count).for_each(|_| budget.deposit(now).failed());
}

/// Goal: Finagle's defaults: a fifth of the first attempts of ten seconds, and ten a second beside
/// that. Method: 100 retries without any deposit, then one for five deposits.
#[test]
fn finagle_allows_a_fifth_and_ten_a_second() {
    let budget = RetryBudget::finagle().build().expect("valid");
    assert_eq!(allowed(&budget, KIND, START, 1_000), 100);
    deposits(&budget, ms(500), 4);
    assert!(!fails(&budget, KIND, ms(500)));
    deposits(&budget, ms(500), 1);
    assert!(fails(&budget, KIND, ms(500)));
    deposits(&budget, ms(900), 500);
    assert_eq!(allowed(&budget, FailureKind::Timeout, ms(900), 1_000), 100);
}

/// Goal: deposits are forgotten when they are as old as the time-to-live. Method: they still count
/// in the last of its slices, and not in the next.
#[test]
fn deposits_expire() {
    let budget = RetryBudget::finagle().min_per_second(0).build().expect("valid");
    deposits(&budget, ms(1_200), 50);
    assert_eq!(budget.left(ms(1_200)), 10.0);
    assert!(fails(&budget, KIND, ms(9_000)));
    assert_eq!(budget.left(ms(10_999)), 9.0);
    assert_eq!(budget.left(ms(11_000)), 0.0);
    assert!(!fails(&budget, KIND, ms(11_000)));
}

/// Goal: withdrawals are forgotten too, so that the minimum a second comes back. Method: all of it
/// at once, and again a time-to-live later.
#[test]
fn the_minimum_comes_back() {
    let budget = RetryBudget::finagle().min_per_second(2).build().expect("valid");
    assert_eq!(allowed(&budget, KIND, ms(3_300), 100), 20);
    let refused = budget.try_withdraw(KIND, ms(3_300)).expect_err("all taken");
    assert_eq!(refused.refills_in(), Some(ms(9_700)));
    assert!(!fails(&budget, KIND, ms(12_999)));
    assert_eq!(allowed(&budget, KIND, ms(13_000), 100), 20);
}

/// Goal: a refusal says when slices that expire leave enough, or that none will. Method: two
/// withdrawals in different slices; a deposit that allows the second expires first.
#[test]
fn a_refusal_says_when() {
    let ratio = RetryBudget::finagle().ratio(1.0).min_per_second(1).ttl(ms(2_000)).slices(4);
    let budget = ratio.build().expect("valid");
    deposits(&budget, ms(0), 1);
    assert_eq!(allowed(&budget, KIND, ms(600), 9), 3);
    let refused = budget.try_withdraw(KIND, ms(1_100)).expect_err("all taken");
    // The deposit goes at 2 s, which leaves less; the withdrawals go at 2.5 s.
    assert_eq!(refused.refills_in(), Some(ms(1_400)));
    assert!(!fails(&budget, KIND, ms(2_499)));
    assert!(fails(&budget, KIND, ms(2_500)));
    let none = RetryBudget::finagle().min_per_second(0).build().expect("valid");
    assert_eq!(none.try_withdraw(KIND, START).expect_err("empty").refills_in(), None);
}

/// Goal: a retry that never starts counts nowhere, whenever it is dropped. Method: dropped in its
/// slice, in a later one, and when its time is over; each time what is left is as if it had never
/// been.
#[test]
fn dropped_withdrawals_count_nowhere() {
    for dropped_at in [300, 1_700, 9_999, 10_000, 25_000] {
        let ratio = RetryBudget::finagle().min_per_second(1);
        let (budget, other) = (ratio.clone().build().expect("valid"), ratio.build().expect("ok"));
        let held = budget.try_withdraw(KIND, ms(300)).expect("ten are allowed");
        let mut now = 300;
        for step in [0, 900, 1_400, 3_000, 6_000, 9_000, 12_000] {
            if now <= dropped_at && dropped_at < 300 + step {
                break;
            }
            now = 300 + step;
            assert_eq!(fails(&budget, KIND, ms(now)), fails(&other, KIND, ms(now)));
        }
        drop(held);
        for now in (dropped_at.max(now)..40_000).step_by(500) {
            let left = [&budget, &other].map(|budget| budget.left(ms(now)));
            assert_eq!(left[0], left[1], "dropped at {dropped_at}, now {now}");
        }
    }
}

/// Goal: slices in which nobody came, a ring that was passed over, and times that go back, change
/// nothing. Method: jumps of all sizes between deposits.
#[test]
fn jumps_are_harmless() {
    let ratio = RetryBudget::finagle().ratio(1.0).min_per_second(0);
    let budget = ratio.build().expect("valid");
    deposits(&budget, ms(500), 1);
    deposits(&budget, ms(7_500), 1);
    assert_eq!(budget.left(ms(7_500)), 2.0);
    // Back: served in the newest slice.
    deposits(&budget, ms(2_500), 1);
    assert_eq!(budget.left(ms(1_500)), 3.0);
    assert_eq!(budget.left(ms(10_400)), 2.0);
    assert_eq!(budget.left(ms(17_500)), 0.0);
    let year = Duration::from_secs(365 * 86_400);
    deposits(&budget, year, 2);
    assert_eq!(budget.left(year), 2.0);
    assert_eq!(budget.left(year * 5), 0.0);
}

/// Goal: what no ratio budget can be is refused by name. Method: each field, out of its range.
#[test]
fn settings_are_checked() {
    let ratio = RetryBudget::finagle;
    for (built, field) in [
        (ratio().ratio(-0.1), "retry_budget.ratio"),
        (ratio().ratio(1_000.1), "retry_budget.ratio"),
        (ratio().ratio(f64::NAN), "retry_budget.ratio"),
        (ratio().min_per_second(1_000_001), "retry_budget.min_per_second"),
        (ratio().ttl(ms(999)), "retry_budget.ttl"),
        (ratio().ttl(ms(60_001)), "retry_budget.ttl"),
        (ratio().slices(1), "retry_budget.slices"),
        (ratio().slices(61), "retry_budget.slices"),
        (ratio().name("n".repeat(256)), "retry_budget.name"),
    ] {
        let error = built.build().expect_err(field);
        assert_eq!((error.code(), error.field()), (ErrorCode::InvalidConfig, field));
    }
    assert!(ratio().ratio(1_000.0).ttl(ms(60_000)).slices(60).build().is_ok());
}

proptest! {
    /// Goal: words that no withdrawal made settle as one that took nothing or everything, and end
    /// no budget. Method: a budget that has paid for some retries; arbitrary words are given back.
    ///
    /// Cause: a mark that was raised above the count of all withdrawals made that look like four
    /// billion since.
    #[test]
    fn foreign_receipts_end_no_budget(
        words in proptest::collection::vec(prop_oneof![0..20_u64, any::<u64>()], 1..30),
        spent in 0..5_usize,
        now in 0..20_u64,
    ) {
        let budget = RetryBudget::finagle().build().expect("valid");
        let levels = Levels::one(&budget);
        let now = Duration::from_secs(now);
        let all = budget.left(now);
        prop_assert_eq!(allowed(&budget, FailureKind::Transient, now, spent), spent);
        for word in words {
            drop(levels.redeem(Receipt::from_words([word; 3])));
            let left = budget.left(now);
            prop_assert!((all - spent as f64..=all).contains(&left), "{left} are left of {all}");
        }
    }
}
