//! Search: a fingerprint's record in its two sets.

use super::Table;
use super::control::Snapshot;
use super::set::Arbitration;
use super::slot::Identity;
use crate::region::WAYS;
use crate::sync::planted::Bug;

/// Where a fingerprint's record may lie, and how to recognise it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Probe {
    fingerprint: [u64; 4],
    home: u32,
    alternate: u32,
    way: u8,
    pub(super) tag: u8,
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
        // Slots are named with 28 bits, so that sets are below 2^32.
        let spread = |bits: u64| (((bits & 0xffff_ffff) * sets as u64) >> 32) as u32;
        let home = spread(first);
        let other = spread(first >> 32);
        let next = if home as usize + 1 == sets { 0 } else { home + 1 };
        let tag = (second >> 56) as u8;
        Self {
            fingerprint,
            home,
            alternate: if other == home { next } else { other },
            way: (second >> 48) as u8 % WAYS as u8,
            tag: tag.max(1),
        }
    }

    /// The set in which a look-up begins, and whose arbitration word decides insertions.
    #[inline]
    pub(crate) fn home(&self) -> usize {
        self.home as usize
    }

    #[inline]
    pub(super) fn alternate(&self) -> usize {
        self.alternate as usize
    }

    /// The way in which a record lies that found it vacant.
    #[inline]
    pub(super) fn way(&self) -> usize {
        usize::from(self.way)
    }

    #[inline]
    pub(super) fn identity(&self) -> Identity {
        Identity::new(self.fingerprint)
    }

    pub(crate) fn fingerprint(&self) -> [u64; 4] {
        self.fingerprint
    }
}

#[cfg(any(oncegate_loom, oncegate_shuttle))]
impl Probe {
    pub(crate) fn place(&self) -> ([usize; 2], usize, u8) {
        ([self.home(), self.alternate()], self.way(), self.tag)
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
        self.region.prefetch_set(probe.home());
        self.region.prefetch_record(probe.home() * WAYS + probe.way());
        self.region.prefetch_set(probe.alternate());
    }

    /// Asks for the lines of both sets: the first of two steps, for many probes at once.
    #[inline]
    pub(crate) fn prefetch_sets(&self, probe: &Probe) {
        self.region.prefetch_set(probe.home());
        self.region.prefetch_set(probe.alternate());
    }

    /// Asks for the slots that the lines of both sets name, or for those that an insertion would
    /// look at: the second step.
    #[inline]
    pub(crate) fn prefetch_named(&self, probe: &Probe) {
        let mut named = false;
        for set in [probe.home(), probe.alternate()] {
            for way in self.line(set).matching(probe.tag) {
                self.region.prefetch_slot(set * WAYS + way);
                named = true;
            }
        }
        if !named {
            self.prefetch_room(probe);
        }
    }

    /// The record of `probe`, if there is one. A record that is being inserted is not there yet.
    #[inline]
    pub(crate) fn search(&self, probe: &Probe) -> Option<Found> {
        self.look(probe).ok()
    }

    /// The record of `probe`; or how its home was before there was none in either set, for an
    /// insertion to build on.
    ///
    /// The way that the fingerprint names comes first: its slot was asked for together with the
    /// set's line.
    #[inline]
    pub(crate) fn look(&self, probe: &Probe) -> Result<Found, Arbitration> {
        if self.line(probe.home()).has_tag(probe.way(), probe.tag)
            && let Some(found) = self.confirm(probe.home() * WAYS + probe.way(), probe.identity())
        {
            return Ok(found);
        }
        let home_seen = self.line(probe.home()).arbitration();
        self.search_set(probe, probe.home())
            .or_else(|| {
                let skipped = Bug::AlternateNotSearched.is_planted();
                if skipped { None } else { self.search_set(probe, probe.alternate()) }
            })
            .ok_or(home_seen)
    }

    #[inline]
    fn search_set(&self, probe: &Probe, set: usize) -> Option<Found> {
        let mut ways = self.line(set).matching(probe.tag);
        ways.find_map(|way| self.confirm(set * WAYS + way, probe.identity()))
    }

    /// Whether `slot` holds `identity` (rule 1).
    #[inline]
    fn confirm(&self, slot: usize, identity: Identity) -> Option<Found> {
        let at = self.slot(slot);
        let mut seen = at.control().load();
        loop {
            if !seen.state().is_record() || !at.holds(identity) {
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
        line.touch(way, line.age_clock());
    }
}

#[cfg(all(test, not(oncegate_loom)))]
mod tests;
