//! The captain: starts the processes of a storm, kills them, starts their successors, and ends all
//! of them before it ends itself.

use std::borrow::Cow;
use std::collections::HashSet;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use oncegate::{Admission, Engine, Request};
use signal_hook::consts::{SIGHUP, SIGINT, SIGKILL, SIGTERM};

use super::CrewError;
use super::ledger::{Kind, Ledger, Record};
use super::orders::Orders;
use super::worker::token_of;
use crate::input::Input;
use crate::rng::SplitMix64;
use crate::storm::Plan;

/// What happened to the processes.
#[derive(Debug, Default)]
pub(crate) struct Flight {
    /// Those that were killed, by the number under which they were started.
    pub(crate) killed: HashSet<u32>,
    /// How many were started.
    pub(crate) started: u32,
}

/// What the table says of every request when all is over.
#[derive(Debug, Default)]
pub(crate) struct Finals {
    /// By request: the token in its stored outcome, if all of it is there.
    pub(crate) tokens: Vec<Option<u64>>,
    /// Deliveries with another payload, and how many of them were refused for it.
    pub(crate) conflicting: u64,
    pub(crate) mismatched: u64,
}

/// One place in the crew, and the process that has it. The process ends with this value.
pub(super) struct Berth {
    index: usize,
    instance: u32,
    child: Child,
    pub(super) is_done: bool,
}

/// Starts processes in place of others.
pub(super) struct Captain<'c> {
    program: PathBuf,
    folder: &'c Path,
    table: Option<&'c Path>,
    ledger: &'c Ledger,
    flight: Flight,
}

/// What befalls a crew while it works.
pub(super) trait Trouble {
    /// Called again and again, until every share is delivered.
    fn look(&mut self, captain: &mut Captain<'_>, crew: &mut [Berth]) -> Result<(), CrewError>;
}

/// Kills at random, by the rate of the orders.
pub(super) struct Kills<'k> {
    orders: &'k Orders,
    dice: SplitMix64,
    began: Instant,
    next: Instant,
}

/// Runs the processes until every share is delivered. They share `table`; without one, each has
/// one of its own.
pub(super) fn fly(
    orders: &Orders,
    folder: &Path,
    table: Option<&Path>,
    ledger: &Ledger,
    trouble: &mut dyn Trouble,
) -> Result<Flight, CrewError> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        let registered = signal_hook::flag::register(signal, Arc::clone(&stop));
        registered.map_err(CrewError::Process)?;
    }
    let program = std::env::current_exe().map_err(CrewError::Process)?;
    let mut captain = Captain { program, folder, table, ledger, flight: Flight::default() };
    let mut crew = Vec::new();
    for index in 0..orders.processes {
        crew.push(captain.start(index)?);
    }
    while !crew.iter().all(|berth| berth.is_done) {
        // Relaxed: it stands alone.
        if stop.load(Ordering::Relaxed) {
            // What was started ends with the crew.
            return Err(CrewError::Interrupted);
        }
        for berth in crew.iter_mut().filter(|berth| !berth.is_done) {
            if let Some(status) = berth.child.try_wait().map_err(CrewError::Process)? {
                berth.end(status)?;
            }
        }
        trouble.look(&mut captain, &mut crew)?;
        thread::sleep(LOOKS_EVERY);
    }
    Ok(captain.flight)
}

impl<'k> Kills<'k> {
    pub(super) fn new(orders: &'k Orders) -> Self {
        let mut dice = SplitMix64::at(orders.seed, [u64::MAX, KILLS]);
        let began = Instant::now();
        Self { next: began + pause(orders, &mut dice), orders, dice, began }
    }
}

impl Trouble for Kills<'_> {
    fn look(&mut self, captain: &mut Captain<'_>, crew: &mut [Berth]) -> Result<(), CrewError> {
        let now = Instant::now();
        if now < self.next || now >= self.began + KILLING {
            return Ok(());
        }
        self.next = now + pause(self.orders, &mut self.dice);
        captain.kill_one(crew, &mut self.dice).map(drop)
    }
}

/// From one kill to the next: between half and one and a half of what the rate says.
fn pause(orders: &Orders, dice: &mut SplitMix64) -> Duration {
    if orders.kill_rate <= 0.0 {
        return KILLING;
    }
    Duration::from_secs_f64(((0.5 + dice.unit()) / orders.kill_rate).min(KILLING.as_secs_f64()))
}

impl Captain<'_> {
    fn start(&mut self, index: usize) -> Result<Berth, CrewError> {
        self.flight.started += 1;
        let instance = self.flight.started;
        let child = Command::new(&self.program)
            .arg("storm-worker")
            .args([self.folder, &*self.table_of(instance)])
            .args([index.to_string(), instance.to_string()])
            // A process notices by the end of this pipe that its captain has ended.
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .map_err(CrewError::Process)?;
        Ok(Berth { index, instance, child, is_done: false })
    }

    fn table_of(&self, instance: u32) -> Cow<'_, Path> {
        match self.table {
            Some(shared) => shared.into(),
            None => self.folder.join(format!("table-{instance}")).into(),
        }
    }

    /// Kills one of those that are at work, and starts its successor, whose number this gives.
    /// `None`: it had ended before.
    pub(super) fn kill_one(
        &mut self,
        crew: &mut [Berth],
        dice: &mut SplitMix64,
    ) -> Result<Option<u32>, CrewError> {
        let mut at_work: Vec<_> = crew.iter_mut().filter(|berth| !berth.is_done).collect();
        let victim = dice.below(at_work.len() as u64) as usize;
        let Some(berth) = at_work.get_mut(victim) else { return Ok(None) };
        // Before the kill: what others take over afterwards comes after this record.
        let record = Record::new(Kind::Killed, berth.instance);
        self.ledger.append(&record).map_err(CrewError::Ledger)?;
        berth.child.kill().map_err(CrewError::Process)?;
        let status = berth.child.wait().map_err(CrewError::Process)?;
        if status.signal() != Some(SIGKILL) {
            // It had come to its end by itself.
            return berth.end(status).map(|()| None);
        }
        self.flight.killed.insert(berth.instance);
        **berth = self.start(berth.index)?;
        Ok(Some(berth.instance))
    }
}

impl Berth {
    fn end(&mut self, status: ExitStatus) -> Result<(), CrewError> {
        self.is_done = status.success();
        if self.is_done { Ok(()) } else { Err(CrewError::Ended { index: self.index, status }) }
    }
}

impl Drop for Berth {
    fn drop(&mut self) {
        // One that has ended, and was waited for, is not signalled.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks for every request once more, when nobody else does, and delivers what comes with another
/// payload.
pub(crate) fn ask_again(
    orders: &Orders,
    engine: &Engine,
    input: &Input,
    plan: &Plan,
) -> Result<Finals, CrewError> {
    let mut finals = Finals::default();
    for &original in &plan.originals {
        let line = &input.lines[original as usize];
        let operation = orders.operation(line);
        let token = match begin(engine, &orders.request(line, &operation)?)? {
            Admission::Replayed(outcome) => token_of(&outcome),
            _ => None,
        };
        finals.tokens.push(token);
    }
    for delivery in plan.held.iter().flatten() {
        let line = &input.lines[delivery.line as usize];
        let operation = orders.operation(line);
        let answer = begin(engine, &orders.request(line, &operation)?)?;
        finals.conflicting += 1;
        finals.mismatched += u64::from(matches!(answer, Admission::Mismatched));
    }
    Ok(finals)
}

/// Asks once, and again for a while where the engine says that this may help.
fn begin<'e>(engine: &'e Engine, request: &Request<'_>) -> Result<Admission<'e>, CrewError> {
    let until = Instant::now() + A_WHILE;
    loop {
        match engine.begin(request) {
            Err(error) if error.is_retriable() && Instant::now() < until => {
                thread::sleep(LOOKS_EVERY);
            }
            other => return Ok(other?),
        }
    }
}

/// The place of the kills among all that a seed decides.
const KILLS: u64 = 1;
/// For so long processes are killed: then a storm comes to its end, whatever the rate.
const KILLING: Duration = Duration::from_secs(60);
const LOOKS_EVERY: Duration = Duration::from_millis(2);
const A_WHILE: Duration = Duration::from_secs(20);
