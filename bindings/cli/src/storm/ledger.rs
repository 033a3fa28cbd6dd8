//! The ledger: where side effects land, outside the engine.
//!
//! It plays the downstream store of a real service, such as an account table, and it counts. It
//! knows nothing of the engine: it sees requests, fencing tokens and effects.
//!
//! # Why the token must be shown twice
//! A lease is not a lock. Attempt 1 may sleep past its lease, attempt 2 is admitted, and then
//! attempt 1 writes. A ledger that compares tokens only when an effect is written takes both
//! effects if attempt 1 writes first: its token is the highest that the ledger has seen so far.
//! So an attempt shows its token when it starts ([`Ledger::open`]) and again with its effect
//! ([`Ledger::commit`]). In one row of a database these are two statements: set the fence where
//! it is lower, then insert the effect where the fence equals one's own token.
//!
//! The rules, for one request, each applied under that request's mutex:
//! 1. `open(t)` with `t` below the fence answers `Fenced`. Otherwise the fence becomes `t`, and the
//!    answer says whether an effect is already there.
//! 2. `commit(t)` is taken only if the fence equals `t`.
//!
//! Two effects of one request would need tokens t1 < t2, both equal to the fence at their commit,
//! so commit(t1), open(t2), commit(t2) in this order. But then open(t2) found an effect and said
//! so, and that attempt does not work: it adopts the effect. Hence one effect at most, by the
//! token alone, as long as tokens are unique and rise. Whoever breaks that, engine or client, is
//! seen: a token opened twice and a commit beside an effect are refused and counted as defects.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// What the ledger hands out for an effect: it stands for a charge id or an order number.
pub(crate) type Receipt = u64;

/// Effects and fences of every request of one storm.
#[derive(Debug)]
pub(crate) struct Ledger {
    entries: Vec<Mutex<Entry>>,
}

/// What the ledger says to an attempt that starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Opening {
    /// Nothing is written yet, and no higher token was seen: work.
    Open,
    /// An earlier attempt's effect stands: do not work, adopt its receipt.
    Committed(Receipt),
    /// A higher token was seen: stop.
    Fenced,
}

/// What the ledger says to an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Commit {
    /// The effect stands.
    Accepted(Receipt),
    /// The token is not the fence: nothing was written.
    Fenced,
    /// An effect stands already, and the caller had been told: nothing was written.
    Duplicate,
}

/// What one request left in the ledger.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entry {
    fence: u64,
    /// Executions that started.
    pub(crate) opened: u64,
    /// Effects that were accepted, oldest first.
    pub(crate) effects: Vec<Effect>,
    /// Effects that were refused for a stale token.
    pub(crate) fenced: u64,
    /// Starts that were refused for a stale token.
    pub(crate) fenced_starts: u64,
    /// Effects that were refused because one stood already.
    pub(crate) refused_as_duplicate: u64,
    /// Starts with a token that had been used before.
    pub(crate) reused_tokens: u64,
}

/// An accepted effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Effect {
    /// What was handed out for it.
    pub(crate) receipt: Receipt,
    /// Digest of the payload that it was made from.
    pub(crate) payload: u64,
}

impl Ledger {
    /// An empty ledger for this many requests.
    pub(crate) fn new(requests: usize) -> Self {
        Self { entries: (0..requests).map(|_| Mutex::default()).collect() }
    }

    /// An attempt shows its token before it works.
    pub(crate) fn open(&self, request: u32, token: u64) -> Opening {
        let mut entry = self.entry(request);
        if token < entry.fence {
            entry.fenced_starts += 1;
            return Opening::Fenced;
        }
        entry.reused_tokens += u64::from(token == entry.fence);
        entry.fence = token;
        match entry.effects.first() {
            Some(effect) => Opening::Committed(effect.receipt),
            None => {
                entry.opened += 1;
                Opening::Open
            }
        }
    }

    /// An attempt writes its effect, with the token that it opened with.
    pub(crate) fn commit(&self, request: u32, token: u64, payload: u64) -> Commit {
        let mut entry = self.entry(request);
        if token != entry.fence {
            entry.fenced += 1;
            return Commit::Fenced;
        }
        if !entry.effects.is_empty() {
            entry.refused_as_duplicate += 1;
            return Commit::Duplicate;
        }
        Commit::Accepted(entry.write(request, payload))
    }

    /// An execution without coordination starts: nothing is checked.
    pub(crate) fn open_unfenced(&self, request: u32) {
        self.entry(request).opened += 1;
    }

    /// An execution without coordination writes its effect: nothing is checked.
    pub(crate) fn commit_unfenced(&self, request: u32, payload: u64) -> Receipt {
        self.entry(request).write(request, payload)
    }

    /// Whether this receipt was handed out for the request's first effect.
    pub(crate) fn is_effect(&self, request: u32, receipt: Option<Receipt>) -> bool {
        self.entry(request).effects.first().map(|effect| effect.receipt) == receipt
            && receipt.is_some()
    }

    /// What every request left, by request. Costs a copy of the whole ledger.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        (0..self.entries.len()).map(|request| self.entry(request as u32).clone()).collect()
    }

    /// No code panics while it holds an entry, and each change is whole before the next call, so
    /// that a poisoned mutex still guards a sound entry.
    fn entry(&self, request: u32) -> MutexGuard<'_, Entry> {
        self.entries[request as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn write(&mut self, request: u32, payload: u64) -> Receipt {
        let receipt = (u64::from(request) << 32) | self.effects.len() as u64;
        self.effects.push(Effect { receipt, payload });
        receipt
    }
}

#[cfg(test)]
mod tests;
