//! Outcomes: what a finished request left, in both directions.

use oncegate::Outcome;

use crate::convert::no_choice;
use crate::raw::{Bytes, Growing, OutBytes, Plain, elements, grown, grown_or_zero};
use crate::status::{ONCEGATE_BAD_SIZE, ONCEGATE_BAD_VALUE, Refusal};

/// A name and a value: a header of a response.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Pair {
    /// UTF-8, 1 to 255 bytes.
    pub name: Bytes,
    /// UTF-8, at most 8,192 bytes.
    pub value: Bytes,
}

/// What an attempt leaves for its duplicates.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct RawOutcome {
    /// `sizeof(oncegate_outcome)`.
    pub struct_size: usize,
    /// A number of the caller's, such as an HTTP status; at most 65,535.
    pub status: u32,
    /// 1: the record ends, and duplicates get the number alone, as `ONCEGATE_OUTCOME_GONE`.
    pub withheld: u32,
    /// The bytes.
    pub body: Bytes,
    /// Names and values beside them, at most 16 KiB in all.
    pub metadata: *const Pair,
    /// How many.
    pub metadata_count: usize,
}

/// Where a stored outcome lies in the caller's buffer: metadata first, then the body.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct StoredOutcome {
    /// The number that it was stored with.
    pub status: u32,
    /// How many pairs of metadata there are; see `oncegate_metadata_next`.
    pub metadata_count: u32,
    /// Where the metadata begins in the buffer.
    pub metadata_offset: usize,
    /// How many bytes it takes.
    pub metadata_len: usize,
    /// Where the body begins in the buffer.
    pub body_offset: usize,
    /// How many bytes it has.
    pub body_len: usize,
}

// SAFETY: `repr(C)` and pointers.
unsafe impl Plain for Pair {}
// SAFETY: `repr(C)`, numbers and pointers.
unsafe impl Plain for RawOutcome {}
// SAFETY: `repr(C)`, numbers.
unsafe impl Plain for StoredOutcome {}
// SAFETY: the first field is the size.
unsafe impl Growing for RawOutcome {
    /// Up to and with the body.
    const LEAST: usize = 32;
}

/// The outcome that the caller describes.
///
/// # Safety
///
/// `at` is `NULL`, or an outcome whose references are the caller's for reading during the call.
pub(crate) unsafe fn outcome(
    field: &'static str,
    at: *const RawOutcome,
) -> Result<Outcome, Refusal> {
    // SAFETY: the same contract.
    unsafe { build(&grown(field, at)?) }
}

/// The same; `NULL` stands for an empty one.
///
/// # Safety
///
/// As for [`outcome`].
pub(crate) unsafe fn outcome_or_empty(
    field: &'static str,
    at: *const RawOutcome,
) -> Result<Outcome, Refusal> {
    // SAFETY: the same contract.
    unsafe { build(&grown_or_zero(field, at)?) }
}

/// # Safety
///
/// What `raw` refers to is the caller's for reading during the call.
unsafe fn build(raw: &RawOutcome) -> Result<Outcome, Refusal> {
    let status = u16::try_from(raw.status).map_err(|_| {
        let detail = format!("found {}; limit: 0 to 65535", raw.status);
        Refusal::new(ONCEGATE_BAD_VALUE, "outcome.status", detail)
    })?;
    // SAFETY: the same contract.
    let body = unsafe { raw.body.get("outcome.body") }?;
    // SAFETY: the same contract.
    let pairs = unsafe { elements("outcome.metadata", raw.metadata, raw.metadata_count) }?;
    match raw.withheld {
        0 => {}
        1 if body.is_empty() && pairs.is_empty() => return Ok(Outcome::withheld(status)),
        1 => {
            let detail = "found bytes; limit: none where they are withheld";
            return Err(Refusal::new(ONCEGATE_BAD_SIZE, "outcome.body", detail));
        }
        other => return Err(no_choice("outcome.withheld", other, 1)),
    }
    let mut outcome = Outcome::new(status, body);
    for pair in pairs {
        // SAFETY: the same contract.
        let name = unsafe { pair.name.text("outcome.metadata.name") }?;
        // SAFETY: the same contract.
        let value = unsafe { pair.value.text("outcome.metadata.value") }?;
        outcome = outcome.with_metadata(name, value)?;
    }
    Ok(outcome)
}

/// How many bytes of a caller's buffer an outcome takes.
#[inline]
pub(crate) fn packed_len(outcome: &Outcome) -> usize {
    let pairs = outcome.metadata().map(|(name, value)| PAIR_HEAD + name.len() + value.len());
    pairs.sum::<usize>() + outcome.body().len()
}

/// Writes an outcome into the caller's buffer. `None`, with nothing written: it does not fit.
#[inline(always)]
pub(crate) fn pack(outcome: &Outcome, buffer: &mut OutBytes) -> Option<StoredOutcome> {
    let metadata_offset = buffer.len();
    let metadata_count = match outcome.metadata().next() {
        None => 0,
        Some(_) => pack_metadata(outcome, buffer)?,
    };
    let body_offset = buffer.push(outcome.body())?;
    Some(StoredOutcome {
        status: u32::from(outcome.status()),
        metadata_count,
        metadata_offset,
        metadata_len: body_offset - metadata_offset,
        body_offset,
        body_len: outcome.body().len(),
    })
}

/// Writes the pairs, if there is room for all of the outcome, and says how many there are.
fn pack_metadata(outcome: &Outcome, buffer: &mut OutBytes) -> Option<u32> {
    if packed_len(outcome) > buffer.room() {
        return None;
    }
    let mut count = 0;
    for (name, value) in outcome.metadata() {
        // Both were checked when they were stored: at most 255 and 8,192 bytes.
        buffer.push(&(name.len() as u16).to_le_bytes())?;
        buffer.push(&(value.len() as u16).to_le_bytes())?;
        buffer.push(name.as_bytes())?;
        buffer.push(value.as_bytes())?;
        count += 1;
    }
    Some(count)
}

/// The pair at `cursor` of packed metadata, and where the next one begins.
pub(crate) fn unpack(packed: &[u8], cursor: usize) -> Option<(&[u8], &[u8], usize)> {
    let rest = packed.get(cursor..)?;
    let (name_len, rest) = rest.split_first_chunk::<2>()?;
    let (value_len, rest) = rest.split_first_chunk::<2>()?;
    let name_len = usize::from(u16::from_le_bytes(*name_len));
    let value_len = usize::from(u16::from_le_bytes(*value_len));
    let (name, rest) = rest.split_at_checked(name_len)?;
    let (value, _) = rest.split_at_checked(value_len)?;
    Some((name, value, cursor + PAIR_HEAD + name_len + value_len))
}

/// Two lengths of 16 bits, little-endian.
const PAIR_HEAD: usize = 4;
