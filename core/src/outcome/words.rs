//! Words: how the data of an outcome is laid in atomic words, in a block or beside its record.
//!
//! ```text
//! length of the metadata (a word, if there is any), metadata, body
//! ```

use super::Outcome;
use crate::sync::planted::Bug;
use crate::sync::{AtomicU64, Ordering};

/// Writes the data of `outcome` to `words`, which nobody else writes.
#[inline]
pub(super) fn write(outcome: &Outcome, words: &[AtomicU64]) {
    // Release, all: a reader that sees one of these words sees that they were given to it.
    let ordering = Bug::RelaxedOutcome.weakens(Ordering::Release);
    let mut words = words.iter();
    if outcome.metadata_len != 0
        && let Some(first) = words.next()
    {
        first.store(u64::from(outcome.metadata_len), ordering);
    }
    let words = words.as_slice();
    let (whole, rest) = outcome.bytes.as_chunks::<{ size_of::<u64>() }>();
    for (bytes, word) in whole.iter().zip(words) {
        word.store(u64::from_le_bytes(*bytes), ordering);
    }
    if !rest.is_empty()
        && let Some(word) = words.get(whole.len())
    {
        let mut last = [0; size_of::<u64>()];
        last[..rest.len()].copy_from_slice(rest);
        word.store(u64::from_le_bytes(last), ordering);
    }
}

/// Copies `len` bytes of data out of `words`. False: impossible sizes.
#[inline(always)]
pub(super) fn read(
    words: &[AtomicU64],
    mut len: usize,
    has_metadata: bool,
    into: &mut Outcome,
) -> bool {
    let mut words = words;
    into.withheld = false;
    into.metadata_len = 0;
    if has_metadata {
        let (Some((first, rest)), Some(less)) =
            (words.split_first(), len.checked_sub(METADATA_PREFIX))
        else {
            return false;
        };
        // Acquire: as in `copy`.
        into.metadata_len = first.load(Ordering::Acquire) as u16;
        (words, len) = (rest, less);
        if usize::from(into.metadata_len) > len {
            return false;
        }
    }
    let Some(words) = words.get(..len.div_ceil(size_of::<u64>())) else {
        return false;
    };
    // Every byte is written below: nothing is cleared first.
    let room = size_of_val(words);
    if into.bytes.len() != room {
        into.bytes.resize(room, 0);
    }
    copy(words, &mut into.bytes);
    into.bytes.truncate(len.saturating_sub(Bug::OutcomeTailLost.is_planted().into()));
    true
}

/// Copies `words` to `bytes`, which are as long. Apart from its callers: it needs the registers.
#[inline(never)]
fn copy(words: &[AtomicU64], bytes: &mut [u8]) {
    let (places, _) = bytes.as_chunks_mut::<{ size_of::<u64>() }>();
    for (place, word) in places.iter_mut().zip(words) {
        // Acquire: pairs with the Release of `write`; keeps the second look at the owner of these
        // words, which follows, after these loads, and makes it see whoever overwrote them.
        *place = word.load(Ordering::Acquire).to_le_bytes();
    }
}

/// Bytes of data before the metadata, where there is any.
pub(super) const METADATA_PREFIX: usize = size_of::<u64>();
