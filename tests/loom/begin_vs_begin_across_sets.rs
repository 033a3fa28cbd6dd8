//! Two callers ask for one new request whose home set is full, so that it goes to the other set;
//! and a duplicate looks for a record that lies there.
//!
//! Threads: two. Sizes: two sets, the home filled with running records. Bound: one preemption; two
//! take minutes. Property: admitted once (I1), found in either set. Left out: eviction.

use crate::support::*;
use std::sync::Arc;

/// An engine whose home set 0 is full, and a key of that home that is still new.
fn home_full() -> (Small, String) {
    let small = small();
    let mut keys = keys_of_home(&small.engine, 0);
    // Insertions go to the emptier set, so filling both but one way fills the home.
    let ways = if cfg!(oncegate_loom) { 7 } else { 20 };
    for _ in 0..ways {
        let key = keys.next().expect("a key");
        assert!(begin(&small.engine, &key).token().is_some());
    }
    let new = keys.next().expect("a key");
    drop(keys);
    (small, new)
}

fn same_in_either_set() {
    let (Small { engine, .. }, key) = home_full();
    let (left, right) = (Arc::clone(&engine), Arc::clone(&engine));
    let (key_one, key_two) = (key.clone(), key.clone());
    let (one, two) = race(
        move || left.begin(&request(&key_one)).map(got),
        move || right.begin(&request(&key_two)).map(got),
    );
    let all = [one, two];
    let admitted = all.iter().flatten().filter(|got| got.token().is_some()).count();
    assert_eq!(admitted, 1, "{all:?}");
    assert_eq!(begin(&engine, &key), Got::InProgress(1));
}

/// Goal: two candidate sets are one place. Method: every schedule of two begins, one way free.
#[test]
fn one_begin_is_admitted_across_sets() {
    bounded(1, same_in_either_set);
}

/// Goal: the model bites. Method: the alternate set is not searched.
#[cfg(oncegate_loom)]
#[test]
fn broken_alternate_not_searched() {
    broken(oncegate::Bug::AlternateNotSearched, || {
        let (Small { engine, .. }, key) = home_full();
        assert!(begin(&engine, &key).token().is_some());
        // Both orders of the sets are tried by keys of both homes.
        for key in keys_of_home(&engine, 0).take(7) {
            assert_eq!(begin(&engine, &key), Got::InProgress(1));
        }
    });
}
