//! Failure of others: a retry runs all of the work again, and charges the card a second time before
//! it comes to the part that had failed.

use std::time::Duration;

use crate::support::*;
use oncegate::{
    AttemptError, Engine, ErrorCode, Failure, FinishedStep, OnDrop, RetryContext, Step,
};

fn ran(step: Step<String>) -> Vec<u8> {
    match step {
        Step::Ran(result) => result,
        other => panic!("{other:?}"),
    }
}

/// Goal: what is done is not done again, whoever goes on. Method: three attempts, by a caller and
/// by workers, each of which comes further; the effects are counted.
#[test]
fn finished_steps_are_skipped() {
    let (engine, clock) = build(Engine::builder().capacity(1_000));
    let mut charges = 0;
    let mut mails = 0;
    let mut lease = admitted(&engine, &request("key"));
    let key = lease.step_key("payments", "charge").expect("short");
    let charge = lease.step("charge", || {
        charges += 1;
        Ok(b"charge-7".to_vec())
    });
    assert_eq!(ran(charge.expect("room")), b"charge-7");
    let mail = lease.step("mail", || Err("no route".to_owned())).expect("room");
    assert_eq!(mail, Step::Failed("no route".to_owned()));
    let context = RetryContext::new("order", b"context");
    let _ = lease.retry_later(&AttemptError::new("mail"), &context).expect("room");
    for attempt in 2..=3 {
        clock.advance(Duration::from_secs(120));
        let mut next = engine.next_attempt(Duration::ZERO).expect("answered").expect("due");
        assert_eq!((next.lease().attempt(), next.context()), (attempt, &b"context"[..]));
        let lease = next.lease_mut();
        assert_eq!(lease.step_key("payments", "charge").expect("short"), key);
        let charge = lease.step("charge", || -> Result<_, String> { panic!("charged again") });
        assert_eq!(charge.expect("room"), Step::Remembered(b"charge-7".to_vec()));
        let mail = lease.step("mail", || {
            mails += 1;
            if attempt == 3 { Ok(b"sent".to_vec()) } else { Err("no route".to_owned()) }
        });
        let lease = next.into_lease();
        if mail.expect("room").result().is_ok() {
            lease.complete(&done("all")).expect("holds the lease");
        } else {
            let _ = lease.retry_later(&AttemptError::new("mail"), &context).expect("room");
        }
    }
    assert_eq!((charges, mails), (1, 2));
    assert_eq!(replayed(&engine, &request("key")).body(), b"all");
}

/// Goal: steps outlive their attempt however it ends. Method: an attempt that is given back, one
/// whose lease lapses, and one that is dropped; plain callers, no worker.
#[test]
fn steps_outlive_every_end() {
    let (engine, clock) = engine();
    let step = |number: u32| {
        let mut lease = admitted(&engine, &request("key"));
        for known in 1..number {
            let known = lease.step(&format!("step-{known}"), || -> Result<_, String> { panic!() });
            assert!(matches!(known, Ok(Step::Remembered(_))), "{known:?}");
        }
        let name = format!("step-{number}");
        let new = lease.step(&name, || Ok::<_, String>(vec![number as u8])).expect("room");
        assert_eq!(new, Step::Ran(vec![number as u8]));
        lease
    };
    step(1).fail(Failure::retryable()).expect("holds the lease");
    let _lost = step(2).into_token();
    clock.advance(LEASE);
    drop(step(3));
    step(4).complete(&done("")).expect("holds the lease");
    // A new record of the same request knows nothing of it.
    clock.advance(WINDOW);
    let mut lease = admitted(&engine, &request("key"));
    assert_eq!(ran(lease.step("step-1", || Ok(vec![9])).expect("room")), [9]);
}

/// Goal: a holder whose lease is lost notes nothing (I3). Method: a step of attempt 1 is noted
/// after attempt 2 has begun, and after attempt 2 has noted its own.
#[test]
fn stale_holder_notes_no_step() {
    let (engine, clock) = engine();
    let stale = token(&engine, &request("key"));
    engine.finish_step(&stale, "one", b"1").expect("holds the lease");
    clock.advance(LEASE);
    let mut lease = admitted(&engine, &request("key"));
    let refused = engine.finish_step(&stale, "two", b"stale").unwrap_err();
    assert!(refused.is_fenced());
    assert!(engine.finished_step(&stale, "one").unwrap_err().is_fenced());
    assert_eq!(ran(lease.step("two", || Ok(b"2".to_vec())).expect("room")), b"2");
    assert!(engine.finish_step(&stale, "three", b"stale").unwrap_err().is_fenced());
    assert_eq!(lease.step("one", || Err(())).expect("room"), Step::Remembered(b"1".to_vec()));
    assert_eq!(lease.step("three", || Err(())).expect("room"), Step::Failed(()));
}

/// Goal: a lease that is lost is not given back: what `retry_later` refuses as fenced changes
/// nothing (I3). Method: an attempt with a step lapses; a drop would count as failure.
///
/// Cause: the guard was dropped after the refusal, and an attempt whose lapse was noticed can still
/// be ended as long as nobody has taken it over.
#[test]
fn fenced_retry_is_not_dropped() {
    let (engine, clock) = build(Engine::builder().capacity(64).on_drop(OnDrop::Failed));
    let mut lease = admitted(&engine, &request("key"));
    assert!(matches!(lease.step("one", || Ok::<_, ()>(vec![1])), Ok(Step::Ran(_))));
    clock.advance(LEASE);
    engine.sweep(usize::MAX).expect("answered");
    let context = RetryContext::new("order", b"context");
    let refused = lease.retry_later(&AttemptError::new("503"), &context).unwrap_err();
    assert!(refused.is_fenced());
    assert_eq!(admitted(&engine, &request("key")).attempt(), 2);
}

/// Goal: steps are bounded, and a refusal names the limit and loses nothing. Method: names, count
/// and bytes at their limits and one beyond.
#[test]
fn steps_have_limits() {
    let (engine, _clock) = build(Engine::builder().capacity(64).steps_limit(2_048));
    let mut lease = admitted(&engine, &request("key"));
    for name in ["", &"x".repeat(256)] {
        let refused = lease.step(name, || -> Result<_, ()> { panic!("ran") }).unwrap_err();
        assert_eq!((refused.code(), refused.field()), (ErrorCode::InvalidOption, "step"));
    }
    let refused = lease.step("large", || Ok::<_, ()>(vec![0; 2_048])).unwrap_err();
    assert_eq!((refused.code(), refused.field()), (ErrorCode::Full, "steps_limit"));
    for number in 0..64 {
        let step = lease.step(&number.to_string(), || Ok::<_, ()>(vec![1]));
        assert!(matches!(step, Ok(Step::Ran(_))), "{number}: {step:?}");
    }
    let refused = lease.step("one more", || -> Result<_, ()> { panic!("ran") }).unwrap_err();
    assert_eq!((refused.code(), refused.field()), (ErrorCode::InvalidOption, "step"));
    assert_eq!(lease.step("63", || Err(())).expect("known"), Step::Remembered(vec![1]));
    lease.complete(&done("")).expect("holds the lease");
}

/// Goal: what is not going to be completed is undone, the last step first, and no step twice.
/// Method: three steps, of which undoing the first fails once; another attempt goes on.
#[test]
fn compensation_goes_backwards_and_on() {
    let (engine, _clock) = engine();
    let mut lease = admitted(&engine, &request("key"));
    for name in ["reserve", "charge", "ship"] {
        let _ = lease.step(name, || Ok::<_, String>(name.as_bytes().to_vec())).expect("room");
    }
    let mut undone = Vec::new();
    let mut undo = |step: &FinishedStep<'_>, fails: bool| {
        assert_eq!(step.name.as_bytes(), step.result);
        if fails && step.name == "reserve" {
            return Err("not now");
        }
        undone.push(step.name.to_owned());
        Ok(())
    };
    assert_eq!(lease.compensate(|step| undo(step, true)).expect("room"), Err("not now"));
    lease.fail(Failure::retryable()).expect("holds the lease");
    let mut lease = admitted(&engine, &request("key"));
    assert_eq!(lease.compensate(|step| undo(step, false)).expect("room"), Ok(()));
    assert_eq!(lease.compensate(|step| undo(step, false)).expect("room"), Ok(()));
    assert_eq!(undone, ["ship", "charge", "reserve"]);
    // What is undone may be done again.
    assert_eq!(ran(lease.step("charge", || Ok(b"again".to_vec())).expect("room")), b"again");
    lease.complete(&done("")).expect("holds the lease");
}

/// Goal: records with steps cost no room for good. Method: many more of them, one after the other,
/// than there are entries; ended by guards and by tokens.
#[test]
fn finished_records_leave_no_entry() {
    let (engine, _clock) = build(Engine::builder().capacity(64).max_retrying(4));
    for number in 0..100 {
        let key = format!("key-{number}");
        let mut lease = admitted(&engine, &request(&key));
        assert!(matches!(lease.step("one", || Ok::<_, ()>(vec![1])), Ok(Step::Ran(_))), "{number}");
        if number % 2 == 0 {
            lease.complete(&done("")).expect("holds the lease");
        } else {
            engine.complete(&lease.into_token(), &done("")).expect("holds the lease");
        }
    }
}

/// Goal: what is undone costs a record nothing, however often it is done anew: its context and its
/// history stay. Method: four times as many steps as there may be, each round undone; then another
/// attempt.
///
/// Cause: notes of undone steps stayed, and more than 255 of them made a journal that nobody could
/// read.
#[test]
fn undone_steps_leave_room() {
    let (engine, clock) = engine();
    let mut lease = admitted(&engine, &request("key"));
    for round in 0..4 {
        for number in 0..64 {
            let name = String::from_utf8(vec![b'a' + round, b'0' + number]).expect("letters");
            assert!(matches!(lease.step(&name, || Ok::<_, ()>(vec![])), Ok(Step::Ran(_))));
        }
        lease.compensate(|_| Ok::<_, ()>(())).expect("room").expect("undone");
    }
    let context = RetryContext::new("order", b"context");
    let _ = lease.retry_later(&AttemptError::new("503"), &context).expect("room");
    clock.advance(Duration::from_secs(120));
    let mut next = engine.next_attempt(Duration::ZERO).expect("answered").expect("due");
    assert_eq!(next.context(), b"context");
    assert_eq!(ran(next.lease_mut().step("a0", || Ok(b"again".to_vec())).expect("room")), b"again");
}

/// Goal: who keeps a token compensates as who keeps a guard does, and of many who note one step as
/// undone, one does. Method: four threads share a token and undo whatever is last, until nothing
/// is; then a name that nobody finished.
#[test]
fn tokens_compensate_each_step_once() {
    let (engine, _clock) = engine();
    let token = token(&engine, &request("key"));
    assert_eq!(engine.last_step(&token).expect("no step yet"), None);
    for number in 0..32_u8 {
        engine.finish_step(&token, &number.to_string(), &[number]).expect("room");
    }
    let last = engine.last_step(&token).expect("holds the lease");
    assert_eq!(last, Some(("31".to_owned(), vec![31])));
    let undo_all = || {
        let mut undone = Vec::new();
        while let Some((name, _)) = engine.last_step(&token).expect("holds the lease") {
            match engine.undone_step(&token, &name) {
                Ok(()) => undone.push(name),
                Err(error) => assert_eq!(error.code(), ErrorCode::NotFound),
            }
        }
        undone
    };
    let mut undone: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(undo_all)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    });
    undone.sort_by_key(|name| name.parse::<u8>().expect("a number"));
    let all: Vec<String> = (0..32).map(|number| number.to_string()).collect();
    assert_eq!(undone, all);
    let refused = engine.undone_step(&token, "31").unwrap_err();
    assert_eq!((refused.code(), refused.field()), (ErrorCode::NotFound, "step"));
    engine.finish_step(&token, "31", b"again").expect("finished no more");
    engine.complete(&token, &done("")).expect("holds the lease");
    assert!(engine.last_step(&token).unwrap_err().is_fenced());
    assert!(engine.undone_step(&token, "31").unwrap_err().is_fenced());
}

/// Goal: who keeps a token tells the services below the same as who keeps a guard, in every
/// attempt, until the lease is lost. Method: both forms, for two attempts; then the ended one.
#[test]
fn tokens_name_the_same_calls() {
    let (engine, _clock) = engine();
    let lease = admitted(&engine, &request("key"));
    let (key, fee) = (lease.downstream_key("bank"), lease.step_key("bank", "fee"));
    let (key, fee) = (key.expect("short"), fee.expect("short"));
    let first = lease.headers("bank").expect("short");
    let ended = lease.into_token();
    assert_eq!(engine.downstream_key(&ended, "bank").expect("held"), key);
    assert_eq!(engine.step_key(&ended, "bank", "fee").expect("held"), fee);
    assert!(engine.attempt_headers(&ended, "bank").expect("held") == first);
    assert_eq!(engine.downstream_key(&ended, "").unwrap_err().field(), "service");
    engine.fail(&ended, Failure::retryable()).expect("holds the lease");
    assert!(engine.downstream_key(&ended, "bank").unwrap_err().is_fenced());
    assert!(engine.step_key(&ended, "bank", "fee").unwrap_err().is_fenced());
    assert!(engine.attempt_headers(&ended, "bank").unwrap_err().is_fenced());
    let second = token(&engine, &request("key"));
    assert_eq!(engine.downstream_key(&second, "bank").expect("held"), key);
    let headers = engine.attempt_headers(&second, "bank").expect("held");
    assert!(headers.iter().any(|pair| pair == ("idempotency-attempt", "2")));
}
