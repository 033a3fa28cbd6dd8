//! How fingerprints are spread over sets.

use super::*;
use crate::table::control::State;
use crate::table::slot::{DigestWord, Lapse};
use crate::table::tests::{rules, sized};
use crate::table::{Draft, Insertion, LeaseDraft};

/// Goal: a probe's two sets differ and are in range, for any number of sets. Method: many
/// fingerprints of a fixed generator, small and odd numbers of sets.
#[test]
fn two_sets_of_the_table() {
    let mut state = 1_u64;
    let mut next = || {
        // SplitMix64 (Steele, Lea and Flood, 2014).
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    for sets in [2, 3, 5, 1_000, 4_097] {
        let mut used = vec![0_u32; sets];
        for _ in 0..sets * 40 {
            let probe = Probe::new([next(), next(), next(), next()], sets);
            assert!(probe.home() < sets && probe.alternate() < sets && probe.way() < WAYS);
            assert_ne!(probe.home(), probe.alternate());
            assert_ne!(probe.tag, 0);
            used[probe.home()] += 1;
        }
        assert!(used.iter().all(|count| *count > 5), "{sets} sets, one hardly used");
    }
}

/// Goal: a fingerprint of all zeroes or ones is a fingerprint like any other. Method: corners.
#[test]
fn corners_are_in_range() {
    for word in [0, !0, 1, 1 << 63] {
        let probe = Probe::new([word; 4], 7);
        assert!(probe.home() < 7 && probe.alternate() < 7 && probe.home() != probe.alternate());
        assert_ne!(probe.tag, 0);
    }
}

/// Goal: the places of a fingerprint are the parts of it that the layout says. Method: one of known
/// parts, in a table of a million sets.
#[test]
fn places_are_parts_of_the_fingerprint() {
    let sets = 1 << 20;
    let probe = Probe::new([0x8000_1000 << 32 | 0x4000_1000, 0xab05 << 48 | 0xffff, 0, 0], sets);
    assert_eq!((probe.home(), probe.alternate()), (1 << 18 | 1, 1 << 19 | 1));
    assert_eq!((probe.way(), probe.tag), (5, 0xab));
    let last = Probe::new([0xffff_ffff_ffff_ffff, 0x0020 << 48, 0, 0], sets);
    assert_eq!((last.home(), last.alternate()), (sets - 1, 0), "both are the last: the next one");
    assert_eq!((last.way(), last.tag), (0, 1), "the way is cut, and no tag is zero");
}

/// A request whose home is set 0 of two, whose way is `way` and whose tag is `tag`.
fn fingerprint(number: u64, way: u64, tag: u64) -> [u64; 4] {
    [1 << 63 | number, tag << 56 | way << 48, number, number << 32]
}

fn inserted(table: &Table, fingerprint: [u64; 4]) -> usize {
    let draft = Draft {
        scope: 0,
        attempt: 1,
        digest: DigestWord::new(0, 1, 1),
        lease: LeaseDraft { until_ms: 100, lapse: Lapse::Reclaim },
    };
    let probe = table.probe(fingerprint);
    match table.insert(&probe, None, &draft, &rules(1), None, || true) {
        Insertion::Inserted { slot, .. } => slot,
        other => panic!("{other:?}"),
    }
}

/// Goal: a record is found in whichever way of whichever set it lies, among others with its tag,
/// and no other is taken for it; where there is none, the home is told as it was. Method: both
/// sets full of records of one tag, and one more that is not there.
#[test]
fn records_are_found_everywhere() {
    let table = sized(2, 1);
    let all: Vec<_> = (1..=2 * WAYS as u64).map(|n| fingerprint(n, n % 3, 9)).collect();
    let slots: Vec<_> = all.iter().map(|fingerprint| inserted(&table, *fingerprint)).collect();
    for (fingerprint, slot) in all.iter().zip(&slots) {
        let hit = table.look(fingerprint).expect("inserted");
        assert_eq!((hit.found.slot, hit.found.seen.state()), (*slot, State::Running));
        assert_eq!(table.search(&table.probe(*fingerprint)), Some(hit.found));
        assert_eq!(table.look_at(*slot, fingerprint).map(|hit| hit.found), Some(hit.found));
        let other = (*slot + 1) % (2 * WAYS);
        assert!(table.look_at(other, fingerprint).is_none(), "a slot with another record");
    }
    let absent = fingerprint(1_000, 1, 9);
    let home = table.line(0).arbitration();
    assert_eq!(table.look(&absent).err(), Some(home));
    assert!(table.stands(&absent, home));
    table.line(0).disturb(home).expect("nobody else");
    assert!(!table.stands(&absent, home), "somebody inserted since");
}

/// Goal: the second step of a batch names a slot that has the tag, or tells how the home was.
/// Method: a record at home, one in the other set, and none.
#[test]
fn the_second_step_names_slots() {
    let table = sized(2, 1);
    let home = inserted(&table, fingerprint(1, 4, 9));
    assert_eq!(table.prefetch_named(&table.probe(fingerprint(1, 4, 9))).ok(), Some(home));
    (2..=28).for_each(|n| _ = inserted(&table, fingerprint(n, n % 32, 7)));
    let elsewhere = inserted(&table, fingerprint(30, 6, 11));
    assert_eq!(elsewhere / WAYS, 1, "the home has little room");
    assert_eq!(table.prefetch_named(&table.probe(fingerprint(30, 6, 11))).ok(), Some(elsewhere));
    let absent = table.probe(fingerprint(31, 6, 13));
    assert_eq!(table.prefetch_named(&absent).err(), Some(table.line(0).arbitration()));
}

/// Goal: a use stamps its own record, in either set. Method: records that are as old as can be; one
/// of each set is used, through either call.
#[test]
fn a_use_stamps_its_record() {
    let table = sized(2, 1);
    let all: Vec<_> = (1..=2 * WAYS as u64).map(|n| fingerprint(n, n % 32, 9)).collect();
    let slots: Vec<_> = all.iter().map(|fingerprint| inserted(&table, *fingerprint)).collect();
    let age = |slot: usize| {
        let line = table.line(slot / WAYS);
        line.age(slot % WAYS, line.age_clock())
    };
    for set in [0, 1] {
        let line = table.line(set);
        let old = line.age_clock().wrapping_sub(12) & 0xf;
        (0..WAYS).for_each(|way| line.stamp(way, old));
    }
    for at in [0, 7, 30, 40] {
        table.look(&all[at]).expect("inserted").touch();
        table.touch(slots[at + 1]);
    }
    for (at, slot) in slots.iter().enumerate() {
        let used = [0, 1, 7, 8, 30, 31, 40, 41].contains(&at);
        assert_eq!(age(*slot), if used { 0 } else { 12 }, "record {at}");
    }
}
