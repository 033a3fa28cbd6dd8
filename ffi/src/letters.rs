//! Dead letters: records that failed for good, kept until somebody redrives or discards them.

use std::time::Duration;

use oncegate::{AttemptEnd, DeadLetter, Engine, LetterFilter, LetterId, PastAttempt};

use crate::buried::{ONCEGATE_BURIED_LAPSED, buried, reason};
use crate::convert::{millis_up, no_choice};
use crate::engine::{RawEngine, held};
use crate::entry::{ErrorInfo, entry};
use crate::raw::{Buffer, Bytes, Growing, Out, OutBytes, OutElements, Plain, copy, grown_or_zero};
use crate::status::{ONCEGATE_BAD_SIZE, Refusal, Status};

/// The name of a dead letter, as long as it is one. The command line writes it as `17-3`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct RawLetterId {
    /// Its place in the table.
    pub place: u32,
    /// Which of those who took that place one after the other it is.
    pub generation: u32,
}

/// A record that failed for good, and where what is kept of it lies in the caller's buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct RawLetter {
    /// By which it is shown, redriven and discarded.
    pub id: RawLetterId,
    /// One of `ONCEGATE_BURIED_…`: why it is not tried again.
    pub reason: u32,
    /// How many attempts there were, all told.
    pub attempts: u32,
    /// How many of them its history tells of, the first and the last; see `oncegate_letter_show`.
    pub past_count: u32,
    /// How many were left out between those.
    pub left_out: u32,
    /// How many steps were finished and not undone.
    pub step_count: u32,
    /// Zero.
    pub reserved: u32,
    /// When it failed for good, in milliseconds since 1970 by the wall clock.
    pub buried_unix_ms: u64,
    /// Where the operation that would run it begins in the buffer.
    pub operation_offset: usize,
    /// How many bytes it has.
    pub operation_len: usize,
    /// Where the context begins, as `oncegate_retry_later` was given it.
    pub context_offset: usize,
    /// How many bytes it has.
    pub context_len: usize,
    /// Where the class of the last attempt's error begins.
    pub class_offset: usize,
    /// How many bytes it has; none where the attempt lapsed or told no error.
    pub class_len: usize,
    /// Where the names of the steps begin: `oncegate_metadata_next` reads them, each with an empty
    /// value.
    pub steps_offset: usize,
    /// How many bytes they take.
    pub steps_len: usize,
}

/// What became of one attempt of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct RawPastAttempt {
    /// Its fencing token: what it wrote elsewhere carries it.
    pub fencing_token: u64,
    /// When it was handed out to a worker, in milliseconds since 1970; zero: it was the first one,
    /// or a caller's, or another process noted its end.
    pub began_unix_ms: u64,
    /// When it ended, in milliseconds since 1970.
    pub ended_unix_ms: u64,
    /// Its number, from 1 on.
    pub attempt: u32,
    /// One of `ONCEGATE_END_…`; zero: an end that this header has no name for.
    pub end: u32,
    /// The process that ran it, by its number in the table's registry.
    pub process: u32,
    /// Zero.
    pub reserved: u32,
    /// Where the class of its error begins in the buffer.
    pub class_offset: usize,
    /// How many bytes it has; none: its holder told none.
    pub class_len: usize,
}

/// It failed, and said so.
pub const ONCEGATE_END_FAILED: u32 = 1;
/// Its lease lapsed, or its process died.
pub const ONCEGATE_END_LAPSED: u32 = 2;
/// It was given back without an error.
pub const ONCEGATE_END_GIVEN_BACK: u32 = 3;

/// How many attempts a history tells of at most.
pub const ONCEGATE_PAST_ATTEMPTS: usize = 8;

/// Which dead letters are meant. Zeros let all through.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct RawLetterFilter {
    /// `sizeof(oncegate_letter_filter)`.
    pub struct_size: usize,
    /// One of `ONCEGATE_BURIED_…`; `ONCEGATE_BURIED_NONE`: any.
    pub reason: u32,
    /// Zero.
    pub reserved: u32,
    /// Those of this operation; empty: any.
    pub operation: Bytes,
    /// Those whose last attempt ended with an error of this class; empty: any.
    pub error_class: Bytes,
    /// Those that were buried then or later, in milliseconds since 1970; zero: any.
    pub since_unix_ms: u64,
    /// Those that were buried before then; zero: any.
    pub until_unix_ms: u64,
}

// SAFETY: `repr(C)`, numbers.
unsafe impl Plain for RawLetterId {}
// SAFETY: `repr(C)`, numbers.
unsafe impl Plain for RawLetter {}
// SAFETY: `repr(C)`, numbers.
unsafe impl Plain for RawPastAttempt {}
// SAFETY: `repr(C)`, numbers and pointers.
unsafe impl Plain for RawLetterFilter {}
// SAFETY: the first field is the size.
unsafe impl Growing for RawLetterFilter {
    const LEAST: usize = 16;
}

/// Looks at a filter; `NULL` lets all through.
///
/// # Safety
///
/// `at` is `NULL`, or a filter whose references are the caller's for reading during the call.
unsafe fn letter_filter(
    field: &'static str,
    at: *const RawLetterFilter,
) -> Result<LetterFilter, Refusal> {
    // SAFETY: the same contract.
    let raw = unsafe { grown_or_zero(field, at) }?;
    // SAFETY: the same contract.
    let operation = unsafe { raw.operation.text("operation") }?;
    // SAFETY: the same contract.
    let class = unsafe { raw.error_class.text("error_class") }?;
    if raw.reserved != 0 {
        return Err(no_choice("reserved", raw.reserved, 0));
    }
    let mut filter = LetterFilter::all();
    match (raw.reason, reason(raw.reason)) {
        (0, _) => {}
        (_, Some(reason)) => filter = filter.reason(reason),
        (other, None) => return Err(no_choice("reason", other, ONCEGATE_BURIED_LAPSED)),
    }
    if !operation.is_empty() {
        filter = filter.operation(operation);
    }
    if !class.is_empty() {
        filter = filter.class(class);
    }
    if raw.since_unix_ms != 0 {
        filter = filter.since(Duration::from_millis(raw.since_unix_ms));
    }
    if raw.until_unix_ms != 0 {
        filter = filter.until(Duration::from_millis(raw.until_unix_ms));
    }
    Ok(filter)
}

/// # Safety
///
/// `at` is `NULL`, or the caller's for reading during the call.
unsafe fn letter_id(field: &'static str, at: *const RawLetterId) -> Result<LetterId, Refusal> {
    // SAFETY: the same contract.
    let RawLetterId { place, generation } = unsafe { copy(field, at) }?;
    Ok(LetterId::from_parts(place, generation))
}

/// # Safety
///
/// As for [`letter_id`]; `NULL` names none.
unsafe fn letter_id_or_none(
    field: &'static str,
    at: *const RawLetterId,
) -> Result<Option<LetterId>, Refusal> {
    // SAFETY: the same contract.
    if at.is_null() { Ok(None) } else { unsafe { letter_id(field, at) }.map(Some) }
}

/// Lists dead letters, in the order of their places in the table: as many as there is room for in
/// `letters` and `buffer`.
///
/// `filter` may be `NULL`: all. `after` is the last letter of the page before, or `NULL`. `*count`
/// is how many were written; `*next`, where to go on from, is the last of them, or what `after` was
/// where there is none: it may be the same place as `after`. `*more` is 1 where there is at least
/// one letter more. `next` and `more` may be `NULL`.
///
/// `capacity` is at least 1. Where not even the first letter finds room in the buffer, the call
/// returns `ONCEGATE_BUFFER_TOO_SMALL` with its size in `buffer->needed`. Reads every place that it
/// passes, and what is kept of each letter. What is buried, redriven or discarded meanwhile may be
/// on no page, and nothing is on two. Any thread may call it, as those below.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_letters(
    engine: *const RawEngine,
    filter: *const RawLetterFilter,
    after: *const RawLetterId,
    buffer: *mut Buffer,
    letters: *mut RawLetter,
    capacity: usize,
    count: *mut usize,
    next: *mut RawLetterId,
    more: *mut u32,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error;
        engine = held; filter = letter_filter; after = letter_id_or_none; buffer = OutBytes::new;
        letters = OutElements::new, capacity; count = Out::new; next = Out::new_or_none;
        more = Out::new_or_none;
    => {
        if capacity == 0 {
            let detail = "found 0; limit: at least 1";
            return Err(Refusal::new(ONCEGATE_BAD_SIZE, "capacity", detail));
        }
        let mut page = Page { letters, buffer, made: 0, last: after };
        let ended = page.fill(&engine.engine, &filter)?;
        let Page { buffer, made, last, .. } = page;
        if let Ended::Small { needed } = ended {
            return Err(buffer.too_small(needed));
        }
        let written = buffer.len();
        buffer.finish(written);
        count.write(made);
        if let Some(next) = next {
            next.write(last.map(raw_id).unwrap_or_default());
        }
        if let Some(more) = more {
            more.write(u32::from(ended == Ended::Full));
        }
        Ok(())
    })
}

/// Shows one dead letter and what its history tells: the first attempts and the last.
///
/// The texts of both are in `buffer`. `*past_count` is how many attempts the history tells of, at
/// most `ONCEGATE_PAST_ATTEMPTS`; of them the first `past_capacity` are written. `past` may be
/// `NULL` where that is 0. Returns `ONCEGATE_NOT_FOUND` where the letter was redriven or discarded,
/// or never was, and `ONCEGATE_BUFFER_TOO_SMALL` with the size in `buffer->needed`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_letter_show(
    engine: *const RawEngine,
    id: *const RawLetterId,
    buffer: *mut Buffer,
    letter: *mut RawLetter,
    past: *mut RawPastAttempt,
    past_capacity: usize,
    past_count: *mut usize,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error;
        engine = held; id = letter_id; buffer = OutBytes::new; letter = Out::new;
        past = OutElements::new, past_capacity; past_count = Out::new;
    => {
        let found = engine.engine.dead_letter(id)?;
        let (mut buffer, mut past) = (buffer, past);
        let classes: usize = found.history.iter().map(|one| one.class.len()).sum();
        let needed = letter_len(&found) + classes;
        if needed > buffer.room() {
            return Err(buffer.too_small(needed));
        }
        let Some(told) = pack_letter(&found, &mut buffer) else {
            return Err(buffer.too_small(needed));
        };
        for (index, one) in found.history.iter().enumerate() {
            past.set(index, pack_past(one, &mut buffer));
        }
        buffer.finish(needed);
        letter.write(told);
        past_count.write(found.history.len());
        Ok(())
    })
}

/// Lets a dead letter run again, at once: the next attempt under the same record, with the context
/// and the steps that it has. The attempts before count no more against its policy.
///
/// Returns `ONCEGATE_NOT_FOUND` where it was redriven or discarded, or never was, and
/// `ONCEGATE_FULL` where there is no room to note it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_letter_redrive(
    engine: *const RawEngine,
    id: *const RawLetterId,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; engine = held; id = letter_id; => { Ok(engine.engine.redrive(id)?) })
}

/// Gives a dead letter up: the record has failed, and answers duplicates for the dedup window.
///
/// Returns `ONCEGATE_NOT_FOUND` where it was redriven or discarded, or never was.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_letter_discard(
    engine: *const RawEngine,
    id: *const RawLetterId,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; engine = held; id = letter_id; => { Ok(engine.engine.discard(id)?) })
}

/// Lets all that `filter` lets through run again, at most `limit`, and tells how many there were.
///
/// `filter` may be `NULL`: all. Where the call returns `ONCEGATE_FULL`, those that were redriven
/// before stay so.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_letters_redrive(
    engine: *const RawEngine,
    filter: *const RawLetterFilter,
    limit: usize,
    count: *mut usize,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; engine = held; filter = letter_filter; count = Out::new; => {
        count.write(engine.engine.redrive_all(&filter, limit)?);
        Ok(())
    })
}

/// Gives all up that `filter` lets through, at most `limit`, and tells how many there were.
/// `filter` may be `NULL`: all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_letters_discard(
    engine: *const RawEngine,
    filter: *const RawLetterFilter,
    limit: usize,
    count: *mut usize,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; engine = held; filter = letter_filter; count = Out::new; => {
        count.write(engine.engine.discard_all(&filter, limit)?);
        Ok(())
    })
}

/// Where a page ended.
#[derive(PartialEq, Eq)]
enum Ended {
    /// There are no more letters.
    All,
    /// There are more than there is room for.
    Full,
    /// Not even one finds room in the buffer.
    Small { needed: usize },
}

/// A page that is being filled.
struct Page {
    letters: OutElements<RawLetter>,
    buffer: OutBytes,
    made: usize,
    /// The last letter that was written, or where the page begins.
    last: Option<LetterId>,
}

impl Page {
    /// Writes what finds room.
    fn fill(&mut self, engine: &Engine, filter: &LetterFilter) -> Result<Ended, Refusal> {
        loop {
            let room = self.letters.len() - self.made;
            // One more than there is room for says whether there are more. Few at a time: a buffer
            // that is small would have all of them read for nothing.
            let page =
                engine.dead_letters(filter, self.last, room.saturating_add(1).min(AT_ONCE))?;
            let is_end = page.next.is_none();
            for letter in page.letters {
                if self.made == self.letters.len() {
                    return Ok(Ended::Full);
                }
                let Some(told) = pack_letter(&letter, &mut self.buffer) else {
                    let small = Ended::Small { needed: letter_len(&letter) };
                    return Ok(if self.made == 0 { small } else { Ended::Full });
                };
                self.letters.set(self.made, told);
                self.made += 1;
                self.last = Some(letter.id);
            }
            if is_end {
                return Ok(Ended::All);
            }
        }
    }
}

fn raw_id(id: LetterId) -> RawLetterId {
    let (place, generation) = id.to_parts();
    RawLetterId { place, generation }
}

/// The class of the error that the last attempt ended with.
fn last_class(letter: &DeadLetter) -> &str {
    letter.history.last().map_or("", |past| &past.class)
}

/// How many bytes of a caller's buffer a letter takes.
fn letter_len(letter: &DeadLetter) -> usize {
    let steps: usize = letter.steps.iter().map(|name| NAME_HEAD + name.len()).sum();
    letter.operation.len() + letter.context().len() + last_class(letter).len() + steps
}

/// Writes a letter into the caller's buffer. `None`, with nothing written: it does not fit.
fn pack_letter(letter: &DeadLetter, buffer: &mut OutBytes) -> Option<RawLetter> {
    if letter_len(letter) > buffer.room() {
        return None;
    }
    let class = last_class(letter);
    let operation_offset = buffer.push(letter.operation.as_bytes())?;
    let context_offset = buffer.push(letter.context())?;
    let class_offset = buffer.push(class.as_bytes())?;
    let steps_offset = buffer.len();
    for name in &letter.steps {
        // A name has at most 255 bytes; pairs without values.
        buffer.push(&(name.len() as u16).to_le_bytes())?;
        buffer.push(&[0, 0])?;
        buffer.push(name.as_bytes())?;
    }
    Some(RawLetter {
        id: raw_id(letter.id),
        reason: buried(letter.reason),
        attempts: letter.attempts,
        // Both are bounded by what one letter keeps.
        past_count: letter.history.len() as u32,
        left_out: letter.left_out,
        step_count: letter.steps.len() as u32,
        reserved: 0,
        buried_unix_ms: millis_up(letter.buried),
        operation_offset,
        operation_len: letter.operation.len(),
        context_offset,
        context_len: letter.context().len(),
        class_offset,
        class_len: class.len(),
        steps_offset,
        steps_len: buffer.len() - steps_offset,
    })
}

/// There is room for its class.
fn pack_past(past: &PastAttempt, buffer: &mut OutBytes) -> RawPastAttempt {
    RawPastAttempt {
        fencing_token: past.fencing_token,
        began_unix_ms: past.began.map_or(0, millis_up),
        ended_unix_ms: millis_up(past.ended),
        attempt: past.attempt,
        end: match past.end {
            AttemptEnd::Failed => ONCEGATE_END_FAILED,
            AttemptEnd::Lapsed => ONCEGATE_END_LAPSED,
            AttemptEnd::GivenBack => ONCEGATE_END_GIVEN_BACK,
            // One that the engine knows and this header does not.
            _ => 0,
        },
        process: past.process.into(),
        reserved: 0,
        class_offset: buffer.push(past.class.as_bytes()).unwrap_or_default(),
        class_len: past.class.len(),
    }
}

/// Two lengths of 16 bits, as in front of each pair of metadata.
const NAME_HEAD: usize = 4;
/// Letters that are read at a time.
const AT_ONCE: usize = 64;
