//! Budgets: what was published of each, random programs beside plain models, and what is refused.

mod bucket;
mod concurrency;
mod programs;
mod ratio;
mod registry;
mod withdrawal;

use super::*;

const START: Duration = Duration::ZERO;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A retry after a failure of this kind, which runs and fails; whether it was allowed.
fn fails(budget: &RetryBudget, kind: FailureKind, now: Duration) -> bool {
    budget.try_withdraw(kind, now).map(Withdrawal::failed).is_ok()
}

/// How many retries in a row are allowed, up to `most`.
fn allowed(budget: &RetryBudget, kind: FailureKind, now: Duration, most: usize) -> usize {
    (0..most).take_while(|_| fails(budget, kind, now)).count()
}

/// Goal: a budget can be shared as it is. Method: the compiler, and a clone that spends what the
/// other one has.
#[test]
fn clones_are_one_budget() {
    fn shared<T: Send + Sync + 'static>(_: &T) {}
    let budget = RetryBudget::aws_standard().name("one").build().expect("valid");
    shared(&budget);
    assert_eq!(budget.name(), "one");
    let same = budget.clone();
    assert!(fails(&same, FailureKind::Transient, START));
    assert_eq!(budget.left(START), 495.0);
}

/// Goal: debug output says what it is, and nothing of the callers. Method: each kind.
#[test]
fn debug_names_kind_and_name() {
    let built = [
        RetryBudget::grpc(10, 0.1).name("a").build(),
        RetryBudget::finagle().name("b").build(),
        RetryBudget::envoy().name("c").build(),
    ];
    let shown = built.map(|budget| format!("{:?}", budget.expect("valid")));
    let expected = ["token bucket \"a\"", "ratio \"b\"", "concurrency \"c\""];
    assert_eq!(shown, expected.map(|inner| format!("RetryBudget({inner})")));
}
