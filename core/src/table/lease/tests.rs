//! Leases, one step after the other, without threads: each rule of the deadline on either side.

use super::*;
use crate::table::control::Fence;
use crate::table::tests::{Running, UNTIL, rules, running, table};

const DRAFT: LeaseDraft = LeaseDraft { until_ms: 9_000, lapse: Lapse::Unknown };

/// A running record with the deadline that `how` says.
fn with(table: &Table, kind: Kind) -> Running {
    let mine = running(table, 1, Lapse::Failed);
    let at = table.slot(mine.slot);
    let deadline = Deadline::new(UNTIL, Lapse::Failed, kind, mine.seen.fence());
    at.change_deadline(at.deadline(), deadline).expect("nobody else");
    mine
}

const KINDS: [Kind; 4] = [Kind::Lease, Kind::Closed, Kind::Window, Kind::Due];

/// Goal: a lease is closed when it is over and not before, and stays closed. Method: either side
/// of its end, for each policy; then a moment at which it was not over.
#[test]
fn a_lease_closes_at_its_end() {
    for lapse in [Lapse::Reclaim, Lapse::Unknown, Lapse::Failed] {
        let table = table();
        let mine = running(&table, 1, lapse);
        let close = |now| table.close_lease(mine.slot, mine.seen, &rules(now));
        assert_eq!(close(UNTIL - 1), Err(Open::Until(UNTIL)));
        assert_eq!(mine.deadline(&table), (UNTIL, Kind::Lease, lapse, true));
        assert_eq!(close(UNTIL), Ok(Lapsed(lapse)));
        assert_eq!(mine.deadline(&table), (UNTIL, Kind::Closed, lapse, true));
        assert_eq!(close(0), Ok(Lapsed(lapse)));
    }
}

/// Goal: what was decided otherwise is no lapse, and what changed is looked at again. Method: a
/// deadline of each other kind, and an attempt that another one followed.
#[test]
fn a_decided_end_is_no_lapse() {
    for kind in [Kind::Window, Kind::Due] {
        let table = table();
        let mine = with(&table, kind);
        assert_eq!(table.close_lease(mine.slot, mine.seen, &rules(9_999)), Err(Open::Ending));
    }
    let table = table();
    let mine = running(&table, 1, Lapse::Failed);
    let next = mine.taken(&table, 2);
    assert!(table.write_lease(next.slot, next.seen, DRAFT));
    assert_eq!(table.close_lease(mine.slot, mine.seen, &rules(9_999)), Err(Open::Changed));
    assert_eq!(next.deadline(&table), (9_000, Kind::Lease, Lapse::Unknown, true));
}

/// Goal: an attempt whose winner stalled before it wrote its lease gets one, and ends. Method: a
/// takeover without a deadline; the lease that it is given is over at its end.
#[test]
fn a_stalled_winner_gets_a_lease() {
    let table = table();
    let next = running(&table, 1, Lapse::Failed).taken(&table, 2);
    assert!(!next.deadline(&table).3);
    let close = |now| table.close_lease(next.slot, next.seen, &rules(now));
    assert_eq!(close(1_000), Err(Open::Until(1_077)));
    assert_eq!(next.deadline(&table), (1_077, Kind::Lease, Lapse::Reclaim, true));
    assert_eq!(close(1_077), Ok(Lapsed(Lapse::Reclaim)));
}

/// Goal: a takeover starts the next attempt with a lease of its own. Method: a record whose lease
/// is closed, and one that waits; what it was before is lost.
#[test]
fn a_takeover_starts_the_next_attempt() {
    for waits in [false, true] {
        let table = table();
        let mut mine = with(&table, if waits { Kind::Due } else { Kind::Closed });
        if waits {
            mine.seen = table.end(mine.slot, mine.seen, State::Waiting).expect("nobody else");
        }
        let (taken, attempt) = table.take(mine.slot, mine.seen, mine.home, DRAFT).expect("mine");
        assert_eq!((taken.state(), attempt), (State::Running, 2));
        assert!(taken.fence() > mine.seen.fence());
        assert_eq!(taken.fence().attempt(1), 2);
        assert_eq!(table.slot(mine.slot).attempt(), 2);
        let live = [State::Running, State::Waiting].map(|state| table.counters.in_state(state));
        assert_eq!(live, [1, 0]);
        let now = Running { seen: taken, ..mine };
        assert_eq!(now.deadline(&table), (9_000, Kind::Lease, Lapse::Unknown, true));
        let again = table.take(mine.slot, mine.seen, mine.home, DRAFT);
        assert_eq!(again, Err(NotTaken::Changed));
        assert_eq!(now.deadline(&table), (9_000, Kind::Lease, Lapse::Unknown, true));
    }
}

/// Goal: a takeover counts on from a number that lags, and attempts come to an end. Method: a
/// winner that stalled before it raised the number; then the last two attempts there are.
#[test]
fn attempts_are_counted_to_the_last() {
    let table = table();
    let lags = running(&table, 1, Lapse::Reclaim).taken(&table, 2).taken(&table, 3);
    assert_eq!(table.slot(lags.slot).attempt(), 1);
    let (mut seen, attempt) = table.take(lags.slot, lags.seen, lags.home, DRAFT).expect("mine");
    assert_eq!((attempt, table.slot(lags.slot).attempt()), (4, 4));
    table.slot(lags.slot).raise_attempt(seen.fence(), LAST_ATTEMPT - 3);
    for expected in [LAST_ATTEMPT - 2, LAST_ATTEMPT - 1, LAST_ATTEMPT] {
        let (taken, attempt) = table.take(lags.slot, seen, lags.home, DRAFT).expect("mine");
        assert_eq!(attempt, expected);
        seen = taken;
    }
    let end = table.take(lags.slot, seen, lags.home, DRAFT);
    assert_eq!(end, Err(NotTaken::Exhausted));
    assert_eq!(table.slot(lags.slot).control().load().fence(), seen.fence());
}

/// Goal: whoever wrote late does not undo what was decided meanwhile. Method: an attempt that has
/// a helper's lease, one that lapsed while its winner stalled, and one that another followed.
#[test]
fn a_late_lease_changes_nothing() {
    let table = table();
    let next = running(&table, 1, Lapse::Failed).taken(&table, 2);
    let _ = table.close_lease(next.slot, next.seen, &rules(1_000));
    assert!(table.write_lease(next.slot, next.seen, DRAFT), "a helper's gives way");
    assert_eq!(next.deadline(&table), (9_000, Kind::Lease, Lapse::Unknown, true));

    let lapsed = next.taken(&table, 3);
    let _ = table.close_lease(lapsed.slot, lapsed.seen, &rules(1_000));
    let _ = table.close_lease(lapsed.slot, lapsed.seen, &rules(2_000));
    assert!(!table.write_lease(lapsed.slot, lapsed.seen, DRAFT), "it lapsed");
    assert_eq!(lapsed.deadline(&table), (1_077, Kind::Closed, Lapse::Reclaim, true));

    let other = lapsed.taken(&table, 4);
    assert!(!table.write_lease(lapsed.slot, lapsed.seen, DRAFT), "it is another's");
    assert_eq!(lapsed.deadline(&table), (1_077, Kind::Closed, Lapse::Reclaim, true));
    assert!(table.write_lease(other.slot, other.seen, DRAFT), "an earlier attempt's gives way");
    assert_eq!(other.deadline(&table), (9_000, Kind::Lease, Lapse::Unknown, true));

    other.taken(&table, 5);
    let late = LeaseDraft { until_ms: 10_000, ..DRAFT };
    assert!(!table.write_lease(other.slot, other.seen, late), "it was taken over");
    assert_eq!(other.deadline(&table), (9_000, Kind::Lease, Lapse::Unknown, true));
}

/// Goal: a lease is renewed, or its attempt given back, while it is a lease, by its holder alone.
/// Method: every kind of deadline, and an attempt that is over.
#[test]
fn a_lease_is_moved_while_it_is_one() {
    for (kind, due) in KINDS.into_iter().flat_map(|kind| [(kind, false), (kind, true)]) {
        let table = table();
        let mine = with(&table, kind);
        let change = |seen| match due {
            true => table.set_due(mine.slot, seen, 700),
            false => table.renew(mine.slot, seen, 700),
        };
        let lasts = kind == Kind::Lease;
        assert_eq!(change(mine.seen), lasts, "{kind:?}");
        let moved = (700, if due { Kind::Due } else { Kind::Lease }, Lapse::Failed, true);
        let stays = (UNTIL, kind, Lapse::Failed, true);
        assert_eq!(mine.deadline(&table), if lasts { moved } else { stays });
        let next = mine.taken(&table, 2);
        assert!(table.write_lease(next.slot, next.seen, DRAFT));
        assert!(!change(mine.seen), "it is another's");
        assert_eq!(next.deadline(&table), (9_000, Kind::Lease, Lapse::Unknown, true));
    }
}

/// Goal: an unknown attempt runs again, unless that was decided otherwise. Method: every kind of
/// deadline, and an attempt that is over.
#[test]
fn an_unknown_attempt_becomes_due() {
    for kind in KINDS {
        let table = table();
        let mine = with(&table, kind);
        let undecided = matches!(kind, Kind::Lease | Kind::Closed);
        assert_eq!(table.set_due_unknown(mine.slot, mine.seen, 700), undecided, "{kind:?}");
        let (at, kind) = if undecided { (700, Kind::Due) } else { (UNTIL, kind) };
        assert_eq!(mine.deadline(&table), (at, kind, Lapse::Failed, true));
    }
    let table = table();
    let mine = with(&table, Kind::Closed);
    mine.taken(&table, 2);
    let next = Deadline::new(1, Lapse::Failed, Kind::Lease, Fence::new(0).expect("small"));
    let at = table.slot(mine.slot);
    at.change_deadline(at.deadline(), next).expect("nobody else");
    assert!(!table.set_due_unknown(mine.slot, mine.seen, 700), "it is another's");
}

/// Goal: who finishes learns what was decided. Method: every kind of deadline, for an attempt
/// that runs, one that is unknown, and one that is over.
#[test]
fn a_window_is_decided_once() {
    for (kind, unknown) in KINDS.into_iter().flat_map(|kind| [(kind, false), (kind, true)]) {
        let table = table();
        let mut mine = with(&table, kind);
        if unknown {
            mine.seen = table.end(mine.slot, mine.seen, State::Unknown).expect("nobody else");
        }
        let window = (700, Kind::Window, Lapse::Failed, true);
        let stays = (UNTIL, kind, Lapse::Failed, true);
        let (finish, deadline) = match kind {
            Kind::Lease => (Finish::Decided, window),
            Kind::Closed if unknown => (Finish::Decided, window),
            Kind::Closed => (Finish::Closed, stays),
            Kind::Window => (Finish::Decided, stays),
            Kind::Due => (Finish::Due(UNTIL), stays),
        };
        assert_eq!(table.set_window(mine.slot, mine.seen, 700), finish, "{kind:?}");
        assert_eq!(mine.deadline(&table), deadline);
    }
    let table = table();
    let mine = with(&table, Kind::Closed);
    let next = mine.taken(&table, 2);
    assert!(table.write_lease(next.slot, next.seen, DRAFT));
    assert_eq!(table.set_window(mine.slot, mine.seen, 700), Finish::Gone);
    assert_eq!(next.deadline(&table), (9_000, Kind::Lease, Lapse::Unknown, true));
}

/// Goal: the window of a finished record is opened once. Method: every kind of deadline, twice
/// each, and a deadline that is another attempt's.
#[test]
fn a_window_is_opened_once() {
    for kind in KINDS {
        let table = table();
        let mut mine = with(&table, kind);
        mine.seen = table.end(mine.slot, mine.seen, State::Failed).expect("nobody else");
        table.open_window(mine.slot, mine.seen, 700);
        let at = if kind == Kind::Window { UNTIL } else { 700 };
        assert_eq!(mine.deadline(&table), (at, Kind::Window, Lapse::Failed, true));
        table.open_window(mine.slot, mine.seen, 800);
        assert_eq!(mine.deadline(&table).0, at);
    }
    let table = table();
    let next = with(&table, Kind::Closed).taken(&table, 2);
    table.open_window(next.slot, next.seen, 700);
    assert_eq!(next.deadline(&table), (UNTIL, Kind::Closed, Lapse::Failed, false));
}

/// Goal: an attempt ends once, and is counted where it is. Method: each end, and the same again.
#[test]
fn an_attempt_ends_once() {
    for state in [State::Succeeded, State::Failed, State::Waiting, State::Unknown] {
        let table = table();
        let mine = running(&table, 1, Lapse::Reclaim);
        let ended = table.end(mine.slot, mine.seen, state).expect("nobody else");
        assert_eq!((ended.state(), ended.fence()), (state, mine.seen.fence()));
        let live = [State::Running, state].map(|state| table.counters.in_state(state));
        assert_eq!(live, [0, 1]);
        assert_eq!(table.end(mine.slot, mine.seen, State::Failed), Err(ended));
        assert_eq!(table.counters.in_state(state), 1);
    }
}

/// Goal: one writer at a time, of the attempt that is asked for, who ends what it wrote. Method:
/// a waiter that comes meanwhile, a second writer, and an attempt that is over.
#[test]
fn the_writer_ends_what_it_wrote() {
    let table = table();
    let mut mine = running(&table, 1, Lapse::Reclaim);
    let before = mine.seen;
    mine.step(&table, Step::Announce);
    let writing = table.start_writing(mine.slot, before).expect("a waiter is no hindrance");
    assert!(writing.writing() && writing.waiters());
    for seen in [before, writing] {
        assert_eq!(table.start_writing(mine.slot, seen), None, "a second writer");
    }
    let ended = table.end_written(mine.slot, writing, State::Succeeded).expect("nobody else");
    assert!(ended.state() == State::Succeeded && !ended.writing() && !ended.waiters());
    let live = [State::Running, State::Succeeded].map(|state| table.counters.in_state(state));
    assert_eq!(live, [0, 1]);
    assert_eq!(table.start_writing(mine.slot, before), None, "it has ended");
    let again = table.end_written(mine.slot, writing, State::Failed);
    assert_eq!((again, table.counters.in_state(State::Failed)), (Err(ended), 0));

    let first = running(&table, 2, Lapse::Reclaim);
    let next = first.taken(&table, 2);
    assert_eq!(table.start_writing(first.slot, first.seen), None, "it is another's");
    assert!(!table.slot(next.slot).control().load().writing());
}
