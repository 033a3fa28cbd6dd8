//! Attempts: what their holders do, over time: work, effects, steps, renewals, pauses, and one of
//! many ends.

use std::time::Duration;

use oncegate::{Completed, Error, ErrorCode, Failure, Lease, OnDrop, Outcome};

use crate::job::Job;
use crate::kinds::Kind;
use crate::later;
use crate::model::Hold;
use crate::node::{Holding, Site};
use crate::plan::{INLINE, OUTCOME_LIMIT};
use crate::random::Random;
use crate::record::{Finished, Span, State};
use crate::step;
use crate::told::{brief, done};
use crate::world::World;

/// Goes on with `job`: one action, after which it is planned again, or over.
pub(crate) fn go_on(site: &mut Site<'_>, number: u32) {
    let Some(job) = site.job(number).filter(|job| job.node == site.index) else { return };
    let Some(holding) = site.held.remove(&number) else { return };
    if job.actions == 0 {
        write(site, &job);
    }
    site.jobs.borrow_mut().change(number, |job| job.actions += 1);
    let mut world = site.shared.world();
    let draw = world.random.below(20);
    let ends = world.calm || job.actions > 8 || draw < 7;
    let outcome = draw_outcome(&mut world.random);
    drop(world);
    if ends {
        return end(site, number, &job, holding, outcome);
    }
    match draw {
        7..=9 => renew(site, number, &job, holding),
        10..=14 => step::run(site, number, &job, holding),
        15 => step::compensate(site, number, &job, holding),
        16..=17 => pause(site, number, &job, holding),
        _ => {
            write(site, &job);
            keep(site, number, &job, holding);
        }
    }
}

/// An effect comes to the store.
pub(crate) fn write(site: &mut Site<'_>, job: &Job) {
    let mut world = site.shared.world();
    let takes = world.ledger.write(job.id, job.token);
    let what = if takes { "effect taken" } else { "effect refused" };
    world.tell(&site.name(), &format!("request {} attempt {}: {what}", job.id, job.attempt));
    if !takes {
        world.kinds.add(Kind::EffectRefused);
    }
}

/// Ends `job` in one of many ways.
fn end<'e>(site: &mut Site<'e>, number: u32, job: &Job, holding: Holding<'e>, outcome: Outcome) {
    let mut world = site.shared.world();
    let draw = if world.calm { 0 } else { world.random.below(17) };
    let delay_ms = world.random.below(20_000);
    let terminal = small_outcome(&mut world.random);
    let (now, guard) = (world.now(), matches!(holding, Holding::Guard(_)));
    // What becomes of a lapsed lease that is dropped, nobody is told.
    let drops = guard && world.model.hold(job.id, job.token, now) != Hold::Lapsed;
    drop(world);
    match draw {
        0..=5 => complete(site, number, job, holding, outcome),
        6..=10 => later::fail(site, number, job, holding),
        11 => fail(site, number, job, holding, Failure::retryable(), Fate::Waits(0)),
        12 => {
            let delay = Duration::from_millis(delay_ms);
            let failure = Failure::retryable_after(delay);
            fail(site, number, job, holding, failure, Fate::Waits(delay_ms));
        }
        13 => {
            let failure = Failure::terminal(terminal.clone());
            fail(site, number, job, holding, failure, Fate::Fails(terminal));
        }
        14 => fail(site, number, job, holding, Failure::unknown(), Fate::Unknown),
        15 if drops => {
            let Holding::Guard(lease) = holding else { return };
            drop_guard(site, number, lease);
            site.jobs.borrow_mut().end(number);
        }
        15 => give_back(site, number, job, holding),
        _ => {
            if let Holding::Guard(lease) = holding {
                let _lost = lease.into_token();
            }
            site.shared.count(Kind::Forgotten);
            site.tell(&format!("request {} attempt {}: forgotten", job.id, job.attempt));
            site.jobs.borrow_mut().end(number);
        }
    }
}

/// What an attempt that failed leads to.
#[derive(Clone, Debug)]
pub(crate) enum Fate {
    Waits(u64),
    Fails(Outcome),
    Unknown,
}

pub(crate) fn complete<'e>(
    site: &mut Site<'e>,
    number: u32,
    job: &Job,
    holding: Holding<'e>,
    outcome: Outcome,
) {
    let result = match holding {
        Holding::Guard(lease) => lease.complete(&outcome),
        Holding::Token(token) => site.engine.complete(&token, &outcome),
    };
    let mut world = site.shared.world();
    let line = format!("{} complete with {} -> {}", called(job), brief(&outcome), done(&result));
    world.tell(&site.name(), &line);
    if judge(&mut world, job, &result, &[]) {
        let stored = matches!(result, Ok(Completed::Stored));
        world.kinds.add(if stored { Kind::Completed } else { Kind::WithoutBytes });
        let evicts = world.plan.on_full == oncegate::OnFull::EvictLru;
        let may_be_gone = !stored || evicts && outcome.body().len() + 8 > INLINE;
        // One that was not stored is no outcome that anybody gets.
        let outcome = if stored { outcome } else { Outcome::new(NEVER, b"") };
        finish(&mut world, job, outcome, may_be_gone);
        world.earned(job.id);
    }
    site.jobs.borrow_mut().end(number);
}

fn fail<'e>(
    site: &mut Site<'e>,
    number: u32,
    job: &Job,
    holding: Holding<'e>,
    failure: Failure,
    fate: Fate,
) {
    let result = match holding {
        Holding::Guard(lease) => lease.fail(failure),
        Holding::Token(token) => site.engine.fail(&token, failure),
    };
    let mut world = site.shared.world();
    world.tell(&site.name(), &format!("{} fail: {fate:?} -> {}", called(job), done(&result)));
    if judge(&mut world, job, &result, &[]) {
        world.kinds.add(match fate {
            Fate::Waits(0) => Kind::Failed,
            Fate::Waits(_) => Kind::FailedWithDelay,
            Fate::Fails(_) => Kind::FailedForGood,
            Fate::Unknown => Kind::BecameUnknown,
        });
        befall(&mut world, job, fate);
    }
    site.jobs.borrow_mut().end(number);
}

fn give_back<'e>(site: &mut Site<'e>, number: u32, job: &Job, holding: Holding<'e>) {
    let result = match holding {
        Holding::Guard(lease) => lease.abandon(),
        Holding::Token(token) => site.engine.abandon(&token),
    };
    let mut world = site.shared.world();
    world.tell(&site.name(), &format!("{} give back -> {}", called(job), done(&result)));
    if judge(&mut world, job, &result, &[]) {
        world.kinds.add(Kind::GaveBack);
        befall(&mut world, job, Fate::Waits(0));
    }
    site.jobs.borrow_mut().end(number);
}

/// Drops the guard of an attempt, by a panic or a return.
pub(crate) fn drop_guard(site: &Site<'_>, number: u32, lease: Lease<'_>) {
    let Some(job) = site.job(number) else { return };
    let hold = {
        let world = site.shared.world();
        world.model.hold(job.id, job.token, world.now())
    };
    if hold == Hold::Lapsed {
        // What becomes of it nobody would be told.
        let _lost = lease.into_token();
        return site.tell(&format!("{} is lost", called(&job)));
    }
    site.shared.world().calling = Some(job.id);
    drop(lease);
    let mut world = site.shared.world();
    world.calling = None;
    world.tell(&site.name(), &format!("{} dropped", called(&job)));
    world.kinds.add(Kind::Dropped);
    dropped(&mut world, &job, hold);
}

/// What the drop of a guard led to.
pub(crate) fn dropped(world: &mut World, job: &Job, hold: Hold) {
    if hold == Hold::Lost {
        return;
    }
    let before = world.model.record(job.id).states.clone();
    match world.plan.on_drop {
        OnDrop::Retry if world.model.record(job.id).scheduled => go_on_by_policy(world, job),
        OnDrop::Retry => befall(world, job, Fate::Waits(0)),
        OnDrop::Unknown => befall(world, job, Fate::Unknown),
        OnDrop::Failed => befall(world, job, Fate::Fails(Outcome::new(500, b""))),
        OnDrop::KeepLease => {}
    }
    if hold == Hold::Lapsed {
        // Or somebody had noticed the lapse, and it led to nothing.
        let record = world.model.record(job.id);
        record.states.extend(before);
    }
}

/// The policy says what follows, and nobody is told; or there is no room to note it, and the lease
/// lasts.
fn go_on_by_policy(world: &mut World, job: &Job) {
    let now = world.now();
    let (least, most) = world.model.delays_of(job.id);
    let mut states = world.model.record(job.id).states.clone();
    states.push(State::Waiting { due: Span::new(now + least, now + most) });
    states.extend(world.model.given_up(job.id, now));
    world.model.record(job.id).states = states;
    world.ledger.lasts(job.id, job.token, now);
    world.kinds.add(Kind::DroppedRetry);
}

/// An attempt of the record ended without success.
pub(crate) fn befall(world: &mut World, job: &Job, fate: Fate) {
    let now = world.now();
    let state = match fate {
        Fate::Waits(ms) => State::Waiting { due: Span::exactly(now + ms) },
        Fate::Unknown => State::Unknown,
        Fate::Fails(outcome) => return finish(world, job, outcome, false),
    };
    world.model.record(job.id).becomes(state);
    world.ledger.lasts(job.id, job.token, now);
}

/// The record has finished.
pub(crate) fn finish(world: &mut World, job: &Job, outcome: Outcome, may_be_gone: bool) {
    let now = world.now();
    let record = world.model.record(job.id);
    let ends = record.window.after(now);
    record.becomes(State::Finished(Finished { outcome, ends, may_be_gone, letter: None }));
    world.ledger.lasts(job.id, job.token, now);
}

fn renew<'e>(site: &mut Site<'e>, number: u32, job: &Job, mut holding: Holding<'e>) {
    let lasts_ms = {
        let mut world = site.shared.world();
        let most = world.plan.lease_ms * 2;
        world.random.within((1, most))
    };
    let lasts = Duration::from_millis(lasts_ms);
    let result = match &mut holding {
        Holding::Guard(lease) => lease.renew(lasts),
        Holding::Token(token) => site.engine.renew(token, lasts).map(|_| ()),
    };
    let mut world = site.shared.world();
    world.tell(&site.name(), &format!("{} renew {lasts_ms} ms -> {}", called(job), done(&result)));
    if judge(&mut world, job, &result, &[]) {
        world.kinds.add(Kind::Renewed);
        let now = world.now();
        let home = Some((site.index, site.life));
        world.model.record(job.id).becomes(State::Running { until: now + lasts_ms, home });
        world.ledger.lasts(job.id, job.token, now + lasts_ms);
    }
    drop(world);
    keep(site, number, job, holding);
}

/// Pauses beyond the lease, and then goes on as if nothing had been.
fn pause<'e>(site: &mut Site<'e>, number: u32, job: &Job, holding: Holding<'e>) {
    let mut world = site.shared.world();
    let now = world.now();
    let until = match world.model.record(job.id).states[..] {
        [State::Running { until, .. }] => until.saturating_sub(now),
        _ => 0,
    };
    let most = world.plan.lease_ms + 1_000;
    let in_ms = until + world.random.below(most);
    world.kinds.add(Kind::Paused);
    world.tell(&site.name(), &format!("{} pauses for {in_ms} ms", called(job)));
    drop(world);
    site.held.insert(number, holding);
    let mut jobs = site.jobs.borrow_mut();
    jobs.change(number, |job| job.late = true);
    jobs.plan(number, in_ms);
}

/// Goes on later.
pub(crate) fn keep<'e>(site: &mut Site<'e>, number: u32, job: &Job, holding: Holding<'e>) {
    let in_ms = {
        let mut world = site.shared.world();
        let most = world.plan.lease_ms / 3 + 1;
        world.random.below(most)
    };
    debug_assert!(job.node == site.index, "a job stays where it is");
    site.held.insert(number, holding);
    site.jobs.borrow_mut().plan(number, in_ms);
}

/// Judges what a holder was told of a call. True: it counted. Only `may` be refused otherwise than
/// as fenced.
pub(crate) fn judge<T>(
    world: &mut World,
    job: &Job,
    result: &Result<T, Error>,
    may: &[ErrorCode],
) -> bool {
    let now = world.now();
    let hold = world.model.hold(job.id, job.token, now);
    let called = called(job);
    match (hold, result.as_ref().map_err(Error::code)) {
        (Hold::Lost, Ok(_)) => {
            let record = format!("{:?}", world.model.record(job.id));
            world.blame(format!("{called}: a stale call counted, of {record}"));
            return false;
        }
        (Hold::Live, Err(ErrorCode::Fenced)) => {
            world.blame(format!("{called}: its lease lasts, and it is fenced"));
        }
        (Hold::Lost | Hold::Lapsed, Err(ErrorCode::Fenced)) if job.late => {
            world.kinds.add(Kind::FencedLate);
        }
        (Hold::Lapsed, Ok(_)) => world.kinds.add(Kind::EndedLate),
        (Hold::Unknown, Ok(_)) => world.kinds.add(Kind::EndedUnknown),
        (_, Ok(_) | Err(ErrorCode::Fenced)) => {}
        (_, Err(code)) => {
            let allowed = may.contains(&code) && hold != Hold::Lost;
            world.expect(allowed, || format!("{called}: refused as {code:?}, {hold:?}"));
        }
    }
    result.is_ok()
}

pub(crate) fn called(job: &Job) -> String {
    format!("request {} attempt {}:", job.id, job.attempt)
}

fn draw_outcome(random: &mut Random) -> Outcome {
    let size = match random.below(10) {
        0 => random.within((OUTCOME_LIMIT as u64 + 1, 900)),
        1..=4 => random.within((INLINE as u64, OUTCOME_LIMIT as u64 - 50)),
        _ => return small_outcome(random),
    };
    let body: Vec<u8> = (0..size).map(|_| random.next() as u8).collect();
    Outcome::new(200, body)
}

/// One that is always kept.
pub(crate) fn small_outcome(random: &mut Random) -> Outcome {
    let status = *random.pick(&[200, 201, 402, 409]);
    Outcome::new(status, random.next().to_le_bytes())
}

/// The status of an outcome that nobody may get.
const NEVER: u16 = 999;
