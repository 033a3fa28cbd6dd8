//! A leader that panics, is cancelled, or forgets its lease.
//!
//! Seen where only ordinary errors release the claim: a cancelled task or a panic leaves the key
//! in progress until its record expires.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;

use oncegate::{Admission, Engine, OnDrop, Outcome, Ran, RunOptions};

use crate::support::{Woken, admitted, build, done, engine, poll, replayed, request};

/// Goal: a panic in the work resolves the record, by policy, and goes on to the caller.
/// Method: panic inside `run` under each policy, then ask again.
#[test]
fn panic_resolves_the_record() {
    for policy in [OnDrop::Retry, OnDrop::Unknown, OnDrop::Failed, OnDrop::KeepLease] {
        let (engine, _clock) = build(Engine::builder().capacity(1_000).on_drop(policy));
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            engine.run(&request("k"), || -> Result<Outcome, String> { panic!("handler") })
        }));
        assert!(panicked.is_err());
        let met = engine.begin(&request("k")).expect("an answer");
        let right = match (policy, &met) {
            (OnDrop::Retry, Admission::Admitted(lease)) => lease.attempt() == 2,
            (OnDrop::Unknown, Admission::Unresolved) => true,
            (OnDrop::Failed, Admission::Replayed(outcome)) => {
                outcome.status() == 500 && outcome.body().is_empty()
            }
            (OnDrop::KeepLease, Admission::InProgress { attempt: 1, .. }) => true,
            _ => false,
        };
        assert!(right, "{policy:?}: {met:?}");
    }
}

/// Goal: a cancelled task lets the next attempt start. Method: drop the future of `run_async`
/// while its work is pending.
#[test]
fn cancelled_task_frees_the_key() {
    let (engine, _clock) = engine();
    let asked = request("k");
    let options = RunOptions::new();
    {
        let work = |_| std::future::pending::<Result<Outcome, String>>();
        let mut run = pin!(engine.run_async(&asked, &options, work));
        assert!(poll(run.as_mut(), &Arc::new(Woken::default())).is_pending());
        let met = engine.begin(&asked).expect("an answer");
        assert!(matches!(met, Admission::InProgress { attempt: 1, .. }), "{met:?}");
    }
    assert_eq!(admitted(&engine, &asked).attempt(), 2);
}

/// Goal: an error that the work returns lets the next attempt start; a success is stored.
/// Method: `run` with an error, then with an outcome, then once more.
#[test]
fn error_is_retried_and_success_is_kept() {
    let (engine, _clock) = engine();
    let failed = engine.run(&request("k"), || Err("no route")).expect("an answer");
    assert!(matches!(failed, Ran::Failed("no route")));
    let ran = engine.run(&request("k"), || Ok::<_, ()>(done("once"))).expect("an answer");
    assert!(matches!(ran, Ran::Executed(_)));
    let again = engine.run(&request("k"), || -> Result<Outcome, ()> { panic!("a second run") });
    assert!(matches!(again.expect("an answer"), Ran::Replayed(outcome) if outcome == done("once")));
}

/// Goal: a lease that was ended, or turned into a token, is not ended again when its guard goes.
/// Method: complete, and `into_token`; then count what was fenced.
#[test]
fn ended_guard_does_nothing() {
    let (engine, _clock) = engine();
    admitted(&engine, &request("a")).complete(&done("a")).expect("held");
    let _token = admitted(&engine, &request("b")).into_token();
    assert_eq!(replayed(&engine, &request("a")), done("a"));
    assert_eq!(
        (
            engine.stats().expect("not forked").fenced,
            engine.stats().expect("not forked").live.running
        ),
        (0, 1)
    );
}
