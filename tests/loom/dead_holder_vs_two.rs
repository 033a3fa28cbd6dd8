//! A lease holder has died, and two others ask for its request at once.
//!
//! Threads: two, of two processes, and a third process that is dead. Bound: two preemptions.
//! Property: exactly one of them gets the next attempt, at once; the policy for lapses holds for
//! deaths (I1, I5, I8). Left out: eviction.

use crate::support::*;
use oncegate::{Bug, OnLapse};
use std::sync::Arc;

/// What two callers of two processes come to when the holder has died.
fn two_follow(policy: OnLapse) -> (Small, Got, Got) {
    let world = small_with(|builder| builder.on_lapse(policy));
    let doomed = beside(&world, 2, |builder| builder.on_lapse(policy));
    let first = begin(&doomed, "k").token().expect("new");
    doomed.die();
    let other = beside(&world, 3, |builder| builder.on_lapse(policy));
    let one = Arc::clone(&world.engine);
    let (one, two) = race(move || begin(&one, "k"), move || begin(&other, "k"));
    for token in [&one, &two].into_iter().filter_map(|got| got.token()) {
        assert!(token.fencing_token() > first.fencing_token() && token.attempt() == 2);
    }
    (world, one, two)
}

fn one_is_admitted() {
    let (_world, one, two) = two_follow(OnLapse::Reclaim);
    let admitted = [&one, &two].into_iter().filter(|got| got.token().is_some()).count();
    assert_eq!(admitted, 1, "{one:?} and {two:?}");
}

/// Goal: one of two is admitted, and no other. Method: every schedule of both.
#[test]
fn one_of_two_follows() {
    model(one_is_admitted);
}

/// Goal: where nobody may run it again, nobody does. Method: the policy that leaves it unknown.
#[test]
fn nobody_follows_the_unknown() {
    model(|| {
        let (world, one, two) = two_follow(OnLapse::Unknown);
        assert!(one.token().is_none() && two.token().is_none(), "{one:?} and {two:?}");
        assert_eq!(begin(&world.engine, "k"), Got::Other("Unresolved".into()));
    });
}

/// The winner of a takeover dies before it says how long its lease lasts, while another asks.
fn winner_dies(writes: u64) -> bool {
    let world = small();
    let token = begin(&world.engine, "k").token().expect("new");
    world.engine.fail(&token, oncegate::Failure::retryable()).expect("the holder");
    let doomed = beside(&world, 2, |builder| builder);
    let survivor = Arc::clone(&world.engine);
    let (met, died) = race(
        move || begin(&survivor, "k"),
        move || dies(&doomed, writes, |engine| drop(begin(engine, "k"))),
    );
    let again = begin(&world.engine, "k");
    match (met.token(), died) {
        (Some(_), _) => assert!(matches!(again, Got::InProgress(_)), "{again:?}"),
        (None, true) => assert!(again.token().is_some(), "nobody runs it: {again:?}"),
        (None, false) => assert_eq!(again, Got::InProgress(2)),
    }
    died
}

/// Goal: a takeover that dies half way is followed. Method: every write of it, every schedule.
#[test]
fn a_dead_winner_is_followed() {
    at_every_write(2, winner_dies);
}

/// Goal: the model bites. Method: a takeover without closing the lease first.
#[test]
fn broken_death_unnoticed() {
    broken(Bug::DeathUnnoticed, one_is_admitted);
}
