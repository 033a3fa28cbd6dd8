//! What single answers of the store come to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;
use std::time::Duration;

use oncegate::tier::{Fault, Memory, TierOptions};
use oncegate::{Admission, BeginOptions, Clock, ManualClock, Outcome};

use super::waiting::block_on;
use super::{Hosts, LEASE, admitted, host, prepare, request};

/// The store's clock, which goes on by itself while the store answers.
#[derive(Clone, Debug)]
struct Slow {
    clock: ManualClock,
    /// By how much, in milliseconds, in the next answer.
    next_ms: Arc<AtomicU64>,
    /// By how much its time of day is behind, in milliseconds.
    behind_ms: Arc<AtomicU64>,
}

impl Slow {
    fn new(clock: &ManualClock) -> Self {
        Self { clock: clock.clone(), next_ms: Arc::default(), behind_ms: Arc::default() }
    }
}

impl Clock for Slow {
    fn now(&self) -> Duration {
        let now = self.clock.now();
        // Relaxed: only the one thread that asks the store has a part in it.
        let ms = self.next_ms.swap(0, Ordering::Relaxed);
        self.clock.advance(Duration::from_millis(ms));
        now
    }

    fn unix_time(&self) -> Duration {
        // Relaxed: as in `now`.
        let behind = Duration::from_millis(self.behind_ms.load(Ordering::Relaxed));
        self.clock.unix_time().saturating_sub(behind)
    }

    fn wake_on_jump(&self, waker: &Waker) {
        self.clock.wake_on_jump(waker);
    }
}

/// Goal: a lease is counted from before it was asked for, when it is granted and when it is
/// renewed: the holder never believes to have it longer than the store does (I3). Method: a store
/// whose answers take seconds, and what is left of the lease when they come.
#[test]
fn slow_answers_do_not_lengthen_a_lease() {
    let clock = ManualClock::new();
    let slow = Slow::new(&clock);
    let memory = Arc::new(Memory::with_clock(slow.clone()));
    let engine = host(&clock, &memory).build().expect("opens");
    prepare(&engine);
    let margin = LEASE / 50 + Duration::from_millis(10);
    // Relaxed, both: as in `now`.
    slow.next_ms.store(4_000, Ordering::Relaxed);
    let mut lease = admitted(&engine, &request("key"));
    assert_eq!(lease.remaining(), LEASE - Duration::from_secs(4) - margin);
    slow.next_ms.store(3_000, Ordering::Relaxed);
    lease.renew(LEASE).expect("held");
    assert_eq!(lease.remaining(), LEASE - Duration::from_secs(3) - margin);
    lease.complete(&Outcome::new(200, b"")).expect("held");
}

/// Goal: tokens grow although the store was emptied and its clock set back, as long as a host is
/// there that has seen later ones (I2). Method: both, between two attempts of one record.
#[test]
fn tokens_grow_though_the_store_went_back() {
    let clock = ManualClock::new();
    clock.advance(Duration::from_secs(100_000));
    let slow = Slow::new(&clock);
    let memory = Arc::new(Memory::with_clock(slow.clone()));
    let options = TierOptions::new().quarantine(Duration::ZERO);
    let engine = host(&clock, &memory).tier_options(options).build().expect("opens");
    let first = admitted(&engine, &request("key"));
    let token = first.fencing_token().get();
    first.abandon().expect("held");
    // Relaxed: as in `now`.
    slow.behind_ms.store(3_600_000, Ordering::Relaxed);
    memory.forget_all();
    assert!(admitted(&engine, &request("key")).fencing_token().get() > token);
}

/// Goal: an outcome that the store does not keep is gone on the other hosts, and not run again;
/// the host that ran it has it. Method: one above the store's limit.
#[test]
fn what_is_too_large_for_the_store_is_not_run_again() {
    let clock = ManualClock::new();
    let memory = Memory::with_clock(clock.clone()).max_outcome_bytes(64);
    let links = [Arc::new(memory.clone()), Arc::new(memory)];
    let [one, other] = links.each_ref().map(|link| host(&clock, link).build().expect("opens"));
    let large = Outcome::new(200, [7; 100]);
    admitted(&one, &request("key")).complete(&large).expect("held");
    for round in 0..2 {
        assert!(matches!(other.begin(&request("key")), Ok(Admission::OutcomeGone)), "{round}");
        assert!(
            matches!(one.begin(&request("key")), Ok(Admission::Replayed(left)) if left == large)
        );
    }
    let asked = other.begin_with(&request("key"), &BeginOptions::new());
    assert!(matches!(asked, Ok(Admission::OutcomeGone)));
    assert_eq!(other.tier_stats().expect("open").expect("a tier").imported, 1, "kept as gone");
}

/// Goal: a future that waits for another host looks by itself, should the notice be lost. Method:
/// an end whose notice nobody hears; the clock goes on by the time between two looks.
#[test]
fn a_future_looks_by_itself() {
    let every = Duration::from_secs(60);
    let hosts = Hosts::with(2, |builder| {
        let builder = builder.dedup_window(Duration::from_secs(365 * 24 * 3_600));
        builder.tier_options(TierOptions::new().poll_every(every))
    });
    let [one, other] = &hosts.engines[..] else { unreachable!() };
    hosts.engines.iter().for_each(prepare);
    let lease = admitted(one, &request("key"));
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| block_on(other.join(&request("key"), &BeginOptions::new())));
        let asked = || other.tier_stats().expect("open").expect("a tier").waited;
        while asked() == 0 {
            std::thread::yield_now();
        }
        hosts.memory.fault(Fault::LoseNotices, 1);
        lease.complete(&Outcome::new(200, b"done")).expect("held");
        while !waiter.is_finished() {
            // More than once: it may have looked just before the end.
            hosts.clock.advance(every);
            std::thread::yield_now();
        }
        let answer = waiter.join().expect("no panic");
        assert!(matches!(&answer, Ok(Admission::Replayed(left)) if left.body() == b"done"));
    });
}
