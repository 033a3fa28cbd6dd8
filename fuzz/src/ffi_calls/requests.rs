//! Requests: begin, alone and in a batch.

use oncegate_ffi::*;

use super::memory::{Given, Grown, Input, Place, first, zeroed};
use super::model::{KEYS, Stored};
use super::world::{Kind, World, call};

/// A request, and what is to come of it.
pub(super) struct Asked {
    pub(super) request: Grown<RawRequest>,
    pub(super) key: usize,
    pub(super) payload: usize,
    /// What it is refused with before other arguments are looked at.
    pub(super) refused: Status,
    /// What it is refused with when all arguments are fine.
    pub(super) late: Status,
}

/// A request of one of the keys, with one of the payloads, or with a mistake.
pub(super) fn request(input: &mut Input<'_>) -> Asked {
    let choice = usize::from(input.byte());
    let (key, payload) = (choice % KEYS, choice / KEYS % 8);
    let payload = if payload < 3 { payload } else { 0 };
    let mut raw: RawRequest = zeroed();
    (raw.scope_kind, raw.payload_kind) = (ONCEGATE_SCOPE_SINGLE_TENANT, ONCEGATE_PAYLOAD_RAW);
    (raw.operation, raw.key) = (bytes(b"op"), bytes(KEY_NAMES[key]));
    raw.payload = bytes(PAYLOADS[payload]);
    if payload == 2 {
        raw.payload_kind = ONCEGATE_PAYLOAD_JSON;
    }
    let (mut refused, mut late) = (0, 0);
    match input.mistake(14) {
        None => {}
        Some(0) => (raw.scope_kind, refused) = (9, ONCEGATE_BAD_VALUE),
        Some(1) => (raw.key_kind, refused) = (2, ONCEGATE_BAD_VALUE),
        Some(2) => (raw.payload_kind, refused) = (5, ONCEGATE_BAD_VALUE),
        Some(3) => (raw.reserved, refused) = (1, ONCEGATE_BAD_VALUE),
        Some(4) => (raw.key, late) = (bytes(b""), ONCEGATE_INVALID_KEY),
        Some(5) => (raw.key.len, refused) = (usize::MAX, ONCEGATE_BAD_SIZE),
        Some(6) => (raw.key.data, refused) = (std::ptr::null(), ONCEGATE_NULL_ARGUMENT),
        Some(7) => (raw.operation, refused) = (bytes(b"\xff"), ONCEGATE_NOT_UTF8),
        Some(8) => (raw.operation, late) = (bytes(b""), ONCEGATE_INVALID_OPERATION),
        Some(9) => (raw.scope, refused) = (bytes(b"tenant"), ONCEGATE_BAD_SIZE),
        Some(10) => (raw.scope_kind, refused) = (ONCEGATE_SCOPE_NAMED, ONCEGATE_INVALID_SCOPE),
        Some(11) => (raw.key_kind, refused) = (ONCEGATE_KEY_FROM_PAYLOAD, ONCEGATE_BAD_SIZE),
        Some(12) => (raw.key, late) = (bytes(&LONG), ONCEGATE_INVALID_KEY),
        Some(_) => (raw.operation, late) = (bytes(&VERY_LONG), ONCEGATE_INVALID_OPERATION),
    }
    let Given { value: request, refused: size } = Grown::new(raw, 72, input);
    let is_cut = size == 0 && request.value.payload.data.is_null();
    if is_cut && payload == 2 && late == 0 {
        late = ONCEGATE_INVALID_PAYLOAD;
    }
    let payload = if is_cut { PAYLOADS.len() } else { payload };
    Asked { request, key, payload, refused: first(&[size, refused]), late }
}

/// A request in which nothing is wrong.
pub(super) fn sound() -> RawRequest {
    let mut raw: RawRequest = zeroed();
    (raw.struct_size, raw.scope_kind) = (size_of::<RawRequest>(), ONCEGATE_SCOPE_SINGLE_TENANT);
    (raw.operation, raw.key) = (bytes(b"op"), bytes(KEY_NAMES[0]));
    raw
}

/// How to begin, and what is to come of it.
pub(super) struct How {
    pub(super) options: Grown<RawBeginOptions>,
    pub(super) refused: Status,
    pub(super) late: Status,
}

/// Options of one request. A call that could wait for ever never is asked to, unless it is
/// `patient`.
pub(super) fn options(input: &mut Input<'_>, patient: bool) -> How {
    let mut raw: RawBeginOptions = zeroed();
    let (mut refused, mut late) = (0, 0);
    let choice = usize::from(input.byte());
    raw.lease_ms = [0, 0, 0, 1, 50, 1_000, 30_000, 500][choice % 8];
    raw.dedup_window_ms = [0, 0, 1, 2_000][choice / 8 % 4];
    raw.on_lapse = [0, 1, 2, 3][choice / 32 % 4];
    raw.run_due = (choice / 128) as u32;
    raw.wait_ms = [0, ONCEGATE_ZERO, 20, 5_000][if patient { input.index(4) } else { choice % 2 }];
    match input.mistake(7) {
        None => {}
        Some(0) => (raw.lease_ms, late) = (ONCEGATE_ZERO, ONCEGATE_INVALID_OPTION),
        Some(1) => (raw.lease_ms, late) = (u64::MAX / 4, ONCEGATE_INVALID_OPTION),
        Some(2) => (raw.dedup_window_ms, late) = (ONCEGATE_ZERO, ONCEGATE_INVALID_OPTION),
        Some(3) => (raw.dedup_window_ms, late) = (u64::MAX / 2, ONCEGATE_INVALID_OPTION),
        Some(4) => (raw.on_lapse, refused) = (4, ONCEGATE_BAD_VALUE),
        Some(5) => (raw.run_due, refused) = (2, ONCEGATE_BAD_VALUE),
        Some(_) => (raw.wait_ms, late) = (u64::MAX / 2, ONCEGATE_INVALID_OPTION),
    }
    let Given { value: options, refused: size } = Grown::new(raw, 16, input);
    let cut = size == 0 && options.value.dedup_window_ms != raw.dedup_window_ms
        || options.value.wait_ms != raw.wait_ms
        || options.value.run_due != raw.run_due
        || options.value.on_lapse != raw.on_lapse;
    if cut {
        // What was wrong is not among what the caller knows.
        (late, refused) = (if raw.lease_ms > u64::MAX / 8 { late } else { 0 }, 0);
    }
    How { options, refused: first(&[size, refused]), late }
}

impl World<'_> {
    /// One request.
    pub(super) fn begin(&mut self) {
        let engine = self.handle(Kind::Engine);
        let asked = request(&mut self.input);
        let how = options(&mut self.input, false);
        let buffer = self.room.aim(&mut self.input);
        let mut place = Place::<RawAdmission>::new();
        let admission = place.at(&mut self.input);
        let status = call!(
            self,
            oncegate_begin(
                engine.at(),
                &raw const asked.request.value,
                &raw const how.options.value,
                buffer.value,
                admission.value,
            )
        );
        let refused = first(&[
            engine.refused,
            asked.refused,
            how.refused,
            buffer.refused,
            admission.refused,
            asked.late,
            how.late,
        ]);
        let call = "oncegate_begin";
        let bytes = self.room.check(call, status);
        if refused != 0 || status != 0 {
            assert!(place.is_untouched(), "{call}: {status}, and an answer");
        }
        let (capacity, needed) = (self.room.capacity(), self.room.needed());
        if refused != 0 {
            // Of two late mistakes either may be told.
            let either = refused == asked.late && status != 0 && status == how.late;
            assert!(status == refused || either, "{call}: {status} for {refused}");
        } else if status == ONCEGATE_BUFFER_TOO_SMALL {
            assert!(needed > capacity);
            assert!(!self.engines[engine.which].surely_runs(asked.key), "{call}: an outcome");
        } else if status == ONCEGATE_EXHAUSTED {
            assert!(self.engines[engine.which].ended, "{call}: time has not ended");
        } else {
            assert_eq!(status, 0, "{call}");
            let told = place.get(call);
            assert_eq!(told.status, 0, "{call}");
            let found = (told.verdict == ONCEGATE_REPLAYED).then(|| stored(&told.outcome, bytes));
            let model = &mut self.engines[engine.which];
            model.began(asked.key, asked.payload, &told, found);
        }
    }
}

/// What a stored outcome says, out of the buffer.
pub(super) fn stored(told: &StoredOutcome, buffer: &[u8]) -> Stored {
    let part = |offset: usize, len: usize| buffer[offset..][..len].to_vec();
    let packed = part(told.metadata_offset, told.metadata_len);
    let (mut pairs, mut cursor) = (Vec::new(), 0);
    let (mut name, mut value) = (bytes(b""), bytes(b""));
    loop {
        // SAFETY: what is packed is there, and so are the outputs.
        let status = unsafe {
            oncegate_metadata_next(
                bytes(&packed),
                &raw mut cursor,
                &raw mut name,
                &raw mut value,
                std::ptr::null_mut(),
            )
        };
        if status != 0 {
            assert_eq!((status, pairs.len()), (ONCEGATE_NOT_FOUND, told.metadata_count as usize));
            break;
        }
        pairs.push((owned(name), owned(value)));
    }
    let body = part(told.body_offset, told.body_len);
    Stored { status: told.status, body, pairs, kept: true }
}

/// The bytes that a call gave.
fn owned(given: Bytes) -> Vec<u8> {
    if given.len == 0 {
        return Vec::new();
    }
    // SAFETY: a part of what the call was given, as the header says.
    unsafe { std::slice::from_raw_parts(given.data, given.len) }.to_vec()
}

/// Bytes of the caller's.
pub(super) fn bytes(bytes: &[u8]) -> Bytes {
    Bytes { data: bytes.as_ptr(), len: bytes.len() }
}

const KEY_NAMES: [&[u8]; KEYS] = [b"key-0", b"key-1", b"key-2", b"key-3", b"key-4", b"key-5"];
const PAYLOADS: [&[u8]; 3] = [b"a", b"another", b"{\"a\":1}"];
static LONG: [u8; 256] = [b'k'; 256];
static VERY_LONG: [u8; 1_025] = [b'o'; 1_025];
