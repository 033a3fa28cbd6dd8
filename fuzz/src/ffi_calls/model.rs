//! What an engine may answer: each key's last known state, and the tokens that were handed out.
//!
//! Where the state is not known for sure (a lease has lapsed, a wait may have been answered behind
//! the caller's back) every answer is taken, but for what holds always: tokens grow, and while an
//! attempt surely runs nobody else is admitted.

use oncegate_ffi::*;

/// Keys that requests have.
pub(super) const KEYS: usize = 6;

/// What is known of a key.
#[derive(Clone, Debug)]
pub(super) enum State {
    /// There was no request.
    New,
    /// An attempt runs, until its lease lapses.
    Running { fence: u64, attempt: u32, until: u64 },
    /// It has ended; duplicates get the outcome until then.
    Ended { until: u64, outcome: Stored },
    /// It failed; anybody gets the next attempt from then on.
    Delayed { due: u64, attempt: u32 },
    /// It failed, and a worker gets the next attempt, not before then.
    Left { due: u64, attempt: u32 },
    /// Nobody knows whether it took effect.
    InDoubt,
    /// Nobody knows what it is.
    Any,
}

/// What was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) status: u32,
    pub(super) body: Vec<u8>,
    pub(super) pairs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Whether duplicates get the bytes.
    pub(super) kept: bool,
}

/// One request, under one secret.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) state: State,
    pub(super) payload: usize,
    /// The highest token that was handed out.
    pub(super) fence: u64,
    /// How long it answers duplicates when its attempt has ended, in milliseconds.
    pub(super) window: u64,
    /// Waits that were submitted and not answered.
    pub(super) waits: usize,
}

/// A lease that was handed out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Holder {
    pub(super) lease: Lease,
    pub(super) key: usize,
    pub(super) fence: u64,
    pub(super) attempt: u32,
}

/// What is known of an engine.
pub(super) struct Model {
    /// Its clock, in milliseconds.
    pub(super) now: u64,
    pub(super) records: [Record; KEYS],
    pub(super) holders: Vec<Holder>,
    /// Whether the clock stands where times cannot be added to it any more.
    pub(super) ended: bool,
}

impl Model {
    pub(super) fn new() -> Self {
        let record = Record { state: State::New, payload: 0, fence: 0, window: 0, waits: 0 };
        let records = std::array::from_fn(|_| record.clone());
        Self { now: 0, records, holders: Vec::new(), ended: false }
    }

    pub(super) fn advance(&mut self, by: u64) {
        self.now = self.now.saturating_add(by);
        self.ended |= self.now > CENTURY / 4;
    }

    /// Whether the attempt of a key surely runs.
    pub(super) fn surely_runs(&self, key: usize) -> bool {
        matches!(self.records[key].state, State::Running { until, .. } if self.is_before(until))
    }

    /// Whether the engine's clock surely stands before a time.
    fn is_before(&self, time: u64) -> bool {
        !self.ended && self.now.saturating_add(1) < time
    }

    /// Whether this is the attempt that surely runs.
    pub(super) fn surely_held(&self, holder: &Holder) -> bool {
        let State::Running { fence, .. } = self.records[holder.key].state else { return false };
        fence == holder.fence && self.surely_runs(holder.key)
    }

    /// Whether this attempt has surely ended: a later one was handed out, or it was ended itself.
    pub(super) fn surely_over(&self, holder: &Holder) -> bool {
        let record = &self.records[holder.key];
        match record.state {
            State::Running { fence, .. } => fence != holder.fence,
            // Who held it may still say what became of it.
            State::Any | State::InDoubt => record.fence > holder.fence,
            State::New => false,
            State::Ended { .. } | State::Delayed { .. } | State::Left { .. } => true,
        }
    }

    /// An answer to `begin` for a key with a payload.
    pub(super) fn began(
        &mut self,
        key: usize,
        payload: usize,
        told: &RawAdmission,
        found: Option<Stored>,
    ) {
        let before = self.records[key].clone();
        let other = before.payload != payload;
        let verdict = told.verdict;
        let known = match before.state {
            State::Running { until, .. } if self.is_before(until) => {
                Some(if other { ONCEGATE_MISMATCHED } else { ONCEGATE_IN_PROGRESS })
            }
            State::Delayed { due, .. } if self.is_before(due) => {
                Some(if other { ONCEGATE_MISMATCHED } else { ONCEGATE_SCHEDULED })
            }
            State::Ended { until, .. } if self.is_before(until) && other => {
                Some(ONCEGATE_MISMATCHED)
            }
            State::InDoubt if !other => Some(ONCEGATE_UNRESOLVED),
            State::New => Some(ONCEGATE_ADMITTED),
            _ => None,
        };
        assert!(known.is_none_or(|known| known == verdict), "{verdict} for {before:?}");
        match &before.state {
            State::Ended { until, outcome } if self.is_before(*until) && !other => {
                let gone = verdict == ONCEGATE_OUTCOME_GONE && !outcome.surely_kept();
                let same = verdict == ONCEGATE_REPLAYED && found.as_ref() == Some(outcome);
                assert!(gone || same, "{verdict} and {found:?} for {before:?}");
            }
            State::Left { due, .. } if verdict == ONCEGATE_ADMITTED && self.is_before(*due) => {
                panic!("admitted before it is due: {before:?}");
            }
            State::Running { attempt, .. } if verdict == ONCEGATE_IN_PROGRESS => {
                assert_eq!(told.attempt, *attempt, "{before:?}");
            }
            State::Delayed { attempt, .. } | State::Left { attempt, .. }
                if verdict == ONCEGATE_SCHEDULED =>
            {
                assert_eq!(told.attempt, *attempt, "{before:?}");
            }
            _ => {}
        }
        if verdict == ONCEGATE_ADMITTED {
            assert!((1..=3).contains(&told.how), "{told:?}");
            self.handed_out(key, told.lease, told.fencing_token, told.attempt, told.time_ms);
            self.records[key].payload = payload;
        }
    }

    /// An attempt was handed out to this caller.
    pub(super) fn handed_out(
        &mut self,
        key: usize,
        lease: Lease,
        fence: u64,
        attempt: u32,
        lasts: u64,
    ) {
        assert!(!self.surely_runs(key), "two attempts at once: {:?}", self.records[key]);
        let record = &mut self.records[key];
        assert!(fence > record.fence, "token {fence} after {record:?}");
        assert!(attempt > 0, "{record:?}");
        record.fence = fence;
        // Every lease carries it, whoever began the record.
        let (_, window) = lease.token.split_last_chunk().expect("32 bytes");
        record.window = u64::from_le_bytes(*window);
        record.state = State::Running { fence, attempt, until: self.now.saturating_add(lasts) };
        self.holders.push(Holder { lease, key, fence, attempt });
        if self.holders.len() > MOST_HOLDERS {
            self.holders.remove(0);
        }
    }

    /// The attempt of a holder came to an end, with what follows.
    pub(super) fn ended(&mut self, holder: &Holder, state: State) {
        let record = &mut self.records[holder.key];
        // A wait may be admitted at once, and nobody is told.
        record.state = if record.waits > 0 { State::Any } else { state };
    }
}

impl Stored {
    /// Whether a duplicate gets the bytes for certain: they lie beside their record.
    pub(super) fn surely_kept(&self) -> bool {
        self.kept && self.body.len() + self.pairs.len() * 64 <= INLINE
    }
}

/// How long records of an engine answer duplicates, in milliseconds.
pub(super) const WINDOW: u64 = 60_000;
/// Outcomes up to this size lie beside their records.
pub(super) const INLINE: usize = 64;
const MOST_HOLDERS: usize = 12;
/// Longer than any engine runs: tables count milliseconds in 40 bits.
pub(super) const CENTURY: u64 = 100 * 366 * 86_400_000;
