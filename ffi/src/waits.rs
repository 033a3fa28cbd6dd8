//! Waits: requests that are waited for without a thread that blocks for each.
//!
//! A set of waits has one descriptor for an event loop. Nothing is looked at in the background: an
//! answer is asked for when a wait is submitted, and when it can be taken. So no attempt is
//! admitted for somebody who is not about to learn of it, but for what was admitted at once and is
//! not taken yet: that is given back where the wait is cancelled or the set is closed, and asked
//! for anew where its lease has lapsed.

mod set;
mod wait;

use std::sync::Arc;

use crate::begin::{RawAdmission, RawBeginOptions, begin_options};
use crate::engine::{self, RawEngine};
use crate::entry::{ErrorInfo, entry};
use crate::handles::{Handles, Held};
use crate::raw::{Buffer, Out, OutBytes, OutElements, Plain, handle_out};
use crate::request::{RawRequest, parts};
use crate::status::{ONCEGATE_BAD_SIZE, Refusal, Status};
use set::{Taking, Waits};

/// A set of waits, behind a handle. Any thread may use it, several at once.
pub struct RawWaits {
    _opaque: [u8; 0],
}

/// A wait that is over.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Completion {
    /// What `oncegate_waits_submit` gave.
    pub id: u64,
    /// What it was given.
    pub user_data: u64,
    /// The answer; its `status` tells whether there is one, as in a batch.
    pub admission: RawAdmission,
}

// SAFETY: `repr(C)`, numbers and arrays of them.
unsafe impl Plain for Completion {}

pub(crate) static WAITS: Handles<Waits> = Handles::new("waits", 0xe2);

/// What `waits` stands for, for the length of a call of the process that opened it.
///
/// # Safety
///
/// None: handles are looked up. It is unsafe so that it can be named in `entry!`.
unsafe fn held(_field: &'static str, handle: *const RawWaits) -> Result<Held<Waits>, Refusal> {
    let held = WAITS.enter(handle)?;
    held.check_own()?;
    Ok(held)
}

/// Opens a set of waits, and gives its handle, which `oncegate_waits_close` ends.
///
/// The engine lives on until the set is closed, even where its own handle is closed before. The set
/// takes one descriptor: `ONCEGATE_OS` where none is left, `ONCEGATE_TOO_MANY_HANDLES` above 256
/// sets in a process. It belongs to the process that opened
/// it: in a forked child its functions return `ONCEGATE_FORKED`. Linux only: `ONCEGATE_UNSUPPORTED`
/// elsewhere.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_waits_open(
    engine: *const RawEngine,
    waits: *mut *mut RawWaits,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; engine = engine::held; waits = handle_out; => {
        let set = Waits::open(Arc::clone(&engine.engine), engine.clock.clone())?;
        waits.write(WAITS.insert(set)?);
        Ok(())
    })
}

/// Closes a set of waits. `NULL` is fine, and nothing happens.
///
/// All waits are cancelled, and attempts that were admitted and not taken are given back: the next
/// caller gets them at once. A call that blocks in another thread returns `ONCEGATE_CLOSED`. Take
/// the descriptor out of event loops before: its number may be used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_waits_close(
    waits: *mut RawWaits,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; => {
        if !waits.is_null() {
            drop(WAITS.take(waits.cast_const(), Waits::leave_all)?);
        }
        Ok(())
    })
}

/// Gives the descriptor of a set, for `poll` and its like: it is readable while there may be
/// something to take. Never read from it, and never close it: it is the set's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_waits_descriptor(
    waits: *const RawWaits,
    fd: *mut i32,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; waits = held; fd = Out::new; => {
        fd.write(waits.descriptor());
        Ok(())
    })
}

/// Asks to run a request, and waits for the running attempt in the set. Never blocks.
///
/// The request is copied; `options` may be `NULL`. `wait_ms` of the options limits the wait, by the
/// engine's clock: when it is over the answer is `ONCEGATE_IN_PROGRESS` or `ONCEGATE_SCHEDULED`.
/// Zero is no limit, whatever the engine's options say; `ONCEGATE_ZERO` does not wait at all. Every
/// answer comes by `oncegate_waits_take`, with `user_data` and the number that is written to `id`,
/// which no other wait of the set has. If the leader fails, exactly one of those who wait gets the
/// next attempt. What is wrong with the request is told here, and nothing is submitted then. At
/// most 65,536 in a set: `ONCEGATE_TOO_MANY_WAITERS`. It returns what `oncegate_begin` does of a
/// request that cannot be looked up.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_waits_submit(
    waits: *const RawWaits,
    request: *const RawRequest,
    options: *const RawBeginOptions,
    user_data: u64,
    id: *mut u64,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; waits = held; request = parts; options = begin_options; id = Out::new; => {
        id.write(waits.submit(&request, &options, user_data)?);
        Ok(())
    })
}

/// Cancels a wait: its answer is taken by nobody, and an attempt that was admitted is given back.
///
/// Affects neither the running attempt nor others who wait. Returns `ONCEGATE_NOT_FOUND` where the
/// answer was taken already, or there is no such wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_waits_cancel(
    waits: *const RawWaits,
    id: u64,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; waits = held; => { waits.cancel(id) })
}

/// Takes answers: at least one where the call returns `ONCEGATE_OK` and `count` is not zero.
///
/// Blocks until there is one, for at most `timeout_ms` of real time; zero never blocks. Several
/// threads may do so at once; each answer is taken by one. `buffer` may be `NULL`; outcomes that
/// find no room in it stay for the next call, and where that is the first, the call returns
/// `ONCEGATE_BUFFER_TOO_SMALL` with the size in `buffer->needed`. `ONCEGATE_CLOSED`: the set is
/// being closed. `ONCEGATE_BAD_SIZE`: no capacity.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_waits_take(
    waits: *const RawWaits,
    timeout_ms: u64,
    completions: *mut Completion,
    capacity: usize,
    buffer: *mut Buffer,
    count: *mut usize,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error;
        waits = held; completions = OutElements::new, capacity; buffer = OutBytes::new;
        count = Out::new;
    => {
        if capacity == 0 {
            return Err(Refusal::new(ONCEGATE_BAD_SIZE, "capacity", "found 0; limit: at least 1"));
        }
        let taking = Taking::new(completions, buffer);
        count.write(waits.take(timeout_ms, taking)?);
        Ok(())
    })
}
