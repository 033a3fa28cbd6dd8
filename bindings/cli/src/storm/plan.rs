//! What will happen in a storm, decided by the seed alone.
//!
//! Order of deliveries, which of them overlap, how long a handler takes and whether it fails,
//! panics or outlives its lease: all of it is a pure function of input, options and seed, so that
//! the run without coordination and the run through the engine meet the same plan.

use std::collections::HashMap;
use std::time::Duration;

use super::compare::Comparer;
use crate::input::Line;
use crate::rng::SplitMix64;

/// What a storm is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Threads that deliver.
    pub(crate) clients: usize,
    /// Deliveries of each line.
    pub(crate) copies: usize,
    /// Share of executions that fail, from 0 to [`MAX_RATE`]; a quarter of them by panic.
    pub(crate) fail_rate: f64,
    /// Share of executions that outlive their lease, from 0 to [`MAX_RATE`].
    pub(crate) pause_rate: f64,
    /// Where every choice comes from.
    pub(crate) seed: u64,
    /// The middle of a handler's working time; it takes half to one and a half of it.
    pub(crate) work: Duration,
    /// How long a lease lasts, and how long a client waits before it delivers again.
    pub(crate) lease: Duration,
}

/// The highest rate that a storm takes: above it, most time goes into failing.
pub(crate) const MAX_RATE: f64 = 0.9;
/// The most deliveries that a storm takes.
pub(crate) const MAX_DELIVERIES: usize = 4_000_000;
/// From this execution of a request on, none is planned to fail or pause: each storm ends.
const MAX_TROUBLED: u32 = 32;
/// The longest sleep past a lease, in lease durations; the shortest is one less.
const LONGEST_PAUSE: f64 = 1.4;

/// One delivery of one line by a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Delivery {
    /// Index of the line in the input.
    pub(crate) line: u32,
    /// Index of the request that the line belongs to.
    pub(crate) request: u32,
    /// Whether the line's payload differs from that of the request's first line.
    pub(crate) conflicting: bool,
}

/// What one execution of a handler does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Fate {
    /// How it ends.
    pub(crate) end: End,
    /// How long it works.
    pub(crate) work: Duration,
    /// How long it then sleeps past its lease; zero unless it pauses.
    pub(crate) pause: Duration,
}

/// How one execution of a handler ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It writes its effect.
    Commit,
    /// It returns an error and writes nothing.
    Fail,
    /// It panics and writes nothing.
    Panic,
    /// It outlives its lease, then tries to write its effect.
    Pause,
}

/// The whole storm, before it starts.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The options that it was made from.
    pub(crate) shape: Shape,
    /// Deliveries in the order in which clients take them.
    pub(crate) order: Vec<Delivery>,
    /// By request: deliveries with another payload. They go out once the first attempt was
    /// admitted, so that the first line of the file is always the original.
    pub(crate) held: Vec<Vec<Delivery>>,
    /// By request: its first line in the file, as an index of the input.
    pub(crate) originals: Vec<u32>,
}

impl Plan {
    /// Plans the storm.
    ///
    /// # Errors
    /// What the engine says when it cannot compare two payloads.
    pub(crate) fn new(lines: &[Line], shape: Shape) -> Result<Self, oncegate::Error> {
        let groups = group(lines);
        let originals: Vec<u32> = groups.iter().map(|group| group[0]).collect();
        let mut held = vec![Vec::new(); groups.len()];
        let mut by_request = vec![Vec::new(); groups.len()];
        let mut comparer = Comparer::new()?;
        for (request, group) in groups.iter().enumerate() {
            let of_group: Vec<_> = group.iter().map(|&line| &lines[line as usize]).collect();
            let conflicts = comparer.conflicts(of_group[0], &of_group)?;
            for (&line, conflicting) in group.iter().zip(conflicts) {
                let delivery = Delivery { line, request: request as u32, conflicting };
                let to = if conflicting { &mut held } else { &mut by_request };
                to[request].extend(std::iter::repeat_n(delivery, shape.copies));
            }
        }
        let order = interleave(by_request, &shape);
        Ok(Self { shape, order, held, originals })
    }

    /// The line whose payload a delivery carries, as an index of the input: the request's first
    /// line, however another line spells the same payload.
    pub(crate) fn payload_of(&self, delivery: Delivery) -> u32 {
        if delivery.conflicting { delivery.line } else { self.originals[delivery.request as usize] }
    }

    /// Every delivery that needs a final answer.
    pub(crate) fn deliveries(&self) -> usize {
        self.order.len() + self.held.iter().map(Vec::len).sum::<usize>()
    }

    /// Distinct requests: scope, operation and key.
    pub(crate) fn distinct(&self) -> usize {
        self.originals.len()
    }

    /// What the given execution of a request does; executions count from 0.
    ///
    /// The same for the same seed, whichever client runs it and whenever.
    pub(crate) fn fate(&self, request: u32, execution: u32) -> Fate {
        let shape = &self.shape;
        let mut rng = SplitMix64::at(shape.seed, [u64::from(request), u64::from(execution)]);
        let work = shape.work.mul_f64(0.5 + rng.unit());
        let (draw, kind, length) = (rng.unit(), rng.below(4), LONGEST_PAUSE - rng.unit());
        let (end, pause) = if execution >= MAX_TROUBLED {
            (End::Commit, Duration::ZERO)
        } else if draw < shape.fail_rate {
            (if kind == 0 { End::Panic } else { End::Fail }, Duration::ZERO)
        } else if draw < shape.fail_rate + (1.0 - shape.fail_rate) * shape.pause_rate {
            (End::Pause, shape.lease.mul_f64(length))
        } else {
            (End::Commit, Duration::ZERO)
        };
        Fate { end, work, pause }
    }

    /// The longest that the executions of one request can take, one after the other.
    pub(crate) fn longest_request(&self) -> Duration {
        let one = self.shape.work.mul_f64(1.5) + self.shape.lease.mul_f64(1.0 + LONGEST_PAUSE);
        one * (MAX_TROUBLED + 1)
    }

    /// How many executions are planned to fail or panic, and how many to pause, before the first
    /// one of each request that comes to its commit.
    pub(crate) fn planned_trouble(&self) -> Trouble {
        let mut trouble = Trouble::default();
        for request in 0..self.distinct() as u32 {
            for execution in 0.. {
                match self.fate(request, execution).end {
                    End::Fail | End::Panic => trouble.failures += 1,
                    End::Pause => trouble.pauses += 1,
                    End::Commit => {}
                }
                if matches!(self.fate(request, execution).end, End::Commit | End::Pause) {
                    break;
                }
            }
        }
        trouble
    }
}

/// Planned trouble, over all requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// Executions that fail or panic.
    pub(crate) failures: u64,
    /// Executions that outlive their lease.
    pub(crate) pauses: u64,
}

/// By request: its lines, in the order of the file.
fn group(lines: &[Line]) -> Vec<Vec<u32>> {
    let mut known = HashMap::new();
    let mut groups: Vec<Vec<u32>> = Vec::new();
    for (line, it) in (0..).zip(lines) {
        let identity = (&it.scope, &it.operation, &it.key);
        let request = *known.entry(identity).or_insert(groups.len());
        if request == groups.len() {
            groups.push(Vec::new());
        }
        groups[request].push(line);
    }
    groups
}

/// Shuffles the requests, and moves each delivery a little: copies of one request are taken by
/// several clients at about the same time.
fn interleave(mut by_request: Vec<Vec<Delivery>>, shape: &Shape) -> Vec<Delivery> {
    let mut rng = SplitMix64::at(shape.seed, [u64::MAX, u64::MAX]);
    rng.shuffle(&mut by_request);
    let window = 2 * shape.clients as u64;
    let mut order: Vec<_> = by_request
        .into_iter()
        .flatten()
        .enumerate()
        .map(|(at, delivery)| (at as u64 + rng.below(window), delivery))
        .collect();
    order.sort_by_key(|&(at, _)| at);
    order.into_iter().map(|(_, delivery)| delivery).collect()
}

#[cfg(test)]
mod tests;
