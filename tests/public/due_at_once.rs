//! Failure of others: a queue that slows down, or grows, when everything in it is due at once, or
//! is put off at once; and a limit that refuses work long before it is reached.

use std::time::Duration;

use crate::support::*;
use oncegate::{
    Admission, AttemptError, BackoffPolicy, BeginOptions, Engine, ManualClock, Outcome, Reconciled,
    RetryContext, RetryPolicy, Secret,
};

/// An engine in which so many records may wait, all of them for ten seconds.
fn engine(most: usize) -> (Engine, ManualClock) {
    let policy = RetryPolicy::new(BackoffPolicy::constant(Duration::from_secs(10)));
    let builder = Engine::builder().capacity(2 * most).max_retrying(most).outcome_limit(64);
    let builder = builder.context_limit(8).steps_limit(0).max_dead_letters(0);
    let secret = Secret::from_bytes(&[7; 32]).expect("long enough");
    build(builder.outcome_bytes(most * 2_048 + (8 << 20)).retry_policy(policy).secret(secret))
}

/// Whether there was room to put the request off.
fn is_put_off(engine: &Engine, number: usize) -> bool {
    let key = number.to_string();
    let Admission::Admitted(lease) = engine.begin(&request(&key)).expect("room") else {
        panic!("a new request was not admitted");
    };
    let context = number.to_le_bytes();
    lease.retry_later(&AttemptError::new("503"), &RetryContext::new("deliver", &context)).is_ok()
}

/// Goal: of records that are due at once each is ready once, however often they are looked at anew
/// and others are put off meanwhile, and each is handed out once. Method: five hundred, due in the
/// same millisecond; for each attempt that is handed out and ended another is put off, and all are
/// looked at, which a new reconciler makes necessary; what is ready is not more than what is left.
#[test]
fn each_is_ready_once() {
    let (engine, clock) = engine(1_000);
    assert!((0..500).all(|number| is_put_off(&engine, number)));
    clock.advance(Duration::from_secs(10));
    for left in (0..500).rev() {
        engine.set_reconciler(|_| Reconciled::StillUnknown).expect("set");
        let attempt = engine.next_attempt(Duration::ZERO).expect("answered").expect("due");
        let ready = engine.stats().expect("not forked").retries.ready;
        assert!(ready <= left, "{ready} are ready, of {left}");
        attempt.into_lease().complete(&Outcome::new(200, [])).expect("held");
        assert!(is_put_off(&engine, 500 + left as usize));
    }
    assert!(engine.next_attempt(Duration::ZERO).expect("answered").is_none());
    assert_eq!(engine.stats().expect("not forked").completed, 500);
}

/// Goal: nearly as many records can wait as may. Method: five tables of four thousand, filled
/// until one is refused; the shares of what they held. The secret is given, and so are the places.
#[test]
fn nearly_as_many_wait_as_may() {
    let most = 4_096;
    let held = |table: usize| {
        let (engine, _clock) = engine(most);
        (0..most).take_while(|number| is_put_off(&engine, table * most + number)).count()
    };
    let shares: Vec<f64> = (0..5).map(|table| held(table) as f64 / most as f64).collect();
    let mean = shares.iter().sum::<f64>() / 5.0;
    assert!(mean > 0.86, "refused at {shares:?} of what may wait");
}

/// Goal: one call does not file all that was put off, says that it did not, and all calls together
/// leave none out. Method: a thousand put off, none of them due; calls of at most a hundred each,
/// counted; then all are ready when they are due.
#[test]
fn much_is_filed_in_many_calls() {
    let (engine, clock) = engine(1_000);
    let put_off = (0..1_000).filter(|number| is_put_off(&engine, *number)).count();
    let mut calls = 1;
    while engine.advance(100).expect("not forked").more {
        calls += 1;
    }
    // Each files up to two blocks of 64 entries.
    assert!(calls >= put_off / 128, "{put_off} filed in {calls} calls");
    clock.advance(Duration::from_secs(10));
    assert_eq!(engine.advance(10_000).expect("not forked").ready, put_off);
}

/// Goal: a worker gets what is due first, though only a part was filed before. Method: eight
/// hundred put off a millisecond apart; one short call; then all are taken.
#[test]
fn first_due_comes_first_whatever_is_filed() {
    let (engine, clock) = engine(1_000);
    let put_off: Vec<_> = (0..800)
        .filter(|number| {
            clock.advance(Duration::from_millis(1));
            is_put_off(&engine, *number)
        })
        .collect();
    assert!(engine.advance(1).expect("not forked").more);
    clock.advance(Duration::from_secs(10));
    let mut taken = Vec::new();
    while let Some(attempt) = engine.next_attempt(Duration::ZERO).expect("answered") {
        taken.push(usize::from_le_bytes(attempt.context().try_into().expect("a number")));
        attempt.into_lease().complete(&Outcome::new(200, [])).expect("held");
    }
    assert_eq!(taken, put_off);
}

/// Goal: a worker that does not wait gets what is due, however much it looks at in vain before.
/// Method: two thousand that were due are run otherwise meanwhile; one is left.
#[test]
fn what_is_due_is_found_behind_what_is_not() {
    let (engine, clock) = engine(4_000);
    assert!((0..2_000).all(|number| is_put_off(&engine, number)));
    assert!(engine.next_attempt(Duration::ZERO).expect("answered").is_none());
    clock.advance(Duration::from_millis(1));
    assert!(is_put_off(&engine, 2_000));
    clock.advance(Duration::from_secs(10));
    for number in 0..2_000 {
        let options = BeginOptions::new().run_due();
        let admission = engine.begin_with(&request(&number.to_string()), &options);
        let Ok(Admission::Admitted(lease)) = admission else { panic!("it is due") };
        lease.complete(&Outcome::new(200, [])).expect("held");
    }
    let attempt = engine.next_attempt(Duration::ZERO).expect("answered").expect("one is due");
    assert_eq!(attempt.context(), 2_000_usize.to_le_bytes());
}

/// Goal: one call does not sweep all that has come to its turn, says that it did not, and all
/// calls together do. Method: eight thousand records are over; a minute passes.
#[test]
fn little_is_swept_in_a_call() {
    const RECORDS: u64 = 8_000;
    const LIMIT: u64 = 64;
    let (engine, clock) = build(Engine::builder().capacity(16_000));
    let short = BeginOptions::new().dedup_window(Duration::from_secs(1));
    for number in 0..RECORDS {
        let key = format!("key-{number}");
        match engine.begin_with(&request(&key), &short).expect("answered") {
            Admission::Admitted(lease) => drop(lease.complete(&done("")).expect("held")),
            other => panic!("{other:?}"),
        }
    }
    let cleared = || engine.stats().expect("not forked").evicted_expired;
    while engine.advance(LIMIT as usize).expect("not forked").more {}
    assert_eq!(cleared(), 0);
    clock.advance(Duration::from_secs(60));
    let mut calls = 0;
    loop {
        let before = cleared();
        let more = engine.advance(LIMIT as usize).expect("not forked").more;
        assert!(cleared() - before <= LIMIT, "{} at once", cleared() - before);
        calls += 1;
        if !more {
            break;
        }
    }
    assert!(calls as u64 > RECORDS / LIMIT, "{calls} calls");
    assert_eq!(cleared(), RECORDS);
    let due_in = engine.advance(LIMIT as usize).expect("not forked").due_in;
    assert!(due_in.is_some_and(|due_in| !due_in.is_zero()), "it rests until the next turn");
}

/// Goal: whoever asks without waiting gets what is due, however much else is due that was put off
/// long before. Method: three thousand records are put off for ten seconds, and filed; then all are
/// due, and each is asked for without a wait.
///
/// Cause: a look moves so many entries of the wheel, and answered that nothing is due when they
/// were moved and none had come out yet.
#[test]
fn much_that_is_due_is_not_nothing() {
    const RECORDS: usize = 3_000;
    let (engine, clock) = engine(RECORDS + RECORDS / 4 + 64);
    assert!((0..RECORDS).all(|number| is_put_off(&engine, number)));
    assert!(engine.next_attempt(Duration::ZERO).expect("not forked").is_none());
    clock.advance(Duration::from_secs(10));
    for number in 0..RECORDS {
        let attempt = engine.next_attempt(Duration::ZERO).expect("not forked");
        let attempt = attempt.unwrap_or_else(|| panic!("{number} were handed out"));
        attempt.into_lease().complete(&done("")).expect("held");
    }
    assert!(engine.next_attempt(Duration::ZERO).expect("not forked").is_none());
}
