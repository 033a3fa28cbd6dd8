//! Reconciling by polling: the engine asks about records that nobody knows the effect of, and the
//! caller answers when he knows.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use oncegate::{DoubtId, Reconciled, Unresolved};

use crate::convert::no_choice;
use crate::engine::{
    HeldEngine, ONCEGATE_RESOLVED_FAILED, ONCEGATE_RESOLVED_RUN_AGAIN, ONCEGATE_RESOLVED_SUCCEEDED,
    RawEngine, held,
};
use crate::entry::{ErrorInfo, entry};
use crate::forked::PerProcess;
use crate::outcome::{RawOutcome, outcome_or_empty};
use crate::raw::{Buffer, Out, OutBytes, OutElements, Plain};
use crate::status::{ONCEGATE_BAD_SIZE, ONCEGATE_BAD_VALUE, ONCEGATE_NOT_FOUND, Refusal, Status};

/// Nobody knows it yet: it is asked again later.
pub const ONCEGATE_RESOLVED_UNKNOWN: u32 = 3;

/// A record of which nobody knows whether its last attempt took effect.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Question {
    /// Names the question, for its answer. A fencing token would not do: it grows for each request,
    /// and two requests may have the same.
    pub id: u64,
    /// The fencing token of the attempt in doubt: what it wrote elsewhere carries it.
    pub fencing_token: u64,
    /// The attempt in doubt.
    pub attempt: u32,
    /// Zero.
    pub reserved: u32,
    /// Where the operation that `oncegate_retry_later` was given begins in the buffer; UTF-8.
    pub operation_offset: usize,
    /// How many bytes it has; zero: the record was never retried.
    pub operation_len: usize,
    /// Where the context begins that it was given.
    pub context_offset: usize,
    /// How many bytes it has.
    pub context_len: usize,
}

// SAFETY: `repr(C)`, numbers.
unsafe impl Plain for Question {}

/// Takes questions about records that nobody knows the effect of, of an engine that was opened with
/// `reconcile`.
///
/// Looks at no more than `limit` records first; never blocks. A question comes again, by the same
/// `id`, as long as it is not answered, after a second, two, four and so on, at most five minutes;
/// 1,024 are kept in mind, the newest. Operations and contexts are written into `buffer`; what
/// finds no room stays, and where that is the first it is `ONCEGATE_BUFFER_TOO_SMALL`, with the
/// size in
/// `buffer->needed`. `ONCEGATE_BAD_VALUE`: the engine was opened without. Any thread may call it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_reconcile_poll(
    engine: *const RawEngine,
    limit: usize,
    buffer: *mut Buffer,
    questions: *mut Question,
    capacity: usize,
    count: *mut usize,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error;
        engine = held; buffer = OutBytes::new; questions = OutElements::new, capacity;
        count = Out::new;
    => {
        if capacity == 0 {
            return Err(Refusal::new(ONCEGATE_BAD_SIZE, "capacity", "found 0; limit: at least 1"));
        }
        asked_of(&engine)?;
        engine.engine.reconcile(limit)?;
        count.write(take(&engine, questions, buffer)?);
        Ok(())
    })
}

/// Answers the question `id`: `answer` is one of `ONCEGATE_RESOLVED_…`, `outcome` is for the first
/// two of them, and may be `NULL`.
///
/// The record is decided when the call returns. `ONCEGATE_NOT_FOUND`: it is not in doubt any more,
/// this process has not asked, or more than 1,024 others since; in doubt still, it is asked about
/// again. Any thread may call it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_reconcile_answer(
    engine: *const RawEngine,
    id: u64,
    answer: u32,
    outcome: *const RawOutcome,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; engine = held; outcome = outcome_or_empty; => {
        let answer = match answer {
            ONCEGATE_RESOLVED_SUCCEEDED => Reconciled::Succeeded(outcome),
            ONCEGATE_RESOLVED_FAILED => Reconciled::Failed(outcome),
            ONCEGATE_RESOLVED_RUN_AGAIN => Reconciled::RunAgain,
            ONCEGATE_RESOLVED_UNKNOWN => Reconciled::StillUnknown,
            other => return Err(no_choice("answer", other, ONCEGATE_RESOLVED_UNKNOWN)),
        };
        let asked = asked_of(&engine)?;
        let doubt = asked.kept().of.get(&id).map(|pending| pending.doubt);
        let doubt = doubt.ok_or_else(|| Refusal::new(ONCEGATE_NOT_FOUND, "id", ""))?;
        let decides = answer != Reconciled::StillUnknown;
        let settled = engine.engine.settle(doubt, answer);
        if decides || settled.is_err() {
            asked.kept().forget(id);
        }
        Ok(settled?)
    })
}

/// What was asked, and not answered yet.
#[derive(Default)]
pub(crate) struct Asked(PerProcess<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    /// By the numbers of the questions.
    of: HashMap<u64, Pending>,
    ids: HashMap<DoubtId, u64>,
    /// Those that are to be told, first come, first told; some may be over.
    untold: VecDeque<u64>,
    /// The last number of a question.
    last: u64,
    /// Counts what was asked.
    asked: u64,
}

struct Pending {
    doubt: DoubtId,
    fencing_token: u64,
    attempt: u32,
    operation: String,
    context: Vec<u8>,
    is_told: bool,
    /// When it was asked last, in the count of all.
    asked: u64,
}

impl Asked {
    /// The engine asks: nobody knows yet, but somebody will be told of it.
    pub(crate) fn ask(&self, record: &Unresolved<'_>) -> Reconciled {
        self.kept().note(record);
        Reconciled::StillUnknown
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn note(&mut self, record: &Unresolved<'_>) {
        self.asked += 1;
        let known = self.ids.get(&record.doubt).copied();
        if let Some(id) = known
            && let Some(pending) = self.of.get_mut(&id)
        {
            pending.asked = self.asked;
            if pending.is_told {
                pending.is_told = false;
                self.untold.push_back(id);
            }
            return;
        }
        if self.of.len() >= MOST && !self.forget_one() {
            // Nobody takes them. It is asked about again.
            return;
        }
        let pending = Pending {
            doubt: record.doubt,
            fencing_token: record.fencing_token,
            attempt: record.attempt,
            operation: record.operation.to_owned(),
            context: record.context.to_vec(),
            is_told: false,
            asked: self.asked,
        };
        self.last += 1;
        self.of.insert(self.last, pending);
        self.ids.insert(record.doubt, self.last);
        self.untold.push_back(self.last);
    }

    fn forget(&mut self, id: u64) {
        if let Some(pending) = self.of.remove(&id) {
            self.ids.remove(&pending.doubt);
        }
    }

    /// Forgets the one that was told, and asked the longest time ago. False: none was told.
    fn forget_one(&mut self) -> bool {
        let told = self.of.iter().filter(|(_, pending)| pending.is_told);
        let oldest = told.min_by_key(|(_, pending)| pending.asked).map(|(id, _)| *id);
        oldest.map(|id| self.forget(id)).is_some()
    }

    /// The first that is to be told.
    fn next(&mut self) -> Option<(u64, DoubtId)> {
        while let Some(id) = self.untold.pop_front() {
            if let Some(pending) = self.of.get(&id) {
                return Some((id, pending.doubt));
            }
        }
        None
    }

    /// Writes a question. `Err`, with nothing written: so much room is needed.
    fn tell(&mut self, id: u64, buffer: &mut OutBytes) -> Result<Option<Question>, usize> {
        let Some(pending) = self.of.get_mut(&id) else { return Ok(None) };
        let (operation, context) = (pending.operation.as_bytes(), &pending.context);
        let needed = operation.len() + context.len();
        let offsets = if needed > buffer.room() {
            None
        } else {
            buffer.push(operation).zip(buffer.push(context))
        };
        let Some((operation_offset, context_offset)) = offsets else {
            self.untold.push_front(id);
            return Err(needed);
        };
        pending.is_told = true;
        Ok(Some(Question {
            id,
            fencing_token: pending.fencing_token,
            attempt: pending.attempt,
            reserved: 0,
            operation_offset,
            operation_len: operation.len(),
            context_offset,
            context_len: context.len(),
        }))
    }
}

fn asked_of(engine: &HeldEngine) -> Result<&Asked, Refusal> {
    let without = || {
        let detail = "found an engine that was opened without; limit: `reconcile` of its options";
        Refusal::new(ONCEGATE_BAD_VALUE, "reconcile", detail)
    };
    engine.asked.as_deref().ok_or_else(without)
}

/// Gives questions to the caller, as long as there is room. Those that were answered by others
/// meanwhile are forgotten.
fn take(
    engine: &HeldEngine,
    mut questions: OutElements<Question>,
    mut buffer: OutBytes,
) -> Result<usize, Refusal> {
    let asked = asked_of(engine)?;
    let mut count = 0;
    while count < questions.len() {
        let Some((id, doubt)) = asked.kept().next() else { break };
        if engine.engine.settle(doubt, Reconciled::StillUnknown).is_err() {
            asked.kept().forget(id);
            continue;
        }
        let told = asked.kept().tell(id, &mut buffer);
        match told {
            Ok(Some(question)) => {
                questions.set(count, question);
                count += 1;
            }
            Ok(None) => {}
            Err(needed) if count == 0 => return Err(buffer.too_small(needed)),
            Err(_) => break,
        }
    }
    let len = buffer.len();
    buffer.finish(len);
    Ok(count)
}

/// Questions that are kept in mind: as many as the engine keeps.
const MOST: usize = 1_024;
