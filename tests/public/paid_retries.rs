//! Failure of others: what a retry was charged is given back to whoever did not pay it, twice, or
//! never, and the budget is one of nothing.

use std::path::PathBuf;
use std::time::Duration;

use crate::support::*;
use oncegate::{
    AttemptError, BackoffPolicy, BeginOptions, Buried, Engine, EngineBuilder, Failure, Later,
    LeaseToken, LetterFilter, ManualClock, Reach, RetryBudget, RetryContext, RetryPolicy,
};

const NOW: Duration = Duration::ZERO;
const BACKOFF: Duration = Duration::from_secs(10);

fn builder() -> EngineBuilder {
    let policy = RetryPolicy::new(BackoffPolicy::constant(BACKOFF)).max_attempts(100);
    Engine::builder().capacity(1_000).retry_policy(policy)
}

/// As many retries at a time, and none for what runs.
fn envoy(retries: u32) -> RetryBudget {
    RetryBudget::envoy().share(0.0).min_retries(retries).build().expect("valid")
}

fn aws() -> RetryBudget {
    RetryBudget::aws_standard().build().expect("valid")
}

/// An engine with a budget.
fn paying_from(budget: &RetryBudget) -> (Engine, ManualClock) {
    let (engine, clock) = build(builder());
    engine.set_retry_budget(budget.clone()).expect("set");
    (engine, clock)
}

/// Two engines on one table, as two processes have them, each with a budget of its own.
struct Pair {
    one: Engine,
    other: Engine,
    clock: ManualClock,
    path: PathBuf,
}

impl Pair {
    fn new(name: &str, budgets: [&RetryBudget; 2]) -> Self {
        let name = format!("oncegate-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let (one, clock) = build(builder().reach(Reach::Host(path.clone())));
        let other = builder()
            .reach(Reach::Host(path.clone()))
            .lease_duration(LEASE)
            .dedup_window(WINDOW)
            .clock(clock.clone())
            .build()
            .expect("the same options");
        one.set_retry_budget(budgets[0].clone()).expect("set");
        other.set_retry_budget(budgets[1].clone()).expect("set");
        Self { one, other, clock, path }
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
        let _ = std::fs::remove_file(self.path.with_extension("key"));
    }
}

fn error() -> AttemptError {
    AttemptError::new("503")
}

fn later(engine: &Engine, key: &str) -> Later {
    let lease = admitted(engine, &request(key));
    lease.retry_later(&error(), &RetryContext::new("charge", key.as_bytes())).expect("room")
}

#[track_caller]
fn is_scheduled(later: &Later) {
    assert!(matches!(later, Later::Scheduled { .. }), "{later:?}");
}

#[track_caller]
fn is_refused(later: &Later) {
    let refused = matches!(later, Later::Buried { reason: Buried::Budget, .. });
    assert!(refused, "{later:?}");
}

/// The attempt that is due.
#[track_caller]
fn next(engine: &Engine) -> oncegate::Lease<'_> {
    engine.next_attempt(Duration::ZERO).expect("answered").expect("due").into_lease()
}

/// Goal: a retry that another process runs counts where it was granted, from then until it has
/// ended, and nowhere else. Method: one process schedules and another runs, each with a limit of
/// one retry at a time; the one of the other is used up by a retry of its own.
///
/// Cause: whoever ran an attempt redeemed the receipt in its record with a budget of his own.
#[test]
fn adopted_retries_count_where_they_were_granted() {
    let (mine, theirs) = (envoy(1), envoy(1));
    let pair = Pair::new("adopted", [&mine, &theirs]);
    is_scheduled(&later(&pair.one, "a"));
    pair.clock.advance(BACKOFF / 2);
    is_scheduled(&later(&pair.other, "b"));
    pair.clock.advance(BACKOFF / 2);
    is_refused(&later(&pair.one, "c"));
    let lease = next(&pair.other);
    is_refused(&later(&pair.one, "d"));
    lease.complete(&done("")).expect("held");
    assert_eq!(theirs.left(NOW), 0.0, "their own retry is under way");
    is_scheduled(&later(&pair.one, "e"));
    assert_eq!(mine.left(NOW), 0.0);
    pair.clock.advance(BACKOFF);
    for _ in 0..2 {
        next(&pair.one).fail(Failure::terminal(done(""))).expect("held");
    }
    pair.one.advance(100).expect("answered");
    pair.other.advance(100).expect("answered");
    assert_eq!([mine.left(NOW), theirs.left(NOW)], [1.0, 1.0], "nothing is under way");
}

/// Goal: a success gives back what it cost to whoever paid, and to nobody else. Method: one process
/// schedules and another runs: one retry that succeeds and one that fails; both have spent before.
#[test]
fn adopted_retries_pay_back_where_they_were_paid() {
    let (mine, theirs) = (aws(), aws());
    let pair = Pair::new("paid-back", [&mine, &theirs]);
    is_scheduled(&later(&pair.one, "a"));
    is_scheduled(&later(&pair.one, "b"));
    is_scheduled(&later(&pair.other, "c"));
    pair.clock.advance(BACKOFF);
    for _ in 0..3 {
        let attempt = pair.other.next_attempt(Duration::ZERO).expect("answered").expect("due");
        let succeeds = attempt.context() != b"b";
        let lease = attempt.into_lease();
        if succeeds {
            lease.complete(&done("")).expect("held");
        } else {
            lease.fail(Failure::terminal(done(""))).expect("held");
        }
    }
    pair.one.advance(100).expect("answered");
    assert_eq!([mine.left(NOW), theirs.left(NOW)], [495.0, 500.0]);
}

/// Goal: what an engine had granted and not handed out burdens its budget no more when it is
/// closed. Method: one that schedules and is dropped, with a limit of retries at a time, and
/// tokens.
#[test]
fn closed_engine_gives_back_what_it_granted() {
    for (budget, full) in [(envoy(1), 1.0), (aws(), 500.0)] {
        let (engine, _clock) = paying_from(&budget);
        is_scheduled(&later(&engine, "a"));
        assert!(budget.left(NOW) < full);
        drop(engine);
        assert_eq!(budget.left(NOW), full);
    }
}

/// Goal: a retry that fails leaves its place to the next one of its record. Method: a limit of one
/// retry at a time, and a record that fails again, by its guard and by its token.
#[test]
fn failed_retry_makes_way_for_the_next() {
    let budget = envoy(1);
    let (engine, clock) = paying_from(&budget);
    is_scheduled(&later(&engine, "a"));
    let context = RetryContext::new("charge", b"");
    for by_token in [false, true] {
        clock.advance(BACKOFF);
        let lease = next(&engine);
        let again = if by_token {
            engine.retry_later(&lease.into_token(), &error(), &context)
        } else {
            lease.retry_later(&error(), &context)
        };
        is_scheduled(&again.expect("room"));
        assert_eq!(budget.left(NOW), 0.0);
    }
}

/// Goal: a retry that a caller runs by `begin` is settled as one that a worker runs. Method: a
/// success and a failure, with a limit of retries at a time, and tokens.
///
/// Cause: `begin` never redeemed the receipt.
#[test]
fn retries_by_begin_are_settled() {
    let options = BeginOptions::new().run_due();
    for (budget, full, failed) in [(envoy(1), 1.0, 1.0), (aws(), 500.0, 495.0)] {
        let (engine, clock) = paying_from(&budget);
        let run = |key| match engine.begin_with(&request(key), &options).expect("answered") {
            oncegate::Admission::Admitted(lease) => lease,
            other => panic!("{other:?}"),
        };
        is_scheduled(&later(&engine, "a"));
        clock.advance(BACKOFF);
        let lease = run("a");
        assert!(budget.left(NOW) < full, "it is under way");
        lease.complete(&done("")).expect("held");
        assert_eq!(budget.left(NOW), full);
        is_scheduled(&later(&engine, "b"));
        clock.advance(BACKOFF);
        run("b").fail(Failure::terminal(done(""))).expect("held");
        assert_eq!(budget.left(NOW), failed);
    }
}

/// Goal: a retry is settled once, however often its record is handed out. Method: attempts that are
/// given back, or redriven from a dead letter, beside another that is under way.
///
/// Cause: each dispatch redeemed the receipt that lay in the record.
#[test]
fn retries_are_settled_once() {
    type End = fn(&Engine, oncegate::Lease<'_>);
    let ends: [End; 2] = [
        |_, lease| lease.abandon().expect("held"),
        |engine, lease| {
            let error = error().terminal();
            let context = RetryContext::new("charge", b"");
            let _ = lease.retry_later(&error, &context).expect("room");
            let page = engine.dead_letters(&LetterFilter::all(), None, 1).expect("answered");
            engine.redrive(page.letters[0].id).expect("a letter");
        },
    ];
    for end in ends {
        let (gauge, tokens) = (envoy(2), aws());
        for budget in [&gauge, &tokens] {
            let (engine, clock) = paying_from(budget);
            is_scheduled(&later(&engine, "a"));
            clock.advance(BACKOFF);
            is_scheduled(&later(&engine, "pending"));
            end(&engine, next(&engine));
            let left = budget.left(NOW);
            next(&engine).complete(&done("")).expect("held");
            assert_eq!(budget.left(NOW), left, "it was not paid for");
            clock.advance(BACKOFF);
            next(&engine).complete(&done("")).expect("held");
        }
        assert_eq!(gauge.left(NOW), 2.0);
        assert_eq!(tokens.left(NOW), 495.0, "the first was spent, and the other given back");
    }
}

/// Goal: an attempt that is ended by its token counts like one that is ended by its guard. Method:
/// first attempts and retries, ended in each way; while they run, and after.
///
/// Cause: a guard that was given up for its token settled its share as failed.
#[test]
fn tokens_settle_like_guards() {
    type End = fn(&Engine, &LeaseToken);
    let ends: [(End, bool); 5] = [
        (
            |engine, token| {
                engine.complete(token, &done("")).expect("held");
            },
            true,
        ),
        (|engine, token| engine.fail(token, Failure::terminal(done(""))).expect("held"), false),
        (|engine, token| engine.fail(token, Failure::unknown()).expect("held"), false),
        (|engine, token| engine.abandon(token).expect("held"), false),
        (
            |engine, token| {
                let context = RetryContext::new("charge", b"");
                let error = error().terminal();
                let _ = engine.retry_later(token, &error, &context).expect("held");
            },
            false,
        ),
    ];
    for (end, succeeds) in ends {
        let tokens = aws();
        let (engine, clock) = paying_from(&tokens);
        is_scheduled(&later(&engine, "a"));
        end(&engine, &token(&engine, &request("first")));
        assert_eq!(tokens.left(NOW), if succeeds { 496.0 } else { 495.0 });
        clock.advance(BACKOFF);
        end(&engine, &next(&engine).into_token());
        assert_eq!(tokens.left(NOW), if succeeds { 500.0 } else { 495.0 }, "a retry");

        // One retry for each first attempt that runs.
        let gauge = RetryBudget::envoy().share(1.0).min_retries(0).build().expect("valid");
        let (engine, _clock) = paying_from(&gauge);
        let held = token(&engine, &request("first"));
        assert_eq!(gauge.left(NOW), 1.0, "it runs");
        end(&engine, &held);
        assert_eq!(gauge.left(NOW), 0.0, "it has ended");
    }
}

/// Goal: a token that is taken up again settles as the guard that it is then; one that ends
/// elsewhere, or lapses, settles at the next look. Method: each, of a retry and of first attempts.
#[test]
fn tokens_that_cross_are_settled() {
    let (mine, theirs) = (aws(), aws());
    let pair = Pair::new("crossed", [&mine, &theirs]);
    is_scheduled(&later(&pair.one, "a"));
    pair.clock.advance(BACKOFF);
    let crossed = next(&pair.one).into_token();
    let taken_up = pair.one.take_up(&crossed).expect("current");
    let crossed = taken_up.into_token();
    assert_eq!(mine.left(NOW), 495.0);
    pair.other.complete(&crossed, &done("")).expect("held");
    pair.one.advance(100).expect("answered");
    assert_eq!(mine.left(NOW), 500.0);

    let gauge = RetryBudget::envoy().share(1.0).min_retries(0).build().expect("valid");
    let (engine, clock) = paying_from(&gauge);
    let lapses = token(&engine, &request("lapses"));
    engine.advance(100).expect("answered");
    assert_eq!(gauge.left(NOW), 1.0);
    let taken_up = engine.take_up(&lapses).expect("current");
    assert_eq!(gauge.left(NOW), 1.0);
    let _lapses = taken_up.into_token();
    clock.advance(LEASE);
    engine.advance(100).expect("answered");
    assert_eq!(gauge.left(NOW), 0.0);
}
