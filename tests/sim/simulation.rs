//! The simulation: processes, clients, workers, drivers and an operator, taken in turn as chance
//! has it; and faults. Then the faults end, and all work must.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use oncegate::{Clock, PreciseClock};

use crate::job::Jobs;
use crate::kinds::{Kind, Kinds};
use crate::node::{Node, Order};
use crate::trace::Lines;
use crate::world::Shared;

/// What a seed came to.
pub(crate) struct Ran {
    pub(crate) digest: u64,
    pub(crate) lines: u64,
    pub(crate) attempts: usize,
    pub(crate) text: String,
    pub(crate) kinds: Kinds,
}

/// What happens next, some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    Client(u32),
    Worker(usize),
    Driver(usize),
    Operator,
    Noise,
    Fault,
    Job(u32),
    Open(usize),
    Learn(usize),
}

/// A place for a process.
#[derive(Default)]
struct Place {
    node: Option<Node>,
    lives: u64,
    stopped_until: u64,
}

struct Simulation {
    shared: Shared,
    jobs: Jobs,
    places: Vec<Place>,
    queue: BTreeMap<(u64, u64), Task>,
    queued: u64,
    file: Option<TableFile>,
}

/// Runs the world of `seed`.
///
/// # Errors
///
/// What was found wrong, with the last lines of the trace.
pub(crate) fn run(seed: u64, lines: Lines) -> Result<Ran, String> {
    let mut simulation = Simulation::new(seed, lines);
    simulation.storm();
    simulation.calm();
    let mut world = simulation.shared.world();
    let judged = world.ledger.check();
    let counted = world.model.evictions_are_counted();
    world.judge(0, judged);
    world.expect(counted, || "a record went inside its window, and nobody counted".to_owned());
    if let Some(why) = &world.broken {
        return Err(format!("{}\n\n{why}", world.trace.tail()));
    }
    Ok(Ran {
        digest: world.trace.digest(),
        lines: world.trace.len(),
        attempts: world.ledger.attempts(),
        text: world.trace.text().to_owned(),
        kinds: world.kinds.clone(),
    })
}

impl Simulation {
    fn new(seed: u64, lines: Lines) -> Self {
        let shared = Shared::new(seed, lines);
        let sharers = shared.world().plan.sharers;
        let mut simulation = Self {
            shared,
            jobs: Jobs::default(),
            places: (0..sharers.max(1)).map(|_| Place::default()).collect(),
            queue: BTreeMap::new(),
            queued: 0,
            file: (sharers > 0).then(TableFile::new),
        };
        (0..simulation.places.len()).for_each(|index| simulation.open(index));
        simulation
    }

    /// The part with faults.
    fn storm(&mut self) {
        let (plan, now) = {
            let world = self.shared.world();
            (world.plan.clone(), world.now())
        };
        (0..plan.clients).for_each(|client| self.queue(now, Task::Client(client)));
        for index in 0..self.places.len() {
            (0..plan.workers).for_each(|_| self.queue(now, Task::Worker(index)));
            self.queue(now, Task::Driver(index));
        }
        self.queue(now, Task::Operator);
        if plan.noise > 0 {
            self.queue(now, Task::Noise);
        }
        if plan.faults > 0 {
            self.queue(now, Task::Fault);
        }
        for _ in 0..plan.events {
            let Some(((at, _), task)) = self.queue.pop_first() else { break };
            self.shared.world().clock.move_to(at);
            self.perform(task);
            if self.is_broken() {
                return;
            }
        }
    }

    fn perform(&mut self, task: Task) {
        match task {
            Task::Client(client) => {
                self.obey_anywhere(Order::Serve { client });
                self.again(task, 1);
            }
            Task::Noise => {
                self.obey_anywhere(Order::Noise);
                let rarely = self.shared.world().plan.noise;
                self.again(task, rarely);
            }
            Task::Operator => {
                self.obey_anywhere(Order::Operate);
                self.again(task, 10);
            }
            Task::Worker(index) => {
                self.obey(index, Order::Work);
                self.again(task, 1);
            }
            Task::Driver(index) => {
                self.obey(index, Order::Drive);
                self.again(task, 2);
            }
            Task::Job(job) => {
                let node = self.jobs.borrow().get(job).map(|job| job.node);
                if let Some(index) = node {
                    if let Some(until) = self.stopped(index) {
                        return self.queue(until, task);
                    }
                    self.obey(index, Order::GoOn { job });
                }
            }
            Task::Open(index) => self.open(index),
            Task::Learn(index) => {
                if let Some(until) = self.stopped(index) {
                    return self.queue(until, task);
                }
                self.obey(index, Order::Learn);
            }
            Task::Fault => {
                self.fault();
                let rarely = self.shared.world().plan.faults;
                self.again(task, rarely);
            }
        }
    }

    /// `task` comes again, about so many times as late as the most frequent ones.
    fn again(&mut self, task: Task, rarely: u64) {
        let at = {
            let mut world = self.shared.world();
            let most = world.plan.lease_ms / 2 + 2;
            world.now() + world.random.below(most * rarely)
        };
        self.queue(at, task);
    }

    fn queue(&mut self, at: u64, task: Task) {
        self.queued += 1;
        self.queue.insert((at, self.queued), task);
    }

    fn is_broken(&self) -> bool {
        self.shared.world().broken.is_some()
    }

    /// Until when the process at `index` is stopped, if it is.
    fn stopped(&self, index: usize) -> Option<u64> {
        let until = self.places[index].stopped_until;
        (until > self.shared.world().now()).then_some(until)
    }

    fn obey_anywhere(&mut self, order: Order) {
        let index = self.shared.world().random.below(self.places.len() as u64) as usize;
        self.obey(index, order);
    }

    fn obey(&mut self, index: usize, order: Order) {
        if self.stopped(index).is_some() {
            return;
        }
        let place = &mut self.places[index];
        let Some(node) = &mut place.node else { return };
        self.shared.world().orders += 1;
        let unlearned = self.shared.world().unlearned.clone();
        if !node.obey(order) {
            place.node = None;
            self.bury(index);
        }
        let now = self.shared.world().now();
        let planned = self.jobs.borrow_mut().take_planned();
        planned.into_iter().for_each(|(job, in_ms)| self.queue(now + in_ms, Task::Job(job)));
        let to_tell: Vec<usize> =
            self.shared.world().unlearned.difference(&unlearned).copied().collect();
        for index in to_tell {
            let in_ms = self.shared.world().random.below(2_000);
            self.queue(now + in_ms, Task::Learn(index));
        }
    }

    /// The process at `index` is gone.
    fn bury(&mut self, index: usize) {
        let mut world = self.shared.world();
        let now = world.now();
        if world.plan.sharers == 0 {
            world.kinds.add(Kind::TableLost);
            world.model.lose_all();
            (world.secret, world.retiring) = (world.secret, None);
        }
        let most = world.plan.lease_ms * 3;
        let back_ms = world.random.below(most);
        drop(world);
        self.queue(now + back_ms, Task::Open(index));
        // A process that was alive a moment ago counts as alive.
        let died = PreciseClock.now();
        while PreciseClock.now() - died < FRESH {
            std::hint::spin_loop();
        }
    }

    fn open(&mut self, index: usize) {
        if self.places[index].node.is_some() {
            return;
        }
        let path = self.file.as_ref().map(TableFile::path);
        let place = &mut self.places[index];
        place.lives += 1;
        let started = Node::start(&self.shared, &self.jobs, path, index, place.lives);
        let mut world = self.shared.world();
        world.tell(&format!("node {index}.{}", place.lives), "starts");
        world.unlearned.remove(&index);
        match started {
            Ok(node) => place.node = Some(node),
            Err(why) => world.blame(format!("node {index} does not start: {why}")),
        }
        if place.lives > 1 {
            world.kinds.add(Kind::NodeOpened);
        }
    }

    fn fault(&mut self) {
        let (draw, index, stops_ms, jump_ms, wall_ms) = {
            let mut world = self.shared.world();
            let places = self.places.len() as u64;
            let lease_ms = world.plan.lease_ms;
            let jump_ms = *world.random.pick(&[1, 1_000, 60_000, 3_600_000, 259_200_000]);
            (
                world.random.below(10),
                world.random.below(places) as usize,
                world.random.below(lease_ms * 4),
                jump_ms,
                world.random.below(7_200_000),
            )
        };
        match draw {
            0..=2 => self.obey(index, Order::Crash),
            3 => self.obey(index, Order::Leave),
            4..=6 => {
                let mut world = self.shared.world();
                let until = world.now() + stops_ms;
                world.kinds.add(Kind::NodePaused);
                world.tell(&format!("node {index}"), &format!("is stopped for {stops_ms} ms"));
                drop(world);
                self.places[index].stopped_until = until;
            }
            7..=8 => {
                let mut world = self.shared.world();
                let to = world.now() + jump_ms;
                if jump_ms > 86_400_000 {
                    world.kinds.add(Kind::Jumped);
                }
                world.tell("clock", &format!("jumps by {jump_ms} ms"));
                world.clock.move_to(to);
            }
            _ => {
                let mut world = self.shared.world();
                world.kinds.add(Kind::WallSetBack);
                world.tell("clock", &format!("the wall clock is set back by {wall_ms} ms"));
                world.clock.set_wall(-(wall_ms as i64));
            }
        }
    }

    /// The part without faults, in which all work ends.
    fn calm(&mut self) {
        if self.is_broken() {
            return;
        }
        self.shared.world().calm = true;
        self.shared.tell("simulation", "the faults are over");
        for index in 0..self.places.len() {
            self.places[index].stopped_until = 0;
            self.open(index);
            self.obey(index, Order::Learn);
        }
        self.obey(0, Order::LiftQuotas);
        // What the engine looks after ends by itself, in the time that a last attempt may take.
        let wait_ms = self.longest_wait();
        self.rounds(wait_ms);
        self.obey(0, Order::ResolveAll);
        self.rounds(wait_ms / 4);
        let left = self.shared.world().model.scheduled();
        for id in left {
            self.obey(0, Order::AskAfter { id });
        }
        // The rest ends as soon as its clients come again.
        for _ in 0..6 {
            self.obey(0, Order::Resend);
            self.rounds(wait_ms / 4);
        }
        self.obey(0, Order::AskAll);
        let window_ms = self.shared.world().plan.window_ms;
        self.rounds(2 * window_ms + 120_000);
        self.each(Order::Inspect);
    }

    /// Longer than any lease, delay or doubt that there is.
    fn longest_wait(&self) -> u64 {
        let world = self.shared.world();
        let delay = world.plan.rhythms.iter().map(|rhythm| rhythm.most_ms).max().unwrap_or(0);
        delay + world.model.longest_lease(world.now()) + DOUBT_MS
    }

    /// Everybody does what is due, until so much time has passed.
    fn rounds(&mut self, ms: u64) {
        let end = self.shared.world().now() + ms;
        loop {
            self.each(Order::Settle);
            let mut world = self.shared.world();
            let (now, most) = (world.now(), ms / 20 + 2);
            if now >= end || world.broken.is_some() {
                return;
            }
            let to = now + 1 + world.random.below(most);
            world.clock.move_to(to);
        }
    }

    fn each(&mut self, order: Order) {
        (0..self.places.len()).for_each(|index| self.obey(index, order));
    }
}

/// A file of a table, which goes with this value.
struct TableFile(PathBuf);

impl TableFile {
    fn new() -> Self {
        static MADE: AtomicU64 = AtomicU64::new(0);
        // Relaxed: a number that nobody else has.
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        Self(folder.join(format!("oncegate-sim-{}-{number}", std::process::id())))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TableFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// For longer than a process counts as alive that was seen so.
const FRESH: std::time::Duration = std::time::Duration::from_micros(60);
/// For longer than the longest pause between two questions about an unknown record.
const DOUBT_MS: u64 = 700_000;
