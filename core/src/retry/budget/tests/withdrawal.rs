//! Withdrawals: what is spent, what comes back, and what a refusal says.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;

/// Goal: a panic or a cancelled task before the attempt starts leaks nothing; after that, it is
/// paid for. Method: a panic that unwinds over a withdrawal, in every kind of budget that is paid
/// for retries.
#[test]
fn a_panic_gives_back_what_was_not_used() {
    let budgets = [
        RetryBudget::aws_standard().build().expect("valid"),
        RetryBudget::finagle().build().expect("valid"),
        RetryBudget::envoy().build().expect("valid"),
    ];
    for budget in budgets {
        let before = budget.left(START);
        let mut during = before;
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            let _retry = budget.try_withdraw(FailureKind::Transient, START).expect("enough");
            during = budget.left(START);
            std::panic::resume_unwind(Box::new("before the attempt"));
        }));
        assert!(unwound.is_err() && during < before, "{budget:?}");
        assert_eq!(budget.left(START), before, "{budget:?}");
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            let mut retry = budget.try_withdraw(FailureKind::Transient, START).expect("enough");
            retry.start();
            std::panic::resume_unwind(Box::new("in the attempt"));
        }));
        assert!(unwound.is_err());
        // Of concurrent retries none is under way any more.
        let concurrent = matches!(budget.shared.rules, Rules::Concurrency(_));
        let expected = if concurrent { before } else { during };
        assert_eq!(budget.left(START), expected, "{budget:?}");
    }
}

/// Goal: a receipt stands for its withdrawal, and settles nothing until it is redeemed. Method: a
/// withdrawal is stored as words and ended in each way.
#[test]
fn a_receipt_is_redeemed() {
    let budget = RetryBudget::aws_standard().build().expect("valid");
    let levels = Levels::one(&budget);
    let store = || levels.try_withdraw(FailureKind::Timeout, START).expect("enough").detach();
    let receipt = store();
    assert_eq!(budget.left(START), 490.0);
    drop(levels.redeem(Receipt::from_words(receipt.to_words())));
    assert_eq!(budget.left(START), 500.0);
    levels.redeem(store()).failed();
    assert_eq!(budget.left(START), 490.0);
    let retry = levels.redeem(store());
    assert_eq!((retry.cost(), budget.left(START)), (10.0, 480.0));
    retry.succeeded(START);
    assert_eq!(budget.left(START), 490.0);
    // Words that nobody wrote fill no bucket beyond its brim.
    levels.redeem(Receipt::from_words([u64::MAX; 3])).succeeded(START);
    assert_eq!(budget.left(START), 500.0);
}

/// Goal: a refusal becomes an error that names the budget, what was missing and when to come
/// again. Method: one that time refills, and one that it does not.
#[test]
fn a_refusal_is_an_error_with_all_of_it() {
    let bucket = RetryBudget::bucket().name("payments").capacity(5.0).refill_per_second(1.0);
    let budget = bucket.build().expect("valid");
    assert!(fails(&budget, FailureKind::Transient, START));
    let refused = budget.try_withdraw(FailureKind::Transient, ms(2_000)).expect_err("2 of 5");
    assert_eq!((refused.needed(), refused.left()), (5.0, 2.0));
    assert!(refused.to_string().contains("\"payments\" of the engine has 2 left of the 5"));
    let error = Error::from(refused);
    assert_eq!((error.code(), error.field()), (ErrorCode::BudgetExhausted, "retry_budget"));
    assert_eq!(error.retry_after(), Some(ms(3_000)));
    assert!(error.is_retriable());
    let text = error.to_string();
    for part in ["\"payments\"", "2 left", "5 for a retry", "engine", "3000 ms"] {
        assert!(text.contains(part), "{text}");
    }
    let grpc = RetryBudget::grpc(1, 0.1).build().expect("valid");
    let refused = grpc.try_withdraw(FailureKind::Transient, START).expect_err("none above half");
    assert_eq!(Error::from(refused).retry_after(), None);
}
