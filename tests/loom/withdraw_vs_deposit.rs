//! Retries are paid for while others pay too, give back, succeed, or make deposits.
//!
//! Threads: two, or three. Bound: two preemptions. Sizes:
//! buckets of one or two retries, rings of two slices. Property: tokens are conserved; the last one
//! is taken once; retries of any time-to-live are never more than its deposits and its minimum
//! allow; a deposit counts once, in its slice or in the one that begins meanwhile. Left out: refill
//! by time, which is in the same word as the tokens.

use std::time::Duration;

use crate::support::*;
use oncegate::{Budgets, FailureKind, RetryBudget, Scope, Withdrawal};

const KIND: FailureKind = FailureKind::Transient;
const START: Duration = Duration::ZERO;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A bucket of so many retries.
fn bucket(retries: u32) -> RetryBudget {
    let bucket = RetryBudget::bucket().capacity(f64::from(retries)).cost(KIND, 1.0);
    let bucket = bucket.cost(FailureKind::Timeout, 1.0).cost(FailureKind::Throttled, 1.0);
    bucket.refund_cost(true).build().expect("valid")
}

/// A ring of two slices of half a second, which allows so many retries in one second, and one for
/// each deposit.
fn ring(retries: u32) -> RetryBudget {
    let ratio = RetryBudget::finagle().ratio(1.0).min_per_second(retries).slices(2);
    ratio.ttl(Duration::from_secs(1)).build().expect("valid")
}

fn retry(budget: &RetryBudget, now: Duration) -> Option<Withdrawal> {
    budget.try_withdraw(KIND, now).ok()
}

fn runs(budget: &RetryBudget, now: Duration) -> bool {
    retry(budget, now).map(Withdrawal::failed).is_some()
}

fn two_take_the_last() {
    for budget in [bucket(1), ring(1), last_of_a_gauge()] {
        let (one, two) = (budget.clone(), budget.clone());
        let taken = race(move || retry(&one, START), move || retry(&two, START));
        assert!(taken.0.is_some() != taken.1.is_some(), "{budget:?}");
        assert_eq!(budget.left(START), 0.0);
        drop(taken);
        assert_eq!(budget.left(START), 1.0);
    }
}

fn last_of_a_gauge() -> RetryBudget {
    RetryBudget::envoy().min_retries(1).build().expect("valid")
}

/// Goal: of two who want the last retry one gets it, and it comes back once. Method: every kind.
#[test]
fn the_last_is_taken_once() {
    model(two_take_the_last);
}

/// Goal: the model bites. Method: the word is stored instead of compared.
#[cfg(oncegate_loom)]
#[test]
fn broken_budget_overdrawn() {
    broken(oncegate::Bug::BudgetOverdrawn, two_take_the_last);
}

/// Goal: tokens are conserved. Method: one retry is spent and one succeeds, while another is
/// dropped before it starts.
#[test]
fn tokens_are_conserved() {
    model(|| {
        let budget = bucket(2);
        let (one, two) = (budget.clone(), budget.clone());
        let (spent, _) = race(
            move || {
                let spent = runs(&one, START);
                if let Some(retry) = retry(&one, START) {
                    retry.succeeded(START);
                }
                spent
            },
            move || drop(retry(&two, START)),
        );
        assert!(spent, "the others hold one at most");
        assert_eq!(budget.left(START), 1.0);
    });
}

/// Goal: of several budgets all pay or none, and none is left without what a refusal gave back.
/// Method: two callers, one of whom has a poor level behind a rich one.
#[test]
fn levels_give_back_on_refusal() {
    model(|| {
        let (rich, poor) = (bucket(2), bucket(1));
        assert!(runs(&poor, START));
        let budgets = Budgets::new();
        budgets.set_operation("op", rich.clone()).expect("room");
        let alone = budgets.levels(Scope::single_tenant(), "op");
        budgets.set_engine(poor);
        let both = budgets.levels(Scope::single_tenant(), "op");
        let (refused, taken) =
            race(move || both.try_withdraw(KIND, START), move || alone.try_withdraw(KIND, START));
        assert!(refused.is_err() && taken.is_ok());
        assert_eq!(rich.left(START), 1.0);
    });
}

/// One retry a second is allowed. One is taken in the first slice, and one in the next, which
/// begins meanwhile: together in one second.
fn one_second_over_two_slices() {
    let budget = ring(1);
    let (one, two) = (budget.clone(), budget.clone());
    let taken = race(move || runs(&one, START), move || runs(&two, ms(500)));
    assert!(taken.0 != taken.1, "{taken:?}");
    assert!(!runs(&budget, ms(500)));
    assert_eq!(budget.left(ms(1_500)), 1.0);
}

/// Goal: the end of a slice lends nobody a retry. Method: two that are taken at both sides of it.
#[test]
fn a_slice_that_begins_lends_nothing() {
    model(one_second_over_two_slices);
}

/// Both make a deposit in a slice in which nobody was before, after one in the slice before.
fn two_deposits_begin_a_slice() {
    let budget = ring(0);
    budget.deposit(START).failed();
    let (one, two) = (budget.clone(), budget.clone());
    race(move || one.deposit(ms(500)).failed(), move || two.deposit(ms(500)).failed());
    assert_eq!(budget.left(ms(500)), 3.0);
    assert_eq!(budget.left(ms(1_000)), 2.0);
    assert_eq!(budget.left(ms(1_500)), 0.0);
}

/// Goal: a slice begins once, and what is deposited in it counts once. Method: two begin it.
#[test]
fn deposits_that_begin_a_slice_count() {
    model(two_deposits_begin_a_slice);
}

/// Goal: the model bites. Method: whoever begins the slice marks it, if somebody has already or
/// not.
#[cfg(oncegate_loom)]
#[test]
fn broken_slice_begun_twice() {
    broken(oncegate::Bug::SliceBegunTwice, two_deposits_begin_a_slice);
}

/// Goal: a deposit beside the end of its slice counts once: in it, or in the next. Method: one
/// makes it with the earlier time, while another's retry begins the next slice.
#[test]
fn a_late_deposit_counts_once() {
    model(|| {
        let budget = ring(0);
        budget.deposit(START).failed();
        let (one, two) = (budget.clone(), budget.clone());
        let (_, taken) = race(move || one.deposit(ms(400)).failed(), move || runs(&two, ms(500)));
        assert!(taken, "the first deposit is there");
        assert_eq!(budget.left(ms(500)), 1.0);
        // In the next slice the first one is over; what the late one counts in is open.
        assert_eq!(budget.left(ms(1_000)), 0.0);
        assert_eq!(budget.left(ms(1_500)), 0.0);
    });
}

/// Goal: a retry that never started is given back to every second that counted it, and to no other
/// one. Method: it is dropped in the next slice, while others begin that slice and take retries.
#[test]
fn giving_back_lends_nothing() {
    model(|| {
        let budget = ring(1);
        let held = retry(&budget, START).expect("one a second");
        let two = budget.clone();
        let (_, other) = race(move || drop(held), move || runs(&two, ms(500)));
        let more = runs(&budget, ms(500));
        assert!(other != more, "one in this second, by whoever comes after the other was dropped");
        assert!(!runs(&budget, ms(1_000)), "and it counts for a second");
        assert!(runs(&budget, ms(1_500)));
    });
}

/// Goal: what is given back is taken once. Method: three threads; two want it in the next slice.
#[test]
fn what_is_given_back_is_taken_once() {
    model(|| {
        let budget = ring(1);
        let held = retry(&budget, START).expect("one a second");
        let two = budget.clone();
        let back = thread::spawn(move || drop(held));
        let (one, other) = race(
            {
                let budget = budget.clone();
                move || runs(&budget, ms(500))
            },
            move || runs(&two, ms(500)),
        );
        back.join().expect("no panic");
        let more = runs(&budget, ms(500));
        assert_eq!([one, other, more].into_iter().filter(|took| *took).count(), 1);
        assert!(!runs(&budget, ms(1_000)), "and it counts for a second");
    });
}

/// One makes a deposit. For the two others its time is over, and they begin a slice: one makes
/// another deposit, and one retries.
fn three_at_the_end_of_a_slice() {
    let budget = ring(0);
    let (one, two) = (budget.clone(), budget.clone());
    let first = thread::spawn(move || one.deposit(START).failed());
    let second = thread::spawn(move || two.deposit(ms(1_000)).failed());
    let taken = f64::from(u8::from(runs(&budget, ms(1_000))));
    let left = budget.left(ms(1_000));
    assert!(taken + left <= 2.0, "{taken} taken of two, and {left} left");
    first.join().expect("no panic");
    second.join().expect("no panic");
    // The first one is over, unless it was late.
    let all = taken + budget.left(ms(1_000));
    assert!((1.0..=2.0).contains(&all), "{taken} taken of {all}");
}

/// Goal: no retry without its deposit, and no deposit is lost. Method: three threads, whose times
/// lie at both sides of a slice's end.
#[test]
fn deposits_are_conserved() {
    model(three_at_the_end_of_a_slice);
}

/// Goal: the model bites. Method: a mark does not publish the deposits before it.
#[cfg(oncegate_loom)]
#[test]
fn broken_mark_unordered() {
    broken(oncegate::Bug::MarkUnordered, three_at_the_end_of_a_slice);
}

/// Goal: a caller whose time is long over takes nothing from those of now. Method: it retries while
/// another one's time lies beyond the whole ring.
#[test]
fn a_straggler_is_harmless() {
    model(|| {
        let budget = ring(1);
        let (one, two) = (budget.clone(), budget.clone());
        let (late, now) = race(move || runs(&one, START), move || runs(&two, ms(5_000)));
        assert!(late || now, "one a second");
        // Either it came first, and is forgotten, or it is of now.
        let more = runs(&budget, ms(5_000));
        assert!(now != more || late, "late {late}, now {now}, more {more}");
        assert!(!runs(&budget, ms(5_000)));
        assert_eq!(budget.left(ms(6_000)), 1.0);
    });
}
