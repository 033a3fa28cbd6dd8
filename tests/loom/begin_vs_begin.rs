//! Two callers ask for one new request at once; two callers ask for two new requests of one home.
//!
//! Threads: two. Sizes: two sets. Bound: two preemptions. Property: one fingerprint is admitted
//! once (I1); different fingerprints do not disturb each other. Left out: eviction, expiry.

use crate::support::*;
use std::sync::Arc;

fn same() {
    let Small { engine, .. } = small();
    let other = Arc::clone(&engine);
    let (one, two) = race(move || begin(&engine, "k"), move || begin(&other, "k"));
    let admitted = [&one, &two].iter().filter(|got| got.token().is_some()).count();
    assert_eq!(admitted, 1, "{one:?} and {two:?}");
    assert!([one, two].contains(&Got::InProgress(1)));
}

/// Goal: a request that two callers begin is admitted once. Method: every schedule of both.
#[test]
fn one_begin_is_admitted() {
    model(same);
}

/// Goal: requests of one home do not keep each other out. Method: both are new, and looked for
/// again by the other thread afterwards.
#[test]
fn two_requests_of_one_home_are_both_admitted() {
    model(|| {
        let Small { engine, .. } = small();
        let mut keys = keys_of_home(&engine, 0);
        let (a, b) = (keys.next().expect("a key"), keys.next().expect("a key"));
        let (left, right) = (Arc::clone(&engine), Arc::clone(&engine));
        let (key_a, key_b) = (a.clone(), b.clone());
        let (one, two) = race(move || begin(&left, &key_a), move || begin(&right, &key_b));
        let (one, two) = (one.token().expect("new"), two.token().expect("new"));
        assert_eq!(begin(&engine, &a), Got::InProgress(1));
        assert_eq!(begin(&engine, &b), Got::InProgress(1));
        assert_ne!(one.fencing_token(), two.fencing_token(), "one home, one clock");
    });
}

/// Goal: the model bites. Method: the arbitration's failure is ignored.
#[cfg(oncegate_loom)]
#[test]
fn broken_arbitration_ignored() {
    broken(oncegate::Bug::ArbitrationIgnored, same);
}

/// Goal: the model bites. Method: the tag is written after the arbitration.
#[cfg(oncegate_loom)]
#[test]
fn broken_tag_written_late() {
    broken(oncegate::Bug::TagWrittenLate, same);
}
