//! Room: which slot a new record takes, and which records may go.

use super::control::{Fence, Snapshot, State, Step};
use super::insert::{NoSlot, Wanted};
use super::scope::RoomOf;
use super::search::Probe;
use super::set::{OldestFirst, Ways};
use super::slot::{Deadline, Kind, Lapse};
use super::{Table, place};
use crate::observe::Event;
use crate::region::{WAYS, header};
use crate::sync::Ordering;
use crate::sync::planted::Bug;

/// What decides over the end of records, at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// Milliseconds since the region was opened.
    pub(crate) now_ms: u64,
    /// How long a record stays that waits for an attempt nobody asks for.
    pub(crate) idle_retention_ms: u64,
    /// A lease that a helper installs for a holder who stalled before writing its own.
    pub(crate) default_lease_ms: u64,
    /// Whether a finished record may go before its window is over.
    pub(crate) evict_lru: bool,
}

impl Table {
    /// Whether the record's time is over, so that a new one may take its place.
    ///
    /// Lapsed leases and due attempts that nobody asks for are over after a retention; running,
    /// waiting and unknown records are never over before.
    #[inline]
    pub(crate) fn is_over(&self, slot: usize, seen: Snapshot, rules: &Rules) -> bool {
        let deadline = self.slot(slot).deadline();
        if deadline.at_ms > rules.now_ms {
            return false;
        }
        if !deadline.belongs_to(seen.fence()) {
            // The holder has not written its deadline yet.
            return false;
        }
        let after = |ms: u64| deadline.at_ms.saturating_add(ms) <= rules.now_ms;
        match seen.state() {
            // A finished record whose window is still being written is inside it.
            State::Succeeded | State::Failed => deadline.kind == Kind::Window && after(0),
            // Somebody looks after what is retried.
            State::Waiting => after(rules.idle_retention_ms) && !self.is_retried(slot, seen),
            State::Running => {
                let lapses = matches!(deadline.kind, Kind::Lease | Kind::Closed);
                lapses
                    && deadline.lapse == Lapse::Reclaim
                    && after(rules.idle_retention_ms)
                    && !self.is_retried(slot, seen)
            }
            _ => false,
        }
    }

    /// Takes away a record that is over. False where somebody else was faster.
    pub(crate) fn clear(&self, slot: usize, seen: Snapshot, rules: &Rules) -> bool {
        let runs = seen.state() == State::Running && !Bug::SweepClearsRunning.is_planted();
        // Closed, it is renewed no more. A renewal that came before may have it last for longer
        // than whoever calls this has seen: past its end, and not yet forgotten.
        let closed = || self.close_lease(slot, seen, rules).is_ok();
        let over = || self.is_over(slot, seen, rules) || Bug::ClearedUnchecked.is_planted();
        if runs && !(closed() && over()) {
            return false;
        }
        let Some(next) = seen.fence().next_for(super::insert::FIRST_ATTEMPT) else {
            return false;
        };
        if Bug::SweepWithoutClaim.is_planted() {
            let (set, way) = place(slot);
            self.line(set).set_tag(way, 0);
        }
        let step = Step::Claim { fence: next, owner: self.region.me() };
        let _unsettled = self.unsettled(self.slot(slot).scope());
        match self.slot(slot).control().advance(seen, step) {
            Ok(claimed) => {
                self.forget(slot, seen);
                self.counters.add(Event::EvictedExpired);
                self.give_back(slot, claimed);
                if seen.waiters() {
                    self.waiters.wake_all(slot);
                }
                true
            }
            Err(_) => false,
        }
    }

    /// Takes away the attempt `seen`, which has not ended, with its record, as if nobody had asked:
    /// by who was admitted to it, and has told nobody. False: somebody has taken it over meanwhile.
    pub(crate) fn withdraw(&self, slot: usize, seen: Snapshot) -> bool {
        if !matches!(seen.state(), State::Running | State::Unknown) {
            return false;
        }
        let Some(next) = seen.fence().next_for(super::insert::FIRST_ATTEMPT) else {
            return false;
        };
        let step = Step::Claim { fence: next, owner: self.region.me() };
        let _unsettled = self.unsettled(self.slot(slot).scope());
        let mut from = seen;
        loop {
            match self.slot(slot).control().advance(from, step) {
                Ok(claimed) => {
                    self.forget(slot, from);
                    self.give_back(slot, claimed);
                    if from.waiters() && !Bug::TakenBackInSilence.is_planted() {
                        self.waiters.wake_all(slot);
                    }
                    return true;
                }
                // Somebody waits for it since.
                Err(now) if now.is_same_record(seen) => from = now,
                Err(now) if Bug::TakenBackBlindly.is_planted() && now.fence() < next => from = now,
                Err(_) => return false,
            }
        }
    }

    /// A claimed slot for `probe`: a vacant one of its home or of the emptier set, else one whose
    /// record may go.
    pub(super) fn claim_any(
        &self,
        wanted: &Wanted<'_>,
        rules: &Rules,
    ) -> Result<(usize, Snapshot), NoSlot> {
        let mut home = self.view(wanted.probe.home());
        let mut other = self.view(wanted.probe.alternate());
        // All of them are on their way before the first is waited for.
        self.prefetch_views(&home, &other, wanted.probe.way());
        // Records mostly end in the order of their last use, so the oldest of each set says
        // whether there is anything to clear.
        self.tend(&mut home, rules);
        self.tend(&mut other, rules);
        if let Some(claimed) = self.claim_vacant(&home, &other, wanted) {
            return Ok(claimed);
        }
        if !rules.evict_lru
            && let Some(claimed) = self.claim_cleared(wanted, rules)
        {
            return Ok(claimed);
        }
        match self.evict(&mut home, &mut other, wanted, rules) {
            Err(NoSlot::Full) if self.fence_floor().is_none() => Err(NoSlot::Exhausted),
            // What keeps the sets full may be the very record that is asked for.
            Err(NoSlot::Full) if !wanted.searched.stands() => Err(NoSlot::Changed),
            ended => ended,
        }
    }

    /// A slot of those whose record is over, or whose claimer is dead, wherever in both sets. Such
    /// a claim has the tag of the record that was there: it does not look vacant.
    #[cold]
    fn claim_cleared(&self, wanted: &Wanted<'_>, rules: &Rules) -> Option<(usize, Snapshot)> {
        let sets = [wanted.probe.home(), wanted.probe.alternate()];
        for set in sets {
            for way in 0..WAYS {
                let (slot, seen) = self.at_way(set, way);
                self.without_dead_claimer(slot, seen);
                self.clear_if_over(slot, rules);
            }
        }
        let [home, other] = sets.map(|set| self.view(set));
        self.claim_vacant(&home, &other, wanted)
    }

    #[inline(always)]
    fn view(&self, set: usize) -> View {
        let (vacant, oldest) = self.line(set).vacant_and_oldest();
        // Several records share the oldest age that can be told apart: where there is little room
        // two are asked whether they are over.
        let crowded = !vacant.is_empty() && vacant.count() < CROWDED;
        let second = if crowded { oldest.peek_second() } else { None };
        View { set, vacant, oldest, second: second.map(|(way, _)| way) }
    }

    /// Clears the oldest records of a set that are over, two at most.
    #[inline(always)]
    fn tend(&self, view: &mut View, rules: &Rules) {
        let (first, second) = (view.oldest.peek(), view.second);
        if let Some((way, _)) = first
            && self.clear_if_over(view.set * WAYS + way, rules)
        {
            view.cleared(way);
        }
        if let Some(way) = second
            && self.clear_if_over(view.set * WAYS + way, rules)
        {
            view.cleared(way);
        }
    }

    /// Asks for the records that an insertion looks at, and for the slot that it will take.
    pub(super) fn prefetch_room(&self, probe: &Probe) {
        let (home, other) = (self.view(probe.home()), self.view(probe.alternate()));
        self.prefetch_views(&home, &other, probe.way());
    }

    #[inline(always)]
    fn prefetch_views(&self, home: &View, other: &View, first_way: usize) {
        for view in [home, other] {
            if let Some((way, _)) = view.oldest.peek() {
                self.region.prefetch_record(view.set * WAYS + way);
            }
            if let Some(way) = view.second {
                self.region.prefetch_record(view.set * WAYS + way);
            }
        }
        if let Some(way) = home.vacant.first_from(first_way) {
            self.region.prefetch_slot(home.set * WAYS + way);
        } else if let Some((slot, _)) = oldest_of_both(home, other) {
            // It will be evicted, if no other way is vacant.
            self.region.prefetch_slot(slot);
        }
    }

    #[inline(always)]
    fn clear_if_over(&self, slot: usize, rules: &Rules) -> bool {
        let seen = self.slot(slot).control().load();
        seen.state().is_record() && self.is_over(slot, seen, rules) && self.clear(slot, seen, rules)
    }

    #[inline(always)]
    fn claim_vacant(
        &self,
        home: &View,
        other: &View,
        wanted: &Wanted<'_>,
    ) -> Option<(usize, Snapshot)> {
        if home.vacant.is_empty() && other.vacant.is_empty() {
            return None;
        }
        let (at_home, elsewhere) = (home.vacant.count(), other.vacant.count());
        let home_first = at_home >= HOME_FIRST || at_home >= elsewhere;
        let (first, second) = if home_first { (home, other) } else { (other, home) };
        self.claim_vacant_in(first.set, first.vacant, wanted)
            .or_else(|| self.claim_vacant_in(second.set, second.vacant, wanted))
    }

    fn claim_vacant_in(
        &self,
        set: usize,
        mut ways: Ways,
        wanted: &Wanted<'_>,
    ) -> Option<(usize, Snapshot)> {
        while let Some(way) = ways.first_from(wanted.probe.way()) {
            let (slot, mut seen) = self.at_way(set, way);
            if seen.state() != State::Vacant {
                seen = self.without_dead_claimer(slot, seen);
            }
            if seen.state() == State::Vacant
                && let Some(claimed) = self.claim(slot, seen, wanted)
            {
                return Some((slot, claimed));
            }
            ways = ways.without(way);
        }
        None
    }

    /// Claims the least recently used record of both sets that may go.
    #[inline(always)]
    fn evict(
        &self,
        home: &mut View,
        other: &mut View,
        wanted: &Wanted<'_>,
        rules: &Rules,
    ) -> Result<(usize, Snapshot), NoSlot> {
        if !rules.evict_lru && !Bug::RejectEvicts.is_planted() {
            return Err(NoSlot::Full);
        }
        if self.room_of(wanted.scope) == RoomOf::Reserved {
            // What others share gives way first: else whoever floods that room would make a scope
            // with a reservation push out its own records, which are older.
            let others = |slot: usize| {
                self.slot(slot).scope() != wanted.scope
                    || self.is_over(slot, self.slot(slot).control().load(), rules)
            };
            match self.evict_among(&mut home.clone(), &mut other.clone(), others, wanted, rules) {
                Err(NoSlot::Full) => {}
                ended => return ended,
            }
        }
        self.evict_among(home, other, |_| true, wanted, rules)
    }

    /// The least recently used slot of both sets. Each set has a clock of its own: where their
    /// ages differ by no more than those clocks do, the record that ends first.
    #[inline]
    fn first_to_go(&self, home: &View, other: &View) -> Option<(usize, u8)> {
        let (at_home, elsewhere) = (home.oldest_slot(), other.oldest_slot());
        if let (Some((home, age)), Some((other, other_age))) = (at_home, elsewhere)
            && age.abs_diff(other_age) <= CLOCKS_DIFFER
        {
            let ends = |slot: usize| self.slot(slot).deadline().at_ms;
            return if ends(other) < ends(home) { elsewhere } else { at_home };
        }
        oldest_of_both(home, other)
    }

    #[inline(never)]
    fn evict_among(
        &self,
        home: &mut View,
        other: &mut View,
        may_go: impl Fn(usize) -> bool,
        wanted: &Wanted<'_>,
        rules: &Rules,
    ) -> Result<(usize, Snapshot), NoSlot> {
        let trusting = Bug::EvictsByOldAge.is_planted();
        while let Some((slot, age)) = self.first_to_go(home, other) {
            if may_go(slot) {
                let seen = self.slot(slot).control().load();
                // Somebody may have inserted the very record that is asked for, and finished it:
                // then the arbitration word moved before the state that was just loaded.
                if !wanted.searched.stands() && !trusting {
                    return Err(NoSlot::Changed);
                }
                // Or somebody evicted the oldest record before us and put a new one there: its
                // stamp came before that state.
                let newest = Bug::EvictsNewest.is_planted();
                let stands = self.age_now(slot) >= age || trusting || newest;
                if stands && let Some(claimed) = self.evict_one(slot, seen, wanted, rules) {
                    return Ok((slot, claimed));
                }
            }
            let view = if slot / WAYS == home.set { &mut *home } else { &mut *other };
            view.oldest.leave_out(slot % WAYS);
        }
        Err(NoSlot::Full)
    }

    #[inline(always)]
    fn evict_one(
        &self,
        slot: usize,
        seen: Snapshot,
        wanted: &Wanted<'_>,
        rules: &Rules,
    ) -> Option<Snapshot> {
        if matches!(seen.state(), State::Claimed | State::Inserting) {
            let freed = self.without_dead_claimer(slot, seen);
            let is_vacant = freed.state() == State::Vacant;
            return is_vacant.then(|| self.claim(slot, freed, wanted)).flatten();
        }
        let over = self.is_over(slot, seen, rules);
        if over && !seen.state().is_finished() {
            // A lease must be closed first, and waiters told.
            self.clear(slot, seen, rules);
            let vacated = self.slot(slot).control().load();
            let is_vacant = vacated.state() == State::Vacant;
            return is_vacant.then(|| self.claim(slot, vacated, wanted)).flatten();
        }
        let finished = seen.state().is_finished()
            || Bug::EvictsRunning.is_planted() && seen.state() == State::Running;
        if !finished || !(over || self.may_evict(wanted.scope, slot)) {
            return None;
        }
        let deadline = self.slot(slot).deadline();
        let is_letter = deadline.at_ms == Deadline::MAX_MS && !Bug::LettersEvicted.is_planted();
        // One whose window is not written may become a letter, or is one that is being redriven.
        if is_letter || deadline.kind != Kind::Window && self.retries_any() {
            // A dead letter stays until it is redriven or discarded.
            return None;
        }
        // The words beside the record, which its outcome will need.
        self.region.prefetch_slot(slot);
        let claimed = self.claim(slot, seen, wanted)?;
        self.counters.add(if over { Event::EvictedExpired } else { Event::EvictedEarly });
        Some(claimed)
    }

    /// Whether a new record of `scope` may take the place of the one in `slot`, which is finished.
    fn may_evict(&self, scope: u16, slot: usize) -> bool {
        // If the slot changed hands since, the claim that follows fails.
        let other = self.slot(slot).scope();
        match self.room_of(scope) {
            _ if other == scope => true,
            RoomOf::Guest => false,
            RoomOf::Reserved | RoomOf::Shared => self.room_of(other) != RoomOf::Reserved,
        }
    }

    /// How many ticks ago the record in `slot` was last used.
    fn age_now(&self, slot: usize) -> u8 {
        let (set, way) = place(slot);
        let line = self.line(set);
        line.age(way, line.age_clock())
    }

    /// Takes a record that was just claimed off the counts it was part of.
    pub(super) fn forget(&self, slot: usize, record: Snapshot) {
        self.counters.live(record.state(), -1);
        let scope = self.slot(slot).scope();
        self.release_scope(scope);
    }

    /// The slot of a way, and what its control word says.
    fn at_way(&self, set: usize, way: usize) -> (usize, Snapshot) {
        let slot = set * WAYS + way;
        (slot, self.slot(slot).control().load())
    }

    /// The counter that every new one is above; `None` at the end of the counter.
    pub(super) fn fence_floor(&self) -> Option<Fence> {
        // Relaxed: see `raise_fence_floor`.
        Fence::new(self.region.header(header::FENCE_FLOOR).load(Ordering::Relaxed))
    }
}

/// What a set looked like when room was looked for in it. Racy: hints.
#[derive(Clone)]
struct View {
    set: usize,
    vacant: Ways,
    oldest: OldestFirst,
    /// The way that comes after the oldest, where there is little room.
    second: Option<usize>,
}

impl View {
    #[inline(always)]
    fn oldest_slot(&self) -> Option<(usize, u8)> {
        self.oldest.peek().map(|(way, age)| (self.set * WAYS + way, age))
    }

    /// The record in `way` is gone.
    fn cleared(&mut self, way: usize) {
        self.vacant = self.vacant.with(way);
        self.oldest.leave_out(way);
    }
}

/// The least recently used slot of both sets, with its age in ticks.
#[inline(always)]
fn oldest_of_both(home: &View, other: &View) -> Option<(usize, u8)> {
    match (home.oldest_slot(), other.oldest_slot()) {
        (Some(home), Some(other)) => Some(if other.1 > home.1 { other } else { home }),
        (one, None) | (None, one) => one,
    }
}

/// How many ticks the clocks of two sets may differ by in the life of a record. With two, half as
/// many records that are due to stay go early as by age alone; with four, somewhat more.
const CLOCKS_DIFFER: u8 = 2;
/// Fewer vacant ways than these are little room.
const CROWDED: u32 = (WAYS / 4) as u32;
/// With so many ways vacant a record goes to its home, where a look-up searches first; else to
/// the emptier set.
const HOME_FIRST: u32 = 5;

#[cfg(all(test, not(oncegate_loom)))]
mod tests;
