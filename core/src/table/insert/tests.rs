//! Steps of an insertion, one at a time, without threads.

use super::*;
use crate::observe::Counters;
use crate::region::{Geometry, Region, WAYS};
use crate::table::slot::Lapse;
use crate::wait::WaitQueue;
use std::cell::Cell;
use std::sync::{Arc, mpsc};
use std::time::Duration;

const RULES: Rules =
    Rules { now_ms: 1, idle_retention_ms: 1_000, default_lease_ms: 1_000, evict_lru: true };

fn table() -> Table {
    let geometry = Geometry::new(2, 0, 1, 1, 8, 1, 0).expect("small");
    let region = Arc::new(Region::private(geometry, false).expect("a page"));
    let waiters = Arc::new(WaitQueue::new(1, Arc::clone(&region)));
    Table::new(region, Arc::new(Counters::new()), waiters)
}

fn draft() -> Draft {
    let lease = LeaseDraft { until_ms: 1_000, lapse: Lapse::Reclaim };
    Draft { scope: 0, attempt: 1, digest: DigestWord::new(0, 0, 0), lease }
}

fn presented(table: &Table, probe: &Probe) -> Held {
    let above = Fence::new(0).expect("small");
    let line = table.line(probe.home());
    let searched = Searched { line, seen: line.arbitration(), old: None };
    let wanted = Wanted { probe, scope: 0, attempt: 1, above, searched };
    table.reserve(&wanted, &draft(), &RULES).expect("an empty table")
}

/// Goal: a helper that stalled between reading the arbitration word and looking at the slot
/// leaves a later insertion into that slot alone. Method: the inserter stalls before it clears
/// the flag; its lease lapses, and the slot is cleared and presented again.
#[test]
fn a_late_helper_finishes_no_other_insertion() {
    let table = table();
    let probe = table.probe([1, 2, 3, 4]);
    let line = table.line(probe.home());
    let before = line.arbitration();
    let first = presented(&table, &probe);
    let pending = line.arbitrate(before, first.slot, first.seen.fence()).expect("nobody else");

    let other = table.probe([1, 2, 3, 5]);
    let control = table.slot(first.slot).control();
    let finished = control.advance(first.seen, Step::Finish).expect("nobody helps");
    let over = Rules { now_ms: 10_000, ..RULES };
    assert!(table.clear(first.slot, finished, &over));
    let second = presented(&table, &other);
    assert_eq!(second.slot, first.slot, "the slot is used again");

    assert_eq!(line.arbitration(), pending);
    table.help(line, pending);
    assert_eq!(control.load(), second.seen);
}

/// Goal: whoever meets a pending insertion finishes it. Method: an inserter that stops after it
/// won its arbitration, and somebody else in a thread of his own, since he would go round for ever.
#[test]
fn a_stalled_inserter_is_helped() {
    let table = Arc::new(table());
    let probe = table.probe([1, 2, 3, 4]);
    let line = table.line(probe.home());
    let before = line.arbitration();
    let first = presented(&table, &probe);
    assert_eq!(table.search(&probe), None, "a presented slot is no record yet");
    let _ = line.arbitrate(before, first.slot, first.seen.fence()).expect("nobody else");

    let (tell, told) = mpsc::channel();
    let other = Arc::clone(&table);
    std::thread::spawn(move || tell.send(other.settled(other.line(probe.home()))));
    let settled = told.recv_timeout(PATIENCE).expect("nobody waits for the inserter");
    assert!(!settled.pending());
    let found = table.search(&probe).expect("its record");
    assert_eq!((found.slot, found.seen.state()), (first.slot, State::Running));
}

/// Inserts a record for `probe` while `meanwhile` is called as often as the insertion starts.
fn inserted(
    table: &Table,
    probe: &Probe,
    retiring: Option<&Probe>,
    meanwhile: impl Fn(),
) -> (usize, Snapshot) {
    let unchanged = || {
        meanwhile();
        true
    };
    let insertion = table.insert(probe, retiring, &draft(), &RULES, None, unchanged);
    let Insertion::Inserted { slot, seen, .. } = insertion else { panic!("{insertion:?}") };
    (slot, seen)
}

/// Goal: tokens of a request grow although a rotation changes its home (I2). Method: an insertion
/// holds a slot and starts again, since neighbours were inserted; then attempts of the same
/// request come and go under the old key. Their counters come from another clock: with some
/// number of them the last one is the counter that the slot was claimed with.
#[test]
fn counters_grow_from_home_to_home() {
    let over = Rules { now_ms: 10_000, ..RULES };
    for attempts in 1..8 {
        let table = table();
        let probes = (1..64_u64).map(|i| table.probe([i << 26, i, i, i << 32]));
        let (old, new): (Vec<_>, Vec<_>) = probes.partition(|probe| probe.home() == 0);
        let (starts, last) = (Cell::new(0), Cell::new(0));
        let meanwhile = || match starts.replace(starts.get() + 1) {
            0 => (1..3).for_each(|other| {
                let _ = inserted(&table, &new[other], None, || {});
            }),
            1 => (0..attempts).for_each(|_| {
                let (slot, seen) = inserted(&table, &old[0], None, || {});
                last.set(seen.fence().get());
                assert!(table.clear(slot, seen, &over));
            }),
            _ => {}
        };
        let (_, seen) = inserted(&table, &new[0], Some(&old[0]), meanwhile);
        assert!(starts.get() > 1, "it never held a slot");
        let fence = seen.fence().get();
        assert!(fence > last.get(), "{fence} after {} ({attempts} attempts)", last.get());
    }
}

/// A request whose home is `home` of two sets.
fn at_home(table: &Table, home: u64, number: u64) -> Probe {
    let probe = table.probe([(1 - home) << 63 | home << 31 | number, number << 48, number, 7]);
    assert_eq!(probe.home() as u64, home);
    probe
}

/// Goal: homes stand as they were searched until somebody inserts on either. Method: each of the
/// two moves on, and neither.
#[test]
fn homes_stand_until_somebody_inserts() {
    for (moved, with_old, stands) in
        [(None, false, true), (None, true, true), (Some(0), false, false)].into_iter().chain([
            (Some(0), true, false),
            (Some(1), true, false),
            (Some(1), false, true),
        ])
    {
        let table = table();
        let (line, old) = (table.line(0), table.line(1));
        let old = with_old.then(|| (old, old.arbitration()));
        let searched = Searched { line, seen: line.arbitration(), old };
        if let Some(set) = moved {
            let line = table.line(set);
            line.disturb(line.arbitration()).expect("nobody else");
        }
        assert_eq!(searched.stands(), stands, "{moved:?} moved on, the old one is {with_old}");
    }
}

/// Goal: an insertion on the strength of a search that is over finds what it did not see: the
/// record whose insertion was pending, or that of the key which is being retired. Method: either,
/// and the home as it was before.
#[test]
fn what_a_search_could_not_see_is_found() {
    let table = table();
    let probe = at_home(&table, 0, 1);
    let line = table.line(0);
    let first = presented(&table, &probe);
    let pending = line.arbitrate(line.arbitration(), first.slot, first.seen.fence());
    let looked = Some(pending.expect("nobody else"));
    let again = table.insert(&probe, None, &draft(), &RULES, looked, || true);
    assert!(matches!(again, Insertion::Found), "{again:?}");

    let (old, new) = (at_home(&table, 1, 2), at_home(&table, 0, 3));
    let _ = inserted(&table, &old, None, || {});
    let looked = Some(line.arbitration());
    let again = table.insert(&new, Some(&old), &draft(), &RULES, looked, || true);
    assert!(matches!(again, Insertion::Found), "{again:?}");
}

/// Goal: a record that is over gives way to the new one of the same request, which says so; one
/// that is not over does not. Method: either side of the end of a window.
#[test]
fn what_is_over_is_replaced() {
    for (now_ms, replaces) in [(500, true), (499, false)] {
        let table = table();
        let probe = at_home(&table, 0, 1);
        let (slot, seen) = inserted(&table, &probe, None, || {});
        let _ = table.set_window(slot, seen, 500);
        table.end(slot, seen, State::Succeeded).expect("nobody else");
        let rules = Rules { now_ms, ..RULES };
        let again = table.insert(&probe, None, &draft(), &rules, None, || true);
        let replaced = matches!(again, Insertion::Inserted { replaced: true, .. });
        assert_eq!(replaced, replaces, "{again:?} at {now_ms}");
        assert_eq!(matches!(again, Insertion::Found), !replaces);
        let other = table.insert(&at_home(&table, 0, 2), None, &draft(), &rules, None, || true);
        assert!(matches!(other, Insertion::Inserted { replaced: false, .. }), "{other:?}");
    }
}

/// Goal: while a key is retired, an insertion moves the request's old home on, so that one that
/// does not know of the rotation fails; where that is the new home too, it does so by itself. And
/// who finds the old home moved on begins anew. Method: each case; then every home at once.
#[test]
fn an_insertion_disturbs_the_old_home() {
    let table = table();
    let (old, new, same) = (at_home(&table, 1, 1), at_home(&table, 0, 2), at_home(&table, 0, 3));
    let before = table.line(1).arbitration();
    let _ = inserted(&table, &new, Some(&old), || {});
    assert_ne!(table.line(1).arbitration(), before);
    assert!(!table.disturb_old_home(&old, before, new.home()), "it moved on since");
    let now = table.line(0).arbitration();
    assert!(table.disturb_old_home(&same, now, new.home()), "nothing to do");
    assert_eq!(table.line(0).arbitration(), now);
    let _ = inserted(&table, &same, Some(&at_home(&table, 0, 4)), || {});

    let before = [0, 1].map(|set| table.line(set).arbitration());
    table.disturb_all();
    let after = [0, 1].map(|set| table.line(set).arbitration());
    assert!(before[0] != after[0] && before[1] != after[1]);
}

/// Goal: a slot that was claimed with a counter which is too low by now is given back, and no
/// other. Method: counters around that of the slot.
#[test]
fn late_counters_are_given_back() {
    let gives_back = |above: i64, old_clock: i64| {
        let table = table();
        let mine = presented(&table, &at_home(&table, 0, 1));
        let fence = mine.seen.fence().get();
        let near = |by: i64| fence.checked_add_signed(by).expect("small");
        let mut held = Some(mine);
        table.give_back_late(&mut held, near(above), near(old_clock));
        let state = table.slot(mine.slot).control().load().state();
        assert_eq!(held.is_none(), state == State::Vacant);
        held.is_none()
    };
    assert!(!gives_back(0, -1) && !gives_back(-1, 1), "it is high enough");
    assert!(gives_back(1, -1), "the home gave out a higher one");
    assert!(gives_back(0, 0), "that of another home is the same");
}

/// Goal: bytes that name no slot help nobody, and stop nobody. Method: a pending insertion of the
/// slot behind the last one.
#[test]
fn a_slot_that_is_none_is_not_helped() {
    let table = table();
    let probe = at_home(&table, 0, 1);
    let line = table.line(0);
    let fence = Fence::new(77).expect("small");
    let _ = line.arbitrate(line.arbitration(), table.slots(), fence).expect("nobody else");
    let _ = inserted(&table, &probe, None, || {});
}

/// Goal: a new record counts as just used, by the clock of the set that it lies in, also where the
/// insertion moves that clock on. Method: records that fill the home, then the other set.
#[test]
fn a_new_record_is_the_newest() {
    let table = table();
    for number in 1..=2 * WAYS as u64 {
        let (slot, _) = inserted(&table, &at_home(&table, 0, number), None, || {});
        let (set, way) = place(slot);
        let line = table.line(set);
        let stamps = line.age(way, line.age_clock());
        assert_eq!(stamps, 0, "record {number} in set {set}");
        // The other set's clock stands still: what was written there is no clock of the home.
        assert_eq!(line.age(way, line.age_clock().wrapping_add(5) & 0xf), 5, "record {number}");
    }
}

/// Only a test that fails waits so long.
const PATIENCE: Duration = Duration::from_secs(20);
