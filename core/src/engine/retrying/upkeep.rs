//! Upkeep: what is looked at in turn, whether anything is due or not. Slots are swept, and slots
//! and entries are looked at for transitions that do not end.
//!
//! A part of the table is owed each second, so that all of it is looked at once a minute; it is
//! done a bounded part in a call, by whoever calls next.

use std::ops::Range;

use super::super::Engine;
use crate::sync::planted::Bug;
use crate::table::{PART, Rules};

/// What one process owes.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    /// Until when it was counted.
    counted_ms: u64,
    /// How many parts are to be swept.
    parts: usize,
    /// How many places are to be looked at: slots, and entries behind them; and the next one.
    places: usize,
    next: usize,
}

/// How much there is.
#[derive(Clone, Copy)]
struct Whole {
    parts: usize,
    places: usize,
}

impl Upkeep {
    /// Counts what has come to be owed. True: a turn has begun.
    fn count(&mut self, now_ms: u64, whole: Whole) -> bool {
        let turns = (now_ms.saturating_sub(self.counted_ms) / TURN_MS).min(TURNS) as usize;
        if turns == 0 {
            return false;
        }
        self.counted_ms = now_ms;
        let in_turns = |all: usize| turns * all.div_ceil(TURNS as usize);
        self.parts = (self.parts + in_turns(whole.parts)).min(whole.parts);
        let places = in_turns(whole.places).max(turns * LEAST_PLACES);
        self.places = (self.places + places).min(whole.places);
        true
    }

    /// Takes what is done in one call: parts, and places, which are no more than `limit` together,
    /// up to a whole part.
    fn take(&mut self, limit: usize, whole: Whole) -> (usize, Range<usize>) {
        let limit = if Bug::UpkeepAtOnce.is_planted() { usize::MAX } else { limit };
        let parts = self.parts.min(limit.div_ceil(PART));
        self.parts -= parts;
        let left = limit.saturating_sub(parts * PART);
        let places = self.next..whole.places.min(self.next + self.places.min(left));
        self.places -= places.len();
        self.next = if places.end < whole.places { places.end } else { 0 };
        (parts, places)
    }

    /// Whether there is more to be done now.
    pub(super) fn is_owed(&self) -> bool {
        self.parts + self.places > 0
    }
}

impl Engine {
    /// Files the upkeep, which is one more thing that is due now and then.
    pub(super) fn file_upkeep(&self, rules: &Rules) {
        let number = self.table.retry_entries();
        let mut index = self.scheduler().index();
        if !index.is_filed(number) {
            index.upkeep.counted_ms = rules.now_ms;
            index.file(number, rules.now_ms.saturating_add(TURN_MS));
        }
    }

    /// Does some of what is owed, no more than `limit` slots and entries, and files the rest.
    pub(super) fn keep_up(&self, rules: &Rules, limit: usize) {
        let parts = self.table.parts();
        let whole = Whole { parts, places: self.table.slots() + self.table.retry_entries() };
        let (turned, parts, places) = {
            let mut index = self.scheduler().index();
            let turned = index.upkeep.count(rules.now_ms, whole);
            let (parts, places) = index.upkeep.take(limit, whole);
            (turned, parts, places)
        };
        self.sweep_parts(parts, rules);
        self.look_for_stuck(places, rules.now_ms);
        if turned {
            self.look_again(rules.now_ms);
        }
        let mut index = self.scheduler().index();
        let pause = if index.upkeep.is_owed() { 0 } else { TURN_MS };
        index.file(self.table.retry_entries(), rules.now_ms.saturating_add(pause));
    }
}

/// So often there is a turn, and in so many turns all of the table is looked at.
const TURN_MS: u64 = 1_000;
const TURNS: u64 = 60;
/// So many places are looked at in each turn: all of a small table, once in a few seconds.
const LEAST_PLACES: usize = 1_024;

#[cfg(all(test, not(any(oncegate_loom, oncegate_shuttle))))]
mod tests {
    use super::*;

    /// Goal: no call does more than its limit, and all is looked at once a minute, however much
    /// there is. Method: tables of many sizes, and limits, over two minutes; and one call after an
    /// hour in which nobody came.
    #[test]
    fn calls_are_bounded_and_all_is_looked_at() {
        for (slots, entries, limit) in [(64, 8, 1_000), (80_000, 700, 10), (2_000_000, 90_000, 999)]
        {
            let whole = Whole { parts: slots / PART, places: slots + entries };
            let mut upkeep = Upkeep::default();
            let (mut swept, mut looked_at) = (0, vec![0_u32; whole.places]);
            for second in 1..=2 * TURNS {
                assert!(upkeep.count(second * TURN_MS, whole));
                assert!(!upkeep.count(second * TURN_MS + 999, whole), "once a second");
                while upkeep.is_owed() {
                    let (parts, places) = upkeep.take(limit, whole);
                    assert!(parts * PART + places.len() <= limit.next_multiple_of(PART));
                    swept += parts * PART;
                    places.for_each(|place| looked_at[place] += 1);
                }
            }
            assert!(swept >= 2 * slots && looked_at.iter().all(|times| *times >= 2));
            assert!(upkeep.count(3_600_000, whole));
            assert!(upkeep.parts <= whole.parts && upkeep.places <= whole.places);
        }
    }
}
