//! Commands as bytes, the fixed parts of the scripts' arguments, and what scripts answer.

use std::time::Duration;

use redis::Value;

use super::codec::Codec;
use crate::engine::{OnLapse, Status};
use crate::outcome::Outcome;
use crate::tier::{
    Claim, Claimed, End, Ending, FenceClock, Finished, Grant, Holder, Renewal, Sighting, TableId,
    TierKey,
};

/// A command in the protocol's form.
pub(super) fn pack(args: &[&[u8]]) -> Vec<u8> {
    let size: usize = args.iter().map(|arg| arg.len() + 16).sum();
    let mut out = Vec::with_capacity(size + 16);
    head(&mut out, b'*', args.len());
    for arg in args {
        head(&mut out, b'$', arg.len());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
    out
}

fn head(out: &mut Vec<u8>, mark: u8, mut number: usize) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.push(mark);
    out.extend_from_slice(&digits[at..]);
    out.extend_from_slice(b"\r\n");
}

/// Little-endian fields, one behind the other, as the scripts unpack them.
#[derive(Default)]
pub(super) struct Fields(Vec<u8>);

impl Fields {
    fn int(mut self, value: u64, bytes: usize) -> Self {
        self.0.extend_from_slice(&value.to_le_bytes()[..bytes]);
        self
    }

    fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn shift(self, ms: i64) -> Self {
        self.int(ms.cast_unsigned(), 8)
    }

    fn fence(self, fence: u64) -> Self {
        let fence = fence.min(LAST_FENCE);
        let count = fence & ((1 << FenceClock::COUNT_BITS) - 1);
        self.int(fence >> FenceClock::COUNT_BITS, 6).int(count, 3)
    }

    /// Rounded up to whole milliseconds, and never for ever.
    fn time(self, time: Duration) -> Self {
        self.int(millis(time), 6)
    }

    fn table(self, table: TableId) -> Self {
        self.raw(&table.0.to_be_bytes())
    }
}

/// At most about 140 years: the sum with the time of day stays exact in a script.
pub(super) fn millis(time: Duration) -> u64 {
    let ms = time.as_nanos().div_ceil(1_000_000);
    u64::try_from(ms).unwrap_or(LONGEST_MS).min(LONGEST_MS)
}

pub(super) fn claim(claim: &Claim, epoch: [u8; 8], shift: i64) -> Vec<u8> {
    let asks = u64::from(claim.creates) * CREATES
        + u64::from(claim.takes_scheduled) * TAKES_SCHEDULED
        + u64::from(claim.watches) * WATCHES;
    Fields::default()
        .raw(&epoch)
        .shift(shift)
        .int(lapse(claim.on_lapse), 1)
        .int(asks, 1)
        .int(claim.holder.counter, 6)
        .fence(claim.above)
        .time(claim.lease)
        .time(claim.retention)
        .table(claim.holder.table)
        .int(claim.digest, 8)
        .0
}

pub(super) fn renewal(renewal: &Renewal, shift: i64) -> Vec<u8> {
    Fields::default()
        .shift(shift)
        .int(lapse(renewal.on_lapse), 1)
        .int(u64::from(renewal.restores) * RESTORES, 1)
        .int(renewal.attempt.into(), 4)
        .int(renewal.holder.counter, 6)
        .fence(renewal.fence)
        .time(renewal.lease)
        .time(renewal.retention)
        .table(renewal.holder.table)
        .int(renewal.digest, 8)
        .0
}

/// How an attempt ends, as the scripts take it.
pub(super) struct Finish {
    kind: u64,
    asks: u64,
    lasts: Duration,
    keep: Duration,
    pub(super) bytes: Vec<u8>,
    /// Whether the outcome was too large to be kept.
    pub(super) without_bytes: bool,
}

impl Finish {
    pub(super) fn of(key: TierKey, end: &End<'_>, codec: &Codec) -> Self {
        let plain = |kind, lasts, keep| Self {
            kind,
            asks: 0,
            lasts,
            keep,
            bytes: Vec::new(),
            without_bytes: false,
        };
        let done = |kind, outcome: &Outcome, window| {
            let stored = codec.outcome(key, outcome);
            Self {
                asks: if stored.is_none() { WITHOUT_BYTES } else { 0 },
                without_bytes: stored.is_none() && !outcome.is_withheld(),
                bytes: stored.unwrap_or_default(),
                ..plain(kind, window, Duration::ZERO)
            }
        };
        match *end {
            End::Succeeded { outcome, window } => done(1, outcome, window),
            End::Failed { outcome, window } => done(2, outcome, window),
            End::Retry { due_in, retention, scheduled } => Self {
                asks: if scheduled.is_some() { LEFT_TO_SCHEDULER } else { 0 },
                bytes: scheduled
                    .and_then(|context| codec.context(key, context))
                    .unwrap_or_default(),
                ..plain(3, due_in, retention)
            },
            End::Unknown { retention } => plain(4, retention, Duration::ZERO),
            End::NeverRan => plain(5, Duration::ZERO, Duration::ZERO),
        }
    }

    pub(super) fn ending(&self, ending: &Ending<'_>, shift: i64) -> Vec<u8> {
        let asks = self.asks + u64::from(ending.restores) * RESTORES;
        self.fields(asks, shift, ending.attempt, ending.holder, ending.fence, ending.digest, 0)
    }

    pub(super) fn settlement(&self, settler: u32, shift: i64) -> Vec<u8> {
        let nobody = Holder { table: TableId(0), counter: 0 };
        self.fields(self.asks + SETTLES, shift, 0, nobody, 0, 0, settler)
    }

    #[allow(clippy::too_many_arguments, reason = "the fields of one flat structure")]
    fn fields(
        &self,
        asks: u64,
        shift: i64,
        attempt: u32,
        holder: Holder,
        fence: u64,
        digest: u64,
        settler: u32,
    ) -> Vec<u8> {
        Fields::default()
            .shift(shift)
            .int(self.kind, 1)
            .int(asks, 1)
            .int(attempt.into(), 4)
            .int(holder.counter, 6)
            .fence(fence)
            .time(self.lasts)
            .time(self.keep)
            .table(holder.table)
            .int(digest, 8)
            .int(settler.into(), 4)
            .0
    }
}

/// `sweeps`: whoever reads looks for what is scheduled, and clears a schedule of what is not.
pub(super) fn reading(sweeps: bool, shift: i64) -> Vec<u8> {
    Fields::default().shift(shift).int(sweeps.into(), 1).0
}

pub(super) fn due(limit: usize, shift: i64) -> Vec<u8> {
    Fields::default().shift(shift).int(limit.min(1 << 20) as u64, 4).0
}

/// `lasts` of nothing: it asks whether the table is there.
pub(super) fn beat(lasts: Duration, shift: i64) -> Vec<u8> {
    Fields::default().shift(shift).time(lasts).0
}

/// What a claim was answered. `None`: not in a form that a script of ours answers.
pub(super) fn claimed(value: Value, key: TierKey, codec: &Codec) -> Option<Option<Claimed>> {
    let mut fields = Reply::of(value)?;
    Some(Some(match fields.int()? {
        0 => return Some(None),
        1 => {
            let (ms, count) = (fields.int()?, fields.int()?);
            let fence = (ms << FenceClock::COUNT_BITS) | count;
            let attempt = fields.small()?;
            let status = match fields.int()? {
                0 => Status::Created,
                1 => Status::Retried,
                2 => Status::Expired,
                _ => return None,
            };
            Claimed::Granted(Grant { fence, attempt, status })
        }
        2 => Claimed::Running { attempt: fields.small()?, remaining: fields.time()? },
        3 => Claimed::Waiting { next_attempt: fields.small()?, due_in: fields.time()? },
        4 => {
            let (failed, remaining) = (fields.int()? != 0, fields.time()?);
            let outcome = fields.outcome(key, codec)?;
            Claimed::Finished(Finished { failed, outcome, remaining })
        }
        5 => Claimed::Mismatched { digest: fields.digest()? },
        6 => Claimed::Unresolved,
        7 => Claimed::Vacant,
        8 => Claimed::Stale,
        _ => return None,
    }))
}

/// What a look found, with what only an orphan tells.
pub(super) struct Seen {
    pub(super) sighting: Sighting,
    pub(super) holder: Holder,
    pub(super) digest: u64,
    pub(super) scheduled: bool,
    pub(super) context: Vec<u8>,
}

/// What was read. `None`: not in a form that a script of ours answers.
pub(super) fn seen(value: Value, key: TierKey, codec: &Codec) -> Option<Option<Seen>> {
    let mut fields = Reply::of(value)?;
    let state = fields.int()?;
    if state == 0 {
        return Some(None);
    }
    let (attempt, remaining) = (fields.small()?, fields.time()?);
    let (status, flags) = (fields.int()?, fields.int()?);
    let table = TableId(u128::from_be_bytes(fields.bytes()?.try_into().ok()?));
    let holder = Holder { table, counter: fields.int()? };
    let digest = fields.digest()?;
    let stored = fields.bytes()?;
    let mut context = Vec::new();
    let sighting = match state {
        1 => Sighting::Running { holder, attempt, remaining },
        2 => {
            context = codec.read_context(key, &stored).unwrap_or_default();
            let next_attempt = attempt.checked_add(1)?;
            Sighting::Waiting { holder, next_attempt, due_in: remaining }
        }
        3 | 4 => {
            let outcome = outcome(status, flags, &stored, key, codec);
            Sighting::Finished(Finished { failed: state == 4, outcome, remaining })
        }
        5 => Sighting::Unresolved { holder },
        _ => return None,
    };
    let scheduled = state == 2 && flags & LEFT != 0;
    Some(Some(Seen { sighting, holder, digest, scheduled, context }))
}

fn outcome(status: u64, flags: u64, stored: &[u8], key: TierKey, codec: &Codec) -> Option<Outcome> {
    if flags & NO_BYTES != 0 {
        return None;
    }
    if stored.is_empty() {
        // A lease that lapsed, by the policy to fail: there are no bytes.
        return u16::try_from(status).ok().map(|status| Outcome::new(status, b""));
    }
    codec.read_outcome(key, stored)
}

/// Whether it was done. `None`: not in a form that a script of ours answers.
pub(super) fn done(value: &Value) -> Option<bool> {
    match value {
        Value::Int(0) => Some(false),
        Value::Int(1) => Some(true),
        _ => None,
    }
}

struct Reply(std::vec::IntoIter<Value>);

impl Reply {
    fn of(value: Value) -> Option<Self> {
        match value {
            Value::Array(fields) => Some(Self(fields.into_iter())),
            _ => None,
        }
    }

    fn int(&mut self) -> Option<u64> {
        match self.0.next()? {
            Value::Int(int) => u64::try_from(int).ok(),
            _ => None,
        }
    }

    fn small(&mut self) -> Option<u32> {
        self.int()?.try_into().ok()
    }

    fn time(&mut self) -> Option<Duration> {
        self.int().map(Duration::from_millis)
    }

    fn bytes(&mut self) -> Option<Vec<u8>> {
        match self.0.next()? {
            Value::BulkString(bytes) => Some(bytes),
            _ => None,
        }
    }

    fn digest(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.bytes()?.try_into().ok()?))
    }

    fn outcome(&mut self, key: TierKey, codec: &Codec) -> Option<Option<Outcome>> {
        let (status, flags) = (self.int()?, self.int()?);
        Some(outcome(status, flags, &self.bytes()?, key, codec))
    }
}

fn lapse(on_lapse: OnLapse) -> u64 {
    match on_lapse {
        OnLapse::Reclaim => 0,
        OnLapse::Unknown => 1,
        OnLapse::Failed => 2,
    }
}

const LONGEST_MS: u64 = 1 << 42;
const LAST_FENCE: u64 = (1 << 63) - 1;
const CREATES: u64 = 1;
const TAKES_SCHEDULED: u64 = 2;
const WATCHES: u64 = 4;
const RESTORES: u64 = 1;
const LEFT_TO_SCHEDULER: u64 = 2;
const WITHOUT_BYTES: u64 = 4;
const SETTLES: u64 = 8;
/// In the fixed part of an end: written even if it is a repetition.
pub(super) const AGAIN: u8 = 16;
/// Where the flags stand in the fixed part of an end.
pub(super) const END_ASKS_AT: usize = 9;
/// Flags of a record.
const LEFT: u64 = 4;
const NO_BYTES: u64 = 16;
