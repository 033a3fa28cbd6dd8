//! Later: attempts that fail, and whose next one is the engine's.

use std::time::Duration;

use oncegate::{AttemptError, Buried, Error, ErrorCode, FailureKind, Hint, Later, RetryContext};

use crate::attempt::{called, dropped, finish, judge, small_outcome};
use crate::job::Job;
use crate::kinds::Kind;
use crate::model::operation_of;
use crate::node::{Holding, Site};
use crate::plan::OPERATIONS;
use crate::record::{Finished, Span, State};
use crate::world::{World, context_of};

/// What is told of a failure, and what was drawn for it.
struct Told {
    error: AttemptError,
    hinted: bool,
    outcome: oncegate::Outcome,
    context: Vec<u8>,
}

/// Fails the attempt, and leaves the next one to the engine.
pub(crate) fn fail<'e>(site: &mut Site<'e>, number: u32, job: &Job, holding: Holding<'e>) {
    let mut world = site.shared.world();
    let told = draw(&mut world, job.id);
    let (now, guard) = (world.now(), matches!(holding, Holding::Guard(_)));
    let hold = world.model.hold(job.id, job.token, now);
    world.calling = Some(job.id);
    drop(world);
    let context = RetryContext::new(OPERATIONS[operation_of(job.id)], &told.context);
    let result = match holding {
        Holding::Guard(lease) => lease.retry_later(&told.error, &context),
        Holding::Token(token) => site.engine.retry_later(&token, &told.error, &context),
    };
    let mut world = site.shared.world();
    world.calling = None;
    let line = format!("{} retry later -> {}", called(job), said(&result));
    world.tell(&site.name(), &line);
    let counts = judge(&mut world, job, &result, &[ErrorCode::Full]);
    match result {
        Ok(later) if counts => follow(&mut world, job, &told, &later),
        Err(error) if error.code() == ErrorCode::Full => {
            world.kinds.add(Kind::NoRoomToRetry);
            if guard {
                dropped(&mut world, job, hold);
            }
        }
        Err(_) if job.late => world.kinds.add(Kind::FencedRetry),
        _ => {}
    }
    site.jobs.borrow_mut().end(number);
}

fn draw(world: &mut World, id: u32) -> Told {
    let context = context_of(id, &mut world.random);
    let outcome = small_outcome(&mut world.random);
    let kind = *world.random.pick(&FailureKind::ALL);
    let hint = match world.random.below(12) {
        0 => Hint::retry_after("3", Duration::ZERO),
        1 => Hint::retry_after("100000", Duration::ZERO),
        2 => Some(Hint::grpc_pushback("-1")),
        _ => None,
    };
    let class = *world.random.pick(&["503", "timeout", "connection reset"]);
    let error = AttemptError::new(class).kind(kind).hint(hint).outcome(outcome.clone());
    Told { error, hinted: hint.is_some(), outcome, context }
}

fn said(result: &Result<Later, Error>) -> String {
    match result {
        Ok(Later::Scheduled { next_attempt, due_in }) => {
            format!("attempt {next_attempt} due in {} ms", due_in.as_millis())
        }
        Ok(Later::Buried { reason, kept, .. }) => format!("buried: {reason:?}, kept: {kept}"),
        Err(error) => format!("{:?} {}", error.code(), error.field()),
    }
}

/// What becomes of the record.
fn follow(world: &mut World, job: &Job, told: &Told, later: &Later) {
    let now = world.now();
    match later {
        Later::Scheduled { next_attempt, due_in } => {
            world.kinds.add(if told.hinted { Kind::LaterHinted } else { Kind::Later });
            let due_in = due_in.as_millis() as u64;
            let rhythm = &world.plan.rhythms[operation_of(job.id)];
            let least = if told.hinted { 0 } else { rhythm.least_ms };
            let (within, most) = ((least..=rhythm.most_ms).contains(&due_in), rhythm.attempts);
            let counted = job.attempt - world.model.record(job.id).before;
            world.expect(counted < most, || {
                format!("{} {later:?}, after {counted} attempts of {most}", called(job))
            });
            world.expect(within && *next_attempt == job.attempt + 1, || {
                format!("{} {later:?}, at least {least} ms", called(job))
            });
            let record = world.model.record(job.id);
            record.becomes(State::Waiting { due: Span::exactly(now + due_in) });
            (record.scheduled, record.journal) = (true, true);
            record.context.clone_from(&told.context);
            world.ledger.lasts(job.id, job.token, now);
            world.granted(job.id, job.node);
        }
        Later::Buried { reason, kept, budget } => {
            world.kinds.add(match reason {
                Buried::Attempts => Kind::Buried,
                Buried::Deadline => Kind::BuriedDeadline,
                Buried::Budget => Kind::BuriedBudget,
                _ => Kind::BuriedFinal,
            });
            let named = budget.as_ref().map(|budget| budget.budget() == "paid");
            world.expect((*reason == Buried::Budget) == (named == Some(true)), || {
                format!("{} {later:?} names no budget", called(job))
            });
            finish(world, job, told.outcome.clone(), false);
            if *kept {
                bury(world, job, told, now);
            } else {
                world.kinds.add(Kind::LetterLost);
            }
        }
    }
}

/// The record is a dead letter.
fn bury(world: &mut World, job: &Job, told: &Told, now: u64) {
    let record = world.model.record(job.id);
    record.context.clone_from(&told.context);
    (record.scheduled, record.journal) = (true, true);
    record.becomes(State::Finished(Finished {
        outcome: told.outcome.clone(),
        ends: Span::exactly(u64::MAX),
        may_be_gone: false,
        letter: Some(now),
    }));
}
