//! Downstream: what an attempt tells the services that it calls.

use std::ffi::c_char;

use oncegate::Outcome;

use crate::engine::{RawEngine, held, text};
use crate::entry::{ErrorInfo, entry};
use crate::lease::{Lease, token};
use crate::outcome::{StoredOutcome, pack, packed_len};
use crate::raw::{Buffer, Bytes, Out, OutBytes, OutElements};
use crate::status::{ONCEGATE_BUFFER_TOO_SMALL, Refusal, Status};

/// How many characters `oncegate_downstream_key` writes, with the final zero.
pub const ONCEGATE_DOWNSTREAM_KEY_SIZE: usize = 44;

/// Writes an idempotency key for a call of this request to `service`: the same in every attempt,
/// and another one for every request, service and step.
///
/// `service` and `step` are UTF-8 of 1 to 255 bytes; an empty `step` is none, for the one call that
/// a request makes to the service. The key is 43 letters, digits, dashes and underscores with a
/// final zero; less `capacity` than `ONCEGATE_DOWNSTREAM_KEY_SIZE` is `ONCEGATE_BUFFER_TOO_SMALL`.
/// It tells nothing of the caller's own key. Returns `ONCEGATE_FENCED` where the attempt is no
/// longer the caller's. Any thread may call it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_downstream_key(
    engine: *const RawEngine,
    lease: *const Lease,
    service: Bytes,
    step: Bytes,
    key: *mut c_char,
    capacity: usize,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error;
        engine = held; lease = token; service = text; step = text;
        key = OutElements::new, capacity;
    => {
        let mut key = key;
        if key.len() < ONCEGATE_DOWNSTREAM_KEY_SIZE {
            let limit = ONCEGATE_DOWNSTREAM_KEY_SIZE;
            let detail = format!("found room for {}; limit: at least {limit}", key.len());
            return Err(Refusal::new(ONCEGATE_BUFFER_TOO_SMALL, "key", detail));
        }
        let made = match step {
            "" => engine.engine.downstream_key(&lease, service)?,
            step => engine.engine.step_key(&lease, service, step)?,
        };
        let characters = made.as_str().bytes().chain([0]);
        characters.enumerate().for_each(|(index, byte)| key.set(index, byte as c_char));
        Ok(())
    })
}

/// Writes the headers of a call to `service` into the buffer: `idempotency-key` (as a String of
/// RFC 8941, in double quotes), `idempotency-attempt` and `fencing-token`.
///
/// They are packed as the metadata of an outcome is: `*pairs` says where they lie, and
/// `oncegate_metadata_next` reads them. gRPC's `grpc-previous-rpc-attempts` is the attempt less
/// one. Returns `ONCEGATE_INVALID_OPTION` for a `service` that is not UTF-8 of 1 to 255 bytes,
/// `ONCEGATE_FENCED` where the attempt is no longer the caller's, and `ONCEGATE_BUFFER_TOO_SMALL`
/// with the size in `buffer->needed`. Any thread may call it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_attempt_headers(
    engine: *const RawEngine,
    lease: *const Lease,
    service: Bytes,
    buffer: *mut Buffer,
    pairs: *mut StoredOutcome,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error;
        engine = held; lease = token; service = text; buffer = OutBytes::new; pairs = Out::new;
    => {
        let headers = engine.engine.attempt_headers(&lease, service)?;
        let mut all = Outcome::default();
        for (name, value) in headers.iter() {
            all = all.with_metadata(name, value)?;
        }
        let (mut buffer, needed) = (buffer, packed_len(&all));
        let Some(packed) = pack(&all, &mut buffer) else { return Err(buffer.too_small(needed)) };
        buffer.finish(needed);
        pairs.write(packed);
        Ok(())
    })
}
