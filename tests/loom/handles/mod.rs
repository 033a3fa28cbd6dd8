//! A call on a handle while another thread closes it.
//!
//! Threads: two, or three. Bound: three preemptions. Sizes: one slot with two lines of counts, or
//! one. Property: whoever is inside a call finds what the handle stands for, and nobody else does;
//! it is given up once, after the last call; a handle of the one before is refused. What a line
//! keeps is one call's at a time, and comes to the next as it was left. Left out: the registry of
//! slots, which only finds them, and forks.

#[path = "../../../ffi/src/slot.rs"]
mod slot;
mod sync;

use std::sync::Arc;

use crate::support::*;
use slot::{Refused, Slot};

#[cfg(oncegate_loom)]
use loom::sync::atomic::{AtomicBool, Ordering};
#[cfg(not(oncegate_loom))]
use std::sync::atomic::{AtomicBool, Ordering};

type Two = Slot<Arc<AtomicBool>, u64, 2>;

/// A slot with something in it that is marked when it is closed.
fn filled() -> (Arc<Two>, Arc<AtomicBool>, u64) {
    let (slot, closed) = (Arc::new(Two::new()), Arc::new(AtomicBool::new(false)));
    let generation = slot.fill(Arc::clone(&closed)).expect("it is free");
    (slot, closed, generation)
}

/// Whether a call found what it was made on, which was not closed meanwhile.
fn call(slot: &Two, generation: u64, shard: usize) -> bool {
    let Ok(call) = slot.enter(generation, shard) else { return false };
    // Relaxed: the slot orders them.
    assert!(!call.load(Ordering::Relaxed), "closed under a call");
    true
}

fn close(slot: &Two, generation: u64) -> bool {
    let Some(object) = slot.empty(generation, |_| ()) else { return false };
    // Relaxed: the slot orders them.
    object.store(true, Ordering::Relaxed);
    true
}

fn two_calls_and_a_close() {
    let (slot, closed, generation) = filled();
    let (one, two) = (Arc::clone(&slot), Arc::clone(&slot));
    let first = thread::spawn(move || call(&one, generation, 0));
    let second = thread::spawn(move || call(&two, generation, 1));
    assert!(close(&slot, generation), "nobody else closes it");
    first.join().expect("no panic");
    second.join().expect("no panic");
    // Relaxed: the threads have ended.
    assert!(closed.load(Ordering::Relaxed));
    assert!(!call(&slot, generation, 0), "it is closed");
}

/// Goal: what a handle stands for is there while a call is on it. Method: two calls, on lines of
/// their own, while it is closed.
#[test]
fn a_call_under_way_is_waited_for() {
    bounded(3, two_calls_and_a_close);
}

/// Goal: the model bites. Method: a call looks before it is counted.
#[cfg(oncegate_loom)]
#[test]
fn broken_looks_before_it_counts() {
    sync::Mistake::LooksBeforeItCounts.must_fail(|| bounded(3, two_calls_and_a_close));
}

/// Goal: the model bites. Method: closing does not wait.
#[cfg(oncegate_loom)]
#[test]
fn broken_closes_under_calls() {
    sync::Mistake::ClosesUnderCalls.must_fail(|| bounded(3, two_calls_and_a_close));
}

/// Goal: a handle is closed once. Method: two close it.
#[test]
fn two_close_it_once() {
    bounded(3, || {
        let (slot, _, generation) = filled();
        let (one, two) = (Arc::clone(&slot), slot);
        let ended = race(move || close(&one, generation), move || close(&two, generation));
        assert!(ended.0 != ended.1, "{ended:?}");
    });
}

/// Goal: a forked child can close what its parent was inside. Method: a call that never ends, and
/// is forgotten.
#[test]
fn forgotten_calls_hold_nothing_up() {
    bounded(3, || {
        let (slot, _, generation) = filled();
        let call = slot.enter(generation, 0).unwrap_or_else(|why| panic!("{why:?}"));
        assert!(call.is_open());
        std::mem::forget(call);
        slot.forget_calls();
        assert!(close(&slot, generation));
    });
}

fn old_handle_and_a_new_one() {
    let (slot, _, old) = filled();
    let reuser = Arc::clone(&slot);
    let (seen, new) = race(
        move || slot.enter(old, 0).map(|call| call.load(Ordering::Relaxed)),
        move || {
            assert!(close(&reuser, old));
            // What is in there now counts as closed for whoever has the old handle.
            reuser.fill(Arc::new(AtomicBool::new(true))).expect("it is free")
        },
    );
    assert!(matches!(seen, Ok(false) | Err(Refused::Unknown)), "{seen:?}");
    assert_ne!(new, old);
}

/// Goal: a handle never reaches what came after it in its slot. Method: a call on it while the
/// slot is emptied and filled again.
#[test]
fn an_old_handle_is_refused() {
    bounded(3, old_handle_and_a_new_one);
}

/// Goal: the model bites. Method: the generation stays.
#[cfg(oncegate_loom)]
#[test]
fn broken_same_generation() {
    sync::Mistake::SameGeneration.must_fail(|| bounded(3, old_handle_and_a_new_one));
}

/// Two calls in a row on one line, each of which adds to what the line keeps, if it has it.
fn two_in_a_row(slot: &Two, generation: u64, each: u64) -> u64 {
    let mut added = 0;
    for _ in 0..2 {
        let Ok(mut call) = slot.enter(generation, 0) else { continue };
        let (_, kept) = call.with_kept();
        if let Some(kept) = kept {
            let before = *kept;
            thread::yield_now();
            assert_eq!(*kept, before, "another call has it, too");
            *kept += each;
            added += each;
        }
    }
    added
}

fn calls_that_share_a_line() {
    let (slot, _, generation) = filled();
    let (one, two) = (Arc::clone(&slot), Arc::clone(&slot));
    let added =
        race(move || two_in_a_row(&one, generation, 1), move || two_in_a_row(&two, generation, 10));
    let mut call = slot.enter(generation, 0).unwrap_or_else(|why| panic!("{why:?}"));
    let (_, kept) = call.with_kept();
    assert_eq!(kept.map(|kept| *kept), Some(added.0 + added.1), "whoever is alone has it");
}

/// Goal: what a line keeps for its calls is one call's at a time, and nothing written to it is
/// lost. Method: two threads that call twice each, on one line.
#[test]
fn what_a_line_keeps_is_one_calls() {
    bounded(3, calls_that_share_a_line);
}

/// Goal: the model bites. Method: every call has it.
#[cfg(oncegate_loom)]
#[test]
fn broken_shares_what_is_kept() {
    sync::Mistake::SharesWhatIsKept.must_fail(|| bounded(3, calls_that_share_a_line));
}
