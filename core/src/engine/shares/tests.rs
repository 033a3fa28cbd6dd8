//! Shares that nobody takes: how many are kept, and how they are settled.

use super::*;
use crate::clock::ManualClock;
use crate::engine::{Admission, AttemptError, RetryContext};
use crate::fingerprint::{Request, Scope};
use crate::outcome::Outcome;
use crate::retry::{FailureKind, RetryBudget};

const NOW: Duration = Duration::ZERO;

/// One retry for each first attempt under way: what is left says how many those are.
fn gauge() -> RetryBudget {
    RetryBudget::envoy().share(1.0).min_retries(0).build().expect("valid")
}

fn name(slot: usize) -> Name {
    Name { slot, fence: 1, next: false }
}

fn share(budget: &RetryBudget) -> Share {
    Share { paid: Paid::First(budget.deposit(NOW)), attempt: 1, first_word: 0 }
}

/// Goal: as many shares are kept as the limit says, and the oldest counts as failed then. Method:
/// two more than that; what is left of a budget.
#[test]
fn the_oldest_gives_way() {
    let (budget, mut shares) = (gauge(), Shares::default());
    (0..MOST + 2).for_each(|slot| shares.keep(name(slot), share(&budget), NOW));
    assert_eq!(budget.left(NOW), MOST as f64);
    assert!(shares.take(name(1)).is_none() && shares.take(name(2)).is_some());
    assert_eq!((shares.kept.len(), shares.numbers.len()), (MOST - 1, MOST - 1));
}

/// Goal: a look is bounded, and looks that follow come to all. Method: three times as many shares
/// as one looks at, some of which stay open.
#[test]
fn looks_come_to_all() {
    let (budget, mut shares) = (gauge(), Shares::default());
    (0..LOOKED_AT * 3).for_each(|slot| shares.keep(name(slot), share(&budget), NOW));
    let standing = |name: Name, _: &Share| {
        if name.slot.is_multiple_of(2) { Standing::Open } else { Standing::Failed }
    };
    shares.look(LOOKED_AT, NOW, standing);
    assert_eq!(budget.left(NOW), (LOOKED_AT * 3 - LOOKED_AT / 2) as f64);
    (0..3).for_each(|_| shares.look(LOOKED_AT, NOW, standing));
    assert_eq!(shares.kept.len(), LOOKED_AT * 3 / 2);
    assert!(shares.kept.values().all(|(name, _)| name.slot.is_multiple_of(2)));
}

/// Goal: a grant that is kept too late for its attempt is settled all the same. Method: by hand, the
/// retry is handed out between the decision and the note of what was paid for it.
#[test]
fn late_grants_are_settled() {
    let clock = ManualClock::new();
    let engine = Engine::builder().capacity(64).clock(clock.clone()).build().expect("valid");
    let request = Request::new(Scope::single_tenant(), "op", "key").expect("valid");
    let Ok(Admission::Admitted(lease)) = engine.begin(&request) else { panic!("not admitted") };
    let (slot, seen) = engine.held(lease.token()).expect("held");
    let later = lease.retry_later(&AttemptError::new("503"), &RetryContext::new("op", b""));
    assert!(later.is_ok());
    let budget = RetryBudget::aws_standard().build().expect("valid");
    engine.set_retry_budget(budget.clone()).expect("set");
    clock.advance(Duration::from_secs(3_600));
    let attempt = engine.next_attempt(NOW).expect("answered").expect("due");
    let paid = budget.try_withdraw(FailureKind::Transient, NOW).expect("full");
    engine.keep_grant(Found { slot, seen }, 2, paid);
    engine.look_at_shares();
    assert_eq!(engine.shares().kept.len(), 1, "it runs");
    attempt.into_lease().complete(&Outcome::new(200, [])).expect("held");
    engine.look_at_shares();
    assert_eq!(engine.shares().kept.len(), 0);
    assert_eq!(budget.left(NOW), 500.0);
}
