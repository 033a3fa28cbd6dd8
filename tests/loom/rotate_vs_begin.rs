//! The secret is rotated while callers begin one request.
//!
//! Threads: two. Bound: two preemptions. Property: a request is admitted once across the rotation
//! (I1), whichever key its callers know. Left out: the end of the rotation.

use crate::support::*;
use std::sync::Arc;

/// A secret under which the request's home is another than under that of [`small`].
#[cfg(oncegate_loom)]
fn secret_of_another_home() -> u8 {
    let home = |byte| {
        let Small { engine, .. } = small_with(|builder| builder.secret(secret(byte)));
        home_of(&engine, "k")
    };
    (8..).find(|byte| home(*byte) != home(7)).expect("two sets")
}

/// Without the checker, any other secret.
#[cfg(not(oncegate_loom))]
fn secret_of_another_home() -> u8 {
    9
}

fn rotation_meets_begin() {
    let Small { engine, .. } = small();
    let byte = secret_of_another_home();
    let (left, right) = (Arc::clone(&engine), Arc::clone(&engine));
    let (one, two) = race(
        move || begin(&left, "k"),
        move || {
            right.rotate_secret(secret(byte)).expect("no rotation before");
            begin(&right, "k")
        },
    );
    let admitted = [&one, &two].iter().filter(|got| got.token().is_some()).count();
    assert_eq!(admitted, 1, "{one:?} and {two:?}");
    assert_eq!(begin(&engine, "k"), Got::InProgress(1));
}

/// Goal: no request runs twice across a rotation. Method: every schedule of one begin and a
/// rotation with a begin behind it.
#[test]
fn one_begin_is_admitted_across_a_rotation() {
    model(rotation_meets_begin);
}

fn tokens_meet_a_rotation() {
    let Small { engine, clock } = small();
    let byte = secret_of_another_home();
    let (left, right) = (Arc::clone(&engine), Arc::clone(&engine));
    let (one, two) = race(
        move || {
            let one = begin(&left, "k").token();
            if let Some(token) = &one {
                left.complete(token, &oncegate::Outcome::new(200, "k")).expect("the holder");
                clock.advance(WINDOW);
            }
            one
        },
        move || {
            right.rotate_secret(secret(byte)).expect("no rotation before");
            begin(&right, "k").token()
        },
    );
    if let [Some(one), Some(two)] = [one, two].map(|got| got.map(|token| token.fencing_token())) {
        assert!(one < two, "{one:?} was handed out before {two:?}");
    }
}

/// Goal: tokens of a request grow although its home changes (I2). Method: an attempt under the
/// old secret comes and goes while an insertion under the new one is under way. Both drew the
/// same counter once, each from its home's clock.
#[test]
fn tokens_grow_across_a_rotation() {
    // Two preemptions take six minutes, and find nothing either.
    bounded(1, tokens_meet_a_rotation);
}

fn rotation_ends_beside_a_sweep() {
    let Small { engine, clock } = small();
    let key = keys_of_home(&engine, 1).next().expect("a key");
    let token = begin(&engine, &key).token().expect("new");
    engine.rotate_secret(secret(8)).expect("no rotation before");
    clock.advance(LEASE + WINDOW);
    let (left, right) = (Arc::clone(&engine), Arc::clone(&engine));
    let (twice, _) = race(
        move || {
            if left.finish_rotation().is_err() {
                return false;
            }
            let late = left.complete(&token, &oncegate::Outcome::new(200, "old")).is_ok();
            late && begin(&left, &key).token().is_some()
        },
        move || right.sweep(1).is_ok(),
    );
    assert!(!twice, "completed after the rotation, and runs again inside its window");
}

/// Goal: a rotation does not end over a record that is still there. Method: another sweep takes
/// sets out of the turn.
#[test]
fn a_rotation_ends_when_its_records_are_gone() {
    model(rotation_ends_beside_a_sweep);
}

/// Goal: the model bites. Method: the end of a rotation sweeps in turn with everybody else, and
/// believes that what is over is gone.
#[cfg(oncegate_loom)]
#[test]
fn broken_rotation_sweeps_in_turn() {
    broken(oncegate::Bug::RotationSweepsInTurn, rotation_ends_beside_a_sweep);
}

/// Goal: the model bites. Method: an insertion does not disturb the old home.
#[cfg(oncegate_loom)]
#[test]
fn broken_rotation_skips_old_home() {
    broken(oncegate::Bug::RotationSkipsOldHome, rotation_meets_begin);
}
