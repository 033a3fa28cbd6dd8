//! Scope entries: how many live records a scope has, and how fast it makes new ones.
//!
//! ```text
//! word 0   keyed hash of the scope; zero: free
//! word 1   how often the next changed (32) | live records (32)
//! word 2   limit of live records
//! word 3   nanoseconds that one new record costs; zero: no rate
//! word 4   nanoseconds of burst that may be spent in advance
//! word 5   theoretical arrival time, in nanoseconds since the region was opened
//! word 6   flags: a guest; pinned, that is limited by name
//! ```
//!
//! The rate is the generic cell rate algorithm (ITU-T I.371), one word per scope. An entry is
//! given to another scope when it is not pinned, has no live record and owes no time. A caller
//! who looked it up just before that charges its one record to the newcomer.

use std::time::Duration;

use super::Table;
#[cfg(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]
use crate::region::geometry::SCOPE_WORDS;
use crate::sync::planted::Bug;
use crate::sync::{AtomicU64, Ordering};

/// The limits of one scope, as its entry stores them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ScopeLimits {
    pub(crate) max_live: u64,
    pub(crate) nanos_each: u64,
    pub(crate) burst_nanos: u64,
    pub(crate) guest: bool,
    /// Whether the entry stays while nobody uses it.
    pub(crate) pinned: bool,
}

impl ScopeLimits {
    /// The limits of an entry that was read word by word.
    fn of(load: impl Fn(usize) -> u64) -> Self {
        let max_live = load(MAX_LIVE);
        Self {
            // The largest limit is stored as it is, since it has no successor.
            max_live: if max_live == u64::MAX { u64::MAX } else { max_live.saturating_sub(1) },
            nanos_each: load(NANOS_EACH),
            burst_nanos: load(BURST_NANOS),
            guest: load(FLAGS) & GUEST != 0,
            pinned: load(FLAGS) & PINNED != 0,
        }
    }

    /// No limit at all.
    pub(crate) const NONE: Self =
        Self { max_live: u64::MAX, nanos_each: 0, burst_nanos: 0, guest: false, pinned: false };
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
        // Acquire: pairs with the AcqRel of `scope_entry`.
        let hash_at = |entry| self.region.scope(entry)[HASH].load(Ordering::Acquire);
        let held = self.scope_probes(hash).take_while(|entry| hash_at(*entry) != 0);
        // Relaxed: without limits the entry is being made, and the caller makes it too.
        let is_made =
            |entry: &usize| self.region.scope(*entry)[MAX_LIVE].load(Ordering::Relaxed) != 0;
        held.into_iter()
            .find(|entry| hash_at(*entry) == hash)
            .filter(is_made)
            .and_then(|entry| u16::try_from(entry).ok())
    }

    /// The entry of the scope that hashes to `hash`, made with `limits` if it is new. `None`: no
    /// entry is free or out of use. Entry 0 stands for scopes without a quota.
    pub(crate) fn scope_entry(&self, hash: u64, limits: ScopeLimits, now: Duration) -> Option<u16> {
        let made = self.scope_probes(hash).find(|entry| {
            let words = self.region.scope(*entry);
            // Acquire: pairs with the AcqRel of `give_entry`.
            let found = words[HASH].load(Ordering::Acquire);
            let found = if found == 0 { give_entry(words, 0, hash) } else { found };
            // Relaxed: whoever finds an entry without limits writes the same ones.
            if found == hash && words[MAX_LIVE].load(Ordering::Relaxed) == 0 {
                write_limits(words, limits);
            }
            found == hash
        });
        let entry = made.or_else(|| {
            self.scope_probes(hash).find(|entry| {
                let words = self.region.scope(*entry);
                // Acquire: as above.
                let other = words[HASH].load(Ordering::Acquire);
                let given = is_idle(words, now) && give_entry(words, other, hash) == hash;
                if given {
                    write_limits(words, limits);
                }
                given
            })
        });
        entry.and_then(|entry| u16::try_from(entry).ok())
    }

    /// The entries in which a scope may lie, in the order in which they are tried.
    fn scope_probes(&self, hash: u64) -> impl Iterator<Item = usize> {
        let usable = self.region.geometry().scopes().saturating_sub(1);
        let first = (hash % usable.max(1) as u64) as usize;
        (0..PROBED.min(usable)).map(move |step| 1 + (first + step) % usable)
    }

    /// The limits of `entry`, as whichever process set them.
    pub(crate) fn scope_limits(&self, entry: u16) -> ScopeLimits {
        let words = self.region.scope(usize::from(entry));
        // Relaxed: as in `write_limits`.
        ScopeLimits::of(|word| words[word].load(Ordering::Relaxed))
    }

    pub(crate) fn set_scope_limits(&self, entry: u16, limits: ScopeLimits) {
        write_limits(self.region.scope(usize::from(entry)), limits);
    }

    /// Whose room the records of `entry` take.
    pub(crate) fn room_of(&self, entry: u16) -> RoomOf {
        if entry == 0 || usize::from(entry) >= self.region.geometry().scopes() {
            return RoomOf::Shared;
        }
        let words = self.region.scope(usize::from(entry));
        // Relaxed, both: limits that change meanwhile hold from the next record on.
        let flags = words[FLAGS].load(Ordering::Relaxed);
        let limited = words[MAX_LIVE].load(Ordering::Relaxed) != u64::MAX;
        match flags {
            flags if flags & GUEST != 0 && !Bug::GuestsEvict.is_planted() => RoomOf::Guest,
            _ if Bug::ReservationIgnored.is_planted() => RoomOf::Shared,
            flags if flags & PINNED != 0 && limited => RoomOf::Reserved,
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

/// Whether nobody would notice if the entry were another scope's.
fn is_idle(words: &[AtomicU64], now: Duration) -> bool {
    let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
    // Relaxed, all: see the module documentation for what a late look may do.
    words[FLAGS].load(Ordering::Relaxed) & PINNED == 0
        && counted(words[LIVE].load(Ordering::Relaxed)) == 0
        && words[ARRIVAL].load(Ordering::Relaxed) <= now
}

fn refund_rate(words: &[AtomicU64]) {
    // Relaxed, everywhere in this function: exact by the modification order of one word.
    let each = words[NANOS_EACH].load(Ordering::Relaxed);
    let _ = words[ARRIVAL]
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |at| Some(at.saturating_sub(each)));
}

fn charge_rate(words: &[AtomicU64], now: Duration) -> Result<(), Refusal> {
    // Relaxed, everywhere in this function: exact by the modification order of one word.
    let each = words[NANOS_EACH].load(Ordering::Relaxed);
    if each == 0 {
        return Ok(());
    }
    let burst = words[BURST_NANOS].load(Ordering::Relaxed);
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

fn write_limits(words: &[AtomicU64], limits: ScopeLimits) {
    // Relaxed, all: limits are read one by one, and any mix of old and new ones is some limit.
    // The live limit is stored plus one: zero, the state of a fresh region, admits nothing until
    // the limits are written.
    words[NANOS_EACH].store(limits.nanos_each, Ordering::Relaxed);
    words[BURST_NANOS].store(limits.burst_nanos, Ordering::Relaxed);
    let flag = |set: bool, flag: u64| if set { flag } else { 0 };
    let flags = flag(limits.guest, GUEST) | flag(limits.pinned, PINNED);
    words[FLAGS].store(flags, Ordering::Relaxed);
    words[MAX_LIVE].store(limits.max_live.saturating_add(1), Ordering::Relaxed);
}

/// A plain copy of a scope's entry, read from a file: hash, live records, limits. `None`: it is
/// nobody's.
#[cfg(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]
pub(crate) fn read_entry(words: &[u64; SCOPE_WORDS]) -> Option<(u64, u64, ScopeLimits)> {
    (words[HASH] != 0)
        .then(|| (words[HASH], counted(words[LIVE]), ScopeLimits::of(|word| words[word])))
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
const FLAGS: usize = 6;
const GUEST: u64 = 1;
const PINNED: u64 = 2;

#[cfg(all(test, not(oncegate_loom)))]
mod tests;
