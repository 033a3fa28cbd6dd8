//! The engine: opening and closing, and what concerns all of it.

use std::sync::Arc;
use std::time::Duration;

use oncegate::{Driver, Engine, ManualClock, Outcome, Resolution, Secret, Ticker};

use crate::convert::no_choice;
use crate::entry::{ErrorInfo, entry};
use crate::events::{Event, Ring};
use crate::handles::{Handles, Held, watch_forks};
use crate::options::{RawOptions, RawQuota, Wanted, quota, wanted};
use crate::outcome::{RawOutcome, outcome_or_empty};
use crate::raw::{Bytes, Out, OutElements, Plain, copy, handle_out};
use crate::reconcile::Asked;
use crate::request::{RawRequest, parts, scope};
use crate::status::{ONCEGATE_BAD_VALUE, Refusal, Status};

/// An engine, behind a handle: it has the type of a pointer, and is none. Any thread may use it.
pub struct RawEngine {
    _opaque: [u8; 0],
}

/// What an engine's handle stands for.
pub(crate) struct Opened {
    // Dropped first: their threads use the engine.
    _ticker: Option<Ticker>,
    _driver: Option<Driver>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) clock: Option<ManualClock>,
    pub(crate) events: Arc<Ring>,
    /// What is asked by polling, if anything is.
    pub(crate) asked: Option<Arc<Asked>>,
}

/// Outcomes are copied out of the table into memory that is kept for that, and then to the caller.
pub(crate) static ENGINES: Handles<Opened, Outcome> = Handles::new("engine", 0xe1);

/// A call on an engine.
pub(crate) type HeldEngine = Held<Opened, Outcome>;

/// What `engine` stands for, for the length of a call.
///
/// # Safety
///
/// None: handles are looked up. It is unsafe so that it can be named in `entry!`.
#[inline]
pub(crate) unsafe fn held(
    _field: &'static str,
    handle: *const RawEngine,
) -> Result<HeldEngine, Refusal> {
    ENGINES.enter(handle)
}

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct RawSwept {
    /// Slots that were visited.
    pub visited: u64,
    /// Records that were over, and are gone.
    pub cleared: u64,
    /// Leases that were found lapsed.
    pub lapsed: u64,
}

// SAFETY: `repr(C)`, numbers.
unsafe impl Plain for RawSwept {}

/// It took effect: duplicates get the outcome.
pub const ONCEGATE_RESOLVED_SUCCEEDED: u32 = 0;
/// It failed for good: duplicates get the outcome.
pub const ONCEGATE_RESOLVED_FAILED: u32 = 1;
/// It had no effect: the next attempt may start at once.
pub const ONCEGATE_RESOLVED_RUN_AGAIN: u32 = 2;

/// Opens an engine, and gives its handle, which `oncegate_engine_close` ends.
///
/// The options are read during the call alone. Any thread may call it. What is wrong with an
/// option is `ONCEGATE_INVALID_CONFIG`, `ONCEGATE_INVALID_OPTION` or `ONCEGATE_BAD_VALUE` with its
/// name in `error->field`, and a text that is no UTF-8 `ONCEGATE_NOT_UTF8`; a secret of less than
/// 32 bytes is `ONCEGATE_INVALID_CONFIG`. What the system refuses: `ONCEGATE_NO_MEMORY`,
/// `ONCEGATE_NO_ENTROPY`, `ONCEGATE_OS`, `ONCEGATE_TOO_MANY_HANDLES` above 256 in a process. Of a
/// table that is shared:
/// `ONCEGATE_REGION_MISMATCH`, `ONCEGATE_WRONG_SECRET`, `ONCEGATE_FILE_REFUSED`,
/// `ONCEGATE_REGION_INVALID`, `ONCEGATE_REGISTRY_FULL`, `ONCEGATE_REGION_IN_USE`, and
/// `ONCEGATE_UNSUPPORTED` where the system has none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_engine_open(
    options: *const RawOptions,
    engine: *mut *mut RawEngine,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; engine = handle_out; options = wanted; => {
        let Wanted { builder, clock, events, ticker_ms, driver, reconcile } = options;
        watch_forks();
        let opened = Arc::new(builder.build()?);
        let asked = reconcile.then(Arc::<Asked>::default);
        if let Some(asked) = asked.clone() {
            opened.set_reconciler(move |record| asked.ask(record))?;
        }
        let ticker = match ticker_ms {
            0 => None,
            period => Some(opened.ticker(Duration::from_millis(period))?),
        };
        let driver = driver.then(|| opened.driver()).transpose()?;
        let opened =
            Opened { _ticker: ticker, _driver: driver, engine: opened, clock, events, asked };
        engine.write(ENGINES.insert(opened)?);
        Ok(())
    })
}

/// Closes an engine. `NULL` is fine, and nothing happens.
///
/// Calls that are under way in other threads are waited for; those that block return at once,
/// with `ONCEGATE_CLOSED`. Leases that are held stay as they are: they lapse, unless
/// another process of the host ends them. A tier is told of what it was not told, once: where it
/// does not answer that takes as long as two of its calls may. A handle that was closed before is
/// `ONCEGATE_BAD_HANDLE`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_engine_close(
    engine: *mut RawEngine,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; => {
        if !engine.is_null() {
            drop(ENGINES.take(engine.cast_const(), |opened| opened.engine.stop_waiting())?);
        }
        Ok(())
    })
}

/// How many bytes of memory an engine with these options takes. Nothing is opened.
///
/// Returns `ONCEGATE_INVALID_CONFIG`, `ONCEGATE_INVALID_OPTION` or `ONCEGATE_BAD_VALUE` with the
/// name of the option in `error->field`. Any thread may call it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_required_bytes(
    options: *const RawOptions,
    bytes: *mut u64,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; bytes = Out::new; options = wanted; => {
        bytes.write(options.builder.required_bytes()?);
        Ok(())
    })
}

/// Moves the clock of an engine that was opened with `ONCEGATE_CLOCK_MANUAL`, for tests.
///
/// Whoever waits is woken. It stops at the end of time. Returns `ONCEGATE_BAD_VALUE` for an engine
/// with another clock. Any thread may call it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_engine_advance_clock(
    engine: *const RawEngine,
    by_ms: u64,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; engine = held; => {
        let Some(clock) = &engine.clock else {
            let detail = "found a clock of the system; limit: ONCEGATE_CLOCK_MANUAL";
            return Err(Refusal::new(ONCEGATE_BAD_VALUE, "clock", detail));
        };
        clock.advance(Duration::from_millis(by_ms));
        Ok(())
    })
}

/// Looks at the next `slots` slots of the table for what is over: records whose window has ended,
/// leases that have lapsed. Needed only without a ticker, and only for memory and for waiters:
/// every call looks at what it meets anyway. `swept` may be `NULL`. Any thread may call it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_engine_sweep(
    engine: *const RawEngine,
    slots: usize,
    swept: *mut RawSwept,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; engine = held; swept = Out::new_or_none; => {
        let done = engine.engine.sweep(slots)?;
        if let Some(swept) = swept {
            swept.write(RawSwept {
                visited: done.visited as u64,
                cleared: done.cleared as u64,
                lapsed: done.lapsed as u64,
            });
        }
        Ok(())
    })
}

/// Takes the oldest events, at most `capacity`, and tells how many were lost before.
///
/// The engine keeps the last 256. `events` may be `NULL` where `capacity` is 0, and `lost` may be
/// `NULL`. Each event is given to one caller. Any thread may call it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_engine_events(
    engine: *const RawEngine,
    events: *mut Event,
    capacity: usize,
    count: *mut usize,
    lost: *mut u64,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error;
        engine = held; events = OutElements::new, capacity; count = Out::new;
        lost = Out::new_or_none;
    => {
        let mut events = events;
        let (taken, were_lost) = engine.events.take(events.len());
        taken.iter().enumerate().for_each(|(index, event)| events.set(index, *event));
        count.write(taken.len());
        if let Some(lost) = lost {
            lost.write(were_lost);
        }
        Ok(())
    })
}

/// Gives a scope a quota of its own, in all processes that share the table. All zeros: no limits.
///
/// `scope_kind` is one of `ONCEGATE_SCOPE_…`; `scope_name` is empty unless it is named. Returns
/// `ONCEGATE_INVALID_SCOPE`, `ONCEGATE_INVALID_OPTION` for a rate that is out of its range, and
/// `ONCEGATE_QUOTA_EXCEEDED` where `max_scopes` have quotas. Any thread may call it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_engine_set_quota(
    engine: *const RawEngine,
    scope_kind: u32,
    scope_name: Bytes,
    quota: *const RawQuota,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; engine = held; scope_name = named, scope_kind; quota = copy; => {
        let quota = self::quota("quota", &quota)?.unwrap_or(oncegate::Quota::unlimited());
        Ok(engine.engine.set_quota(scope_name, quota)?)
    })
}

/// Takes the quota of a scope back: the default one holds again. One that has none is fine.
///
/// Returns `ONCEGATE_INVALID_SCOPE` for a name that is none. Any thread may call it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_engine_remove_quota(
    engine: *const RawEngine,
    scope_kind: u32,
    scope_name: Bytes,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; engine = held; scope_name = named, scope_kind; => {
        Ok(engine.engine.remove_quota(scope_name)?)
    })
}

/// The arguments of a scope.
///
/// # Safety
///
/// The name is the caller's for reading during the call.
pub(crate) unsafe fn named<'a>(
    _field: &'static str,
    name: Bytes,
    kind: u32,
) -> Result<oncegate::Scope<'a>, Refusal> {
    // SAFETY: the same contract.
    unsafe { scope(kind, name) }
}

/// Ends the uncertainty about a request of which nobody knows whether it took effect.
///
/// `resolution` is one of `ONCEGATE_RESOLVED_…`; `outcome` is for the first two, and may be `NULL`.
/// The payload of the request plays no part. Returns `ONCEGATE_NOT_FOUND` where there is no such
/// record, or it is not in doubt. Any thread may call it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_engine_resolve(
    engine: *const RawEngine,
    request: *const RawRequest,
    resolution: u32,
    outcome: *const RawOutcome,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; engine = held; request = parts; outcome = outcome_or_empty; => {
        let resolution = match resolution {
            ONCEGATE_RESOLVED_SUCCEEDED => Resolution::Succeeded(outcome),
            ONCEGATE_RESOLVED_FAILED => Resolution::Failed(outcome),
            ONCEGATE_RESOLVED_RUN_AGAIN => Resolution::RunAgain,
            other => return Err(no_choice("resolution", other, ONCEGATE_RESOLVED_RUN_AGAIN)),
        };
        Ok(engine.engine.resolve(&request.request()?, resolution)?)
    })
}

/// Begins to rotate the secret of the fingerprints: records under the old one are still found.
///
/// The secret has at least 32 bytes: `ONCEGATE_INVALID_CONFIG`. Returns
/// `ONCEGATE_ROTATION_PENDING` where the rotation before has not ended, and `ONCEGATE_EXHAUSTED`
/// after 255 of them. Any thread may call it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_engine_rotate_secret(
    engine: *const RawEngine,
    secret: Bytes,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; engine = held; secret = whole; => {
        Ok(engine.engine.rotate_secret(Secret::from_bytes(secret)?)?)
    })
}

/// Bytes that are read during the call.
///
/// # Safety
///
/// They are the caller's for reading during the call.
pub(crate) unsafe fn whole<'a>(field: &'static str, bytes: Bytes) -> Result<&'a [u8], Refusal> {
    // SAFETY: the same contract.
    unsafe { bytes.get(field) }
}

/// Text that is read during the call.
///
/// # Safety
///
/// As for [`whole`].
pub(crate) unsafe fn text<'a>(field: &'static str, bytes: Bytes) -> Result<&'a str, Refusal> {
    // SAFETY: the same contract.
    unsafe { bytes.text(field) }
}

/// Ends the rotation: records under the old secret are no longer found.
///
/// Returns `ONCEGATE_ROTATION_PENDING` while there may be such records, and `ONCEGATE_NOT_FOUND`
/// where nothing is being rotated. Any thread may call it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_engine_finish_rotation(
    engine: *const RawEngine,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; engine = held; => { Ok(engine.engine.finish_rotation()?) })
}

/// Sees to what processes left that died, and tells how many there were. `buried` may be `NULL`.
///
/// Calls meet the dead by themselves; this finds them sooner. Any thread may call it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_engine_bury_dead(
    engine: *const RawEngine,
    buried: *mut usize,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; engine = held; buried = Out::new_or_none; => {
        let found = engine.engine.bury_dead()?;
        if let Some(buried) = buried {
            buried.write(found);
        }
        Ok(())
    })
}
