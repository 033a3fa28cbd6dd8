//! What the scheduler of one host retries, and what the others see of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use oncegate::tier::{Claim, Claimed, End, Ended, Ending, Fault, Holder, TableId, Tier, TierKey};
use oncegate::{
    Admission, Attempt, AttemptError, BackoffPolicy, Clock, Engine, EngineBuilder, Failure, Later,
    LetterFilter, OnLapse, Outcome, RetryContext, RetryPolicy,
};

use super::{Hosts, LEASE, admitted, host, prepare, request};

const DELAY: Duration = Duration::from_secs(1);

fn retrying(builder: EngineBuilder) -> EngineBuilder {
    builder.retry_policy(RetryPolicy::new(BackoffPolicy::constant(DELAY)).max_attempts(3))
}

fn leave(engine: &Engine, key: &'static str) {
    let context = RetryContext::new("charge", key.as_bytes());
    let later = admitted(engine, &request(key)).retry_later(&AttemptError::new("503"), &context);
    assert!(matches!(later, Ok(Later::Scheduled { next_attempt: 2, .. })), "{later:?}");
    engine.flush_tier(Duration::from_secs(10)).expect("the tier answers");
}

/// Goal: what one host has put off is "scheduled" on all of them, also when it is due; its own
/// scheduler runs it, under a token that grows (I2, I5). Method: put off, asked for elsewhere
/// before and after its time, and run.
#[test]
fn what_is_scheduled_here_is_scheduled_everywhere() {
    let hosts = Hosts::with(2, retrying);
    let [one, other] = &hosts.engines[..] else { unreachable!() };
    let first = {
        let lease = admitted(one, &request("first"));
        let token = lease.fencing_token().get();
        lease.abandon().expect("held");
        token
    };
    leave(one, "key");
    let later = other.begin(&request("key"));
    assert!(matches!(later, Ok(Admission::Scheduled { next_attempt: 2, .. })), "{later:?}");
    hosts.clock.advance(DELAY);
    assert!(matches!(other.begin(&request("key")), Ok(Admission::Scheduled { .. })));
    let attempt = one.next_attempt(Duration::ZERO).expect("open").expect("due");
    assert_eq!((attempt.operation(), attempt.lease().attempt()), ("charge", 2));
    assert!(attempt.lease().fencing_token().get() > first);
    assert!(matches!(other.begin(&request("key")), Ok(Admission::InProgress { attempt: 2, .. })));
    attempt.into_lease().complete(&Outcome::new(200, b"done")).expect("held");
    assert!(matches!(other.begin(&request("key")), Ok(Admission::Replayed(_))));
}

/// Goal: while the tier gives no answer no attempt is handed out, and none is used up. Method: an
/// outage of twenty tries, then an answer: it is the second attempt, and the third is still there.
#[test]
fn an_outage_uses_up_no_attempts() {
    let hosts = Hosts::with(1, retrying);
    let [engine] = &hosts.engines[..] else { unreachable!() };
    leave(engine, "key");
    hosts.clock.advance(DELAY);
    hosts.memory.fault(Fault::Refuse, 20);
    let mut tries = 0;
    let attempt = loop {
        match engine.next_attempt(Duration::ZERO).expect("open") {
            Some(attempt) => break attempt,
            None => hosts.clock.advance(Duration::from_secs(60)),
        }
        tries += 1;
        assert!(tries < 100, "the outage is over");
    };
    assert!(tries >= 10, "{tries}");
    assert_eq!(attempt.lease().attempt(), 2);
    let context = RetryContext::new("charge", b"key");
    let later = attempt.into_lease().retry_later(&AttemptError::new("503"), &context);
    assert!(matches!(later, Ok(Later::Scheduled { .. })), "{later:?}");
}

/// Goal: a dead letter is final everywhere, and a redrive runs it again everywhere. Method: a
/// policy that is used up on one host, answers of the other, a redrive, and the end.
#[test]
fn a_dead_letter_is_the_fleets() {
    let hosts = Hosts::with(2, retrying);
    let [one, other] = &hosts.engines[..] else { unreachable!() };
    leave(one, "key");
    for number in 2..=3 {
        hosts.clock.advance(DELAY);
        let attempt = one.next_attempt(Duration::ZERO).expect("open").expect("due");
        assert_eq!(attempt.lease().attempt(), number);
        let context = RetryContext::new("charge", b"key");
        let _ = attempt.into_lease().retry_later(&AttemptError::new("503"), &context);
    }
    one.flush_tier(Duration::from_secs(10)).expect("the tier answers");
    for engine in [one, other] {
        let failed = engine.begin(&request("key")).expect("an answer");
        assert!(matches!(&failed, Admission::Replayed(left) if left.status() == 500), "{failed:?}");
    }
    let page = one.dead_letters(&LetterFilter::all(), None, 10).expect("open");
    one.redrive(page.letters[0].id).expect("a letter");
    let attempt = one.next_attempt(Duration::ZERO).expect("open").expect("due at once");
    assert_eq!(attempt.lease().attempt(), 4);
    attempt.into_lease().complete(&Outcome::new(200, b"at last")).expect("held");
    let last = one.begin(&request("key"));
    assert!(matches!(&last, Ok(Admission::Replayed(left)) if left.body() == b"at last"));
}

/// Goal: an attempt that another host has finished meanwhile is not run again here. Method: a lease
/// that lapsed while its host was cut off, taken over and completed elsewhere, and the scheduler.
#[test]
fn what_has_finished_elsewhere_is_not_retried() {
    let hosts = Hosts::with(2, retrying);
    let [one, other] = &hosts.engines[..] else { unreachable!() };
    let context = RetryContext::new("charge", b"key");
    let lease = admitted(one, &request("key"));
    hosts.links[0].cut_off(true);
    let _ = lease.retry_later(&AttemptError::new("503"), &context).expect("held");
    hosts.clock.advance(LEASE);
    // The tier has not heard of the failure: the lease has lapsed there.
    let taken = admitted(other, &request("key"));
    taken.complete(&Outcome::new(200, b"elsewhere")).expect("held");
    hosts.links[0].cut_off(false);
    while one.tier_stats().expect("open").expect("a tier").undelivered > 0 {
        hosts.clock.advance(Duration::from_secs(1));
        std::thread::yield_now();
    }
    hosts.clock.advance(Duration::from_secs(60));
    assert!(one.next_attempt(Duration::ZERO).expect("open").is_none());
    let again = one.begin(&request("key"));
    assert!(matches!(&again, Ok(Admission::Replayed(left)) if left.body() == b"elsewhere"));
}

/// Moves the clock on until `engine` is handed an attempt, or `most` beats have passed.
pub(super) fn next_within<'e>(hosts: &Hosts, engine: &'e Engine, most: u32) -> Option<Attempt<'e>> {
    for _ in 0..most {
        if let Some(attempt) = engine.next_attempt(Duration::ZERO).expect("open") {
            return Some(attempt);
        }
        hosts.clock.advance(Duration::from_secs(5));
        // All have beaten by then, and looked for what has no host.
        for engine in &hosts.engines {
            engine.flush_tier(Duration::from_secs(10)).expect("the tier answers");
        }
    }
    None
}

/// Goal: what a host has left to be retried is taken in by another when that host is gone, and not
/// before; with its context, its place in the count of attempts, and its history. Method: a host
/// that lives, then one that is dropped; attempts until the policy is used up.
#[test]
fn a_lost_hosts_retries_are_taken_in() {
    let mut hosts = Hosts::with(1, retrying);
    // The time of a table counts from when it was made.
    hosts.clock.advance(Duration::from_secs(100_000));
    let link = Arc::new(hosts.memory.clone());
    hosts.engines.push(retrying(host(&hosts.clock, &link)).build().expect("opens"));
    let left = hosts.clock.now();
    leave(&hosts.engines[0], "key");
    for engine in &hosts.engines {
        prepare(engine);
    }
    assert!(next_within(&hosts, &hosts.engines[1], 10).is_none(), "its host beats");
    drop(hosts.engines.remove(0));
    let other = &hosts.engines[0];
    let attempt = next_within(&hosts, other, 20).expect("it has no host any more");
    assert_eq!((attempt.operation(), attempt.context()), ("charge", &b"key"[..]));
    assert_eq!(attempt.lease().attempt(), 2);
    let context = RetryContext::new("charge", b"key");
    let later = attempt.into_lease().retry_later(&AttemptError::new("504"), &context);
    assert!(matches!(later, Ok(Later::Scheduled { .. })), "{later:?}");
    hosts.clock.advance(DELAY);
    let last = other.next_attempt(Duration::ZERO).expect("open").expect("due");
    assert_eq!(last.lease().attempt(), 3);
    let later = last.into_lease().retry_later(&AttemptError::new("502"), &context);
    assert!(matches!(later, Ok(Later::Buried { kept: true, .. })), "of three: {later:?}");
    let page = other.dead_letters(&LetterFilter::all(), None, 10).expect("open");
    let history = &page.letters[0].history;
    let classes: Vec<_> = history.iter().map(|past| past.class.as_str()).collect();
    assert_eq!(classes, ["503", "504", "502"], "of the host that is gone, too");
    let passed = history[2].ended.saturating_sub(history[0].ended);
    let rounding = Duration::from_millis(2);
    assert!(
        passed.abs_diff(hosts.clock.now() - left) < rounding,
        "times are the wall's: {passed:?}"
    );
    assert_eq!(other.tier_stats().expect("open").expect("a tier").adopted, 1);
}

/// Goal: who takes in a retry goes on counting where its host stopped. Method: a host that has used
/// up two of three attempts; the third fails, and is the last.
#[test]
fn a_lost_hosts_count_goes_on() {
    let mut hosts = Hosts::with(2, retrying);
    leave(&hosts.engines[0], "key");
    hosts.clock.advance(DELAY);
    let second = hosts.engines[0].next_attempt(Duration::ZERO).expect("open").expect("due");
    let context = RetryContext::new("charge", b"key");
    let later = second.into_lease().retry_later(&AttemptError::new("503"), &context);
    assert!(matches!(later, Ok(Later::Scheduled { next_attempt: 3, .. })), "{later:?}");
    hosts.engines.iter().for_each(prepare);
    drop(hosts.engines.remove(0));
    let other = &hosts.engines[0];
    let third = next_within(&hosts, other, 20).expect("it has no host any more");
    assert_eq!(third.lease().attempt(), 3);
    let later = third.into_lease().retry_later(&AttemptError::new("502"), &context);
    assert!(matches!(later, Ok(Later::Buried { kept: true, .. })), "of three: {later:?}");
    let page = other.dead_letters(&LetterFilter::all(), None, 10).expect("open");
    assert_eq!((page.letters[0].attempts, page.letters[0].history.len()), (3, 3), "{page:?}");
}

/// Goal: attempts are counted as in the fleet, whichever hosts made them: by the policy, in answers
/// and in the history. Method: one that failed on another host, one that is retried here until the
/// policy is used up, and the same with a third host that takes it in.
#[test]
fn attempts_are_counted_as_in_the_fleet() {
    let policy = RetryPolicy::new(BackoffPolicy::constant(DELAY)).max_attempts(4);
    for lost in [false, true] {
        let mut hosts = Hosts::with(3, |builder| builder.retry_policy(policy.clone()));
        admitted(&hosts.engines[0], &request("key")).fail(Failure::retryable()).expect("held");
        let context = RetryContext::new("charge", b"key");
        let second = admitted(&hosts.engines[1], &request("key"));
        assert_eq!(second.attempt(), 2);
        let later = second.retry_later(&AttemptError::new("503"), &context);
        assert!(matches!(later, Ok(Later::Scheduled { next_attempt: 3, .. })), "{later:?}");
        hosts.engines.iter().for_each(prepare);
        if lost {
            drop(hosts.engines.remove(1));
        }
        let runs = &hosts.engines[1];
        hosts.clock.advance(DELAY);
        let third = next_within(&hosts, runs, 20).expect("due");
        assert_eq!(third.lease().attempt(), 3);
        let later = third.into_lease().retry_later(&AttemptError::new("502"), &context);
        assert!(matches!(later, Ok(Later::Scheduled { next_attempt: 4, .. })), "{later:?}");
        hosts.clock.advance(DELAY);
        let last = next_within(&hosts, runs, 20).expect("due");
        let later = last.into_lease().retry_later(&AttemptError::new("504"), &context);
        assert!(matches!(later, Ok(Later::Buried { kept: true, .. })), "{lost}: {later:?}");
        if lost {
            let page = runs.dead_letters(&LetterFilter::all(), None, 10).expect("open");
            let history = &page.letters[0].history;
            let told: Vec<_> = history.iter().map(|past| past.attempt).collect();
            assert_eq!(told, [2, 3, 4]);
        }
    }
}

/// Goal: what a lost host left without saying how it is run is run by whoever asks for it. Method:
/// such a record, of a table that never was, before hosts have looked for it and after.
#[test]
fn what_nobody_knows_how_to_run_is_free_for_who_asks() {
    let hosts = Hosts::with(1, retrying);
    let [engine] = &hosts.engines[..] else { unreachable!() };
    let wanted = request("key");
    admitted(engine, &wanted).abandon().expect("held");
    let key = engine.prepare(&wanted).expect("valid").fingerprint().to_bytes();
    let session = hosts.memory.session(DELAY).expect("an answer").id;
    let mut claim = Claim {
        session,
        key: TierKey::from_bytes(std::array::from_fn(|at| key[at + if at < 24 { 0 } else { 4 }])),
        holder: Holder { table: TableId(77), counter: 1 },
        digest: 0,
        lease: LEASE,
        retention: LEASE * 100,
        on_lapse: OnLapse::Reclaim,
        creates: true,
        takes_scheduled: false,
        watches: false,
        above: 0,
    };
    let Ok(Claimed::Mismatched { digest }) = hosts.memory.claim(&claim, DELAY) else {
        panic!("it is known there, with its payload")
    };
    claim.digest = digest;
    let Ok(Claimed::Granted(grant)) = hosts.memory.claim(&claim, DELAY) else { panic!("free") };
    let (due_in, retention) = (Duration::ZERO, claim.retention);
    let ending = Ending {
        key: claim.key,
        holder: claim.holder,
        restores: false,
        fence: grant.fence,
        attempt: grant.attempt,
        digest,
        end: End::Retry { due_in, retention, scheduled: Some(b"") },
    };
    assert_eq!(hosts.memory.end(&ending, DELAY).expect("an answer"), Ended::Done);
    assert!(matches!(engine.begin(&wanted), Ok(Admission::Scheduled { next_attempt: 3, .. })));
    assert!(next_within(&hosts, engine, 10).is_none(), "nobody says how");
    assert!(admitted(engine, &wanted).attempt() > 2);
}

/// Goal: of several hosts that find it, one runs each attempt (I1). Method: three hosts that look
/// for it at the same time, in threads, and a count of what runs.
#[test]
fn one_host_runs_what_was_taken_in() {
    let mut hosts = Hosts::with(4, retrying);
    leave(&hosts.engines[0], "key");
    hosts.engines[1..].iter().for_each(prepare);
    drop(hosts.engines.remove(0));
    for engine in &hosts.engines {
        assert!(engine.next_attempt(Duration::ZERO).expect("open").is_none());
    }
    let ran = AtomicU32::new(0);
    for _ in 0..20 {
        hosts.clock.advance(Duration::from_secs(5));
        std::thread::scope(|scope| {
            for engine in &hosts.engines {
                scope.spawn(|| {
                    engine.flush_tier(Duration::from_secs(10)).expect("the tier answers");
                    if let Some(attempt) = engine.next_attempt(Duration::ZERO).expect("open") {
                        // Relaxed: it only counts.
                        ran.fetch_add(1, Ordering::Relaxed);
                        let outcome = Outcome::new(200, b"done");
                        attempt.into_lease().complete(&outcome).expect("held");
                    }
                });
            }
        });
    }
    assert_eq!(ran.into_inner(), 1);
    for engine in &hosts.engines {
        assert!(matches!(engine.begin(&request("key")), Ok(Admission::Replayed(_))));
    }
}
