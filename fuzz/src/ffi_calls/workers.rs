//! Workers: attempts that are left to the engine, and handed out when they are due.

use oncegate_ffi::*;

use super::leases::outcome;
use super::memory::{Given, Grown, Place, first, zeroed};
use super::model::State;
use super::requests::bytes;
use super::world::{Kind, World, call};

impl World<'_> {
    pub(super) fn retry_later(&mut self) {
        let engine = self.handle(Kind::Engine);
        let lease = self.lease(&engine);
        let outcome = outcome(&mut self.input);
        let mut raw: RawAttemptError = zeroed();
        (raw.kind, raw.error_class) = (self.input.index(3) as u32, bytes(b"timeout"));
        let (mut refused, mut late) = (0, 0);
        match self.input.mistake(8) {
            None => {}
            Some(0) => (raw.kind, refused) = (3, ONCEGATE_BAD_VALUE),
            Some(1) => (raw.hint, refused) = (3, ONCEGATE_BAD_VALUE),
            Some(2) => (raw.hint_after_ms, refused) = (1, ONCEGATE_BAD_VALUE),
            Some(3) => (raw.terminal, refused) = (2, ONCEGATE_BAD_VALUE),
            Some(4) => (raw.error_class, late) = (bytes(b""), ONCEGATE_INVALID_OPTION),
            Some(5) => raw.terminal = 1,
            Some(6) => (raw.hint, raw.hint_after_ms) = (ONCEGATE_HINT_AFTER, 700),
            Some(_) => {
                raw.outcome = outcome.at();
                refused = if raw.outcome.is_null() { 0 } else { outcome.refused };
            }
        }
        let Given { value: why, refused: size } =
            Grown::new(raw, size_of::<RawAttemptError>(), &mut self.input);
        let (operation, named, unnamed) = match self.input.mistake(3) {
            None => (bytes(b"work"), 0, 0),
            Some(0) => (bytes(b"\xfe"), ONCEGATE_NOT_UTF8, 0),
            Some(1) => (bytes(&[]), 0, ONCEGATE_INVALID_OPTION),
            Some(_) => (bytes(&LONG), 0, ONCEGATE_INVALID_OPTION),
        };
        let key = [lease.holder.map_or(0, |holder| holder.key) as u8; LONG.len()];
        let long = self.input.mistake(2).map_or(1, |choice| [128, 129][usize::from(choice)]);
        let over = if long > 128 { ONCEGATE_INVALID_OPTION } else { 0 };
        let mut place = Place::<RawLater>::new();
        let later = place.at(&mut self.input);
        let (lease_at, why_at) = (lease.at(), &raw const why.value);
        let context = bytes(&key[..long]);
        let status = call!(
            self,
            oncegate_retry_later(engine.at(), lease_at, why_at, operation, context, later.value)
        );
        let call = "oncegate_retry_later";
        assert!(status == 0 || place.is_untouched(), "{call}: {status}");
        let given = [engine.refused, lease.refused, size, refused, named, later.refused];
        let refused = first(&[first(&given), unnamed, over, late]);
        let refused = if refused == 0 { 0 } else { refused };
        let Some(holder) = self.held(call, status, refused, (&engine, &lease)) else { return };
        let told = place.get(call);
        assert!(told.kept <= u32::from(told.verdict == ONCEGATE_LATER_BURIED), "{call}: {told:?}");
        let model = &mut self.engines[engine.which];
        let due = model.now.saturating_add(told.due_in_ms);
        match told.verdict {
            ONCEGATE_LATER_SCHEDULED => {
                assert_eq!(told.next_attempt, holder.attempt + 1, "{call}");
                model.ended(&holder, State::Left { due, attempt: told.next_attempt });
            }
            ONCEGATE_LATER_BURIED => {
                assert!((1..=5).contains(&told.reason), "{call}: {told:?}");
                model.ended(&holder, State::Any);
            }
            _ => panic!("{call}: {told:?}"),
        }
    }

    /// Asks for due attempts, and never waits.
    pub(super) fn next_attempts(&mut self) {
        let engine = self.handle(Kind::Engine);
        let buffer = self.room.aim(&mut self.input);
        let most = self.input.index(4);
        let mut place = Place::<[RawAttempt; 3]>::new();
        let attempts = place.at(&mut self.input);
        let mut counted = Place::<usize>::new();
        let count = counted.at(&mut self.input);
        let at = attempts.value.cast::<RawAttempt>();
        let (timeout, late) = match self.input.mistake(1) {
            None => (0, 0),
            Some(_) => (u64::MAX / 2, ONCEGATE_INVALID_OPTION),
        };
        let status = call!(
            self,
            oncegate_next_attempts(engine.at(), most, timeout, buffer.value, at, count.value)
        );
        let call = "oncegate_next_attempts";
        let null = if most == 0 { 0 } else { attempts.refused };
        let none = if most == 0 { ONCEGATE_BAD_SIZE } else { 0 };
        let small = if self.room.capacity() < LONGEST { ONCEGATE_BUFFER_TOO_SMALL } else { 0 };
        let given = [engine.refused, buffer.refused, null, count.refused, none, small, late];
        let refused = first(&given);
        let bytes = self.room.check(call, status);
        assert_eq!(status, refused, "{call}");
        if status != 0 {
            assert!(place.is_untouched() && counted.is_untouched(), "{call}: {status}");
            return;
        }
        let count = counted.get(call);
        assert!(count <= most, "{call}");
        let (_, rest) = place.whole().split_at(count * size_of::<RawAttempt>());
        assert!(Place::<u8>::are_untouched(rest), "{call}: beyond its count");
        for index in 0..count {
            let handed: RawAttempt = place.nth(index);
            let RawAttempt { lease, fencing_token, attempt, remaining_ms, .. } = handed;
            assert!(attempt > 1, "{call}: {handed:?}");
            assert_eq!(&bytes[handed.operation_offset..][..handed.operation_len], b"work");
            let context = &bytes[handed.context_offset..][..handed.context_len];
            let key = usize::from(*context.first().expect("what was left"));
            let model = &mut self.engines[engine.which];
            if let State::Left { due, attempt: next } = model.records[key].state {
                assert!(
                    model.ended || model.now >= due,
                    "{call}: at {} and not {due}, {handed:?}",
                    model.now
                );
                assert_eq!(attempt, next, "{call}: {handed:?}");
            }
            model.handed_out(key, lease, fencing_token, attempt, remaining_ms);
        }
    }

    pub(super) fn advance(&mut self) {
        let engine = self.handle(Kind::Engine);
        let limit = [0, 1, 16][self.input.index(3)];
        let mut place = Place::<RawDriven>::new();
        let driven = place.at_or_null(&mut self.input);
        let status = call!(self, oncegate_advance(engine.at(), limit, driven));
        assert_eq!(status, engine.refused, "oncegate_advance");
        assert!(status == 0 || place.is_untouched(), "oncegate_advance: {status}");
    }
}

static LONG: [u8; 256] = [b'w'; 256];
/// The context's limit, and the longest operation.
const LONGEST: usize = 128 + 255;
