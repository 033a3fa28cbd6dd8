//! A holder renews its lease, or completes late, while somebody clears its record, which is over.
//!
//! Threads: two. Bound: two preemptions. Property: a record whose renewal said yes is not forgotten
//! before its own retention: its next attempt is the second, of the same payload; one that was
//! completed answers (I4); one that was cleared is renewed and completed no more (I3); tokens grow
//! (I2). Left out: records that a worker looks after, which are never over.

use crate::support::*;
use oncegate::{Engine, Outcome, Payload};
use std::sync::Arc;
use std::time::Duration;

/// A renewal at this time moves the lease by as much.
const LATER: Duration = Duration::from_secs(1);

fn begin_with(engine: &Engine, payload: &'static [u8]) -> Got {
    let request = request("k").payload(Payload::raw(payload));
    got(engine.begin(&request).expect("an answer"))
}

/// When the holder looks at the time by which it renews.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looks {
    /// While its lease lasts, before the time moves; on real threads maybe later.
    InTime,
    /// When its record is over.
    Late,
}

/// What `clears` came to, to which the record is over by its first lease, while its holder renewed
/// that.
fn renewed_beside<T: Send + 'static>(
    looks: Looks,
    clears: impl FnOnce(&Engine) -> T + Send + 'static,
) -> (Arc<Engine>, oncegate::LeaseToken, bool, T) {
    let Small { engine, clock } = small();
    let token = begin_with(&engine, b"one").token().expect("new");
    clock.advance(LATER);
    // The end of the first lease and its retention: those of a renewed one are a second later.
    let move_on = move || clock.advance(LEASE + WINDOW - LATER);
    let (left, right) = (Arc::clone(&engine), Arc::clone(&engine));
    let renew = move || left.renew(&token, LEASE).is_ok();
    let (renewed, cleared) = match looks {
        // The checker runs the first thread until it comes to a word that both use.
        Looks::InTime => race(renew, move || {
            move_on();
            clears(&right)
        }),
        Looks::Late => {
            move_on();
            race(renew, move || clears(&right))
        }
    };
    (engine, token, renewed, cleared)
}

fn sweep_meets_renewal(looks: Looks) {
    let (engine, first, renewed, _) =
        renewed_beside(looks, |engine| engine.sweep(usize::MAX).expect("not forked"));
    if renewed {
        let other = begin_with(&engine, b"two");
        assert_eq!(other, Got::Other("Mismatched".to_owned()), "it is kept");
    }
    match (renewed, begin_with(&engine, b"one")) {
        (true, Got::Admitted(next)) => {
            assert_eq!((looks, next.attempt()), (Looks::InTime, 2));
            assert!(next.fencing_token() > first.fencing_token());
        }
        // Late; or both were, on real threads.
        (true, Got::InProgress(1)) => {}
        (false, Got::Admitted(next)) => {
            assert_eq!(next.attempt(), 1, "it was over, and is a new one");
            assert!(next.fencing_token() > first.fencing_token());
        }
        (renewed, next) => panic!("renewed: {renewed}, and then {next:?}"),
    }
}

fn newcomer_meets_renewal(looks: Looks) {
    let (engine, first, renewed, met) = renewed_beside(looks, |engine| begin_with(engine, b"one"));
    match (renewed, met) {
        // As above.
        (true, Got::InProgress(1)) => {}
        (_, Got::Admitted(next)) => {
            let expected = if renewed { (Looks::InTime, 2) } else { (looks, 1) };
            assert_eq!((looks, next.attempt()), expected);
            assert!(next.fencing_token() > first.fencing_token());
            assert_eq!(begin_with(&engine, b"one"), Got::InProgress(next.attempt()));
        }
        (renewed, met) => panic!("renewed: {renewed}, and {met:?}"),
    }
}

/// Goal: a sweep forgets no renewed record before its time. Method: every schedule of a renewal
/// and a sweep to which the record is over by the lease before.
#[test]
fn a_sweep_keeps_what_is_renewed() {
    model(|| sweep_meets_renewal(Looks::InTime));
    model(|| sweep_meets_renewal(Looks::Late));
}

/// Goal: a newcomer that finds a record over and then renewed takes it over, or waits its turn, and
/// does not begin it anew. Method: as above, with a caller of the same request in place of the
/// sweep.
#[test]
fn a_newcomer_follows_a_renewal() {
    model(|| newcomer_meets_renewal(Looks::InTime));
    model(|| newcomer_meets_renewal(Looks::Late));
}

fn sweep_meets_completion() {
    let Small { engine, clock } = small();
    let token = begin_with(&engine, b"one").token().expect("new");
    clock.advance(LEASE + WINDOW);
    let (left, right) = (Arc::clone(&engine), Arc::clone(&engine));
    let (completed, _) = race(
        move || left.complete(&token, &Outcome::new(200, "late")).is_ok(),
        move || right.sweep(usize::MAX).expect("not forked"),
    );
    match (completed, begin_with(&engine, b"one")) {
        (true, next) => assert_eq!(next, Got::Replayed(b"late".to_vec())),
        (false, Got::Admitted(next)) => {
            assert_eq!(next.attempt(), 1);
            assert!(next.fencing_token() > token.fencing_token());
        }
        (false, next) => panic!("fenced, and then {next:?}"),
    }
}

/// Goal: of a late completion and the sweep that clears its record one counts. Method: every
/// schedule of both.
#[test]
fn a_late_completion_or_the_clearing() {
    model(sweep_meets_completion);
}

/// Goal: the model bites. Method: whoever closes a lease clears its record, though it was renewed
/// since it was seen to be over.
#[cfg(oncegate_loom)]
#[test]
fn broken_cleared_unchecked() {
    broken(oncegate::Bug::ClearedUnchecked, || sweep_meets_renewal(Looks::InTime));
    broken(oncegate::Bug::ClearedUnchecked, || newcomer_meets_renewal(Looks::InTime));
}

/// Goal: the model bites. Method: whoever finds a lease lapsed does not close it.
#[cfg(oncegate_loom)]
#[test]
fn broken_takeover_without_freeze() {
    broken(oncegate::Bug::TakeoverWithoutFreeze, || sweep_meets_renewal(Looks::Late));
}

/// Goal: the model bites. Method: a completion stores the control word without comparing.
#[cfg(oncegate_loom)]
#[test]
fn broken_complete_ignores_fence() {
    broken(oncegate::Bug::CompleteIgnoresFence, sweep_meets_completion);
}
