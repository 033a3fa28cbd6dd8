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
pub(crate) struct Place {
    pub(crate) node: Option<Node>,
    lives: u64,
    pub(crate) stopped_until: u64,
}

/// A machine and its processes.
pub(crate) struct Simulation {
    pub(crate) shared: Shared,
    jobs: Jobs,
    pub(crate) places: Vec<Place>,
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

    pub(crate) fn is_broken(&self) -> bool {
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

    pub(crate) fn obey(&mut self, index: usize, order: Order) {
        if self.is_broken() || self.stopped(index).is_some() {
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

    pub(crate) fn open(&mut self, index: usize) {
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
