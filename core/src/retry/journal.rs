//! The journal of a record that is retried: what is needed to run it again, and what became of its
//! attempts so far.
//!
//! It lies in one block of the outcome store, which is never changed: whoever adds to a journal
//! writes a new one and puts it in the place of the old. Integers are little-endian, times are the
//! region's milliseconds.
//!
//! ```text
//! version (1) | notes (1) | steps (1) | length of the operation (1) | length of the context (4)
//! first attempt began (8) | delay before this attempt (8) | dedup window (8)
//! attempts before the redrive (4) | attempt that cleans up (4) | notes left out (4)
//! buried at (8) | reason (1)
//! each note:  attempt (4) | end (1) | process (1) | fencing token (8) | began (8) | ended (8)
//!             | length (1) and bytes of the error's class
//! each step:  length (1) and bytes of its name | length (4) and bytes of its result
//! operation | context
//! ```

use crate::sync::planted::Bug;

/// What is kept of one record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Journal {
    pub(crate) operation: String,
    pub(crate) context: Vec<u8>,
    /// When the first attempt began.
    pub(crate) began_ms: u64,
    /// The delay that was drawn last.
    pub(crate) delay_ms: u64,
    /// How long duplicates are answered once it has finished.
    pub(crate) window_ms: u64,
    /// How many attempts came before the last redrive, which count no more; less those that ran in
    /// other tables, which do: modulo 2^32.
    pub(crate) before: u32,
    /// The last attempt that was none of the work, but cleaned up after a lapse; zero: none was.
    pub(crate) cleaning: u32,
    pub(crate) notes: Vec<Note>,
    /// How many notes were left out, between the first and the last.
    pub(crate) left_out: u32,
    pub(crate) steps: Vec<StepNote>,
    /// Where it is a dead letter: since when, and why.
    pub(crate) buried_ms: u64,
    pub(crate) reason: u8,
}

/// What became of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) attempt: u32,
    pub(crate) end: End,
    /// The process that ran it, by its entry of the registry.
    pub(crate) process: u8,
    pub(crate) fencing: u64,
    /// Zero: not known.
    pub(crate) began_ms: u64,
    pub(crate) ended_ms: u64,
    pub(crate) class: String,
}

/// How an attempt ended that is retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum End {
    /// It failed, and said so.
    Failed = 0,
    /// Its lease lapsed, or its process died.
    Lapsed = 1,
    /// It ended, and nobody noted how.
    Unnoted = 2,
}

/// A finished step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StepNote {
    pub(crate) name: String,
    pub(crate) result: Vec<u8>,
}

impl Journal {
    /// Adds what became of an attempt. The first notes and the last ones stay.
    pub(crate) fn note(&mut self, note: Note) {
        self.notes.retain(|other| other.attempt != note.attempt);
        self.notes.push(note);
        if self.notes.len() > MAX_NOTES {
            self.notes.remove(FIRST_NOTES);
            self.left_out = self.left_out.saturating_add(1);
        }
    }

    /// Whether there is a note of `attempt`.
    pub(crate) fn has_note(&self, attempt: u32) -> bool {
        self.notes.iter().any(|note| note.attempt == attempt)
    }

    /// Bytes of all steps, as the limit counts them.
    pub(crate) fn steps_bytes(&self) -> usize {
        self.steps.iter().map(|step| STEP_HEAD + step.name.len() + step.result.len()).sum()
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let steps = self.steps_bytes();
        let mut bytes = Vec::with_capacity(OVERHEAD + steps + self.context.len());
        // All counts and lengths are held to their limits where the journal is made.
        bytes.extend([VERSION, self.notes.len() as u8, self.steps.len() as u8]);
        bytes.push(self.operation.len() as u8);
        bytes.extend((self.context.len() as u32).to_le_bytes());
        bytes.extend(self.began_ms.to_le_bytes());
        bytes.extend(self.delay_ms.to_le_bytes());
        bytes.extend(self.window_ms.to_le_bytes());
        bytes.extend(self.before.to_le_bytes());
        bytes.extend(self.cleaning.to_le_bytes());
        bytes.extend(self.left_out.to_le_bytes());
        bytes.extend(self.buried_ms.to_le_bytes());
        bytes.push(self.reason);
        for note in &self.notes {
            bytes.extend(note.attempt.to_le_bytes());
            bytes.extend([note.end as u8, note.process]);
            for word in [note.fencing, note.began_ms, note.ended_ms] {
                bytes.extend(word.to_le_bytes());
            }
            bytes.push(note.class.len() as u8);
            bytes.extend(note.class.as_bytes());
        }
        for step in &self.steps {
            bytes.push(step.name.len() as u8);
            bytes.extend(step.name.as_bytes());
            bytes.extend((step.result.len() as u32).to_le_bytes());
            bytes.extend(&step.result);
        }
        bytes.extend(self.operation.as_bytes());
        bytes.extend(&self.context);
        bytes
    }

    /// The journal in `bytes`. `None`: they are none of this version, whatever they are.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = Reader(bytes);
        let [version, notes, steps, operation] = rest.array::<4>()?;
        if version != VERSION {
            return None;
        }
        let context = u32::from_le_bytes(rest.array()?);
        let mut journal = Self {
            began_ms: rest.word()?,
            delay_ms: rest.word()?,
            window_ms: rest.word()?,
            before: u32::from_le_bytes(rest.array()?),
            cleaning: u32::from_le_bytes(rest.array()?),
            left_out: u32::from_le_bytes(rest.array()?),
            buried_ms: rest.word()?,
            reason: rest.byte()?,
            ..Self::default()
        };
        for _ in 0..notes {
            journal.notes.push(rest.note()?);
        }
        for _ in 0..steps {
            let name = rest.byte()?;
            let name = rest.text(usize::from(name))?;
            let result = u32::from_le_bytes(rest.array()?);
            let result = rest.bytes(usize::try_from(result).ok()?)?.to_vec();
            journal.steps.push(StepNote { name, result });
        }
        journal.operation = rest.text(usize::from(operation))?;
        journal.context = rest.bytes(usize::try_from(context).ok()?)?.to_vec();
        if Bug::ContextForgotten.is_planted() {
            journal.context.clear();
        }
        rest.0.is_empty().then_some(journal)
    }
}

/// Bytes that are read from their start.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    fn word(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn text(&mut self, len: usize) -> Option<String> {
        str::from_utf8(self.bytes(len)?).ok().map(str::to_owned)
    }

    fn note(&mut self) -> Option<Note> {
        let attempt = u32::from_le_bytes(self.array()?);
        let [end, process] = self.array()?;
        let end = match end {
            0 => End::Failed,
            1 => End::Lapsed,
            2 => End::Unnoted,
            _ => return None,
        };
        let (fencing, began_ms, ended_ms) = (self.word()?, self.word()?, self.word()?);
        let class = self.byte()?;
        let class = self.text(usize::from(class))?;
        Some(Note { attempt, end, process, fencing, began_ms, ended_ms, class })
    }
}

const VERSION: u8 = 1;
const HEAD: usize = 57;
const NOTE_HEAD: usize = 31;
const STEP_HEAD: usize = 5;
/// How many notes are kept.
pub(crate) const MAX_NOTES: usize = 8;
/// How many of them are the first ones.
const FIRST_NOTES: usize = 2;
/// The longest class of an error.
pub(crate) const MAX_CLASS: usize = 32;
/// The longest name of an operation or a step.
pub(crate) const MAX_NAME: usize = 255;
/// The most steps of one record.
pub(crate) const MAX_STEPS: usize = 64;
/// What a journal takes at most beside its context and its steps.
pub(crate) const OVERHEAD: usize =
    (HEAD + MAX_NAME + MAX_NOTES * (NOTE_HEAD + MAX_CLASS)).next_multiple_of(64);
/// Each count and length has one byte.
const _: () = assert!(MAX_NOTES <= 255 && MAX_STEPS <= 255 && MAX_CLASS <= 255 && MAX_NAME <= 255);

#[cfg(all(test, not(oncegate_loom)))]
mod tests;
