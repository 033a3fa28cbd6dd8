//! Begin: a request asks to run, alone or in a batch, and waits where it may.

use std::time::Duration;

use oncegate::{Admission, BeginOptions, Fingerprint, OnConflict, Outcome, Prepared};

use crate::convert::{given_ms, millis_up};
use crate::engine::{Opened, RawEngine, held};
use crate::entry::{ErrorInfo, entry};
use crate::handles::Held;
use crate::lease::{Lease, how};
use crate::options::lapse;
use crate::outcome::{StoredOutcome, pack, packed_len};
use crate::raw::Buffer;
use crate::raw::{Bytes, Growing, Out, OutBytes, OutElements, Plain, elements, grown_or_zero};
use crate::request::{MAX_BATCH, RawRequest, all_parts, parts, scope};
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
    /// How long the lease lasts, or until the next attempt is due, in milliseconds.
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
    /// How long to wait for another's attempt; `None`: as the engine's options say.
    pub(crate) wait: Option<Duration>,
}

/// Looks at the options of a call; `NULL` is all zeros.
///
/// # Safety
///
/// `at` is `NULL`, or the caller's for reading during the call.
pub(crate) unsafe fn begin_options(
    field: &'static str,
    at: *const RawBeginOptions,
) -> Result<How, Refusal> {
    // SAFETY: the same contract.
    let raw = unsafe { grown_or_zero(field, at) }?;
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
    if let Some(limit) = wait {
        options = options.on_conflict(OnConflict::Wait(limit));
    }
    Ok(How { options, wait })
}

/// Asks to run a request.
///
/// `options`, `buffer` and `error` may be `NULL`. A stored outcome is written into `buffer`;
/// where it does not fit the call returns `ONCEGATE_BUFFER_TOO_SMALL` with the size in
/// `buffer->needed`, and can be made again. With `wait_ms` it blocks while another attempt runs;
/// otherwise never. Any thread may call it. Whoever gets `ONCEGATE_ADMITTED` ends the lease by
/// `oncegate_lease_complete`, `oncegate_lease_fail`, `oncegate_lease_abandon` or
/// `oncegate_retry_later`.
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
        begin_one(&engine, &prepared, &options, buffer, admission)
    })
}

/// The same with digests that the caller has made, and vouches for. Such a record is never met by
/// a request that the engine has hashed.
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
        begin_one(&engine, &prepared, &options, buffer, admission)
    })
}

/// Asks to run many requests: answer `i` belongs to request `i`.
///
/// Costs less than as many calls: the crossing once, and in a large table most of the time of the
/// look-ups. Each request is answered for itself, in `admissions[i].status` and `.verdict`; the
/// call is refused as a whole only where its own arguments are wrong. Outcomes share `buffer`:
/// one that finds no room has the status `ONCEGATE_BUFFER_TOO_SMALL`, and can be asked for again;
/// `buffer->needed` is what all of them need. At most 65,536; never waits.
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
        engine = held; requests = all_parts, count; options = begin_options;
        buffer = OutBytes::new; admissions = OutElements::new, count;
    => {
        let mut batch = Batch::new(buffer, admissions);
        let mut prepared = Vec::with_capacity(count);
        for (index, parts) in requests.iter().enumerate() {
            let one = parts.as_ref().map_err(|refusal| refusal.status).and_then(|parts| {
                let request = parts.request().map_err(|refusal| refusal.status)?;
                let prepared = engine.engine.prepare(&request);
                prepared.map_err(|error| i32::from(error.code().number()))
            });
            match one {
                Ok(one) => prepared.push((index, one)),
                Err(status) => batch.refuse(index, status),
            }
        }
        batch.begin(&engine, &prepared, &options);
        Ok(())
    })
}

/// The same with digests that the caller has made.
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
        let mut batch = Batch::new(buffer, admissions);
        let mut prepared = Vec::with_capacity(count);
        for (index, one) in hashed.into_iter().enumerate() {
            match one {
                Ok((scope, fingerprint, digest)) => prepared
                    .push((index, engine.engine.prepare_hashed(scope, fingerprint, digest))),
                Err(refusal) => batch.refuse(index, refusal.status),
            }
        }
        batch.begin(&engine, &prepared, &options);
        Ok(())
    })
}

/// Writes the fingerprint of a request under the engine's secret: 32 bytes.
///
/// The same for the same scope, operation and key; the payload plays no part in it, unless it
/// stands in for the key. For logs and tests.
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
unsafe fn digests<'a>(raw: &Hashed) -> Result<Digests<'a>, Refusal> {
    if raw.reserved != 0 {
        return Err(crate::convert::no_choice("reserved", raw.reserved, 0));
    }
    // SAFETY: the same contract.
    let scope = unsafe { scope(raw.scope_kind, raw.scope) }?;
    Ok((scope, Fingerprint::from_bytes(raw.fingerprint), raw.payload_digest))
}

/// # Safety
///
/// `at` is `NULL`, or digests whose references are the caller's for reading during the call.
unsafe fn one_hashed<'a>(field: &'static str, at: *const Hashed) -> Result<Digests<'a>, Refusal> {
    // SAFETY: the same contract.
    unsafe { digests(&crate::raw::copy(field, at)?) }
}

/// # Safety
///
/// As for [`one_hashed`], for `count` of them.
unsafe fn all_hashed<'a>(
    field: &'static str,
    at: *const Hashed,
    count: usize,
) -> Result<Vec<Result<Digests<'a>, Refusal>>, Refusal> {
    if count > MAX_BATCH {
        let detail = format!("found {count}; limit: {MAX_BATCH}");
        return Err(Refusal::new(ONCEGATE_BAD_SIZE, field, detail));
    }
    // SAFETY: the same contract.
    let raw = unsafe { elements(field, at, count) }?;
    // SAFETY: the same contract.
    Ok(raw.iter().map(|raw| unsafe { digests(raw) }).collect())
}

fn begin_one(
    engine: &Held<Opened>,
    prepared: &Prepared<'_>,
    how: &How,
    mut buffer: OutBytes,
    admission: Out<RawAdmission>,
) -> Result<(), Refusal> {
    let mut outcome = Outcome::default();
    let answer = engine.engine.begin_into(prepared, &how.options, &mut outcome)?;
    if matches!(answer, Admission::InProgress { .. } | Admission::Scheduled { .. }) {
        // Whoever waits is sent back when the handle is closed.
        engine.check_open("engine")?;
    }
    let (answer, needed) = describe(answer, &mut buffer);
    match answer {
        Some(answer) => {
            buffer.finish(needed);
            admission.write(answer);
            Ok(())
        }
        None => {
            let detail = format!("found room for {}; limit: at least {needed}", buffer.room());
            buffer.finish(needed);
            Err(Refusal::new(ONCEGATE_BUFFER_TOO_SMALL, "buffer", detail))
        }
    }
}

/// An answer in the header's form, and how many bytes of the buffer it needs. `None`: its outcome
/// finds no room.
pub(crate) fn describe(
    answer: Admission<'_, &Outcome>,
    buffer: &mut OutBytes,
) -> (Option<RawAdmission>, usize) {
    let mut told = RawAdmission::default();
    let mut needed = 0;
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
            needed = packed_len(outcome);
            let Some(stored) = pack(outcome, buffer) else { return (None, needed) };
            told.verdict = ONCEGATE_REPLAYED;
            told.outcome = stored;
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
    told.status = ONCEGATE_OK;
    (Some(told), needed)
}

/// The answers of a batch.
struct Batch {
    buffer: OutBytes,
    admissions: OutElements<RawAdmission>,
    needed: usize,
}

impl Batch {
    fn new(buffer: OutBytes, admissions: OutElements<RawAdmission>) -> Self {
        Self { buffer, admissions, needed: 0 }
    }

    fn refuse(&mut self, index: usize, status: Status) {
        self.admissions.set(index, RawAdmission { status, ..RawAdmission::default() });
    }

    fn begin(mut self, engine: &Held<Opened>, batch: &[(usize, Prepared<'_>)], how: &How) {
        let requests: Vec<Prepared<'_>> = batch.iter().map(|(_, one)| *one).collect();
        let mut outcome = Outcome::default();
        let options = how.options.on_conflict(OnConflict::Conflict);
        engine.engine.begin_batch(&requests, &options, &mut outcome, |at, answer| {
            let index = batch.get(at).map_or(usize::MAX, |(index, _)| *index);
            match answer {
                Ok(answer) => {
                    let (told, needed) = describe(answer, &mut self.buffer);
                    self.needed += needed;
                    match told {
                        Some(told) => self.admissions.set(index, told),
                        None => self.refuse(index, ONCEGATE_BUFFER_TOO_SMALL),
                    }
                }
                Err(error) => self.refuse(index, i32::from(error.code().number())),
            }
        });
        self.buffer.finish(self.needed);
    }
}
