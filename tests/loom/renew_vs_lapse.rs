//! A holder renews its lease while somebody finds it lapsed.
//!
//! Threads: two. Bound: two preemptions. Property: a renewal that says yes is a lease that lasts
//! (I1). Left out: completion.

use crate::support::*;
use std::sync::Arc;

fn holder_renews() {
    let Small { engine, clock } = small();
    let token = begin(&engine, "k").token().expect("new");
    clock.advance(LEASE);
    let (left, right) = (Arc::clone(&engine), Arc::clone(&engine));
    let (renewed, other) =
        race(move || left.renew(&token, LEASE).is_ok(), move || begin(&right, "k"));
    match (renewed, other) {
        (true, Got::InProgress(1)) => assert_eq!(begin(&engine, "k"), Got::InProgress(1)),
        (false, Got::Admitted(second)) => {
            assert_eq!(second.attempt(), 2);
            // The new holder's deadline is its own.
            assert_eq!(begin(&engine, "k"), Got::InProgress(2));
        }
        (renewed, other) => panic!("renewed: {renewed}, and {other:?}"),
    }
}

/// Goal: renewal and lapse exclude each other. Method: every schedule of both.
#[test]
fn renewal_or_takeover() {
    model(holder_renews);
}

/// Goal: a holder of long ago renews nothing, and stretches nobody's lease. Method: it renews
/// while the new holder's lease is being written.
#[test]
fn a_stale_holder_renews_nothing() {
    model(|| {
        let Small { engine, clock } = small();
        let stale = begin(&engine, "k").token().expect("new");
        clock.advance(LEASE);
        let (left, right) = (Arc::clone(&engine), Arc::clone(&engine));
        let (renewed, second) = race(
            move || left.renew(&stale, LEASE * 10).is_ok(),
            move || begin(&right, "k").token(),
        );
        clock.advance(LEASE);
        let third = begin(&engine, "k");
        match (renewed, second) {
            (true, None) => assert_eq!(third, Got::InProgress(1)),
            (false, Some(_)) => assert_eq!(third.token().map(|t| t.attempt()), Some(3)),
            other => panic!("{other:?}"),
        }
    });
}

/// Goal: the model bites. Method: a takeover does not close the deadline first.
#[cfg(oncegate_loom)]
#[test]
fn broken_takeover_without_freeze() {
    broken(oncegate::Bug::TakeoverWithoutFreeze, holder_renews);
}
