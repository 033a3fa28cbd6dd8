//! Failure of others: a status endpoint that asks by beginning, and so runs what it only meant to
//! look at, or keeps alive what should lapse.

use std::time::Duration;

use crate::support::*;
use oncegate::{Admission, Engine, Failure, Fingerprint, Outcome, Resolution};

fn fingerprint(engine: &Engine, key: &str) -> Fingerprint {
    engine.prepare(&request(key)).expect("a valid request").fingerprint()
}

fn seen<'e>(engine: &'e Engine, key: &str) -> Option<Admission<'e>> {
    engine.look(fingerprint(engine, key)).expect("an answer")
}

/// Goal: a look tells each state of a record as a duplicate would hear it. Method: take a record
/// through its states, one after the other, and look at each.
#[test]
fn each_state_is_told() {
    let (engine, clock) = engine();
    assert!(seen(&engine, "k").is_none());
    let lease = admitted(&engine, &paying("k", b"{}"));
    match seen(&engine, "k") {
        Some(Admission::InProgress { attempt: 1, remaining }) => assert_eq!(remaining, LEASE),
        other => panic!("{other:?}"),
    }
    lease.fail(Failure::retryable_after(Duration::from_secs(5))).expect("its own lease");
    match seen(&engine, "k") {
        Some(Admission::Scheduled { next_attempt: 2, due_in }) => {
            assert_eq!(due_in, Duration::from_secs(5));
        }
        other => panic!("{other:?}"),
    }
    clock.advance(Duration::from_secs(5));
    admitted(&engine, &paying("k", b"{}")).fail(Failure::unknown()).expect("its own lease");
    assert!(matches!(seen(&engine, "k"), Some(Admission::Unresolved)));
    let (short, long) = (Outcome::new(201, b"done"), Outcome::new(402, [7; 4_000]));
    engine.resolve(&request("k"), Resolution::Succeeded(short.clone())).expect("it is unknown");
    admitted(&engine, &request("l")).fail(Failure::terminal(long.clone())).expect("its own lease");
    admitted(&engine, &request("m")).complete(&Outcome::withheld(200)).expect("its own lease");
    for (key, expected) in [("k", &short), ("l", &long)] {
        match seen(&engine, key) {
            Some(Admission::Replayed(outcome)) => assert_eq!(&outcome, expected),
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(seen(&engine, "m"), Some(Admission::OutcomeGone)));
    clock.advance(WINDOW);
    assert!(["k", "l", "m"].iter().all(|key| seen(&engine, key).is_none()));
}

/// Goal: looking changes nothing. Method: look at what is absent, lapsed and due; whoever begins
/// afterwards is admitted with the attempt that he would have got anyway, and no call was counted.
#[test]
fn looking_changes_nothing() {
    let (engine, clock) = engine();
    assert!(seen(&engine, "absent").is_none());
    let token = token(&engine, &request("lapsed"));
    clock.advance(LEASE);
    match seen(&engine, "lapsed") {
        Some(Admission::InProgress { attempt: 1, remaining }) => assert!(remaining.is_zero()),
        other => panic!("{other:?}"),
    }
    admitted(&engine, &request("due")).fail(Failure::retryable()).expect("its own lease");
    assert!(matches!(
        seen(&engine, "due"),
        Some(Admission::Scheduled { next_attempt: 2, due_in: Duration::ZERO })
    ));
    assert_eq!(engine.stats().expect("statistics").created, 2);
    // The holder may still end it: nobody took over.
    engine.complete(&token, &Outcome::new(200, b"late")).expect("not taken over");
    assert_eq!(admitted(&engine, &request("due")).attempt(), 2);
    assert_eq!(admitted(&engine, &request("absent")).attempt(), 1);
}
