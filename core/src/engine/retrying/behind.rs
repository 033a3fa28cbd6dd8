//! Behind: which entries of retried records have changed and have not been looked at since.
//!
//! Changes are numbered, and the region names the entries of the last so many (see
//! `table::changes`). A look takes in what is new, which costs a step for each change, or one for
//! each block of entries where it has missed too many; what it finds waits here to be looked at, in
//! the order of the changes, as much at a time as the caller likes.

use std::collections::VecDeque;
use std::ops::Range;

use crate::region::geometry::{RECENT_CHANGES, RETRIES_PER_CHANGE};
use crate::sync::planted::Bug;

/// Entries that are to be looked at.
#[derive(Default)]
pub(super) struct Behind {
    /// How many changes there were when they were taken in last; `None`: all entries are new.
    seen: Option<u64>,
    /// How often each block had changed when all blocks were compared last.
    seen_of: Vec<u64>,
    queue: VecDeque<Range<usize>>,
    /// Whether each block is in the queue, as a whole.
    is_queued: Vec<bool>,
    /// How many entries are in the queue.
    entries: usize,
    /// Which block is looked at next, whether it has changed or not, and when one was last.
    turn: usize,
    turned_ms: u64,
}

/// What a region says of its changes.
pub(super) trait Changes {
    /// How many there were.
    fn in_all(&self) -> u64;
    /// How many there were of a block.
    fn of_block(&self, block: usize) -> u64;
    /// Which entry the change of this number was of, if that is still known.
    fn entry(&self, change: u64) -> Option<usize>;
}

impl Behind {
    /// Takes in what has changed about `entries` since the last call.
    pub(super) fn take_in(&mut self, entries: usize, changes: &impl Changes) {
        let in_all = changes.in_all();
        let blocks = entries.div_ceil(RETRIES_PER_CHANGE);
        match self.seen.replace(in_all) {
            Some(seen) if in_all.wrapping_sub(seen) <= RECENT_CHANGES as u64 => {
                let new = (0..in_all.wrapping_sub(seen)).map(|step| seen.wrapping_add(step));
                for change in new {
                    match changes.entry(change) {
                        Some(entry) => self.queue_entry(entry),
                        None if Bug::UnnamedChangeMissed.is_planted() => {}
                        None => return self.compare(blocks, changes),
                    }
                }
            }
            Some(_) => self.compare(blocks, changes),
            None => {
                self.seen_of = (0..blocks).map(|block| changes.of_block(block)).collect();
                self.is_queued.resize(blocks, false);
                (0..blocks).for_each(|block| self.queue_block(block));
            }
        }
    }

    /// Queues the blocks that have changed since all were compared last.
    fn compare(&mut self, blocks: usize, changes: &impl Changes) {
        for block in 0..blocks {
            let now = changes.of_block(block);
            if std::mem::replace(&mut self.seen_of[block], now) != now {
                self.queue_block(block);
            }
        }
    }

    /// Queues the blocks whose turn it is to be looked at without a change: a process that died
    /// before it counted what it changed tells nobody.
    pub(super) fn take_turn(&mut self, now_ms: u64) {
        let blocks = self.is_queued.len();
        if blocks == 0 || now_ms < self.turned_ms.saturating_add(TURN_MS) {
            return;
        }
        self.turned_ms = now_ms;
        let (first, most) = (self.turn, blocks.div_ceil(TURNS));
        self.turn = (first + most) % blocks;
        (first..first + most).for_each(|block| self.queue_block(block % blocks));
    }

    fn queue_entry(&mut self, entry: usize) {
        let block = entry / RETRIES_PER_CHANGE;
        if self.queue.len() >= MOST_ALONE {
            // However often they change, they are no more than there are blocks.
            self.queue_block(block);
        } else if !self.is_queued[block] {
            self.queue.push_back(entry..entry + 1);
            self.entries += 1;
        }
    }

    fn queue_block(&mut self, block: usize) {
        if !std::mem::replace(&mut self.is_queued[block], true) {
            let first = block * RETRIES_PER_CHANGE;
            self.queue.push_back(first..first + RETRIES_PER_CHANGE);
            self.entries += RETRIES_PER_CHANGE;
        }
    }

    /// The entries that are to be looked at next: one, or those of a block. There may be fewer.
    pub(super) fn next(&mut self) -> Option<Range<usize>> {
        let next = self.queue.pop_front()?;
        self.entries -= next.len();
        if next.len() == RETRIES_PER_CHANGE {
            self.is_queued[next.start / RETRIES_PER_CHANGE] = false;
        }
        Some(next)
    }

    /// How many entries are to be looked at.
    pub(super) fn entries(&self) -> usize {
        self.entries
    }

    /// Whether the first `in_all` changes are all there were when they were taken in, and their
    /// entries have been looked at.
    pub(super) fn has_seen(&self, in_all: u64) -> bool {
        self.seen == Some(in_all) && self.queue.is_empty()
    }

    /// Takes in the change of this number, which the caller has made and looks after himself.
    /// False: it has been taken in, or others before it have not.
    pub(super) fn take_own(&mut self, change: u64) -> bool {
        let is_next = self.seen == Some(change);
        if is_next {
            self.seen = Some(change.wrapping_add(1));
        }
        is_next
    }

    /// Whether anybody here has ever looked.
    pub(super) fn looks(&self) -> bool {
        !self.is_queued.is_empty()
    }

    /// All entries are new.
    pub(super) fn forget(&mut self) {
        self.seen = None;
    }
}

/// So many entries are queued by themselves.
const MOST_ALONE: usize = RECENT_CHANGES;
/// All entries are looked at in so many turns, of so long.
const TURNS: usize = 60;
const TURN_MS: u64 = 1_000;

#[cfg(all(test, not(any(oncegate_loom, oncegate_shuttle))))]
mod tests {
    use super::*;

    /// A region's changes: the entry of each, where it was named.
    #[derive(Default)]
    struct Made(Vec<(usize, bool)>);

    impl Changes for Made {
        fn in_all(&self) -> u64 {
            self.0.len() as u64
        }

        fn of_block(&self, block: usize) -> u64 {
            let of_block = |(entry, _): &&(usize, bool)| entry / RETRIES_PER_CHANGE == block;
            self.0.iter().filter(of_block).count() as u64
        }

        fn entry(&self, change: u64) -> Option<usize> {
            let (entry, named) = self.0[change as usize];
            named.then_some(entry)
        }
    }

    const ENTRIES: usize = 1_000;

    fn all(behind: &mut Behind) -> Vec<Range<usize>> {
        std::iter::from_fn(|| behind.next()).collect()
    }

    /// What has seen everything so far.
    fn abreast(made: &Made) -> Behind {
        let mut behind = Behind::default();
        behind.take_in(ENTRIES, made);
        let looked_at: usize = all(&mut behind).iter().map(ExactSizeIterator::len).sum();
        assert!(looked_at >= ENTRIES && behind.has_seen(made.in_all()));
        behind
    }

    /// Goal: a change costs a look at the entry that changed. Method: three changes of two entries.
    #[test]
    fn change_is_one_entry() {
        let mut made = Made::default();
        let mut behind = abreast(&made);
        made.0.extend([(7, true), (700, true), (7, true)]);
        behind.take_in(ENTRIES, &made);
        assert!(!behind.has_seen(3));
        assert_eq!(behind.entries(), 3);
        assert_eq!(all(&mut behind), [7..8, 700..701, 7..8]);
        assert!(behind.has_seen(3) && behind.entries() == 0);
    }

    /// Goal: a change that nobody named is looked at. Method: whoever made it died before.
    #[test]
    fn unnamed_change_is_looked_at() {
        let mut made = Made::default();
        let mut behind = abreast(&made);
        made.0.extend([(7, true), (700, false), (70, true)]);
        behind.take_in(ENTRIES, &made);
        let looked_at = all(&mut behind);
        for changed in [7, 700, 70] {
            assert!(looked_at.iter().any(|some| some.contains(&changed)), "{changed}");
        }
        behind.take_in(ENTRIES, &made);
        assert_eq!(all(&mut behind), [], "nothing has changed since");
    }

    /// Goal: whoever missed more than is remembered looks at all that changed, once. Method: many
    /// changes of few entries, none of them remembered.
    #[test]
    fn many_changes_are_looked_at_by_block() {
        let mut made = Made::default();
        let mut behind = abreast(&made);
        made.0.extend((0..2 * RECENT_CHANGES).map(|change| (change % 100, false)));
        behind.take_in(ENTRIES, &made);
        assert_eq!(all(&mut behind), [0..64, 64..128]);
    }

    /// Goal: the queue is bounded, whatever changes while nobody looks. Method: twenty thousand
    /// changes, taken in as they come.
    #[test]
    fn queue_is_bounded() {
        let mut made = Made::default();
        let mut behind = abreast(&made);
        for change in 0..20_000 {
            made.0.push((change * 31 % ENTRIES, true));
            if change % 100 == 0 {
                behind.take_in(ENTRIES, &made);
            }
        }
        let most = MOST_ALONE + ENTRIES.div_ceil(RETRIES_PER_CHANGE);
        assert!(behind.queue.len() <= most, "{} parts", behind.queue.len());
        let looked_at = all(&mut behind);
        assert!((0..ENTRIES).all(|entry| looked_at.iter().any(|some| some.contains(&entry))));
    }

    /// Goal: a change counts as taken in by whoever made it only if nothing before it is left.
    /// Method: of two changes the later one comes first.
    #[test]
    fn own_change_is_taken_in_its_turn() {
        let mut made = Made::default();
        let mut behind = abreast(&made);
        made.0.extend([(7, true), (8, true)]);
        assert!(!behind.take_own(1), "the one before is not taken in");
        assert!(behind.take_own(0) && behind.take_own(1) && !behind.take_own(1));
        behind.take_in(ENTRIES, &made);
        assert_eq!(all(&mut behind), []);
    }

    /// Goal: every entry has its turn within a minute, changed or not. Method: a look each second.
    #[test]
    fn every_block_has_its_turn() {
        let made = Made::default();
        let mut behind = abreast(&made);
        let mut looked_at = vec![false; ENTRIES.next_multiple_of(RETRIES_PER_CHANGE)];
        for second in 1..=TURNS as u64 {
            behind.take_turn(second * TURN_MS);
            let turn = all(&mut behind);
            behind.take_turn(second * TURN_MS);
            assert_eq!(all(&mut behind), [], "once a second");
            turn.into_iter().flatten().for_each(|entry| looked_at[entry] = true);
        }
        assert!(looked_at.into_iter().all(|seen| seen));
    }
}
