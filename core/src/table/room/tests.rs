//! Room, one insertion after the other, without threads: where a record goes, and what goes for it.
//!
//! A table of two sets: the first bit of a fingerprint's halves says which is its home.

use super::*;
use crate::table::slot::DigestWord;
use crate::table::tests::{rules, sized};
use crate::table::{Draft, Insertion, LeaseDraft};

/// The window of a record ends at its own number; the clock stands before all of them.
const EARLY: u64 = 1;

struct Room {
    table: Table,
    /// How many were inserted: each has a fingerprint of its own.
    count: u64,
}

impl Room {
    fn new() -> Self {
        Self { table: sized(2, 1), count: 0 }
    }

    /// A fingerprint whose home is set 0, and whose way is `way`.
    fn fingerprint(&mut self, way: usize) -> [u64; 4] {
        self.count += 1;
        [1 << 63 | self.count, 7 << 56 | (way as u64) << 48, self.count, self.count << 32]
    }

    fn insert_under(&mut self, way: usize, rules: &Rules, lapse: Lapse) -> Insertion {
        let fingerprint = self.fingerprint(way);
        let probe = self.table.probe(fingerprint);
        assert_eq!((probe.home(), probe.alternate(), probe.way()), (0, 1, way));
        let lease = LeaseDraft { until_ms: 100, lapse };
        let draft = Draft { scope: 0, digest: DigestWord::new(0, 1, 1), lease };
        self.table.insert(&probe, None, &draft, rules, None, || true)
    }

    /// Inserts a record that runs.
    fn run(&mut self, way: usize) -> (usize, Snapshot) {
        match self.insert_under(way, &rules(EARLY), Lapse::Reclaim) {
            Insertion::Inserted { slot, seen, .. } => {
                self.table.counters.live(State::Running, 1);
                (slot, seen)
            }
            other => panic!("{other:?}"),
        }
    }

    /// Inserts a record that has ended, and whose window ends at `window_end`.
    fn ended(&mut self, way: usize, window_end: u64) -> usize {
        let (slot, seen) = self.run(way);
        let _ = self.table.set_window(slot, seen, window_end);
        self.table.end(slot, seen, State::Succeeded).expect("nobody else");
        slot
    }

    /// Fills both sets with records that have ended, the first of which ends its window first.
    fn full() -> (Self, Vec<usize>) {
        let mut room = Self::new();
        let slots = (0..2 * WAYS).map(|n| room.ended(n % WAYS, 10_000 + n as u64)).collect();
        (room, slots)
    }

    fn total(&self, event: Event) -> u64 {
        self.table.counters.total(event)
    }
}

/// Goal: a record goes to its home while five ways are vacant there, then to the emptier set, to
/// its home where both are alike. Method: records of one home until no way is left.
#[test]
fn home_comes_first() {
    let mut room = Room::new();
    let sets: Vec<usize> = (0..2 * WAYS).map(|n| room.run(n % WAYS).0 / WAYS).collect();
    let elsewhere = |range: std::ops::Range<usize>| sets[range].iter().sum::<usize>();
    assert_eq!(elsewhere(0..28), 0, "27 leave five vacant ways, and the 28th takes one of them");
    assert_eq!(elsewhere(28..56), 28, "the other set is the emptier one until it has four");
    assert_eq!(sets[56..], [0, 1, 0, 1, 0, 1, 0, 1], "where both are alike, the home");
    assert_eq!(room.total(Event::EvictedEarly) + room.total(Event::EvictedExpired), 0);
}

/// Goal: a record takes the way that its fingerprint names, or the next one that is vacant, around
/// the end. Method: three of one way, at the last way.
#[test]
fn the_named_way_comes_first() {
    let mut room = Room::new();
    assert_eq!(room.run(5).0, 5);
    assert_eq!(room.run(5).0, 6);
    assert_eq!(room.run(WAYS - 1).0, WAYS - 1);
    assert_eq!(room.run(WAYS - 1).0, 0);
}

/// Goal: in full sets the record goes that is the oldest, and of those that are about as old the
/// one whose window ends first, and it is counted. Method: full sets; insertions one by one; then
/// the same where the oldest was used again.
#[test]
fn the_oldest_goes() {
    let (mut room, slots) = Room::full();
    let next = room.ended(3, 20_000);
    assert_eq!(next, slots[0], "the oldest of all");
    assert_eq!((room.total(Event::EvictedEarly), room.total(Event::EvictedExpired)), (1, 0));
    assert_eq!(room.table.counters.in_state(State::Succeeded), 2 * WAYS as u64);

    let (mut room, slots) = Room::full();
    slots[..4].iter().for_each(|slot| room.table.touch(*slot));
    assert_eq!(room.ended(3, 20_000), slots[4], "the first four were used a moment ago");
}

/// Goal: of two sets whose oldest are about as old, the window that ends first decides; where they
/// are not, the age. Method: the oldest of the second set ends first; then it is used again.
#[test]
fn windows_decide_between_sets() {
    let mut room = Room::new();
    let slots: Vec<usize> = (0..2 * WAYS)
        .map(|n| {
            let end = if n == 28 { 5_000 } else { 10_000 + n as u64 };
            room.ended(n % WAYS, end)
        })
        .collect();
    assert_eq!(slots[28] / WAYS, 1);
    let line = room.table.line(1);
    let clock = line.age_clock();
    // As old as the oldest of the home, by the clock of this set.
    line.stamp(slots[28] % WAYS, clock.wrapping_sub(9) & 0xf);
    let home = room.table.line(0);
    home.stamp(slots[0] % WAYS, home.age_clock().wrapping_sub(10) & 0xf);
    assert_eq!(room.ended(3, 20_000), slots[28], "it ends first");
    assert_eq!(room.ended(3, 20_000) / WAYS, 0, "now those of the home are the oldest by far");
}

/// Goal: running records never go. Method: both sets full of them, with either policy; one that
/// has ended among them is found.
#[test]
fn running_records_stay() {
    for evict_lru in [true, false] {
        let mut room = Room::new();
        (0..2 * WAYS).for_each(|n| _ = room.run(n % WAYS));
        let rules = Rules { evict_lru, ..rules(EARLY) };
        let refused = room.insert_under(9, &rules, Lapse::Reclaim);
        assert!(matches!(refused, Insertion::Full), "{refused:?}");
    }
    let mut room = Room::new();
    let slots: Vec<usize> = (0..2 * WAYS)
        .map(|n| if n == 40 { room.ended(8, 10_000) } else { room.run(n % WAYS).0 })
        .collect();
    assert_eq!(room.run(9).0, slots[40], "the only one that has ended");
}

/// Goal: under `Reject` nothing goes inside its window, and what is over goes wherever it lies.
/// Method: full sets; one record in the middle of either set is over.
#[test]
fn reject_clears_what_is_over() {
    let reject = |now_ms| Rules { evict_lru: false, ..rules(now_ms) };
    let (mut room, _) = Room::full();
    let refused = room.insert_under(1, &reject(EARLY), Lapse::Reclaim);
    assert!(matches!(refused, Insertion::Full), "{refused:?}");
    assert_eq!(room.total(Event::EvictedEarly) + room.total(Event::EvictedExpired), 0);
    for short in [9, 41] {
        let mut room = Room::new();
        let ends = |n: usize| if n == short { 500 } else { 10_000 };
        let slots: Vec<usize> = (0..2 * WAYS).map(|n| room.ended(n % WAYS, ends(n))).collect();
        let inserted = room.insert_under(1, &reject(500), Lapse::Reclaim);
        let Insertion::Inserted { slot, .. } = inserted else { panic!("{inserted:?}") };
        assert_eq!(slot, slots[short]);
        assert_eq!((room.total(Event::EvictedEarly), room.total(Event::EvictedExpired)), (0, 1));
    }
}

/// Goal: an insertion clears the oldest record of each set if it is over, and one more where there
/// is little room, and none that is inside its window. Method: sets with much and with little room.
#[test]
fn an_insertion_tends_its_sets() {
    for (records, cleared) in [(20, 1), (23, 1), (24, 2), (28, 2)] {
        let mut room = Room::new();
        (0..records).for_each(|n| _ = room.ended(n, 400 + n as u64));
        let late = rules(EARLY);
        let _ = room.insert_under(31, &late, Lapse::Reclaim);
        assert_eq!(room.total(Event::EvictedExpired), 0, "all are inside their windows");
        let now = Rules { now_ms: 402, ..late };
        let _ = room.insert_under(30, &now, Lapse::Reclaim);
        let taken = room.total(Event::EvictedExpired);
        assert_eq!(taken, cleared, "of {records} records in one set, three of them over");
        assert_eq!(room.table.counters.in_state(State::Succeeded), records as u64 - taken);
    }
}

/// Goal: of an attempt that lapsed long ago and that nobody asks for, the record is taken, by its
/// policy. Method: full sets of running records, whose leases and retentions are over, or not yet.
#[test]
fn forgotten_attempts_go() {
    for (lapse, now_ms, goes) in [
        (Lapse::Reclaim, 1_100, true),
        (Lapse::Reclaim, 1_099, false),
        (Lapse::Unknown, 9_000, false),
        (Lapse::Failed, 9_000, false),
    ] {
        let mut room = Room::new();
        for n in 0..2 * WAYS {
            let inserted = room.insert_under(n % WAYS, &rules(EARLY), lapse);
            assert!(matches!(inserted, Insertion::Inserted { .. }), "{inserted:?}");
        }
        let inserted = room.insert_under(1, &rules(now_ms), lapse);
        assert_eq!(matches!(inserted, Insertion::Inserted { .. }), goes, "{lapse:?} at {now_ms}");
    }
}

/// Goal: at the end of the fencing counter an insertion says so, and not that there is no room.
/// Method: a floor that leaves no counter, in an empty table and in a full one.
#[test]
fn the_end_of_the_counter_is_told() {
    for mut room in [Room::new(), Room::full().0] {
        room.table.raise_fence_floor(Fence::MAX + 1);
        let refused = room.insert_under(1, &rules(EARLY), Lapse::Reclaim);
        assert!(matches!(refused, Insertion::Exhausted), "{refused:?}");
    }
}

/// Goal: what keeps sets full may be the record that is asked for: who finds no room looks again if
/// somebody inserted meanwhile. Method: sets full of running records, and a search before them.
#[test]
fn no_room_is_looked_at_again() {
    let mut room = Room::new();
    let line = room.table.line(0);
    let before = line.arbitration();
    (0..2 * WAYS).for_each(|n| _ = room.run(n % WAYS));
    let fingerprint = room.fingerprint(1);
    let probe = room.table.probe(fingerprint);
    let line = room.table.line(0);
    for (seen, expected) in [(before, NoSlot::Changed), (line.arbitration(), NoSlot::Full)] {
        let searched = crate::table::insert::Searched { line, seen, old: None };
        let above = Fence::new(0).expect("small");
        let wanted = Wanted { probe: &probe, scope: 0, above, searched };
        let claimed = room.table.claim_any(&wanted, &rules(EARLY));
        assert_eq!(claimed.expect_err("all of them run"), expected);
    }
}
