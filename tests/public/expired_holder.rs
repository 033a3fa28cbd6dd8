//! A holder whose lease lapsed comes back late.
//!
//! Seen in idempotency libraries whose update and delete are unconditional: the late failure of
//! an expired holder deletes the new holder's record, and the request runs a third time.

use std::time::Duration;

use oncegate::{Admission, Clock, ErrorCode, Failure, LeaseToken, PreciseClock, Ran, Status};

use crate::support::{LEASE, WINDOW, admitted, build, done, engine, replayed, request, token};

/// Goal: whatever an expired holder does late changes nothing of the new holder's record (I3).
/// Method: take a lapsed lease over, then complete, fail, abandon and renew with the old token;
/// the new holder completes, and its outcome is what duplicates get.
#[test]
fn late_write_changes_nothing() {
    let (engine, clock) = engine();
    let old = token(&engine, &request("k"));
    clock.advance(LEASE);
    let new = admitted(&engine, &request("k"));
    assert_eq!((new.status(), new.attempt()), (Status::Expired, 2));
    assert!(new.fencing_token() > old.fencing_token());

    let late = [
        engine.complete(&old, &done("late")).map(|_| ()),
        engine.fail(&old, Failure::retryable()),
        engine.fail(&old, Failure::retryable_after(LEASE)),
        engine.fail(&old, Failure::terminal(done("late"))),
        engine.fail(&old, Failure::unknown()),
        engine.abandon(&old),
        engine.renew(&old, WINDOW).map(|_| ()),
    ];
    for answer in late {
        let error = answer.expect_err("stale");
        assert!(error.is_fenced() && !error.is_retriable(), "{error}");
    }
    let met = engine.begin(&request("k")).expect("an answer");
    assert!(matches!(met, Admission::InProgress { attempt: 2, remaining } if remaining == LEASE));

    new.complete(&done("new")).expect("it holds the lease");
    assert_eq!(replayed(&engine, &request("k")), done("new"));
    assert_eq!(engine.stats().expect("not forked").fenced, 7);
}

/// Goal: a guard that was dropped late changes nothing either. Method: as above, by drop.
#[test]
fn late_drop_changes_nothing() {
    let (engine, clock) = engine();
    let old = admitted(&engine, &request("k"));
    clock.advance(LEASE);
    let _new = token(&engine, &request("k"));
    drop(old);
    let met = engine.begin(&request("k")).expect("an answer");
    assert!(matches!(met, Admission::InProgress { attempt: 2, .. }), "{met:?}");
}

/// Goal: two ends of one attempt: the first counts, the second is fenced and changes nothing.
/// Method: complete twice, and fail after complete, with one token.
#[test]
fn second_end_is_fenced() {
    let (engine, _clock) = engine();
    let token = token(&engine, &request("k"));
    engine.complete(&token, &done("first")).expect("held");
    assert!(engine.complete(&token, &done("second")).expect_err("ended").is_fenced());
    assert!(engine.fail(&token, Failure::retryable()).expect_err("ended").is_fenced());
    assert_eq!(replayed(&engine, &request("k")), done("first"));
}

/// Goal: a token of another engine, or one that was made up, is fenced and changes nothing.
/// Method: end an attempt with another engine's token of the same request, and with every byte
/// of a right token changed in turn.
#[test]
fn foreign_token_is_fenced() {
    let (engine, _clock) = engine();
    let (other, _) = build(oncegate::Engine::builder().capacity(100_000));
    let right = token(&engine, &request("k"));
    let foreign = token(&other, &request("k"));
    assert!(engine.complete(&foreign, &done("x")).expect_err("foreign").is_fenced());
    assert!(other.complete(&right, &done("x")).expect_err("foreign").is_fenced());

    let bytes = right.to_bytes();
    // All but the window, which is the holder's to say, within its limits, and the hash of the
    // scope, by which the scheduler takes turns, and nothing else.
    for at in (0..2).chain(6..24) {
        let mut changed = bytes;
        changed[at] ^= 0x15;
        let forged = LeaseToken::from_bytes(&changed);
        if let Ok(forged) = forged {
            let refused = engine.complete(&forged, &done("x")).expect_err("forged");
            assert!(refused.is_fenced(), "{at}");
        }
    }
    for window in [0, u64::MAX] {
        let mut changed = bytes;
        changed[24..].copy_from_slice(&window.to_le_bytes());
        let error = LeaseToken::from_bytes(&changed).expect_err("no such window");
        assert_eq!(error.code(), ErrorCode::InvalidToken);
    }
    assert!(LeaseToken::from_bytes(&bytes[1..]).is_err());
    assert!(LeaseToken::from_bytes(&[]).is_err());
    engine.complete(&right, &done("right")).expect("untouched");
}

/// Goal: what the work left is not lost with its lease. Method: `run` whose work outlives its
/// lease while another attempt starts, with a result and with an error.
#[test]
fn run_gives_back_what_is_fenced() {
    for result in [Ok(done("charged")), Err("declined")] {
        let (engine, clock) = engine();
        let ran = engine.run(&request("k"), || {
            clock.advance(LEASE);
            let _second = token(&engine, &request("k"));
            result.clone()
        });
        let ran = ran.expect("the work ran");
        assert!(ran.outcome().is_none(), "it does not count");
        let Ran::Fenced(left) = ran else { panic!("{ran:?}") };
        assert_eq!(left, result);
    }
}

/// Goal: a lease crosses threads as plain bytes. Method: complete it in another thread.
#[test]
fn token_crosses_threads_as_bytes() {
    let (engine, _clock) = engine();
    let bytes = token(&engine, &request("k")).to_bytes();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let token = LeaseToken::from_bytes(&bytes).expect("well-formed");
            engine.complete(&token, &done("there")).expect("held");
        });
    });
    assert_eq!(replayed(&engine, &request("k")), done("there"));
}

/// Goal: an engine that is opened later has higher tokens, as long as the wall clock is not set
/// back (I2 across restarts). Method: engines whose clocks show years that come.
#[test]
fn tokens_grow_across_restarts() {
    #[derive(Debug)]
    struct InYear(u64);
    impl Clock for InYear {
        fn now(&self) -> Duration {
            PreciseClock.now()
        }
        fn unix_time(&self) -> Duration {
            Duration::from_secs((self.0 - 1970) * 365 * 24 * 3600)
        }
    }
    let token_in = |year| {
        let builder = oncegate::Engine::builder().capacity(100).clock(InYear(year));
        let engine = builder.build().expect("valid");
        admitted(&engine, &request("k")).fencing_token().get()
    };
    let (first, later) = (token_in(2030), token_in(2031));
    let year_ms = 365 * 24 * 3600 * 1_000;
    assert!(later - first >= year_ms << 22, "a year of milliseconds, each with 2^22 attempts");
    assert!(token_in(2029) > later, "set back within one process");
}
