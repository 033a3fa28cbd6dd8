//! Leases: attempts are looked at, prolonged, and ended.

use oncegate_ffi::*;

use super::memory::{Given, Grown, Input, Place, first, zeroed};
use super::model::{Holder, Model, State, Stored, WINDOW};
use super::requests::bytes;
use super::world::{Kind, Named, World, call};

/// A lease as an argument: somebody's, or bytes that are none.
pub(super) struct Presented {
    lease: Lease,
    null: bool,
    pub(super) refused: Status,
    pub(super) holder: Option<Holder>,
}

impl Presented {
    /// The pointer to it.
    pub(super) fn at(&self) -> *const Lease {
        if self.null { std::ptr::null() } else { &raw const self.lease }
    }
}

/// What a holder may be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    Surely,
    Perhaps,
    Not,
}

impl World<'_> {
    /// A lease of this engine, for a call.
    pub(super) fn lease(&mut self, engine: &Named) -> Presented {
        let null = Lease::default();
        let Some(model) = self.engines.get(engine.which).filter(|_| engine.refused == 0) else {
            return Presented { lease: null, null: false, refused: 1, holder: None };
        };
        let choice = usize::from(self.input.byte());
        let holder = model.holders.get(choice % model.holders.len().max(1)).copied();
        let lease = holder.map_or(null, |holder| holder.lease);
        let (malformed, absent) = (ONCEGATE_INVALID_TOKEN, ONCEGATE_NULL_ARGUMENT);
        match holder.filter(|_| choice < 240) {
            Some(holder) => Presented { lease, null: false, refused: 0, holder: Some(holder) },
            None if choice & 1 == 0 => {
                Presented { lease, null: true, refused: absent, holder: None }
            }
            None => {
                // The version is none that there is.
                let mut lease = lease;
                lease.token[0] ^= 0x40;
                Presented { lease, null: false, refused: malformed, holder: None }
            }
        }
    }

    /// Whether a lease is one that holds.
    fn hold(&self, engine: &Named, lease: &Presented) -> Hold {
        let (Some(model), Some(holder)) = (self.engines.get(engine.which), lease.holder) else {
            return Hold::Perhaps;
        };
        model.hold(&holder)
    }

    /// What a call on a lease has to return where its arguments are fine: nothing else than the
    /// hold says.
    pub(super) fn held(
        &mut self,
        call: &str,
        status: Status,
        refused: Status,
        (engine, lease): (&Named, &Presented),
    ) -> Option<Holder> {
        if refused != 0 {
            assert_eq!(status, refused, "{call}");
            return None;
        }
        let hold = self.hold(engine, lease);
        let fits = match status {
            0 => hold != Hold::Not,
            ONCEGATE_FENCED => hold != Hold::Surely,
            _ => true,
        };
        let record = lease.holder.map(|holder| &self.engines[engine.which].records[holder.key]);
        assert!(fits, "{call}: {status} for {hold:?} {:?} of {record:?}", lease.holder);
        lease.holder.filter(|_| status == 0)
    }

    pub(super) fn take_up(&mut self) {
        let engine = self.handle(Kind::Engine);
        let lease = self.lease(&engine);
        let mut place = Place::<LeaseInfo>::new();
        let info = place.at(&mut self.input);
        let status = call!(self, oncegate_lease_take_up(engine.at(), lease.at(), info.value));
        let call = "oncegate_lease_take_up";
        let refused = first(&[engine.refused, lease.refused, info.refused]);
        assert!(status == 0 || place.is_untouched(), "{call}: {status}");
        if let Some(holder) = self.held(call, status, refused, (&engine, &lease)) {
            let told = place.get(call);
            assert_eq!((told.fencing_token, told.attempt), (holder.fence, holder.attempt));
        } else {
            assert_ne!(status, 0, "{call}");
        }
    }

    pub(super) fn renew(&mut self) {
        let engine = self.handle(Kind::Engine);
        let lease = self.lease(&engine);
        let (duration, late) = match self.input.mistake(2) {
            None => ([1, 40, 1_000, 60_000][self.input.index(4)], 0),
            Some(0) => (0, ONCEGATE_INVALID_OPTION),
            Some(_) => (u64::MAX / 4, ONCEGATE_INVALID_OPTION),
        };
        let mut place = Place::<u64>::new();
        let remaining = place.at_or_null(&mut self.input);
        let status =
            call!(self, oncegate_lease_renew(engine.at(), lease.at(), duration, remaining));
        let call = "oncegate_lease_renew";
        assert!(status == 0 || place.is_untouched(), "{call}: {status}");
        let refused = first(&[engine.refused, lease.refused, late]);
        if let Some(holder) = self.held(call, status, refused, (&engine, &lease)) {
            if !remaining.is_null() {
                assert!(place.get(call) <= duration + 1, "{call}: longer than it was asked to");
            }
            let model = &mut self.engines[engine.which];
            let until = model.now.saturating_add(duration);
            let Holder { fence, attempt, key, .. } = holder;
            model.records[key].state = State::Running { fence, attempt, until };
        }
    }

    pub(super) fn complete(&mut self) {
        let engine = self.handle(Kind::Engine);
        let lease = self.lease(&engine);
        let outcome = outcome(&mut self.input);
        let mut place = Place::<u32>::new();
        let stored = place.at_or_null(&mut self.input);
        let status =
            call!(self, oncegate_lease_complete(engine.at(), lease.at(), outcome.at(), stored));
        let call = "oncegate_lease_complete";
        assert!(status == 0 || place.is_untouched(), "{call}: {status}");
        let refused = first(&[engine.refused, lease.refused, outcome.or_empty]);
        if let Some(holder) = self.held(call, status, refused, (&engine, &lease)) {
            let mut left = outcome.stored();
            if !stored.is_null() {
                let told = place.get(call);
                assert!((1..=2).contains(&told), "{call}: {told}");
                assert!(told == ONCEGATE_STORED || !left.surely_kept(), "{call}: not stored");
                left.kept &= told == ONCEGATE_STORED;
            }
            self.engines[engine.which].finished(&holder, left);
        }
    }

    pub(super) fn fail(&mut self) {
        let engine = self.handle(Kind::Engine);
        let lease = self.lease(&engine);
        let kind = (self.input.byte() % 9) as u32 % 4;
        let delay = [0, 1, 300, 5_000, u64::MAX / 4][self.input.index(5)];
        let outcome = outcome(&mut self.input);
        let at = outcome.at();
        let status = call!(self, oncegate_lease_fail(engine.at(), lease.at(), kind, delay, at));
        let call = "oncegate_lease_fail";
        let is_final = kind == ONCEGATE_FAILURE_TERMINAL;
        let late = match kind {
            3 => ONCEGATE_BAD_VALUE,
            ONCEGATE_FAILURE_RETRYABLE if delay > 1 << 40 => ONCEGATE_INVALID_OPTION,
            _ => 0,
        };
        let refused = if is_final { outcome.refused } else { 0 };
        let refused = first(&[engine.refused, lease.refused, refused, late]);
        let Some(holder) = self.held(call, status, refused, (&engine, &lease)) else { return };
        let model = &mut self.engines[engine.which];
        match kind {
            ONCEGATE_FAILURE_RETRYABLE => {
                let (due, attempt) = (model.now.saturating_add(delay), holder.attempt + 1);
                model.ended(&holder, State::Delayed { due, attempt });
            }
            ONCEGATE_FAILURE_UNKNOWN => model.ended(&holder, State::InDoubt),
            _ => model.finished(&holder, outcome.stored()),
        }
    }

    pub(super) fn abandon(&mut self) {
        let engine = self.handle(Kind::Engine);
        let lease = self.lease(&engine);
        let status = call!(self, oncegate_lease_abandon(engine.at(), lease.at()));
        self.abandoned("oncegate_lease_abandon", status, (&engine, &lease));
    }

    /// Without a tier it is the same.
    pub(super) fn abandon_soon(&mut self) {
        let engine = self.handle(Kind::Engine);
        let lease = self.lease(&engine);
        let status = call!(self, oncegate_lease_abandon_soon(engine.at(), lease.at()));
        self.abandoned("oncegate_lease_abandon_soon", status, (&engine, &lease));
    }

    fn abandoned(&mut self, call: &str, status: Status, (engine, lease): (&Named, &Presented)) {
        let refused = first(&[engine.refused, lease.refused]);
        if let Some(holder) = self.held(call, status, refused, (engine, lease)) {
            self.engines[engine.which].ended(&holder, State::Any);
        }
    }
}

impl Model {
    /// What is known of whether a holder's attempt is still his.
    fn hold(&self, holder: &Holder) -> Hold {
        if self.surely_held(holder) {
            Hold::Surely
        } else if self.surely_over(holder) {
            Hold::Not
        } else {
            Hold::Perhaps
        }
    }

    /// The record of a holder has ended, and left this.
    pub(super) fn finished(&mut self, holder: &Holder, outcome: Stored) {
        let until = self.now.saturating_add(self.records[holder.key].window);
        self.ended(holder, State::Ended { until, outcome });
    }
}

/// An outcome as an argument.
pub(super) struct Left {
    outcome: Grown<RawOutcome>,
    pairs: Box<[Pair; 2]>,
    null: bool,
    /// What it is refused with; where `NULL` is fine, `or_empty`.
    pub(super) refused: Status,
    pub(super) or_empty: Status,
}

impl Left {
    pub(super) fn at(&self) -> *const RawOutcome {
        if self.null { std::ptr::null() } else { &raw const self.outcome.value }
    }

    /// What duplicates get.
    pub(super) fn stored(&self) -> Stored {
        let raw = &self.outcome.value;
        if self.null {
            return Stored { status: 0, body: Vec::new(), pairs: Vec::new(), kept: true };
        }
        let count = if raw.metadata.is_null() { 0 } else { raw.metadata_count };
        let pair = |_: &Pair| (b"name".to_vec(), b"value".to_vec());
        let pairs = self.pairs[..count].iter().map(pair).collect();
        let body = BODY[..raw.body.len].to_vec();
        Stored { status: raw.status, body, pairs, kept: raw.withheld == 0 }
    }
}

/// An outcome: nothing, a few bytes, more than lie beside a record, with a pair, or wrong.
pub(super) fn outcome(input: &mut Input<'_>) -> Left {
    let choice = usize::from(input.byte());
    let pairs = Box::new([pair(b"name"), pair(b"name")]);
    let mut raw: RawOutcome = zeroed();
    raw.status = [200, 0, 65_535, 409][choice % 4];
    raw.body = bytes(&BODY[..[0, 2, 40, 64, 65, 200, 600, 0][choice / 4 % 8]]);
    if choice & 0x80 != 0 {
        (raw.metadata, raw.metadata_count) = (pairs.as_ptr(), 1 + (choice >> 6 & 1));
    }
    let mut refused = 0;
    match input.mistake(7) {
        None => {}
        Some(0) => (raw.status, refused) = (65_536, ONCEGATE_BAD_VALUE),
        Some(1) => (raw.withheld, refused) = (2, ONCEGATE_BAD_VALUE),
        Some(2) => (raw.body.len, refused) = (usize::MAX, ONCEGATE_BAD_SIZE),
        Some(3) => (raw.body, refused) = (absent(), ONCEGATE_NULL_ARGUMENT),
        Some(4) => (raw.body, raw.withheld, raw.metadata_count) = (bytes(b""), 1, 0),
        Some(_) => {
            let (outcome, null) = (Grown::new(raw, 32, input).value, true);
            return Left { outcome, pairs, null, refused: ONCEGATE_NULL_ARGUMENT, or_empty: 0 };
        }
    }
    let Given { value: outcome, refused: size } = Grown::new(raw, 32, input);
    let refused = first(&[size, refused]);
    Left { outcome, pairs, null: false, refused, or_empty: refused }
}

fn pair(name: &'static [u8]) -> Pair {
    Pair { name: bytes(name), value: bytes(b"value") }
}

fn absent() -> Bytes {
    Bytes { data: std::ptr::null(), len: 8 }
}

static BODY: [u8; 600] = [b'b'; 600];
const _: () = assert!(WINDOW > 5_000);
