//! Scope entries, without threads: who gets one, and what it lets through.

use super::*;
use crate::table::tests::sized;

fn second(at: u64) -> Duration {
    Duration::from_secs(at)
}

fn nanos(at: u64) -> Duration {
    Duration::from_nanos(at)
}

/// Goal: a scope is found in the entry that it was given, and no other one is. Method: as many
/// scopes as there are entries, whose hashes begin at the same one or at the last.
#[test]
fn every_entry_is_somebodys() {
    for first in [0, 4, 1 << 40, (u64::MAX >> 1) - 30] {
        let table = sized(2, 7);
        let hashes = [1, 2, 3, 4, 5].map(|i| first + i * 5);
        assert_eq!(table.known_scope(hashes[0]), None);
        let entries = hashes.map(|hash| {
            let entry = table.scope_entry(hash, ScopeLimits::NONE, second(0)).expect("room");
            assert_eq!(table.known_scope(hash), Some(entry));
            table.charge_scope(entry, second(0)).expect("no limit");
            entry
        });
        let begin = (hashes[0] % 5) as u16;
        assert_eq!(entries, [0, 1, 2, 3, 4].map(|step| 1 + (begin + step) % 5));
        let again = hashes.map(|hash| table.scope_entry(hash, ScopeLimits::NONE, second(0)));
        assert_eq!(again, entries.map(Some));
        assert_eq!(table.scope_entry(first + 30, ScopeLimits::NONE, second(0)), None);
        assert_eq!(table.known_scope(first + 30), None);
    }
    assert_eq!(sized(2, 2).scope_entry(7, ScopeLimits::NONE, second(0)), None, "no entries");
    assert_eq!(sized(2, 2).known_scope(7), None);
}

/// Goal: an entry goes to another scope when nobody would notice, and not before. Method: an entry
/// that is pinned, has a live record, or owes time; then none of it.
#[test]
fn an_idle_entry_is_given_on() {
    let limits = ScopeLimits { nanos_each: 10, burst_nanos: 100, ..ScopeLimits::NONE };
    let table = sized(2, 3);
    let give = |hash, now| table.scope_entry(hash, limits, nanos(now));
    let first = give(7, 0).expect("room");
    table.charge_scope(first, nanos(0)).expect("within the burst");
    assert_eq!(give(8, 1_000), None, "a live record");
    table.release_scope(first);
    assert_eq!(give(8, 9), None, "it owes time");
    table.set_scope_limits(first, ScopeLimits { pinned: true, ..limits });
    assert_eq!(give(8, 1_000), None, "pinned");
    table.set_scope_limits(first, limits);
    assert_eq!(give(8, 10), Some(first));
    assert_eq!((table.known_scope(7), table.known_scope(8)), (None, Some(first)));
}

/// Goal: the scope of those whom nobody vouches for has its own limits and its own entry. Method:
/// it comes when all others are used; it is named and un-named; another scope finds no entry.
#[test]
fn a_guest_stays() {
    let guest = ScopeLimits { max_live: 1, ..ScopeLimits::NONE };
    let table = sized(2, 3);
    assert_eq!(table.scope_entry(7, ScopeLimits::NONE, second(9)), Some(1));
    table.charge_scope(1, second(9)).expect("no limit");
    assert_eq!(table.known_scope(GUEST), None);
    assert_eq!(table.scope_entry(GUEST, guest, second(9)), Some(2));
    assert_eq!((table.known_scope(GUEST), table.scope_limits(2)), (Some(2), guest));
    let own = ScopeLimits { max_live: 5, pinned: true, ..guest };
    assert_eq!(table.pin_scope(GUEST, own, guest, second(9)), Some(2));
    assert_eq!((table.scope_limits(2), table.room_of(2)), (own, RoomOf::Guest));
    write_first(table.region.scope(2), guest);
    assert_eq!(table.scope_limits(2), own, "a late maker spoils nothing");
    table.unpin_scope(GUEST, guest);
    assert_eq!((table.scope_limits(2), table.room_of(2)), (guest, RoomOf::Guest));
    assert_eq!(table.known_scope(GUEST), Some(2));
    assert_eq!(table.scope_entry(8, ScopeLimits::NONE, second(9)), None, "it is the guest's");
}

/// Goal: whoever died over an entry leaves it to others. Method: a hash without limits, which
/// another scope comes upon.
#[test]
fn half_made_entries_are_room() {
    let limits = ScopeLimits { max_live: 3, nanos_each: 5, ..ScopeLimits::NONE };
    let table = sized(2, 3);
    // Relaxed: one thread.
    table.region.scope(1)[HASH].store(7, Ordering::Relaxed);
    assert_eq!(table.scope_entry(8, limits, second(0)), Some(1));
    assert_eq!((table.known_scope(8), table.scope_limits(1)), (Some(1), limits));
}

/// Goal: a scope gets no second entry, whoever else looks for one of it at the same moment (a quota
/// by name was not obeyed, as another entry was found first). Method: one caller has claimed an
/// entry, and goes on when another one has claimed one too, has got one, has withdrawn the first
/// claim, or has claimed the same one after that.
#[test]
fn a_scope_gets_one_entry() {
    // Relaxed, everywhere in this test: one thread.
    let none = ScopeLimits::NONE;
    let table = sized(2, 5);
    let hash = |entry: usize| table.region.scope(entry)[HASH].load(Ordering::Relaxed);
    let put = |entry: usize, word| table.region.scope(entry)[HASH].store(word, Ordering::Relaxed);
    for entry in [1, 2, 3] {
        write_first(table.region.scope(entry), none);
    }
    let claims = [1, 2].map(|me| table.claims.next(me, 9));
    // Another thread of the same process.
    let again = table.claims.next(1, 9);
    for (words, settled, left) in [
        ([claims[0], 6, 7], Some(1), [9, 6, 7]),
        ([claims[0], claims[1], 7], Some(1), [9, NOBODYS, 7]),
        ([claims[0], 9, 7], Some(2), [NOBODYS, 9, 7]),
        ([claims[0], 6, 9 | PINNED], Some(3), [NOBODYS, 6, 9 | PINNED]),
        ([NOBODYS, 6, 7], None, [NOBODYS, 6, 7]),
        ([claims[1], 6, 7], None, [claims[1], 6, 7]),
        ([again, 6, 7], None, [again, 6, 7]),
        (
            [claims[0], table.claims.next(2, 6), 7],
            Some(1),
            [9, table.claims.next(2, 6) - (1 << 42), 7],
        ),
    ] {
        (1..).zip(words).for_each(|(entry, word)| put(entry, word));
        assert_eq!(table.settle_claim(9, 1, claims[0]), settled, "{words:x?}");
        assert_eq!([1, 2, 3].map(hash), left, "{words:x?}");
    }
    // What somebody died over is found by nobody, and room for all.
    put(1, claims[1]);
    assert_eq!(table.known_scope(9), None);
    [2, 3].into_iter().for_each(|entry| table.charge_scope(entry, second(9)).expect("no limit"));
    assert_eq!(table.scope_entry(8, none, second(9)), Some(1));
}

/// Goal: limits by name are in force when all are written, and not before: a scope whose quota was
/// never set to its end has no reservation. Method: a pinned entry, as it is left by a process that
/// dies over its limits, before and after they are written.
#[test]
fn half_set_quotas_are_none() {
    let (own, table) = (ScopeLimits { max_live: 1, ..ScopeLimits::NONE }, sized(2, 3));
    assert_eq!(table.scope_entry(7, own, second(9)), Some(1));
    assert!(set_pinned(table.region.scope(1), 7, true));
    assert_eq!((table.is_pinned(1), table.room_of(1)), (false, RoomOf::Shared));
    assert!(!table.scope_limits(1).pinned);
    assert_eq!(table.pin_scope(7, own, ScopeLimits::NONE, second(9)), Some(1));
    assert_eq!((table.is_pinned(1), table.room_of(1)), (true, RoomOf::Reserved));
    table.unpin_scope(7, own);
    assert!(set_pinned(table.region.scope(1), 7, true));
    assert!(!table.is_pinned(1), "what was taken back is forgotten");
}

/// Goal: whoever made an entry and stalled changes nothing of what its next scope was given.
/// Method: he writes his limits when it is another's, limited by name in some respects only.
#[test]
fn a_late_maker_spoils_nothing() {
    let others = ScopeLimits { max_live: 9, nanos_each: 5, burst_nanos: 6, ..ScopeLimits::NONE };
    let table = sized(2, 3);
    assert_eq!(table.scope_entry(7, others, second(9)), Some(1));
    for max_live in [2, u64::MAX] {
        let own = ScopeLimits { max_live, pinned: true, ..ScopeLimits::NONE };
        assert_eq!(table.pin_scope(8, own, others, second(9)), Some(1));
        write_first(table.region.scope(1), others);
        assert_eq!(table.scope_limits(1), own);
    }
}

/// Goal: an entry that was pinned can be given back (it could not, so that each scope that was ever
/// named took one for good). Method: a scope is named, and un-named while it has a record and while
/// it has none; a scope that was not named, and one that has no entry, are left as they are.
#[test]
fn an_entry_is_given_back() {
    let others = ScopeLimits { max_live: 9, ..ScopeLimits::NONE };
    let own = ScopeLimits { max_live: 2, pinned: true, ..others };
    let table = sized(2, 3);
    let live = |hash| table.scope_entry(hash, others, second(9));
    assert_eq!(table.pin_scope(7, own, others, second(9)), Some(1));
    assert_eq!((table.known_scope(7), table.scope_limits(1)), (Some(1), own));
    assert_eq!(table.pin_scope(7, own, others, second(9)), Some(1), "twice is once");
    assert_eq!((live(8), table.room_of(1)), (None, RoomOf::Reserved), "it is held");
    table.charge_scope(1, second(9)).expect("within the limit");
    table.unpin_scope(8, others);
    assert_eq!(table.scope_limits(1), own, "another scope's");
    table.unpin_scope(7, others);
    assert_eq!((table.known_scope(7), table.scope_limits(1)), (Some(1), others));
    assert_eq!((live(8), table.room_of(1)), (None, RoomOf::Shared), "it has a record");
    table.release_scope(1);
    assert_eq!(live(8), Some(1));
    table.unpin_scope(7, own);
    table.unpin_scope(8, own);
    assert_eq!((table.known_scope(8), table.scope_limits(1)), (Some(1), others));
}

/// Goal: nobody's entry is given on while one is free. Method: a scope that is idle lies before a
/// free entry.
#[test]
fn a_free_entry_comes_first() {
    let table = sized(2, 4);
    let entries = [4, 6].map(|hash| table.scope_entry(hash, ScopeLimits::NONE, second(9)));
    assert_eq!(entries, [Some(1), Some(2)]);
    assert_eq!([4, 6].map(|hash| table.known_scope(hash)), entries);
}

/// Goal: an entry that somebody is about to fill in is nobody's yet, and whoever comes next fills
/// it in. Method: a hash without limits, as between two stores.
#[test]
fn a_half_made_entry_is_made() {
    let table = sized(2, 3);
    // Relaxed: one thread.
    table.region.scope(1)[HASH].store(7, Ordering::Relaxed);
    assert_eq!(table.known_scope(7), None);
    assert_eq!(table.charge_scope(1, second(0)), Err(Refusal::Live));
    let limits = ScopeLimits { max_live: 1, ..ScopeLimits::NONE };
    assert_eq!(table.scope_entry(7, limits, second(0)), Some(1));
    assert_eq!(table.known_scope(7), Some(1));
    let other = ScopeLimits { max_live: 2, ..ScopeLimits::NONE };
    assert_eq!(table.scope_entry(7, other, second(0)), Some(1));
    assert_eq!(table.charge_scope(1, second(0)), Ok(()));
    assert_eq!(table.charge_scope(1, second(0)), Err(Refusal::Live), "the first limits stay");
}

/// Goal: whose room a scope takes follows from its limits. Method: every mix of them, and entries
/// that are none.
#[test]
fn room_follows_from_the_limits() {
    let table = sized(2, 3);
    for (entry, pinned, max_live, room) in [
        (1, false, u64::MAX, RoomOf::Shared),
        (1, false, 5, RoomOf::Shared),
        (1, true, u64::MAX, RoomOf::Shared),
        (1, true, 5, RoomOf::Reserved),
        (1, true, 0, RoomOf::Reserved),
        (2, false, 5, RoomOf::Guest),
        (2, true, 5, RoomOf::Guest),
        (2, true, u64::MAX, RoomOf::Guest),
    ] {
        let limits = ScopeLimits { pinned, max_live, ..ScopeLimits::NONE };
        table.set_scope_limits(entry, limits);
        assert_eq!(table.room_of(entry), room, "{limits:?}");
        for entry in [0, 3, u16::MAX] {
            assert_eq!(table.room_of(entry), RoomOf::Shared, "entry {entry}");
        }
    }
}

/// Goal: live records are counted up to the limit, and released records count no more. Method:
/// limits of none, some and no end; more released than were charged; entries that are none.
#[test]
fn live_records_are_limited() {
    for max_live in [0, 1, 3] {
        let table = sized(2, 3);
        table.set_scope_limits(1, ScopeLimits { max_live, ..ScopeLimits::NONE });
        for _ in 0..2 {
            for _ in 0..max_live {
                assert_eq!(table.charge_scope(1, second(0)), Ok(()));
            }
            assert_eq!(table.charge_scope(1, second(0)), Err(Refusal::Live));
            (0..max_live + 2).for_each(|_| table.release_scope(1));
        }
    }
    let table = sized(2, 3);
    table.set_scope_limits(1, ScopeLimits::NONE);
    assert!((0..100).all(|_| table.charge_scope(1, second(0)).is_ok()));
    assert!((0..100).all(|_| table.charge_scope(0, second(0)).is_ok()));
    for entry in [0, 3, u16::MAX] {
        table.release_scope(entry);
        table.refund_scope(entry);
    }
    // Relaxed: one thread.
    assert_eq!(table.region.scope(0)[LIVE].load(Ordering::Relaxed), 0, "entry 0 counts nothing");
}

/// Goal: the rate lets the burst through, then one record in each interval, says how long to
/// wait, and refused records cost nothing. Method: either side of each bound, to the nanosecond.
#[test]
fn the_rate_is_exact() {
    let table = sized(2, 3);
    let limits = ScopeLimits { nanos_each: 10, burst_nanos: 20, ..ScopeLimits::NONE };
    table.set_scope_limits(1, limits);
    let charge = |now| table.charge_scope(1, nanos(now));
    let wait = |retry_after| Err(Refusal::Rate { retry_after: nanos(retry_after) });
    assert_eq!([charge(100), charge(100), charge(100)], [Ok(()); 3]);
    assert_eq!([charge(100), charge(103), charge(109)], [wait(10), wait(7), wait(1)]);
    assert_eq!([charge(110), charge(110), charge(120)], [Ok(()), wait(10), Ok(())]);
    table.refund_scope(1);
    assert_eq!([charge(120), charge(120)], [Ok(()), wait(10)]);
    assert_eq!([charge(1_000), charge(1_000), charge(1_000)], [Ok(()); 3]);
    assert_eq!(charge(1_000), wait(10));
    // Relaxed: one thread.
    let live = || counted(table.region.scope(1)[LIVE].load(Ordering::Relaxed));
    assert_eq!(live(), 8, "one for each that was let through");
    table.refund_scope(1);
    assert_eq!(live(), 7);
    assert_eq!(table.charge_scope(1, Duration::MAX), Ok(()), "the end of time");
}
