//! Room: which slot a new record takes, and which records may go.

use super::control::{Fence, Snapshot, State, Step};
use super::insert::{NoSlot, Wanted};
use super::scope::RoomOf;
use super::set::Ways;
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
        if !deadline.belongs_to(seen.fence) {
            // The holder has not written its deadline yet.
            return false;
        }
        let after = |ms: u64| deadline.at_ms.saturating_add(ms) <= rules.now_ms;
        match seen.state {
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
        let runs = seen.state == State::Running && !Bug::SweepClearsRunning.is_planted();
        if runs && self.close_lease(slot, seen, rules).is_err() {
            return false;
        }
        let Some(next) = seen.fence.next_for(super::insert::FIRST_ATTEMPT) else {
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
                if seen.waiters {
                    self.waiters.wake_all(slot);
                }
                true
            }
            Err(_) => false,
        }
    }

    /// A claimed slot for `probe`: a vacant one of the emptier set, else one whose record may go.
    pub(super) fn claim_any(
        &self,
        wanted: &Wanted<'_>,
        rules: &Rules,
    ) -> Result<(usize, Snapshot), NoSlot> {
        let probe = wanted.probe;
        // Records mostly end in the order of their last use, so the oldest of each set says
        // whether there is anything to clear.
        self.tend([probe.home, probe.alternate], rules);
        if let Some(claimed) = self.claim_vacant(wanted) {
            return Ok(claimed);
        }
        if self.fence_floor().is_none() {
            return Err(NoSlot::Exhausted);
        }
        if !rules.evict_lru {
            self.clear_set(probe.home, rules);
            self.clear_set(probe.alternate, rules);
        }
        if let Some(claimed) = self.claim_vacant(wanted) {
            return Ok(claimed);
        }
        match self.evict(wanted, rules) {
            // What keeps the sets full may be the very record that is asked for.
            Err(NoSlot::Full) if !(wanted.unchanged)() => Err(NoSlot::Changed),
            ended => ended,
        }
    }

    /// Clears the oldest records of both sets that are over, a few at most.
    fn tend(&self, sets: [usize; 2], rules: &Rules) {
        let oldest = sets.map(|set| {
            let line = self.line(set);
            let ages = line.ages(line.arbitration().age_clock());
            let mut used = !line.vacant();
            [(); TENDED].map(|()| {
                let way = used.max_by_key(|way| ages[*way])?;
                used = used.without(way);
                let slot = set * WAYS + way;
                self.region.prefetch_slot(slot);
                Some(slot)
            })
        });
        // All of them are on their way before the first is waited for.
        for slot in oldest.into_iter().flatten().flatten() {
            self.clear_if_over(slot, rules);
        }
    }

    fn clear_set(&self, set: usize, rules: &Rules) {
        for way in 0..WAYS {
            self.clear_if_over(set * WAYS + way, rules);
        }
    }

    /// Clears one record of `set` that is over, if there is one.
    fn clear_one(&self, set: usize, rules: &Rules) -> bool {
        (0..WAYS).any(|way| self.clear_if_over(set * WAYS + way, rules))
    }

    fn clear_if_over(&self, slot: usize, rules: &Rules) -> bool {
        let seen = self.slot(slot).control().load();
        seen.state.is_record() && self.is_over(slot, seen, rules) && self.clear(slot, seen, rules)
    }

    fn claim_vacant(&self, wanted: &Wanted<'_>) -> Option<(usize, Snapshot)> {
        let probe = wanted.probe;
        let home = self.line(probe.home).vacant();
        let alternate = self.line(probe.alternate).vacant();
        let home_first = home.count() >= alternate.count();
        let (first, second) = ((probe.home, home), (probe.alternate, alternate));
        let order = if home_first { [first, second] } else { [second, first] };
        order.into_iter().find_map(|(set, ways)| self.claim_vacant_in(set, ways, wanted))
    }

    fn claim_vacant_in(
        &self,
        set: usize,
        mut ways: Ways,
        wanted: &Wanted<'_>,
    ) -> Option<(usize, Snapshot)> {
        while let Some(way) = ways.first_from(wanted.probe.way) {
            let (slot, seen) = self.look(set, way);
            if seen.state == State::Vacant
                && let Some(claimed) = self.claim(slot, seen, wanted)
            {
                return Some((slot, claimed));
            }
            ways = ways.without(way);
        }
        None
    }

    /// Claims the least recently used finished record of both sets, preferring one that is over.
    fn evict(&self, wanted: &Wanted<'_>, rules: &Rules) -> Result<(usize, Snapshot), NoSlot> {
        if !rules.evict_lru && !Bug::RejectEvicts.is_planted() {
            return Err(NoSlot::Full);
        }
        let sets = [wanted.probe.home, wanted.probe.alternate];
        if sets.into_iter().any(|set| self.clear_one(set, rules))
            && let Some(claimed) = self.claim_vacant(wanted)
        {
            return Ok(claimed);
        }
        let trusting = Bug::EvictsByOldAge.is_planted();
        for (slot, age) in OldestFirst::new(self, sets) {
            let seen = self.slot(slot).control().load();
            // Somebody may have inserted the very record that is asked for, and finished it: then
            // the arbitration word moved before the state that was just loaded.
            if !(wanted.unchanged)() && !trusting {
                return Err(NoSlot::Changed);
            }
            // Or somebody evicted the oldest record before us and put a new one there: its stamp
            // came before that state.
            let stands = self.age_now(slot) >= age || trusting;
            let evictable = seen.state.is_finished()
                || Bug::EvictsRunning.is_planted() && seen.state == State::Running;
            if stands
                && evictable
                && self.may_evict(wanted.scope, slot)
                && let Some(claimed) = self.claim(slot, seen, wanted)
            {
                self.counters.add(Event::EvictedEarly);
                return Ok((slot, claimed));
            }
        }
        Err(NoSlot::Full)
    }

    /// Whether a new record of `scope` may take the place of the one in `slot`, which is finished.
    fn may_evict(&self, scope: u16, slot: usize) -> bool {
        // If the slot changed hands since, the claim that follows fails.
        let other = self.slot(slot).fields().scope;
        match self.room_of(scope) {
            _ if other == scope => true,
            RoomOf::Guest => false,
            RoomOf::Reserved | RoomOf::Shared => self.room_of(other) != RoomOf::Reserved,
        }
    }

    /// How many insertions ago the record in `slot` was last used.
    fn age_now(&self, slot: usize) -> u8 {
        let (set, way) = place(slot);
        let line = self.line(set);
        line.ages(line.arbitration().age_clock())[way]
    }

    /// Takes a record that was just claimed off the counts it was part of.
    pub(super) fn forget(&self, slot: usize, record: Snapshot) {
        self.counters.live(record.state, -1);
        let scope = self.slot(slot).fields().scope;
        self.release_scope(scope);
    }

    /// The slot of a way, and what its control word says.
    fn look(&self, set: usize, way: usize) -> (usize, Snapshot) {
        let slot = set * WAYS + way;
        (slot, self.slot(slot).control().load())
    }

    /// The counter that every new one is above; `None` at the end of the counter.
    pub(super) fn fence_floor(&self) -> Option<Fence> {
        // Relaxed: see `raise_fence_floor`.
        Fence::new(self.region.header(header::FENCE_FLOOR).load(Ordering::Relaxed))
    }
}

/// The slots of two sets, least recently used first.
struct OldestFirst {
    sets: [usize; 2],
    ages: [[u8; WAYS]; 2],
    left: [u32; 2],
}

impl OldestFirst {
    fn new(table: &Table, sets: [usize; 2]) -> Self {
        let ages = sets.map(|set| {
            let line = table.line(set);
            line.ages(line.arbitration().age_clock())
        });
        Self { sets, ages, left: [(1 << WAYS) - 1; 2] }
    }
}

impl Iterator for OldestFirst {
    type Item = (usize, u8);

    fn next(&mut self) -> Option<(usize, u8)> {
        let ways = (0..2).flat_map(|i| (0..WAYS).map(move |way| (i, way)));
        let newest = Bug::EvictsNewest.is_planted();
        let (i, way) =
            ways.filter(|(i, way)| self.left[*i] >> way & 1 == 1).max_by_key(|(i, way)| {
                if newest { !self.ages[*i][*way] } else { self.ages[*i][*way] }
            })?;
        self.left[i] &= !(1 << way);
        Some((self.sets[i] * WAYS + way, self.ages[i][way]))
    }
}

/// How many of the oldest records of a set an insertion asks whether they are over.
const TENDED: usize = 3;
