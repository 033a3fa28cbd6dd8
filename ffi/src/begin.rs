//! Begin: a request asks to run, alone or in a batch, and waits where it may.

use std::time::Duration;

use oncegate::{Admission, BeginOptions, Engine, Fingerprint, OnConflict, Outcome, Prepared};

use crate::convert::{given_ms, millis_up};
use crate::engine::{HeldEngine, RawEngine, held};
use crate::entry::{ErrorInfo, entry};
use crate::handles::check_open;
use crate::lease::{Lease, how};
use crate::options::lapse;
use crate::outcome::{StoredOutcome, pack, packed_len};
use crate::raw::Buffer;
use crate::raw::{Bytes, Growing, Out, OutBytes, OutElements, Plain, elements, grown};
use crate::request::{RawRequest, all_requests, check_batch, parts, scope};
use crate::status::{ONCEGATE_BAD_SIZE, ONCEGATE_BUFFER_TOO_SMALL, ONCEGATE_OK, Refusal, Status};

/// The caller runs it, and ends the lease.
pub const ONCEGATE_ADMITTED: u32 = 1;
/// It has finished inside its dedup window: the stored outcome is in the buffer.
pub const ONCEGATE_REPLAYED: u32 = 2;
/// Another attempt holds the lease.
pub const ONCEGATE_IN_PROGRESS: u32 = 3;
/// It failed and waits for its next attempt.
pub const ONCEGATE_SCHEDULED: u32 = 4;
/// The same key came with another payload.
pub const ONCEGATE_MISMATCHED: u32 = 5;
/// Nobody knows whether it took effect.
pub const ONCEGATE_UNRESOLVED: u32 = 6;
/// It has finished, but the bytes of its outcome are gone, or were never kept.
pub const ONCEGATE_OUTCOME_GONE: u32 = 7;

/// How one request is begun. Zeros: as the engine's options say.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct RawBeginOptions {
    /// `sizeof(oncegate_begin_options)`.
    pub struct_size: usize,
    /// How long the attempt may run before its lease lapses, 1 ms to a year.
    pub lease_ms: u64,
    /// How long the finished record answers duplicates, 1 ms to ten years.
    pub dedup_window_ms: u64,
    /// How long to wait for a running attempt, at most a year; `ONCEGATE_ZERO`: not at all.
    pub wait_ms: u64,
    /// One of `ONCEGATE_LAPSE_…`.
    pub on_lapse: u32,
    /// 1: an attempt that was put off runs here if its time has come.
    pub run_due: u32,
}

/// The answer to a request.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct RawAdmission {
    /// One of `ONCEGATE_ADMITTED`, …; zero in an element of a batch that was refused.
    pub verdict: u32,
    /// In a batch: whether this request was looked at, as the status of a call of its own.
    pub status: Status,
    /// The lease, with `ONCEGATE_ADMITTED`.
    pub lease: Lease,
    /// The fencing token of that lease.
    pub fencing_token: u64,
    /// The attempt that was admitted, that runs, or that is to come.
    pub attempt: u32,
    /// One of `ONCEGATE_HOW_…`, with `ONCEGATE_ADMITTED`.
    pub how: u32,
    /// How long the lease lasts, or until the next attempt is due, in milliseconds. In an element
    /// that was refused: after which time to ask again, as `retry_after_ms` of an error; zero where
    /// nobody knows.
    pub time_ms: u64,
    /// Where the outcome lies in the buffer, with `ONCEGATE_REPLAYED`.
    pub outcome: StoredOutcome,
}

/// Digests that the caller has made: of a message id that is a hash, of another table.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Hashed {
    /// One of `ONCEGATE_SCOPE_…`: what quotas count.
    pub scope_kind: u32,
    /// Zero.
    pub reserved: u32,
    /// The scope's name.
    pub scope: Bytes,
    /// Tells apart what differs in scope, operation or key; its bytes are spread evenly.
    pub fingerprint: [u8; 32],
    /// Compared on every duplicate, in its 56 upper bits.
    pub payload_digest: u64,
}

// SAFETY: `repr(C)`, numbers.
unsafe impl Plain for RawBeginOptions {}
// SAFETY: the first field is the size.
unsafe impl Growing for RawBeginOptions {
    const LEAST: usize = 16;
}
// SAFETY: `repr(C)`, numbers and arrays of them.
unsafe impl Plain for RawAdmission {}
// SAFETY: `repr(C)`, numbers and pointers.
unsafe impl Plain for Hashed {}

/// How to begin.
pub(crate) struct How {
    pub(crate) options: BeginOptions,
    /// How long to wait for another's attempt, zero: not at all; `None`: as the engine's options
    /// say.
    pub(crate) wait: Option<Duration>,
}

/// Looks at the options of a call; `NULL` is all zeros.
///
/// # Safety
///
/// `at` is `NULL`, or the caller's for reading during the call.
#[inline]
pub(crate) unsafe fn begin_options(
    field: &'static str,
    at: *const RawBeginOptions,
) -> Result<How, Refusal> {
    if at.is_null() {
        return Ok(How { options: BeginOptions::new(), wait: None });
    }
    // SAFETY: the same contract.
    unsafe { given_options(field, at) }
}

/// # Safety
///
/// `at` is the caller's for reading during the call.
unsafe fn given_options(field: &'static str, at: *const RawBeginOptions) -> Result<How, Refusal> {
    // SAFETY: the same contract.
    let raw = unsafe { grown(field, at) }?;
    let mut options = BeginOptions::new();
    if let Some(duration) = given_ms(raw.lease_ms) {
        options = options.lease_duration(duration);
    }
    if let Some(duration) = given_ms(raw.dedup_window_ms) {
        options = options.dedup_window(duration);
    }
    if let Some(lapse) = lapse(raw.on_lapse)? {
        options = options.on_lapse(lapse);
    }
    if crate::convert::flag("run_due", raw.run_due)? {
        options = options.run_due();
    }
    let wait = given_ms(raw.wait_ms);
    match wait {
        None => {}
        Some(Duration::ZERO) => options = options.on_conflict(OnConflict::Conflict),
        Some(limit) => options = options.on_conflict(OnConflict::Wait(limit)),
    }
    Ok(How { options, wait })
}

/// Asks to run a request.
///
/// `options` and `buffer` may be `NULL`. A stored outcome is written into `buffer`;
/// where it does not fit the call returns `ONCEGATE_BUFFER_TOO_SMALL` with the size in
/// `buffer->needed`, and can be made again. With `wait_ms` it blocks while another attempt runs;
/// otherwise only while the engine's tier is asked, if it has one. Any thread may call it. Whoever
/// gets `ONCEGATE_ADMITTED` ends the lease by `oncegate_lease_complete`, `oncegate_lease_fail`,
/// `oncegate_lease_abandon` or `oncegate_retry_later`.
///
/// Where nothing was looked up: `ONCEGATE_FULL` and `ONCEGATE_QUOTA_EXCEEDED` for a new record,
/// `ONCEGATE_TOO_MANY_WAITERS`, `ONCEGATE_CLOSED` where the engine was closed while the call
/// waited, `ONCEGATE_EXHAUSTED` at the end of time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_begin(
    engine: *const RawEngine,
    request: *const RawRequest,
    options: *const RawBeginOptions,
    buffer: *mut Buffer,
    admission: *mut RawAdmission,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error;
        engine = held; request = parts; options = begin_options; buffer = OutBytes::new;
        admission = Out::new;
    => {
        let request = request.request()?;
        let prepared = engine.engine.prepare(&request)?;
        begin_one(engine, &prepared, &options, buffer, admission)
    })
}

/// The same with digests that the caller has made, and vouches for. Such a record is never met by
/// a request that the engine has hashed. Returns what `oncegate_begin` does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_begin_hashed(
    engine: *const RawEngine,
    hashed: *const Hashed,
    options: *const RawBeginOptions,
    buffer: *mut Buffer,
    admission: *mut RawAdmission,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error;
        engine = held; hashed = one_hashed; options = begin_options; buffer = OutBytes::new;
        admission = Out::new;
    => {
        let (scope, fingerprint, digest) = hashed;
        let prepared = engine.engine.prepare_hashed(scope, fingerprint, digest);
        begin_one(engine, &prepared, &options, buffer, admission)
    })
}

/// Asks to run many requests: answer `i` belongs to request `i`.
///
/// Costs less than as many calls: the crossing once, and in a large table most of the time of the
/// look-ups. Each request is answered for itself, in `admissions[i].status` and `.verdict`; the
/// call is refused as a whole only where its own arguments are wrong. Outcomes share `buffer`:
/// one that finds no room has the status `ONCEGATE_BUFFER_TOO_SMALL`, and can be asked for again;
/// `buffer->needed` is what all of them need. At most 65,536; waits for no attempt.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_begin_batch(
    engine: *const RawEngine,
    requests: *const RawRequest,
    count: usize,
    options: *const RawBeginOptions,
    buffer: *mut Buffer,
    admissions: *mut RawAdmission,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error;
        engine = held; requests = all_requests, count; options = begin_options;
        buffer = OutBytes::new; admissions = OutElements::new, count;
    => {
        let mut batch = Batch::new(&engine, &options, buffer, admissions);
        for from in (0..requests.len()).step_by(AT_ONCE) {
            let part = from..requests.len().min(from + AT_ONCE);
            let parts: Vec<_> = part.map(|index| requests.parts(index)).collect();
            let mut prepared = Vec::with_capacity(AT_ONCE);
            batch.begin(from, &parts, &mut prepared, |parts, prepared| {
                let parts = parts.as_ref().map_err(|refusal| refusal.status)?;
                let request = parts.request().map_err(|refusal| refusal.status)?;
                let one = engine.engine.prepare(&request);
                prepared.push(one.map_err(|error| i32::from(error.code().number()))?);
                Ok(())
            });
        }
        batch.finish();
        Ok(())
    })
}

/// The same with digests that the caller has made. Returns what `oncegate_begin_batch` does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_begin_hashed_batch(
    engine: *const RawEngine,
    hashed: *const Hashed,
    count: usize,
    options: *const RawBeginOptions,
    buffer: *mut Buffer,
    admissions: *mut RawAdmission,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error;
        engine = held; hashed = all_hashed, count; options = begin_options;
        buffer = OutBytes::new; admissions = OutElements::new, count;
    => {
        let mut batch = Batch::new(&engine, &options, buffer, admissions);
        let mut prepared = Vec::with_capacity(AT_ONCE);
        for (at, part) in hashed.chunks(AT_ONCE).enumerate() {
            prepared.clear();
            batch.begin(at * AT_ONCE, part, &mut prepared, |raw, prepared| {
                // SAFETY: the contract of this function.
                let scope = unsafe { scope_of_hashed(raw) }.map_err(|refusal| refusal.status)?;
                let fingerprint = Fingerprint::from_bytes(raw.fingerprint);
                prepared.push(engine.engine.prepare_hashed(scope, fingerprint, raw.payload_digest));
                Ok(())
            });
        }
        batch.finish();
        Ok(())
    })
}

/// Writes the fingerprint of a request under the engine's secret: 32 bytes.
///
/// The same for the same scope, operation and key; the payload plays no part in it, unless it
/// stands in for the key. For logs and tests. Any thread may call it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_fingerprint(
    engine: *const RawEngine,
    request: *const RawRequest,
    fingerprint: *mut u8,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; engine = held; request = parts; fingerprint = OutElements::new, 32; => {
        let mut fingerprint = fingerprint;
        let made = engine.engine.prepare(&request.request()?)?.fingerprint().to_bytes();
        made.iter().enumerate().for_each(|(index, byte)| fingerprint.set(index, *byte));
        Ok(())
    })
}

type Digests<'a> = (oncegate::Scope<'a>, Fingerprint, u64);

/// # Safety
///
/// What `raw` refers to is the caller's for reading during the call.
#[inline]
unsafe fn scope_of_hashed<'a>(raw: &Hashed) -> Result<oncegate::Scope<'a>, Refusal> {
    if raw.reserved != 0 {
        return Err(crate::convert::no_choice("reserved", raw.reserved, 0));
    }
    // SAFETY: the same contract.
    unsafe { scope(raw.scope_kind, raw.scope) }
}

/// # Safety
///
/// `at` is `NULL`, or digests whose references are the caller's for reading during the call.
#[inline]
unsafe fn one_hashed<'a>(field: &'static str, at: *const Hashed) -> Result<Digests<'a>, Refusal> {
    // SAFETY: the same contract.
    let raw = unsafe { crate::raw::copy(field, at) }?;
    // SAFETY: the same contract.
    let scope = unsafe { scope_of_hashed(&raw) }?;
    Ok((scope, Fingerprint::from_bytes(raw.fingerprint), raw.payload_digest))
}

/// # Safety
///
/// As for [`one_hashed`], for `count` of them, until the call is over.
unsafe fn all_hashed<'a>(
    field: &'static str,
    at: *const Hashed,
    count: usize,
) -> Result<&'a [Hashed], Refusal> {
    check_batch(field, count)?;
    // SAFETY: the same contract.
    unsafe { elements(field, at, count) }
}

#[inline]
fn begin_one(
    mut engine: HeldEngine,
    prepared: &Prepared<'_>,
    how: &How,
    mut buffer: OutBytes,
    admission: Out<RawAdmission>,
) -> Result<(), Refusal> {
    let mut own = Outcome::default();
    let (engine, kept) = engine.with_kept();
    let outcome = kept.unwrap_or(&mut own);
    match engine.engine.begin_into(prepared, &how.options, outcome)? {
        // By far the most: written where it goes.
        Admission::Replayed(outcome) => {
            let Some(stored) = pack(outcome, &mut buffer) else {
                return Err(buffer.too_small(packed_len(outcome)));
            };
            admission.write(replayed(stored));
            buffer.tell();
        }
        other => {
            if matches!(other, Admission::InProgress { .. } | Admission::Scheduled { .. }) {
                // Whoever waits is sent back when the handle is closed.
                check_open(engine, "engine")?;
            }
            admission.write(tell(other).0);
            buffer.tell();
        }
    }
    if outcome.stored_bytes() > MOST_KEPT {
        *outcome = Outcome::default();
    }
    Ok(())
}

/// An answer in the header's form, and its outcome. The lease is the caller's.
pub(crate) fn tell<O>(answer: Admission<'_, O>) -> (RawAdmission, Option<O>) {
    let mut told = RawAdmission { status: ONCEGATE_OK, ..RawAdmission::default() };
    match answer {
        Admission::Admitted(lease) => {
            told.verdict = ONCEGATE_ADMITTED;
            told.fencing_token = lease.fencing_token().get();
            told.attempt = lease.attempt();
            told.how = how(lease.status());
            told.time_ms = millis_up(lease.remaining());
            told.lease = Lease { token: lease.into_token().to_bytes() };
        }
        Admission::Replayed(outcome) => {
            told.verdict = ONCEGATE_REPLAYED;
            return (told, Some(outcome));
        }
        Admission::InProgress { attempt, remaining } => {
            told.verdict = ONCEGATE_IN_PROGRESS;
            told.attempt = attempt;
            told.time_ms = millis_up(remaining);
        }
        Admission::Scheduled { next_attempt, due_in } => {
            told.verdict = ONCEGATE_SCHEDULED;
            told.attempt = next_attempt;
            told.time_ms = millis_up(due_in);
        }
        Admission::Mismatched => told.verdict = ONCEGATE_MISMATCHED,
        Admission::Unresolved => told.verdict = ONCEGATE_UNRESOLVED,
        Admission::OutcomeGone => told.verdict = ONCEGATE_OUTCOME_GONE,
    }
    (told, None)
}

/// A batch on its way: its answers.
struct Batch<'e> {
    engine: &'e Engine,
    options: BeginOptions,
    outcome: Outcome,
    buffer: OutBytes,
    admissions: OutElements<RawAdmission>,
    needed: usize,
}

impl<'e> Batch<'e> {
    fn new(
        engine: &'e HeldEngine,
        how: &How,
        buffer: OutBytes,
        admissions: OutElements<RawAdmission>,
    ) -> Self {
        let options = how.options.on_conflict(OnConflict::Conflict);
        let (engine, outcome) = (&*engine.engine, Outcome::default());
        Self { engine, options, outcome, buffer, admissions, needed: 0 }
    }

    /// Begins a part, whose first request has the place `from`. `prepare` adds one of it to
    /// `prepared`, or says why not.
    #[inline(always)]
    fn begin<'r, R>(
        &mut self,
        from: usize,
        part: &'r [R],
        prepared: &mut Vec<Prepared<'r>>,
        mut prepare: impl FnMut(&'r R, &mut Vec<Prepared<'r>>) -> Result<(), Status>,
    ) {
        let Self { engine, options, outcome, buffer, admissions, needed } = self;
        // The places of those that are begun, which are not all if some are refused.
        let mut places = [usize::MAX; AT_ONCE];
        for (index, one) in part.iter().enumerate() {
            // Nothing is begun that has no place: its lease would be nobody's.
            let begun = match places.get_mut(prepared.len()) {
                Some(place) => prepare(one, prepared).map(|()| *place = from + index),
                None => Err(ONCEGATE_BAD_SIZE),
            };
            if let Err(status) = begun {
                admissions.set(from + index, refused(status, None));
            }
        }
        engine.begin_batch(prepared, options, outcome, |at, answer| {
            let index = places.get(at).copied().unwrap_or(usize::MAX);
            match answer {
                // By far the most: written where it goes.
                Ok(Admission::Replayed(outcome)) => {
                    *needed += packed_len(outcome);
                    admissions.set(
                        index,
                        match pack(outcome, buffer) {
                            Some(outcome) => replayed(outcome),
                            None => refused(ONCEGATE_BUFFER_TOO_SMALL, None),
                        },
                    );
                }
                Ok(other) => admissions.set(index, tell(other).0),
                Err(error) => {
                    let status = i32::from(error.code().number());
                    admissions.set(index, refused(status, error.retry_after()));
                }
            }
        });
    }

    fn finish(self) {
        self.buffer.finish(self.needed);
    }
}

#[inline(always)]
fn replayed(outcome: StoredOutcome) -> RawAdmission {
    let verdict = ONCEGATE_REPLAYED;
    RawAdmission { verdict, status: ONCEGATE_OK, outcome, ..RawAdmission::default() }
}

/// An element that says why there is no answer.
pub(crate) fn refused(status: Status, retry_after: Option<Duration>) -> RawAdmission {
    let time_ms = retry_after.map_or(0, millis_up);
    RawAdmission { status, time_ms, ..RawAdmission::default() }
}

/// What a handle keeps for outcomes is no larger, for each of the threads that it tells apart.
const MOST_KEPT: usize = 4 << 10;

/// As many as the engine asks memory for at once.
const AT_ONCE: usize = 32;
