//! Waits: submitted, cancelled, and taken out of a set.

use std::collections::BTreeMap;

use oncegate_ffi::*;

use super::memory::{Place, first};
use super::model::State;
use super::requests::{options, request, stored};
use super::world::{Kind, World, call};

/// A set of waits.
#[derive(Default)]
pub(super) struct Set {
    engine: usize,
    /// By their numbers: what each was given, its key and its payload.
    pending: BTreeMap<u64, (u64, usize, usize)>,
    highest: u64,
}

impl World<'_> {
    pub(super) fn open_waits(&mut self) {
        if !self.may_open() {
            return;
        }
        let engine = self.handle(Kind::Engine);
        let mut place = Place::<*mut RawWaits>::new();
        let waits = place.at(&mut self.input);
        let status = call!(self, oncegate_waits_open(engine.at(), waits.value));
        let refused = first(&[engine.refused, waits.refused]);
        assert_eq!(status, refused, "oncegate_waits_open");
        if status == 0 {
            self.opened(Kind::Waits, place.get("oncegate_waits_open"), self.sets.len());
            self.sets.push(Set { engine: engine.which, ..Set::default() });
        } else {
            assert!(place.is_untouched(), "oncegate_waits_open: {status}");
        }
    }

    pub(super) fn submit(&mut self) {
        let waits = self.handle(Kind::Waits);
        let asked = request(&mut self.input);
        let how = options(&mut self.input, true);
        let mut place = Place::<u64>::new();
        let id = place.at(&mut self.input);
        let user_data = u64::from(self.input.byte());
        let request = &raw const asked.request.value;
        let options = &raw const how.options.value;
        let status =
            call!(self, oncegate_waits_submit(waits.at(), request, options, user_data, id.value));
        let call = "oncegate_waits_submit";
        let given = [waits.refused, asked.refused, how.refused, id.refused];
        let refused = first(&[first(&given), asked.late, how.late]);
        let ended = self.sets.get(waits.which).is_some_and(|set| self.engines[set.engine].ended);
        let exhausted = refused == 0 && status == ONCEGATE_EXHAUSTED && ended;
        // Of two late mistakes either may be told.
        let either = first(&given) == 0 && status != 0 && status == how.late;
        assert!(status == refused || exhausted || either, "{call}: {status} for {refused}");
        if status != 0 {
            assert!(place.is_untouched(), "{call}: {status}");
            return;
        }
        let id = place.get(call);
        let set = &mut self.sets[waits.which];
        assert!(id > set.highest, "{call}: {id} after {}", set.highest);
        set.highest = id;
        set.pending.insert(id, (user_data, asked.key, asked.payload));
        let model = &mut self.engines[set.engine];
        let runs = model.surely_runs(asked.key);
        let record = &mut model.records[asked.key];
        record.waits += 1;
        if !runs {
            record.state = State::Any;
        }
    }

    pub(super) fn cancel(&mut self) {
        let waits = self.handle(Kind::Waits);
        let choice = u64::from(self.input.byte());
        let id = if choice == 255 { u64::MAX } else { choice % 16 };
        let status = call!(self, oncegate_waits_cancel(waits.at(), id));
        let call = "oncegate_waits_cancel";
        if waits.refused != 0 {
            assert_eq!(status, waits.refused, "{call}");
            return;
        }
        let set = &mut self.sets[waits.which];
        let found = set.pending.remove(&id);
        assert_eq!(status, if found.is_some() { 0 } else { ONCEGATE_NOT_FOUND }, "{call}");
        if let Some((_, key, _)) = found {
            self.engines[set.engine].waits_less(key);
        }
    }

    pub(super) fn take(&mut self) {
        let waits = self.handle(Kind::Waits);
        let mut place = Place::<[Completion; MOST]>::new();
        let completions = place.at(&mut self.input);
        let capacity = self.input.index(MOST + 1);
        let buffer = self.room.aim(&mut self.input);
        let mut counted = Place::<usize>::new();
        let count = counted.at(&mut self.input);
        let at = completions.value.cast::<Completion>();
        let status = call!(
            self,
            oncegate_waits_take(waits.at(), 0, at, capacity, buffer.value, count.value)
        );
        let call = "oncegate_waits_take";
        let null = if capacity == 0 { 0 } else { completions.refused };
        let none = if capacity == 0 { ONCEGATE_BAD_SIZE } else { 0 };
        let refused = first(&[waits.refused, null, buffer.refused, count.refused, none]);
        let bytes = self.room.check(call, status);
        if status != 0 {
            assert!(status == refused || refused == 0, "{call}: {status} for {refused}");
            assert!(refused != 0 || status == ONCEGATE_BUFFER_TOO_SMALL, "{call}: {status}");
            assert!(place.is_untouched() && counted.is_untouched(), "{call}: {status}");
            return;
        }
        assert_eq!(refused, 0, "{call}");
        let count = counted.get(call);
        assert!(count <= capacity, "{call}");
        let size = size_of::<Completion>();
        let (_, rest) = place.whole().split_at(count * size);
        assert!(Place::<u8>::are_untouched(rest), "{call}: beyond its count");
        let set = &mut self.sets[waits.which];
        let model = &mut self.engines[set.engine];
        for index in 0..count {
            let taken: Completion = place.nth(index);
            let pending = set.pending.remove(&taken.id);
            let (user_data, key, payload) = pending.expect("a wait that was not answered");
            assert_eq!(taken.user_data, user_data, "{call}");
            let told = &taken.admission;
            assert!(told.status != 0 || (1..=7).contains(&told.verdict), "{call}: {told:?}");
            let found = (told.verdict == ONCEGATE_REPLAYED).then(|| stored(&told.outcome, bytes));
            if told.status == 0 {
                model.answered(key, payload, told, found);
            }
            model.waits_less(key);
        }
    }

    /// A set was closed: its waits are answered to nobody.
    pub(super) fn left(&mut self, set: usize) {
        let set = &mut self.sets[set];
        for (_, key, _) in std::mem::take(&mut set.pending).into_values() {
            self.engines[set.engine].waits_less(key);
        }
    }
}

impl super::model::Model {
    /// A wait of a key is over. What it did meanwhile nobody was told.
    fn waits_less(&mut self, key: usize) {
        let runs = self.surely_runs(key);
        let record = &mut self.records[key];
        record.waits -= 1;
        if !runs {
            record.state = State::Any;
        }
    }

    /// The answer of a wait, which may have been given when it was submitted.
    fn answered(
        &mut self,
        key: usize,
        payload: usize,
        told: &RawAdmission,
        found: Option<super::model::Stored>,
    ) {
        if told.verdict == ONCEGATE_ADMITTED {
            self.began(key, payload, told, found);
        }
    }
}

const MOST: usize = 3;
