//! Room, one insertion after the other, without threads: where a record goes, and what goes for it.
//!
//! A table of two sets: the first bit of a fingerprint's halves says which is its home.

use super::*;
use crate::table::scope::ScopeLimits;
use crate::table::slot::DigestWord;
use crate::table::tests::{rules, sized};
use crate::table::{Draft, Insertion, LeaseDraft};

/// The window of a record ends at its own number; the clock stands before all of them.
const EARLY: u64 = 1;

struct Room {
    table: Table,
    /// How many were inserted: each has a fingerprint of its own.
    count: u64,
    /// The scope entry of the next ones.
    scope: u16,
}

impl Room {
    fn new() -> Self {
        Self { table: sized(2, 4), count: 0, scope: 0 }
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
        let draft =
            Draft { scope: self.scope, attempt: 1, digest: DigestWord::new(0, 1, 1), lease };
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

/// Goal: of two sets whose oldest are about as old, the window that ends first decides, and the
/// home where both end at once; where they are not, the age. Method: the oldest of the other set
/// ends before, with and after that of the home; then much older ones are left there.
#[test]
fn windows_decide_between_sets() {
    for (end, goes) in [(9_999, 1), (10_000, 0), (10_001, 0)] {
        let mut room = Room::new();
        let ends = |n: usize| if n == 32 { end } else { 10_000 + 10 * n as u64 };
        let slots: Vec<usize> = (0..2 * WAYS).map(|n| room.ended(n % WAYS, ends(n))).collect();
        assert_eq!((slots[0], slots[32]), (0, WAYS));
        let aged = |slot: usize, age: u8| {
            let line = room.table.line(slot / WAYS);
            line.stamp(slot % WAYS, line.age_clock().wrapping_sub(age) & 0xf);
        };
        slots.iter().for_each(|slot| aged(*slot, 8));
        aged(slots[0], 10);
        aged(slots[32], 9);
        let first = room.ended(3, 20_000);
        assert_eq!(first, slots[32 * goes], "the other set's ends at {end}");
        let line = room.table.line(0);
        (0..WAYS).for_each(|way| line.stamp(way, line.age_clock()));
        assert_eq!(room.ended(3, 20_000) / WAYS, 1, "those of the other set are much older");
    }
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

/// Goal: nobody evicts what is reserved for another scope, and guests evict nobody else's. Method:
/// full sets of records of one scope, and a new record of each other kind of scope.
#[test]
fn scopes_spare_each_other() {
    const RESERVED: u16 = 1;
    const SHARED: u16 = 2;
    const GUEST: u16 = 3;
    for (old, new, goes) in [
        (SHARED, SHARED, true),
        (SHARED, RESERVED, true),
        (SHARED, GUEST, false),
        (RESERVED, SHARED, false),
        (RESERVED, GUEST, false),
        (RESERVED, RESERVED, true),
        (GUEST, SHARED, true),
        (GUEST, RESERVED, true),
        (GUEST, GUEST, true),
        (SHARED, 0, true),
        (RESERVED, 0, false),
    ] {
        let mut room = Room::new();
        let limits = ScopeLimits { max_live: 1_000, pinned: true, ..ScopeLimits::NONE };
        room.table.set_scope_limits(RESERVED, limits);
        room.table.set_scope_limits(SHARED, ScopeLimits::NONE);
        room.table.set_scope_limits(GUEST, ScopeLimits::NONE);
        room.scope = old;
        (0..2 * WAYS).for_each(|n| _ = room.ended(n % WAYS, 10_000));
        room.scope = new;
        let inserted = room.insert_under(1, &rules(EARLY), Lapse::Reclaim);
        let went = matches!(inserted, Insertion::Inserted { .. });
        assert_eq!(went, goes, "{new} for {old}: {inserted:?}");
    }
}

/// Goal: what others share goes before what is reserved for the scope that asks, although that is
/// older. Method: a set of either, and a new record of the scope with the reservation.
#[test]
fn what_is_shared_goes_first() {
    let mut room = Room::new();
    let limits = ScopeLimits { max_live: 1_000, pinned: true, ..ScopeLimits::NONE };
    room.table.set_scope_limits(1, limits);
    room.scope = 1;
    let own: Vec<usize> = (0..2 * WAYS - 1).map(|n| room.ended(n % WAYS, 10_000)).collect();
    room.scope = 0;
    let shared = room.ended(31, 20_000);
    room.scope = 1;
    assert_eq!(room.ended(3, 30_000), shared);
    assert!(own.contains(&room.ended(3, 30_000)), "now there are none but its own");
}

/// Goal: a running record is cleared when its lease is over, and the time for which lapsed ones are
/// kept, and not before. Method: either side of both.
#[test]
fn a_running_record_is_closed_first() {
    let mut room = Room::new();
    let (slot, seen) = room.run(1);
    assert!(!room.table.clear(slot, seen, &rules(99)), "its lease lasts");
    assert!(!room.table.clear(slot, seen, &rules(1_099)), "it has lapsed, and is kept");
    assert_eq!(room.table.slot(slot).control().load(), seen);
    assert!(room.table.clear(slot, seen, &rules(1_100)));
    assert_eq!(room.table.slot(slot).control().load().state(), State::Vacant);
}

/// Goal: the oldest of the other set are cleared too. Method: both sets with little room; two
/// records of the second are over.
#[test]
fn an_insertion_tends_the_other_set() {
    let mut room = Room::new();
    // Nobody inserts on the home of the second set: all of it is equally old, the first way first.
    let ends = |n: usize| if (32..34).contains(&n) { 400 } else { 10_000 };
    let slots: Vec<usize> = (0..56).map(|n| room.ended(n % WAYS, ends(n))).collect();
    assert!(slots[28..].iter().all(|slot| slot / WAYS == 1));
    let _ = room.insert_under(30, &rules(402), Lapse::Reclaim);
    assert_eq!(room.total(Event::EvictedExpired), 2);
    for slot in &slots[32..34] {
        let state = room.table.slot(*slot).control().load().state();
        assert_ne!(state, State::Succeeded, "the new record may lie there");
    }
}

/// Goal: in full sets the record that is over goes, and none besides. Method: the oldest of the
/// home is over.
#[test]
fn what_is_over_is_room() {
    let (mut room, slots) = Room::full();
    let inserted = room.insert_under(3, &rules(10_000), Lapse::Reclaim);
    let Insertion::Inserted { slot, .. } = inserted else { panic!("{inserted:?}") };
    assert_eq!(slot, slots[0]);
    assert_eq!((room.total(Event::EvictedEarly), room.total(Event::EvictedExpired)), (0, 1));
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

/// Goal: an attempt that lapsed long ago goes wherever it lies. Method: full sets of running
/// records with leases that last, but for one of either set.
#[test]
fn a_forgotten_attempt_is_found() {
    for forgotten in [11, 45] {
        let mut room = Room::new();
        let records: Vec<_> = (0..2 * WAYS).map(|n| room.run(n % WAYS)).collect();
        for (n, (slot, seen)) in records.iter().enumerate().filter(|(n, _)| *n != forgotten) {
            assert!(room.table.renew(*slot, *seen, 50_000), "record {n} is held");
        }
        let inserted = room.insert_under(1, &rules(1_100), Lapse::Reclaim);
        let Insertion::Inserted { slot, .. } = inserted else { panic!("{inserted:?}") };
        assert_eq!(slot, records[forgotten].0);
        assert_eq!((room.total(Event::EvictedEarly), room.total(Event::EvictedExpired)), (0, 1));
    }
}

/// Goal: nothing is evicted on the strength of a search that is over. Method: full sets, and a
/// search before the last insertion.
#[test]
fn a_late_search_evicts_nothing() {
    let (mut room, slots) = Room::full();
    let seen = room.table.line(0).arbitration();
    assert_eq!(room.ended(3, 20_000), slots[0]);
    let fingerprint = room.fingerprint(1);
    let probe = room.table.probe(fingerprint);
    let line = room.table.line(0);
    let searched = crate::table::insert::Searched { line, seen, old: None };
    let above = Fence::new(0).expect("small");
    let wanted = Wanted { probe: &probe, scope: 0, attempt: 1, above, searched };
    let claimed = room.table.claim_any(&wanted, &rules(EARLY));
    assert_eq!(claimed.expect_err("somebody inserted since"), NoSlot::Changed);
    assert_eq!(room.total(Event::EvictedEarly), 1);
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
        let wanted = Wanted { probe: &probe, scope: 0, attempt: 1, above, searched };
        for evict_lru in [true, false] {
            let rules = Rules { evict_lru, ..rules(EARLY) };
            let claimed = room.table.claim_any(&wanted, &rules);
            assert_eq!(claimed.expect_err("all of them run"), expected);
        }
    }
}

/// Goal: a renewal that comes while somebody goes to clear a record that is over is not forgotten
/// before its time. Method: a record is seen to be over, then renewed until a time that has passed
/// as well, then cleared by who saw it; and again when that time is over, too.
#[test]
fn a_renewal_comes_before_the_clearing() {
    let mut room = Room::new();
    let (slot, seen) = room.run(0);
    let retention = rules(EARLY).idle_retention_ms;
    let over = rules(100 + retention);
    assert!(room.table.is_over(slot, seen, &over));
    assert!(room.table.renew(slot, seen, 101));
    assert!(!room.table.clear(slot, seen, &over), "it is kept for a millisecond more");
    assert!(!room.table.renew(slot, seen, 200), "it has lapsed, and somebody saw it");
    assert!(room.table.clear(slot, seen, &rules(101 + retention)));
}
