//! The operator: dead letters, unknown records, secrets and quotas.

use oncegate::{DeadLetter, Error, ErrorCode, LetterFilter, Quota, Reconciled, Resolution, Scope};

use crate::hooks::{resolved, verdict};
use crate::kinds::Kind;
use crate::model::operation_of;
use crate::node::{Site, secret};
use crate::plan::{OPERATIONS, SCOPES};
use crate::record::{Finished, Span, State};
use crate::told::done;
use crate::world::{World, request_of, with_request};

/// One thing that an operator does.
pub(crate) fn operate(site: &mut Site<'_>) {
    let draw = site.shared.world().random.below(12);
    match draw {
        0..=4 => see_to_letters(site),
        5..=7 => resolve(site),
        8 => rotate(site),
        9 => finish_rotation(site),
        10 => set_quota(site),
        _ => lift_quotas(site),
    }
}

/// Lists the dead letters, and redrives or discards some.
fn see_to_letters(site: &mut Site<'_>) {
    let mut letters = Vec::new();
    let mut after = None;
    loop {
        let page = site.engine.dead_letters(&LetterFilter::all(), after, 3).expect("not forked");
        letters.extend(page.letters);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    {
        let mut world = site.shared.world();
        let most = world.plan.max_letters;
        world.tell(&site.name(), &format!("operator: {} letters", letters.len()));
        world.expect(letters.len() <= most, || format!("{} letters of {most}", letters.len()));
    }
    for letter in letters {
        let Some(id) = judge_letter(site, &letter) else { return };
        let draw = site.shared.world().random.below(4);
        match draw {
            0 => redrive(site, id, &letter),
            1 => discard(site, id, &letter),
            _ => {}
        }
    }
}

/// Whether the letter tells what is known of its record. Its request.
fn judge_letter(site: &mut Site<'_>, letter: &DeadLetter) -> Option<u32> {
    let mut world = site.shared.world();
    let now = world.now();
    world.kinds.add(Kind::Listed);
    if letter.history.last().is_some_and(|last| last.class == "not started") {
        world.kinds.add(Kind::BuriedLate);
    }
    let known = request_of(letter.context());
    let Some(id) = known.filter(|id| world.model.records.contains_key(id)) else {
        world.blame(format!("a letter of nobody: {letter:?}"));
        return None;
    };
    let states = world.model.possible(id, now);
    let is_letter =
        |state: &&State| matches!(state, State::Finished(Finished { letter: Some(_), .. }));
    let buried: Vec<State> = states.iter().filter(is_letter).cloned().collect();
    let in_order = letter.history.windows(2).all(|pair| {
        pair[0].attempt < pair[1].attempt && pair[0].fencing_token < pair[1].fencing_token
    });
    let record = world.model.record(id);
    let seen = format!("{record:?}");
    let same = record.is_this(letter.attempts)
        && record.context == letter.context()
        && letter.operation == OPERATIONS[operation_of(id)];
    let names: Vec<String> = record.steps.iter().map(|step| step.name.to_string()).collect();
    let certain = record.steps.iter().all(|step| !step.in_doubt);
    let steps = if certain {
        names == letter.steps
    } else {
        letter.steps.iter().all(|name| names.contains(name))
    };
    (record.attempt, record.untold) = (letter.attempts, 0);
    let found = !buried.is_empty();
    record.states = buried;
    world.expect(found && same && steps && in_order, || {
        format!("request {id}: {letter:?} with steps {:?}, from {states:?} of {seen}", letter.steps)
    });
    found.then_some(id)
}

fn redrive(site: &mut Site<'_>, id: u32, letter: &DeadLetter) {
    let redriven = site.engine.redrive(letter.id);
    let mut world = site.shared.world();
    world.tell("operator", &format!("redrive request {id} -> {}", done(&redriven)));
    world.expect(redriven.is_ok(), || format!("request {id} was listed, and is no letter"));
    world.kinds.add(Kind::Redriven);
    let now = world.now();
    let record = world.model.record(id);
    record.before = record.attempt;
    record.becomes(State::Waiting { due: Span::exactly(now) });
}

fn discard(site: &mut Site<'_>, id: u32, letter: &DeadLetter) {
    let discarded = site.engine.discard(letter.id);
    let again = site.engine.discard(letter.id).map_err(|error| error.code());
    let mut world = site.shared.world();
    world.tell("operator", &format!("discard request {id} -> {}", done(&discarded)));
    world.expect(discarded.is_ok() && again == Err(ErrorCode::NotFound), || {
        format!("request {id} was listed, and was discarded {discarded:?}, and again {again:?}")
    });
    world.kinds.add(Kind::Discarded);
    let ends = Span::exactly(world.now() + world.plan.window_ms);
    let record = world.model.record(id);
    for state in &mut record.states {
        if let State::Finished(finished) = state {
            (finished.ends, finished.letter) = (ends, None);
        }
    }
}

/// Resolves what the reconciler was asked about, and could not tell from another record.
pub(crate) fn resolve_all(site: &mut Site<'_>) {
    let records = site.shared.world().model.records.len();
    (0..records).for_each(|_| resolve(site));
}

/// Resolves a record that is unknown, or may be.
pub(crate) fn resolve(site: &mut Site<'_>) {
    let mut world = site.shared.world();
    let now = world.now();
    let unknown =
        |world: &World, id: &u32| world.model.possible(*id, now).contains(&State::Unknown);
    let all: Vec<u32> = world.model.records.keys().copied().collect();
    let all: Vec<u32> = all.into_iter().filter(|id| unknown(&world, id)).collect();
    if all.is_empty() {
        return world.tell("operator", "nothing is unknown");
    }
    let id = *world.random.pick(&all);
    let certain = world.model.possible(id, now).len() == 1;
    let verdict = verdict(&mut world, id);
    let window = world.plan.window_ms;
    let state = match &verdict {
        Reconciled::Succeeded(outcome) | Reconciled::Failed(outcome) => {
            resolved(outcome, Span::exactly(now + window))
        }
        _ => State::Waiting { due: Span::exactly(now) },
    };
    drop(world);
    let resolution = match verdict {
        Reconciled::Succeeded(outcome) => Resolution::Succeeded(outcome),
        Reconciled::Failed(outcome) => Resolution::Failed(outcome),
        _ => Resolution::RunAgain,
    };
    let result = with_request(id, 0, |request| site.engine.resolve(request, resolution));
    let mut world = site.shared.world();
    world.tell(&site.name(), &format!("operator: resolve request {id} -> {}", done(&result)));
    match result.map_err(|error| error.code()) {
        Ok(()) => {
            world.kinds.add(Kind::Resolved);
            // A reconciler that cannot tell two records apart leaves them to the operator.
            let asked = world.model.record(id).asked;
            let calm = world.calm;
            world.expect(asked || !calm, || format!("nobody was asked about request {id}"));
            world.model.record(id).becomes(state);
        }
        Err(ErrorCode::WrongSecret) if world.unlearned.contains(&site.index) => {}
        Err(ErrorCode::NotFound) if !certain => {
            let mut states = world.model.possible(id, now);
            states.retain(|state| *state != State::Unknown);
            world.model.record(id).states = states;
        }
        Err(code) => world.blame(format!("request {id} is unknown, and resolve says {code:?}")),
    }
}

/// Begins a rotation of the secret; the other processes hear of it later.
fn rotate(site: &mut Site<'_>) {
    let mut world = site.shared.world();
    if world.retiring.is_some() || world.unlearned.contains(&site.index) || world.secret >= 100 {
        return;
    }
    let next = world.secret + 1;
    drop(world);
    let rotated = site.engine.rotate_secret(secret(next));
    world = site.shared.world();
    world.tell(&site.name(), &format!("operator: rotate to {next} -> {}", done(&rotated)));
    world.expect(rotated.is_ok(), || format!("rotation {next} is refused"));
    world.kinds.add(Kind::Rotated);
    (world.retiring, world.secret) = (Some(world.secret), next);
    let others = (0..world.plan.sharers).filter(|index| *index != site.index).collect();
    world.unlearned = others;
}

/// A process hears of the secret that is in force.
pub(crate) fn learn(site: &mut Site<'_>) {
    let number = site.shared.world().secret;
    let learned = site.engine.rotate_secret(secret(number));
    let mut world = site.shared.world();
    world.tell(&site.name(), &format!("learn secret {number} -> {}", done(&learned)));
    world.expect(learned.is_ok(), || format!("the secret in force is refused: {learned:?}"));
    world.unlearned.remove(&site.index);
}

/// Retires the old secret, if no record under it is left.
pub(crate) fn finish_rotation(site: &mut Site<'_>) {
    let finished = site.engine.finish_rotation();
    let mut world = site.shared.world();
    world.tell(&site.name(), &format!("operator: finish rotation -> {}", done(&finished)));
    let pending = world.retiring.is_some();
    match finished.map_err(|error| error.code()) {
        Ok(()) if pending => {
            world.kinds.add(Kind::RotationFinished);
            world.retiring = None;
        }
        Err(ErrorCode::RotationPending) if pending => world.kinds.add(Kind::RotationRefused),
        Err(ErrorCode::NotFound) if !pending => {}
        other => world.blame(format!("finish_rotation answered {other:?}, pending: {pending}")),
    }
}

fn set_quota(site: &mut Site<'_>) {
    let mut world = site.shared.world();
    let scope = *world.random.pick(&SCOPES);
    let most = world.random.below(20);
    drop(world);
    let quota = Quota::unlimited().max_live(most);
    let set = named(scope).and_then(|scope| site.engine.set_quota(scope, quota));
    let mut world = site.shared.world();
    world.tell(&site.name(), &format!("operator: quota of {scope} is {most} -> {}", done(&set)));
    world.kinds.add(Kind::QuotaSet);
}

/// Takes all quotas back.
pub(crate) fn lift_quotas(site: &mut Site<'_>) {
    for scope in SCOPES {
        let lifted = named(scope).and_then(|scope| site.engine.remove_quota(scope));
        site.tell(&format!("operator: no quota of {scope} -> {}", done(&lifted)));
    }
}

fn named(scope: &str) -> Result<Scope<'_>, Error> {
    Scope::new(scope)
}
