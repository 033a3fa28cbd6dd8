//! The memory: one contiguous region of atomic words, addressed by offsets.
//!
//! Nothing in it is a pointer and nothing is larger than a word, so the same code runs on
//! private memory, on memory inherited over `fork`, and on a mapped file. All sizes are fixed
//! when the region is opened. A fresh region is all zeroes but for its header, and zero is the
//! vacant state of everything that lies in it.
//!
//! ```text
//! header | processes | set lines | slots, each with its inline outcome | scopes
//!        | records that are retried | chunk directory | chunks
//! ```

pub(crate) mod bell;
#[cfg(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]
pub(crate) mod file;
pub(crate) mod geometry;
pub(crate) mod header;
#[cfg(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]
pub(crate) mod keyfile;
#[cfg(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]
pub(crate) mod life;
#[cfg(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]
pub(crate) mod lock;
#[cfg(not(any(oncegate_loom, oncegate_shuttle)))]
mod mapping;
mod memory;
pub(crate) mod prefetch;
#[cfg(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]
pub(crate) mod registry;
#[cfg(not(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle)))))]
#[path = "solitary.rs"]
pub(crate) mod registry;
#[cfg(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]
pub(crate) mod shared;

pub(crate) use geometry::{Geometry, INLINE_STEP, LINE_WORDS, MAX_PROCESSES, SLOT_WORDS, WAYS};
pub(crate) use header::Identity;

use crate::error::{Error, ErrorCode};
use crate::sync::{AtomicU64, Ordering};
use crate::tier::TableId;
use memory::Memory;
use registry::Member;

/// Work that one process does at a time, by the byte whose lock stands for it: beyond those of the
/// registry's entries.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Exclusive {
    /// Keys and time.
    Upkeep = 1 << 16,
    /// Quotas by name.
    Quotas = (1 << 16) + 1,
}

/// The words of one region and where everything lies in them.
pub(crate) struct Region {
    memory: Memory,
    geometry: Geometry,
    member: Member,
}

impl Region {
    /// Private memory for `geometry`, all zeroes. Faults pages in at once if `prefault`.
    pub(crate) fn private(geometry: Geometry, prefault: bool) -> Result<Self, Error> {
        #[cfg(not(any(oncegate_loom, oncegate_shuttle)))]
        let words = mapping::Mapping::private(geometry.words(), prefault)?;
        #[cfg(any(oncegate_loom, oncegate_shuttle))]
        let words = {
            let _ = prefault;
            (0..geometry.words()).map(|_| AtomicU64::new(0)).collect()
        };
        Ok(Self { memory: Memory::new(words, &geometry), geometry, member: Member::alone() })
    }

    /// The same memory as another process of the model sees it, whose entry is `index`.
    #[cfg(any(oncegate_loom, oncegate_shuttle))]
    pub(crate) fn beside(&self, index: u8) -> Self {
        let geometry = self.geometry.clone();
        let memory = Memory::new(self.memory.share(), &geometry);
        Self { memory, geometry, member: Member::numbered(index) }
    }

    pub(crate) fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    #[inline]
    pub(crate) fn header(&self, word: usize) -> &AtomicU64 {
        debug_assert!(word < header::WORDS, "word {word} is no header word");
        &self.words()[word]
    }

    /// The line of set `set`: tags, ages, arbitration word, fencing clock.
    #[inline(always)]
    pub(crate) fn set_line(&self, set: usize) -> &[AtomicU64; LINE_WORDS] {
        self.memory.set(set)
    }

    /// The words of the record in slot `slot`.
    #[inline(always)]
    pub(crate) fn slot(&self, slot: usize) -> &[AtomicU64; SLOT_WORDS] {
        self.memory.slot(slot).0
    }

    /// The same, and the words beside that record, for its outcome.
    #[inline(always)]
    pub(crate) fn slot_and_inline(&self, slot: usize) -> (&[AtomicU64; SLOT_WORDS], &[AtomicU64]) {
        self.memory.slot(slot)
    }

    /// The words of the entry of process `index`, which counts from one.
    pub(crate) fn process(&self, index: usize) -> &[AtomicU64] {
        &self.words()[self.geometry.process_at(index)]
    }

    /// The highest entry of the registry that was ever used.
    pub(crate) fn processes_used(&self) -> usize {
        // Relaxed: whoever joins later has nothing to do with what is asked now.
        let used = self.header(header::PROCESSES_USED).load(Ordering::Relaxed);
        usize::try_from(used).unwrap_or(usize::MAX).min(self.geometry.processes())
    }

    /// A random number of this table's own, the same for all who share it, until the machine is
    /// started anew: a file that was copied to another machine has another.
    pub(crate) fn table_id(&self) -> Result<TableId, Error> {
        let mut id = [0_u64; 2];
        for (i, half) in id.iter_mut().enumerate() {
            let word = self.header(header::TABLE_ID + i);
            let drawn = getrandom::u64().map_err(|_| Error::of(ErrorCode::NoEntropy, "table"))?;
            // Relaxed, all: the word alone is shared, and its first value stays.
            let first = word.compare_exchange(0, drawn | 1, Ordering::Relaxed, Ordering::Relaxed);
            let drawn = first.map_or_else(|there| there, |_| drawn | 1);
            *half = drawn ^ self.header(header::BOOT + i).load(Ordering::Relaxed);
        }
        let [low, high] = id;
        Ok(TableId(u128::from(high) << u64::BITS | u128::from(low)))
    }

    /// How much memory it takes; in a file, its size.
    pub(crate) fn bytes(&self) -> u64 {
        self.geometry.bytes(self.is_shared())
    }

    /// This process's entry of the registry.
    #[inline(always)]
    pub(crate) fn me(&self) -> u8 {
        self.member.index()
    }

    /// Whether other processes may share it.
    #[inline]
    pub(crate) fn is_shared(&self) -> bool {
        self.member.is_shared()
    }

    /// Whether the process of entry `index` has certainly died or left.
    #[inline]
    pub(crate) fn is_dead(&self, index: u8) -> bool {
        index != self.me() && self.has_died(index)
    }

    /// The words of scope entry `scope`.
    pub(crate) fn scope(&self, scope: usize) -> &[AtomicU64] {
        let at = self.geometry.scope_at(scope);
        &self.words()[at..at + geometry::SCOPE_WORDS]
    }

    /// The control words of all entries for records that are retried.
    pub(crate) fn retry_controls(&self) -> &[AtomicU64] {
        &self.words()[self.geometry.retry_controls()]
    }

    /// What else is known of entry `index`.
    pub(crate) fn retry(&self, index: usize) -> &[AtomicU64] {
        &self.words()[self.geometry.retry_at(index)]
    }

    /// Counters of their changes.
    pub(crate) fn retry_changes(&self) -> &[AtomicU64] {
        &self.words()[self.geometry.retry_changes()]
    }

    /// Which entry each of their last changes was of.
    pub(crate) fn recent_changes(&self) -> &[AtomicU64] {
        &self.words()[self.geometry.recent_changes()]
    }

    /// The directory entry of chunk `chunk`.
    #[inline]
    pub(crate) fn chunk_entry(&self, chunk: usize) -> &[AtomicU64] {
        let at = self.geometry.chunk_entry_at(chunk);
        &self.words()[at..at + geometry::CHUNK_ENTRY_WORDS]
    }

    /// The bytes of chunk `chunk`, as words.
    #[inline]
    pub(crate) fn chunk(&self, chunk: usize) -> &[AtomicU64] {
        let at = self.geometry.chunk_at(chunk);
        &self.words()[at..at + self.geometry.chunk_words()]
    }

    /// Asks for the line of set `set`. A hint: it changes nothing.
    #[inline(always)]
    pub(crate) fn prefetch_set(&self, set: usize) {
        #[cfg(not(any(oncegate_loom, oncegate_shuttle)))]
        prefetch::line(self.memory.set_hint(set));
        #[cfg(any(oncegate_loom, oncegate_shuttle))]
        let _ = set;
    }

    /// Asks for the record in `slot` alone.
    #[inline(always)]
    pub(crate) fn prefetch_record(&self, slot: usize) {
        #[cfg(not(any(oncegate_loom, oncegate_shuttle)))]
        prefetch::line(self.memory.slot_hint(slot));
        #[cfg(any(oncegate_loom, oncegate_shuttle))]
        let _ = slot;
    }

    /// Asks for the record in `slot`, and for the first line of the outcome beside it. (Without
    /// inline outcomes that is the next record: a hint for nothing, but cheaper than to ask.)
    #[inline(always)]
    pub(crate) fn prefetch_slot(&self, slot: usize) {
        self.prefetch_record(slot);
        #[cfg(not(any(oncegate_loom, oncegate_shuttle)))]
        prefetch::line(self.memory.slot_hint(slot).wrapping_add(SLOT_WORDS));
    }

    #[inline]
    fn words(&self) -> &[AtomicU64] {
        self.memory.words()
    }
}
