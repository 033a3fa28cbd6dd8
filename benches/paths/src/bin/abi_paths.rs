//! Hot paths through the C ABI, as another language calls it, counted in instructions: see the
//! library. Functions are called through pointers: nothing of them is built into the caller.

use std::hint::black_box;
use std::process::ExitCode;
use std::ptr::{from_mut, from_ref, null, null_mut};

use oncegate_ffi as c;
use oncegate_paths::{BATCH, FULL, fingerprint, measured};

fn main() -> ExitCode {
    oncegate_paths::program(&PATHS, run)
}

const PATHS: [&str; 3] = ["abi-replay", "abi-replay-batch-16", "abi-new-in-full-table"];

fn run(name: &str, iterations: usize) {
    match name {
        "abi-replay" => replay(iterations),
        "abi-replay-batch-16" => replay_batch(iterations),
        _ => new(iterations),
    }
}

/// One duplicate of a finished request with each call; its 64 bytes go into the caller's buffer.
fn replay(iterations: usize) {
    let engine = Opened::new(FULL);
    let keys: Vec<c::Hashed> = (0..BATCH as u64).map(hashed).collect();
    keys.iter().for_each(|key| engine.complete(key));
    let begin = black_box(c::oncegate_begin_hashed as Begin);
    let mut bytes = [0; 64];
    let mut buffer = c::Buffer { data: bytes.as_mut_ptr(), capacity: bytes.len(), needed: 0 };
    let mut admission = c::RawAdmission::default();
    measured(iterations, |i| {
        // SAFETY: all of it is this function's, and lives until it ends.
        let status = unsafe {
            begin(
                engine.0,
                from_ref(&keys[i % BATCH]),
                null(),
                from_mut(&mut buffer),
                from_mut(&mut admission),
                null_mut(),
            )
        };
        black_box(status);
    });
    assert_eq!(admission.verdict, c::ONCEGATE_REPLAYED);
}

/// Sixteen at once; counted for each.
fn replay_batch(iterations: usize) {
    let engine = Opened::new(FULL);
    let keys: Vec<c::Hashed> = (0..BATCH as u64).map(hashed).collect();
    keys.iter().for_each(|key| engine.complete(key));
    let begin = black_box(c::oncegate_begin_hashed_batch as BeginBatch);
    let mut bytes = [0; 64 * BATCH];
    let mut buffer = c::Buffer { data: bytes.as_mut_ptr(), capacity: bytes.len(), needed: 0 };
    let mut admissions = [c::RawAdmission::default(); BATCH];
    measured(iterations / BATCH, |_| {
        // SAFETY: as in `replay`; there are as many admissions as keys.
        let status = unsafe {
            begin(
                engine.0,
                keys.as_ptr(),
                keys.len(),
                null(),
                from_mut(&mut buffer),
                admissions.as_mut_ptr(),
                null_mut(),
            )
        };
        black_box(status);
    });
    assert!(admissions.iter().all(|one| one.verdict == c::ONCEGATE_REPLAYED));
}

/// A new request from begin to complete in a full table.
fn new(iterations: usize) {
    let engine = Opened::new(FULL);
    let before = 3 * FULL as u64;
    (0..before).for_each(|number| engine.complete(&hashed(number)));
    let keys: Vec<_> = (before..before + iterations as u64).map(hashed).collect();
    measured(iterations, |i| engine.complete(&keys[i]));
}

/// An engine behind a handle.
struct Opened(*mut c::RawEngine);

impl Opened {
    fn new(capacity: usize) -> Self {
        // SAFETY: the structure holds numbers, pointers and lengths, all of which may be zero.
        let mut options: c::RawOptions = unsafe { std::mem::zeroed() };
        let secret = [7; 32];
        options.struct_size = size_of::<c::RawOptions>();
        options.capacity = capacity as u64;
        options.clock = c::ONCEGATE_CLOCK_MANUAL;
        options.outcome_limit = 256;
        options.secret = c::Bytes { data: secret.as_ptr(), len: secret.len() };
        let mut engine = null_mut();
        // SAFETY: all of it is this function's.
        let status =
            unsafe { c::oncegate_engine_open(&raw const options, &mut engine, null_mut()) };
        assert_eq!(status, c::ONCEGATE_OK, "a valid configuration");
        Self(engine)
    }

    fn complete(&self, key: &c::Hashed) {
        let body = [7; 64];
        let mut admission = c::RawAdmission::default();
        // SAFETY: the structure holds numbers, pointers and lengths, all of which may be zero.
        let mut outcome: c::RawOutcome = unsafe { std::mem::zeroed() };
        outcome.struct_size = size_of::<c::RawOutcome>();
        outcome.status = 200;
        outcome.body = c::Bytes { data: body.as_ptr(), len: body.len() };
        let (begin, complete) =
            black_box((c::oncegate_begin_hashed as Begin, c::oncegate_lease_complete as Complete));
        // SAFETY: all of it is this function's, and lives until it ends.
        let ended = unsafe {
            begin(self.0, key, null(), null_mut(), from_mut(&mut admission), null_mut());
            complete(self.0, &raw const admission.lease, &raw const outcome, null_mut(), null_mut())
        };
        assert_eq!(ended, c::ONCEGATE_OK, "a new key is admitted");
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        // SAFETY: the handle is closed once.
        unsafe { c::oncegate_engine_close(self.0, null_mut()) };
    }
}

fn hashed(number: u64) -> c::Hashed {
    c::Hashed {
        scope_kind: c::ONCEGATE_SCOPE_SINGLE_TENANT,
        reserved: 0,
        scope: c::Bytes { data: null(), len: 0 },
        fingerprint: fingerprint(number).to_bytes(),
        payload_digest: 0,
    }
}

// SAFETY: a type; whoever calls through it keeps the header's contract.
type Begin = unsafe extern "C" fn(
    *const c::RawEngine,
    *const c::Hashed,
    *const c::RawBeginOptions,
    *mut c::Buffer,
    *mut c::RawAdmission,
    *mut c::ErrorInfo,
) -> c::Status;

// SAFETY: a type; whoever calls through it keeps the header's contract.
type BeginBatch = unsafe extern "C" fn(
    *const c::RawEngine,
    *const c::Hashed,
    usize,
    *const c::RawBeginOptions,
    *mut c::Buffer,
    *mut c::RawAdmission,
    *mut c::ErrorInfo,
) -> c::Status;

// SAFETY: a type; whoever calls through it keeps the header's contract.
type Complete = unsafe extern "C" fn(
    *const c::RawEngine,
    *const c::Lease,
    *const c::RawOutcome,
    *mut u32,
    *mut c::ErrorInfo,
) -> c::Status;

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: no path breaks unseen. Method: each runs a few times; their own assertions say that
    /// they are what they are called.
    #[test]
    fn every_path_runs() {
        PATHS.iter().for_each(|name| run(name, 4 * BATCH));
    }
}
