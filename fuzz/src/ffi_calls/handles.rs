//! Opening and closing, and what concerns all of an engine.

use oncegate_ffi::*;

use super::memory::{Given, Grown, Place, first, zeroed};
use super::model::{CENTURY, INLINE, Model, WINDOW};
use super::requests::bytes;
use super::world::{Kind, World, call};

impl World<'_> {
    /// Opens an engine: small, by a clock that stands still, under a secret that is known.
    pub(super) fn open_engine(&mut self) {
        if !self.may_open() {
            return;
        }
        let mut raw: RawOptions = zeroed();
        (raw.capacity, raw.clock) = (32, ONCEGATE_CLOCK_MANUAL);
        (raw.secret, raw.jitter_seed) = (bytes(&[7; 32]), 1);
        (raw.inline_outcome, raw.outcome_limit) = (INLINE as u64, 512);
        (raw.outcome_bytes, raw.max_waiters) = (64 << 10, 64);
        (raw.max_retrying, raw.max_dead_letters) = (16, 4);
        (raw.context_limit, raw.steps_limit) = (128, 256);
        (raw.max_processes, raw.max_scopes) = (1, 16);
        (raw.lease_ms, raw.dedup_window_ms) = (1_000, WINDOW);
        (raw.on_lapse, raw.reconcile) = (self.input.index(4) as u32, 1);
        let mut refused = 0;
        match self.input.mistake(9) {
            None | Some(0) => {}
            Some(1) => (raw.clock, refused) = (3, ONCEGATE_BAD_VALUE),
            Some(2) => (raw.capacity, refused) = (1, ONCEGATE_INVALID_CONFIG),
            Some(3) => (raw.secret.len, refused) = (usize::MAX, ONCEGATE_BAD_SIZE),
            Some(4) => (raw.secret, refused) = (bytes(&[7; 31]), ONCEGATE_INVALID_CONFIG),
            Some(5) => (raw.on_lapse, refused) = (9, ONCEGATE_BAD_VALUE),
            Some(6) => (raw.reach, refused) = (3, ONCEGATE_BAD_VALUE),
            Some(7) => (raw.path, refused) = (bytes(b"x"), ONCEGATE_BAD_SIZE),
            Some(_) => (raw.reserved, refused) = (1, ONCEGATE_BAD_VALUE),
        }
        let own = size_of::<RawOptions>();
        // One of an older version would have the clock of the system: all sizes but the smaller.
        let Given { value: options, refused: size } = Grown::new(raw, own, &mut self.input);
        let mut place = Place::<*mut RawEngine>::new();
        let engine = place.at(&mut self.input);
        let options = &raw const options.value;
        let status = call!(self, oncegate_engine_open(options, engine.value));
        let refused = first(&[engine.refused, size, refused]);
        assert_eq!(status, refused, "oncegate_engine_open");
        if status == 0 {
            let handle = place.get("oncegate_engine_open");
            self.opened(Kind::Engine, handle, self.engines.len());
            self.engines.push(Model::new());
        } else {
            assert!(place.is_untouched(), "oncegate_engine_open: {status}, and a handle");
        }
    }

    /// Closes a handle of any kind: one that is open, was closed before, or is `NULL`.
    pub(super) fn close(&mut self, kind: Kind) {
        let named = self.handle(kind);
        let status = match kind {
            Kind::Engine => call!(self, oncegate_engine_close(named.at())),
            Kind::Waits => call!(self, oncegate_waits_close(named.at())),
            Kind::Timers => call!(self, oncegate_timers_close(named.at())),
            Kind::Due => call!(self, oncegate_due_close(named.at())),
        };
        let is_null = named.refused == ONCEGATE_NULL_ARGUMENT;
        assert_eq!(status, if is_null { 0 } else { named.refused }, "closing {kind:?}");
        if named.refused == 0 {
            self.closed(&named);
            if kind == Kind::Waits {
                self.left(named.which);
            }
        }
    }

    /// Moves an engine's clock.
    pub(super) fn advance_clock(&mut self) {
        let engine = self.handle(Kind::Engine);
        let by = match self.input.byte() {
            0..=99 => u64::from(self.input.byte()),
            100..=179 => 20 * u64::from(self.input.byte()),
            180..=251 => 500 * u64::from(self.input.byte()),
            252 => WINDOW,
            253 => 86_400_000 * u64::from(self.input.byte()),
            254 => CENTURY,
            _ => u64::MAX,
        };
        let status = call!(self, oncegate_engine_advance_clock(engine.at(), by));
        assert_eq!(status, engine.refused, "oncegate_engine_advance_clock");
        if status == 0 {
            self.engines[engine.which].advance(by);
        }
    }

    pub(super) fn sweep(&mut self) {
        let engine = self.handle(Kind::Engine);
        let slots = [0, 1, 64, usize::MAX][self.input.index(4)];
        let mut place = Place::<RawSwept>::new();
        let swept = place.at_or_null(&mut self.input);
        let status = call!(self, oncegate_engine_sweep(engine.at(), slots, swept));
        assert_eq!(status, engine.refused, "oncegate_engine_sweep");
        if status != 0 || swept.is_null() {
            assert!(place.is_untouched(), "oncegate_engine_sweep: {status}");
        }
    }

    pub(super) fn stats(&mut self) {
        let engine = self.handle(Kind::Engine);
        let mut stats = Grown::new(zeroed::<RawStats>(), 16, &mut self.input);
        let at = &raw mut stats.value.value;
        let status = call!(self, oncegate_engine_stats(engine.at(), at));
        let call = "oncegate_engine_stats";
        // An output may say that it is larger, whatever is in there: it is written over.
        let refused = if stats.value.is_larger() { 0 } else { stats.refused };
        assert_eq!(status, first(&[engine.refused, refused]), "{call}");
    }
}
