//! Histories written by hand: what the checker must refuse, what it must accept, and how it reads
//! an object that everybody knows.
//!
//! A line is a call, as in `saved.rs`: thread, stamps before and after, times before and after,
//! what was asked, and what was told.

use crate::checker::{Call, Spec, check};
use crate::history::History;
use crate::judge::judge;
use crate::saved;

/// A history of one key, with what the engine was allowed to do beyond its rules: windows of 10
/// and leases of 5, guards that retry, outcomes up to 64 bytes.
fn history(allowed: &str, calls: &str) -> History {
    let times: String = (1..=60).map(|time| format!(" {time}")).collect();
    let head = format!("history known 0 0\nterms 10 5 Retry 64 {allowed}\ntimes{times}\n");
    saved::read(&(head + calls)).unwrap_or_else(|why| panic!("{why}, in\n{calls}"))
}

/// Name, what was allowed, calls.
type Case = (&'static str, &'static str, &'static str);

const BAD: &[Case] = &[
    (
        "two attempts at once, both the first",
        "",
        "1 1 4 1 1 | begin 0 5 Reclaim now | admitted 1 Created 7 6
         2 2 3 1 1 | begin 0 5 Reclaim now | admitted 1 Created 8 6",
    ),
    (
        "a takeover before the lease is over",
        "",
        "1 1 2 1 1 | begin 0 5 Reclaim now | admitted 1 Created 7 6
         2 3 4 5 5 | begin 0 5 Reclaim now | admitted 2 Expired 8 10",
    ),
    (
        "a token that goes down with the next attempt",
        "",
        "1 1 2 1 1 | begin 0 5 Reclaim now | admitted 1 Created 7 6
         2 3 4 6 6 | begin 0 5 Reclaim now | admitted 2 Expired 6 11",
    ),
    (
        "a token that comes again with the next record",
        "",
        "1 1 2 1 1 | begin 0 5 Reclaim now | admitted 1 Created 7 6
         1 3 4 1 1 | complete 7 10 200 01 | stored
         2 5 6 11 11 | begin 0 5 Reclaim now | admitted 1 Expired 7 16",
    ),
    (
        "other bytes",
        "",
        "1 1 2 1 1 | begin 0 5 Reclaim now | admitted 1 Created 7 6
         1 3 4 1 1 | complete 7 10 200 0101 | stored
         2 5 6 2 2 | begin 0 5 Reclaim now | replayed 200 0102",
    ),
    (
        "two outcomes of one attempt",
        "",
        "1 1 2 1 1 | begin 0 5 Reclaim now | admitted 1 Created 7 6
         1 3 6 1 1 | complete 7 10 200 01 | stored
         2 4 5 1 1 | begin 0 5 Reclaim now | replayed 200 01
         3 7 8 1 1 | begin 0 5 Reclaim now | replayed 200 02",
    ),
    (
        "an outcome before the attempt ends",
        "",
        "1 1 2 1 1 | begin 0 5 Reclaim now | admitted 1 Created 7 6
         2 3 4 1 1 | begin 0 5 Reclaim now | replayed 200 01
         1 5 6 1 1 | complete 7 10 200 01 | stored",
    ),
    (
        "a second run inside the window",
        "",
        "1 1 2 1 1 | begin 0 5 Reclaim now | admitted 1 Created 7 6
         1 3 4 2 2 | complete 7 10 200 01 | stored
         2 5 6 11 11 | begin 0 5 Reclaim now | admitted 1 Expired 8 16",
    ),
    (
        "an outcome after its window",
        "",
        "1 1 2 1 1 | begin 0 5 Reclaim now | admitted 1 Created 7 6
         1 3 4 2 2 | complete 7 10 200 01 | stored
         2 5 6 12 12 | begin 0 5 Reclaim now | replayed 200 01",
    ),
    (
        "a stale completion that counts",
        "",
        "1 1 2 1 1 | begin 0 5 Reclaim now | admitted 1 Created 7 6
         2 3 4 6 6 | begin 0 5 Reclaim now | admitted 2 Expired 8 11
         1 5 6 6 6 | complete 7 10 200 01 | stored",
    ),
    (
        "a holder that is fenced though nobody came after it",
        "",
        "1 1 2 1 1 | begin 0 5 Reclaim now | admitted 1 Created 7 6
         1 3 4 1 1 | complete 7 10 200 01 | Fenced",
    ),
    (
        "a fenced completion whose outcome is replayed",
        "",
        "1 1 2 1 1 | begin 0 5 Reclaim now | admitted 1 Created 7 6
         1 3 5 6 6 | complete 7 10 200 01 | Fenced
         2 4 6 6 6 | begin 0 5 Reclaim now | replayed 200 01",
    ),
    (
        "a start before it is due",
        "",
        "1 1 2 1 1 | begin 0 5 Reclaim now | admitted 1 Created 7 6
         1 3 4 1 1 | retry 7 10 3000 | done
         2 5 6 3 3 | begin 0 5 Reclaim now | admitted 2 Retried 8 8",
    ),
    (
        "an attempt that is left out",
        "",
        "1 1 2 1 1 | begin 0 5 Reclaim now | admitted 1 Created 7 6
         1 3 4 1 1 | retry 7 10 0 | done
         2 5 6 1 1 | begin 0 5 Reclaim now | admitted 3 Retried 9 6",
    ),
    (
        "two callers that get the same next attempt",
        "",
        "1 1 2 1 1 | begin 0 5 Reclaim now | admitted 1 Created 7 6
         2 3 8 1 1 | begin 0 5 Reclaim 9 | admitted 2 Retried 8 6
         3 4 9 1 1 | begin 0 5 Reclaim 9 | admitted 2 Retried 9 6
         1 5 6 1 1 | retry 7 10 0 | done",
    ),
    (
        "a running record that is evicted",
        "evicts",
        "1 1 2 1 1 | begin 0 5 Reclaim now | admitted 1 Created 7 6
         2 3 4 2 2 | begin 0 5 Reclaim now | admitted 1 Created 8 7",
    ),
    (
        "a waiting record that is evicted",
        "evicts",
        "1 1 2 1 1 | begin 0 5 Reclaim now | admitted 1 Created 7 6
         1 3 4 1 1 | retry 7 10 3000 | done
         2 5 6 2 2 | begin 0 5 Reclaim now | admitted 1 Created 8 7",
    ),
    (
        "an unknown record that is evicted",
        "evicts",
        "1 1 2 1 1 | begin 0 5 Reclaim now | admitted 1 Created 7 6
         1 3 4 1 1 | unknown 7 10 | done
         2 5 6 40 40 | begin 0 5 Reclaim now | admitted 1 Created 8 45",
    ),
    (
        "a finished record that is evicted where nothing is",
        "",
        "1 1 2 1 1 | begin 0 5 Reclaim now | admitted 1 Created 7 6
         1 3 4 1 1 | complete 7 10 200 01 | stored
         2 5 6 2 2 | begin 0 5 Reclaim now | admitted 1 Created 8 7",
    ),
    (
        "bytes that are gone where none are dropped",
        "",
        "1 1 2 1 1 | begin 0 5 Reclaim now | admitted 1 Created 7 6
         1 3 4 1 1 | complete 7 10 200 01 | stored
         2 5 6 2 2 | begin 0 5 Reclaim now | gone",
    ),
    (
        "bytes that come back",
        "drops",
        "1 1 2 1 1 | begin 0 5 Reclaim now | admitted 1 Created 7 6
         1 3 4 1 1 | complete 7 10 200 01 | stored
         2 5 6 2 2 | begin 0 5 Reclaim now | gone
         2 7 8 2 2 | begin 0 5 Reclaim now | replayed 200 01",
    ),
    (
        "another payload that gets the outcome of the first",
        "",
        "1 1 2 1 1 | begin 0 5 Reclaim now | admitted 1 Created 7 6
         1 3 4 1 1 | complete 7 10 200 01 | stored
         2 5 6 2 2 | begin 1 5 Reclaim now | replayed 200 01",
    ),
    (
        "an unknown attempt that runs again by itself",
        "",
        "1 1 2 1 1 | begin 0 5 Unknown now | admitted 1 Created 7 6
         2 3 4 6 6 | begin 0 5 Unknown now | unresolved
         2 5 6 20 20 | begin 0 5 Unknown now | admitted 2 Expired 8 25",
    ),
    (
        "a lease that is renewed after somebody found it lapsed",
        "",
        "1 1 2 1 1 | begin 0 5 Unknown now | admitted 1 Created 7 6
         2 3 4 6 6 | begin 0 5 Unknown now | unresolved
         1 5 6 6 6 | renew 7 10 5000 | done",
    ),
    (
        "two ends of one attempt",
        "",
        "1 1 2 1 1 | begin 0 5 Reclaim now | admitted 1 Created 7 6
         1 3 5 1 1 | fail 7 10 400 01 | done
         2 4 6 1 1 | retry 7 10 0 | done",
    ),
    (
        "what was given up, failed by a lapse",
        "",
        "1 1 2 1 1 | begin 0 5 Failed now | admitted 1 Created 7 6
         1 3 4 6 6 | unknown 7 10 | done
         2 5 6 6 6 | begin 0 5 Failed now | replayed 504 -",
    ),
    (
        "a retry of an unknown attempt that is refused and happens",
        "",
        "1 1 2 1 1 | begin 0 5 Reclaim now | admitted 1 Created 7 6
         1 3 4 1 1 | unknown 7 10 | done
         1 5 7 1 1 | retry 7 10 0 | Fenced
         2 6 8 1 1 | begin 0 5 Reclaim now | admitted 2 Retried 8 6",
    ),
    (
        "a running attempt that is resolved",
        "",
        "1 1 2 1 1 | begin 0 5 Reclaim now | admitted 1 Created 7 6
         2 3 4 1 1 | resolve success 200 01 | done",
    ),
    (
        "no room for a record that is there",
        "fills scarce",
        "1 1 2 1 1 | begin 0 5 Reclaim now | admitted 1 Created 7 6
         2 3 4 1 1 | begin 0 5 Reclaim now | Full",
    ),
    (
        "a waiter that gives up early",
        "",
        "1 1 2 1 1 | begin 0 20 Reclaim now | admitted 1 Created 7 21
         2 3 4 2 5 | begin 0 5 Reclaim 4 | running 1 16",
    ),
    (
        "in progress after it has ended",
        "",
        "1 1 2 1 1 | begin 0 5 Reclaim now | admitted 1 Created 7 6
         1 3 4 1 1 | complete 7 10 200 01 | stored
         2 5 6 1 1 | begin 0 5 Reclaim now | running 1 5",
    ),
    (
        "a lease that lasts longer than it may",
        "",
        "1 1 2 1 1 | begin 0 5 Reclaim now | admitted 1 Created 7 9",
    ),
];

const GOOD: &[Case] = &[
    (
        "calls in the order of their returns, and not of their invocations",
        "",
        "1 1 8 1 1 | begin 0 5 Reclaim now | running 1 5
         2 2 7 1 1 | begin 0 5 Reclaim now | admitted 1 Created 7 6
         3 3 6 1 1 | begin 0 5 Reclaim now | running 1 5",
    ),
    (
        "a duplicate that sees the end before the holder returns, and one that does not yet",
        "",
        "1 1 2 1 1 | begin 0 5 Reclaim now | admitted 1 Created 7 6
         1 3 10 1 1 | complete 7 10 200 01 | stored
         2 4 9 1 1 | begin 0 5 Reclaim now | running 1 5
         3 5 6 1 1 | begin 0 5 Reclaim now | replayed 200 01
         4 7 8 1 1 | begin 0 5 Reclaim now | replayed 200 01",
    ),
    (
        "a call that acts upon a time that grew old",
        "",
        "1 1 2 1 1 | begin 0 5 Reclaim now | admitted 1 Created 7 6
         2 3 6 5 20 | begin 0 5 Reclaim now | running 1 0
         3 4 5 20 20 | renew 7 10 9000 | done",
    ),
    (
        "a takeover at the end of the lease, and its former holder",
        "",
        "1 1 2 1 1 | begin 0 5 Reclaim now | admitted 1 Created 7 6
         2 3 6 6 6 | begin 0 5 Reclaim now | admitted 2 Expired 8 11
         1 4 5 6 6 | complete 7 10 200 01 | Fenced
         2 7 8 6 6 | complete 8 10 200 02 | stored",
    ),
    (
        "a lapsed lease that nobody noticed, completed",
        "",
        "1 1 2 1 1 | begin 0 5 Reclaim now | admitted 1 Created 7 6
         1 3 4 9 9 | complete 7 10 200 01 | stored",
    ),
    (
        "a lapsed lease that somebody noticed, and that is not renewed",
        "",
        "1 1 2 1 1 | begin 0 5 Failed now | admitted 1 Created 7 6
         1 3 4 6 6 | renew 7 10 5000 | Fenced
         2 5 6 6 6 | begin 0 5 Reclaim now | replayed 504 -",
    ),
    (
        "given up and then completed, by two threads at once",
        "",
        "1 1 2 1 1 | begin 0 5 Reclaim now | admitted 1 Created 7 6
         1 3 6 1 1 | complete 7 10 200 01 | stored
         2 4 5 1 1 | unknown 7 10 | done",
    ),
    (
        "a finished record that goes for others",
        "evicts",
        "1 1 2 1 1 | begin 0 5 Reclaim now | admitted 1 Created 7 6
         1 3 4 1 1 | complete 7 10 200 01 | stored
         2 5 6 2 2 | begin 0 5 Reclaim now | admitted 1 Created 8 7",
    ),
    (
        "bytes that go for others",
        "drops",
        "1 1 2 1 1 | begin 0 5 Reclaim now | admitted 1 Created 7 6
         1 3 4 1 1 | complete 7 10 200 01 | stored
         2 5 6 2 2 | begin 0 5 Reclaim now | replayed 200 01
         2 7 8 2 2 | begin 0 5 Reclaim now | gone",
    ),
    (
        "a hand-over to one of two who wait",
        "",
        "1 1 2 1 1 | begin 0 5 Reclaim now | admitted 1 Created 7 6
         2 3 8 1 1 | begin 0 5 Reclaim 9 | admitted 2 Retried 8 6
         3 4 11 1 1 | begin 0 5 Reclaim join | replayed 200 01
         1 5 6 1 1 | retry 7 10 0 | done
         2 9 10 1 1 | complete 8 10 200 01 | stored",
    ),
    (
        "a window that is over, cleared by somebody, and begun anew",
        "",
        "1 1 2 1 1 | begin 0 5 Reclaim now | admitted 1 Created 7 6
         1 3 4 1 1 | complete 7 10 200 01 | stored
         2 5 6 11 11 | begin 1 5 Reclaim now | admitted 1 Created 8 16
         2 7 8 11 11 | complete 7 10 200 02 | Fenced",
    ),
    (
        "a duplicate that replays while the end of the window is being written",
        "",
        "1 1 2 1 1 | begin 0 5 Reclaim now | admitted 1 Created 7 6
         1 3 6 1 20 | complete 7 10 200 01 | stored
         2 4 5 20 20 | begin 0 5 Reclaim now | replayed 200 01
         2 7 8 20 20 | begin 0 5 Reclaim now | admitted 1 Expired 8 25",
    ),
    (
        "a takeover that was lost before its winner knew",
        "",
        "1 1 2 1 1 | begin 0 5 Reclaim now | admitted 1 Created 7 6
         2 3 8 6 20 | begin 0 5 Reclaim now | running 3 5
         3 4 5 7 7 | begin 0 5 Reclaim now | running 2 5
         4 6 7 20 20 | begin 0 5 Reclaim now | admitted 3 Expired 9 25",
    ),
];

/// Goal: the checker refuses what breaks a promise. Method: histories written by hand, each with
/// one fault.
#[test]
fn bad_histories_are_refused() {
    for (name, allowed, calls) in BAD {
        let judged = judge(&history(allowed, calls));
        assert!(judged.is_err(), "accepted: {name}\n{calls}");
    }
}

/// Goal: the checker accepts what overlapping calls may do. Method: histories written by hand
/// whose order is neither that of invocations nor that of returns, or that need a step which
/// nobody is told of.
#[test]
fn good_histories_are_accepted() {
    for (name, allowed, calls) in GOOD {
        let history = history(allowed, calls);
        if let Err(timeline) = judge(&history) {
            panic!("refused: {name}\n{timeline}");
        }
        let is_lost = name.contains("was lost");
        assert_eq!(judge(&history).map(|judged| judged.lost_takeover), Ok(is_lost), "{name}");
    }
}

/// A call on a register: a write of a number, or a read that gave one.
#[derive(Clone, Copy)]
struct OnRegister {
    invoked: u64,
    returned: u64,
    write: bool,
    number: u8,
    optional: bool,
}

impl Call for OnRegister {
    fn invoked(&self) -> u64 {
        self.invoked
    }

    fn returned(&self) -> u64 {
        self.returned
    }

    fn is_optional(&self) -> bool {
        self.optional
    }

    fn only_reads(&self) -> bool {
        !self.write
    }
}

/// A register that holds zero.
struct Register;

impl Spec for Register {
    type Call = OnRegister;
    type State = u8;

    fn start(&self) -> u8 {
        0
    }

    fn after(&self, state: &u8, call: &OnRegister, _: &OnRegister) -> Vec<u8> {
        match call {
            OnRegister { write: true, number, .. } => vec![*number],
            OnRegister { number, .. } if number == state => vec![*state],
            OnRegister { .. } => Vec::new(),
        }
    }
}

const fn write(invoked: u64, returned: u64, number: u8) -> OnRegister {
    OnRegister { invoked, returned, write: true, number, optional: false }
}

const fn read(invoked: u64, returned: u64, number: u8) -> OnRegister {
    OnRegister { write: false, ..write(invoked, returned, number) }
}

/// Goal: the checker itself is right. Method: a register: reads of old and new values around
/// overlapping writes, a stale read, two readers that disagree, and a write that may not have
/// happened.
#[test]
fn a_register_is_judged_rightly() {
    let maybe = |call| OnRegister { optional: true, ..call };
    let good: &[&[OnRegister]] = &[
        &[],
        &[write(1, 2, 5), read(3, 4, 5)],
        &[write(1, 6, 5), read(2, 3, 0), read(4, 5, 5)],
        &[write(1, 8, 5), write(2, 7, 6), read(3, 4, 6), read(5, 6, 5)],
        &[maybe(write(1, 8, 5)), read(2, 3, 0), read(9, 10, 0)],
        &[maybe(write(1, 8, 5)), read(9, 10, 5)],
    ];
    let bad: &[&[OnRegister]] = &[
        &[read(1, 2, 5)],
        &[write(1, 2, 5), read(3, 4, 0)],
        &[write(1, 6, 5), read(2, 3, 5), read(4, 5, 0)],
        &[write(1, 9, 5), write(2, 8, 6), read(3, 4, 6), read(5, 6, 5), read(7, 10, 6)],
        &[maybe(write(3, 8, 5)), read(1, 2, 5)],
    ];
    for (at, calls) in good.iter().enumerate() {
        assert!(check(&Register, calls).is_ok(), "good {at} is refused");
    }
    for (at, calls) in bad.iter().enumerate() {
        assert!(check(&Register, calls).is_err(), "bad {at} is accepted");
    }
}
