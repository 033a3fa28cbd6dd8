//! Hooks: what engines ask the simulation, in the middle of its calls.

use oncegate::{
    Engine, EngineBuilder, Error, FinishedStep, LapsedAttempt, OperationSettings, Outcome,
    Reconciled, Unresolved,
};

use crate::attempt::small_outcome;
use crate::kinds::Kind;
use crate::model::Model;
use crate::plan::{NARROW, OPERATIONS, ORDER, PAID};
use crate::record::{Finished, Span, State};
use crate::told::{brief, short};
use crate::world::{Shared, World, request_of};

/// Has the simulation told of what the engine notices by itself: in a simulation whose processes
/// die between two calls, no transition can stand still.
pub(crate) fn watch(builder: EngineBuilder, shared: &Shared, index: usize) -> EngineBuilder {
    let shared = shared.clone();
    builder.on_event(move |event| {
        shared.world().blame(format!("node {index} is told: {event}"));
    })
}

/// Sets what is a process's own: policies, limits, budgets and hooks.
pub(crate) fn set(engine: &Engine, shared: &Shared, index: usize) -> Result<(), Error> {
    let (plan, budget) = {
        let mut world = shared.world();
        (world.plan.clone(), world.budget_of(index))
    };
    for (number, operation) in OPERATIONS.into_iter().enumerate() {
        let mut settings = OperationSettings::new().policy(plan.rhythms[number].policy.clone());
        if number == NARROW {
            settings = settings.max_in_flight(plan.narrow);
        }
        if plan.cleans_up && number <= ORDER {
            let shared = shared.clone();
            settings = settings.on_lapse(move |lapsed| clean_up(&shared, index, lapsed));
        }
        if plan.undoes && number == ORDER {
            let shared = shared.clone();
            settings = settings.undo(move |step| undo(&shared, index, step));
        }
        engine.set_operation(operation, settings)?;
    }
    engine.set_operation_budget(OPERATIONS[PAID], budget)?;
    let shared = shared.clone();
    engine.set_reconciler(move |record| reconcile(&shared, index, record))
}

fn clean_up(shared: &Shared, index: usize, lapsed: &LapsedAttempt<'_>) -> Result<(), String> {
    let mut world = shared.world();
    let now = world.now();
    let Some(id) = request_of(lapsed.context) else {
        world.blame(format!("cleaned up after nobody: {lapsed:?}"));
        return Ok(());
    };
    let (lapsed_token, token) = (lapsed.lapsed_token, lapsed.fencing_token);
    let line = format!("request {id}: clean up after token {}", short(lapsed_token));
    world.tell(&format!("node {index} hook"), &line);
    world.kinds.add(Kind::CleanedUp);
    let (states, orders) = (world.model.possible(id, now), world.orders);
    let record = world.model.record(id);
    let has_lapsed = states.len() > 1 && record.token == lapsed_token;
    let is_first = record.cleaned != lapsed_token && token > lapsed_token;
    let same = record.context == lapsed.context && record.is_this(lapsed.attempt);
    let seen = format!("{record:?}");
    (record.cleaned, record.led_in) = (lapsed_token, orders);
    record.before += 1;
    (record.attempt, record.token, record.untold) = (lapsed.attempt + 1, token, 0);
    // It ends before the hook's caller does anything else.
    record.becomes(State::Running { until: now, home: None });
    world.ledger.begin(id, lapsed.attempt + 1, token, now, now);
    world.expect(has_lapsed && is_first && same, || {
        format!("request {id}: {lapsed:?} is cleaned up, from {states:?} of {seen}")
    });
    if world.random.chance(6) { Err("not possible".to_owned()) } else { Ok(()) }
}

fn undo(shared: &Shared, index: usize, step: &FinishedStep<'_>) -> Result<(), String> {
    let mut world = shared.world();
    let (id, name) = (request_of(step.result), step.name.parse::<u64>().ok());
    let (Some(id), Some(name)) = (id, name) else {
        world.blame(format!("a step of nobody is undone: {}", step.name));
        return Ok(());
    };
    world.tell(&format!("node {index} hook"), &format!("request {id}: undo step {name}"));
    world.kinds.add(Kind::UndoneByHook);
    let fails = world.random.chance(8);
    let (now, orders, calling) = (world.now(), world.orders, world.calling);
    let led = State::Running { until: now, home: None };
    let record = world.model.record(id);
    if calling != Some(id) && record.led_in != orders {
        // Nobody is told of the attempt under which the engine does it.
        record.led_in = orders;
        record.untold += 1;
        let was = std::mem::replace(&mut record.states, vec![led]);
        let waits = |state: &State| matches!(state, State::Waiting { .. });
        if was.iter().any(waits) {
            let given_up = world.model.given_up(id, now);
            world.model.record(id).states.extend(given_up);
        }
    }
    if fails {
        return Err("not possible".to_owned());
    }
    let undone = world.model.record(id).undoes(name, step.result);
    world.judge(id, undone);
    Ok(())
}

fn reconcile(shared: &Shared, index: usize, asked: &Unresolved<'_>) -> Reconciled {
    let mut world = shared.world();
    world.kinds.add(Kind::Asked);
    let candidates = candidates(&world.model, world.now(), asked);
    let who = format!("node {index} hook");
    for id in &candidates {
        world.model.record(*id).asked = true;
    }
    let [id] = candidates[..] else {
        let (attempt, token) = (asked.attempt, short(asked.fencing_token));
        let line = format!("attempt {attempt} token {token} may be one of {candidates:?}");
        world.tell(&who, &line);
        world.expect(!candidates.is_empty(), || format!("asked about none: {asked:?}"));
        world.kinds.add(Kind::AskedInVain);
        return Reconciled::StillUnknown;
    };
    let calm = world.calm;
    if !calm && world.random.chance(2) {
        world.tell(&who, &format!("request {id} is still unknown"));
        world.kinds.add(Kind::AskedInVain);
        return Reconciled::StillUnknown;
    }
    world.kinds.add(Kind::Reconciled);
    let answer = verdict(&mut world, id);
    let now = world.now();
    let (state, line) = match &answer {
        Reconciled::Succeeded(outcome) | Reconciled::Failed(outcome) => {
            let (given, longest) = (world.model.record(id).window, world.plan.window_ms);
            let window = Span::new(given.least.min(longest), given.most.max(longest));
            (resolved(outcome, window.after(now)), brief(outcome))
        }
        _ => (State::Waiting { due: Span::exactly(now) }, "run again".to_owned()),
    };
    world.model.record(id).becomes(state);
    world.tell(&who, &format!("request {id}: {line}"));
    answer
}

/// The records that the reconciler may be asked about.
fn candidates(model: &Model, now: u64, asked: &Unresolved<'_>) -> Vec<u32> {
    let fits = |id: &u32| {
        model.records.get(id).is_some_and(|record| {
            let same = record.token == asked.fencing_token && record.is_this(asked.attempt);
            let context = asked.context.is_empty() || record.context == asked.context;
            same && context && model.possible(*id, now).contains(&State::Unknown)
        })
    };
    model.records.keys().copied().filter(fits).collect()
}

/// What is found out about a record: what the store says, or somebody's word.
pub(crate) fn verdict(world: &mut World, id: u32) -> Reconciled {
    let token = world.model.record(id).token;
    let took_effect = world.ledger.has(id, token);
    let outcome = small_outcome(&mut world.random);
    match world.random.below(3) {
        0 => Reconciled::Failed(outcome),
        _ if took_effect => Reconciled::Succeeded(outcome),
        _ => Reconciled::RunAgain,
    }
}

/// A record that was resolved with `outcome`.
pub(crate) fn resolved(outcome: &Outcome, ends: Span) -> State {
    let outcome = outcome.clone();
    State::Finished(Finished { outcome, ends, may_be_gone: false, letter: None })
}
