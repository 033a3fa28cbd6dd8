//! Plan: what one simulated world is like, drawn from its seed.

use std::time::Duration;

use oncegate::{
    AdaptiveBackoff, BackoffPolicy, Engine, EngineBuilder, HintLimits, Jitter, OnDrop, OnFull,
    OnLapse, OnLettersFull, RetryBudget, RetryPolicy,
};

use crate::random::Random;

/// The operations, and what is special about each.
pub(crate) const OPERATIONS: [&str; 4] = ["charge", "order", "paid", "narrow"];
/// Its steps are undone by a hook.
pub(crate) const ORDER: usize = 1;
/// It has a retry budget.
pub(crate) const PAID: usize = 2;
/// It has a bulkhead.
pub(crate) const NARROW: usize = 3;
pub(crate) const SCOPES: [&str; 3] = ["acme", "globex", "initech"];

/// How the attempts of one operation are retried, and what is known of its delays.
#[derive(Clone, Debug)]
pub(crate) struct Rhythm {
    pub(crate) policy: RetryPolicy,
    pub(crate) attempts: u32,
    pub(crate) has_deadline: bool,
    /// The shortest delay without a hint, and the longest of all.
    pub(crate) least_ms: u64,
    pub(crate) most_ms: u64,
}

/// One simulated world.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// How many processes share the table; none: it is private to one.
    pub(crate) sharers: usize,
    pub(crate) capacity: usize,
    pub(crate) requests: u32,
    pub(crate) clients: u32,
    pub(crate) workers: u32,
    /// How many events there are before the faults end.
    pub(crate) events: u32,
    pub(crate) lease_ms: u64,
    pub(crate) window_ms: u64,
    pub(crate) on_lapse: OnLapse,
    pub(crate) on_drop: OnDrop,
    pub(crate) on_full: OnFull,
    pub(crate) rhythms: Vec<Rhythm>,
    pub(crate) max_retrying: usize,
    pub(crate) max_letters: usize,
    pub(crate) on_letters_full: OnLettersFull,
    pub(crate) max_in_flight: usize,
    pub(crate) narrow: usize,
    pub(crate) cleans_up: bool,
    pub(crate) undoes: bool,
    pub(crate) adaptive: bool,
    /// One event in so many brings a new request that is completed at once; zero: none does.
    pub(crate) noise: u64,
    /// Whether what is new comes in floods, so that the table is full.
    pub(crate) floods: bool,
    /// One event in so many is a fault of a process or of a clock.
    pub(crate) faults: u64,
    pub(crate) outcome_bytes: usize,
    pub(crate) jitter_seed: u64,
}

impl Plan {
    pub(crate) fn draw(random: &mut Random) -> Self {
        let sharers = if random.chance(4) { 0 } else { random.within((1, 4)) as usize };
        let floods = random.chance(4);
        let adaptive = random.chance(8);
        let rhythms = OPERATIONS.iter().map(|name| Rhythm::draw(name, random, adaptive)).collect();
        let tight = random.chance(3);
        let max_retrying = if tight { random.within((3, 8)) } else { 48 } as usize;
        let few_letters = random.chance(3);
        let max_letters = if few_letters { random.below(4) as usize } else { max_retrying };
        let max_letters = max_letters.min(max_retrying);
        Self {
            sharers,
            capacity: if floods { random.within((16, 40)) } else { 512 } as usize,
            requests: random.within((6, 40)) as u32,
            clients: random.within((2, 10)) as u32,
            workers: random.within((1, 3)) as u32,
            events: random.within((200, 900)) as u32,
            lease_ms: *random.pick(&[50, 1_000, 30_000]),
            window_ms: *random.pick(&[20_000, 600_000, 86_400_000]),
            on_lapse: *random.pick(&LAPSES),
            on_drop: *random.pick(&DROPS),
            on_full: if random.chance(2) { OnFull::Reject } else { OnFull::EvictLru },
            rhythms,
            max_retrying,
            max_letters,
            on_letters_full: if random.chance(2) {
                OnLettersFull::DropOldest
            } else {
                OnLettersFull::Reject
            },
            max_in_flight: if random.chance(3) { random.within((1, 4)) as usize } else { 64 },
            narrow: random.within((1, 2)) as usize,
            cleans_up: random.chance(3),
            undoes: random.chance(2),
            adaptive,
            noise: if floods { 1 } else { random.below(2) * 10 },
            floods,
            faults: *random.pick(&[0, 12, 30, 60]),
            outcome_bytes: 1 << *random.pick(&[18, 20]),
            jitter_seed: random.next(),
        }
    }

    /// What every process of this world opens its engine with.
    pub(crate) fn builder(&self, life: u64) -> EngineBuilder {
        let builder = Engine::builder()
            .capacity(self.capacity)
            .outcome_bytes(self.outcome_bytes)
            .outcome_limit(OUTCOME_LIMIT)
            .context_limit(CONTEXT_LIMIT)
            .steps_limit(STEPS_LIMIT)
            .max_processes(16)
            .lease_duration(Duration::from_millis(self.lease_ms))
            .dedup_window(Duration::from_millis(self.window_ms))
            .on_lapse(self.on_lapse)
            .on_drop(self.on_drop)
            .on_full(self.on_full)
            .max_retrying(self.max_retrying)
            .max_dead_letters(self.max_letters)
            .on_letters_full(self.on_letters_full)
            .max_in_flight(self.max_in_flight)
            .jitter_seed(self.jitter_seed.wrapping_add(life));
        if self.adaptive { builder.adaptive_backoff(AdaptiveBackoff::builder()) } else { builder }
    }

    /// The budget of the operation that has one, for one process.
    pub(crate) fn budget() -> RetryBudget {
        let bucket = RetryBudget::bucket().name("paid").capacity(BUDGET).success(BUDGET_SUCCESS);
        bucket.build().expect("a valid budget")
    }
}

impl Rhythm {
    fn draw(operation: &str, random: &mut Random, adaptive: bool) -> Self {
        let initial_ms = *random.pick(&[10, 500, 5_000]);
        let most_ms = initial_ms * 20;
        let (initial, most) = (Duration::from_millis(initial_ms), Duration::from_millis(most_ms));
        let (backoff, least_ms) = match random.below(5) {
            0 => (BackoffPolicy::constant(initial).jitter(Jitter::None), initial_ms),
            1 => (BackoffPolicy::exponential(initial, 2.0, most).jitter(Jitter::Full), 0),
            2 => (BackoffPolicy::exponential(initial, 3.0, most).jitter(Jitter::Equal), 0),
            3 => {
                let backoff = BackoffPolicy::linear(initial, initial, most);
                (backoff.jitter(Jitter::None), initial_ms)
            }
            _ => {
                let jitter = Jitter::Decorrelated;
                (BackoffPolicy::exponential(initial, 2.0, most).jitter(jitter), initial_ms)
            }
        };
        let hinted = Duration::from_millis(HINT_MOST_MS);
        let attempts = random.within((1, 5)) as u32;
        let mut policy =
            RetryPolicy::new(backoff).max_attempts(attempts).hints(HintLimits::new().max(hinted));
        // What was paid for an attempt that comes too late is given back, and nobody is told when.
        let has_deadline = random.chance(5) && operation != OPERATIONS[PAID];
        if has_deadline {
            policy = policy.deadline(most * 4);
        }
        if random.chance(4) {
            policy = policy.attempt_timeout(Duration::from_millis(random.within((100, 20_000))));
        }
        let stretched = if adaptive { 100 } else { 1 };
        Self {
            policy,
            attempts,
            has_deadline,
            least_ms,
            most_ms: (most_ms * stretched).max(HINT_MOST_MS),
        }
    }
}

const LAPSES: [OnLapse; 4] =
    [OnLapse::Reclaim, OnLapse::Reclaim, OnLapse::Unknown, OnLapse::Failed];
const DROPS: [OnDrop; 5] =
    [OnDrop::Retry, OnDrop::Retry, OnDrop::Unknown, OnDrop::Failed, OnDrop::KeepLease];

/// Outcomes above this size are not kept.
pub(crate) const OUTCOME_LIMIT: usize = 600;
/// Outcomes up to this size lie beside their record: the engine's default.
pub(crate) const INLINE: usize = 64;
const CONTEXT_LIMIT: usize = 256;
const STEPS_LIMIT: usize = 512;
/// Where a hint is cut.
const HINT_MOST_MS: u64 = 60_000;
/// Tokens of the budget at the start, and what a success brings.
pub(crate) const BUDGET: f64 = 15.0;
pub(crate) const BUDGET_SUCCESS: f64 = 1.0;
/// What a retry costs by default.
pub(crate) const BUDGET_COST: f64 = 5.0;
