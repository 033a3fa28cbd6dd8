//! Attack: what a scope at ten times the rate costs a scope that has a reservation.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use oncegate::{Admission, BeginOptions, Engine, Outcome, Quota, Scope};

use super::{Row, Study, prepared};
use crate::meter::empty_histogram;
use crate::rng::Rng;
use crate::{pin, timestamp};

/// The latencies of a victim, alone and beside an attacker on another thread, in turn for that
/// many rounds of `slice`. The table is full of the attacker's records in both.
pub(super) fn attack(capacity: usize, rounds: usize, slice: Duration) -> Study {
    let site = Site::open(capacity);
    site.fill();
    let mut alone = Seen::new();
    let mut attacked = Seen::new();
    for _ in 0..rounds {
        site.round(slice, false, &mut alone);
        site.round(slice, true, &mut attacked);
    }
    let row = |name: &str, figure: &dyn Fn(&Seen) -> f64| Row {
        name: name.to_owned(),
        figures: vec![Some(figure(&alone)), Some(figure(&attacked))],
    };
    let at = |seen: &Seen, quantile| seen.ns.value_at_quantile(quantile) as f64;
    Study {
        name: "attack",
        about: "a victim with a reservation, one request in eight new, beside an attacker whose \
                requests are all new; the table is full",
        unit: "ns for each request of the victim, and counts",
        axis: "requests of the attacker for each of the victim's, as planned",
        columns: vec![0.0, TIMES as f64],
        log_axis: false,
        rows: vec![
            row("p50", &|seen| at(seen, 0.5)),
            row("p99", &|seen| at(seen, 0.99)),
            row("p50, times that alone", &|seen| at(seen, 0.5) / at(&alone, 0.5).max(1.0)),
            row("p99, times that alone", &|seen| at(seen, 0.99) / at(&alone, 0.99).max(1.0)),
            row("requests of the attacker for each", &|seen| {
                seen.attacks as f64 / seen.ns.len().max(1) as f64
            }),
            row("refused, or run again", &|seen| seen.harmed as f64),
        ],
    }
}

/// What the victim saw.
struct Seen {
    ns: Histogram<u64>,
    harmed: u64,
    attacks: u64,
}

impl Seen {
    fn new() -> Self {
        Self { ns: empty_histogram(), harmed: 0, attacks: 0 }
    }
}

struct Site {
    engine: Engine,
    capacity: u64,
    victims: AtomicU64,
    attackers: AtomicU64,
}

impl Site {
    fn open(capacity: usize) -> Self {
        let builder = Engine::builder().capacity(capacity).outcome_limit(64).prefault(true);
        let engine = builder.dedup_window(WINDOW).build().expect("a valid configuration");
        let quota = Quota::unlimited().max_live(capacity as u64 / 2);
        engine.set_quota(victim(), quota).expect("valid");
        let (victims, attackers) = (AtomicU64::new(0), AtomicU64::new(FIRST_ATTACK));
        Self { engine, capacity: capacity as u64, victims, attackers }
    }

    fn fill(&self) {
        let outcome = Outcome::new(200, [7; 64]);
        (0..self.capacity * 2).for_each(|_| self.attack(&outcome));
    }

    fn round(&self, slice: Duration, attacked: bool, seen: &mut Seen) {
        let (processors, over) = (pin::processors(), AtomicBool::new(false));
        let attacks = std::thread::scope(|scope| {
            let attacker = attacked.then(|| scope.spawn(|| self.attacker(&processors, &over)));
            let victim = scope.spawn(|| self.victim(&processors, slice, seen));
            victim.join().expect("no worker panics");
            // Relaxed: the flag orders nothing.
            over.store(true, Ordering::Relaxed);
            attacker.map_or(0, |attacker| attacker.join().expect("no worker panics"))
        });
        seen.attacks += attacks;
    }

    fn victim(&self, processors: &[usize], slice: Duration, seen: &mut Seen) {
        pin::pin(processors, 0);
        let (scale, mut pace, began) = (timestamp::scale(), Pace::new(PERIOD_NS), Instant::now());
        // Relaxed: rounds follow each other.
        let (first, mut next) = (self.victims.load(Ordering::Relaxed), 0);
        let (mut rng, options) = (Rng::new(first), BeginOptions::new());
        let (outcome, mut buffer) = (Outcome::new(200, [7; 64]), Outcome::new(200, [0; 64]));
        while began.elapsed() < slice {
            pace.wait();
            let new = next == 0 || rng.below(8) == 0;
            // Retries come soon: nothing runs out meanwhile.
            let number = first + if new { next } else { next - 1 - rng.below(next.min(256)) };
            next += u64::from(new);
            let start = timestamp::start();
            let asked = prepared(&self.engine, victim(), number);
            let right = match self.engine.begin_into(&asked, &options, &mut buffer) {
                Ok(Admission::Admitted(lease)) => lease.complete(&outcome).is_ok() && new,
                Ok(Admission::Replayed(_)) => !new,
                _ => false,
            };
            let ticks = (timestamp::end() - start).saturating_sub(scale.empty);
            seen.ns.saturating_record((ticks as f64 * scale.ns_per_tick).round() as u64);
            seen.harmed += u64::from(!right);
        }
        // Relaxed: as above.
        self.victims.store(first + next, Ordering::Relaxed);
    }

    /// How many requests it made.
    fn attacker(&self, processors: &[usize], over: &AtomicBool) -> u64 {
        pin::pin(processors, 1);
        let (outcome, mut pace) = (Outcome::new(200, [7; 64]), Pace::new(PERIOD_NS / TIMES));
        let mut attacks = 0;
        // Relaxed: see `round`.
        while !over.load(Ordering::Relaxed) {
            pace.wait();
            self.attack(&outcome);
            attacks += 1;
        }
        attacks
    }

    fn attack(&self, outcome: &Outcome) {
        // Relaxed: one thread attacks at a time.
        let number = self.attackers.fetch_add(1, Ordering::Relaxed);
        let attacker = Scope::new("attacker").expect("short");
        let asked = prepared(&self.engine, attacker, number);
        let begun = self.engine.begin_prepared(&asked, &BeginOptions::new());
        if let Ok(Admission::Admitted(lease)) = begun {
            lease.complete(outcome).expect("held");
        }
    }
}

/// One call in each period, and after a pause as many as were missed, within limits.
struct Pace {
    next: u64,
    period: u64,
}

impl Pace {
    fn new(period_ns: u64) -> Self {
        let period = (period_ns as f64 / timestamp::scale().ns_per_tick) as u64;
        Self { next: timestamp::start(), period }
    }

    fn wait(&mut self) {
        let mut now = timestamp::start();
        while now < self.next {
            std::hint::spin_loop();
            now = timestamp::start();
        }
        self.next = (self.next + self.period).max(now.saturating_sub(self.period * MOST_MISSED));
    }
}

fn victim() -> Scope<'static> {
    Scope::new("victim").expect("short")
}

/// The planned ratio of the two rates.
const TIMES: u64 = 10;
/// The victim makes a request in so many nanoseconds; the attacker can make ten of them.
const PERIOD_NS: u64 = 20_000;
const MOST_MISSED: u64 = 1_000;
/// Longer than a retry is late; so short that the victim's records are within its limit.
const WINDOW: Duration = Duration::from_millis(500);
/// Numbers of requests that the victim does not get to.
const FIRST_ATTACK: u64 = 1 << 40;
