//! Steps: parts of an attempt that are done once, whoever goes on, and that are undone backwards.

use std::cell::RefCell;

use oncegate::{Error, ErrorCode, FinishedStep, Step};

use crate::attempt::{called, judge, keep};
use crate::job::Job;
use crate::kinds::Kind;
use crate::node::{Holding, Site};
use crate::record;
use crate::world::World;

/// Runs one of a few steps, if it is not done.
pub(crate) fn run<'e>(site: &mut Site<'e>, number: u32, job: &Job, mut holding: Holding<'e>) {
    let mut world = site.shared.world();
    let name = world.random.below(4);
    let fails = world.random.chance(6);
    let size = if world.random.chance(10) { 300 } else { world.random.below(40) };
    // By its beginning the undoing hook knows whose step it is.
    let more = (0..size).map(|_| world.random.next() as u8).collect::<Vec<u8>>();
    let result: Vec<u8> = job.id.to_le_bytes().into_iter().chain(more).collect();
    drop(world);
    let text = name.to_string();
    let work = || if fails { Err(()) } else { Ok(result.clone()) };
    let step = match &mut holding {
        Holding::Guard(lease) => lease.step(&text, work),
        Holding::Token(token) => match site.engine.finished_step(token, &text) {
            Ok(Some(known)) => Ok(Step::Remembered(known)),
            Ok(None) => match work() {
                Ok(result) => {
                    site.engine.finish_step(token, &text, &result).map(|()| Step::Ran(result))
                }
                Err(()) => Ok(Step::Failed(())),
            },
            Err(error) => Err(error),
        },
    };
    let mut world = site.shared.world();
    world.tell(&site.name(), &format!("{} step {name} -> {}", called(job), said(&step)));
    if judge(&mut world, job, &step, &[ErrorCode::Full]) {
        follow(&mut world, job, name, &step);
    } else if job.late {
        world.kinds.add(Kind::FencedStep);
    }
    drop(world);
    keep(site, number, job, holding);
}

fn said(step: &Result<Step<()>, Error>) -> String {
    match step {
        Ok(Step::Ran(_)) => "ran".to_owned(),
        Ok(Step::Remembered(_)) => "remembered".to_owned(),
        Ok(Step::Failed(())) => "failed".to_owned(),
        Err(error) => format!("{:?} {}", error.code(), error.field()),
    }
}

fn follow(world: &mut World, job: &Job, name: u64, step: &Result<Step<()>, Error>) {
    let record = world.model.record(job.id);
    let known = record.steps.iter().position(|step| step.name == name);
    let steps = format!("{:?}", record.steps);
    let right = match (step, known) {
        (Ok(Step::Remembered(result)), Some(at)) => {
            record.steps[at].in_doubt = false;
            record.steps[at].result == *result
        }
        (Ok(Step::Ran(_) | Step::Failed(())), Some(at)) => record.steps[at].in_doubt,
        (Ok(Step::Remembered(_)), None) => false,
        _ => true,
    };
    if let Ok(Step::Ran(result)) = step {
        record.steps.retain(|step| step.name != name);
        record.steps.push(record::Step { name, result: result.clone(), in_doubt: false });
        record.journal = true;
    }
    world.kinds.add(match step {
        Ok(Step::Ran(_)) => Kind::Stepped,
        Ok(Step::Remembered(_)) => Kind::StepRemembered,
        _ => Kind::StepFailed,
    });
    world.expect(right, || format!("{} step {name} is {step:?}, of {steps}", called(job)));
}

/// Undoes what the record has done, the last step first. Tokens have no such call.
pub(crate) fn compensate<'e>(
    site: &mut Site<'e>,
    number: u32,
    job: &Job,
    mut holding: Holding<'e>,
) {
    let stops_at = site.shared.world().random.below(4);
    let undone: RefCell<Vec<(u64, Vec<u8>)>> = RefCell::default();
    if let Holding::Guard(lease) = &mut holding {
        let result = lease.compensate(|step: &FinishedStep<'_>| {
            let name = step.name.parse::<u64>().map_err(drop)?;
            if name == stops_at {
                return Err(());
            }
            undone.borrow_mut().push((name, step.result.to_vec()));
            Ok(())
        });
        let undone = undone.into_inner();
        let mut world = site.shared.world();
        let names: Vec<u64> = undone.iter().map(|(name, _)| *name).collect();
        let said = match &result {
            Ok(Ok(())) => "all".to_owned(),
            Ok(Err(())) => "not all".to_owned(),
            Err(error) => format!("{:?} {}", error.code(), error.field()),
        };
        world.tell(&site.name(), &format!("{} undo {names:?} -> {said}", called(job)));
        judge(&mut world, job, &result, &[ErrorCode::Full]);
        let last = undone.len().checked_sub(1);
        for (at, (name, result_of)) in undone.iter().enumerate() {
            world.kinds.add(Kind::Compensated);
            let record = world.model.record(job.id);
            let judged = record.undoes(*name, result_of);
            let noted = result.is_ok() || Some(at) != last;
            if judged.is_ok() && noted {
                record.steps.pop();
            }
            world.judge(job.id, judged);
        }
        if let Ok(Ok(())) = result {
            let record = world.model.record(job.id);
            let left = format!("{:?}", record.steps);
            let none = record.steps.iter().all(|step| step.in_doubt);
            record.steps.clear();
            world.expect(none, || format!("{} undid all but {left}", called(job)));
        }
    }
    keep(site, number, job, holding);
}
