//! The ring of slices behind a ratio budget.
//!
//! Nothing is taken out when a slice is over. Deposits and withdrawals are counted for ever, and
//! the ring remembers what the two counts were when each of the last slices began. What counts is
//! the difference to the beginning of the oldest slice that is still inside the time-to-live.
//!
//! ```text
//!  63                 32 31                  0
//! ┌─────────────────────┬─────────────────────┐
//! │ number of the slice │ count               │  a `Stamp`
//! └─────────────────────┴─────────────────────┘
//! ```
//!
//! - `teller`: the newest slice that anybody has come in, and the withdrawals so far.
//! - `deposits`: the deposits so far.
//! - `marks`: for each slice of the ring, both counts at its beginning.
//!
//! | Change | By whom | How |
//! |---|---|---|
//! | the marks of the teller's slice are set | whoever comes first | swapped in for those of an older slice |
//! | the teller goes on to a newer slice | whoever comes first | swapped, after its slice was marked |
//! | a withdrawal | its caller | the teller is swapped, after its slice was marked |
//! | a deposit | its caller | added, after the teller's slice was marked |
//! | a withdrawal is given back | its caller | added to the marks up to its slice |
//!
//! **Rules.**
//!
//! 1. The teller's count does not change before its slice is marked, and the teller does not leave
//!    a slice before that. So a late helper either marks with the right count, or comes too late
//!    and changes nothing: its swap compares with the older mark.
//! 2. A deposit counts once: in the slice in which it was made, or in the next one where that
//!    begins meanwhile. It is never in a mark that was set before it.
//! 3. The teller only grows, so a withdrawal that swaps it has decided by all withdrawals before
//!    it. Deposits that it did not see, and withdrawals given back meanwhile, would only have left
//!    more.
//! 4. A withdrawal that is given back is added to the marks of its slice and of those before: then
//!    no stretch of time that begins with one of them counts it. Stretches that begin later never
//!    did.
//!
//! A caller with an earlier time than the teller's is served in the teller's slice.

use std::time::Duration;

use crossbeam_utils::CachePadded;

use crate::retry::budget::exhausted::Shortage;
use crate::retry::budget::{MILLI, millis, swap};
use crate::sync::planted::Bug;
use crate::sync::{AtomicU64, Ordering};

/// What a ratio budget has counted, and its rules in thousandths of a retry.
pub(in crate::retry::budget) struct Ring {
    /// First attempts and retries come from different threads.
    teller: CachePadded<AtomicU64>,
    deposits: CachePadded<AtomicU64>,
    marks: Box<[Marks]>,
    slice_ms: u64,
    reserve: u64,
    per_deposit: u64,
}

/// What the counts were when a slice began.
struct Marks {
    withdrawn: AtomicU64,
    deposited: AtomicU64,
}

impl Ring {
    pub(super) fn new(slices: u32, slice_ms: u64, reserve: u64, per_deposit: u64) -> Self {
        let word = || AtomicU64::new(Stamp { slice: NEVER, count: 0 }.pack());
        let marks = (0..slices).map(|_| Marks { withdrawn: word(), deposited: word() });
        Self {
            teller: CachePadded::new(word()),
            deposits: CachePadded::new(AtomicU64::new(0)),
            marks: marks.collect(),
            slice_ms,
            reserve,
            per_deposit,
        }
    }

    pub(in crate::retry::budget) fn deposit(&self, now: Duration) {
        self.enter(now);
        // Relaxed: whoever set a mark before this read the count before, and `enter` saw the mark.
        self.deposits.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes one retry; gives the slice in which it was taken.
    pub(in crate::retry::budget) fn take(&self, now: Duration) -> Result<u32, Shortage> {
        loop {
            let teller = self.enter(now);
            let Some(left) = self.balance(teller) else { continue };
            if left < MILLI {
                // Acquire: pairs with the Release of `swap`; the refusal was decided by one state.
                if self.teller.load(Ordering::Acquire) != teller.pack() {
                    continue;
                }
                let refills_in = self.refills_in(teller, now);
                return Err(Shortage { needed: MILLI, left, refills_in });
            }
            let count = teller.count.wrapping_add(1);
            if swap(&self.teller, teller.pack(), Stamp { count, ..teller }.pack()).is_ok() {
                return Ok(teller.slice);
            }
        }
    }

    /// A retry that was taken in `slice` never started: rule 4.
    pub(in crate::retry::budget) fn give_back(&self, slice: u32) {
        // Acquire: pairs with the Release of `swap`; the count only grows, and what is given back
        // was counted before.
        let withdrawn = Stamp::of(self.teller.load(Ordering::Acquire)).count;
        for marks in &self.marks {
            // AcqRel and Acquire: pairs with the Acquire of `mark_at`; the mark is still that of
            // the same slice.
            let _ = marks.withdrawn.fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
                let mark = Stamp::of(word);
                let counts_it = mark.slice != NEVER && !is_newer(mark.slice, slice);
                // No more comes back than was withdrawn, whatever a foreign receipt says.
                let counts_it = counts_it && withdrawn.wrapping_sub(mark.count) as i32 > 0;
                counts_it.then(|| Stamp { count: mark.count.wrapping_add(1), ..mark }.pack())
            });
        }
    }

    /// Whole retries.
    pub(in crate::retry::budget) fn left(&self, now: Duration) -> u64 {
        loop {
            if let Some(left) = self.balance(self.enter(now)) {
                return left / MILLI;
            }
        }
    }

    /// Brings the ring to the slice of `now`, if that is newer; gives the teller, whose slice is
    /// marked.
    fn enter(&self, now: Duration) -> Stamp {
        let slice = self.slice_at(now);
        // Acquire: pairs with the Release of `swap`; the marks of slices before come with it.
        let mut seen = Stamp::of(self.teller.load(Ordering::Acquire));
        loop {
            self.mark(seen);
            if !is_newer(slice, seen.slice) {
                return seen;
            }
            let next = Stamp { slice, ..seen };
            seen = match swap(&self.teller, seen.pack(), next.pack()) {
                Ok(()) => next,
                Err(other) => Stamp::of(other),
            };
        }
    }

    /// Sees to it that the slice of `teller` is marked: rule 1.
    fn mark(&self, teller: Stamp) {
        if teller.slice == NEVER {
            return;
        }
        let marks = self.marks_of(teller.slice);
        Self::mark_once(&marks.withdrawn, teller.slice, || teller.count);
        // Relaxed: an older count only lets deposits of this moment count in this slice.
        let deposits = || self.deposits.load(Ordering::Relaxed) as u32;
        Self::mark_once(&marks.deposited, teller.slice, deposits);
    }

    fn mark_once(mark: &AtomicU64, slice: u32, count: impl FnOnce() -> u32) {
        // Acquire: pairs with the Release below; the count at the mark comes before what is
        // counted from it.
        let mut seen = mark.load(Ordering::Acquire);
        if !is_newer(slice, Stamp::of(seen).slice) {
            return;
        }
        let own = Stamp { slice, count: count() }.pack();
        if Bug::SliceBegunTwice.is_planted() {
            // Release: as below; the defect is that nothing is compared.
            return mark.store(own, Ordering::Release);
        }
        // AcqRel: Release pairs with the Acquire above and in `mark_at`, so that nobody who sees
        // the mark sees fewer deposits than it says. Acquire in failure, as above.
        let success = Bug::MarkUnordered.weakens(Ordering::AcqRel);
        while let Err(other) = mark.compare_exchange(seen, own, success, Ordering::Acquire) {
            if !is_newer(slice, Stamp::of(other).slice) {
                return;
            }
            seen = other;
        }
    }

    /// What is left in thousandths of a retry, by the teller; nothing if the ring has gone on.
    fn balance(&self, teller: Stamp) -> Option<u64> {
        Some(self.balance_from(teller, self.oldest(teller.slice)?))
    }

    /// The same of the stretch of time that begins with `from`.
    fn balance_from(&self, teller: Stamp, from: [u32; 2]) -> u64 {
        let [withdrawn, deposited] = from;
        let deposited = if Bug::DepositNeverExpires.is_planted() { 0 } else { deposited };
        // Relaxed: not less than at the mark, which was read before; more would only leave more.
        let deposits = self.deposits.load(Ordering::Relaxed) as u32;
        let deposits = u64::from(deposits.wrapping_sub(deposited));
        let withdrawn = u64::from(teller.count.wrapping_sub(withdrawn));
        (self.reserve + deposits * self.per_deposit).saturating_sub(withdrawn * MILLI)
    }

    /// The counts at the beginning of the oldest slice that counts in `slice`. One in which nobody
    /// came has no marks, and nothing was counted in it.
    fn oldest(&self, slice: u32) -> Option<[u32; 2]> {
        let back = (0..self.marks.len() as u32).rev();
        back.map(|back| before(slice, back)).find_map(|slice| self.marks_at(slice))
    }

    fn marks_at(&self, slice: u32) -> Option<[u32; 2]> {
        let marks = self.marks_of(slice);
        Some([Self::mark_at(&marks.withdrawn, slice)?, Self::mark_at(&marks.deposited, slice)?])
    }

    fn mark_at(mark: &AtomicU64, slice: u32) -> Option<u32> {
        // Acquire: pairs with the Release of `mark_once` and `give_back`; the deposits before the
        // mark are seen after it.
        let mark = Stamp::of(mark.load(Ordering::Acquire));
        (mark.slice == slice && slice != NEVER).then_some(mark.count)
    }

    /// How long until a retry is allowed, if nobody takes one and no deposit comes.
    fn refills_in(&self, teller: Stamp, now: Duration) -> Option<Duration> {
        let slices = self.marks.len() as u32;
        let ahead = (1..=slices).find(|&ahead| {
            // The stretch then begins with the first slice after those in which somebody came.
            let kept = (0..slices - ahead).rev().map(|back| before(teller.slice, back));
            let oldest = kept.into_iter().find_map(|slice| self.marks_at(slice));
            let left = oldest.map_or(self.reserve, |from| self.balance_from(teller, from));
            left >= MILLI
        })?;
        // Time may have stepped back since the teller came into its slice.
        let behind = teller.slice.wrapping_sub(self.slice_at(now));
        let now = millis(now);
        let slices = (now / self.slice_ms).saturating_add(u64::from(ahead) + u64::from(behind));
        let then = slices.saturating_mul(self.slice_ms);
        Some(Duration::from_millis(then - now))
    }

    fn slice_at(&self, now: Duration) -> u32 {
        // Numbers go round after 13 years at least, and are compared by their distance.
        let number = (millis(now) / self.slice_ms) as u32;
        number.wrapping_add(1).max(1)
    }

    fn marks_of(&self, slice: u32) -> &Marks {
        &self.marks[slice as usize % self.marks.len()]
    }
}

/// A slice and a count, which goes round: only differences within a time-to-live mean something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    slice: u32,
    count: u32,
}

impl Stamp {
    fn of(word: u64) -> Self {
        Self { slice: (word >> 32) as u32, count: word as u32 }
    }

    fn pack(self) -> u64 {
        u64::from(self.slice) << 32 | u64::from(self.count)
    }
}

fn is_newer(slice: u32, than: u32) -> bool {
    than == NEVER || slice.wrapping_sub(than) as i32 > 0
}

/// The slice that lies so many back.
fn before(slice: u32, back: u32) -> u32 {
    slice.wrapping_sub(back)
}

/// The number of no slice.
const NEVER: u32 = 0;
