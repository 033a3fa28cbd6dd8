//! The raw wheel: entries of one word, filed by due tick, and handed out when it has come.
//!
//! A hierarchical timing wheel (Varghese & Lauck, "Hashed and Hierarchical Timing Wheels", SOSP
//! 1987, scheme 6), with buckets that are logs instead of lists. A due tick is read as digits:
//!
//! ```text
//!   63            40 39          28 27      20 19        10 9          0
//!  +----------------+--------------+----------+------------+------------+
//!  |     epoch      |   level 3    | level 2  |  level 1   |  level 0   |
//!  +----------------+--------------+----------+------------+------------+
//! ```
//!
//! The cursor is a tick. An entry lies at the highest digit in which its due tick differs from
//! the cursor: so all above that digit is the cursor's, the digit is the bucket, and the entry
//! itself has to keep the digits below. That leaves room for everything in one word:
//!
//! ```text
//!   63              36 35     28 27                            0
//!  +------------------+---------+-------------------------------+
//!  |     id (28)      | tag (8) |  low bits of the due tick (28) |
//!  +------------------+---------+-------------------------------+
//! ```
//!
//! Entries whose epoch is another one have two words; the second is the due tick.
//!
//! Rules:
//!
//! 1. All due ticks are at or after the cursor; what is filed late is due at the cursor.
//! 2. At a level above the lowest, no entry lies in a bucket before the cursor's digit; and none
//!    in the cursor's own bucket either, once that was cascaded (`settled`).
//! 3. The cursor goes from one full bucket to the next, in order of time, and never beyond the
//!    time that it was given. The lowest level that holds anything has the earliest entry.
//! 4. Before anything of the cursor's tick is handed out, the cursor's own buckets are cascaded,
//!    from the highest level down.

use std::collections::BTreeMap;

use super::level::Level;
use super::pool::{CHUNK, Chain, MODELLED, Pool};
use crate::sync::planted::Bug;

/// What was filed, as it comes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The caller's number, below [`MAX_IDS`].
    pub(crate) id: u32,
    /// The caller's mark.
    pub(crate) tag: u8,
}

/// What becomes of an entry that a sweep looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It stays where it is.
    Stays,
    /// It is of no use any more.
    Goes,
}

/// A wheel of one owner, whose ids the caller chooses, and whose entries only the caller can tell
/// live from dead. It knows neither a clock nor a thread.
pub(crate) struct Wheel {
    pool: Pool,
    levels: [Level; LEVELS],
    /// Entries of later epochs, two words each.
    far: BTreeMap<u64, Chain>,
    /// Entries of the cursor's tick that have come up: handed out next, from `ready_at` on.
    ready: [u64; CHUNK],
    ready_at: usize,
    ready_len: usize,
    /// Words that the caller puts aside, in chunks that entries have left.
    parked: Chain,
    cursor: u64,
    /// The latest time that the wheel was told of. The cursor is behind it where a limit ended an
    /// advance.
    told: u64,
    /// Whether the cursor's own buckets above the lowest level are empty.
    settled: bool,
    entries: usize,
    swept: Swept,
    /// Entries that were handed out, or moved to another level.
    #[cfg(test)]
    touched: usize,
}

/// How far a pass of the sweep has come.
#[derive(Clone, Copy, Default)]
struct Swept {
    /// The level, [`LEVELS`] for later epochs.
    level: usize,
    /// The next bucket, or epoch.
    next: u64,
    /// How many words of the bucket before it are left.
    left: usize,
}

impl Wheel {
    /// A wheel whose cursor is at tick `start`. About 100 KiB; one pool of chunks grows with the
    /// entries, to 8.2 bytes each.
    pub(crate) fn new(start: u64) -> Self {
        let level = |at: usize| Level::new(SHIFTS[at], BITS[at]);
        Self {
            pool: Pool::default(),
            levels: std::array::from_fn(level),
            far: BTreeMap::new(),
            ready: [0; CHUNK],
            ready_at: 0,
            ready_len: 0,
            parked: Chain::default(),
            cursor: start,
            told: start,
            settled: true,
            entries: 0,
            swept: Swept::default(),
            #[cfg(test)]
            touched: 0,
        }
    }

    /// Files `id` and `tag` until tick `due`; until the next advance, if that has passed. Between
    /// two calls of [`next`](Self::next), what is due now comes out in this advance still: who
    /// files an entry again that has just come out makes it due after `now`.
    ///
    /// O(1): it appends one word.
    #[inline]
    pub(crate) fn insert_raw(&mut self, id: u32, tag: u8, due: u64) {
        debug_assert!(id < MAX_IDS);
        self.entries += 1;
        self.file(u64::from(id) << ID_SHIFT | u64::from(tag) << TAG_SHIFT, due);
    }

    /// How many entries there are, dead ones too.
    #[inline]
    pub(crate) fn entries(&self) -> usize {
        self.entries
    }

    /// The tick before which everything was handed out.
    #[inline]
    pub(crate) fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Bytes that were asked for: levels and chunks, whether they are used or not.
    pub(crate) fn bytes(&self) -> usize {
        let buckets: usize = BITS.iter().map(|bits| (1_usize << bits) * size_of::<Chain>()).sum();
        self.pool.bytes() + buckets
    }

    /// A tick that is not later than the first entry is due. O(levels).
    pub(crate) fn next_due(&self) -> Option<u64> {
        if self.ready_at < self.ready_len || !self.settled && self.unsettled_level().is_some() {
            return Some(self.cursor);
        }
        let now = self.levels[0].digit(self.cursor);
        if !self.levels[0].bucket(now).is_empty() {
            return Some(self.cursor);
        }
        self.next_stop()
    }

    /// Hands out the next entry that is due at `now`, or before, in order of due ticks; nothing
    /// when there is none, or when `left` is used up. It counts down with each entry that is
    /// handed out or moved to a lower level.
    ///
    /// `ahead` is shown entries shortly before they are handed out, so that whoever needs memory
    /// of theirs can ask for that of several at once.
    #[inline]
    pub(crate) fn next(
        &mut self,
        now: u64,
        left: &mut usize,
        mut ahead: impl FnMut(Entry),
    ) -> Option<Entry> {
        loop {
            if *left > 0 && self.ready_at < self.ready_len {
                let word = self.ready[self.ready_at];
                self.ready_at += 1;
                *left -= usize::from(!Bug::AdvanceUnbounded.is_planted());
                self.entries -= 1;
                self.touch(1);
                return Some(entry(word));
            }
            if !self.step(now, left) {
                return None;
            }
            let lowest = &self.levels[0];
            if let Some(digit) = lowest.first_from(lowest.digit(self.cursor) + 1) {
                let coming = lowest.bucket(digit).front(&self.pool);
                coming.iter().for_each(|word| ahead(entry(*word)));
            }
        }
    }

    /// Whether anything is left that is due at `now`, as far as the wheel can tell.
    pub(crate) fn has_due(&self, now: u64) -> bool {
        self.next_due().is_some_and(|due| due <= now.max(self.told))
    }

    /// Puts `word` aside; words come back in order. They use the memory that entries have left.
    #[inline]
    pub(crate) fn park(&mut self, word: u64) {
        self.parked.push(&mut self.pool, word);
    }

    /// The word that was put aside first.
    #[inline]
    pub(crate) fn unpark(&mut self) -> Option<u64> {
        self.parked.pop(&mut self.pool)
    }

    /// Looks at up to `steps` entries, whenever they are due, and drops those that `fate` says.
    /// Calls go on where the last one stopped. True: a pass over all buckets has ended.
    pub(crate) fn sweep(&mut self, steps: usize, mut fate: impl FnMut(Entry) -> Fate) -> bool {
        for _ in 0..steps {
            if self.swept.left == 0 && !self.sweep_on() {
                self.swept = Swept::default();
                return true;
            }
            let Swept { level, next, .. } = self.swept;
            self.swept.left -= 1;
            let pool = &mut self.pool;
            if let Some(level) = self.levels.get_mut(level) {
                let digit = next as usize - 1;
                // Entries may have been handed out, or moved, since the bucket was looked up.
                let Some(word) = level.pop(pool, digit) else {
                    self.swept.left = 0;
                    continue;
                };
                match fate(entry(word)) {
                    Fate::Stays => level.push(pool, digit, word),
                    Fate::Goes => self.entries -= 1,
                }
                continue;
            }
            let epoch = next - 1;
            let chain = self.far.get_mut(&epoch);
            let Some((word, due)) = chain.and_then(|chain| pop_pair(chain, pool)) else {
                self.swept.left = 0;
                continue;
            };
            match fate(entry(word)) {
                Fate::Stays => self.file_far(word, due),
                Fate::Goes => self.entries -= 1,
            }
            if self.far.get(&epoch).is_some_and(Chain::is_empty) {
                self.far.remove(&epoch);
            }
        }
        false
    }

    /// How many chunks are in use.
    #[cfg(test)]
    pub(super) fn chunks_in_use(&self) -> usize {
        self.pool.chunks_in_use()
    }

    /// Counts work, for the tests of its bound.
    #[inline]
    fn touch(&mut self, count: usize) {
        #[cfg(test)]
        {
            self.touched += count;
        }
        let _ = count;
    }

    #[inline]
    fn file(&mut self, named: u64, due: u64) {
        let due = due.max(self.cursor);
        let differ = due ^ self.cursor;
        let beyond = u64::from(Bug::CascadeOffByOne.is_planted());
        let level = match differ {
            _ if differ < (1 << SHIFTS[1]) + beyond => 0,
            _ if differ < 1 << SHIFTS[2] => 1,
            _ if differ < 1 << SHIFTS[3] => 2,
            _ if differ < 1 << EPOCH_SHIFT => 3,
            _ => return self.file_far(named, due),
        };
        let level = &mut self.levels[level];
        let digit = level.digit(due);
        level.push(&mut self.pool, digit, named | due & LOW);
    }

    #[cold]
    fn file_far(&mut self, word: u64, due: u64) {
        let chain = self.far.entry(due >> EPOCH_SHIFT).or_default();
        chain.push(&mut self.pool, word);
        chain.push(&mut self.pool, due);
    }

    /// Makes entries ready: cascades, and moves the cursor on. False: there is nothing more to do
    /// up to `now`, or nothing that `left` allows.
    fn step(&mut self, now: u64, left: &mut usize) -> bool {
        let now = now.max(self.told);
        self.told = now;
        if self.ready_at < self.ready_len {
            return false;
        }
        loop {
            if !self.settled && !self.cascade(left) {
                return false;
            }
            self.settled = true;
            let digit = self.levels[0].digit(self.cursor);
            self.ready_len = self.levels[0].pop_many(&mut self.pool, digit, CHUNK, &mut self.ready);
            self.ready_at = 0;
            if self.ready_len > 0 {
                return *left > 0;
            }
            let early = u64::from(Bug::FiresEarly.is_planted());
            let stop = self.next_stop_within(now);
            let Some(stop) = stop.filter(|stop| *stop <= now.saturating_add(early)) else {
                self.cursor = now;
                return false;
            };
            self.settled = stop & ((1 << SHIFTS[1]) - 1) != 0;
            self.cursor = stop;
        }
    }

    /// Empties the cursor's own buckets into lower levels, the highest first. False: `left` did
    /// not allow all of it.
    fn cascade(&mut self, left: &mut usize) -> bool {
        let epoch = self.cursor >> EPOCH_SHIFT;
        while let Some(chain) = self.far.get_mut(&epoch) {
            if *left == 0 {
                return false;
            }
            let Some((word, due)) = pop_pair(chain, &mut self.pool) else {
                self.far.remove(&epoch);
                break;
            };
            *left -= 1;
            self.touch(1);
            self.file(word & !LOW, due);
        }
        for at in (1..LEVELS).rev() {
            let digit = self.levels[at].digit(self.cursor);
            let mut moving = [0; CHUNK];
            while !self.levels[at].bucket(digit).is_empty() {
                let count = self.levels[at].pop_many(&mut self.pool, digit, *left, &mut moving);
                if count == 0 {
                    return false;
                }
                *left -= if Bug::AdvanceUnbounded.is_planted() { 0 } else { count };
                self.touch(count);
                for word in &moving[..count] {
                    self.file(word & !LOW, self.cursor & !LOW | word & LOW);
                }
            }
        }
        true
    }

    /// The highest level at which the cursor's own bucket still holds something.
    fn unsettled_level(&self) -> Option<usize> {
        if self.far.contains_key(&(self.cursor >> EPOCH_SHIFT)) {
            return Some(LEVELS);
        }
        let own = |at: &usize| {
            let level = &self.levels[*at];
            !level.bucket(level.digit(self.cursor)).is_empty()
        };
        (1..LEVELS).rev().find(own)
    }

    /// The first tick of the next bucket that holds anything, after the cursor's own ones.
    #[inline]
    fn next_stop(&self) -> Option<u64> {
        for level in &self.levels {
            if let Some(digit) = level.first_from(level.digit(self.cursor) + 1) {
                return Some(level.start(self.cursor, digit));
            }
        }
        let later = self.far.range((self.cursor >> EPOCH_SHIFT) + 1..).next();
        later.map(|(epoch, _)| epoch << EPOCH_SHIFT)
    }

    #[inline]
    fn next_stop_within(&self, now: u64) -> Option<u64> {
        if Bug::CascadeSkipped.is_planted() && now - self.cursor >= 1 << SHIFTS[2] {
            let upper = self.levels[2..].iter();
            return upper
                .filter_map(|level| {
                    let digit = level.first_from(level.digit(self.cursor) + 1)?;
                    Some(level.start(self.cursor, digit))
                })
                .next();
        }
        self.next_stop()
    }

    /// Turns the sweep to the next bucket that holds anything. False: there is none.
    fn sweep_on(&mut self) -> bool {
        while let Some(level) = self.levels.get(self.swept.level) {
            if let Some(digit) = level.first_from(self.swept.next as usize) {
                self.swept.next = digit as u64 + 1;
                self.swept.left = level.bucket(digit).len();
                return true;
            }
            self.swept = Swept { level: self.swept.level + 1, ..Swept::default() };
        }
        let Some((epoch, chain)) = self.far.range(self.swept.next..).next() else { return false };
        self.swept.next = epoch + 1;
        self.swept.left = chain.len() / 2;
        true
    }
}

fn pop_pair(chain: &mut Chain, pool: &mut Pool) -> Option<(u64, u64)> {
    chain.pop(pool).zip(chain.pop(pool))
}

#[inline]
fn entry(word: u64) -> Entry {
    Entry { id: (word >> ID_SHIFT) as u32, tag: (word >> TAG_SHIFT) as u8 }
}

/// How many ids there are: 268 million.
pub(crate) const MAX_IDS: u32 = 1 << (64 - ID_SHIFT);
const ID_SHIFT: u32 = 36;
const TAG_SHIFT: u32 = 28;
const LEVELS: usize = 4;
/// The widths of the levels' digits. Two wide ones at the bottom: of timers within 17 minutes
/// (ticks of a millisecond) each is moved once on its way, and the ends of 1,024 logs still lie in
/// the second cache. The last one reaches 34 years.
const BITS: [u32; LEVELS] = if MODELLED { [2; LEVELS] } else { [10, 10, 8, 12] };
const SHIFTS: [u32; LEVELS] = [0, BITS[0], BITS[0] + BITS[1], BITS[0] + BITS[1] + BITS[2]];
pub(super) const EPOCH_SHIFT: u32 = SHIFTS[3] + BITS[3];
/// The part of a due tick that an entry keeps: what is below the digit of the highest level.
const LOW: u64 = (1 << SHIFTS[3]) - 1;
const _: () = assert!(SHIFTS[3] <= TAG_SHIFT && BITS[3] <= 12);

#[cfg(all(test, not(any(oncegate_loom, oncegate_shuttle))))]
mod tests;
