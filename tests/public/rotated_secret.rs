//! The secret is rotated while requests come in.
//!
//! Seen on upgrades: a library that makes its digests in another way takes every record for
//! absent, and runs all of them again.

use std::sync::mpsc;
use std::time::Duration;

use oncegate::{Admission, BeginOptions, Engine, ErrorCode, Outcome, Payload, Secret};

use crate::support::{LEASE, WINDOW, admitted, build, done, engine, replayed, request, token};

fn rotate(engine: &Engine) {
    engine.rotate_secret(Secret::generate().expect("entropy")).expect("none under way");
}

/// Goal: a record that was made under the old secret is found, with its payload, and never runs
/// twice across the rotation. Method: bring records into several states, rotate, ask; records
/// under the old secret hold the rotation up until their time is over.
#[test]
fn never_runs_twice_across_it() {
    let (engine, clock) = engine();
    let with = |key, body| request(key).payload(Payload::raw(body));
    admitted(&engine, &with("done", b"1")).complete(&done("before")).expect("held");
    let running = token(&engine, &request("running"));
    rotate(&engine);

    assert_eq!(replayed(&engine, &with("done", b"1")), done("before"));
    let other = engine.begin(&with("done", b"2")).expect("an answer");
    assert!(matches!(other, Admission::Mismatched), "{other:?}");
    let met = engine.begin(&request("running")).expect("an answer");
    assert!(matches!(met, Admission::InProgress { attempt: 1, .. }), "{met:?}");
    engine.complete(&running, &done("across")).expect("the lease goes on");
    assert_eq!(replayed(&engine, &request("running")), done("across"));

    let left = engine.finish_rotation().expect_err("two records are left");
    assert_eq!(left.code(), ErrorCode::RotationPending);
    clock.advance(WINDOW);
    engine.finish_rotation().expect("their time is over");
    assert!(admitted(&engine, &with("done", b"1")).fencing_token() > running.fencing_token());
}

/// Goal: a record that is over under the old secret is replaced by one under the new secret, and
/// the next duplicate gets an answer. Method: begin twice after the window; in a thread of its
/// own, so that an endless search fails the test.
#[test]
fn record_that_is_over_does_not_hide_the_new_one() {
    let (engine, clock) = engine();
    admitted(&engine, &request("k")).complete(&done("old")).expect("held");
    rotate(&engine);
    clock.advance(WINDOW);
    let (told, answer) = mpsc::channel();
    std::thread::spawn(move || {
        let _running = token(&engine, &request("k"));
        let met = engine.begin(&request("k")).expect("an answer");
        told.send(matches!(met, Admission::InProgress { .. })).expect("received");
    });
    let in_progress = answer.recv_timeout(Duration::from_secs(20));
    assert_eq!(in_progress, Ok(true), "the second begin");
}

/// Goal: the holder of an attempt whose record was replaced across a rotation is fenced, and
/// hides nothing from the new holder. Method: let lease and retention run out, begin under the
/// new secret, and complete with the old token.
#[test]
fn replaced_holder_is_fenced() {
    let (engine, clock) = engine();
    let old = token(&engine, &request("k"));
    rotate(&engine);
    clock.advance(LEASE + WINDOW);
    let new = token(&engine, &request("k"));
    assert!(new.fencing_token() > old.fencing_token());
    assert!(engine.complete(&old, &done("late")).expect_err("replaced").is_fenced());
    engine.complete(&new, &done("new")).expect("held");
    assert_eq!(replayed(&engine, &request("k")), done("new"));
}

/// Goal: nobody can end a record that the rotation has left behind. Method: finish the rotation
/// when an abandoned attempt is over, and complete with its token.
#[test]
fn holder_from_before_is_fenced_after_it() {
    let (engine, clock) = engine();
    let old = token(&engine, &request("k"));
    rotate(&engine);
    clock.advance(LEASE + WINDOW);
    engine.finish_rotation().expect("its time is over");
    let new = token(&engine, &request("k"));
    assert!(engine.complete(&old, &done("late")).expect_err("left behind").is_fenced());
    engine.complete(&new, &done("new")).expect("held");
}

/// Goal: a request that was prepared before a rotation, or for another engine, is prepared
/// again. Method: begin it in every way after a rotation, and in a much smaller engine. (Its place
/// in the larger table lies outside the smaller one.)
#[test]
fn prepared_request_is_prepared_again() {
    let (engine, _clock) = engine();
    let large = Engine::builder().capacity(100_000).build().expect("valid");
    let asked = request("k");
    let (own, foreign) =
        (engine.prepare(&asked).expect("valid"), large.prepare(&asked).expect("valid"));
    let _running = token(&engine, &asked);
    rotate(&engine);
    let (options, mut buffer) = (BeginOptions::new(), Outcome::default());
    for prepared in [own, foreign] {
        let met = engine.begin_prepared(&prepared, &options).expect("an answer");
        assert!(matches!(met, Admission::InProgress { attempt: 1, .. }), "{met:?}");
        let met = engine.begin_into(&prepared, &options, &mut buffer).expect("an answer");
        assert!(matches!(met, Admission::InProgress { attempt: 1, .. }), "{met:?}");
    }
    engine.begin_batch(&[own, foreign], &options, &mut buffer, |_, met| {
        assert!(matches!(met, Ok(Admission::InProgress { attempt: 1, .. })), "{met:?}");
    });
}

/// Goal: whoever rotates to the secret in force, as each of several processes may, begins nothing.
/// Method: rotate to the first secret, to another one twice, and back to the first.
#[test]
fn the_secret_in_force_is_no_rotation() {
    let secret = |byte| Secret::from_bytes(&[byte; 32]).expect("32 bytes");
    let (engine, _clock) = build(Engine::builder().capacity(100).secret(secret(1)));
    engine.rotate_secret(secret(1)).expect("it is in force");
    let finished = || engine.finish_rotation().map_err(|error| error.code());
    assert_eq!(finished(), Err(ErrorCode::NotFound));
    engine.rotate_secret(secret(2)).expect("none under way");
    engine.rotate_secret(secret(2)).expect("it is in force");
    let back = engine.rotate_secret(secret(1)).expect_err("the other one is being retired");
    assert_eq!(back.code(), ErrorCode::RotationPending);
    assert_eq!(finished(), Ok(()));
    engine.rotate_secret(secret(1)).expect("none under way");
}
