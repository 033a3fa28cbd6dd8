//! What the tier in memory has beside the contract: limits, faults, hazards. The contract itself is
//! held by the conformance suite (`tests/fleet`).

use std::sync::Arc;
use std::time::Duration;

use super::{Fault, Memory};
use crate::clock::{Clock, ManualClock};
use crate::engine::OnLapse;
use crate::outcome::Outcome;
use crate::sync::Ordering;
use crate::sync::plain::AtomicU64;
use crate::tier::{
    Claim, Claimed, End, Ended, Ending, FenceClock, Grant, Hazard, Holder, Renewal, Sighting,
    TableId, Tier, TierError, TierErrorKind, TierKey, Watcher,
};

const NOW: Duration = Duration::ZERO;
const MINUTE: Duration = Duration::from_secs(60);
const TABLE: TableId = TableId(1);

/// Goal: a full store refuses what is new, says so by a kind that means "not carried out", and
/// goes on with what it has. Method: one record more than fit, beside claims, ends and renewals of
/// those that are there; then one that is over makes room.
#[test]
fn a_full_store_refuses_what_is_new() {
    let clock = ManualClock::new();
    let memory = Memory::with_clock(clock.clone()).max_records(2);
    let held = [granted(&memory, 1), granted(&memory, 2)];
    for creates in [true, false] {
        let answer = memory.claim(&Claim { creates, ..claim(3) }, NOW);
        let vacant = if creates { None } else { Some(Claimed::Vacant) };
        assert_eq!(answer.as_ref().ok(), vacant.as_ref());
        assert!(answer.is_ok() || kind(&answer) == TierErrorKind::Unavailable);
    }
    // Nor does it make one again, nor take room for one that never comes.
    let renewal = Renewal { restores: true, ..renewal(3, held[0]) };
    assert_eq!(kind(&memory.renew(&renewal, NOW)), TierErrorKind::Unavailable);
    assert_eq!(memory.len(), 2);
    let newer = Claim { holder: holder(2), ..claim(1) };
    assert!(matches!(memory.claim(&newer, NOW), Ok(Claimed::Granted(_))));
    let outcome = Outcome::new(200, b"");
    let end = End::Succeeded { outcome: &outcome, window: MINUTE };
    assert_eq!(memory.end(&ending(2, held[1], end), NOW), Ok(Ended::Done));
    clock.advance(MINUTE);
    granted(&memory, 3);
    assert_eq!(memory.len(), 2);
    assert!(!memory.is_empty());
    // The limit is not forgotten with the records.
    memory.forget_all();
    assert!(memory.is_empty());
    granted_in(&memory, 2, claim(1));
    granted_in(&memory, 2, claim(2));
    let refused = memory.claim(&Claim { session: 2, ..claim(3) }, NOW);
    assert_eq!(kind(&refused), TierErrorKind::Unavailable);
}

/// Goal: an outcome is kept up to the limit that was asked for. Method: one of just that size, and
/// one that is larger.
#[test]
fn the_limit_of_outcomes_is_the_one_asked_for() {
    let fits = Outcome::new(200, [7; 64]);
    let memory = Memory::new().max_outcome_bytes(fits.stored_bytes());
    let end = |number: u8, outcome: &Outcome| {
        let end = End::Failed { outcome, window: MINUTE };
        memory.end(&ending(number, granted(&memory, number), end), NOW)
    };
    assert_eq!(end(1, &fits), Ok(Ended::Done));
    assert_eq!(end(2, &Outcome::new(200, [7; 65])), Ok(Ended::WithoutBytes));
}

/// Goal: faults come in the order in which they were asked for, one an operation, whoever asks, and
/// are over then. Method: three kinds, then every operation once more.
#[test]
fn faults_come_in_their_order() {
    let memory = Memory::new();
    let other = memory.clone();
    memory.fault(Fault::Refuse, 2);
    memory.fault(Fault::LoseReply, 1);
    assert_eq!(kind(&memory.session(NOW)), TierErrorKind::Unavailable);
    let answers = memory.claim_all(&[claim(1), claim(2), claim(3)], NOW);
    assert_eq!(kind(&answers[0]), TierErrorKind::Unavailable);
    assert_eq!(kind(&answers[1]), TierErrorKind::Unknown);
    assert!(matches!(answers[2], Ok(Claimed::Granted(_))));
    assert_eq!(memory.len(), 2);
    other.fault(Fault::Refuse, 7);
    assert!(memory.watch(TABLE, Heard::new()).is_ok());
    let end = End::NeverRan;
    let kinds = [
        kind(&memory.session(NOW)),
        kind(&memory.claim(&claim(1), NOW)),
        kind(&memory.end(&ending(2, grant(), end), NOW)),
        kind(&memory.settle(key(2), &end, NOW)),
        kind(&memory.read(key(2), NOW)),
        kind(&memory.beat(TABLE, MINUTE, NOW)),
        kind(&memory.orphans(1, NOW)),
    ];
    assert_eq!(kinds, [TierErrorKind::Unavailable; 7]);
    assert!(memory.session(NOW).is_ok());
}

/// Goal: notices are lost when a test asks for it, and all at once when the store has forgotten.
/// Method: a watcher that counts what it hears.
#[test]
fn notices_are_lost_when_asked_for() {
    let memory = Memory::new();
    let heard = Heard::new();
    memory.watch(TableId(2), Arc::clone(&heard) as Arc<dyn Watcher>).expect("it gives notices");
    let never_ran = |number: u8| {
        let held = granted(&memory, number);
        let holder = Holder { table: TableId(2), counter: 1 };
        let asked = memory.claim(&Claim { holder, watches: true, ..claim(number) }, NOW);
        assert!(matches!(asked, Ok(Claimed::Running { .. })));
        ending(number, held, End::NeverRan)
    };
    let first = never_ran(1);
    assert_eq!(memory.end(&first, NOW), Ok(Ended::Done));
    assert_eq!(heard.counts(), (1, 0));
    let second = never_ran(2);
    memory.fault(Fault::LoseNotices, 1);
    assert_eq!(memory.end(&second, NOW), Ok(Ended::Done));
    assert_eq!(heard.counts(), (1, 0));
    memory.forget_all();
    assert_eq!(heard.counts(), (1, 1));
    memory.fail_over(&memory.snapshot());
    assert_eq!(heard.counts(), (1, 2));
}

/// Goal: a beat tells that the store is almost full, and that its clock is behind its tokens; and
/// nothing else. Method: nine records of ten, and a claim above a token of the next minute.
#[test]
fn a_beat_tells_what_endangers_the_store() {
    let clock = ManualClock::new();
    let memory = Memory::with_clock(clock.clone()).max_records(10);
    for number in 1..=8 {
        granted(&memory, number);
    }
    assert_eq!(memory.beat(TABLE, MINUTE, NOW), Ok(vec![]));
    granted(&memory, 9);
    let full = Hazard::AlmostFull { percent: 90 };
    assert_eq!(memory.beat(TABLE, MINUTE, NOW), Ok(vec![full.clone()]));
    let above = 60_000 << FenceClock::COUNT_BITS;
    let answer = memory.claim(&Claim { above, ..claim(10) }, NOW);
    assert!(matches!(answer, Ok(Claimed::Granted(Grant { fence, .. })) if fence == above + 1));
    let behind = Hazard::ClockBehind { by: MINUTE };
    let full = Hazard::AlmostFull { percent: 100 };
    assert_eq!(memory.beat(TABLE, MINUTE, NOW), Ok(vec![full.clone(), behind]));
    clock.advance(MINUTE);
    assert_eq!(memory.beat(TABLE, MINUTE, NOW), Ok(vec![full]));
}

/// Goal: a store that was emptied gives no token twice, though no time went by; one that had run
/// ahead of its clock is above what it is told of. Method: the tokens of one moment.
#[test]
fn an_emptied_store_gives_no_token_twice() {
    let memory = Memory::with_clock(ManualClock::new());
    let before = granted(&memory, 1);
    memory.forget_all();
    let after = granted_in(&memory, 2, claim(1));
    assert!(after.fence > before.fence, "{after:?} after {before:?}");
    let above = after.fence << 9;
    let ahead = granted_in(&memory, 2, Claim { above, ..claim(2) });
    memory.forget_all();
    let after = granted_in(&memory, 3, Claim { above: ahead.fence, ..claim(2) });
    assert!(after.fence > ahead.fence, "{after:?} after {ahead:?}");
}

/// Goal: a record is settled by an end that settles something, and by no other. Method: an
/// unresolved one, settled as unknown, and as one that never ran.
#[test]
fn nothing_is_settled_by_what_settles_nothing() {
    let memory = Memory::new();
    let unknown = End::Unknown { retention: MINUTE };
    assert_eq!(memory.end(&ending(1, granted(&memory, 1), unknown), NOW), Ok(Ended::Done));
    let before = memory.read(key(1), NOW);
    for end in [unknown, End::NeverRan] {
        assert_eq!(memory.settle(key(1), &end, NOW), Ok(Ended::Fenced));
        assert_eq!(memory.read(key(1), NOW), before);
    }
}

/// Goal: a clone joins sessions for itself: what the one before it had joined is not lost to it.
/// Method: a clone of a tier whose session is over, beside that tier.
#[test]
fn a_clone_has_no_session_to_lose() {
    let memory = Memory::new();
    assert_eq!(memory.session(NOW).map(|session| session.lost), Ok(false));
    memory.forget_all();
    let clone = memory.clone();
    assert_eq!(clone.session(NOW).map(|session| session.lost), Ok(false));
    assert_eq!(memory.session(NOW).map(|session| session.lost), Ok(true));
}

/// Goal: what is shown of a store shows nothing of its records. Method: the text of one that has a
/// record with an outcome.
#[test]
fn what_is_shown_tells_nothing_of_records() {
    let memory = Memory::new();
    let outcome = Outcome::new(200, b"4242 4242");
    let end = End::Succeeded { outcome: &outcome, window: MINUTE };
    assert_eq!(memory.end(&ending(7, granted(&memory, 7), end), NOW), Ok(Ended::Done));
    assert_eq!(format!("{memory:?}"), "Memory { records: 1, .. }");
    assert_eq!(format!("{:?}", memory.snapshot()), "Snapshot { records: 1, .. }");
    assert!(Memory::default().is_empty());
}

/// Goal: leases go by one face of the clock, and tokens by the other. Method: a clock whose faces
/// differ, and whose wall time jumps while an attempt runs.
#[test]
fn tokens_are_of_the_wall_time() {
    #[derive(Clone, Debug)]
    struct TwoFaced(Arc<AtomicU64>);
    impl Clock for TwoFaced {
        fn now(&self) -> Duration {
            Duration::from_secs(5)
        }
        fn unix_time(&self) -> Duration {
            // Relaxed: one thread does everything.
            Duration::from_millis(FenceClock::START_MS + self.0.load(Ordering::Relaxed))
        }
    }
    let wall = Arc::new(AtomicU64::new(77));
    let memory = Memory::with_clock(TwoFaced(Arc::clone(&wall)));
    assert_eq!(granted(&memory, 1).fence, 77 << FenceClock::COUNT_BITS);
    // Relaxed: as above.
    wall.store(7_000_077, Ordering::Relaxed);
    let seen = memory.read(key(1), NOW);
    assert!(
        matches!(seen, Ok(Some(Sighting::Running { remaining, .. })) if remaining == MINUTE),
        "{seen:?}"
    );
    assert_eq!(granted(&memory, 2).fence, 7_000_077 << FenceClock::COUNT_BITS);
}

/// Counts what it hears: changes, and that some may have been missed.
#[derive(Debug, Default)]
struct Heard {
    changed: AtomicU64,
    missed: AtomicU64,
}

impl Heard {
    fn new() -> Arc<Self> {
        Arc::default()
    }

    fn counts(&self) -> (u64, u64) {
        // Relaxed, both: one thread does everything.
        (self.changed.load(Ordering::Relaxed), self.missed.load(Ordering::Relaxed))
    }
}

impl Watcher for Heard {
    fn changed(&self, _key: TierKey) {
        // Relaxed: see `counts`.
        self.changed.fetch_add(1, Ordering::Relaxed);
    }

    fn may_have_missed(&self) {
        // Relaxed: see `counts`.
        self.missed.fetch_add(1, Ordering::Relaxed);
    }
}

fn key(number: u8) -> TierKey {
    TierKey::from_bytes([number; TierKey::BYTES])
}

fn holder(counter: u64) -> Holder {
    Holder { table: TABLE, counter }
}

fn claim(number: u8) -> Claim {
    Claim {
        session: 1,
        key: key(number),
        holder: holder(1),
        digest: 7,
        lease: MINUTE,
        retention: MINUTE,
        on_lapse: OnLapse::Reclaim,
        creates: true,
        takes_scheduled: false,
        watches: false,
        above: 0,
    }
}

fn granted(memory: &Memory, number: u8) -> Grant {
    granted_in(memory, 1, claim(number))
}

fn granted_in(memory: &Memory, session: u64, claim: Claim) -> Grant {
    match memory.claim(&Claim { session, ..claim }, NOW) {
        Ok(Claimed::Granted(grant)) => grant,
        answer => panic!("not granted: {answer:?}"),
    }
}

fn grant() -> Grant {
    Grant { fence: 1, attempt: 1, status: crate::engine::Status::Created }
}

fn renewal(number: u8, grant: Grant) -> Renewal {
    Renewal {
        key: key(number),
        holder: holder(1),
        lease: MINUTE,
        restores: false,
        fence: grant.fence,
        attempt: grant.attempt,
        digest: 7,
        retention: MINUTE,
        on_lapse: OnLapse::Reclaim,
    }
}

fn ending(number: u8, grant: Grant, end: End<'_>) -> Ending<'_> {
    Ending {
        key: key(number),
        holder: holder(1),
        restores: false,
        fence: grant.fence,
        attempt: grant.attempt,
        digest: 7,
        end,
    }
}

fn kind<T: std::fmt::Debug>(answer: &Result<T, TierError>) -> TierErrorKind {
    answer.as_ref().expect_err("it was to fail").kind()
}
