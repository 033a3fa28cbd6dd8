//! What the scenarios share: how they are explored, dice, crews of threads, and the broken twins.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use oncegate::Bug;
use shuttle::rand::RngCore;
use shuttle::scheduler::{PctScheduler, RandomScheduler, ReplayScheduler, Scheduler};
use shuttle::{Config, MaxSteps, Runner};

use crate::site::Dice;

/// Runs `scenario` under as many schedules as the environment says: one half chosen at random at
/// every step, the other half by priorities that change a few times (PCT).
pub(crate) fn explore(name: &str, scenario: impl Fn() + Send + Sync + Clone + 'static) {
    let (count, seed) = (schedules(), seed());
    let random = RandomScheduler::new_from_seed(seed, count.div_ceil(2));
    run(name, random, scenario.clone());
    run(name, PctScheduler::new_from_seed(seed, CHANGES, count / 2), scenario);
    println!("schedules: {name}: {count} from seed {seed}");
}

/// Runs `scenario` under `scheduler`, or under the one schedule that the environment gives.
pub(crate) fn run(
    name: &str,
    scheduler: impl Scheduler + 'static,
    scenario: impl Fn() + Send + Sync + 'static,
) {
    let search = AssertUnwindSafe(|| match std::env::var("ONCEGATE_SCHEDULE") {
        Ok(schedule) if !schedule.is_empty() => {
            let replay = ReplayScheduler::new_from_encoded(&schedule);
            Runner::new(replay, config()).run(scenario)
        }
        _ => Runner::new(scheduler, config()).run(scenario),
    });
    if let Err(panic) = catch_unwind(search) {
        eprintln!("seed {}; the schedule above again: make schedules SCENARIO={name} \\", seed());
        eprintln!("  SCHEDULE=<its digits without line breaks>");
        resume_unwind(panic);
    }
}

/// Runs the broken twin of a scenario: with `bug` planted it must fail under some schedule.
pub(crate) fn broken(bug: Bug, scenario: impl Fn() + Send + Sync + Clone + 'static) {
    broken_by(bug, "", |counted| {
        let scenario = move || {
            // Relaxed: all threads of a scenario run on one thread of the system.
            counted.fetch_add(1, Ordering::Relaxed);
            scenario();
        };
        for round in 0..TWIN_ROUNDS {
            let seed = seed().wrapping_add(round);
            let priorities = PctScheduler::new_from_seed(seed, CHANGES, TWIN_ROUND);
            Runner::new(priorities, config()).run(scenario.clone());
            let random = RandomScheduler::new_from_seed(seed, TWIN_ROUND);
            Runner::new(random, config()).run(scenario.clone());
        }
    });
}

/// [`broken`] with a `search` of its own, whose failure says `why`.
pub(crate) fn broken_by(bug: Bug, why: &str, search: impl FnOnce(Arc<AtomicUsize>)) {
    let counted = Arc::new(AtomicUsize::new(0));
    bug.plant();
    let caught = catch_unwind(AssertUnwindSafe(|| search(Arc::clone(&counted))));
    Bug::clear();
    // Relaxed: see `broken`.
    let tried = counted.load(Ordering::Relaxed);
    let Err(panic) = caught else {
        panic!("{bug:?} is planted, and {tried} schedules did not notice");
    };
    let said = panic.downcast_ref::<String>().map(String::as_str);
    let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default();
    println!("schedules: {bug:?} was noticed in schedule {tried}: {said}");
    assert!(said.contains(why), "{bug:?} failed for another reason: {said}");
}

/// Runs `work` in `size` threads, each with its number, and waits for all of them.
pub(crate) fn crew(size: u64, work: impl Fn(u64) + Clone + Send + 'static) {
    let start = |number| {
        let work = work.clone();
        shuttle::thread::spawn(move || work(number))
    };
    let crew: Vec<_> = (0..size).map(start).collect();
    crew.into_iter().for_each(|member| member.join().expect("no panic"));
}

/// Dice that belong to the schedule: a replay throws the same.
pub(crate) struct Drawn;

impl Dice for Drawn {
    fn roll(&mut self, sides: u64) -> u64 {
        shuttle::rand::thread_rng().next_u64() % sides
    }
}

pub(crate) fn config() -> Config {
    let mut config = Config::new();
    config.stack_size = 256 << 10;
    config.max_steps = MaxSteps::FailAfter(MOST_STEPS);
    config.silence_warnings = true;
    config.ungraceful_shutdown_config.immediately_return_on_panic = true;
    config
}

pub(crate) fn schedules() -> usize {
    from_environment("ONCEGATE_SCHEDULES", 1_000)
}

pub(crate) fn seed() -> u64 {
    from_environment("ONCEGATE_SEED", 0x0dd5_eed5)
}

fn from_environment<T: std::str::FromStr>(name: &str, default: T) -> T {
    match std::env::var(name) {
        Ok(text) if !text.is_empty() => {
            text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}"))
        }
        _ => default,
    }
}

/// Priorities, and how often they change.
const CHANGES: usize = 5;
/// A schedule that takes longer does not come to an end: some thread waits for another.
const MOST_STEPS: usize = 200_000;
/// How many schedules of each kind a twin gets in turn, and how often, until it is noticed.
const TWIN_ROUND: usize = 500;
const TWIN_ROUNDS: u64 = 40;
