//! The ledger, outside of the engine: which attempts ran from when to when, and what a store that
//! checks fencing tokens took from them.

use std::collections::BTreeMap;

/// An attempt that somebody got.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) attempt: u32,
    pub(crate) token: u64,
    /// When it was given, and until when its lease lasts at the longest.
    pub(crate) began: u64,
    pub(crate) until: u64,
}

/// All attempts and effects.
#[derive(Default)]
pub(crate) struct Ledger {
    entries: BTreeMap<u32, Vec<Entry>>,
    /// The highest token that the store has seen, by request.
    fences: BTreeMap<u32, u64>,
    /// Tokens whose effects the store took, by request, in the order of their coming.
    effects: BTreeMap<u32, Vec<u64>>,
}

impl Ledger {
    pub(crate) fn begin(&mut self, id: u32, attempt: u32, token: u64, began: u64, until: u64) {
        let entry = Entry { attempt, token, began, until };
        self.entries.entry(id).or_default().push(entry);
    }

    /// The lease of `token` lasts until `until`, or ended then.
    pub(crate) fn lasts(&mut self, id: u32, token: u64, until: u64) {
        let entries = self.entries.entry(id).or_default();
        if let Some(entry) = entries.iter_mut().find(|entry| entry.token == token) {
            entry.until = until;
        }
    }

    /// The leases of a process that died end with it.
    pub(crate) fn died(&mut self, leases: impl Iterator<Item = (u32, u64)>, now: u64) {
        for (id, token) in leases {
            let entries = self.entries.entry(id).or_default();
            if let Some(entry) = entries.iter_mut().find(|entry| entry.token == token) {
                entry.until = entry.until.min(now);
            }
        }
    }

    /// An effect with `token` comes to the store: whether it takes it, as
    /// `UPDATE … WHERE fence <= token` does.
    pub(crate) fn write(&mut self, id: u32, token: u64) -> bool {
        let fence = self.fences.entry(id).or_default();
        let takes = *fence <= token;
        if takes {
            *fence = token;
            self.effects.entry(id).or_default().push(token);
        }
        takes
    }

    /// Whether the store took an effect with `token`.
    pub(crate) fn has(&self, id: u32, token: u64) -> bool {
        self.effects.get(&id).is_some_and(|tokens| tokens.contains(&token))
    }

    /// Whether no two leases of one request overlapped (I1, I5), tokens grew with each (I2), and
    /// so did the attempts of one record.
    pub(crate) fn check(&self) -> Result<(), String> {
        for (id, entries) in &self.entries {
            for pair in entries.windows(2) {
                let [before, after] = pair else { continue };
                let apart = before.until <= after.began;
                let grows = before.token < after.token;
                let counts = after.attempt == 1 || after.attempt > before.attempt;
                if !(apart && grows && counts) {
                    return Err(format!("request {id}: {after:?} came after {before:?}"));
                }
            }
        }
        let in_order = |tokens: &Vec<u64>| tokens.is_sorted();
        if !self.effects.values().all(in_order) {
            return Err("the store took an effect of an attempt that was fenced off".to_owned());
        }
        Ok(())
    }

    pub(crate) fn attempts(&self) -> usize {
        self.entries.values().map(Vec::len).sum()
    }
}
