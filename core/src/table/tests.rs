//! What the tests of the table share: a small one, and records in every state.

use std::sync::Arc;

use super::control::Fence;
use super::slot::{DigestWord, Kind, Lapse};
use super::*;
use crate::region::Geometry;
use crate::table::control::{Snapshot, State, Step};

/// A table of so many sets and scope entries, with one word beside each record.
pub(super) fn sized(sets: usize, scopes: usize) -> Table {
    let geometry = Geometry::new(sets, 1, scopes, 1, 8, 1, 0).expect("small");
    let region = Arc::new(Region::private(geometry, false).expect("a page"));
    let waiters = Arc::new(WaitQueue::new(1, Arc::clone(&region)));
    Table::new(region, Arc::new(Counters::new()), waiters)
}

pub(super) fn table() -> Table {
    sized(2, 1)
}

pub(super) fn rules(now_ms: u64) -> Rules {
    Rules { now_ms, idle_retention_ms: 1_000, default_lease_ms: 77, evict_lru: true }
}

/// A record that runs its first attempt until `until_ms`.
#[derive(Clone, Copy)]
pub(super) struct Running {
    pub(super) slot: usize,
    pub(super) seen: Snapshot,
    pub(super) home: usize,
}

/// Inserts the request `number` with the lapse policy `lapse`, as the engine does.
pub(super) fn running(table: &Table, number: u64, lapse: Lapse) -> Running {
    let probe = table.probe([number << 26, number << 48, number, number << 32]);
    let draft = Draft {
        scope: 0,
        attempt: 1,
        digest: DigestWord::new(0, 1, number as u8),
        lease: LeaseDraft { until_ms: UNTIL, lapse },
    };
    let insertion = table.insert(&probe, None, &draft, &rules(0), None, || true);
    let Insertion::Inserted { slot, seen, .. } = insertion else { panic!("{insertion:?}") };
    table.counters.live(State::Running, 1);
    Running { slot, seen, home: probe.home() }
}

impl Running {
    /// Makes a step of its control word, and nothing else of what belongs to it.
    pub(super) fn step(&mut self, table: &Table, step: Step) -> Snapshot {
        let control = table.slot(self.slot).control();
        self.seen = control.advance(self.seen, step).expect("nobody else");
        self.seen
    }

    /// Somebody takes the lease, and stalls before he writes his own.
    pub(super) fn taken(mut self, table: &Table, attempt: u32) -> Self {
        let fence = self.seen.fence().next_for(attempt).expect("small");
        self.step(table, Step::Take { fence, owner: 0 });
        self
    }

    pub(super) fn deadline(&self, table: &Table) -> (u64, Kind, Lapse, bool) {
        let deadline = table.slot(self.slot).deadline();
        let mine = deadline.belongs_to(self.seen.fence());
        (deadline.at_ms, deadline.kind, deadline.lapse, mine)
    }
}

/// When the lease of every new record ends.
pub(super) const UNTIL: u64 = 500;

/// Goal: the fencing floor is the highest counter of all homes, and only rises. Method: records in
/// several sets; counters that are given out after the floor was raised, and lowered in vain.
#[test]
fn the_floor_of_counters_rises() {
    let table = sized(4, 1);
    assert_eq!(table.highest_fence(), 0);
    let highest = (0..20).map(|number| running(&table, number, Lapse::Reclaim).seen.fence().get());
    let highest = highest.max().expect("twenty");
    assert_eq!(table.highest_fence(), highest);
    for floor in [1_000, 10] {
        table.raise_fence_floor(floor);
        let above = Fence::new(0).expect("small");
        let next = table.next_fence(0, above, 1).expect("small").get();
        assert!(next > 1_000, "{next}");
    }
}

/// Goal: slots and sets are counted as they were asked for, and each slot has words of its own.
/// Method: a word beside each record, and the place of each slot.
#[test]
fn slots_lie_in_their_sets() {
    let table = sized(3, 1);
    assert_eq!((table.sets(), table.slots()), (3, 3 * WAYS));
    for slot in 0..table.slots() {
        let (set, way) = place(slot);
        assert!(set < 3 && way < WAYS && set * WAYS + way == slot);
        let [word] = table.inline(slot) else { panic!("one word") };
        // Relaxed, here and below: one thread.
        word.store(slot as u64, Ordering::Relaxed);
    }
    for slot in 0..table.slots() {
        let own = table.inline(slot).iter().map(|word| word.load(Ordering::Relaxed));
        assert_eq!(own.collect::<Vec<_>>(), [slot as u64], "the word of another slot");
    }
}
