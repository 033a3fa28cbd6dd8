//! What duplicates are given.
//!
//! Seen elsewhere: an empty result is taken for none and runs again; a result that is too large
//! is silently not stored; a completed record without a response never answers again.

use oncegate::{Admission, Completed, Engine, ErrorCode, Failure, Outcome, OutcomePolicy, Ran};
use oncegate::{RunOptions, Verdict};

use crate::support::{WINDOW, admitted, build, done, engine, replayed, request, token};

/// Goal: an empty outcome is an outcome. Method: complete with nothing, for success and failure.
#[test]
fn empty_is_an_outcome() {
    let (engine, _clock) = engine();
    let nothing = Outcome::new(0, b"");
    admitted(&engine, &request("a")).complete(&nothing).expect("held");
    engine.fail(&token(&engine, &request("b")), Failure::terminal(nothing.clone())).expect("held");
    for key in ["a", "b"] {
        assert_eq!(replayed(&engine, &request(key)), nothing);
    }
}

/// Goal: status, metadata and bytes come back as they were, for the whole window and not a
/// millisecond longer. Method: replay just before and at the end of the window.
#[test]
fn comes_back_as_it_was_for_its_window() {
    let (engine, clock) = engine();
    let outcome = Outcome::new(201, [0, 255, 10, 13])
        .with_metadata("content-type", "application/json")
        .and_then(|outcome| outcome.with_metadata("x-empty", ""))
        .expect("small");
    admitted(&engine, &request("k")).complete(&outcome).expect("held");
    clock.advance(WINDOW - std::time::Duration::from_millis(1));
    let again = replayed(&engine, &request("k"));
    assert_eq!(again, outcome);
    let metadata: Vec<_> = again.metadata().collect();
    assert_eq!(metadata, [("content-type", "application/json"), ("x-empty", "")]);
    clock.advance(std::time::Duration::from_millis(1));
    assert_eq!(admitted(&engine, &request("k")).status(), oncegate::Status::Expired);
}

/// Goal: an outcome over the limit is stated to both sides, and is never a second run.
/// Method: one byte below, at and over the limit.
#[test]
fn over_the_limit_is_stated() {
    let (engine, _clock) = build(Engine::builder().capacity(1_000).outcome_limit(100));
    for (key, size, kept) in [("99", 99, true), ("100", 100, true), ("101", 101, false)] {
        let outcome = Outcome::new(200, vec![1; size]);
        let completed = admitted(&engine, &request(key)).complete(&outcome).expect("held");
        let met = engine.begin(&request(key)).expect("an answer");
        if kept {
            assert_eq!(completed, Completed::Stored);
            assert!(matches!(met, Admission::Replayed(again) if again == outcome));
        } else {
            assert_eq!(completed, Completed::WithoutBytes);
            assert!(matches!(met, Admission::OutcomeGone), "{met:?}");
        }
    }
}

/// Goal: outcomes that the budget pushed out are gone, are counted, and never run again.
/// Method: many times the budget of outcomes; the oldest answers `OutcomeGone`.
#[test]
fn pushed_out_is_gone_and_never_runs_again() {
    let builder = Engine::builder().capacity(1_000).outcome_bytes(64 << 10).outcome_limit(1_000);
    let (engine, _clock) = build(builder);
    let keys: Vec<String> = (0..500).map(|key| key.to_string()).collect();
    for key in &keys {
        admitted(&engine, &request(key)).complete(&Outcome::new(200, [7; 900])).expect("held");
    }
    let mut gone = 0;
    for key in &keys {
        match engine.begin(&request(key)).expect("an answer") {
            Admission::Replayed(outcome) => assert_eq!(outcome.body(), [7; 900]),
            Admission::OutcomeGone => gone += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(gone > 400 && gone < 500, "{gone}");
    assert_eq!(engine.stats().expect("not forked").outcomes_evicted, gone);
}

/// Goal: the presets drive `run` as they say. Method: a status each, run twice.
#[test]
fn policies_decide_what_is_final() {
    let cases = [
        (OutcomePolicy::ietf(), 400, true),
        (OutcomePolicy::ietf(), 503, false),
        (OutcomePolicy::ietf(), 429, false),
        (OutcomePolicy::stripe_v1(), 500, true),
        (OutcomePolicy::stripe_v2(), 402, false),
        (OutcomePolicy::stripe_v2(), 200, true),
        (OutcomePolicy::iceberg(), 200, true),
        (OutcomePolicy::iceberg(), 500, false),
    ];
    let (engine, _clock) = engine();
    for (at, (policy, status, is_final)) in cases.into_iter().enumerate() {
        let key = at.to_string();
        let options = RunOptions::new().policy(policy);
        let mut runs = 0;
        for _ in 0..2 {
            let ran = engine.run_with(&request(&key), &options, |_| {
                runs += 1;
                Ok::<_, ()>(Outcome::new(status, b""))
            });
            assert_eq!(ran.expect("an answer").outcome().map(Outcome::status), Some(status));
        }
        assert_eq!(runs, if is_final { 1 } else { 2 }, "case {at}");
    }
    let options = RunOptions::new().policy(OutcomePolicy::ietf().status(504, Verdict::Unknown));
    let gateway = |_: &mut oncegate::Lease<'_>| Ok::<_, ()>(Outcome::new(504, b""));
    let _ = engine.run_with(&request("504"), &options, gateway).expect("an answer");
    let again = engine.run_with(&request("504"), &options, gateway).expect("an answer");
    assert!(matches!(again, Ran::Declined(oncegate::Declined::Unresolved)), "{again:?}");
}

/// Goal: a key that fails without end comes to a typed end, and never wraps. Method: all attempts
/// that there are.
#[test]
fn attempts_end_typed() {
    let (engine, _clock) = engine();
    let last = u32::from(u16::MAX);
    for attempt in 1..=last {
        let lease = admitted(&engine, &request("k"));
        assert_eq!(lease.attempt(), attempt);
        lease.abandon().expect("held");
    }
    let error = engine.begin(&request("k")).expect_err("no attempt is left");
    assert_eq!((error.code(), error.is_retriable()), (ErrorCode::Exhausted, false));
    admitted(&engine, &request("another")).complete(&done("unharmed")).expect("held");
}
