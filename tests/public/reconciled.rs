//! Failure of others: a timeout leaves it open whether the card was charged, and the request is
//! either run again or stuck for a day.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::*;
use oncegate::{
    Admission, AttemptEnd, AttemptError, BackoffPolicy, BeginOptions, Buried, Completed, DoubtId,
    Engine, EngineBuilder, ErrorCode, Failure, LapsedAttempt, Later, Lease, LetterFilter,
    ManualClock, OnFull, OnLapse, OperationSettings, Outcome, Reconciled, Resolution, RetryContext,
    RetryPolicy, Step,
};

fn builder() -> EngineBuilder {
    let backoff = BackoffPolicy::constant(Duration::from_secs(10));
    let policy = RetryPolicy::new(backoff).max_attempts(2);
    Engine::builder().capacity(1_000).retry_policy(policy)
}

/// Hands the record of `key` to a worker, whose attempt nobody ends.
fn lose_a_worker(engine: &Engine, clock: &ManualClock, key: &str) {
    let context = RetryContext::new("charge", b"context");
    let lease = admitted(engine, &request(key));
    let _ = lease.retry_later(&AttemptError::new("503"), &context).expect("room");
    clock.advance(Duration::from_secs(10));
    let next = engine.next_attempt(Duration::ZERO).expect("answered").expect("due");
    let _lost = next.into_lease().into_token();
    clock.advance(LEASE);
}

/// Asks about the record of `key`, which is unknown, and says that nobody knows yet.
fn asked(engine: &Engine, key: &str) -> DoubtId {
    let asked = Arc::new(Mutex::new(None));
    let told = Arc::clone(&asked);
    let hooked = engine.set_reconciler(move |record| {
        *told.lock().unwrap() = Some(record.doubt);
        Reconciled::StillUnknown
    });
    hooked.expect("set");
    admitted(engine, &request(key)).fail(Failure::unknown()).expect("holds the lease");
    assert_eq!(engine.reconcile(10).expect("answered").resolved, 0);
    asked.lock().unwrap().expect("it was asked about")
}

/// Goal: who has to ask somebody else answers later, once, by each of the answers; a record that is
/// no longer in doubt stays as it is. Method: one record for each; then again, after an operator
/// has resolved it, for its next attempt's doubt, and by another engine with a larger table.
#[test]
fn an_answer_may_come_later() {
    let (engine, _clock) = build(builder());
    let settle = |doubt, answer| engine.settle(doubt, answer).map_err(|error| error.code());
    let not_found = Err(ErrorCode::NotFound);
    let did = asked(&engine, "did");
    assert_eq!(settle(did, Reconciled::StillUnknown), Ok(()));
    assert!(matches!(engine.begin(&request("did")), Ok(Admission::Unresolved)));
    assert_eq!(settle(did, Reconciled::Succeeded(done("it did"))), Ok(()));
    assert_eq!(replayed(&engine, &request("did")).body(), b"it did");
    assert_eq!(settle(did, Reconciled::RunAgain), not_found);
    assert_eq!(settle(did, Reconciled::StillUnknown), not_found);
    let declined = asked(&engine, "declined");
    assert_eq!(settle(declined, Reconciled::Failed(Outcome::new(402, b"declined"))), Ok(()));
    assert_eq!(replayed(&engine, &request("declined")).status(), 402);
    let again = asked(&engine, "again");
    assert_eq!(settle(again, Reconciled::RunAgain), Ok(()));
    assert_eq!(settle(again, Reconciled::RunAgain), not_found);
    let next = admitted(&engine, &request("again"));
    assert_eq!(next.attempt(), 2);
    next.fail(Failure::unknown()).expect("holds the lease");
    assert_eq!(settle(again, Reconciled::RunAgain), not_found, "another attempt's doubt");
    engine.resolve(&request("again"), Resolution::Succeeded(done("it did"))).expect("in doubt");
    let resolved = asked(&engine, "resolved");
    engine.resolve(&request("resolved"), Resolution::RunAgain).expect("in doubt");
    assert_eq!(settle(resolved, Reconciled::Succeeded(done("late"))), not_found);
    assert_eq!(admitted(&engine, &request("resolved")).attempt(), 2);
    let (large, _clock) = build(builder().capacity(100_000));
    for key in 0..100 {
        let doubt = asked(&large, &format!("key-{key}"));
        assert_eq!(settle(doubt, Reconciled::RunAgain), not_found, "another engine's");
    }
}

/// Goal: a hook resolves what is unknown, by each of its answers, and nothing runs meanwhile.
/// Method: four records, of which one is unknown by its lapse; what the hook is told.
#[test]
fn hook_resolves_unknown_records() {
    let (engine, clock) = build(builder().on_lapse(OnLapse::Unknown));
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let hooked = engine.set_reconciler(move |record| {
        seen.lock().unwrap().push((record.attempt, record.fencing_token));
        match seen.lock().unwrap().len() {
            1 => Reconciled::Succeeded(done("it did")),
            2 => Reconciled::Failed(Outcome::new(402, b"declined")),
            3 => Reconciled::RunAgain,
            _ => Reconciled::StillUnknown,
        }
    });
    hooked.expect("set");
    let mut tokens = Vec::new();
    for key in ["a", "b", "c"] {
        let lease = admitted(&engine, &request(key));
        tokens.push((1, lease.fencing_token().get()));
        lease.fail(Failure::unknown()).expect("holds the lease");
        assert!(matches!(engine.begin(&request(key)), Ok(Admission::Unresolved)));
        let reconciled = engine.reconcile(10).expect("answered");
        assert_eq!((reconciled.asked, reconciled.resolved), (1, 1), "{key}");
    }
    assert_eq!(*asked.lock().unwrap(), tokens);
    assert_eq!(replayed(&engine, &request("a")).body(), b"it did");
    assert_eq!(replayed(&engine, &request("b")).status(), 402);
    assert_eq!(admitted(&engine, &request("c")).attempt(), 2);

    let _lost = token(&engine, &request("d"));
    clock.advance(LEASE);
    engine.sweep(usize::MAX).expect("answered");
    let count = || asked.lock().unwrap().len();
    assert_eq!((engine.reconcile(10).expect("answered").resolved, count()), (0, 4));
    assert_eq!(engine.reconcile(10).expect("answered").asked, 0, "not at once again");
    clock.advance(Duration::from_secs(1));
    assert_eq!((engine.reconcile(10).expect("answered").asked, count()), (1, 5));
    clock.advance(Duration::from_secs(1));
    assert_eq!(engine.reconcile(10).expect("answered").asked, 0, "ever more rarely");
    assert!(matches!(engine.begin(&request("d")), Ok(Admission::Unresolved)));
}

/// Goal: a hook that panics decides nothing, and costs nobody anything. Method: it panics; another
/// one is set.
#[test]
fn panicking_hook_knows_nothing() {
    let (engine, clock) = build(builder());
    engine.set_reconciler(|_| panic!("in the hook")).expect("set");
    admitted(&engine, &request("key")).fail(Failure::unknown()).expect("holds the lease");
    let driven = engine.advance(100).expect("answered");
    assert!(driven.due_in.is_some(), "it is asked again");
    assert!(matches!(engine.begin(&request("key")), Ok(Admission::Unresolved)));
    engine.set_reconciler(|_| Reconciled::Succeeded(done("after all"))).expect("set");
    clock.advance(Duration::from_secs(1));
    engine.advance(100).expect("answered");
    assert_eq!(replayed(&engine, &request("key")).body(), b"after all");
}

/// Goal: what a lapsed attempt left is cleaned up once, under a lease of its own, before the next
/// attempt. Method: a worker is lost; the hook looks at what others may do meanwhile.
#[test]
fn lapse_is_cleaned_up_once_under_its_own_lease() {
    let (engine, clock) = build(builder());
    let engine = Arc::new(engine);
    let runs = Arc::new(AtomicU32::new(0));
    // A hook that panics has failed, and tells nobody: what it saw is looked at afterwards.
    let told = Arc::new(Mutex::new(Vec::new()));
    let (count, inside) = (Arc::clone(&runs), Arc::downgrade(&engine));
    let list = Arc::clone(&told);
    let hook = move |lapsed: &LapsedAttempt<'_>| {
        count.fetch_add(1, Ordering::Relaxed);
        list.lock().unwrap().push((lapsed.attempt, lapsed.context.to_vec()));
        assert!(lapsed.fencing_token > lapsed.lapsed_token);
        let engine = inside.upgrade().expect("open");
        let meanwhile = engine.begin(&request("key")).expect("answered");
        assert!(matches!(meanwhile, Admission::InProgress { attempt: 3, .. }), "{meanwhile:?}");
        assert!(engine.next_attempt(Duration::ZERO).expect("answered").is_none());
        list.lock().unwrap().push((0, Vec::new()));
        Ok(())
    };
    let settings = OperationSettings::new()
        .policy(RetryPolicy::new(BackoffPolicy::constant(Duration::from_secs(10))).max_attempts(3))
        .on_lapse(hook);
    engine.set_operation("charge", settings).expect("valid");
    lose_a_worker(&engine, &clock, "key");
    engine.advance(100).expect("answered");
    engine.advance(100).expect("answered");
    assert_eq!(runs.load(Ordering::Relaxed), 1);
    assert_eq!(*told.lock().unwrap(), [(2, b"context".to_vec()), (0, Vec::new())]);
    assert!(engine.next_attempt(Duration::ZERO).expect("answered").is_none(), "it backs off");
    clock.advance(Duration::from_secs(10));
    let next = engine.next_attempt(Duration::ZERO).expect("answered").expect("due");
    // The clean-up was attempt 3, and none of the work: so this one is not one too many.
    assert_eq!((next.lease().attempt(), next.context()), (4, &b"context"[..]));
    next.into_lease().complete(&done("")).expect("holds the lease");
    assert_eq!(runs.load(Ordering::Relaxed), 1);
}

/// Goal: a record that fails for good leaves no half of its work. Method: steps, then the last
/// attempt fails, or lapses; the hook undoes them backwards, and the letter tells what is left.
#[test]
fn failing_for_good_undoes_the_steps() {
    for lapses in [false, true] {
        let (engine, clock) = build(builder());
        let undone = Arc::new(Mutex::new(Vec::new()));
        let list = Arc::clone(&undone);
        let settings = OperationSettings::new().undo(move |step| {
            list.lock().unwrap().push(step.name.to_owned());
            if step.name == "reserve" { Err("not possible".to_owned()) } else { Ok(()) }
        });
        engine.set_operation("order", settings).expect("valid");
        let context = RetryContext::new("order", b"context");
        let mut lease = admitted(&engine, &request("key"));
        for name in ["reserve", "charge", "ship"] {
            let step = lease.step(name, || Ok::<_, String>(Vec::new())).expect("room");
            assert!(matches!(step, Step::Ran(_)));
        }
        let _ = lease.retry_later(&AttemptError::new("503"), &context).expect("room");
        clock.advance(Duration::from_secs(10));
        let next = engine.next_attempt(Duration::ZERO).expect("answered").expect("due");
        if lapses {
            let _lost = next.into_lease().into_token();
            clock.advance(LEASE);
            engine.advance(100).expect("answered");
        } else {
            let lease = next.into_lease();
            let _ = lease.retry_later(&AttemptError::new("503"), &context).expect("room");
        }
        assert_eq!(*undone.lock().unwrap(), ["ship", "charge", "reserve"], "lapses: {lapses}");
        let page = engine.dead_letters(&LetterFilter::all(), None, 10).expect("answered");
        let [letter] = &page.letters[..] else { panic!("{page:?}") };
        assert_eq!((letter.reason, letter.context()), (Buried::Attempts, &b"context"[..]));
        assert_eq!(letter.steps, ["reserve"], "what could not be undone");
        let lapsed = letter.history.iter().filter(|past| past.end == AttemptEnd::Lapsed).count();
        assert_eq!(lapsed, usize::from(lapses));
    }
}

/// Goal: where nobody but workers looks, they ask about what is unknown, and wait for as long as
/// nobody knows. Method: a hook that knows at its second call; polls before and after its pause.
///
/// Cause: workers counted what is to be asked as due, and did not ask.
#[test]
fn workers_ask_about_unknown_records() {
    let (engine, clock) = build(builder());
    let asked = Arc::new(AtomicU32::new(0));
    let seen = Arc::clone(&asked);
    // Relaxed, all: one thread.
    let hooked = engine.set_reconciler(move |_| match seen.fetch_add(1, Ordering::Relaxed) {
        0 => Reconciled::StillUnknown,
        _ => Reconciled::Succeeded(done("it did")),
    });
    hooked.expect("set");
    admitted(&engine, &request("a")).fail(Failure::unknown()).expect("holds the lease");
    let poll = || {
        assert!(engine.next_attempt(Duration::ZERO).expect("answered").is_none());
        asked.load(Ordering::Relaxed)
    };
    assert_eq!([poll(), poll()], [1, 1]);
    clock.advance(Duration::from_secs(1));
    assert_eq!([poll(), poll()], [2, 2]);
    assert_eq!(replayed(&engine, &request("a")).body(), b"it did");
}

/// Goal: records that stay unknown keep no other from being asked about. Method: more of them than
/// are kept in mind, all asked about in vain; then one of which the hook knows.
#[test]
fn hopeless_records_keep_no_other_waiting() {
    let (engine, _clock) = build(builder().capacity(4_000));
    let known = Arc::new(Mutex::new(0));
    let token = Arc::clone(&known);
    let hooked = engine.set_reconciler(move |record| {
        if record.fencing_token == *token.lock().unwrap() {
            return Reconciled::Succeeded(done("it did"));
        }
        Reconciled::StillUnknown
    });
    hooked.expect("set");
    let fail = |key: &str| {
        let lease = admitted(&engine, &request(key));
        let token = lease.fencing_token().get();
        lease.fail(Failure::unknown()).expect("holds the lease");
        token
    };
    (0..2_000).for_each(|number| _ = fail(&format!("hopeless-{number}")));
    let asked = engine.reconcile(5_000).expect("answered");
    assert!(asked.asked >= 1_000 && asked.resolved == 0, "{asked:?}");
    *known.lock().unwrap() = fail("known");
    let asked = engine.reconcile(5_000).expect("answered");
    assert_eq!(asked.resolved, 1, "{asked:?}");
}

/// A table whose outcomes may not go, with room for few of them.
fn small_store() -> EngineBuilder {
    let builder = builder().capacity(400).on_full(OnFull::Reject).inline_outcome(0);
    let builder = builder.max_retrying(4).context_limit(64).outcome_limit(4_096);
    builder.outcome_bytes(256 << 10)
}

/// Leases of other requests, to fill the store with once it is to be full.
fn others<'e>(engine: &'e Engine, keys: &[String]) -> Vec<Lease<'e>> {
    let options = BeginOptions::new().dedup_window(OTHERS_STAY).lease_duration(WINDOW);
    let begin = |key: &String| match engine.begin_with(&request(key), &options) {
        Ok(Admission::Admitted(lease)) => lease,
        other => panic!("not admitted: {other:?}"),
    };
    keys.iter().map(begin).collect()
}

/// Completes `others` until not the smallest outcome finds room, for a minute.
fn fill_store(others: Vec<Lease<'_>>) {
    let mut bytes = 4_000;
    for lease in others {
        let stored = lease.complete(&Outcome::new(200, vec![7; bytes])).expect("held");
        if stored == Completed::WithoutBytes {
            bytes /= 2;
        }
        if bytes == 0 {
            return;
        }
    }
    panic!("there is room left");
}

const OTHERS_STAY: Duration = Duration::from_secs(60);

/// Goal: steps are undone only if the record fails: where there is no room for its letter, the
/// lease lasts, and nothing is undone. Method: the last attempt fails while the store is full, and
/// its holder then completes; with room, the same failure undoes all steps and is a letter.
///
/// Cause: the steps were undone first, and the room was asked for afterwards.
#[test]
fn nothing_is_undone_without_room() {
    let (engine, clock) = build(small_store());
    let undone = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&undone);
    let settings = OperationSettings::new().undo(move |step| {
        list.lock().unwrap().push(step.name.to_owned());
        Ok(())
    });
    engine.set_operation("order", settings).expect("valid");
    let keys: Vec<String> = (0..300).map(|key| format!("other-{key}")).collect();
    let others = others(&engine, &keys);
    let (context, error) = (RetryContext::new("order", b"context"), AttemptError::new("503"));
    for key in ["one", "two"] {
        let mut lease = admitted(&engine, &request(key));
        for name in ["reserve", "charge"] {
            let step = lease.step(name, || Ok::<_, String>(Vec::new())).expect("room");
            assert!(matches!(step, Step::Ran(_)));
        }
        let _ = lease.retry_later(&error, &context).expect("room");
    }
    clock.advance(Duration::from_secs(10));
    let next = || engine.next_attempt(Duration::ZERO).expect("answered").expect("due").into_lease();
    let (one, two) = (next(), next());
    fill_store(others);
    let full = engine.retry_later(one.token(), &error, &context).unwrap_err();
    assert_eq!((full.code(), full.field()), (ErrorCode::Full, "outcome_bytes"));
    assert_eq!(*undone.lock().unwrap(), [""; 0], "the attempt may yet succeed");
    one.complete(&done("")).expect("the lease lasts");

    let mut two = two;
    two.renew(10 * OTHERS_STAY).expect("held");
    clock.advance(OTHERS_STAY);
    let later = two.retry_later(&error, &context).expect("room");
    assert!(matches!(later, Later::Buried { reason: Buried::Attempts, kept: true, .. }));
    assert_eq!(*undone.lock().unwrap(), ["charge", "reserve"]);
    let page = engine.dead_letters(&LetterFilter::all(), None, 10).expect("answered");
    let [letter] = &page.letters[..] else { panic!("{page:?}") };
    assert_eq!((letter.reason, letter.context()), (Buried::Attempts, &b"context"[..]));
    assert_eq!((letter.steps.len(), letter.history.len()), (0, 2));
}

/// Goal: where there is no room to note that a lapse is cleaned up after, nothing is, and no
/// attempt is used up. Method: the store is full for a minute while a lapse is seen to again and
/// again; then there is room, and it is cleaned up after as if nothing had been.
///
/// Cause: a lease of the engine's own was taken and given up each millisecond.
#[test]
fn full_store_uses_up_no_attempts() {
    let (engine, clock) = build(small_store());
    let told = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&told);
    let settings = OperationSettings::new()
        .policy(RetryPolicy::new(BackoffPolicy::constant(Duration::from_secs(10))).max_attempts(3))
        .on_lapse(move |lapsed| {
            list.lock().unwrap().push((lapsed.attempt, lapsed.lapsed_token));
            Ok(())
        });
    engine.set_operation("charge", settings).expect("valid");
    let keys: Vec<String> = (0..300).map(|key| format!("other-{key}")).collect();
    let others = others(&engine, &keys);
    let lease = admitted(&engine, &request("key"));
    let context = RetryContext::new("charge", b"context");
    let _ = lease.retry_later(&AttemptError::new("503"), &context).expect("room");
    clock.advance(Duration::from_secs(10));
    let next = engine.next_attempt(Duration::ZERO).expect("answered").expect("due");
    let lost = next.lease().fencing_token().get();
    let _lost = next.into_lease().into_token();
    fill_store(others);
    clock.advance(LEASE);
    let mut looked_at = 0;
    for _ in 0..200 {
        looked_at += engine.advance(100).expect("answered").looked_at;
        clock.advance(Duration::from_millis(2));
    }
    assert!(looked_at < 10, "it backs off, {looked_at} looks");
    let met = engine.begin(&request("key")).expect("answered");
    assert!(matches!(met, Admission::Scheduled { next_attempt: 3, .. }), "{met:?}");
    assert_eq!(told.lock().unwrap().len(), 0);
    for _ in 0..3 {
        clock.advance(OTHERS_STAY);
        engine.advance(100).expect("answered");
    }
    assert_eq!(*told.lock().unwrap(), [(2, lost)]);
    let next = engine.next_attempt(Duration::ZERO).expect("answered").expect("due");
    assert_eq!((next.lease().attempt(), next.context()), (4, &b"context"[..]));
}
