//! The words of an entry for a record that is retried; `retrying` has their layout and rules.

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum EntryState {
    Free = 0,
    Claimed = 1,
    Live = 2,
    Dead = 3,
}

/// A plain copy of an entry's control word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct EntryWord(u64);

impl EntryWord {
    pub(super) fn of_word(word: u64) -> Self {
        Self(word)
    }

    /// Whether `other` differs in nothing but its owner.
    pub(super) fn is_same_but_owner(self, other: Self) -> bool {
        (self.0 ^ other.0) & !OWNER_MASK == 0
    }

    pub(crate) fn state(self) -> EntryState {
        match self.0 >> STATE_SHIFT {
            0 => EntryState::Free,
            1 => EntryState::Claimed,
            2 => EntryState::Live,
            _ => EntryState::Dead,
        }
    }

    pub(crate) fn owner(self) -> u8 {
        (self.0 >> OWNER_SHIFT) as u8
    }

    pub(crate) fn slot(self) -> usize {
        (self.0 & SLOT_MASK) as usize
    }

    /// The word itself, to compare.
    pub(crate) fn word(self) -> u64 {
        self.0
    }

    /// Whether it stands for a record.
    pub(crate) fn is_used(self) -> bool {
        matches!(self.state(), EntryState::Live | EntryState::Dead)
    }

    /// How often the entry has changed hands, modulo 2^26.
    pub(crate) fn generation(self) -> u64 {
        self.0 >> GENERATION_SHIFT & GENERATION_MASK
    }

    pub(super) fn with(self, state: EntryState, owner: u8) -> Self {
        let kept = self.0 & (GENERATION_MASK << GENERATION_SHIFT | SLOT_MASK);
        Self((state as u64) << STATE_SHIFT | u64::from(owner) << OWNER_SHIFT | kept)
    }

    /// The same in the hands of another record, or of none.
    pub(super) fn given(self, state: EntryState, owner: u8, slot: usize) -> Self {
        let generation = (self.generation() + 1) & GENERATION_MASK;
        let kept = generation << GENERATION_SHIFT | slot as u64 & SLOT_MASK;
        Self((state as u64) << STATE_SHIFT | u64::from(owner) << OWNER_SHIFT | kept)
    }
}

impl std::fmt::Debug for EntryWord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EntryWord")
            .field("state", &self.state())
            .field("owner", &self.owner())
            .field("generation", &self.generation())
            .field("slot", &self.slot())
            .finish()
    }
}

/// An entry, as it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) index: usize,
    pub(crate) word: EntryWord,
}

/// What leads to a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JournalWord(u64);

impl JournalWord {
    pub(super) fn of_word(word: u64) -> Self {
        Self(word)
    }

    pub(super) fn word(self) -> u64 {
        self.0
    }

    pub(crate) fn new(reference: u64, sealed: bool) -> Self {
        Self(reference & !SEAL | u64::from(sealed) << SEAL.trailing_zeros())
    }

    pub(crate) fn reference(self) -> u64 {
        self.0 & !SEAL
    }

    pub(crate) fn is_sealed(self) -> bool {
        self.0 & SEAL != 0
    }
}

const SEAL: u64 = 1 << 63;
const SLOT_MASK: u64 = (1 << GENERATION_SHIFT) - 1;
const GENERATION_SHIFT: u32 = 28;
const GENERATION_MASK: u64 = (1 << (OWNER_SHIFT - GENERATION_SHIFT)) - 1;
const OWNER_SHIFT: u32 = 54;
const OWNER_MASK: u64 = 0xff << OWNER_SHIFT;
const STATE_SHIFT: u32 = OWNER_SHIFT + u8::BITS;

const _: () = assert!(STATE_SHIFT + 2 == u64::BITS, "the fields fill the word");
const _: () = assert!(super::set::MAX_SLOTS <= 1 << GENERATION_SHIFT, "every slot has a number");
