//! Recovery, one step after the other, without threads: what a process that is not there has left.

use std::sync::Arc;

use super::*;
use crate::observe::Counters;
use crate::region::WAYS;
use crate::region::{Geometry, Identity, Region};
use crate::sync::Ordering;
use crate::table::control::Fence;
use crate::table::slot::{Deadline, DigestWord, Lapse};
use crate::table::tests::{Running, UNTIL, rules, running};
use crate::table::{Draft, Insertion, Lapsed, LeaseDraft, Open, Rules};
use crate::wait::WaitQueue;

/// An entry that nobody has.
const GONE: u8 = 3;

/// A table that other processes could share; this one has entry 1.
fn shared() -> Table {
    let geometry = Geometry::new(2, 1, 1, 1, 8, 3, 0).expect("small");
    let identity = Identity { geometry, options: [0; crate::region::header::SHARED_OPTIONS.len()] };
    let region = Region::inherited(&identity, false, |_| Ok(())).expect("some pages");
    let joined = region.join(0).expect("an entry");
    assert_eq!((joined.index, joined.used, region.me()), (1, false, 1));
    let region = Arc::new(region);
    let waiters = Arc::new(WaitQueue::new(1, Arc::clone(&region)));
    Table::new(region, Arc::new(Counters::new()), waiters)
}

/// The record of request `number`, whose lease the process of entry `owner` holds.
fn held_by(table: &Table, number: u64, owner: u8, lapse: Lapse) -> Running {
    let mut mine = running(table, number, lapse);
    let fence = mine.seen.fence().next_for(1).expect("small");
    mine.step(table, Step::Take { fence, owner });
    let at = table.slot(mine.slot);
    let deadline = Deadline::new(UNTIL, lapse, Kind::Lease, fence);
    at.change_deadline(at.deadline(), deadline).expect("nobody else");
    mine
}

/// A slot that the process of entry `owner` has claimed, and perhaps presented.
fn claimed_by(table: &Table, owner: u8, presented: bool) -> Running {
    let mut mine = running(table, 9, Lapse::Reclaim);
    let fence = mine.seen.fence().next_for(1).expect("small");
    mine.step(table, Step::Claim { fence, owner });
    if presented {
        mine.step(table, Step::Present);
    }
    mine
}

fn recovered(table: &Table) -> u64 {
    table.counters.total(Event::Recovered)
}

/// Goal: who is gone is told from who is here. Method: the entry of this process, of nobody, none,
/// and one beyond the registry, in each state; and a table of one process.
#[test]
fn orphans_are_told_apart() {
    for (owner, orphan) in [(1, false), (2, true), (GONE, true), (0, true), (200, true)] {
        let table = shared();
        assert_eq!(table.is_orphan(held_by(&table, 1, owner, Lapse::Reclaim).seen), orphan);
        assert_eq!(table.is_orphan(claimed_by(&table, owner, true).seen), orphan, "{owner}");
    }
    let table = shared();
    let mut ended = held_by(&table, 2, GONE, Lapse::Reclaim);
    assert!(!table.is_orphan(ended.step(&table, Step::End(State::Waiting))), "nobody's");
    let private = crate::table::tests::table();
    assert!(!private.is_orphan(held_by(&private, 1, GONE, Lapse::Reclaim).seen));
}

/// Goal: the lease of the dead closes before its time, by its policy, and that of the living does
/// not. Method: each policy, long before the deadline.
#[test]
fn leases_of_the_dead_close_at_once() {
    for lapse in [Lapse::Reclaim, Lapse::Unknown, Lapse::Failed] {
        let table = shared();
        let theirs = held_by(&table, 1, GONE, lapse);
        assert_eq!(table.close_lease(theirs.slot, theirs.seen, &rules(0)), Ok(Lapsed(lapse)));
        assert_eq!(theirs.deadline(&table), (UNTIL, Kind::Closed, lapse, true));
        assert_eq!(recovered(&table), 1);
        let mine = held_by(&table, 2, 1, lapse);
        let closed = table.close_lease(mine.slot, mine.seen, &rules(0));
        assert_eq!(closed, Err(Open::Until(UNTIL)));
    }
}

/// Goal: a winner that died before it wrote its lease has none. Method: a takeover by the dead,
/// whose deadline is still that of the attempt before.
#[test]
fn a_dead_winner_gets_no_lease() {
    let table = shared();
    let mut theirs = running(&table, 1, Lapse::Unknown);
    let fence = theirs.seen.fence().next_for(2).expect("small");
    theirs.step(&table, Step::Take { fence, owner: GONE });
    let closed = table.close_lease(theirs.slot, theirs.seen, &rules(5));
    assert_eq!(closed, Ok(Lapsed(Lapse::Reclaim)), "nobody was told of it");
    assert_eq!(theirs.deadline(&table), (5, Kind::Closed, Lapse::Reclaim, true));
}

/// Goal: what the dead claimed is vacant, with a higher counter and without a tag, and what the
/// living claimed is left alone. Method: claimed and presented slots of both.
#[test]
fn claims_of_the_dead_are_vacated() {
    for presented in [false, true] {
        let table = shared();
        let theirs = claimed_by(&table, GONE, presented);
        let freed = table.without_dead_claimer(theirs.slot, theirs.seen);
        assert_eq!((freed.state(), recovered(&table)), (State::Vacant, 1));
        assert!(freed.fence() > theirs.seen.fence());
        let (set, way) = crate::table::place(theirs.slot);
        assert!(table.line(set).vacant().contains(way));
        let late = table.without_dead_claimer(theirs.slot, theirs.seen);
        assert_eq!((late, recovered(&table)), (freed, 1), "once");
        let mine = claimed_by(&table, 1, presented);
        assert_eq!(table.without_dead_claimer(mine.slot, mine.seen), mine.seen);
    }
}

/// Goal: the words that a dead writer had are written again, and those of a living one are not.
/// Method: a writer's mark of both; the record runs, or has ended since.
#[test]
fn words_of_a_dead_writer_are_free() {
    let table = shared();
    let mut theirs = held_by(&table, 1, 1, Lapse::Reclaim);
    theirs.step(&table, Step::Write { writer: GONE });
    let writing = table.start_writing(theirs.slot, theirs.seen).expect("it is free");
    assert_eq!((writing.writer(), recovered(&table)), (1, 1));
    assert_eq!(table.start_writing(theirs.slot, writing), None, "this process writes");
    let mut ended = held_by(&table, 2, 1, Lapse::Reclaim);
    ended.step(&table, Step::Write { writer: GONE });
    ended.step(&table, Step::End(State::Succeeded));
    let freed = table.without_the_dead(ended.slot, ended.seen);
    assert_eq!((freed.state(), freed.writing()), (State::Succeeded, false));
}

/// Goal: a lease that is closed becomes nobody's, and only that one. Method: the same attempt,
/// with a waiter that came meanwhile; and a later attempt.
#[test]
fn a_closed_lease_is_orphaned() {
    let table = shared();
    let mut theirs = held_by(&table, 1, GONE, Lapse::Reclaim);
    let before = theirs.seen;
    theirs.step(&table, Step::Announce);
    table.orphan(theirs.slot, before);
    let now = table.slot(theirs.slot).control().load();
    assert_eq!((now.owner(), now.waiters(), now.fence()), (0, true, before.fence()));
    let mine = held_by(&table, 2, 1, Lapse::Reclaim);
    table.orphan(mine.slot, before);
    assert_eq!(table.slot(mine.slot).control().load(), mine.seen);
}

/// Goal: whoever waits is told what concerns him and nothing else. Method: one waiter, and each
/// thing that can become of its record.
#[test]
fn waiters_hear_what_concerns_them() {
    let table = shared();
    let told = |slot: usize, until_ms: u64, now_ms: u64| {
        table.news(&Waiter::of(slot, table.slot(slot).first_word(), until_ms), now_ms)
    };
    let mut mine = held_by(&table, 1, 1, Lapse::Reclaim);
    assert_eq!(told(mine.slot, UNTIL, 0), News::None);
    assert_eq!(told(mine.slot, UNTIL + 1, 0), News::ForAll, "the lease ends sooner");
    let other = Waiter::of(mine.slot, 77, UNTIL);
    assert_eq!(table.news(&other, 0), News::ForAll, "another record lies there");
    let theirs = held_by(&table, 2, GONE, Lapse::Reclaim);
    assert_eq!(told(theirs.slot, UNTIL, 0), News::ForOne, "its holder is dead");
    for (number, at_ms, now_ms, expected) in [
        (3, 5, 5, News::ForOne),
        (4, 5, 4, News::ForAll),
        (5, UNTIL + 5, 4, News::None),
        (6, UNTIL, UNTIL, News::ForOne),
        (7, UNTIL + 5, UNTIL + 4, News::None),
        (8, UNTIL + 5, UNTIL + 5, News::ForOne),
    ] {
        let mut waits = held_by(&table, number, 1, Lapse::Reclaim);
        let at = table.slot(waits.slot);
        let due = Deadline::new(at_ms, Lapse::Reclaim, Kind::Due, waits.seen.fence());
        at.change_deadline(at.deadline(), due).expect("nobody else");
        assert_eq!(told(waits.slot, UNTIL, now_ms), News::ForOne, "decided, and not said");
        waits.step(&table, Step::End(State::Waiting));
        assert_eq!(told(waits.slot, UNTIL, now_ms), expected, "{at_ms} {now_ms}");
    }
    mine.step(&table, Step::End(State::Succeeded));
    assert_eq!(told(mine.slot, UNTIL, 0), News::ForAll);
}

/// Goal: where nothing is evicted, a slot that a dead process was clearing away is room, although
/// it has its tag still (an insertion looked at records and at vacant ways only, and answered that
/// the table was full). Method: full sets of running records, and one claim in either, of a process
/// that is gone and of one that is here.
#[test]
fn a_dead_claim_is_room_where_nothing_is_evicted() {
    for (set, owner, room) in [(0, GONE, true), (1, GONE, true), (0, 1, false)] {
        let table = shared();
        let reject = Rules { evict_lru: false, ..rules(0) };
        // The home of all is the first set, the other one the second.
        let insert = |number: u64| {
            let probe = table.probe([1 << 63 | number, number << 48, number, number << 32]);
            let lease = LeaseDraft { until_ms: UNTIL, lapse: Lapse::Reclaim };
            let draft = Draft { scope: 0, attempt: 1, digest: DigestWord::new(0, 1, 1), lease };
            table.insert(&probe, None, &draft, &reject, None, || true)
        };
        for number in 1..=2 * WAYS as u64 {
            assert!(matches!(insert(number), Insertion::Inserted { .. }), "{number}");
        }
        let slot = set * WAYS + 9;
        let control = table.slot(slot).control();
        let seen = control.load();
        let fence = seen.fence().next_for(1).expect("small");
        control.advance(seen, Step::Claim { fence, owner }).expect("nobody else");
        let inserted = insert(2 * WAYS as u64 + 1);
        let at = match inserted {
            Insertion::Inserted { slot, .. } => Some(slot),
            _ => None,
        };
        assert_eq!(at, room.then_some(slot), "{owner}: {inserted:?}");
    }
}

/// Goal: nothing is recovered twice, whatever a dead process left in one slot. Method: a claim and
/// a writer's mark at once; the counter at its end.
#[test]
fn a_slot_at_its_end_is_left_alone() {
    let table = shared();
    let last = Fence::new(Fence::MAX).expect("the last");
    let mut theirs = running(&table, 1, Lapse::Reclaim);
    theirs.step(&table, Step::Write { writer: GONE });
    theirs.step(&table, Step::Claim { fence: last, owner: GONE });
    let left = table.without_the_dead(theirs.slot, theirs.seen);
    assert_eq!((left.state(), left.writing()), (State::Claimed, false));
    // Relaxed: one thread.
    assert_eq!(table.region.header(crate::region::header::DEATHS).load(Ordering::Relaxed), 0);
}

/// Goal: nothing in a slot names a process that was taken out of it, whatever else happens there.
/// Method: a claim over a writer's mark; a mark of one that was ended by somebody else; one of the
/// dead, and one of the living.
#[test]
fn a_process_is_taken_out_of_a_slot() {
    let table = shared();
    let mut theirs = running(&table, 1, Lapse::Reclaim);
    theirs.step(&table, Step::Write { writer: GONE });
    let fence = theirs.seen.fence().next_for(1).expect("small");
    theirs.step(&table, Step::Claim { fence, owner: GONE });
    let left = table.take_out(theirs.slot, GONE);
    assert_eq!((left.state(), left.writing()), (State::Vacant, false));
    assert_eq!(table.take_out(theirs.slot, GONE), left, "once is enough");
    let mut other = held_by(&table, 2, 1, Lapse::Reclaim);
    other.step(&table, Step::Write { writer: 2 });
    assert_eq!(table.take_out(other.slot, GONE), other.seen, "it is somebody else's");
    let leased = held_by(&table, 3, GONE, Lapse::Reclaim);
    assert_eq!(table.take_out(leased.slot, GONE), leased.seen, "the lease is closed first");
}
