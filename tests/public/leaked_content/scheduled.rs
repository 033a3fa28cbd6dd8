//! What retries, budgets, timers and dead letters show.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use oncegate::{
    AdaptiveBackoff, Admission, AttemptError, BackoffPolicy, BudgetLevel, Budgets, Buried, Charge,
    Engine, FailureKind, GivenUp, Later, LetterFilter, LetterId, OnLettersFull, OperationSettings,
    Outcome, Reconciled, Request, RetryBudget, RetryContext, RetryPolicy, Scope, Step,
    StuckTransition, Tick, TimerWheel, Timers,
};

use super::{CANARY, Shown, secret};
use crate::support::build;

/// Every value that the scheduler tells, of records that hold content.
pub(super) fn show(shown: &mut Shown) {
    budgets(shown);
    timers(shown);
    let policy = RetryPolicy::new(BackoffPolicy::constant(Duration::from_secs(1)));
    let builder = Engine::builder().capacity(64).secret(secret()).retry_policy(policy);
    let (engine, clock) = build(builder.adaptive_backoff(AdaptiveBackoff::builder()));
    let engine = Arc::new(engine);
    let scope = Scope::new(CANARY).expect("short");
    let key = |number: u32| format!("{CANARY}-{number}");
    let (error, context) = (error(), RetryContext::new(CANARY, CANARY.as_bytes()));
    shown.debug(&error);
    shown.debug(&context);
    hooks(&engine, shown);
    let mut letters = 0;
    let mut number = 0;
    while letters == 0 {
        number += 1;
        let name = key(number);
        let request = Request::new(scope, CANARY, &name).expect("short");
        let Ok(Admission::Admitted(mut lease)) = engine.begin(&request) else { panic!() };
        let step: Step<String> = lease.step(CANARY, || Ok(CANARY.into())).expect("room");
        shown.debug(&step);
        let _ = lease.compensate(|step| {
            shown.debug(step);
            Err::<(), _>("not now")
        });
        shown.error(&lease.step("", || Ok::<_, ()>(Vec::new())).expect_err("no name"));
        let later = lease.retry_later(&error, &context).expect("room");
        shown.debug::<Later>(&later);
        clock.advance(Duration::from_secs(1));
        while let Some(attempt) = engine.next_attempt(Duration::ZERO).expect("answered") {
            shown.debug(&attempt);
            let lease = attempt.into_lease();
            if let Later::Buried { reason, .. } = lease.retry_later(&error, &context).expect("room")
            {
                shown.debug::<Buried>(&reason);
                letters += 1;
            }
            clock.advance(Duration::from_secs(1));
        }
    }
    shown_letters(&engine, shown);
    workers(&engine, shown);
    let long = CANARY.repeat(100);
    let too_long = RetryContext::new(&long, b"");
    let request = Request::new(scope, CANARY, "one more").expect("short");
    let Ok(Admission::Admitted(lease)) = engine.begin(&request) else { panic!() };
    shown.error(&lease.retry_later(&error, &too_long).expect_err("too long"));
}

fn shown_letters(engine: &Engine, shown: &mut Shown) {
    let filter = LetterFilter::all().operation(CANARY).class(CANARY);
    shown.debug(&filter);
    let page = engine.dead_letters(&filter, None, 10).expect("answered");
    shown.debug(&page);
    let letter = &page.letters[0];
    shown.debug(letter);
    shown.display::<LetterId>(&letter.id);
    shown.debug(&letter.history[0]);
    shown.debug(&letter.history[0].end);
    shown.error(&CANARY.parse::<LetterId>().expect_err("two numbers"));
    shown.error(&engine.discard("99-99".parse().expect("two numbers")).expect_err("no letter"));
}

fn workers(engine: &Arc<Engine>, shown: &mut Shown) {
    let scope = Scope::new(CANARY).expect("short");
    shown.debug(&engine.next_attempt_async());
    shown.debug(&engine.driver().expect("a thread"));
    shown.debug(&engine.due_descriptor().expect("a descriptor"));
    shown.debug(&engine.advance(10).expect("answered"));
    let request = Request::new(scope, CANARY, "in one call").expect("short");
    let policy = RetryPolicy::aws_standard();
    let retried =
        engine.run_with_retries(&request, &policy, || Ok::<_, ()>(Outcome::new(200, CANARY)));
    shown.debug(&retried.expect("answered"));
    shown.debug(&engine.call_attempts(&request, &policy).expect("valid"));
    shown.debug(&GivenUp::Attempts);
    let stats = engine.stats().expect("not forked").retries;
    shown.debug(&stats);
    let adaptive = stats.adaptive.expect("configured");
    shown.debug(&adaptive);
    shown.debug(&adaptive.load);
}

fn error() -> AttemptError {
    AttemptError::new(CANARY).outcome(Outcome::new(502, CANARY))
}

fn hooks(engine: &Engine, shown: &mut Shown) {
    let settings = OperationSettings::new()
        .on_lapse(|_| Ok(()))
        .undo(|_| Err(CANARY.to_owned()))
        .max_in_flight(7);
    shown.debug(&settings);
    shown.debug(&OnLettersFull::Reject);
    shown.debug(&StuckTransition::Claim);
    let told = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&told);
    let hooked = engine.set_reconciler(move |record| {
        list.lock()
            .expect("nobody panics")
            .push(format!("{record:?} {record:#?} {:?}", record.doubt));
        Reconciled::Succeeded(Outcome::new(200, CANARY))
    });
    hooked.expect("set");
    let request = Request::new(Scope::single_tenant(), CANARY, "in doubt").expect("short");
    let Ok(Admission::Admitted(lease)) = engine.begin(&request) else { panic!() };
    lease.fail(oncegate::Failure::unknown()).expect("held");
    shown.debug(&engine.reconcile(10).expect("answered"));
    shown.texts.append(&mut told.lock().expect("nobody panics"));
    shown.debug(&Reconciled::Succeeded(Outcome::new(200, CANARY)));
    // What only hooks and callbacks are given.
    shown.types.extend(["Unresolved", "DoubtId", "LapsedAttempt", "EngineEvent"]);
}

fn budgets(shown: &mut Shown) {
    shown.debug(&RetryBudget::aws_standard());
    shown.debug(&RetryBudget::finagle());
    shown.debug(&RetryBudget::envoy());
    shown.debug(&Charge::Retry);
    shown.debug(&FailureKind::Timeout);
    shown.debug(&BudgetLevel::ALL[0]);
    shown.debug(&AdaptiveBackoff::builder());
    shown.debug(&AdaptiveBackoff::builder().build().expect("valid"));
    let budget = RetryBudget::bucket().capacity(5.0).build().expect("valid");
    shown.debug(&budget);
    let budgets = Budgets::new();
    budgets.set_scope(Scope::new(CANARY).expect("short"), budget.clone()).expect("room");
    shown.debug(&budgets);
    let levels = budgets.levels(Scope::new(CANARY).expect("short"), CANARY);
    shown.debug(&levels);
    shown.debug(&levels.deposit(Duration::ZERO));
    while let Ok(paid) = levels.try_withdraw(FailureKind::Transient, Duration::ZERO) {
        shown.debug(&paid);
        shown.debug(&paid.detach());
    }
    let refused = levels.try_withdraw(FailureKind::Transient, Duration::ZERO);
    let refused = refused.expect_err("nothing is left");
    shown.display(&refused);
    shown.error(&refused.into());
}

fn timers(shown: &mut Shown) {
    shown.debug(&Tick::new(Duration::from_millis(1)).expect("valid"));
    let mut wheel = TimerWheel::new(0);
    shown.debug(&wheel.insert(7).expect("room"));
    shown.debug(&wheel.advance(8, 10, |_| {}));
    shown.debug(&wheel);
    shown.debug(&Timers::builder());
    let timers = Timers::builder().build().expect("valid");
    shown.debug(&timers);
    shown.debug(&timers.insert(7).expect("room"));
    shown.debug(&timers.prepare_sleep());
}
