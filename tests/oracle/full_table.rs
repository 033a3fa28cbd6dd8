//! A tiny table that is always full: what gives way, and what never does.

use std::collections::HashMap;
use std::time::Duration;

use oncegate::{
    Admission, Engine, ErrorCode, Failure, LeaseToken, ManualClock, OnFull, Outcome, Quota,
    Request, Scope, Secret,
};

/// One step. The request is `key`; every fourth one belongs to the scope with a quota.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Begin { key: u8, then: Then },
    End { held: usize, then: Then },
    Advance { ms: u64 },
    Sweep,
    Rotate { secret: u8 },
}

/// How an attempt ends, or that it goes on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Then {
    Run,
    Complete,
    Retry { delay_ms: u64 },
    GiveUp,
}

#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) reject: bool,
    pub(crate) quota: u64,
    pub(crate) secret: u8,
    pub(crate) rotates: bool,
}

/// What became of a request, as its callers know.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Known {
    Running { attempt: u32, token: LeaseToken },
    Waiting { attempt: u32, due: u64 },
    Finished { ends: u64, outcome: Outcome },
    Unknown,
}

struct Run {
    engine: Engine,
    clock: ManualClock,
    setup: Setup,
    now: u64,
    known: HashMap<u8, Known>,
    highest: HashMap<u8, u64>,
    held: Vec<(u8, LeaseToken)>,
    /// Records inside their window of which a second run was admitted.
    reruns: u64,
}

pub(crate) fn run(setup: &Setup, ops: &[Op]) -> Result<(), String> {
    let clock = ManualClock::new();
    let on_full = if setup.reject { OnFull::Reject } else { OnFull::EvictLru };
    let build = || {
        Engine::builder()
            .capacity(16)
            .on_full(on_full)
            .lease_duration(Duration::from_secs(1_000_000))
            .dedup_window(Duration::from_millis(WINDOW_MS))
            .secret(Secret::from_bytes(&[setup.secret; 32])?)
            .clock(clock.clone())
            .build()
    };
    let engine = build().map_err(|error| error.to_string())?;
    engine
        .set_quota(limited(), Quota::unlimited().max_live(setup.quota))
        .map_err(|error| error.to_string())?;
    let mut run = Run {
        engine,
        clock,
        setup: setup.clone(),
        now: 0,
        known: HashMap::new(),
        highest: HashMap::new(),
        held: Vec::new(),
        reruns: 0,
    };
    for (at, op) in ops.iter().enumerate() {
        run.step(op).map_err(|why| format!("step {at}, {op:?}: {why}"))?;
    }
    run.finish()
}

impl Run {
    fn step(&mut self, op: &Op) -> Result<(), String> {
        match *op {
            Op::Begin { key, then } => self.begin(key, then),
            Op::End { held, then } => {
                let Some((key, token)) = self.held.get(held % self.held.len().max(1)).copied()
                else {
                    return Ok(());
                };
                self.end(key, token, then)
            }
            Op::Advance { ms } => {
                self.clock.advance(Duration::from_millis(ms));
                self.now += ms;
                Ok(())
            }
            Op::Sweep => {
                self.engine.sweep(usize::MAX).map_err(|error| error.to_string())?;
                Ok(())
            }
            Op::Rotate { secret } if self.setup.rotates => {
                // Refused while one is under way; a finished one clears the way for the next.
                let secret = Secret::from_bytes(&[secret; 32]).map_err(|e| e.to_string())?;
                let _ = self.engine.rotate_secret(secret);
                let _ = self.engine.finish_rotation();
                Ok(())
            }
            Op::Rotate { .. } => Ok(()),
        }
    }

    fn begin(&mut self, key: u8, then: Then) -> Result<(), String> {
        let operation = format!("op{key}");
        let request = Request::new(scope_of(key), &operation, "key").expect("short");
        let known = self.known(key);
        let admitted = match self.engine.begin(&request) {
            Err(error) => return self.refused(key, known.as_ref(), error.code()),
            Ok(Admission::Admitted(lease)) => lease,
            Ok(other) => return agrees(known.as_ref(), &other, self.now),
        };
        let (attempt, token) = (admitted.attempt(), admitted.into_token());
        let highest = self.highest.entry(key).or_default();
        if token.fencing_token().get() <= *highest {
            return Err(format!("token {token:?} after {highest}"));
        }
        *highest = token.fencing_token().get();
        let expected = match &known {
            None => 1,
            Some(Known::Waiting { attempt, due }) if *due <= self.now => attempt + 1,
            // Evicted inside its window.
            Some(Known::Finished { .. }) if !self.setup.reject => {
                self.reruns += 1;
                1
            }
            Some(known) => return Err(format!("admitted beside {known:?}")),
        };
        if attempt != expected {
            return Err(format!("attempt {attempt} of {known:?}"));
        }
        self.known.insert(key, Known::Running { attempt, token });
        self.held.push((key, token));
        self.end(key, token, then)
    }

    fn end(&mut self, key: u8, token: LeaseToken, then: Then) -> Result<(), String> {
        let running = Known::Running { attempt: token.attempt(), token };
        let holds = self.known.get(&key) == Some(&running);
        // Whoever gave up may still say how it went.
        let gave_up = self.known.get(&key) == Some(&Known::Unknown)
            && self.highest[&key] == token.fencing_token().get();
        let outcome = Outcome::new(200, token.to_bytes());
        let (ended, becomes) = match then {
            Then::Run => return Ok(()),
            Then::Complete => {
                let ends = self.now + WINDOW_MS;
                let ended = self.engine.complete(&token, &outcome).map(|_| ());
                (ended, Known::Finished { ends, outcome })
            }
            Then::Retry { delay_ms } => {
                let delay = Failure::retryable_after(Duration::from_millis(delay_ms));
                let waiting = Known::Waiting { attempt: token.attempt(), due: self.now + delay_ms };
                (self.engine.fail(&token, delay), waiting)
            }
            Then::GiveUp => (self.engine.fail(&token, Failure::unknown()), Known::Unknown),
        };
        match ended {
            Ok(()) if holds || gave_up => {
                self.known.insert(key, becomes);
                Ok(())
            }
            Err(error) if error.is_fenced() && !holds && !gave_up => Ok(()),
            ended => Err(format!("{ended:?}, where the record is {:?}", self.known.get(&key))),
        }
    }

    /// What is known of `key`, without what is over.
    fn known(&self, key: u8) -> Option<Known> {
        self.known.get(&key).filter(|known| !is_over(known, self.now)).cloned()
    }

    fn refused(&self, key: u8, known: Option<&Known>, code: ErrorCode) -> Result<(), String> {
        let live = self.known.iter().filter(|(_, known)| !is_over(known, self.now));
        // The limit of live records reserves them.
        let reserved = |other| scope_of(other) == limited() && scope_of(key) != limited();
        let rejected = |other, known: &Known| {
            let may_go = matches!(known, Known::Finished { .. }) && !reserved(other);
            self.setup.reject || !may_go
        };
        let kept = live.clone().filter(|(key, known)| rejected(**key, known)).count();
        let of_scope = live.filter(|(key, _)| scope_of(**key) == limited()).count();
        // An eviction may have taken a record that its callers still believe in.
        let is_new = known.is_none_or(|known| !rejected(key, known));
        let right = match code {
            // Of those that are reserved, some were evicted for others of their scope.
            ErrorCode::Full => is_new && kept >= SLOTS,
            ErrorCode::QuotaExceeded => {
                is_new && scope_of(key) == limited() && of_scope as u64 >= self.setup.quota
            }
            _ => false,
        };
        right.then_some(()).ok_or_else(|| format!("{code:?} with {kept} kept, {of_scope} of it"))
    }

    fn finish(mut self) -> Result<(), String> {
        self.engine.sweep(usize::MAX).map_err(|error| error.to_string())?;
        let stats = self.engine.stats().expect("not forked");
        self.known.retain(|_, known| !is_over(known, self.now));
        let count = |tells: fn(&Known) -> bool| {
            self.known.values().filter(|known| tells(known)).count() as u64
        };
        let running = count(|known| matches!(known, Known::Running { .. }));
        let waiting = count(|known| matches!(known, Known::Waiting { .. }));
        let unknown = count(|known| *known == Known::Unknown);
        let finished = count(|known| matches!(known, Known::Finished { .. }));
        let live = stats.live;
        let kept = (live.running, live.waiting, live.unknown) == (running, waiting, unknown);
        // Those that were evicted and did not come back are missing, and are all counted.
        let evicted = finished.checked_sub(live.succeeded);
        let counted = evicted.is_some_and(|gone| gone + self.reruns <= stats.evicted_early);
        let rejected = !self.setup.reject || stats.evicted_early == 0;
        if kept && counted && rejected && live.failed == 0 && live.total() <= SLOTS as u64 {
            return Ok(());
        }
        Err(format!("{stats:?} for {:?} with {} reruns", self.known, self.reruns))
    }
}

/// Whether an answer that admits nobody is right.
fn agrees(known: Option<&Known>, answer: &Admission<'_>, now: u64) -> Result<(), String> {
    let agrees = match (known, answer) {
        (Some(Known::Running { attempt, .. }), Admission::InProgress { attempt: told, .. }) => {
            attempt == told
        }
        (Some(Known::Waiting { attempt, due }), Admission::Scheduled { next_attempt, due_in }) => {
            attempt + 1 == *next_attempt && *due_in == Duration::from_millis(due - now)
        }
        (Some(Known::Finished { outcome, .. }), Admission::Replayed(told)) => outcome == told,
        (Some(Known::Unknown), Admission::Unresolved) => true,
        _ => false,
    };
    agrees.then_some(()).ok_or_else(|| format!("{answer:?} for {known:?}"))
}

fn is_over(known: &Known, now: u64) -> bool {
    match known {
        Known::Finished { ends, .. } => *ends <= now,
        Known::Waiting { due, .. } => due + WINDOW_MS <= now,
        Known::Running { .. } | Known::Unknown => false,
    }
}

fn scope_of(key: u8) -> Scope<'static> {
    if key.is_multiple_of(4) { limited() } else { Scope::single_tenant() }
}

fn limited() -> Scope<'static> {
    Scope::new("limited").expect("short")
}

/// Twice as many requests as slots.
pub(crate) const KEYS: u8 = 128;
/// The smallest table has two sets, which are the two candidate sets of every request.
const SLOTS: usize = 64;
pub(crate) const WINDOW_MS: u64 = 1_000;
