//! Ends that wait to be told: none keeps another from being told, and none is overtaken by a new
//! attempt of its own record.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use oncegate::tier::{Fault, OnOutage, TierOptions};
use oncegate::{
    Admission, AttemptError, BackoffPolicy, BeginOptions, Completed, Engine, ErrorCode, Failure,
    Later, LetterFilter, Outcome, Request, RetryContext, RetryPolicy, TierStats,
};
use oncegate_rig::until;

use super::told_twice::counted;
use super::waiting::block_on;
use super::{Hosts, admitted, prepare, request};

fn stats(engine: &Engine) -> TierStats {
    engine.tier_stats().expect("open").expect("a tier")
}

fn alone() -> TierOptions {
    TierOptions::new().on_outage(OnOutage::LocalOnly)
}

/// Has `other` fail `key` so that it is due in an hour, and `one`, which is cut off, run it alone.
fn run_where_another_waits(one: &Engine, other: &Engine, keys: &[&'static str], hosts: &Hosts) {
    for key in keys {
        let failure = Failure::retryable_after(Duration::from_secs(3_600));
        admitted(other, &request(key)).fail(failure).expect("held");
    }
    hosts.links[0].cut_off(true);
    for key in keys {
        let lease = admitted(one, &request(key));
        assert!(lease.is_local_only(), "{key}");
        let completed = lease.complete(&Outcome::new(200, b"alone")).expect("held");
        assert_eq!(completed, Completed::StoredHere, "{key}");
    }
}

/// Goal: ends that the tier will not take for an hour keep no other from being told: its lease
/// would end, and another host run the request again. Method: as many of them as are told at once,
/// each a request that failed on the other host and ran alone here, and behind them the end of an
/// attempt that was granted; the store is back, and five seconds pass.
#[test]
fn what_must_wait_stands_in_nobodys_way() {
    let hosts = Hosts::with(2, |builder| builder.tier_options(alone()));
    let [one, other] = &hosts.engines[..] else { unreachable!() };
    hosts.engines.iter().for_each(prepare);
    let granted = admitted(one, &request("granted"));
    let keys: Vec<&str> = (0..AT_ONCE).map(|n| &*format!("{n}").leak()).collect();
    run_where_another_waits(one, other, &keys, &hosts);
    let completed = granted.complete(&Outcome::new(200, b"granted")).expect("held");
    assert_eq!(completed, Completed::StoredHere);
    hosts.links[0].cut_off(false);
    hosts.clock.advance(Duration::from_secs(5));
    // The thread of the engine runs in real time: this waits for what it has counted.
    let told = || (stats(one).undelivered == AT_ONCE).then_some(());
    until("the end of what was granted", told).expect("in time");
    assert!(matches!(other.begin(&request("granted")), Ok(Admission::Replayed(_))));
}

/// Goal: nor does one of them slow the others down. Method: one such end, which the tier has put
/// off, and another end that somebody leaves; no time passes.
#[test]
fn what_must_wait_slows_nobody_down() {
    let hosts = Hosts::with(2, |builder| builder.tier_options(alone()));
    let [one, other] = &hosts.engines[..] else { unreachable!() };
    hosts.engines.iter().for_each(prepare);
    run_where_another_waits(one, other, &["waits"], &hosts);
    hosts.links[0].cut_off(false);
    hosts.clock.advance(Duration::from_secs(5));
    assert!(one.flush_tier(Duration::ZERO).is_err(), "the tier has it wait");
    for key in ["a", "b", "c"] {
        let token = admitted(one, &request(key)).into_token();
        one.fail_soon(&token, Failure::terminal(Outcome::new(422, b"no"))).expect("held");
        // In real time, as above.
        until("the end", || (stats(one).undelivered == 1).then_some(())).expect("in time");
        assert!(matches!(other.begin(&request(key)), Ok(Admission::Replayed(_))), "{key}");
    }
    hosts.clock.advance(Duration::from_secs(3_600));
    one.flush_tier(Duration::from_secs(10)).expect("it is due");
    assert!(matches!(other.begin(&request("waits")), Ok(Admission::Replayed(_))));
}

/// Goal: the tier is not asked again and again about an end that it has put off. Method: one, and
/// the questions that are asked when the engine is told to tell what it has.
#[test]
fn what_must_wait_is_not_asked_about() {
    let mut hosts = Hosts::new(2);
    let (counted, one) = counted(&hosts);
    hosts.links[0] = Arc::clone(&counted.link);
    let other = &hosts.engines[1];
    [&one, other].into_iter().for_each(prepare);
    run_where_another_waits(&one, other, &["waits"], &hosts);
    // In real time, as above: a question to begin, one to end, and a try of the thread.
    until("a try", || (stats(&one).unanswered == 3).then_some(())).expect("in time");
    // Relaxed, all: a counter orders nothing.
    let asked = counted.trips.load(Ordering::Relaxed) + 2;
    hosts.links[0].cut_off(false);
    hosts.clock.advance(Duration::from_secs(5));
    // It is asked for, and perhaps ended as before.
    let answered = || (counted.trips.load(Ordering::Relaxed) >= asked).then_some(());
    until("its question", answered).expect("in time");
    for _ in 0..3 {
        assert!(one.flush_tier(Duration::ZERO).is_err(), "the tier has it wait");
    }
    assert_eq!(counted.trips.load(Ordering::Relaxed), asked);
}

/// Goal: an end that nobody has tried to tell does not wait until it is time for those that have
/// failed. Method: one that was refused twice, and another one; no time passes.
#[test]
fn what_has_failed_slows_nobody_down() {
    let hosts = Hosts::new(2);
    let [one, other] = &hosts.engines[..] else { unreachable!() };
    hosts.engines.iter().for_each(prepare);
    let (fails, next) = (admitted(one, &request("fails")), admitted(one, &request("next")));
    hosts.memory.fault(Fault::Refuse, 2);
    let completed = fails.complete(&Outcome::new(200, b"done")).expect("held");
    assert_eq!(completed, Completed::StoredHere);
    // In real time, as above.
    until("a try", || (stats(one).unanswered == 2).then_some(())).expect("in time");
    let failure = Failure::terminal(Outcome::new(422, b"no"));
    one.fail_soon(&next.into_token(), failure).expect("held");
    until("the end", || (stats(one).delivered_late == 1).then_some(())).expect("in time");
    assert!(matches!(other.begin(&request("next")), Ok(Admission::Replayed(_))));
    assert_eq!(stats(one).undelivered, 1);
}

/// Goal: ends that a part of the store does not take do not starve those that another part would
/// take. Method: as many as are told at once that are refused each time, and one behind them.
#[test]
fn what_fails_is_tried_behind_the_others() {
    let hosts = Hosts::new(1);
    let (counted, one) = counted(&hosts);
    let [other] = &hosts.engines[..] else { unreachable!() };
    [&one, other].into_iter().for_each(prepare);
    counted.claimed.lock().unwrap().clear();
    let keys: Vec<&str> = (0..AT_ONCE).map(|n| &*format!("{n}").leak()).collect();
    let mut leases: Vec<_> = keys.iter().map(|key| admitted(&one, &request(key))).collect();
    counted.away.lock().unwrap().append(&mut counted.claimed.lock().unwrap());
    leases.push(admitted(&one, &request("behind")));
    counted.link.cut_off(true);
    for lease in leases {
        let completed = lease.complete(&Outcome::new(200, b"done")).expect("held");
        assert_eq!(completed, Completed::StoredHere);
    }
    counted.link.cut_off(false);
    // In real time, as above; the rests between two tries are the clock's.
    let told = || {
        hosts.clock.advance(Duration::from_millis(500));
        (stats(&one).undelivered == AT_ONCE).then_some(())
    };
    until("the end behind them", told).expect("in time");
}

/// Has `engine` lose the record of `key` for want of room.
fn evict(engine: &Engine, key: &'static str) {
    let fingerprint = engine.prepare(&request(key)).expect("valid").fingerprint();
    for n in 0.. {
        if engine.look(fingerprint).expect("open").is_none() {
            return;
        }
        assert!(n < 10_000, "it stays");
        let other = &*format!("other {n}").leak();
        admitted(engine, &request(other)).complete(&Outcome::new(200, b"")).expect("held");
    }
}

/// A way to begin, and what the answer was.
pub(super) type Begins = fn(&Engine, &Request<'_>) -> String;

pub(super) const WAYS: [Begins; 3] = [
    |engine, request| said(engine.begin(request).map(|it| matches!(it, Admission::Replayed(_)))),
    |engine, request| {
        let begun = block_on(engine.begin_async(request, &BeginOptions::new()));
        said(begun.map(|it| matches!(it, Admission::Replayed(_))))
    },
    |engine, request| {
        let batch = [engine.prepare(request).expect("valid")];
        let mut answer = String::new();
        let (options, mut buffer) = (BeginOptions::new(), Outcome::default());
        engine.begin_batch(&batch, &options, &mut buffer, |_, it| {
            answer = said(it.map(|it| matches!(it, Admission::Replayed(_))));
        });
        answer
    },
];

fn said(replayed: Result<bool, oncegate::Error>) -> String {
    match replayed {
        Ok(true) => "replayed".to_owned(),
        Ok(false) => "something else".to_owned(),
        Err(error) => error.code().name().to_owned(),
    }
}

/// Goal: an outcome that the tier has not heard of is not run again by the host that has it, though
/// its table had no room to keep it, and whatever the host may do alone: the tier would give it to
/// this host at once. Method: an end that was refused twice and waits, a table that is filled, and
/// a duplicate by each way to ask, of a tier that refuses once more, and of one that answers.
#[test]
fn an_untold_outcome_outlives_its_record() {
    let runs = TierOptions::new().on_outage(OnOutage::Run);
    for options in [TierOptions::new(), alone(), runs] {
        for begins in WAYS {
            let hosts = Hosts::with(2, |it| it.capacity(16).tier_options(options.clone()));
            let [one, other] = &hosts.engines[..] else { unreachable!() };
            hosts.engines.iter().for_each(prepare);
            let lease = admitted(one, &request("key"));
            hosts.memory.fault(Fault::Refuse, 2);
            let completed = lease.complete(&Outcome::new(200, b"done")).expect("held");
            assert_eq!(completed, Completed::StoredHere);
            // The thread of the engine runs in real time: this waits for what it has counted.
            until("a try", || (stats(one).unanswered == 2).then_some(())).expect("in time");
            evict(one, "key");
            hosts.memory.fault(Fault::Refuse, 1);
            assert_eq!(begins(one, &request("key")), ErrorCode::TierUnavailable.name());
            assert_eq!(stats(one).undelivered, 1, "it was told in vain");
            assert_eq!(begins(one, &request("key")), "replayed");
            assert_eq!((stats(one).undelivered, stats(one).conflicts), (0, 0));
            assert!(matches!(other.begin(&request("key")), Ok(Admission::Replayed(_))));
        }
    }
}

/// Goal: a dead letter that is redriven runs, though the tier has not yet heard that it has failed;
/// where it cannot be told, the letter stays. Method: the burial cannot be told; a redrive that
/// cannot tell it, and one that can, while no time passes.
#[test]
fn a_redrive_tells_of_the_burial_first() {
    let policy = RetryPolicy::new(BackoffPolicy::constant(Duration::from_secs(1)));
    let hosts = Hosts::with(2, |it| it.retry_policy(policy.clone().max_attempts(1)));
    let [one, other] = &hosts.engines[..] else { unreachable!() };
    hosts.engines.iter().for_each(prepare);
    let lease = admitted(one, &request("key"));
    hosts.memory.fault(Fault::Refuse, 1);
    let context = RetryContext::new("charge", b"key");
    let buried = lease.retry_later(&AttemptError::new("503"), &context);
    assert!(matches!(buried, Ok(Later::Buried { .. })), "{buried:?}");
    // In real time, as above.
    until("a try", || (stats(one).unanswered == 1).then_some(())).expect("in time");
    let listed = || one.dead_letters(&LetterFilter::all(), None, 10).expect("open").letters;
    hosts.memory.fault(Fault::Refuse, 1);
    let error = one.redrive(listed()[0].id).unwrap_err();
    assert_eq!(error.code(), ErrorCode::TierUnavailable);
    one.redrive(listed()[0].id).expect("a letter");
    one.flush_tier(Duration::from_secs(10)).expect("the tier answers");
    let attempt = one.next_attempt(Duration::ZERO).expect("open").expect("due at once");
    assert_eq!(attempt.lease().attempt(), 2);
    attempt.into_lease().complete(&Outcome::new(200, b"at last")).expect("held");
    let last = other.begin(&request("key"));
    assert!(matches!(&last, Ok(Admission::Replayed(left)) if left.body() == b"at last"));
    assert_eq!(stats(one).conflicts, 0);
}

/// As many ends as the tier is told at once.
const AT_ONCE: u64 = 128;
