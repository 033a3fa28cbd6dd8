//! Room: which slot a new record takes, and which records may go.

use super::control::{Fence, Snapshot, State, Step};
use super::insert::{NoSlot, Wanted};
use super::scope::RoomOf;
use super::search::Probe;
use super::set::{OldestFirst, Ways};
use super::slot::{Kind, Lapse};
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
    pub(crate) fn is_over(&self, slot: usize, seen: Snapshot, rules: &Rules) -> bool {
        let deadline = self.slot(slot).deadline();
        if !deadline.belongs_to(seen.fence()) {
            // The holder has not written its deadline yet.
            return false;
        }
        let after = |ms: u64| deadline.at_ms.saturating_add(ms) <= rules.now_ms;
        match seen.state() {
            // A finished record whose window is still being written is inside it.
            State::Succeeded | State::Failed => deadline.kind == Kind::Window && after(0),
            State::Waiting => after(rules.idle_retention_ms),
            State::Running => {
                let lapses = matches!(deadline.kind, Kind::Lease | Kind::Closed);
                lapses && deadline.lapse == Lapse::Reclaim && after(rules.idle_retention_ms)
            }
            _ => false,
        }
    }

    /// Takes away a record that is over. False where somebody else was faster.
    pub(crate) fn clear(&self, slot: usize, seen: Snapshot, rules: &Rules) -> bool {
        let runs = seen.state() == State::Running && !Bug::SweepClearsRunning.is_planted();
        if runs && self.close_lease(slot, seen, rules).is_err() {
            return false;
        }
        let Some(next) = seen.fence().next_for(super::insert::FIRST_ATTEMPT) else {
            return false;
        };
        if Bug::SweepWithoutClaim.is_planted() {
            let (set, way) = place(slot);
            self.line(set).set_tag(way, 0);
        }
        let step = Step::Claim { fence: next, owner: self.owner };
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

    /// A claimed slot for `probe`: a vacant one of its home or of the emptier set, else one whose
    /// record may go.
    pub(super) fn claim_any(
        &self,
        wanted: &Wanted<'_>,
        rules: &Rules,
    ) -> Result<(usize, Snapshot), NoSlot> {
        let [home, alternate] = [wanted.probe.home(), wanted.probe.alternate()];
        let mut views = [self.view(home), self.view(alternate)];
        // Records mostly end in the order of their last use, so the oldest of each set says
        // whether there is anything to clear.
        self.tend(&mut views, wanted.probe.way(), rules);
        if let Some(claimed) = self.claim_vacant(&views, wanted) {
            return Ok(claimed);
        }
        if self.fence_floor().is_none() {
            return Err(NoSlot::Exhausted);
        }
        if !rules.evict_lru {
            self.clear_set(home, rules);
            self.clear_set(alternate, rules);
            views = [self.view(home), self.view(alternate)];
            if let Some(claimed) = self.claim_vacant(&views, wanted) {
                return Ok(claimed);
            }
        }
        match self.evict(views, wanted, rules) {
            // What keeps the sets full may be the very record that is asked for.
            Err(NoSlot::Full) if !(wanted.unchanged)() => Err(NoSlot::Changed),
            ended => ended,
        }
    }

    fn view(&self, set: usize) -> View {
        let line = self.line(set);
        let vacant = line.vacant();
        let mut oldest = line.oldest_first(!vacant);
        let first = oldest.peek();
        // Where there is little room: several records share the oldest age that can be told apart.
        let crowded = (1..CROWDED).contains(&vacant.count());
        let second = crowded.then(|| {
            oldest.skip_one();
            oldest.peek()
        });
        View { set, vacant, candidates: [first, second.flatten()], oldest }
    }

    /// Clears the oldest records of both sets that are over, a few at most.
    fn tend(&self, views: &mut [View; 2], first_way: usize, rules: &Rules) {
        // All of them are on their way before the first is waited for.
        self.prefetch_views(views, first_way);
        for view in views {
            let candidates = view.candidates;
            for (way, _) in candidates.into_iter().flatten() {
                if self.clear_if_over(view.set * WAYS + way, rules) {
                    view.cleared(way);
                }
            }
        }
    }

    /// Asks for the records that an insertion looks at, and for the slot that it will take.
    pub(super) fn prefetch_room(&self, probe: &Probe) {
        self.prefetch_views(&[self.view(probe.home()), self.view(probe.alternate())], probe.way());
    }

    #[inline]
    fn prefetch_views(&self, views: &[View; 2], first_way: usize) {
        for view in views {
            for (way, _) in view.candidates.into_iter().flatten() {
                self.region.prefetch_record(view.set * WAYS + way);
            }
        }
        let [home, other] = views;
        if let Some(way) = home.vacant.first_from(first_way) {
            self.region.prefetch_slot(home.set * WAYS + way);
        } else if let (Some((way, age)), Some((other_way, other_age))) =
            (home.candidates[0], other.candidates[0])
        {
            // The older of the two will be evicted, if no other way is vacant.
            let older = if age >= other_age { (home.set, way) } else { (other.set, other_way) };
            self.region.prefetch_slot(older.0 * WAYS + older.1);
        }
    }

    fn clear_set(&self, set: usize, rules: &Rules) {
        for way in 0..WAYS {
            self.clear_if_over(set * WAYS + way, rules);
        }
    }

    fn clear_if_over(&self, slot: usize, rules: &Rules) -> bool {
        let seen = self.slot(slot).control().load();
        seen.state().is_record() && self.is_over(slot, seen, rules) && self.clear(slot, seen, rules)
    }

    fn claim_vacant(&self, views: &[View; 2], wanted: &Wanted<'_>) -> Option<(usize, Snapshot)> {
        let [home, alternate] = views.each_ref().map(|view| view.vacant.count());
        let home_first = home >= HOME_FIRST || home >= alternate;
        let order = if home_first { [0, 1] } else { [1, 0] };
        order.into_iter().find_map(|i| self.claim_vacant_in(views[i].set, views[i].vacant, wanted))
    }

    fn claim_vacant_in(
        &self,
        set: usize,
        mut ways: Ways,
        wanted: &Wanted<'_>,
    ) -> Option<(usize, Snapshot)> {
        while let Some(way) = ways.first_from(wanted.probe.way()) {
            let (slot, seen) = self.at_way(set, way);
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
    fn evict(
        &self,
        views: [View; 2],
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
            match self.evict_among(views.clone(), others, wanted, rules) {
                Err(NoSlot::Full) => {}
                ended => return ended,
            }
        }
        self.evict_among(views, |_| true, wanted, rules)
    }

    fn evict_among(
        &self,
        views: [View; 2],
        may_go: impl Fn(usize) -> bool,
        wanted: &Wanted<'_>,
        rules: &Rules,
    ) -> Result<(usize, Snapshot), NoSlot> {
        let trusting = Bug::EvictsByOldAge.is_planted();
        for (slot, age) in oldest_of(views).filter(|(slot, _)| may_go(*slot)) {
            let seen = self.slot(slot).control().load();
            // Somebody may have inserted the very record that is asked for, and finished it: then
            // the arbitration word moved before the state that was just loaded.
            if !(wanted.unchanged)() && !trusting {
                return Err(NoSlot::Changed);
            }
            // Or somebody evicted the oldest record before us and put a new one there: its stamp
            // came before that state.
            let newest = Bug::EvictsNewest.is_planted();
            let stands = self.age_now(slot) >= age || trusting || newest;
            if stands && let Some(claimed) = self.evict_one(slot, seen, wanted, rules) {
                return Ok((slot, claimed));
            }
        }
        Err(NoSlot::Full)
    }

    fn evict_one(
        &self,
        slot: usize,
        seen: Snapshot,
        wanted: &Wanted<'_>,
        rules: &Rules,
    ) -> Option<Snapshot> {
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
    /// The oldest way with its age, and the next where there is little room: those are asked
    /// whether they are over.
    candidates: [Option<(usize, u8)>; 2],
    /// The ways from the last candidate on.
    oldest: OldestFirst,
}

impl View {
    /// The record in `way` is gone.
    fn cleared(&mut self, way: usize) {
        self.vacant = self.vacant.with(way);
        self.oldest.leave_out(way);
        for candidate in &mut self.candidates {
            *candidate = candidate.filter(|(other, _)| *other != way);
        }
    }

    /// The oldest way that is left, with its age.
    fn oldest(&self) -> Option<(usize, u8)> {
        self.candidates[0].or_else(|| self.oldest.peek())
    }

    fn skip_oldest(&mut self) {
        match self.candidates[0].take() {
            // Unless there was a second candidate, that was the first of the others too.
            Some((way, _)) => self.oldest.leave_out(way),
            None => self.oldest.skip_one(),
        }
    }
}

/// The used slots of both sets, least recently used first, each with its age in ticks.
fn oldest_of(mut views: [View; 2]) -> impl Iterator<Item = (usize, u8)> {
    std::iter::from_fn(move || {
        let ages = views.each_ref().map(|view| view.oldest().map(|(_, age)| age));
        // None is less than any age.
        let view = &mut views[usize::from(ages[1] > ages[0])];
        let (way, age) = view.oldest()?;
        view.skip_oldest();
        Some((view.set * WAYS + way, age))
    })
}

/// Fewer vacant ways than these are little room.
const CROWDED: u32 = (WAYS / 4) as u32;
/// With so many ways vacant a record goes to its home, where a look-up searches first; else to
/// the emptier set.
const HOME_FIRST: u32 = 5;
