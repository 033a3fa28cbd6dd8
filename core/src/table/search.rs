//! Search: a fingerprint's record in its two sets.

use super::Table;
use super::control::Snapshot;
use super::set::{Arbitration, SetLine};
use super::slot::{Identity, Slot};
use crate::region::WAYS;
use crate::sync::AtomicU64;
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

/// The same with the words that a replay reads.
#[derive(Clone, Copy)]
pub(crate) struct Hit<'a> {
    pub(crate) found: Found,
    pub(crate) at: Slot<'a>,
    /// The words beside the record (rule 6).
    pub(crate) inline: &'a [AtomicU64],
    line: SetLine<'a>,
}

impl Probe {
    /// Splits a fingerprint, whose bits are uniform, among `sets` sets.
    #[inline(always)]
    pub(crate) fn new(fingerprint: [u64; 4], sets: usize) -> Self {
        let [first, second, ..] = fingerprint;
        let (home, other) = homes(first, sets);
        let next = if home + 1 == sets { 0 } else { home + 1 };
        let alternate = if other == home { next } else { other };
        let (way, tag) = way_and_tag(second);
        Self { fingerprint, home: home as u32, alternate: alternate as u32, way: way as u8, tag }
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
}

/// The set in which a look-up begins, and another one, which may be the same.
#[inline(always)]
pub(super) fn homes(first: u64, sets: usize) -> (usize, usize) {
    // Slots are named with 28 bits, so that sets are below 2^32.
    let spread = |bits: u64| (((bits & 0xffff_ffff) * sets as u64) >> 32) as usize;
    (spread(first), spread(first >> 32))
}

#[inline(always)]
pub(super) fn way_and_tag(second: u64) -> (usize, u8) {
    let tag = (second >> 56) as u8;
    ((second >> 48) as usize % WAYS, tag.max(1))
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

    /// Asks for the lines of both sets: the first of two steps, for many probes at once.
    #[inline]
    pub(crate) fn prefetch_sets(&self, probe: &Probe) {
        self.region.prefetch_set(probe.home());
        self.region.prefetch_set(probe.alternate());
    }

    /// Asks for the slots that the lines of both sets name, and gives the first of them: the second
    /// step. If there is none, it asks for those that an insertion would look at, and gives how the
    /// home was before, for an insertion to build on.
    #[inline]
    pub(crate) fn prefetch_named(&self, probe: &Probe) -> Result<usize, Arbitration> {
        let seen = self.line(probe.home()).arbitration();
        let mut first = None;
        for set in [probe.home(), probe.alternate()] {
            for way in self.line(set).matching(probe.tag) {
                let slot = set * WAYS + way;
                self.region.prefetch_slot(slot);
                first = first.or(Some(slot));
            }
        }
        first.ok_or_else(|| {
            self.prefetch_room(probe);
            seen
        })
    }

    /// The record of `fingerprint`, if it lies in `slot`, which belongs to one of its sets.
    #[inline(always)]
    pub(crate) fn look_at(&self, slot: usize, fingerprint: &[u64; 4]) -> Option<Hit<'_>> {
        let (at, inline) = self.slot_and_inline(slot);
        let seen = confirm(at, fingerprint)?;
        let line = self.line(super::place(slot).0);
        Some(Hit { found: Found { slot, seen }, line, at, inline })
    }

    /// The record of `probe`, if there is one. A record that is being inserted is not there yet.
    #[inline]
    pub(crate) fn search(&self, probe: &Probe) -> Option<Found> {
        self.look(&probe.fingerprint).ok().map(|hit| hit.found)
    }

    /// Whether nobody inserted on the home of `fingerprint` since it was as `looked`.
    #[inline]
    pub(crate) fn stands(&self, fingerprint: &[u64; 4], looked: Arbitration) -> bool {
        self.line(homes(fingerprint[0], self.sets()).0).arbitration() == looked
    }

    /// The record of `fingerprint`; or how its home was before there was none in either set, for
    /// an insertion to build on.
    ///
    /// The line of its second set is asked for before its home is looked at.
    #[inline(always)]
    pub(crate) fn look(&self, fingerprint: &[u64; 4]) -> Result<Hit<'_>, Arbitration> {
        // By reference and word by word: a copy would be read in larger pieces than those it was
        // written in a moment ago, and wait for them.
        let [first, second, ..] = fingerprint;
        let (home, other) = homes(*first, self.sets());
        let (way, tag) = way_and_tag(*second);
        // Of a fingerprint whose sets are one, this is the wrong line, and a hint.
        self.region.prefetch_set(other);
        let line = self.line(home);
        // The same answer as below, but guessed: a processor goes on with the record before it
        // has the line's tags, which is a third of the time of a hot replay.
        if line.has_tag(way, tag)
            && let Some(hit) = self.look_at(home * WAYS + way, fingerprint)
        {
            return Ok(hit);
        }
        let seen = line.arbitration();
        match self.look_in(line, home, tag, fingerprint) {
            Some(hit) => Ok(hit),
            None => self.look_elsewhere(fingerprint).ok_or(seen),
        }
    }

    /// The record of `fingerprint` in its second set.
    #[inline(never)]
    fn look_elsewhere(&self, fingerprint: &[u64; 4]) -> Option<Hit<'_>> {
        if Bug::AlternateNotSearched.is_planted() {
            return None;
        }
        let probe = self.probe(*fingerprint);
        let set = probe.alternate();
        self.look_in(self.line(set), set, probe.tag, fingerprint)
    }

    #[inline(always)]
    fn look_in<'t>(
        &'t self,
        line: SetLine<'t>,
        set: usize,
        tag: u8,
        fingerprint: &[u64; 4],
    ) -> Option<Hit<'t>> {
        line.matching(tag).find_map(|way| self.look_at(set * WAYS + way, fingerprint))
    }

    /// Stamps a record as just used.
    #[inline]
    pub(crate) fn touch(&self, slot: usize) {
        let (set, way) = super::place(slot);
        let line = self.line(set);
        line.touch(way, line.age_clock());
    }
}

impl Hit<'_> {
    /// Stamps the record as just used.
    #[inline(always)]
    pub(crate) fn touch(&self) {
        self.line.touch(self.found.slot % WAYS, self.line.age_clock());
    }
}

/// What `at` says, if it holds the record of `fingerprint` (rule 1).
#[inline(always)]
fn confirm(at: Slot<'_>, fingerprint: &[u64; 4]) -> Option<Snapshot> {
    let mut seen = at.control().load();
    loop {
        if !seen.state().is_record() || !at.holds(fingerprint) {
            return None;
        }
        let again = at.control().load();
        if again == seen || Bug::MatchNotRechecked.is_planted() {
            return Some(seen);
        }
        seen = again;
    }
}

#[cfg(all(test, not(oncegate_loom)))]
mod tests;
