//! The steps that a vector may have, each a call on the engine.

use std::time::Duration;

use oncegate::{
    AttemptError, Completed, Error, Failure as Failed, Later, OperationSettings, Outcome,
    Resolution, RetryContext,
};
use serde_json::Value;

use crate::fields::{Failure, Fields, needed, to_hex};
use crate::policy;
use crate::request::{Parts, begin_options, outcome, same_outcome};
use crate::run::{Run, how, millis};
use crate::waits::{Answer, Wait};

/// Whether the engine did it, after its answer was compared with what is expected.
type Done = Result<Result<(), Error>, Failure>;

/// Does one step. What it reads of the step and of the expectation is taken out of them.
pub(crate) fn call(
    run: &mut Run<'_, '_>,
    op: &str,
    step: &mut Fields,
    expect: &mut Fields,
) -> Done {
    match op {
        "begin" => begin(run, step, expect),
        "begin_batch" => begin_batch(run, step),
        "submit" => submit(run, step),
        "take" => take(run, step, expect),
        "cancel" => cancel(run, step),
        "complete" => complete(run, step, expect),
        "fail" => fail(run, step),
        "abandon" => Ok(run.engine.abandon(&run.lease(step)?)),
        "renew" => renew(run, step, expect),
        "take_up" => take_up(run, step, expect),
        "resolve" => resolve(run, step),
        "retry_later" => retry_later(run, step, expect),
        "next_attempt" => next_attempt(run, step, expect),
        "set_operation" => set_operation(run, step),
        "set_budget" => set_budget(run, step),
        "preview" => preview(step, expect),
        "fingerprint" => fingerprint(run, step, expect),
        "fences" => fences(run, step),
        "stats" => stats(run, expect),
        "advance" => {
            let ms = needed("by_ms", step.number("by_ms")?)?;
            run.clock.advance(Duration::from_millis(ms));
            Ok(Ok(()))
        }
        other => Err(format!("there is no step {other}")),
    }
}

fn begin(run: &mut Run<'_, '_>, step: &mut Fields, expect: &mut Fields) -> Done {
    let parts = Parts::read(step)?;
    let options = begin_options(step)?;
    let pointers = parts.pointers();
    let answer = parts
        .request(&pointers)?
        .and_then(|request| run.engine.begin_with(&request, &options).map(Answer::of));
    told(run, step, expect, answer)
}

/// All requests of a batch; each is a step of its own, and has its own expectation.
fn begin_batch(run: &mut Run<'_, '_>, step: &mut Fields) -> Done {
    let options = begin_options(step)?;
    let requests = needed("requests", step.list("requests")?)?;
    let mut steps: Vec<Fields> = requests.into_iter().map(Fields::of).collect::<Result<_, _>>()?;
    let parts: Vec<Parts> = steps.iter_mut().map(Parts::read).collect::<Result<_, _>>()?;
    let pointers: Vec<_> = parts.iter().map(Parts::pointers).collect();
    let mut answers: Vec<Option<Result<Answer, Error>>> = Vec::new();
    let (mut places, mut batch) = (Vec::new(), Vec::new());
    for (at, (parts, pointers)) in parts.iter().zip(&pointers).enumerate() {
        answers.push(None);
        match parts.request(pointers)?.and_then(|request| run.engine.prepare(&request)) {
            Ok(prepared) => {
                places.push(at);
                batch.push(prepared);
            }
            Err(error) => answers[at] = Some(Err(error)),
        }
    }
    run.engine.begin_batch(&batch, &options, &mut Outcome::default(), |index, answer| {
        answers[places[index]] = Some(answer.map(Answer::of));
    });
    for (at, (mut step, answer)) in steps.into_iter().zip(answers).enumerate() {
        let mut expect = step.object("expect")?;
        let answer = answer.ok_or_else(|| format!("request {}: no answer", at + 1))?;
        let done = told(run, &mut step, &mut expect, answer);
        let done = done.and_then(|done| crate::run::settled(done, expect, step));
        done.map_err(|why| format!("request {}: {why}", at + 1))?;
    }
    Ok(Ok(()))
}

/// Compares an answer with what is expected, and keeps its lease.
fn told(
    run: &mut Run<'_, '_>,
    step: &mut Fields,
    expect: &mut Fields,
    answer: Result<Answer, Error>,
) -> Done {
    let names = [step.text("lease")?, step.text("fence")?];
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return Ok(Err(error)),
    };
    let verdict = needed("verdict", expect.text("verdict")?)
        .map_err(|why| format!("{why}; found {}", answer.name()))?;
    if verdict != answer.name() {
        return Err(format!("verdict: expected {verdict}, found {}", answer.name()));
    }
    match answer {
        Answer::Admitted { token, how: why, time } => {
            expect.same("how", how(why))?;
            expect.same("attempt", token.attempt())?;
            expect.same("time_ms", millis(time))?;
            run.keep(names, token);
        }
        Answer::Replayed(outcome) => same_outcome(expect, &outcome)?,
        Answer::InProgress { attempt, time } | Answer::Scheduled { attempt, time } => {
            expect.same("attempt", attempt)?;
            expect.same("time_ms", millis(time))?;
        }
        Answer::Mismatched | Answer::Unresolved | Answer::OutcomeGone => {}
    }
    Ok(Ok(()))
}

fn submit(run: &mut Run<'_, '_>, step: &mut Fields) -> Done {
    let name = needed("wait", step.text("wait")?)?;
    let parts = Parts::read(step)?;
    let limit = step.number("wait_ms")?;
    let mut options = begin_options(step)?;
    if let Some(ms) = limit {
        options = options.on_conflict(oncegate::OnConflict::Wait(Duration::from_millis(ms)));
    }
    let wait = Wait::submit(run.scope, run.engine, parts, options, limit.is_some())?;
    run.waits.insert(name, wait);
    Ok(Ok(()))
}

/// The answer of whichever of these waits has one.
fn take(run: &mut Run<'_, '_>, step: &mut Fields, expect: &mut Fields) -> Done {
    let names = needed("waits", step.texts("waits")?)?;
    let look = |run: &mut Run<'_, '_>| {
        for name in &names {
            let wait = run.waits.get_mut(name);
            if let Some(answer) = wait.map(|wait| wait.answer(LOOK)).transpose()?.flatten() {
                return Ok(Some((name.clone(), answer)));
            }
        }
        Ok::<_, Failure>(None)
    };
    let mut answered = None;
    for _ in 0..LOOKS {
        answered = look(run)?;
        if answered.is_some() {
            break;
        }
    }
    let (name, answer) = answered.ok_or_else(|| format!("none of {names:?} has an answer"))?;
    run.waits.remove(&name);
    told(run, step, expect, answer)
}

fn cancel(run: &mut Run<'_, '_>, step: &mut Fields) -> Done {
    let name = needed("wait", step.text("wait")?)?;
    match run.waits.remove(&name) {
        Some(Wait::Future(future)) => drop(future),
        Some(Wait::Thread(_)) => return Err("a wait with a limit is not cancelled".to_owned()),
        None => return Err(format!("there is no wait {name}")),
    }
    Ok(Ok(()))
}

fn complete(run: &mut Run<'_, '_>, step: &mut Fields, expect: &mut Fields) -> Done {
    let lease = run.lease(step)?;
    let outcome = outcome(step)?.unwrap_or_else(|| Ok(Outcome::default()));
    let completed = outcome.and_then(|outcome| run.engine.complete(&lease, &outcome));
    match completed {
        Ok(Completed::Stored) => expect.same("stored", "STORED")?,
        Ok(Completed::WithoutBytes) => expect.same("stored", "STORED_WITHOUT_BYTES")?,
        Ok(Completed::StoredHere) => expect.same("stored", "STORED_HERE")?,
        Err(error) => return Ok(Err(error)),
    }
    Ok(Ok(()))
}

fn fail(run: &mut Run<'_, '_>, step: &mut Fields) -> Done {
    let lease = run.lease(step)?;
    let failure = needed("failure", step.text("failure")?)?;
    let delay = Duration::from_millis(step.number("delay_ms")?.unwrap_or(0));
    let outcome = outcome(step)?.unwrap_or_else(|| Ok(Outcome::default()));
    let failure = match &failure[..] {
        "RETRYABLE" => Ok(Failed::retryable_after(delay)),
        "TERMINAL" => outcome.map(Failed::terminal),
        "UNKNOWN" => Ok(Failed::unknown()),
        other => return Err(format!("failure: there is no {other}")),
    };
    Ok(failure.and_then(|failure| run.engine.fail(&lease, failure)))
}

fn renew(run: &mut Run<'_, '_>, step: &mut Fields, expect: &mut Fields) -> Done {
    let lease = run.lease(step)?;
    let ms = needed("duration_ms", step.number("duration_ms")?)?;
    match run.engine.renew(&lease, Duration::from_millis(ms)) {
        Ok(remaining) => expect.same("remaining_ms", millis(remaining))?,
        Err(error) => return Ok(Err(error)),
    }
    Ok(Ok(()))
}

fn take_up(run: &mut Run<'_, '_>, step: &mut Fields, expect: &mut Fields) -> Done {
    let token = run.lease(step)?;
    let held = match run.engine.take_up(&token) {
        Ok(held) => held,
        Err(error) => return Ok(Err(error)),
    };
    expect.same("attempt", held.attempt())?;
    expect.same("how", how(held.status()))?;
    expect.same("remaining_ms", millis(held.remaining()))?;
    run.keep([None, step.text("fence")?], held.into_token());
    Ok(Ok(()))
}

fn resolve(run: &mut Run<'_, '_>, step: &mut Fields) -> Done {
    let parts = Parts::read(step)?;
    let pointers = parts.pointers();
    let resolution = needed("resolution", step.text("resolution")?)?;
    let outcome = outcome(step)?.unwrap_or_else(|| Ok(Outcome::default()));
    let resolution = match &resolution[..] {
        "SUCCEEDED" => outcome.map(Resolution::Succeeded),
        "FAILED" => outcome.map(Resolution::Failed),
        "RUN_AGAIN" => Ok(Resolution::RunAgain),
        other => return Err(format!("resolution: there is no {other}")),
    };
    let request = parts.request(&pointers)?;
    Ok(request.and_then(|request| run.engine.resolve(&request, resolution?)))
}

fn retry_later(run: &mut Run<'_, '_>, step: &mut Fields, expect: &mut Fields) -> Done {
    let lease = run.lease(step)?;
    let class = step.text("error_class")?.unwrap_or_else(|| "503".to_owned());
    let mut error = AttemptError::new(&class).kind(policy::kind(step)?);
    let after = step.number("hint_after_ms")?.map(Duration::from_millis);
    error = error.hint(match step.text("hint")?.as_deref() {
        None | Some("NONE") => None,
        Some("AFTER") => Some(oncegate::Hint::After(needed("hint_after_ms", after)?)),
        Some("REFUSED") => Some(oncegate::Hint::Refused),
        Some(other) => return Err(format!("hint: there is no {other}")),
    });
    if step.flag("terminal")? == Some(true) {
        error = error.terminal();
    }
    if let Some(outcome) = outcome(step)? {
        error = error.outcome(outcome.map_err(|error| error.to_string())?);
    }
    let operation = step.text("operation")?.unwrap_or_else(|| "charge".to_owned());
    let context = step.bytes("context")?.unwrap_or_default();
    let context = RetryContext::new(&operation, &context);
    match run.engine.retry_later(&lease, &error, &context) {
        Ok(Later::Scheduled { next_attempt, due_in }) => {
            expect.same("later", "SCHEDULED")?;
            expect.same("next_attempt", next_attempt)?;
            expect.same("due_in_ms", millis(due_in))?;
        }
        Ok(Later::Buried { reason, .. }) => {
            expect.same("later", "BURIED")?;
            expect.same("reason", policy::reason(reason))?;
        }
        Err(error) => return Ok(Err(error)),
    }
    Ok(Ok(()))
}

fn next_attempt(run: &mut Run<'_, '_>, step: &mut Fields, expect: &mut Fields) -> Done {
    let names = [step.text("lease")?, step.text("fence")?];
    let found = match run.engine.next_attempt(Duration::ZERO) {
        Ok(found) => found,
        Err(error) => return Ok(Err(error)),
    };
    expect.same("found", found.is_some())?;
    if let Some(attempt) = found {
        expect.same("attempt", attempt.lease().attempt())?;
        expect.same("remaining_ms", millis(attempt.lease().remaining()))?;
        expect.same("operation", attempt.operation())?;
        let context = String::from_utf8_lossy(attempt.context()).into_owned();
        expect.same("context", context)?;
        run.keep(names, attempt.into_lease().into_token());
    }
    Ok(Ok(()))
}

fn set_operation(run: &mut Run<'_, '_>, step: &mut Fields) -> Done {
    let operation = needed("operation", step.text("operation")?)?;
    let mut settings = OperationSettings::new();
    let own = step.object("policy")?;
    if !own.is_empty() {
        settings = settings.policy(policy::policy(own)?);
    }
    if let Some(attempts) = step.number("max_in_flight")? {
        settings = settings.max_in_flight(attempts as usize);
    }
    Ok(run.engine.set_operation(&operation, settings))
}

fn set_budget(run: &mut Run<'_, '_>, step: &mut Fields) -> Done {
    let budget = policy::budget(step.object("budget")?)?;
    let level = needed("level", step.text("level")?)?;
    let scope = step.bytes("scope")?;
    let operation = step.text("operation")?;
    let budget = match budget {
        Ok(budget) => budget,
        Err(error) => return Ok(Err(error)),
    };
    match &level[..] {
        "ENGINE" => Ok(run.engine.set_retry_budget(budget)),
        "OPERATION" => {
            Ok(run.engine.set_operation_budget(&needed("operation", operation)?, budget))
        }
        "SCOPE" => {
            let scope = needed("scope", scope)?;
            let scope = oncegate::Scope::new(&scope);
            Ok(scope.and_then(|scope| run.engine.set_scope_budget(scope, budget)))
        }
        other => Err(format!("level: there is no {other}")),
    }
}

fn preview(step: &mut Fields, expect: &mut Fields) -> Done {
    let policy = policy::policy(step.object("policy")?)?;
    let seed = needed("seed", step.number("seed")?)?;
    let most = needed("most", step.number("most")?)?;
    match policy::preview(&policy, seed, most as usize) {
        Ok((delays, reason)) => {
            expect.same("delays_ms", delays)?;
            expect.same("reason", reason)?;
        }
        Err(error) => return Ok(Err(error)),
    }
    Ok(Ok(()))
}

fn fingerprint(run: &mut Run<'_, '_>, step: &mut Fields, expect: &mut Fields) -> Done {
    let parts = Parts::read(step)?;
    let pointers = parts.pointers();
    let prepared = parts
        .request(&pointers)?
        .and_then(|request| Ok(run.engine.prepare(&request)?.fingerprint().to_bytes()));
    match prepared {
        Ok(fingerprint) => expect.same("fingerprint", to_hex(&fingerprint))?,
        Err(error) => return Ok(Err(error)),
    }
    Ok(Ok(()))
}

/// Fencing tokens that were kept, each greater than the one before.
fn fences(run: &mut Run<'_, '_>, step: &mut Fields) -> Done {
    let names = needed("ascending", step.texts("ascending")?)?;
    let fence = |name: &String| run.fences.get(name).ok_or_else(|| format!("no fence {name}"));
    let fences: Vec<_> = names.iter().map(fence).collect::<Result<_, _>>()?;
    if !fences.is_sorted_by(|a, b| a < b) {
        return Err(format!("{names:?} do not ascend: {fences:?}"));
    }
    Ok(Ok(()))
}

/// Counts of the engine, by the names of the header.
fn stats(run: &mut Run<'_, '_>, expect: &mut Fields) -> Done {
    let stats = match run.engine.stats() {
        Ok(stats) => stats,
        Err(error) => return Ok(Err(error)),
    };
    let counts = [
        ("begun", stats.begun),
        ("created", stats.created),
        ("reused", stats.reused),
        ("expired", stats.expired),
        ("retried", stats.retried),
        ("replayed", stats.replayed),
        ("in_progress", stats.in_progress),
        ("scheduled", stats.scheduled),
        ("mismatched", stats.mismatched),
        ("unresolved", stats.unresolved),
        ("outcome_gone", stats.outcome_gone),
        ("fenced", stats.fenced),
        ("lapsed", stats.lapsed),
        ("completed", stats.completed),
        ("waiters", stats.waiters),
        ("hand_offs", stats.hand_offs),
        ("live_running", stats.live.running),
        ("live_waiting", stats.live.waiting),
        ("live_succeeded", stats.live.succeeded),
        ("live_failed", stats.live.failed),
        ("live_unknown", stats.live.unknown),
        ("dead_letters", stats.retries.dead_letters),
        ("buried", stats.retries.buried),
    ];
    for (name, count) in counts {
        expect.same(name, Value::from(count))?;
    }
    Ok(Ok(()))
}

const LOOK: Duration = Duration::from_millis(10);
const LOOKS: u32 = 3_000;
