//! A small budget for outcomes: what is replayed is what was completed, or it is gone.

use std::collections::HashMap;
use std::time::Duration;

use oncegate::{
    Admission, BeginOptions, Completed, Engine, ErrorCode, ManualClock, OnFull, Outcome, Request,
    Scope,
};

/// One step. A request that is new, or over, runs and leaves an outcome of `size` bytes.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Begin { key: u8, size: usize, window_ms: u64 },
    Advance { ms: u64 },
    Sweep,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) reject: bool,
    /// Bytes for all outcomes.
    pub(crate) budget: usize,
}

struct Known {
    ends: u64,
    outcome: Outcome,
    kept: Completed,
    gone: bool,
}

struct Run {
    engine: Engine,
    clock: ManualClock,
    reject: bool,
    now: u64,
    known: HashMap<u8, Known>,
    /// Outcomes found gone inside their window, each counted once.
    gone: u64,
}

pub(crate) fn run(setup: Setup, ops: &[Op]) -> Result<(), String> {
    let clock = ManualClock::new();
    let engine = Engine::builder()
        // Four times as many records as requests: none is evicted.
        .capacity(1_024)
        .outcome_bytes(setup.budget)
        .outcome_limit(LIMIT)
        .on_full(if setup.reject { OnFull::Reject } else { OnFull::EvictLru })
        .clock(clock.clone())
        .build()
        .map_err(|error| error.to_string())?;
    let known = HashMap::new();
    let mut run = Run { engine, clock, reject: setup.reject, now: 0, known, gone: 0 };
    for (at, op) in ops.iter().enumerate() {
        run.step(op).map_err(|why| format!("step {at}, {op:?}: {why}"))?;
    }
    for key in 0..=u8::MAX {
        if run.known.get(&key).is_some_and(|known| known.ends > run.now) {
            run.begin(key, 0, 1_000).map_err(|why| format!("at the end, request {key}: {why}"))?;
        }
    }
    let stats = run.engine.stats().expect("not forked");
    let counted = if run.reject { 0 } else { stats.outcomes_evicted };
    if run.gone <= counted && stats.evicted_early == 0 && (0.0..=1.0).contains(&stats.outcome_fill)
    {
        return Ok(());
    }
    Err(format!("{} gone, {stats:?}", run.gone))
}

impl Run {
    fn step(&mut self, op: &Op) -> Result<(), String> {
        match *op {
            Op::Begin { key, size, window_ms } => self.begin(key, size, window_ms),
            Op::Advance { ms } => {
                self.clock.advance(Duration::from_millis(ms));
                self.now += ms;
                Ok(())
            }
            Op::Sweep => self.engine.sweep(usize::MAX).map(|_| ()).map_err(|e| e.to_string()),
        }
    }

    fn begin(&mut self, key: u8, size: usize, window_ms: u64) -> Result<(), String> {
        let bytes = [key];
        let request = Request::new(Scope::single_tenant(), "op", &bytes).expect("one byte");
        let options = BeginOptions::new().dedup_window(Duration::from_millis(window_ms));
        let known = self.known.get_mut(&key).filter(|known| known.ends > self.now);
        let lease = match (self.engine.begin_with(&request, &options), known) {
            (Ok(Admission::Admitted(lease)), None) => lease,
            (Ok(Admission::Replayed(outcome)), Some(known)) => {
                let right = outcome == known.outcome && !known.gone;
                return right.then_some(()).ok_or_else(|| format!("{outcome:?} is another's"));
            }
            (Ok(Admission::OutcomeGone), Some(known)) => {
                let counts = known.kept == Completed::Stored && !known.gone;
                self.gone += u64::from(counts);
                known.gone = true;
                return Ok(());
            }
            (Err(error), None) if self.reject && error.code() == ErrorCode::Full => {
                let is_right = error.field() == "outcomes" && !self.known.is_empty();
                return is_right.then_some(()).ok_or_else(|| error.to_string());
            }
            (other, _) => return Err(format!("{other:?}")),
        };
        let token = lease.fencing_token().get();
        let body: Vec<u8> = (0..size).map(|at| (token as usize + at * 31) as u8).collect();
        let outcome = Outcome::new(u16::from(key), body);
        let kept = lease.complete(&outcome).map_err(|error| error.to_string())?;
        // One caller alone always finds room where outcomes may go.
        let expected = if size > LIMIT { Completed::WithoutBytes } else { Completed::Stored };
        if kept != expected && !(self.reject && kept == Completed::WithoutBytes) {
            return Err(format!("{size} bytes: {kept:?}"));
        }
        self.known.insert(key, Known { ends: self.now + window_ms, outcome, kept, gone: false });
        Ok(())
    }
}

pub(crate) const LIMIT: usize = 1_000;
