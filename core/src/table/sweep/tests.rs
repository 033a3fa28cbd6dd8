//! Sweeps of one part, without threads: what they meet, and what they clear.

use super::*;
use crate::table::control::Step;
use crate::table::lease::LeaseDraft;
use crate::table::slot::{Deadline, Kind, Lapse};
use crate::table::tests::{Running, UNTIL, rules, running, sized, table};

/// What a sweep of the whole table meets, except for nothing.
fn met(table: &Table, now_ms: u64) -> Vec<Met> {
    let mut all = Vec::new();
    for part in 0..table.parts() {
        table.sweep_part(part, &rules(now_ms), |met| all.push(met));
    }
    all.retain(|met| *met != Met::Nothing);
    all
}

fn decide(table: &Table, mine: Running, at_ms: u64, kind: Kind) {
    let at = table.slot(mine.slot);
    let deadline = Deadline::new(at_ms, Lapse::Reclaim, kind, mine.seen.fence());
    at.change_deadline(at.deadline(), deadline).expect("nobody else");
}

/// A record that ended in `state`, with that deadline.
fn ended(table: &Table, number: u64, state: State, at_ms: u64, kind: Kind) -> Found {
    let mine = running(table, number, Lapse::Reclaim);
    decide(table, mine, at_ms, kind);
    let seen = table.end(mine.slot, mine.seen, state).expect("nobody else");
    Found { slot: mine.slot, seen }
}

/// Goal: parts follow each other and come round. Method: two rounds.
#[test]
fn parts_come_round() {
    let table = sized(3, 1);
    let parts = table.parts();
    assert_eq!((parts, parts * PART), (12, table.slots()));
    for turn in 0..parts * 2 {
        assert_eq!(table.next_part(), turn % parts);
    }
}

/// Goal: a part is its own slots, and those that are used. Method: a full table, part by part.
#[test]
fn a_part_is_its_own_slots() {
    let table = table();
    let slots: Vec<usize> =
        (0..40).map(|number| running(&table, number, Lapse::Reclaim).slot).collect();
    for part in 0..table.parts() {
        let mut found = Vec::new();
        table.sweep_part(part, &rules(UNTIL), |met| match met {
            Met::Lapsed(lapsed) => found.push(lapsed.slot),
            other => panic!("{other:?}"),
        });
        let mut own: Vec<usize> =
            slots.iter().copied().filter(|slot| slot / PART == part).collect();
        own.sort_unstable();
        assert_eq!(found, own, "part {part}");
    }
}

/// Goal: a lapsed lease is met at its end and not before, and is cleared when its retention is
/// over. Method: either side of both; a lease that its winner has not written yet is neither.
#[test]
fn lapsed_leases_are_met() {
    let table = table();
    let mine = running(&table, 1, Lapse::Reclaim);
    let lapsed = Met::Lapsed(Found { slot: mine.slot, seen: mine.seen });
    assert_eq!(met(&table, UNTIL - 1), []);
    assert_eq!(met(&table, UNTIL), [lapsed]);
    assert_eq!(met(&table, UNTIL + 999), [lapsed]);
    let stalled = mine.taken(&table, 2);
    assert_eq!(met(&table, UNTIL + 1_000), []);
    decide(&table, stalled, UNTIL, Kind::Lease);
    assert_eq!(met(&table, UNTIL + 1_000), [Met::Cleared]);
    assert_eq!(met(&table, UNTIL + 1_000), []);
}

/// Goal: a due attempt is met if somebody waits for it, and is cleared when its retention is over.
/// Method: with and without a waiter, either side of both ends.
#[test]
fn due_attempts_are_met_by_who_waits() {
    for waits in [false, true] {
        let table = table();
        let found = ended(&table, 1, State::Waiting, UNTIL, Kind::Due);
        let mut mine = Running { slot: found.slot, seen: found.seen, home: 0 };
        if waits {
            mine.step(&table, Step::Announce);
        }
        let due = Met::Due(Found { seen: mine.seen, ..found });
        assert_eq!(met(&table, UNTIL - 1), []);
        assert_eq!(met(&table, UNTIL), if waits { vec![due] } else { vec![] });
        assert_eq!(met(&table, UNTIL + 1_000), [Met::Cleared]);
    }
}

/// Goal: finished records are cleared at the end of their window; where it was never written, that
/// is told; and records that nobody knows the effect of are told, however old. Method: both
/// finished states, either side of the end, with a window and without; an unknown one.
#[test]
fn finished_records_are_met() {
    for state in [State::Succeeded, State::Failed] {
        let table = table();
        ended(&table, 1, state, UNTIL, Kind::Window);
        assert_eq!(met(&table, UNTIL - 1), []);
        assert_eq!(met(&table, UNTIL), [Met::Cleared]);
        let unsettled = ended(&table, 1, state, UNTIL, Kind::Closed);
        assert_eq!(met(&table, UNTIL - 1), []);
        assert_eq!(met(&table, UNTIL), [Met::Unsettled(unsettled)]);
    }
    let table = table();
    let unknown = ended(&table, 1, State::Unknown, UNTIL, Kind::Closed);
    assert_eq!(met(&table, UNTIL), [Met::Unknown(unknown)]);
    assert_eq!(met(&table, 1 << 39), [Met::Unknown(unknown)]);
}

/// Goal: records are counted under the key they were made with, wherever they lie, while they are
/// records. Method: several keys; one record goes, and one slot is held for an insertion.
#[test]
fn records_are_counted_by_their_key() {
    let table = table();
    let made: Vec<Running> =
        [2, 3, 18, 4].map(|number| running(&table, number, Lapse::Reclaim)).to_vec();
    let counts = |table: &Table| [1, 2, 3, 4].map(|key| table.count_made_under(key));
    assert_eq!(counts(&table), [0, 2, 1, 1]);
    let over = rules(UNTIL + rules(0).idle_retention_ms);
    assert!(table.clear(made[0].slot, made[0].seen, &over));
    let mut held = made[1];
    let fence = held.seen.fence().next_for(1).expect("small");
    held.step(&table, Step::Claim { fence, owner: 0 });
    assert_eq!(counts(&table), [0, 1, 0, 1]);
    let lease = LeaseDraft { until_ms: 1, lapse: Lapse::Reclaim };
    table.take(made[3].slot, made[3].seen, made[3].home, lease).expect("nobody else");
    assert_eq!(counts(&table), [0, 1, 0, 1]);
}
