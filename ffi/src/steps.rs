//! Steps: parts of the work of a record, each of which runs once however many attempts it takes.

use crate::engine::{RawEngine, held, text, whole};
use crate::entry::{ErrorInfo, entry};
use crate::lease::{Lease, token};
use crate::raw::{Buffer, Bytes, Out, OutBytes, Plain};
use crate::status::Status;

/// Where a finished step lies in the caller's buffer.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Step {
    /// Where its name begins in the buffer.
    pub name_offset: usize,
    /// How many bytes it has.
    pub name_len: usize,
    /// Where its result begins.
    pub result_offset: usize,
    /// How many bytes it has.
    pub result_len: usize,
}

// SAFETY: `repr(C)`, numbers.
unsafe impl Plain for Step {}

/// Looks for the result of the step `name` of the record that `lease` names.
///
/// `*found` is 1 where an attempt has finished the step, this one or an earlier one: then its
/// result is in the buffer, and `*len` says how many bytes it has. Otherwise both are 0: do the
/// work, and note it by `oncegate_step_finish`. Between the two a process may die, and then it runs
/// again: so pass the key of `oncegate_downstream_key` to the service below.
///
/// Returns `ONCEGATE_FENCED` where the attempt is no longer the caller's, `ONCEGATE_INVALID_OPTION`
/// for a name that is not UTF-8 of 1 to 255 bytes or that would be one more than 64, and
/// `ONCEGATE_BUFFER_TOO_SMALL` with the size in `buffer->needed`. Any thread may call it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_step_find(
    engine: *const RawEngine,
    lease: *const Lease,
    name: Bytes,
    buffer: *mut Buffer,
    len: *mut usize,
    found: *mut u32,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error;
        engine = held; lease = token; name = text; buffer = OutBytes::new; len = Out::new;
        found = Out::new;
    => {
        let result = engine.engine.finished_step(&lease, name)?;
        let mut buffer = buffer;
        let bytes = result.as_deref().unwrap_or_default();
        let Some(_) = buffer.push(bytes) else { return Err(buffer.too_small(bytes.len())) };
        buffer.finish(bytes.len());
        len.write(bytes.len());
        found.write(u32::from(result.is_some()));
        Ok(())
    })
}

/// Notes that the step `name` is finished, and what it left: later attempts, in whichever process,
/// find it.
///
/// A step that is finished already stays as it was. Besides what `oncegate_step_find` returns, it
/// returns `ONCEGATE_FULL` where the steps of the record take more than `steps_limit`, or there is
/// no room for more records that are retried; the lease lasts. Any thread may call it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_step_finish(
    engine: *const RawEngine,
    lease: *const Lease,
    name: Bytes,
    result: Bytes,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; engine = held; lease = token; name = text; result = whole; => {
        Ok(engine.engine.finish_step(&lease, name, result)?)
    })
}

/// Gives the step that was finished last and was not undone, for whoever compensates: undo what it
/// did, note that by `oncegate_step_undone`, and ask again until `*found` is 0. Then fail the
/// record for good.
///
/// Name and result are in the buffer, where `*step` says; with `*found` 0 it is all zeros. Returns
/// `ONCEGATE_FENCED` where the attempt is no longer the caller's, and `ONCEGATE_BUFFER_TOO_SMALL`
/// with the size in `buffer->needed`. Any thread may call it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_step_last(
    engine: *const RawEngine,
    lease: *const Lease,
    buffer: *mut Buffer,
    step: *mut Step,
    found: *mut u32,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error;
        engine = held; lease = token; buffer = OutBytes::new; step = Out::new; found = Out::new;
    => {
        let last = engine.engine.last_step(&lease)?;
        let mut buffer = buffer;
        let (name, result) = last.as_ref().map_or(("", &[][..]), |(name, result)| (name, result));
        let needed = name.len() + result.len();
        if needed > buffer.room() {
            return Err(buffer.too_small(needed));
        }
        let mut told = Step { name_len: name.len(), result_len: result.len(), ..Step::default() };
        told.name_offset = buffer.push(name.as_bytes()).unwrap_or_default();
        told.result_offset = buffer.push(result).unwrap_or_default();
        buffer.finish(needed);
        step.write(if last.is_some() { told } else { Step::default() });
        found.write(u32::from(last.is_some()));
        Ok(())
    })
}

/// Notes that the step `name` was undone: it is finished no more, and runs again if there is
/// another attempt. Of several threads that note it at once, one does.
///
/// A process that dies between the undoing and this note leaves a step that is undone again.
/// Returns `ONCEGATE_NOT_FOUND` where no step of this name is finished, `ONCEGATE_FENCED` where the
/// attempt is no longer the caller's, and `ONCEGATE_FULL` where there is no room to note it. Any
/// thread may call it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_step_undone(
    engine: *const RawEngine,
    lease: *const Lease,
    name: Bytes,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; engine = held; lease = token; name = text; => {
        Ok(engine.engine.undone_step(&lease, name)?)
    })
}
