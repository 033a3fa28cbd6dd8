//! The threads of all runs of a kind: started once, and let go together in each run.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use oncegate::{Engine, OnLapse, Stats};

use crate::clock::HistoryClock;
use crate::drive::{fill_one, histories, run};
use crate::history::{History, Patience};
use crate::program::{Kind, Plan, Program, Room, Step};
use crate::record::{Log, Stage};

/// Threads that wait for their part in a run.
pub(crate) struct Pool {
    threads: Vec<Sender<Part>>,
    logs: Receiver<(usize, Log)>,
}

/// What one thread gets for one run.
struct Part {
    stage: Arc<Stage>,
    program: Program,
    gate: Arc<Gate>,
}

/// What came of a run.
pub(crate) struct Ran {
    pub(crate) histories: Vec<History>,
    pub(crate) stats: Stats,
    /// What no order of calls can explain.
    pub(crate) broken: Option<String>,
}

impl Pool {
    pub(crate) fn new(threads: usize) -> Self {
        let (done, logs) = channel();
        let start = |number| {
            let (part, parts) = channel::<Part>();
            let done = done.clone();
            // Not joined: where a run hangs, the test fails and the process ends with them.
            std::thread::Builder::new()
                .name(format!("history-{number}"))
                .spawn(move || {
                    for part in parts {
                        let log = play(number, &part);
                        drop(part);
                        if done.send((number, log)).is_err() {
                            return;
                        }
                    }
                })
                .expect("a thread");
            part
        };
        Self { threads: (0..threads).map(start).collect(), logs }
    }

    /// One run: the programs that `kind` draws from `seed`, on an engine of their own.
    pub(crate) fn run(&self, kind: &Kind, seed: u64) -> Ran {
        let plan = Plan::draw(kind, seed);
        let clock = HistoryClock::default();
        let (engine, other) = plan.engines(&clock);
        prefill(&engine, kind.room);
        let stage = Arc::new(Stage::new(engine, other, clock.clone(), kind.keys));
        let threads = plan.programs.len();
        let gate = Arc::new(Gate { threads, arrived: AtomicUsize::new(0) });
        for (thread, program) in self.threads.iter().zip(plan.programs) {
            let part = Part { stage: Arc::clone(&stage), program, gate: Arc::clone(&gate) };
            thread.send(part).expect("the thread is there");
        }
        let (mut logs, moved, mut broken) = self.gather(threads, kind, &stage);
        logs.push(look_again(&stage, kind.keys, threads));
        let stats = stage.engine.stats().expect("not forked");
        let mut terms = plan.terms;
        terms.evicts = stats.evicted_early > 0;
        terms.drops = stats.outcomes_evicted > 0;
        let enough = matches!(kind.room, Room::Enough | Room::Shared);
        if enough && (terms.evicts || terms.drops || stats.full > 0) {
            broken = broken.or_else(|| Some(format!("no need for room, and yet: {stats:?}")));
        }
        if kind.room == Room::Rejecting && (terms.evicts || terms.drops) {
            broken = broken.or_else(|| Some(format!("evicted under `Reject`: {stats:?}")));
        }
        let template = History {
            kind: kind.name.to_owned(),
            seed,
            key: 0,
            terms,
            times: Vec::new(),
            events: Vec::new(),
        };
        let told = logs.iter().find_map(|log| log.broken.clone());
        let histories = histories(&template, kind.keys, &logs, moved);
        Ran { histories, stats, broken: broken.or(told) }
    }

    /// The logs of all threads. Where callers give up, the clock is moved on until they do.
    fn gather(
        &self,
        threads: usize,
        kind: &Kind,
        stage: &Stage,
    ) -> (Vec<Log>, Vec<u64>, Option<String>) {
        let (mut logs, mut moved, mut broken) = (Vec::new(), Vec::new(), None);
        let moves = kind.jumps.1 > 0;
        while logs.len() < threads {
            let patience = if moves || broken.is_some() { NUDGE } else { ASLEEP };
            match self.logs.recv_timeout(patience) {
                Ok((_, log)) => logs.push(log),
                Err(RecvTimeoutError::Timeout) if moves || moved.len() < RESCUES => {
                    if !moves && broken.is_none() {
                        let waiting = threads - logs.len();
                        broken = Some(format!("{waiting} callers wait, and nobody wakes them"));
                    }
                    moved.push(stage.clock.advance(if moves { 20 } else { 10_000_000 }));
                    stage.engine.sweep(usize::MAX).expect("not forked");
                }
                Err(_) => panic!("{broken:?}, whatever is done"),
            }
        }
        (logs, moved, broken)
    }
}

/// The part of one thread in one run.
fn play(number: usize, part: &Part) -> Log {
    let mut log = Log::default();
    part.gate.meet();
    let played =
        catch_unwind(AssertUnwindSafe(|| run(&part.stage, number, &part.program, &mut log)));
    if let Err(panic) = played {
        log.broken = Some(format!("thread {number} panicked: {}", text_of(panic.as_ref())));
    }
    log
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a word")
}

/// Leaves little room, or none.
fn prefill(engine: &Engine, room: Room) {
    let (leave, bytes) = match room {
        Room::Enough | Room::Shared => return,
        Room::Evicting => (0, 24),
        Room::Rejecting => (4, 0),
    };
    let more = || {
        let stats = engine.stats().expect("not forked");
        let records = stats.live.total() as f64;
        records == 0.0 || records + f64::from(leave) < records / stats.fill
    };
    // Insertions that find no slot of their two sets evict, or are refused.
    for number in (0..PREFILLED).take_while(|_| more()) {
        fill_one(engine, u64::MAX - number, bytes, Some(Duration::from_secs(1_000)));
    }
}

/// What is there at the end becomes part of each history.
fn look_again(stage: &Stage, keys: usize, thread: usize) -> Log {
    let mut log = Log::default();
    let begin = |key| Step::Begin {
        key,
        payload: 0,
        lease: 1,
        window: 1,
        lapse: OnLapse::Reclaim,
        patience: Patience::None,
        then: Vec::new(),
    };
    let steps = (0..keys).flat_map(|key| [begin(key), begin(key)]).collect();
    run(stage, thread, &Program { steps, hold_up: (0, 0) }, &mut log);
    log
}

/// Lets all threads go within nanoseconds of each other, as far as there are processors.
struct Gate {
    threads: usize,
    arrived: AtomicUsize,
}

impl Gate {
    fn meet(&self) {
        // AcqRel and Acquire: all that was prepared is visible to all.
        self.arrived.fetch_add(1, Ordering::AcqRel);
        let mut spins = 0_u32;
        while self.arrived.load(Ordering::Acquire) < self.threads {
            spins += 1;
            if spins.is_multiple_of(64) { std::thread::yield_now() } else { std::hint::spin_loop() }
        }
    }
}

/// How long nothing may happen before the clock is moved.
const NUDGE: Duration = Duration::from_millis(2);
/// How long nothing may happen in a run whose callers need no clock to come to an end.
const ASLEEP: Duration = Duration::from_secs(60);
/// More records than the smallest engine holds.
const PREFILLED: u64 = 200;
/// How often the clock is moved to wake those whom nobody woke.
const RESCUES: usize = 1_000;
