//! Where everything lies in a region: offsets from a few sizes, checked once.

use std::ops::Range;

/// Slots of one set. A model makes sets smaller, so that it can fill them.
#[cfg(not(any(oncegate_loom, oncegate_shuttle)))]
pub(crate) const WAYS: usize = 32;
/// Slots of one set. A model makes sets smaller, so that it can fill them.
#[cfg(any(oncegate_loom, oncegate_shuttle))]
pub(crate) const WAYS: usize = 4;

/// Words of a record: one 64-byte cache line.
pub(crate) const SLOT_WORDS: usize = 8;
/// Words of a set's line: one 64-byte cache line.
pub(crate) const LINE_WORDS: usize = 8;
/// Words of a scope's entry.
pub(crate) const SCOPE_WORDS: usize = 8;
/// Words of a process's entry: two lines of its own.
pub(crate) const PROCESS_WORDS: usize = 16;
/// The most processes that control words can tell apart.
pub(crate) const MAX_PROCESSES: usize = u8::MAX as usize;
/// Words of a chunk's directory entry.
pub(crate) const CHUNK_ENTRY_WORDS: usize = 2;
/// Words of what is known of a record that is retried, beside its control word.
pub(crate) const RETRY_WORDS: usize = 4;
/// How many of those one counter of changes stands for.
pub(crate) const RETRIES_PER_CHANGE: usize = 64;
/// How many changes of those are remembered one by one.
pub(crate) const RECENT_CHANGES: usize =
    if cfg!(any(oncegate_loom, oncegate_shuttle)) { 4 } else { 1_024 };

/// The step by which a slot grows for inline outcomes: a cache line, and in a model one word.
pub(crate) const INLINE_STEP: usize =
    if cfg!(any(oncegate_loom, oncegate_shuttle)) { 1 } else { LINE_WORDS };

/// The sizes of a region, and the offsets that follow from them. All in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    sets: usize,
    slot_words: usize,
    scopes: usize,
    chunks: usize,
    chunk_words: usize,
    processes: usize,
    retries: usize,
    processes_at: usize,
    lines_at: usize,
    slots_at: usize,
    scopes_at: usize,
    retry_changes_at: usize,
    recent_changes_at: usize,
    retry_controls_at: usize,
    retries_at: usize,
    directory_at: usize,
    chunks_at: usize,
    words: usize,
}

impl Geometry {
    /// Lays out `sets` sets of slots with `inline_words` words for an outcome each, `scopes` scope
    /// entries, `chunks` chunks of `chunk_words` words, and entries for `processes` processes and
    /// for `retries` records that are retried.
    ///
    /// `None` where the sizes do not fit in the address space, or there is no second set for what
    /// does not fit into the first.
    pub(crate) fn new(
        sets: usize,
        inline_words: usize,
        scopes: usize,
        chunks: usize,
        chunk_words: usize,
        processes: usize,
        retries: usize,
    ) -> Option<Self> {
        if sets < 2 || !(1..=MAX_PROCESSES).contains(&processes) {
            return None;
        }
        let processes_at = super::header::WORDS;
        let lines_at = processes * PROCESS_WORDS + processes_at;
        let slot_words = SLOT_WORDS.checked_add(inline_words)?;
        // A record and its inline outcome are neighbours that a processor may fetch as a pair.
        let slots_at = sets.checked_mul(LINE_WORDS)?.checked_add(lines_at)?;
        let slots_at = slots_at.checked_next_multiple_of(2 * LINE_WORDS)?;
        let slots = sets.checked_mul(WAYS)?;
        let scopes_at = slots.checked_mul(slot_words)?.checked_add(slots_at)?;
        let scopes_at = scopes_at.checked_next_multiple_of(LINE_WORDS)?;
        let retry_changes_at = scopes.checked_mul(SCOPE_WORDS)?.checked_add(scopes_at)?;
        let changes = retries.div_ceil(RETRIES_PER_CHANGE).next_multiple_of(LINE_WORDS);
        let recent_changes_at = retry_changes_at.checked_add(changes)?;
        let recent = if retries == 0 { 0 } else { RECENT_CHANGES.next_multiple_of(LINE_WORDS) };
        let retry_controls_at = recent_changes_at.checked_add(recent)?;
        let controls = retries.checked_next_multiple_of(LINE_WORDS)?;
        let retries_at = retry_controls_at.checked_add(controls)?;
        let directory_at = retries.checked_mul(RETRY_WORDS)?.checked_add(retries_at)?;
        let directory_at = directory_at.checked_next_multiple_of(LINE_WORDS)?;
        let directory = chunks.checked_mul(CHUNK_ENTRY_WORDS)?.checked_add(directory_at)?;
        let chunks_at = directory.checked_next_multiple_of(LINE_WORDS)?;
        let words = chunks.checked_mul(chunk_words)?.checked_add(chunks_at)?;
        let bytes = words.checked_mul(size_of::<u64>())?.checked_add(FILE_UNIT)?;
        isize::try_from(bytes).ok()?;
        Some(Self {
            sets,
            slot_words,
            scopes,
            chunks,
            chunk_words,
            processes,
            retries,
            processes_at,
            lines_at,
            slots_at,
            scopes_at,
            retry_changes_at,
            recent_changes_at,
            retry_controls_at,
            retries_at,
            directory_at,
            chunks_at,
            words,
        })
    }

    pub(crate) fn words(&self) -> usize {
        self.words
    }

    pub(crate) fn sets(&self) -> usize {
        self.sets
    }

    pub(crate) fn slots(&self) -> usize {
        self.sets * WAYS
    }

    /// Words beside each record for its outcome.
    #[inline]
    pub(crate) fn inline_words(&self) -> usize {
        self.slot_words - SLOT_WORDS
    }

    pub(crate) fn scopes(&self) -> usize {
        self.scopes
    }

    pub(crate) fn chunks(&self) -> usize {
        self.chunks
    }

    pub(crate) fn chunk_words(&self) -> usize {
        self.chunk_words
    }

    /// Whether all names reach: slots, chunks, words in them, scopes.
    pub(super) fn is_usable(&self) -> bool {
        self.sets <= crate::table::set::MAX_SLOTS / WAYS
            && (1..=crate::outcome::MAX_CHUNKS).contains(&self.chunks)
            && (1..=crate::outcome::MAX_CHUNK_WORDS).contains(&self.chunk_words)
            && (1..=usize::from(u16::MAX)).contains(&self.scopes)
            && self.inline_words() <= MAX_INLINE_WORDS
            && self.retries <= MAX_RETRIES
    }

    /// Bytes of a file that holds the region: whole pages, so that none is mapped in part.
    pub(crate) fn file_bytes(&self) -> u64 {
        (self.words * size_of::<u64>()).next_multiple_of(FILE_UNIT) as u64
    }

    /// Bytes of the region where it `is_shared`, or is one process's own.
    pub(crate) fn bytes(&self, is_shared: bool) -> u64 {
        if is_shared { self.file_bytes() } else { (self.words * size_of::<u64>()) as u64 }
    }

    /// How many processes may share the region.
    pub(crate) fn processes(&self) -> usize {
        self.processes
    }

    /// The words of the entry of process `index`, which counts from one.
    pub(crate) fn process_at(&self, index: usize) -> Range<usize> {
        debug_assert!((1..=self.processes).contains(&index), "process {index}");
        let at = self.processes_at + (index - 1) * PROCESS_WORDS;
        at..at + PROCESS_WORDS
    }

    /// The words of all set lines, and those of all slots.
    pub(crate) fn lines_and_slots(&self) -> (Range<usize>, Range<usize>) {
        let lines = self.lines_at..self.lines_at + self.sets * LINE_WORDS;
        (lines, self.slots_at..self.slots_at + self.slots() * self.slot_words)
    }

    pub(crate) fn scope_at(&self, scope: usize) -> usize {
        debug_assert!(scope < self.scopes, "scope {scope} of {}", self.scopes);
        self.scopes_at + scope * SCOPE_WORDS
    }

    /// How many records may be retried at a time.
    pub(crate) fn retries(&self) -> usize {
        self.retries
    }

    /// The words that count the changes of each so many of them.
    pub(crate) fn retry_changes(&self) -> Range<usize> {
        let count = self.retries.div_ceil(RETRIES_PER_CHANGE);
        self.retry_changes_at..self.retry_changes_at + count
    }

    /// The words that remember their last changes.
    pub(crate) fn recent_changes(&self) -> Range<usize> {
        self.recent_changes_at..self.recent_changes_at + RECENT_CHANGES
    }

    /// Their control words, one after the other.
    pub(crate) fn retry_controls(&self) -> Range<usize> {
        self.retry_controls_at..self.retry_controls_at + self.retries
    }

    /// What else is known of number `index`.
    pub(crate) fn retry_at(&self, index: usize) -> Range<usize> {
        debug_assert!(index < self.retries, "retry {index} of {}", self.retries);
        let at = self.retries_at + index * RETRY_WORDS;
        at..at + RETRY_WORDS
    }

    #[inline]
    pub(crate) fn chunk_entry_at(&self, chunk: usize) -> usize {
        debug_assert!(chunk < self.chunks, "chunk {chunk} of {}", self.chunks);
        self.directory_at + chunk * CHUNK_ENTRY_WORDS
    }

    #[inline]
    pub(crate) fn chunk_at(&self, chunk: usize) -> usize {
        debug_assert!(chunk < self.chunks, "chunk {chunk} of {}", self.chunks);
        self.chunks_at + chunk * self.chunk_words
    }
}

/// What a reference can tell, in whole lines.
const MAX_INLINE_WORDS: usize = 56;
/// The most records that may be retried at a time: as many as there can be slots.
pub(crate) const MAX_RETRIES: usize = 1 << 28;
/// The largest of the usual page sizes.
const FILE_UNIT: usize = 64 << 10;

const _: () =
    assert!(super::header::WORDS.is_multiple_of(LINE_WORDS), "lines start on a cache line");
const _: () = assert!(WAYS.is_power_of_two() && WAYS <= u32::BITS as usize, "a bit for each way");
