//! Programs: what the threads of a run do, drawn from a seed.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use oncegate::{
    Engine, EngineBuilder, FingerprintMode, OnDrop, OnFull, OnLapse, Outcome, Reach, Secret,
};

use crate::clock::HistoryClock;
use crate::history::{Patience, Terms};
use crate::judge::Seen;
use crate::random::Random;
use crate::spec::{End, Rules, Verdict};

/// A kind of run. Durations are milliseconds; a range of zero leaves something out.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// How many keys are recorded.
    pub(crate) keys: usize,
    pub(crate) threads: (u64, u64),
    /// Steps of one thread.
    pub(crate) steps: (u64, u64),
    pub(crate) leases: (u64, u64),
    pub(crate) windows: (u64, u64),
    /// Delays of failed attempts.
    pub(crate) delays: (u64, u64),
    /// By how much the clock jumps.
    pub(crate) jumps: (u64, u64),
    pub(crate) lapses: &'static [OnLapse],
    pub(crate) room: Room,
    /// Whether an admitted caller always ends its attempt.
    pub(crate) ends_all: bool,
    /// How often each step is drawn.
    pub(crate) weights: Weights,
    /// What must come up in many runs of this kind, or they prove little.
    pub(crate) seen: &'static [Seen],
}

/// How much room the engine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// For every record and outcome of the run.
    Enough,
    /// The same, in a table that two processes share.
    Shared,
    /// The smallest engine, full: somebody goes.
    Evicting,
    /// The smallest engine, almost full: newcomers may be refused.
    Rejecting,
}

/// Weights of the steps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weights {
    pub(crate) begin: u64,
    /// A `begin` that waits, or joins.
    pub(crate) wait: u64,
    /// By a token that somebody got, mostly stale.
    pub(crate) end: u64,
    pub(crate) resolve: u64,
    pub(crate) sweep: u64,
    pub(crate) advance: u64,
    /// Other keys, which take room.
    pub(crate) fill: u64,
    pub(crate) rotate: u64,
}

impl Weights {
    pub(crate) const NONE: Self =
        Self { begin: 0, wait: 0, end: 0, resolve: 0, sweep: 0, advance: 0, fill: 0, rotate: 0 };
}

/// One step of a thread.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Begin {
        key: usize,
        payload: usize,
        lease: u64,
        window: u64,
        lapse: OnLapse,
        patience: Patience,
        /// What follows if it is admitted.
        then: Vec<Then>,
    },
    /// By the token of this number, of those that were given out for the key.
    End {
        key: usize,
        token: u64,
        how: End,
    },
    Resolve {
        key: usize,
        verdict: Verdict,
    },
    Sweep {
        slots: usize,
    },
    Advance {
        ms: u64,
    },
    Fill {
        from: u64,
        records: u64,
    },
    Rotate {
        secret: u8,
    },
    FinishRotation,
    Yield,
}

/// What a holder does with its attempt.
#[derive(Clone, Debug)]
pub(crate) enum Then {
    Yield,
    End(End),
    /// Drops the guard, and says nothing.
    Drop,
}

/// What one thread does in one run.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) steps: Vec<Step>,
    /// Seed of how it gives way, and one time in how many.
    pub(crate) hold_up: (u64, u64),
}

/// A run that was drawn: the engine's terms, and a program for each thread.
pub(crate) struct Plan {
    pub(crate) terms: Terms,
    room: Room,
    /// Bytes of an outcome that lies beside its record.
    inline: usize,
    secret: u8,
    pub(crate) programs: Vec<Program>,
}

impl Plan {
    pub(crate) fn draw(kind: &Kind, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let on_drop =
            *random.pick(&[OnDrop::Retry, OnDrop::Unknown, OnDrop::Failed, OnDrop::KeepLease]);
        // A guard that keeps its lease would leave it to others to end the attempt.
        let on_drop = if kind.ends_all { OnDrop::Retry } else { on_drop };
        let window = random.within(kind.windows);
        let small = !matches!(kind.room, Room::Enough | Room::Shared);
        let outcome_limit = if small { TINY_LIMIT } else { LIMIT };
        let rules = Rules { window, on_drop, outcome_limit };
        let terms = Terms {
            rules,
            lease: random.within(kind.leases),
            evicts: false,
            drops: false,
            scarce: small,
            fills: small,
        };
        let threads = random.within(kind.threads);
        let one_in = *random.pick(&[0, 2, 3, 6]);
        let mut drawn = Draw { kind, random, outcomes: 0 };
        let programs = (0..threads).map(|thread| drawn.program(thread, one_in)).collect();
        let secret = drawn.random.below(255) as u8 + 1;
        let inline = *drawn.random.pick(&[0, TINY_LIMIT]);
        Self { terms, room: kind.room, inline, secret, programs }
    }

    /// The engine of a run; in one of several processes, a second one on the same table.
    pub(crate) fn engines(&self, clock: &HistoryClock) -> (Engine, Option<Another>) {
        if self.room != Room::Shared {
            return (self.builder(clock).build().expect("a valid engine"), None);
        }
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        // Relaxed: numbers only have to differ.
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("oncegate-history-{}-{number}", std::process::id());
        let file = Removed(std::env::temp_dir().join(name));
        let open = || self.builder(clock).reach(Reach::Host(file.0.clone())).build();
        let engine = open().expect("a table");
        (engine, Some(Another { engine: open().expect("the same table"), _file: file }))
    }

    fn builder(&self, clock: &HistoryClock) -> EngineBuilder {
        let Terms { rules, lease, .. } = &self.terms;
        let builder = match self.room {
            Room::Enough | Room::Shared => {
                Engine::builder().capacity(16).outcome_bytes(64 << 10).outcome_limit(LIMIT)
            }
            Room::Evicting => Engine::builder().tiny().on_full(OnFull::EvictLru),
            Room::Rejecting => Engine::builder().tiny().on_full(OnFull::Reject),
        };
        builder
            .lease_duration(Duration::from_millis(*lease))
            .dedup_window(Duration::from_millis(rules.window))
            .on_drop(rules.on_drop)
            .inline_outcome(self.inline)
            .fingerprint_mode(FingerprintMode::FastTrusted)
            .secret(Secret::from_bytes(&[self.secret; 32]).expect("32 bytes"))
            .clock(clock.clone())
    }
}

/// A second engine on a table, and the table's file.
pub(crate) struct Another {
    pub(crate) engine: Engine,
    _file: Removed,
}

/// A file that is gone with this value.
struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// What is drawn from.
struct Draw<'k> {
    kind: &'k Kind,
    random: Random,
    /// How many outcomes were made: each is another.
    outcomes: u16,
}

impl Draw<'_> {
    fn program(&mut self, thread: u64, one_in: u64) -> Program {
        let steps = self.random.within(self.kind.steps);
        let steps = (0..steps).map(|at| self.step(thread, at)).collect();
        Program { steps, hold_up: (self.random.next(), one_in) }
    }

    fn step(&mut self, thread: u64, at: u64) -> Step {
        let Weights { begin, wait, end, resolve, sweep, advance, fill, rotate } = self.kind.weights;
        let weights = [begin, wait, end, resolve, sweep, advance, fill, rotate];
        let mut left = self.random.below(weights.iter().sum::<u64>() + YIELDS);
        let drawn = weights.iter().position(|weight| {
            let hit = left < *weight;
            left = left.saturating_sub(*weight);
            hit
        });
        let key = self.random.below(self.kind.keys as u64) as usize;
        match drawn {
            // All threads meet at the first step.
            _ if at == 0 && self.random.chance(2) => self.begin(0, false),
            Some(0) => self.begin(key, false),
            Some(1) => self.begin(key, true),
            Some(2) => Step::End { key, token: self.random.next(), how: self.end() },
            Some(3) => Step::Resolve { key, verdict: self.verdict() },
            Some(4) => Step::Sweep { slots: *self.random.pick(&[16, 32, usize::MAX]) },
            Some(5) => Step::Advance { ms: self.random.within(self.kind.jumps) },
            Some(6) => Step::Fill { from: thread << 32 | at << 16, records: 4 },
            Some(7) if self.random.chance(2) => Step::FinishRotation,
            // Few secrets, so that one comes back.
            Some(7) => Step::Rotate { secret: self.random.below(3) as u8 + 1 },
            _ => Step::Yield,
        }
    }

    fn begin(&mut self, key: usize, patient: bool) -> Step {
        let kind = self.kind;
        let patience = match self.random.below(4) {
            _ if !patient => Patience::None,
            0 if kind.ends_all => Patience::Join,
            1 => Patience::Glance,
            // Nobody would wake those who wait.
            _ if kind.jumps.1 == 0 && !kind.ends_all => Patience::Glance,
            // Where the clock stands still nobody gives up.
            _ if kind.ends_all => Patience::Wait(1_000_000),
            _ => Patience::Wait(self.random.within((1, 12))),
        };
        Step::Begin {
            key,
            // Most duplicates come with the payload of the first.
            payload: usize::from(self.random.chance(8)),
            lease: self.random.within(kind.leases),
            window: self.random.within(kind.windows),
            lapse: *self.random.pick(kind.lapses),
            patience,
            then: self.then(),
        }
    }

    fn then(&mut self) -> Vec<Then> {
        let mut then = Vec::new();
        for _ in 0..self.random.below(3) {
            then.push(Then::Yield);
        }
        if self.random.chance(4) {
            then.push(Then::End(self.renewal()));
        }
        match self.random.below(8) {
            0 | 1 if !self.kind.ends_all => {}
            2 => then.push(Then::Drop),
            _ => then.push(Then::End(self.last())),
        }
        then
    }

    /// Any call of a holder.
    fn end(&mut self) -> End {
        if self.random.chance(4) { self.renewal() } else { self.last() }
    }

    fn renewal(&mut self) -> End {
        End::Renew { lease_us: self.random.within(self.kind.leases) * 1_000 }
    }

    /// How an attempt ends.
    fn last(&mut self) -> End {
        match self.random.below(10) {
            0..=3 => End::Complete(self.outcome()),
            4 => End::Terminal(self.outcome()),
            5 => End::GiveUp,
            6 if self.kind.delays.1 > 0 => {
                let delay = self.random.within(self.kind.delays);
                End::Retry { delay_us: Some(delay * 1_000) }
            }
            _ => End::Retry { delay_us: None },
        }
    }

    fn verdict(&mut self) -> Verdict {
        match self.random.below(3) {
            0 => Verdict::Succeeded(self.outcome()),
            1 => Verdict::Failed(self.outcome()),
            _ => Verdict::RunAgain,
        }
    }

    fn outcome(&mut self) -> Outcome {
        self.outcomes += 1;
        outcome(self.outcomes)
    }
}

/// The outcome of this number, which no other has: some lie beside the record, some in the store,
/// and one in six is over the limit.
fn outcome(number: u16) -> Outcome {
    let length = [0, 8, TINY_LIMIT, TINY_LIMIT + 1, LIMIT, LIMIT + 1][usize::from(number % 6)];
    Outcome::new(number, vec![number as u8; length])
}

/// The most bytes of an outcome.
const LIMIT: usize = 96;
/// The same in the smallest engine; and of an outcome that lies beside its record.
const TINY_LIMIT: usize = 64;
const YIELDS: u64 = 2;
