//! Timers. They run by the clock of the system: only those that are due at once, or in days, are
//! started, and the former may be given at any time.

use std::collections::BTreeMap;

use oncegate_ffi::*;

use super::memory::{Place, first};
use super::world::{Kind, World, call};

/// A set of timers: what was started and neither given nor cancelled, by number: its `user_data`,
/// which no other has, and whether it is due.
pub(super) type Pending = BTreeMap<u64, (u64, bool)>;

impl World<'_> {
    pub(super) fn open_timers(&mut self) {
        if !self.may_open() {
            return;
        }
        let (capacity, late) = match self.input.mistake(1) {
            None => (MOST as u64, 0),
            Some(_) => (1 << 28, ONCEGATE_BAD_VALUE),
        };
        let mut place = Place::<*mut RawTimers>::new();
        let timers = place.at(&mut self.input);
        let status = call!(self, oncegate_timers_open(capacity, timers.value));
        assert_eq!(status, first(&[timers.refused, late]), "oncegate_timers_open");
        if status == 0 {
            self.opened(Kind::Timers, place.get("oncegate_timers_open"), self.timers.len());
            self.timers.push(Pending::new());
        } else {
            assert!(place.is_untouched(), "oncegate_timers_open: {status}");
        }
    }

    pub(super) fn start_timer(&mut self) {
        let timers = self.handle(Kind::Timers);
        let choice = self.input.byte();
        let after = [0, 86_400_000, u64::MAX][usize::from(choice) % 3];
        let mut place = Place::<u64>::new();
        let id = place.at(&mut self.input);
        // Which of two is given first depends on the clock: they must be told apart.
        self.timers_started += 1;
        let user_data = self.timers_started << 8 | u64::from(choice);
        let call = "oncegate_timers_insert";
        let status = call!(self, oncegate_timers_insert(timers.at(), after, user_data, id.value));
        let refused = first(&[timers.refused, id.refused]);
        if refused != 0 || status != 0 {
            let is_full = refused == 0 && self.timers[timers.which].len() >= MOST;
            assert_eq!(status, if is_full { ONCEGATE_FULL } else { refused }, "{call}");
            assert!(place.is_untouched(), "{call}: {status}");
            return;
        }
        let id = place.get(call);
        let before = self.timers[timers.which].insert(id, (user_data, after == 0));
        assert!(id != 0 && before.is_none(), "{call}: {id} twice");
    }

    pub(super) fn cancel_timer(&mut self) {
        let timers = self.handle(Kind::Timers);
        let choice = usize::from(self.input.byte());
        let known = self.timers.get(timers.which).and_then(|all| all.keys().nth(choice % 8));
        let id = match choice {
            // Made up: an early use of one of the first timers, which may be still to come.
            224.. => 1 + ((choice as u64 & 7) << 36 | (choice as u64 >> 3 & 3) << 32),
            _ => known.copied().unwrap_or(choice as u64),
        };
        let mut place = Place::<u32>::new();
        let cancelled = place.at(&mut self.input);
        let status = call!(self, oncegate_timers_cancel(timers.at(), id, cancelled.value));
        let call = "oncegate_timers_cancel";
        assert_eq!(status, first(&[timers.refused, cancelled.refused]), "{call}");
        if status != 0 {
            assert!(place.is_untouched(), "{call}: {status}");
            return;
        }
        let was = self.timers[timers.which].remove(&id);
        assert_eq!(place.get(call), u32::from(was.is_some()), "{call}: {was:?}");
    }

    pub(super) fn take_timers(&mut self) {
        let timers = self.handle(Kind::Timers);
        let mut place = Place::<[u64; MOST]>::new();
        let data = place.at(&mut self.input);
        let capacity = self.input.index(MOST + 1);
        let mut counted = Place::<usize>::new();
        let count = counted.at(&mut self.input);
        let at = data.value.cast::<u64>();
        let status = call!(self, oncegate_timers_take(timers.at(), 0, at, capacity, count.value));
        let call = "oncegate_timers_take";
        let (null, none) = if capacity == 0 { (0, ONCEGATE_BAD_SIZE) } else { (data.refused, 0) };
        assert_eq!(status, first(&[timers.refused, null, count.refused, none]), "{call}");
        if status != 0 {
            assert!(place.is_untouched() && counted.is_untouched(), "{call}: {status}");
            return;
        }
        let count = counted.get(call);
        assert!(count <= capacity, "{call}");
        let pending = &mut self.timers[timers.which];
        for index in 0..count {
            let taken: u64 = place.nth(index);
            let found = pending.iter().find(|(_, one)| **one == (taken, true));
            let id = *found.expect("one that is due and was not given").0;
            pending.remove(&id);
        }
    }
}

/// Timers of a set.
const MOST: usize = 4;
