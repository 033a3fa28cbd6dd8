//! Several levels: all pay or none, and a bounded number of entries.

use super::*;

const KIND: FailureKind = FailureKind::Transient;

fn scope(name: &str) -> crate::Scope<'_> {
    crate::Scope::new(name).expect("short")
}

fn of_retries(retries: u32) -> RetryBudget {
    let bucket = RetryBudget::bucket().capacity(f64::from(retries));
    let bucket = FailureKind::ALL.into_iter().fold(bucket, |bucket, kind| bucket.cost(kind, 1.0));
    bucket.build().expect("valid")
}

/// Goal: a retry is paid for by all levels or by none, and the refusal names the level. Method:
/// each level in turn is the one that has least.
#[test]
fn all_levels_pay_or_none() {
    for (poor, level) in BudgetLevel::ALL.into_iter().enumerate() {
        let own: [RetryBudget; 3] =
            std::array::from_fn(|at| of_retries(if at == poor { 2 } else { 5 }));
        let budgets = Budgets::new();
        budgets.set_scope(scope("acme"), own[0].clone()).expect("room");
        budgets.set_operation("search", own[1].clone()).expect("room");
        budgets.set_engine(own[2].clone());
        let levels = budgets.levels(scope("acme"), "search");
        let held = [(); 2].map(|()| levels.try_withdraw(KIND, START).expect("two for each"));
        let refused = levels.try_withdraw(KIND, START).expect_err("the poor one is empty");
        assert_eq!(refused.level(), level);
        let left = own.each_ref().map(|budget| budget.left(START));
        let expected: [f64; 3] = std::array::from_fn(|at| if at == poor { 0.0 } else { 3.0 });
        assert_eq!(left, expected);
        drop(held);
        assert!(own.iter().all(|budget| budget.left(START) >= 2.0));
    }
}

/// Goal: a failure is charged once to each bucket that charges failures, whoever refuses the retry.
/// Method: gRPC's bucket at each level in turn, beside one at each other level that is empty.
#[test]
fn a_failure_is_charged_whoever_refuses() {
    for own in 0..3 {
        for empty in (0..3).filter(|level| *level != own) {
            let grpc = RetryBudget::grpc(10, 0.1).build().expect("valid");
            let other = of_retries(1);
            assert!(fails(&other, KIND, START));
            let mut levels = [None, None, None];
            levels[own] = Some(grpc.clone());
            levels[empty] = Some(other);
            let levels = Levels::new(levels);
            let refused = levels.try_withdraw(KIND, START).expect_err("one is empty");
            assert_eq!(refused.level(), BudgetLevel::ALL[empty]);
            assert_eq!(grpc.left(START), 9.0, "{own} beside {empty}");
            levels.failed_for_good(KIND, START);
            assert_eq!(grpc.left(START), 8.0);
        }
    }
}

/// Goal: each request asks the budgets of its own scope and operation alone. Method: three scopes
/// of different kinds, one of them named as another kind; budgets set, replaced and removed.
#[test]
fn budgets_are_found_by_scope_and_operation() {
    let budgets = Budgets::new();
    let (named, single) = (scope("single_tenant"), crate::Scope::single_tenant());
    budgets.set_scope(named, of_retries(1)).expect("room");
    budgets.set_scope(single, of_retries(2)).expect("room");
    budgets.set_operation("search", of_retries(3)).expect("room");
    let found = |scope, operation| {
        let levels = budgets.levels(scope, operation);
        let mut left = Vec::new();
        levels.each(|budget, at| left.push((at, budget.left(START))));
        left
    };
    assert_eq!(found(named, "search"), [(0, 1.0), (1, 3.0)]);
    assert_eq!(found(single, "other"), [(0, 2.0)]);
    assert_eq!(found(crate::Scope::unauthenticated(), "other"), []);
    budgets.set_scope(named, of_retries(7)).expect("its own place");
    budgets.set_engine(of_retries(9));
    assert_eq!(found(named, "other"), [(0, 7.0), (2, 9.0)]);
    assert!(budgets.remove_scope(named) && !budgets.remove_scope(named));
    assert!(budgets.remove_operation("search") && budgets.remove_engine());
    assert!(budgets.levels(named, "search").is_empty());
    assert_eq!(format!("{budgets:?}"), "Budgets(1 scopes, 0 operations)");
}

/// Goal: no more entries than the limit, and a typed error beyond. Method: a limit of two, across
/// both maps; replacing and removing make no difference to it.
#[test]
fn entries_are_bounded() {
    let budgets = Budgets::new().max_entries(2).expect("valid");
    budgets.set_scope(scope("a"), of_retries(1)).expect("first");
    budgets.set_operation("op", of_retries(1)).expect("second");
    let error = budgets.set_scope(scope("b"), of_retries(1)).expect_err("third");
    assert_eq!((error.code(), error.field()), (ErrorCode::QuotaExceeded, "retry_budgets"));
    assert!(budgets.set_operation("other", of_retries(1)).is_err());
    budgets.set_scope(scope("a"), of_retries(2)).expect("the same entry");
    assert!(budgets.remove_scope(scope("a")));
    budgets.set_scope(scope("b"), of_retries(1)).expect("room again");
    for entries in [0, Budgets::MOST_ENTRIES + 1] {
        let error = Budgets::new().max_entries(entries).expect_err("out of range");
        assert_eq!(error.field(), "retry_budgets.max_entries");
    }
    assert!(budgets.remove_operation("op"));
    budgets.set_operation(&"o".repeat(1_024), of_retries(1)).expect("the longest name");
    for operation in [String::new(), "o".repeat(1_025)] {
        let error = budgets.set_operation(&operation, of_retries(1)).expect_err("bad name");
        assert_eq!(error.code(), ErrorCode::InvalidOperation);
    }
}
