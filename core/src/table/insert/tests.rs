//! Steps of an insertion, one at a time, without threads.

use super::*;
use crate::fork::ForkGuard;
use crate::observe::Counters;
use crate::region::{Geometry, Region};
use crate::table::slot::Lapse;
use crate::wait::WaitQueue;
use std::cell::Cell;
use std::sync::{Arc, mpsc};
use std::time::Duration;

const RULES: Rules =
    Rules { now_ms: 1, idle_retention_ms: 1_000, default_lease_ms: 1_000, evict_lru: true };

fn table() -> Table {
    let geometry = Geometry::new(2, 0, 1, 1, 8).expect("small");
    let region = Arc::new(Region::private(geometry, false).expect("a page"));
    let fork = Arc::new(ForkGuard::new().expect("a page"));
    Table::new(region, Arc::new(Counters::new()), Arc::new(WaitQueue::new(1, fork)))
}

fn draft() -> Draft {
    let lease = LeaseDraft { until_ms: 1_000, lapse: Lapse::Reclaim };
    Draft { scope: 0, digest: DigestWord::new(0, 0, 0), lease }
}

fn presented(table: &Table, probe: &Probe) -> Held {
    let above = Fence::new(0).expect("small");
    let line = table.line(probe.home());
    let searched = Searched { line, seen: line.arbitration(), old: None };
    let wanted = Wanted { probe, scope: 0, above, searched };
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

/// Only a test that fails waits so long.
const PATIENCE: Duration = Duration::from_secs(20);
