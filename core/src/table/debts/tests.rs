//! Debts, one step after the other, without threads: what a process that is not there has left, and
//! what one that is here is about to do.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::observe::Counters;
use crate::region::{Geometry, Identity, Region};
use crate::table::scope::ScopeLimits;
use crate::table::slot::{DigestWord, Lapse};
use crate::table::tests::rules;
use crate::table::{Draft, Insertion, LeaseDraft};
use crate::wait::WaitQueue;

const DEAD: u8 = 2;
const OTHER: u8 = 3;

/// A table that other processes could share, and the entry of a scope in it.
fn shared() -> (Table, u16) {
    let geometry = Geometry::new(2, 1, 4, 1, 8, 3, 0).expect("small");
    let identity = Identity { geometry, options: [0; crate::region::header::SHARED_OPTIONS.len()] };
    let region = Region::inherited(&identity, false, |_| Ok(())).expect("some pages");
    assert!(!region.join(0).expect("an entry").used);
    let region = Arc::new(region);
    let waiters = Arc::new(WaitQueue::new(1, Arc::clone(&region)));
    let table = Table::new(region, Arc::new(Counters::new()), waiters);
    let entry = table.scope_entry(7, ScopeLimits::NONE, Duration::ZERO).expect("room");
    (table, entry)
}

/// The entry of one scope more.
fn other(table: &Table) -> u16 {
    table.scope_entry(8, ScopeLimits::NONE, Duration::ZERO).expect("room")
}

/// One look at all records, while which `busy` makes and ends one.
fn look_beside(table: &Table, busy: u16) {
    let debts = table.owed().expect("a debt");
    let look = table.take_look(debts).expect("nothing is under way");
    charge(table, busy);
    table.release_scope(busy);
    assert!(!table.judge(&look) || table.owed().is_none());
}

/// Process `index` has so much under way.
fn under_way(table: &Table, index: u8, count: u64) {
    // Relaxed, here and below: one thread.
    table.region.process(usize::from(index))[UNSETTLED].store(count, Ordering::Relaxed);
}

fn charge(table: &Table, entry: u16) {
    table.charge_scope(entry, Duration::ZERO).expect("no limit");
}

fn insert(table: &Table, scope: u16) {
    let lease = LeaseDraft { until_ms: 500, lapse: Lapse::Reclaim };
    let draft = Draft { scope, attempt: 1, digest: DigestWord::new(0, 1, 1), lease };
    let inserted = table.insert(&table.probe([9; 4]), None, &draft, &rules(0), None, || true);
    assert!(matches!(inserted, Insertion::Inserted { .. }), "{inserted:?}");
}

/// What the scope counts, and what is owed.
fn standing(table: &Table, entry: u16) -> (u64, u64) {
    let live = table.region.scope(usize::from(entry))[LIVE].load(Ordering::Relaxed);
    (counted(live), table.debts().load(Ordering::Relaxed) & DEBT_MASK)
}

/// Goal: a charge of a living process is not taken for the dead one's, however long it takes (it
/// was where the process was stopped meanwhile, and the scope made a record too many for good); and
/// the debt is not forgotten. Method: a dead process has charged one record, and a living one that
/// has not inserted it yet; then it does.
#[test]
fn what_is_under_way_is_no_debt() {
    let (table, entry) = shared();
    for process in [DEAD, OTHER] {
        under_way(&table, process, 1);
        charge(&table, entry);
    }
    table.settle_debts();
    assert_eq!(standing(&table, entry), (2, 0), "nobody was buried");
    table.take_over_debts(DEAD);
    for _ in 0..3 {
        table.settle_debts();
        assert_eq!(standing(&table, entry), (2, 1), "it cannot be told now");
    }
    insert(&table, entry);
    under_way(&table, OTHER, 0);
    table.settle_debts();
    assert_eq!(standing(&table, entry), (1, 0));
}

/// Goal: a suspicion that comes to nothing costs nothing. Method: a process died before it charged;
/// another one, before it took a record off that was gone.
#[test]
fn only_what_is_too_much_is_taken_off() {
    let (table, entry) = shared();
    charge(&table, entry);
    insert(&table, entry);
    under_way(&table, DEAD, 1);
    table.take_over_debts(DEAD);
    assert_eq!(standing(&table, entry), (1, 1));
    table.settle_debts();
    assert_eq!(standing(&table, entry), (1, 0));
    charge(&table, entry);
    table.settle_debts();
    assert_eq!(standing(&table, entry), (2, 0), "nobody owes anything");
    under_way(&table, DEAD, 2);
    table.take_over_debts(DEAD);
    table.settle_debts();
    assert_eq!(standing(&table, entry), (1, 0));
}

/// Goal: a scope that is busy leaves no other one's question open (the debt stayed, and whoever was
/// at its quota had three looks at the whole table in each second, for nothing). Method: a debt
/// with nothing behind it, and looks that find one scope busy, and then another; and a new debt.
#[test]
fn a_busy_scope_is_its_own_affair() {
    let (table, entry) = shared();
    let busy = other(&table);
    under_way(&table, DEAD, 1);
    table.take_over_debts(DEAD);
    look_beside(&table, busy);
    assert_eq!(standing(&table, entry), (0, 1), "the busy one could owe it");
    table.settle_debts_of(entry);
    assert_eq!(standing(&table, busy), (0, 1), "there was a look, for one that was judged");
    look_beside(&table, entry);
    assert_eq!(standing(&table, entry), (0, 0), "each was judged once");

    under_way(&table, DEAD, 1);
    charge(&table, entry);
    table.take_over_debts(DEAD);
    assert_eq!(standing(&table, entry), (1, 1));
    table.settle_debts_of(entry);
    assert_eq!(standing(&table, entry), (0, 0), "it was judged, before this debt");
}

/// Goal: an excess is found in a scope that was busy, and only in a look that began after the debt.
/// Method: the scope that owes is the busy one, and then quiet; a debt that is added during a look.
#[test]
fn what_is_too_much_is_found_when_it_is_quiet() {
    let (table, entry) = shared();
    under_way(&table, DEAD, 1);
    charge(&table, entry);
    table.take_over_debts(DEAD);
    look_beside(&table, entry);
    assert_eq!(standing(&table, entry), (1, 1), "it could not be told");
    let look = table.owed().and_then(|debts| table.take_look(debts)).expect("a debt");
    under_way(&table, DEAD, 1);
    table.take_over_debts(DEAD);
    assert!(table.judge(&look));
    assert_eq!(standing(&table, entry), (0, 1), "the other debt was not looked at");
    table.settle_debts_of(entry);
    assert_eq!(standing(&table, entry), (0, 0));
}

/// Goal: a scope that is never quiet costs few looks. Method: turns for an hour, one a second, each
/// of which can tell nothing; and a new debt, for which there is one at once.
#[test]
fn looks_become_rare() {
    let (table, _) = shared();
    let turns = |count: usize| {
        let debts = table.owed().expect("a debt");
        (0..count).filter(|_| table.is_due(debts)).count()
    };
    for _ in 0..2 {
        under_way(&table, DEAD, 1);
        table.take_over_debts(DEAD);
        assert_eq!((turns(1), turns(1), turns(1)), (1, 1, 0));
        assert!((56..=63).contains(&turns(3_600)), "one a minute, and a few at first");
    }
}

/// Goal: words that no step of the engine leads to change what they say and nothing else. Method:
/// the largest numbers in each word that is added up.
#[test]
fn impossible_numbers_are_bounded() {
    let (table, entry) = shared();
    let debts = || table.debts().load(Ordering::Relaxed) & DEBT_MASK;
    for _ in 0..3 {
        under_way(&table, DEAD, u64::MAX);
        table.take_over_debts(DEAD);
        assert!(debts() <= 2 * MOST_OWED, "{}", debts());
        table.debts().store(u64::MAX, Ordering::Relaxed);
    }
    table.region.scope(usize::from(entry))[LIVE].store(u64::MAX, Ordering::Relaxed);
    assert!(table.charge_scope(entry, Duration::ZERO).is_err(), "it is at its end");
    table.settle_debts();
    assert_eq!(standing(&table, entry), (0, 0), "there is no record");
}
