//! What the store is told late, or again.

use std::time::Duration;

use oncegate::tier::{Fault, OnOutage, TierOptions};
use oncegate::{Admission, Completed, Engine, Outcome, TierStats};
use oncegate_rig::until;

use super::{Hosts, LEASE, admitted, prepare, request};

fn stats(engine: &Engine) -> TierStats {
    engine.tier_stats().expect("open").expect("a tier")
}

/// Goal: an end that cannot be told at the first try, nor at the next ones, is not lost. Method:
/// each way of failing, five times, and then an answer.
#[test]
fn what_cannot_be_told_is_kept() {
    for fault in [Fault::Refuse, Fault::LoseReply] {
        let hosts = Hosts::new(2);
        let [one, other] = &hosts.engines[..] else { unreachable!() };
        prepare(one);
        let lease = admitted(one, &request("key"));
        hosts.memory.fault(fault, 5);
        let completed = lease.complete(&Outcome::new(200, b"done")).expect("held");
        assert_eq!(completed, Completed::StoredHere, "{fault:?}");
        // A breaker opens meanwhile: its rest is over by the clock alone.
        while one.flush_tier(Duration::ZERO).is_err() {
            hosts.clock.advance(Duration::from_millis(200));
        }
        let again = other.begin(&request("key"));
        assert!(matches!(&again, Ok(Admission::Replayed(left)) if left.body() == b"done"));
        assert_eq!((stats(one).conflicts, stats(one).undelivered_lost), (0, 0), "{fault:?}");
    }
}

/// Goal: an outcome that is told when another host has run the request meanwhile is reported, and
/// changes nothing. Method: a host that is cut off until its lease has ended, and another one.
#[test]
fn an_end_that_comes_too_late_is_a_conflict() {
    let hosts = Hosts::new(2);
    let [one, other] = &hosts.engines[..] else { unreachable!() };
    prepare(one);
    let lease = admitted(one, &request("key"));
    hosts.links[0].cut_off(true);
    let completed = lease.complete(&Outcome::new(200, b"late")).expect("its lease lasts");
    assert_eq!(completed, Completed::StoredHere);
    hosts.clock.advance(LEASE);
    let second = admitted(other, &request("key"));
    assert_eq!(second.attempt(), 2);
    second.complete(&Outcome::new(200, b"second")).expect("held");
    hosts.links[0].cut_off(false);
    while one.flush_tier(Duration::ZERO).is_err() {
        hosts.clock.advance(Duration::from_millis(200));
    }
    assert_eq!(stats(one).conflicts, 1);
    let again = other.begin(&request("key"));
    assert!(matches!(&again, Ok(Admission::Replayed(left)) if left.body() == b"second"));
}

/// Goal: what was given up without effect is no conflict, whoever ran it meanwhile. Method: an
/// attempt that ran alone and was abandoned, and another host that ran the request.
#[test]
fn what_had_no_effect_is_no_conflict() {
    let hosts = Hosts::with(2, |builder| {
        builder.tier_options(TierOptions::new().on_outage(OnOutage::LocalOnly))
    });
    let [one, other] = &hosts.engines[..] else { unreachable!() };
    prepare(one);
    hosts.memory.fault(Fault::Refuse, 1);
    let alone = admitted(one, &request("key"));
    assert!(alone.is_local_only());
    admitted(other, &request("key")).complete(&Outcome::new(200, b"other")).expect("held");
    alone.abandon().expect("held here");
    one.flush_tier(Duration::from_secs(10)).expect("the tier answers");
    assert_eq!(stats(one).conflicts, 0);
    let again = one.begin(&request("key"));
    assert!(matches!(&again, Ok(Admission::Replayed(left)) if left.body() == b"other"));
}

/// Goal: an attempt whose lease has ended, and that the store has forgotten, is not made known to
/// it by its end: another host may have run it. Method: an emptied store, and an end before the
/// lease is over and after.
#[test]
fn only_who_holds_the_lease_is_told_again() {
    for (passed, holds) in [(LEASE / 2, true), (LEASE, false)] {
        let hosts = Hosts::new(1);
        let [one] = &hosts.engines[..] else { unreachable!() };
        prepare(one);
        let token = admitted(one, &request("key")).into_token();
        hosts.memory.forget_all();
        hosts.clock.advance(passed);
        let completed = one.complete(&token, &Outcome::new(200, b"done"));
        assert_eq!(completed.is_ok(), holds, "{completed:?}");
    }
}

/// Goal: an attempt that ended does not seem to run on in the tier because nobody would hear of its
/// outcome any more by the time that it is told: others wait for its lease, and are left in doubt
/// by its lapse. Method: an end that cannot be told before its window is over, and another host.
#[test]
fn an_end_is_told_though_its_window_is_over() {
    let hosts = Hosts::with(2, |builder| builder.dedup_window(Duration::from_secs(1)));
    let [one, other] = &hosts.engines[..] else { unreachable!() };
    prepare(one);
    let lease = admitted(one, &request("key"));
    hosts.memory.fault(Fault::Refuse, 2);
    let completed = lease.complete(&Outcome::new(200, b"done")).expect("held");
    assert_eq!(completed, Completed::StoredHere);
    // The thread of the engine runs in real time: this waits for what it has counted.
    until("a try", || (stats(one).unanswered == 2).then_some(())).expect("in time");
    hosts.clock.advance(Duration::from_secs(2));
    one.flush_tier(Duration::from_secs(10)).expect("the tier answers");
    hosts.clock.advance(Duration::from_secs(1));
    assert_eq!(admitted(other, &request("key")).attempt(), 1, "a new window begins");
    assert_eq!(stats(one).conflicts, 0);
}
