//! Search: a fingerprint's record in its two sets.

use super::Table;
use super::control::Snapshot;
use super::slot::Identity;
use crate::region::WAYS;
use crate::sync::planted::Bug;

/// Where a fingerprint's record may lie, and how to recognise it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Probe {
    pub(super) identity: Identity,
    pub(crate) home: usize,
    pub(super) alternate: usize,
    /// The way in which a record lies that found its home set empty enough.
    pub(super) way: usize,
    pub(super) tag: u16,
}

/// A record that matched, as it was when it matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) slot: usize,
    pub(crate) seen: Snapshot,
}

impl Probe {
    /// Splits a fingerprint, whose bits are uniform, among `sets` sets.
    #[inline]
    pub(crate) fn new(fingerprint: [u64; 4], sets: usize) -> Self {
        let [first, second, ..] = fingerprint;
        let spread = |bits: u64| (((bits & 0xffff_ffff) * sets as u64) >> 32) as usize;
        let home = spread(first);
        let other = spread(first >> 32);
        let alternate = if other == home { (home + 1) % sets } else { other };
        let tag = (second >> 48) as u16;
        Self {
            identity: Identity::new(fingerprint),
            home,
            alternate,
            way: (second >> 40) as usize % WAYS,
            tag: if tag == 0 { 1 } else { tag },
        }
    }
}

#[cfg(any(oncegate_loom, oncegate_shuttle))]
impl Probe {
    pub(crate) fn place(&self) -> ([usize; 2], usize, u16) {
        ([self.home, self.alternate], self.way, self.tag)
    }
}

impl Table {
    #[inline]
    pub(crate) fn probe(&self, fingerprint: [u64; 4]) -> Probe {
        Probe::new(fingerprint, self.sets())
    }

    /// Asks for the lines that a search of `probe` reads first.
    #[inline]
    pub(crate) fn prefetch(&self, probe: &Probe) {
        self.region.prefetch(probe.home, probe.alternate, probe.home * WAYS + probe.way);
    }

    /// The record of `probe`, if there is one. A record that is being inserted is not there yet.
    #[inline]
    pub(crate) fn search(&self, probe: &Probe) -> Option<Found> {
        self.search_set(probe, probe.home).or_else(|| {
            let skipped = Bug::AlternateNotSearched.is_planted();
            if skipped { None } else { self.search_set(probe, probe.alternate) }
        })
    }

    #[inline]
    fn search_set(&self, probe: &Probe, set: usize) -> Option<Found> {
        let mut ways = self.line(set).matching(probe.tag);
        ways.find_map(|way| self.confirm(set * WAYS + way, probe.identity))
    }

    /// Whether `slot` holds `identity` (rule 1).
    #[inline]
    fn confirm(&self, slot: usize, identity: Identity) -> Option<Found> {
        let at = self.slot(slot);
        let mut seen = at.control().load();
        loop {
            if !seen.state.is_record() || !at.holds(identity) {
                return None;
            }
            let again = at.control().load();
            if again == seen || Bug::MatchNotRechecked.is_planted() {
                return Some(Found { slot, seen });
            }
            seen = again;
        }
    }

    /// Stamps a record as just used.
    #[inline]
    pub(crate) fn touch(&self, slot: usize) {
        let (set, way) = super::place(slot);
        let line = self.line(set);
        line.touch(way, line.arbitration().age_clock());
    }
}

#[cfg(all(test, not(oncegate_loom)))]
mod tests;
