//! Scope entries: how many live records a scope has, and how fast it makes new ones.
//!
//! ```text
//! word 0   pinned (1), that is limited by name | claimed (1) | keyed hash of the scope (62);
//!          zero: free
//! word 1   how often the next changed (32) | live records (32)
//! word 2   limit of live records, plus one; zero: not written yet
//! word 3   nanoseconds that one new record costs, plus one; one: no rate
//! word 4   nanoseconds of burst that may be spent in advance, plus one
//! word 5   theoretical arrival time, in nanoseconds since the region was opened
//! word 6   whether the limits by name are written to their end
//! word 7   the debts of which it owes nothing (see `debts`)
//! ```
//!
//! The rate is the generic cell rate algorithm (ITU-T I.371), one word per scope. An entry is
//! given to another scope when it is not pinned, has no live record and owes no time. A caller
//! who looked it up just before that charges its one record to the newcomer. Entry 0 is no scope's;
//! the last one belongs to those whom nobody vouches for, and to nobody else.
//!
//! Many may make an entry at once, and any of them may stall, while it is given on and its next
//! scope gets limits by name. So nobody's late word may change those:
//!
//! - An entry that is not pinned has the limits of all scopes without a name. They are written
//!   once, each word in the place of zero, and it is not given on before. It changes hands with
//!   them.
//! - Entries are pinned and unpinned by one caller at a time, who sees to that. One is pinned by a
//!   swap of the word by which it changes hands, so that it is given on before, and the swap fails,
//!   or not at all. Other limits are written to pinned entries alone, and the common ones again
//!   before one is unpinned.
//!
//! - Limits by name are in force when word 6 says so. Whoever dies before that has set none.
//!
//! Two callers who look for an entry of one scope may pass each other by, where an entry comes out
//! of use meanwhile. So whoever finds none claims one first, by a word that nobody else writes,
//! looks once more, withdraws what others have claimed for the scope, and gives it the entry only
//! if it has none and his own claim stands. No lookup finds a claim, and whoever dies over one
//! leaves it to anybody who needs an entry.

use std::sync::Arc;
use std::time::Duration;

use super::Table;
#[cfg(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]
use crate::region::geometry::SCOPE_WORDS;
use crate::sync::planted::Bug;
use crate::sync::{AtomicU64, Ordering, plain};

/// The limits of one scope, as its entry stores them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ScopeLimits {
    pub(crate) max_live: u64,
    pub(crate) nanos_each: u64,
    pub(crate) burst_nanos: u64,
    /// Whether they were set by name: the entry stays while nobody uses it.
    pub(crate) pinned: bool,
}

impl ScopeLimits {
    /// The limits of an entry that was read word by word.
    fn of(load: impl Fn(usize) -> u64) -> Self {
        let max_live = load(MAX_LIVE);
        Self {
            // The largest limit is stored as it is, since it has no successor.
            max_live: if max_live == u64::MAX { u64::MAX } else { max_live.saturating_sub(1) },
            nanos_each: load(NANOS_EACH).saturating_sub(1),
            burst_nanos: load(BURST_NANOS).saturating_sub(1),
            pinned: load(HASH) & PINNED != 0 && load(WHOLE) != 0,
        }
    }

    /// Whether an entry stores the same numbers for either.
    pub(crate) fn limits_as(&self, other: &Self) -> bool {
        self.words() == other.words()
    }

    /// What an entry stores; the limit of live records comes last.
    fn words(&self) -> [(usize, u64); 3] {
        [
            (NANOS_EACH, self.nanos_each.saturating_add(1)),
            (BURST_NANOS, self.burst_nanos.saturating_add(1)),
            (MAX_LIVE, self.max_live.saturating_add(1)),
        ]
    }

    /// No limit at all.
    #[cfg(all(test, not(oncegate_loom)))]
    pub(crate) const NONE: Self =
        Self { max_live: u64::MAX, nanos_each: 0, burst_nanos: 0, pinned: false };
}

/// Whose room a scope's records take, when the table is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RoomOf {
    /// It has a limit of live records by name: nobody else evicts them.
    Reserved,
    /// It has not: anybody but a guest may evict its records.
    Shared,
    /// Traffic that nobody vouches for: it evicts nobody else's records, and anybody its.
    Guest,
}

/// Why a scope may make no new record now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It has as many live records as it may.
    Live,
    /// It makes them too fast.
    Rate { retry_after: Duration },
}

impl Table {
    /// The entry of the scope that hashes to `hash`, if it has one.
    pub(crate) fn known_scope(&self, hash: u64) -> Option<u16> {
        // Acquire: pairs with the AcqRel of `give_entry`.
        let hash_at = |entry| self.region.scope(entry)[HASH].load(Ordering::Acquire);
        let held = self.scope_probes(hash).take_while(|entry| hash_at(*entry) != 0);
        // Relaxed: without limits the entry is being made, and the caller makes it too.
        let is_made =
            |entry: &usize| self.region.scope(*entry)[MAX_LIVE].load(Ordering::Relaxed) != 0;
        held.into_iter()
            .find(|entry| is_of(hash_at(*entry), hash))
            .filter(is_made)
            .and_then(|entry| u16::try_from(entry).ok())
    }

    /// The entry of the scope that hashes to `hash`, made with `limits` if it is new: those of its
    /// kind that have none by name. `None`: no entry is free or out of use. Entry 0 stands for
    /// scopes without a quota.
    pub(crate) fn scope_entry(&self, hash: u64, limits: ScopeLimits, now: Duration) -> Option<u16> {
        let made = self.scope_probes(hash).find(|entry| {
            let words = self.region.scope(*entry);
            // Acquire: pairs with the AcqRel of `give_entry`.
            let found = words[HASH].load(Ordering::Acquire);
            let found = if found == 0 { give_entry(words, 0, hash) } else { found };
            is_of(found, hash)
        });
        let entry = match made {
            Some(entry) => entry,
            None => self.take_idle(hash, limits, now)?,
        };
        let words = self.region.scope(entry);
        // Relaxed: whoever finds an entry without limits writes the same ones.
        if words[MAX_LIVE].load(Ordering::Relaxed) == 0 {
            write_first(words, limits);
        }
        u16::try_from(entry).ok()
    }

    /// Gives the scope that hashes to `hash` an entry that is out of use.
    #[cold]
    fn take_idle(&self, hash: u64, limits: ScopeLimits, now: Duration) -> Option<usize> {
        for _ in 0..TRIES {
            let claim = self.claims.next(self.region.me(), hash);
            // What others have claimed may be given to their scope this very moment.
            let take = |claimed| self.claim_idle(hash, claim, claimed, limits, now);
            let entry = take(false).or_else(|| take(true))?;
            if let Some(entry) = self.settle_claim(hash, entry, claim) {
                return Some(entry);
            }
        }
        None
    }

    /// Claims the first entry that is out of use; the first that is `claimed`, or that is not.
    fn claim_idle(
        &self,
        hash: u64,
        claim: u64,
        claimed: bool,
        limits: ScopeLimits,
        now: Duration,
    ) -> Option<usize> {
        self.scope_probes(hash).find(|entry| {
            let words = self.region.scope(*entry);
            // Acquire: pairs with the AcqRel of `give_entry`.
            let other = words[HASH].load(Ordering::Acquire);
            let pinned = other & PINNED != 0 && !Bug::PinsAnothers.is_planted();
            // Relaxed: whoever made it, and died over it perhaps, has not come to its end.
            if !pinned && words[MAX_LIVE].load(Ordering::Relaxed) == 0 {
                write_first(words, limits);
            }
            let wanted = !pinned && (other & CLAIMED != 0) == claimed;
            wanted && is_idle(words, now) && give_entry(words, other, claim) == claim
        })
    }

    /// Gives the scope that hashes to `hash` the entry `own`, on which `claim` lies, or finds the
    /// one that it has by now. `None`: somebody else has withdrawn the claim.
    fn settle_claim(&self, hash: u64, own: usize, claim: u64) -> Option<usize> {
        // AcqRel: of two who each claimed an entry one comes second in the order of the word that
        // both change here, and sees what became of the other's.
        let look = |entry: usize| self.region.scope(entry)[HASH].fetch_or(0, Ordering::AcqRel);
        for entry in self.scope_probes(hash) {
            let word = look(entry);
            if word == 0 {
                break;
            }
            if is_of(word, hash) && !Bug::TwoEntriesStay.is_planted() {
                give_entry(self.region.scope(own), claim, NOBODYS);
                return Some(entry);
            }
            let withdraws = entry != own && is_claim(word, hash);
            if withdraws && give_entry(self.region.scope(entry), word, NOBODYS) != NOBODYS {
                // It was given to the scope, or claimed anew.
                return None;
            }
        }
        (give_entry(self.region.scope(own), claim, hash) == hash).then_some(own)
    }

    /// The entries in which a scope may lie, in the order in which they are tried.
    fn scope_probes(&self, hash: u64) -> impl Iterator<Item = usize> {
        let usable = self.region.geometry().scopes().saturating_sub(1);
        // The last one is the guest's.
        let (from, size) = if hash == GUEST {
            (usable.saturating_sub(1), usable.min(1))
        } else {
            (0, usable.saturating_sub(1))
        };
        let first = (hash % size.max(1) as u64) as usize;
        (0..PROBED.min(size)).map(move |step| 1 + from + (first + step) % size)
    }

    /// The limits of `entry`, as whichever process set them.
    pub(crate) fn scope_limits(&self, entry: u16) -> ScopeLimits {
        let words = self.region.scope(usize::from(entry));
        // Relaxed: as in `write_limits`.
        ScopeLimits::of(|word| words[word].load(Ordering::Relaxed))
    }

    /// Gives the scope that hashes to `hash` the limits `own` by name; those without a name have
    /// `others`. `None`: as `scope_entry`. One caller at a time, of all who share the region.
    pub(crate) fn pin_scope(
        &self,
        hash: u64,
        own: ScopeLimits,
        others: ScopeLimits,
        now: Duration,
    ) -> Option<u16> {
        loop {
            let entry = self.scope_entry(hash, others, now)?;
            let words = self.region.scope(usize::from(entry));
            if set_pinned(words, hash, true) {
                write_limits(words, own);
                // Release: pairs with the Acquire of `is_pinned`; the limits come before.
                words[WHOLE].store(1, Ordering::Release);
                return Some(entry);
            }
            // It was given to another scope since.
        }
    }

    /// The scope that hashes to `hash` has the limits of all `others`, and its entry is given on
    /// when nobody uses it. As with [`pin_scope`](Self::pin_scope), one caller at a time.
    pub(crate) fn unpin_scope(&self, hash: u64, others: ScopeLimits) {
        for entry in self.scope_probes(hash) {
            let words = self.region.scope(entry);
            // Acquire: as in `known_scope`.
            let word = words[HASH].load(Ordering::Acquire);
            if word == 0 {
                return;
            }
            if word == hash | PINNED {
                // Relaxed: as in `write_limits`.
                words[WHOLE].store(0, Ordering::Relaxed);
                write_limits(words, others);
                set_pinned(words, hash, false);
            }
        }
    }

    /// Whether the scope of `entry` was given limits by name, which are in force.
    pub(crate) fn is_pinned(&self, entry: u16) -> bool {
        let words = self.region.scope(usize::from(entry));
        // Acquire: pairs with the Release of `pin_scope`. Relaxed: as in `write_limits`.
        words[WHOLE].load(Ordering::Acquire) != 0
            && words[HASH].load(Ordering::Relaxed) & PINNED != 0
    }

    /// Sets the limits of an entry, whoever has it.
    #[cfg(all(test, not(oncegate_loom)))]
    pub(crate) fn set_scope_limits(&self, entry: u16, limits: ScopeLimits) {
        let words = self.region.scope(usize::from(entry));
        let pin = if limits.pinned { PINNED } else { 0 };
        // Relaxed, all: one thread.
        let hash = words[HASH].load(Ordering::Relaxed) & !PINNED;
        words[HASH].store(hash | pin, Ordering::Relaxed);
        words[WHOLE].store(u64::from(limits.pinned), Ordering::Relaxed);
        write_limits(words, limits);
    }

    /// Whose room the records of `entry` take.
    pub(crate) fn room_of(&self, entry: u16) -> RoomOf {
        if entry == 0 || usize::from(entry) >= self.region.geometry().scopes() {
            return RoomOf::Shared;
        }
        let words = self.region.scope(usize::from(entry));
        let pinned = self.is_pinned(entry);
        // Relaxed: limits that change meanwhile hold from the next record on.
        let limited = words[MAX_LIVE].load(Ordering::Relaxed) != u64::MAX;
        match usize::from(entry) + 1 == self.region.geometry().scopes() {
            true if !Bug::GuestsEvict.is_planted() => RoomOf::Guest,
            _ if Bug::ReservationIgnored.is_planted() => RoomOf::Shared,
            _ if pinned && limited => RoomOf::Reserved,
            _ => RoomOf::Shared,
        }
    }

    /// Counts one new record for `entry`, or says why not.
    pub(crate) fn charge_scope(&self, entry: u16, now: Duration) -> Result<(), Refusal> {
        if entry == 0 {
            return Ok(());
        }
        let words = self.region.scope(usize::from(entry));
        // Relaxed: a limit that changes meanwhile holds from the next record on.
        let limit = words[MAX_LIVE].load(Ordering::Relaxed).saturating_sub(1);
        let limit = limit.saturating_add(Bug::QuotaOffByOne.is_planted().into()).min(COUNT_MASK);
        words[LIVE]
            // Release: pairs with the Acquire of `settle`; whoever reads the count sees that
            // something is under way. Relaxed on the way there: the counts order nothing; each is
            // exact by the modification order of its own word.
            .fetch_update(Ordering::Release, Ordering::Relaxed, |live| {
                (counted(live) < limit).then(|| live.wrapping_add(1 + CHANGED))
            })
            .map_err(|_| Refusal::Live)?;
        let charged = charge_rate(words, now);
        if charged.is_err() {
            self.release_scope(entry);
        }
        charged
    }

    /// Takes back a charge for a record that was not made.
    pub(crate) fn refund_scope(&self, entry: u16) {
        if entry != 0 && usize::from(entry) < self.region.geometry().scopes() {
            refund_rate(self.region.scope(usize::from(entry)));
        }
        self.release_scope(entry);
    }

    /// Takes one record of `entry` off its count.
    pub(crate) fn release_scope(&self, entry: u16) {
        let known = entry != 0 && usize::from(entry) < self.region.geometry().scopes();
        if known && !Bug::QuotaNotReleased.is_planted() {
            let live = &self.region.scope(usize::from(entry))[LIVE];
            // Release, and Relaxed: as in `charge_scope`.
            let _ =
                live.fetch_update(Ordering::Release, Ordering::Relaxed, |live| lowered(live, 1));
        }
    }
}

/// The records that word 1 of an entry counts.
pub(super) fn counted(live: u64) -> u64 {
    live & COUNT_MASK
}

/// The word with `less` records less. `None`: it counts fewer.
pub(super) fn lowered(live: u64, less: u64) -> Option<u64> {
    (counted(live) >= less).then(|| (live - less).wrapping_add(CHANGED))
}

/// Gives the entry of scope `from` to scope `to`, and says whose it is.
fn give_entry(words: &[AtomicU64], from: u64, to: u64) -> u64 {
    // AcqRel: publishes the entry to whoever loads the hash. Acquire on failure: as there.
    let swap = words[HASH].compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire);
    swap.map_or_else(|other| other, |_| to)
}

/// Pins the entry of the scope that hashes to `hash`, or unpins it. False: it is another scope's.
fn set_pinned(words: &[AtomicU64], hash: u64, pinned: bool) -> bool {
    let to = if pinned { hash | PINNED } else { hash };
    // AcqRel: after the limits that were written before it, and before those that follow. Acquire
    // on failure: as in `known_scope`.
    words[HASH]
        .fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| is_of(word, hash).then_some(to))
        .is_ok()
}

/// Whether word 0 says that the entry is that of the scope that hashes to `hash`.
fn is_of(word: u64, hash: u64) -> bool {
    word & !PINNED == hash
}

/// Whether word 0 says that somebody has claimed the entry for the scope that hashes to `hash`, or
/// for one that hashes alike: to withdraw that costs its caller another try.
fn is_claim(word: u64, hash: u64) -> bool {
    word & PINNED == 0 && word & CLAIMED != 0 && (word ^ hash) & CLAIM_HASH == 0
}

/// Numbers for claims, so that nobody takes another one's for his own.
#[derive(Clone, Default)]
pub(super) struct Claims(Arc<plain::AtomicU64>);

impl Claims {
    /// The word of one more claim by process `me`: claimed (2) | process (8) | number (12) | the
    /// low bits of the hash (42).
    fn next(&self, me: u8, hash: u64) -> u64 {
        // Relaxed: a number.
        let number = self.0.fetch_add(1, Ordering::Relaxed) % (1 << 12);
        CLAIMED | u64::from(me) << 54 | number << 42 | hash & CLAIM_HASH
    }
}

/// Whether the entry, which is not pinned, has been made, and nobody would notice if it were
/// another scope's.
fn is_idle(words: &[AtomicU64], now: Duration) -> bool {
    let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
    // Relaxed, all: see the module documentation for what a late look may do.
    words[MAX_LIVE].load(Ordering::Relaxed) != 0
        && counted(words[LIVE].load(Ordering::Relaxed)) == 0
        && words[ARRIVAL].load(Ordering::Relaxed) <= now
}

fn refund_rate(words: &[AtomicU64]) {
    // Relaxed, everywhere in this function: exact by the modification order of one word.
    let each = words[NANOS_EACH].load(Ordering::Relaxed).saturating_sub(1);
    let _ = words[ARRIVAL]
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |at| Some(at.saturating_sub(each)));
}

fn charge_rate(words: &[AtomicU64], now: Duration) -> Result<(), Refusal> {
    // Relaxed, everywhere in this function: exact by the modification order of one word.
    let each = words[NANOS_EACH].load(Ordering::Relaxed).saturating_sub(1);
    if each == 0 {
        return Ok(());
    }
    let burst = words[BURST_NANOS].load(Ordering::Relaxed).saturating_sub(1);
    let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
    words[ARRIVAL]
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |arrival| {
            let at = arrival.max(now);
            let early = u64::from(Bug::RateOffByOne.is_planted()) * each;
            (at - now <= burst + early).then(|| at.saturating_add(each))
        })
        .map(|_| ())
        .map_err(|arrival| Refusal::Rate {
            retry_after: Duration::from_nanos(arrival.saturating_sub(now).saturating_sub(burst)),
        })
}

/// Writes the limits of an entry that nobody has used yet, as whoever else makes it does.
fn write_first(words: &[AtomicU64], limits: ScopeLimits) {
    for (word, value) in limits.words() {
        // Relaxed, both: limits are read one by one. The live limit is the last: zero, the state of
        // a fresh region, admits nothing until all are written.
        let _ = words[word].compare_exchange(0, value, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// Writes the limits of an entry that is pinned.
fn write_limits(words: &[AtomicU64], limits: ScopeLimits) {
    for (word, value) in limits.words() {
        // Relaxed: limits are read one by one, and any mix of old and new ones is some limit.
        words[word].store(value, Ordering::Relaxed);
    }
}

/// A plain copy of a scope's entry, read from a file: hash, live records, limits. `None`: it is
/// nobody's.
#[cfg(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]
pub(crate) fn read_entry(words: &[u64; SCOPE_WORDS]) -> Option<(u64, u64, ScopeLimits)> {
    let hash = words[HASH] & !PINNED;
    let limits = || ScopeLimits::of(|word| words[word]);
    let somebodys = hash != 0 && hash != NOBODYS && hash & CLAIMED == 0;
    somebodys.then(|| (hash, counted(words[LIVE]), limits()))
}

/// How many entries are tried for one scope. At half load a run of 256 used ones does not occur:
/// linear probing makes runs longer than k with a probability of about n e^(-0.19 k) (Knuth, The
/// Art of Computer Programming, 6.4).
const PROBED: usize = 256;
const HASH: usize = 0;
pub(super) const LIVE: usize = 1;
/// More than there are slots.
const COUNT_MASK: u64 = u32::MAX as u64;
const CHANGED: u64 = COUNT_MASK + 1;
const MAX_LIVE: usize = 2;
const NANOS_EACH: usize = 3;
const BURST_NANOS: usize = 4;
const ARRIVAL: usize = 5;
const WHOLE: usize = 6;
const PINNED: u64 = 1 << 63;
const CLAIMED: u64 = 1 << 62;
const CLAIM_HASH: u64 = (1 << 42) - 1;
/// How often somebody who claims an entry may be disturbed by others who do, before he is told that
/// there is none.
const TRIES: usize = 64;
/// In place of a hash: a claim that was withdrawn.
const NOBODYS: u64 = 1;
/// In place of a hash: those whom nobody vouches for.
pub(crate) const GUEST: u64 = 2;
/// The least hash of a scope, and the largest.
pub(crate) const LEAST_HASH: u64 = 3;
pub(crate) const LARGEST_HASH: u64 = CLAIMED - 1;

#[cfg(all(test, not(oncegate_loom)))]
mod tests;
