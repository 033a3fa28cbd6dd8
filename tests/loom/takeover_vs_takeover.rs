//! The winner of a takeover stalls before it writes its lease, and the next one takes over.
//!
//! Threads: two. Bound: two preemptions. Property: whoever stalled changes nothing of its
//! successor's lease: it is not cut short, its holder can renew and end it, and its record runs
//! out (I1, I8). Left out: eviction.

use crate::support::*;
use oncegate::{BeginOptions, Failure, LeaseToken, OnLapse};
use std::sync::Arc;

const LONG: u32 = 10;

/// Two callers take over in turn; `check` gets the second, if it holds the third attempt for a
/// long time.
fn stalled_winner(check: fn(&Small, LeaseToken)) -> impl Fn() + Send + Sync {
    move || {
        let world = small();
        let token = begin(&world.engine, "k").token().expect("new");
        world.engine.fail(&token, Failure::retryable()).expect("the holder");
        let (left, right) = (Arc::clone(&world.engine), Arc::clone(&world.engine));
        let clock = world.clock.clone();
        let (_stalled, second) = race(
            move || begin(&left, "k"),
            move || {
                if begin(&right, "k").token().is_some() {
                    return None;
                }
                clock.advance(2 * LEASE);
                let long = BeginOptions::new().lease_duration(LONG * WINDOW);
                got(right.begin_with(&request("k"), &long).expect("an answer")).token()
            },
        );
        if let Some(token) = second.filter(|token| token.attempt() == 3) {
            check(&world, token);
        }
    }
}

fn nobody_else_is_admitted(world: &Small, _: LeaseToken) {
    assert_eq!(begin(&world.engine, "k"), Got::InProgress(3));
    world.clock.advance(2 * LEASE);
    assert_eq!(begin(&world.engine, "k"), Got::InProgress(3));
}

/// Goal: the successor's lease lasts as long as it was given. Method: ask again beyond the
/// default lease.
#[test]
fn the_next_lease_is_not_cut_short() {
    model(stalled_winner(nobody_else_is_admitted));
}

/// Goal: the successor is not fenced. Method: it renews.
#[test]
fn the_next_holder_can_renew() {
    model(stalled_winner(|world, token| {
        world.engine.renew(&token, LEASE).expect("the only holder");
    }));
}

/// Goal: the record ends and runs out. Method: complete it, and let its window pass.
#[test]
fn the_record_runs_out() {
    model(stalled_winner(|world, token| {
        let outcome = oncegate::Outcome::new(200, "x");
        world.engine.complete(&token, &outcome).expect("the only holder");
        world.clock.advance(WINDOW);
        world.engine.sweep(usize::MAX).expect("not forked");
        assert_eq!(world.engine.stats().expect("not forked").live.total(), 0);
    }));
}

/// Goal: an attempt that lapsed before its winner wrote its policy is nobody's. Method: the
/// policy is that a lapse runs nothing again, and a second caller comes much later.
#[test]
fn a_lapse_before_the_lease_admits_one() {
    model(|| {
        let Small { engine, clock } = small_with(|builder| builder.on_lapse(OnLapse::Unknown));
        let token = begin(&engine, "k").token().expect("new");
        engine.fail(&token, Failure::retryable()).expect("the holder");
        let (left, right) = (Arc::clone(&engine), Arc::clone(&engine));
        let (one, two) = race(
            move || begin(&left, "k"),
            move || {
                let first = begin(&right, "k");
                if first.token().is_some() {
                    return first;
                }
                clock.advance(2 * LEASE);
                begin(&right, "k")
            },
        );
        assert!(one.token().is_none() || two.token().is_none(), "{one:?} and {two:?}");
    });
}

/// Goal: the model bites. Method: the winner writes its lease without looking whose turn it is.
#[cfg(oncegate_loom)]
#[test]
fn broken_lease_written_late() {
    broken(oncegate::Bug::LeaseWrittenLate, stalled_winner(nobody_else_is_admitted));
}
