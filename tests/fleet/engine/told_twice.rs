//! Ends of attempts that the table alone admitted: told twice, and many at once.

use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use oncegate::tier::{
    Claim, Claimed, Ended, Ending, Fault, Memory, OnOutage, Session, Tier, TierError,
    TierErrorKind, TierKey, TierOptions,
};
use oncegate::{Admission, Engine, Failure, Lease, Outcome, TierStats};
use oncegate_rig::until;

use super::passed_on::passed_on;
use super::{Hosts, admitted, host, prepare, request};

fn stats(engine: &Engine) -> TierStats {
    engine.tier_stats().expect("open").expect("a tier")
}

fn alone() -> TierOptions {
    TierOptions::new().on_outage(OnOutage::LocalOnly)
}

/// The lease of an attempt that the table alone admits.
fn admitted_alone<'e>(hosts: &Hosts, engine: &'e Engine) -> Lease<'e> {
    hosts.memory.fault(Fault::Refuse, 1);
    let lease = admitted(engine, &request("key"));
    assert!(lease.is_local_only());
    lease
}

/// Goal: an end that was carried out, and whose answer was lost, contradicts nothing when it is
/// told again. Method: each kind of end, of an attempt that the tier grants when it is told.
#[test]
fn a_lost_answer_is_no_conflict() {
    let ends: [fn(Lease<'_>); 4] = [
        |lease| _ = lease.complete(&Outcome::new(200, b"done")).expect("held"),
        |lease| lease.fail(Failure::terminal(Outcome::new(422, b"no"))).expect("held"),
        |lease| lease.fail(Failure::unknown()).expect("held"),
        |lease| lease.fail(Failure::retryable_after(Duration::from_secs(60))).expect("held"),
    ];
    for (kind, end) in ends.into_iter().enumerate() {
        let hosts = Hosts::with(1, |builder| builder.tier_options(alone()));
        let [engine] = &hosts.engines[..] else { unreachable!() };
        prepare(engine);
        let lease = admitted_alone(&hosts, engine);
        // Its claim is answered, and its end is not.
        hosts.memory.fault(Fault::LoseNotices, 1);
        hosts.memory.fault(Fault::LoseReply, 1);
        end(lease);
        engine.flush_tier(Duration::from_secs(10)).expect("the tier knows of it");
        let stats = stats(engine);
        assert_eq!((stats.unknown, stats.conflicts), (1, 0), "{kind}: {stats:?}");
    }
}

/// Goal: nor does an end that the thread of the engine has told when its caller leaves. Method: a
/// completion that is polled once, before the tier answers, and dropped after that.
#[test]
fn who_leaves_after_the_answer_is_no_conflict() {
    let hosts = Hosts::new(1);
    let (counted, one) = counted(&hosts);
    let [other] = &hosts.engines[..] else { unreachable!() };
    prepare(&one);
    let lease = admitted_alone(&hosts, &one);
    let told = Arc::new(Told(AtomicBool::new(false)));
    let outcome = Outcome::new(200, b"done");
    {
        let mut completing = pin!(lease.complete_async(&outcome));
        let waker = Waker::from(Arc::clone(&told));
        let shut = counted.gate.lock().unwrap();
        assert!(completing.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        drop(shut);
        // The thread of the engine runs in real time. Relaxed: nothing else is read by it.
        let woken = || told.0.load(Ordering::Relaxed).then_some(());
        until("the answer", woken).expect("in time");
    }
    one.flush_tier(Duration::from_secs(10)).expect("the tier knows of it");
    assert_eq!(stats(&one).conflicts, 0);
    assert!(matches!(one.begin(&request("key")), Ok(Admission::Replayed(_))));
    assert!(matches!(other.begin(&request("key")), Ok(Admission::Replayed(_))));
}

/// A waker that notes that it was called.
pub(super) struct Told(pub(super) AtomicBool);

impl Wake for Told {
    fn wake(self: Arc<Self>) {
        // Relaxed: as where it is read.
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Goal: many ends take few round trips: while they are told, no lease is renewed. Method: a
/// hundred requests that ran alone, and the questions that the tier is asked when it is back.
#[test]
fn what_ran_alone_is_told_in_few_round_trips() {
    let hosts = Hosts::new(1);
    let (counted, engine) = counted(&hosts);
    prepare(&engine);
    counted.link.cut_off(true);
    for n in 0..MANY {
        let lease = admitted(&engine, &request(format!("{n}").leak()));
        lease.complete(&Outcome::new(200, b"alone")).expect("held");
    }
    assert_eq!(stats(&engine).undelivered, MANY);
    counted.link.cut_off(false);
    // Relaxed, both: what is counted is read after all was told.
    let before = counted.trips.load(Ordering::Relaxed);
    hosts.clock.advance(Duration::from_secs(5));
    // The thread of the engine runs in real time: this waits for what it has counted.
    until("all is told", || (stats(&engine).undelivered == 0).then_some(())).expect("in time");
    let trips = counted.trips.load(Ordering::Relaxed) - before;
    assert!(trips <= 4, "{trips} round trips");
    assert_eq!(stats(&engine).conflicts, 0);
}

const MANY: u64 = 100;

/// A way to a tier that counts round trips to claim and to end, and that can be shut for them.
pub(super) struct Counted {
    pub(super) link: Arc<Memory>,
    pub(super) trips: AtomicU64,
    pub(super) gate: Mutex<()>,
    /// The records that were claimed, in their order.
    pub(super) claimed: Mutex<Vec<TierKey>>,
    /// Those whose ends it refuses.
    pub(super) away: Mutex<Vec<TierKey>>,
}

/// One more host, by such a way.
pub(super) fn counted(hosts: &Hosts) -> (Arc<Counted>, Engine) {
    let link = Arc::new(hosts.memory.clone());
    let counted = Arc::new(Counted {
        link: Arc::clone(&link),
        trips: AtomicU64::new(0),
        gate: Mutex::default(),
        claimed: Mutex::default(),
        away: Mutex::default(),
    });
    let builder = host(&hosts.clock, &link).tier(Arc::clone(&counted)).tier_options(alone());
    (counted, builder.build().expect("opens"))
}

impl Counted {
    fn count(&self) {
        drop(self.gate.lock().unwrap());
        // Relaxed: a counter orders nothing.
        self.trips.fetch_add(1, Ordering::Relaxed);
    }

    fn tell(&self, ending: &Ending<'_>, within: Duration) -> Result<Ended, TierError> {
        if self.away.lock().unwrap().contains(&ending.key) {
            return Err(TierError::new(TierErrorKind::Unavailable, "away, as the test asked for"));
        }
        self.link.end(ending, within)
    }
}

impl fmt::Debug for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counted").finish_non_exhaustive()
    }
}

impl Tier for Counted {
    fn session(&self, within: Duration) -> Result<Session, TierError> {
        self.link.session(within)
    }

    fn claim(&self, claim: &Claim, within: Duration) -> Result<Claimed, TierError> {
        self.count();
        self.claimed.lock().unwrap().push(claim.key);
        self.link.claim(claim, within)
    }

    fn claim_all(&self, claims: &[Claim], within: Duration) -> Vec<Result<Claimed, TierError>> {
        self.count();
        self.link.claim_all(claims, within)
    }

    fn end(&self, ending: &Ending<'_>, within: Duration) -> Result<Ended, TierError> {
        self.count();
        self.tell(ending, within)
    }

    fn end_all(&self, ends: &[Ending<'_>], within: Duration) -> Vec<Result<Ended, TierError>> {
        self.count();
        ends.iter().map(|ending| self.tell(ending, within)).collect()
    }

    passed_on!(link);
}
