//! Failure of others: work that was given up is gone, or lies in a queue of its own without its
//! history, and is sent again as something new that nobody deduplicates.

use std::time::Duration;

use crate::support::*;
use oncegate::{
    Admission, AttemptEnd, AttemptError, BackoffPolicy, Buried, Engine, EngineBuilder, ErrorCode,
    LetterFilter, LetterId, ManualClock, OnLettersFull, Outcome, RetryBudget, RetryContext,
    RetryPolicy,
};

fn builder(attempts: u32) -> EngineBuilder {
    let backoff = BackoffPolicy::constant(Duration::from_secs(10));
    let policy = RetryPolicy::new(backoff).max_attempts(attempts);
    Engine::builder().capacity(64).max_retrying(8).retry_policy(policy)
}

/// Fails all attempts of `key` but the one that its process does not live to end.
fn bury(engine: &Engine, clock: &ManualClock, key: &str, operation: &str) {
    let context = RetryContext::new(operation, key.as_bytes());
    let error = AttemptError::new("503").outcome(Outcome::new(502, key));
    let mut lease = admitted(engine, &request(key));
    while let oncegate::Later::Scheduled { due_in, .. } =
        lease.retry_later(&error, &context).expect("room")
    {
        clock.advance(due_in);
        let next = engine.next_attempt(Duration::ZERO).expect("answered");
        lease = next.expect("due").into_lease();
    }
}

fn ids(engine: &Engine, filter: &LetterFilter) -> Vec<LetterId> {
    let page = engine.dead_letters(filter, None, usize::MAX).expect("answered");
    page.letters.into_iter().map(|letter| letter.id).collect()
}

/// Goal: what was given up tells all about it. Method: a record whose attempts failed and lapsed;
/// duplicates get its outcome however long it stays.
#[test]
fn letter_has_its_history() {
    let (engine, clock) = build(builder(3));
    let first = admitted(&engine, &request("key"));
    let tokens = [first.fencing_token().get()];
    let context = RetryContext::new("charge", b"all it needs");
    let _ = first.retry_later(&AttemptError::new("timeout"), &context).expect("room");
    clock.advance(Duration::from_secs(10));
    let second = engine.next_attempt(Duration::ZERO).expect("answered").expect("due");
    let _lost = second.into_lease().into_token();
    clock.advance(LEASE);
    assert!(engine.next_attempt(Duration::ZERO).expect("answered").is_none());
    clock.advance(Duration::from_secs(10));
    let third = engine.next_attempt(Duration::ZERO).expect("answered").expect("due").into_lease();
    let last = third.fencing_token().get();
    clock.advance(Duration::from_secs(7));
    let error = AttemptError::new("503").outcome(Outcome::new(502, b"sorry"));
    let _ = third.retry_later(&error, &context).expect("room");

    let page = engine.dead_letters(&LetterFilter::all(), None, 10).expect("answered");
    let [letter] = &page.letters[..] else { panic!("{page:?}") };
    assert_eq!((letter.reason, letter.attempts), (Buried::Attempts, 3));
    assert_eq!((letter.operation.as_str(), letter.context()), ("charge", &b"all it needs"[..]));
    let history: Vec<_> =
        letter.history.iter().map(|past| (past.attempt, past.end, past.class.as_str())).collect();
    let expected = [
        (1, AttemptEnd::Failed, "timeout"),
        (2, AttemptEnd::Lapsed, ""),
        (3, AttemptEnd::Failed, "503"),
    ];
    assert_eq!(history, expected);
    assert_eq!(letter.history[0].fencing_token, tokens[0]);
    assert_eq!(letter.history[2].fencing_token, last);
    assert!(letter.history[0].ended < letter.history[2].ended);
    let took: Vec<_> =
        letter.history.iter().map(|past| past.began.map(|began| past.ended - began)).collect();
    assert_eq!(took, [None, Some(LEASE), Some(Duration::from_secs(7))]);
    clock.advance(2 * WINDOW);
    let _ = engine.sweep(usize::MAX).expect("answered");
    assert_eq!(replayed(&engine, &request("key")).body(), b"sorry");
    assert_eq!(ids(&engine, &LetterFilter::all()), [letter.id]);
}

/// Goal: a redrive is another attempt of the same record, with the same context; what runs
/// meanwhile is not run twice. Method: redrive, twice; duplicates before, during and after.
#[test]
fn redrive_is_the_next_attempt_of_the_same_record() {
    let (engine, clock) = build(builder(2));
    bury(&engine, &clock, "key", "charge");
    let [id] = ids(&engine, &LetterFilter::all())[..] else { panic!("one letter") };
    engine.redrive(id).expect("a letter");
    assert_eq!(engine.redrive(id).unwrap_err().code(), ErrorCode::NotFound);
    assert!(ids(&engine, &LetterFilter::all()).is_empty());
    let scheduled = engine.begin(&request("key")).expect("answered");
    assert!(matches!(scheduled, Admission::Scheduled { next_attempt: 3, .. }), "{scheduled:?}");
    let attempt = engine.next_attempt(Duration::ZERO).expect("answered").expect("due");
    assert_eq!((attempt.lease().attempt(), attempt.context()), (3, &b"key"[..]));
    // Its policy begins anew: one failure is not the end.
    let later = attempt.into_lease();
    let context = RetryContext::new("charge", b"key");
    let later = later.retry_later(&AttemptError::new("503"), &context).expect("room");
    assert!(matches!(later, oncegate::Later::Scheduled { next_attempt: 4, .. }), "{later:?}");
    clock.advance(Duration::from_secs(10));
    let attempt = engine.next_attempt(Duration::ZERO).expect("answered").expect("due");
    attempt.into_lease().complete(&done("at last")).expect("holds the lease");
    assert_eq!(replayed(&engine, &request("key")).body(), b"at last");
}

/// Goal: a letter that is discarded is over as any failed record is. Method: discard; duplicates
/// inside the window and after it.
#[test]
fn discarded_letter_ends_with_its_window() {
    let (engine, clock) = build(builder(1));
    bury(&engine, &clock, "key", "charge");
    let [id] = ids(&engine, &LetterFilter::all())[..] else { panic!("one letter") };
    engine.discard(id).expect("a letter");
    assert_eq!(engine.discard(id).unwrap_err().code(), ErrorCode::NotFound);
    assert_eq!(engine.redrive(id).unwrap_err().code(), ErrorCode::NotFound);
    assert_eq!(replayed(&engine, &request("key")).status(), 502);
    clock.advance(WINDOW);
    assert_eq!(admitted(&engine, &request("key")).attempt(), 1);
}

/// Goal: letters are found, page by page, by what is known of them. Method: six letters of two
/// operations; pages of two; filters; redrive and discard by filter.
#[test]
fn letters_are_listed_and_filtered() {
    let (engine, clock) = build(builder(1).max_dead_letters(8));
    for key in ["a", "b", "c", "d", "e", "f"] {
        let operation = if key < "d" { "charge" } else { "mail" };
        bury(&engine, &clock, key, operation);
        clock.advance(Duration::from_secs(60));
    }
    let mut pages = Vec::new();
    let mut after = None;
    loop {
        let page = engine.dead_letters(&LetterFilter::all(), after, 2).expect("answered");
        pages.push(page.letters.len());
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(pages, [2, 2, 2]);
    let filter = |filter: LetterFilter| ids(&engine, &filter).len();
    assert_eq!(filter(LetterFilter::all().operation("charge")), 3);
    assert_eq!(filter(LetterFilter::all().operation("other")), 0);
    assert_eq!(filter(LetterFilter::all().reason(Buried::Attempts).class("503")), 6);
    assert_eq!(filter(LetterFilter::all().class("timeout")), 0);
    let all = engine.dead_letters(&LetterFilter::all(), None, 10).expect("answered").letters;
    let middle = all.iter().map(|letter| letter.buried).max().expect("six");
    assert_eq!(filter(LetterFilter::all().since(middle)), 1);
    assert_eq!(filter(LetterFilter::all().until(middle)), 5);
    let mail = LetterFilter::all().operation("mail");
    assert_eq!(engine.redrive_all(&mail, 2).expect("answered"), 2);
    assert_eq!(engine.discard_all(&LetterFilter::all(), 10).expect("answered"), 4);
    let mut redriven = Vec::new();
    while let Some(attempt) = engine.next_attempt(Duration::ZERO).expect("answered") {
        redriven.push(attempt.operation().to_owned());
        attempt.into_lease().complete(&done("")).expect("holds the lease");
    }
    assert_eq!(redriven, ["mail", "mail"]);
}

/// Goal: letters are bounded, and what is lost is counted. Method: more than there may be, under
/// both policies.
#[test]
fn letters_are_bounded() {
    for (policy, kept) in
        [(OnLettersFull::DropOldest, ["b", "c"]), (OnLettersFull::Reject, ["a", "b"])]
    {
        let (engine, clock) = build(builder(1).max_dead_letters(2).on_letters_full(policy));
        for key in ["a", "b", "c"] {
            bury(&engine, &clock, key, "charge");
            clock.advance(Duration::from_secs(1));
            assert_eq!(replayed(&engine, &request(key)).status(), 502);
        }
        let page = engine.dead_letters(&LetterFilter::all(), None, 10).expect("answered");
        let mut contexts: Vec<_> = page.letters.iter().map(|letter| letter.context()).collect();
        contexts.sort_unstable();
        assert_eq!(contexts, kept.map(str::as_bytes), "{policy:?}");
    }
}

/// Goal: a dead letter is no victim of those who come after it (I6). Method: a table that is
/// flooded with other records, many times its size.
#[test]
fn flood_takes_no_letter() {
    let (engine, clock) = build(builder(1));
    bury(&engine, &clock, "key", "charge");
    for number in 0..1_000 {
        let key = format!("other-{number}");
        admitted(&engine, &request(&key)).complete(&done("")).expect("holds the lease");
    }
    let [id] = ids(&engine, &LetterFilter::all())[..] else { panic!("one letter") };
    engine.redrive(id).expect("a letter");
    let attempt = engine.next_attempt(Duration::ZERO).expect("answered").expect("due");
    assert_eq!((attempt.lease().attempt(), attempt.context()), (2, &b"key"[..]));
}

/// Goal: a letter says which limit ended its record, though its last attempt lapsed (all of them
/// said `lapsed`, and were missed by whoever looked for those of one limit). Method: attempts,
/// time and a budget are used up; each time the last attempt lapses.
#[test]
fn lapse_does_not_hide_the_limit() {
    let backoff = BackoffPolicy::constant(Duration::from_secs(10));
    let policy = RetryPolicy::new(backoff).max_attempts(9);
    for (reason, policy) in [
        (Buried::Attempts, policy.clone().max_attempts(2)),
        (Buried::Deadline, policy.clone().deadline(LEASE)),
        (Buried::Budget, policy.clone()),
    ] {
        let (engine, clock) = build(builder(1).retry_policy(policy));
        let context = RetryContext::new("charge", b"");
        let lease = admitted(&engine, &request("key"));
        let _ = lease.retry_later(&AttemptError::new("503"), &context).expect("room");
        if reason == Buried::Budget {
            engine
                .set_retry_budget(RetryBudget::grpc(2, 0.1).build().expect("valid"))
                .expect("set");
        }
        clock.advance(Duration::from_secs(10));
        for _ in 0..3 {
            let next = engine.next_attempt(Duration::ZERO).expect("answered");
            let Some(next) = next else { break };
            let _lost = next.into_lease().into_token();
            clock.advance(LEASE);
            engine.advance(100).expect("answered");
            clock.advance(Duration::from_secs(10));
        }
        let page = engine.dead_letters(&LetterFilter::all(), None, 10).expect("answered");
        let [letter] = &page.letters[..] else { panic!("{reason:?}: {page:?}") };
        assert_eq!(letter.reason, reason);
        assert_eq!(letter.history.last().map(|past| past.end), Some(AttemptEnd::Lapsed));
        assert_eq!(ids(&engine, &LetterFilter::all().reason(reason)).len(), 1);
    }
}
