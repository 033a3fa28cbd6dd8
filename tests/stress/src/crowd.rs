//! The crowd: threads that call, one that moves the clock, and what is checked at the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use oncegate::{Engine, OnFull, Reach, Stats};

use crate::arguments::Arguments;
use crate::callers::Caller;
use crate::forks;
use crate::site::{Dice, LEASE, Site, WINDOW};

/// Requests of each site: more than the small tables hold. Miri takes its time.
pub(crate) const KEYS: usize = if cfg!(miri) { 12 } else { 120 };

/// What all threads of a run share.
pub(crate) struct Crowd {
    pub(crate) sites: Vec<Site>,
    /// How many steps all callers have made.
    pub(crate) steps: AtomicU64,
    pub(crate) rotations: AtomicU64,
    finished: AtomicU64,
    leave: Meeting,
}

pub(crate) fn run(arguments: &Arguments) {
    let Arguments { seed, steps, threads, forks, .. } = *arguments;
    eprintln!("stress: seed {seed}, {threads} threads of {steps} steps, {forks} forks");
    let crowd = Arc::new(Crowd {
        sites: sites(),
        steps: AtomicU64::new(0),
        rotations: AtomicU64::new(0),
        finished: AtomicU64::new(0),
        leave: Meeting::new(threads + 2),
    });
    let callers: Vec<_> = (0..threads)
        .map(|number| {
            let caller = Caller::new(Arc::clone(&crowd), seed.rotate_left(32) ^ number);
            std::thread::spawn(move || caller.calls(steps))
        })
        .collect();
    let period = Duration::from_millis(1);
    let small = &crowd.sites[..2];
    let tickers: Vec<_> =
        small.iter().map(|site| site.engine.ticker(period).expect("a thread")).collect();
    let inside = Arc::clone(&crowd);
    let time = std::thread::spawn(move || inside.time_passes(threads, seed));
    for _ in 0..forks {
        forks::child_is_refused(&crowd.sites[0]);
    }
    while crowd.finished.load(Ordering::Acquire) < threads {
        std::thread::yield_now();
    }
    drop(tickers);
    // All leave together: what a thread leaves behind for another one has arrived by then.
    crowd.leave.meet();
    callers.into_iter().chain([time]).for_each(|thread| thread.join().expect("no panic"));
    crowd.sites.iter().for_each(Site::comes_to_rest);
    println!("stress: {}, {forks} refused children", crowd.summary());
}

/// Two small tables in which records and outcomes evict each other, with outcomes in the store and
/// beside their records, a large one that keeps everything, one of few keys, whose rotations come
/// to their end, and a small one that other processes could share.
fn sites() -> Vec<Site> {
    let tiny = || Engine::builder().tiny().on_full(OnFull::EvictLru);
    let large =
        || Engine::builder().capacity(8 * KEYS).outcome_bytes(1 << 20).on_full(OnFull::Reject);
    vec![
        Site::new(KEYS, 3, false, tiny()),
        Site::new(KEYS, 2, false, tiny().inline_outcome(64)),
        Site::new(KEYS, 20, true, large()),
        Site::new(4, 20, true, large()),
        Site::new(KEYS, 3, false, tiny().reach(Reach::HostInherited)),
    ]
}

impl Crowd {
    /// What the engines counted, in a few words.
    fn summary(&self) -> String {
        let stats = || self.sites.iter().map(|site| site.engine.stats().expect("not forked"));
        let sum = |of: fn(&Stats) -> u64| stats().map(|stats| of(&stats)).sum::<u64>();
        format!(
            "{} attempts ran, {} replays, {} lapses, {} stale calls, {} evictions, {} hand-offs, \
             {} rotations",
            sum(|stats| stats.created + stats.expired + stats.retried),
            sum(|stats| stats.replayed),
            sum(|stats| stats.lapsed),
            sum(|stats| stats.fenced),
            sum(|stats| stats.evicted_early + stats.outcomes_evicted),
            sum(|stats| stats.hand_offs),
            self.rotations.load(Ordering::Acquire),
        )
    }

    pub(crate) fn one_is_done(&self) {
        self.finished.fetch_add(1, Ordering::AcqRel);
        self.leave.meet();
    }

    /// Moves the clocks, and sweeps, until all callers are done: a little with every few steps,
    /// and when nobody makes any, since then all wait for time to pass.
    fn time_passes(&self, callers: u64, seed: u64) {
        let mut dice = Seeded(!seed);
        let mut seen = 0;
        while self.finished.load(Ordering::Acquire) < callers {
            for _ in 0..PATIENCE {
                let steps = self.steps.load(Ordering::Acquire);
                if steps.saturating_sub(seen) >= STEPS_A_JUMP {
                    break;
                }
                std::thread::yield_now();
            }
            seen = self.steps.load(Ordering::Acquire);
            let site = &self.sites[dice.roll(self.sites.len() as u64) as usize];
            site.clock.advance(dice.any(&[LEASE / 4, LEASE / 2, LEASE, WINDOW]));
            site.engine.sweep(usize::MAX).expect("not forked");
        }
        self.leave.meet();
    }
}

/// A barrier of atomics: threads meet once.
struct Meeting {
    threads: u64,
    arrived: AtomicU64,
}

impl Meeting {
    fn new(threads: u64) -> Self {
        Self { threads, arrived: AtomicU64::new(0) }
    }

    fn meet(&self) {
        self.arrived.fetch_add(1, Ordering::AcqRel);
        while self.arrived.load(Ordering::Acquire) < self.threads {
            std::thread::yield_now();
        }
    }
}

/// SplitMix64 (Steele, Lea and Flood, 2014).
pub(crate) struct Seeded(pub(crate) u64);

impl Dice for Seeded {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }
}

/// How many looks without enough steps before time goes on all the same.
const PATIENCE: u32 = 2_000;
const STEPS_A_JUMP: u64 = 16;
