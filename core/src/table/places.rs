//! Places: where the entry of a record that is retried may be.
//!
//! An entry is found by its record's slot. Each slot has two short runs of entries, and an entry is
//! made in the one with more room: with one run, or with the first that has room, a few crowded
//! stretches refuse records while a third of all entries is free.

use super::Table;
use super::entry::{Entry, EntryState};
use crate::region::geometry::LINE_WORDS;
use crate::region::header;
use crate::sync::Ordering;
use crate::sync::planted::Bug;

impl Table {
    /// An entry for the record in `slot`, claimed. `None`: as many records are retried as may.
    pub(crate) fn claim_entry(&self, slot: usize) -> Option<Entry> {
        let me = self.region.me();
        for round in 0..2 {
            for index in self.emptier_first(slot) {
                let mut word = self.entry_word(index);
                if round == 1 {
                    word = self.without_leavings(Entry { index, word });
                }
                if word.state() != EntryState::Free {
                    continue;
                }
                // Relaxed: a count that is never too low, since it comes before the claim.
                self.region.header(header::RETRYING).fetch_add(1, Ordering::Relaxed);
                let claimed = word.given(EntryState::Claimed, me, slot);
                if self.swap_entry(index, word, claimed) {
                    return Some(Entry { index, word: claimed });
                }
                self.uncount_entry();
            }
        }
        None
    }

    /// The same as [`places_for`](Self::places_for), beginning with the run that has more room: so
    /// that runs fill evenly.
    fn emptier_first(&self, slot: usize) -> impl Iterator<Item = usize> {
        let count = self.retry_entries();
        let used = |nth: usize| {
            let places = run_among(count, slot, nth);
            places.filter(|&index| self.entry_word(index).state() != EntryState::Free).count()
        };
        let may_choose = count > LOOKED_AT && !Bug::EmptierRunIgnored.is_planted();
        let mut first = 0;
        if may_choose {
            let used_there = used(0);
            // A run that is half empty needs no comparison.
            let is_crowded = used_there >= LOOKED_AT / 4;
            first = usize::from(is_crowded && used(1) < used_there);
        }
        run_among(count, slot, first).chain(run_among(count, slot, 1 - first))
    }

    /// The entries in which a record of `slot` may be found.
    pub(super) fn places_for(&self, slot: usize) -> impl Iterator<Item = usize> {
        places_among(self.retry_entries(), slot)
    }
}

/// The entries, of `count`, in which a record of `slot` may be found: all of them, or two runs.
pub(super) fn places_among(count: usize, slot: usize) -> impl Iterator<Item = usize> {
    run_among(count, slot, 0).chain(run_among(count, slot, 1))
}

/// The `nth` run of them.
fn run_among(count: usize, slot: usize, nth: usize) -> impl Iterator<Item = usize> {
    let length = match nth {
        _ if count > LOOKED_AT => LOOKED_AT / 2,
        0 => count,
        _ => 0,
    };
    let scattered = (slot as u64).wrapping_mul(RUNS[nth]) >> 32;
    let first = match count {
        0 => 0,
        // The high half of the product is a number below the count; a run begins with a line.
        _ if count > LOOKED_AT => {
            ((scattered * count as u64) >> 32) as usize / LINE_WORDS * LINE_WORDS
        }
        _ => scattered as usize % count,
    };
    (first..first + length).map(move |index| if index < count { index } else { index - count })
}

/// How many entries an insertion looks at: eight or nine lines of control words, in two runs of
/// which it takes the emptier. Counted by simulation, filled at random, entries refuse the first
/// when they are 0.91 full of 16,384, 0.86 of 125,000 and 0.81 of a million; with one run of as
/// many, 0.72, 0.66 and 0.58.
const LOOKED_AT: usize = 64;
/// What spreads slots over the starts of the two runs: two odd numbers without pattern.
const RUNS: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xd6e8_feb8_6659_fd93];
