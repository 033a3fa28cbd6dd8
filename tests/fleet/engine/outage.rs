//! What hosts do while their tier gives no answer, or has forgotten what it knew.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use oncegate::tier::{Fault, OnOutage, TierOptions};
use oncegate::{Admission, BeginOptions, Completed, Engine, ErrorCode, Outcome};

use super::waiting::block_on;
use super::{Hosts, LEASE, admitted, prepare, request};

/// Goal: without an answer nothing is run, and nothing is kept that would be run later (the
/// default). Method: a tier that refuses, then one that answers.
#[test]
fn without_an_answer_nothing_runs() {
    let hosts = Hosts::new(1);
    let [engine] = &hosts.engines[..] else { unreachable!() };
    prepare(engine);
    hosts.memory.fault(Fault::Refuse, 1);
    let error = engine.begin(&request("key")).unwrap_err();
    assert_eq!((error.code(), error.field()), (ErrorCode::TierUnavailable, "tier"));
    assert!(error.is_retriable() && error.retry_after().is_some());
    assert_eq!(admitted(engine, &request("key")).attempt(), 1);
    assert_eq!(engine.tier_stats().expect("open").expect("a tier").refused, 1);
}

/// Goal: a reply that was lost after the claim was carried out is never a second admission. Method:
/// a claim whose reply is lost, and the same request on both hosts.
#[test]
fn a_lost_reply_admits_nobody_twice() {
    let hosts = Hosts::new(2);
    let [one, other] = &hosts.engines[..] else { unreachable!() };
    prepare(one);
    hosts.memory.fault(Fault::LoseReply, 1);
    assert_eq!(one.begin(&request("key")).unwrap_err().code(), ErrorCode::TierUnavailable);
    one.flush_tier(Duration::from_secs(10)).expect("the tier answers");
    // Nobody runs it: either host may.
    let lease = admitted(other, &request("key"));
    assert!(matches!(one.begin(&request("key")), Ok(Admission::InProgress { .. })));
    lease.complete(&Outcome::new(200, b"done")).expect("held");
    assert!(matches!(one.begin(&request("key")), Ok(Admission::Replayed(_))));
}

/// Goal: an outcome whose delivery was not answered is not lost, and is told once (no lost
/// outcome). Method: the reply of a completion is lost, or the completion is refused.
#[test]
fn an_outcome_is_delivered_later() {
    for fault in [Fault::LoseReply, Fault::Refuse] {
        let hosts = Hosts::new(2);
        let [one, other] = &hosts.engines[..] else { unreachable!() };
        prepare(one);
        let lease = admitted(one, &request("key"));
        hosts.memory.fault(fault, 1);
        let completed = lease.complete(&Outcome::new(200, b"done")).expect("held");
        assert_eq!(completed, Completed::StoredHere, "{fault:?}");
        assert!(matches!(one.begin(&request("key")), Ok(Admission::Replayed(_))));
        one.flush_tier(Duration::from_secs(10)).expect("the tier answers");
        let again = other.begin(&request("key"));
        assert!(matches!(again, Ok(Admission::Replayed(_))), "{fault:?}: {again:?}");
        let stats = one.tier_stats().expect("open").expect("a tier");
        assert_eq!((stats.delivered_late, stats.conflicts, stats.undelivered), (1, 0, 0));
    }
}

/// Goal: a host that is cut off goes on alone where that was asked for, says so, and what two hosts
/// ran is reported when the tier is back. Method: both hosts run the same request.
#[test]
fn what_ran_twice_is_reported() {
    let conflicts = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&conflicts);
    let hosts = Hosts::with(2, move |builder| {
        let told = Arc::clone(&told);
        let options = TierOptions::new().on_outage(OnOutage::LocalOnly);
        builder.tier_options(options.on_conflict(move |it| told.lock().unwrap().push(it.fence())))
    });
    let [one, other] = &hosts.engines[..] else { unreachable!() };
    prepare(one);
    hosts.memory.fault(Fault::Refuse, 1);
    let alone = admitted(one, &request("key"));
    assert!(alone.is_local_only());
    let fence = alone.fencing_token().get();
    let granted = admitted(other, &request("key"));
    assert!(!granted.is_local_only());
    granted.complete(&Outcome::new(200, b"granted")).expect("held");
    let error = alone.complete(&Outcome::new(200, b"alone")).unwrap_err();
    assert!(error.is_fenced(), "{error}");
    assert_eq!(*conflicts.lock().unwrap(), [fence]);
    let again = one.begin(&request("key"));
    assert!(matches!(&again, Ok(Admission::Replayed(left)) if left.body() == b"granted"));
    let stats = one.tier_stats().expect("open").expect("a tier");
    assert_eq!((stats.local_only, stats.conflicts), (1, 1));
}

/// Goal: what a host ran alone, and nobody else ran, is the fleet's when the tier is back. Method:
/// run alone on one host, asked for on the other.
#[test]
fn what_ran_alone_is_told() {
    let hosts = Hosts::with(2, |builder| {
        builder.tier_options(TierOptions::new().on_outage(OnOutage::LocalOnly))
    });
    let [one, other] = &hosts.engines[..] else { unreachable!() };
    prepare(one);
    hosts.memory.fault(Fault::Refuse, 2);
    let completed = admitted(one, &request("key")).complete(&Outcome::new(200, b"alone"));
    assert_eq!(completed.expect("held"), Completed::StoredHere);
    one.flush_tier(Duration::from_secs(10)).expect("the tier answers");
    let again = other.begin(&request("key"));
    assert!(matches!(&again, Ok(Admission::Replayed(left)) if left.body() == b"alone"));
}

/// Goal: after the store has forgotten its records, nothing new runs for as long as a lease may
/// last that was forgotten; what the hosts hold they tell again. Method: a store that is emptied
/// while an attempt runs.
#[test]
fn a_store_that_forgot_is_in_quarantine() {
    let hosts = Hosts::new(2);
    let [one, other] = &hosts.engines[..] else { unreachable!() };
    let running = admitted(one, &request("running"));
    admitted(other, &request("first")).complete(&Outcome::new(200, b"")).expect("held");
    hosts.memory.forget_all();
    for key in ["running", "new"] {
        let error = other.begin(&request(key)).unwrap_err();
        assert_eq!(error.code(), ErrorCode::TierUnavailable, "{key}");
        assert_eq!(error.retry_after(), Some(LEASE), "{key}: the longest lease");
    }
    assert!(matches!(other.begin(&request("first")), Ok(Admission::Replayed(_))), "known here");
    running.complete(&Outcome::new(200, b"done")).expect("its lease lasts");
    hosts.clock.advance(LEASE);
    assert!(matches!(other.begin(&request("running")), Ok(Admission::Replayed(_))));
    assert_eq!(admitted(other, &request("new")).attempt(), 1);
}

/// Goal: leases that the store has forgotten are told again. Method: an emptied store; after the
/// quarantine the other host still hears of the attempt that runs, whose lease was renewed.
#[test]
fn leases_are_told_again() {
    let hosts = Hosts::new(2);
    let [one, other] = &hosts.engines[..] else { unreachable!() };
    let mut running = admitted(one, &request("running"));
    assert!(matches!(other.begin(&request("running")), Ok(Admission::InProgress { .. })));
    hosts.memory.forget_all();
    hosts.clock.advance(LEASE / 2);
    running.renew(LEASE * 2).expect("its lease lasts");
    assert!(other.begin(&request("running")).is_err(), "in quarantine");
    hosts.clock.advance(LEASE);
    let elsewhere = other.begin(&request("running"));
    assert!(matches!(elsewhere, Ok(Admission::InProgress { .. })), "{elsewhere:?}");
    running.complete(&Outcome::new(200, b"done")).expect("held");
}

/// Goal: a tier that fails is not asked each time, and is tried again after a while. Method: five
/// failures; the sixth call is refused without asking; later one is let through.
#[test]
fn the_breaker_spares_a_tier_that_fails() {
    let hosts = Hosts::new(1);
    let [engine] = &hosts.engines[..] else { unreachable!() };
    prepare(engine);
    hosts.memory.fault(Fault::Refuse, 5);
    let mut rest = Duration::ZERO;
    for _ in 0..6 {
        let error = engine.begin(&request("key")).unwrap_err();
        rest = error.retry_after().expect("known");
    }
    assert!(engine.tier_stats().expect("open").expect("a tier").breaker_open);
    assert!(rest <= Duration::from_millis(500), "{rest:?}");
    hosts.clock.advance(rest);
    assert_eq!(admitted(engine, &request("key")).attempt(), 1);
}

/// Goal: a host that may go on alone does so while the store is away, and not while it is known to
/// have forgotten what others run; but where that was asked for. Method: an emptied store, under
/// both policies; an error of the store, under both.
#[test]
fn only_who_was_told_to_runs_in_quarantine() {
    for (policy, runs) in [(OnOutage::LocalOnly, false), (OnOutage::Run, true)] {
        let options = TierOptions::new().on_outage(policy);
        let hosts = Hosts::with(1, |builder| builder.tier_options(options.clone()));
        let [engine] = &hosts.engines[..] else { unreachable!() };
        prepare(engine);
        hosts.memory.fault(Fault::Refuse, 1);
        assert!(admitted(engine, &request("away")).is_local_only(), "{policy:?}");
        engine.flush_tier(Duration::from_secs(10)).expect("the tier answers");
        hosts.memory.forget_all();
        match engine.begin(&request("forgotten")) {
            Ok(Admission::Admitted(lease)) => assert!(runs && lease.is_local_only(), "{policy:?}"),
            Ok(other) => panic!("{policy:?}: {other:?}"),
            Err(error) => {
                assert!(!runs, "{policy:?}: {error}");
                assert_eq!(error.code(), ErrorCode::TierUnavailable);
            }
        }
    }
}

/// Goal: fencing tokens grow through an outage, whoever admits (I2), and a token tells its holder
/// wherever it goes that the table alone admitted it. Method: attempts in turn by the tier and by
/// the table, on a host whose table is younger than the tier's tokens and on one that is older.
#[test]
fn tokens_grow_through_an_outage() {
    let options = TierOptions::new().on_outage(OnOutage::LocalOnly);
    let hosts = Hosts::with(2, |builder| builder.tier_options(options.clone()));
    hosts.engines.iter().for_each(prepare);
    hosts.clock.advance(Duration::from_secs(3600));
    let mut last = 0;
    for round in 0..12 {
        let engine = &hosts.engines[round / 2 % 2];
        // The hosts' clocks are the store's.
        hosts.clock.advance(Duration::from_millis(1));
        for engine in &hosts.engines {
            engine.flush_tier(Duration::from_secs(10)).expect("the tier answers");
        }
        let alone = round % 3 == 1;
        if alone {
            hosts.memory.fault(Fault::Refuse, 1);
        }
        let lease = admitted(engine, &request("key"));
        assert_eq!(lease.is_local_only(), alone, "round {round}");
        assert!(lease.fencing_token().get() > last, "round {round}");
        last = lease.fencing_token().get();
        let token = lease.into_token();
        let same = oncegate::LeaseToken::from_bytes(&token.to_bytes()).expect("sound");
        assert_eq!(same, token);
        let lease = engine.take_up(&same).expect("it runs");
        assert_eq!(lease.is_local_only(), alone, "round {round}");
        lease.abandon().expect("held");
    }
}

/// Goal: tokens grow within a millisecond too, whoever admits (I2). Method: attempts in turn by the
/// tier and by the table, twice each, on a clock that stands still within each two.
#[test]
fn tokens_grow_within_a_millisecond() {
    let options = TierOptions::new().on_outage(OnOutage::LocalOnly);
    let hosts = Hosts::with(1, |builder| builder.tier_options(options.clone()));
    let [engine] = &hosts.engines[..] else { unreachable!() };
    prepare(engine);
    let mut last = 0;
    for alone in [true, true, false, false, true, true] {
        hosts.links[0].cut_off(alone);
        while !alone && (engine.flush_tier(Duration::ZERO).is_err() || has_rest(engine)) {
            // Whoever was refused has a rest, by the clock.
            hosts.clock.advance(Duration::from_secs(1));
        }
        let lease = admitted(engine, &request("key"));
        assert_eq!(lease.is_local_only(), alone);
        assert!(lease.fencing_token().get() > last, "{alone}");
        last = lease.fencing_token().get();
        lease.abandon().expect("held");
    }
}

fn has_rest(engine: &Engine) -> bool {
    engine.tier_stats().expect("open").expect("a tier").breaker_open
}

/// Goal: a host that asks for short leases waits for those of the others, too, and one that has
/// asked for a long one for that. Method: claims for a moment, and for an hour, and an emptied
/// store.
#[test]
fn quarantine_is_for_the_leases_of_others() {
    let hosts = Hosts::new(1);
    let [engine] = &hosts.engines[..] else { unreachable!() };
    let short = BeginOptions::new().lease_duration(Duration::from_millis(10));
    assert!(matches!(engine.begin_with(&request("first"), &short), Ok(Admission::Admitted(_))));
    engine.flush_tier(Duration::from_secs(10)).expect("the tier answers");
    let rest = || {
        hosts.memory.forget_all();
        let error = engine.begin_with(&request("new"), &short).unwrap_err();
        assert_eq!(error.code(), ErrorCode::TierUnavailable);
        error.retry_after().expect("known")
    };
    assert_eq!(rest(), LEASE, "what hosts ask for by default");
    hosts.clock.advance(LEASE);
    let hour = Duration::from_secs(3600);
    let long = BeginOptions::new().lease_duration(hour);
    assert!(matches!(engine.begin_with(&request("long"), &long), Ok(Admission::Admitted(_))));
    assert_eq!(rest(), hour, "what it has asked for");
}

/// Goal: a store that forgets, again and again, is one that answers: the breaker leaves it alone.
/// Method: a store that is emptied before each claim, without quarantine; and many requests in one.
#[test]
fn a_store_that_forgets_is_no_store_that_fails() {
    let options = TierOptions::new().quarantine(Duration::ZERO);
    let hosts = Hosts::with(1, |builder| builder.tier_options(options.clone()));
    for key in KEYS {
        hosts.memory.forget_all();
        // As many claims that are refused for it as are granted, and nothing else.
        let _runs = admitted(&hosts.engines[0], &request(key)).into_token();
    }
    let hosts = Hosts::new(1);
    let [engine] = &hosts.engines[..] else { unreachable!() };
    prepare(engine);
    hosts.memory.forget_all();
    for key in KEYS {
        let error = engine.begin(&request(key)).unwrap_err();
        assert_eq!(error.retry_after(), Some(LEASE), "for the quarantine, and for nothing else");
    }
    assert!(!engine.tier_stats().expect("open").expect("a tier").breaker_open);
    hosts.clock.advance(LEASE);
    admitted(engine, &request("key")).abandon().expect("held");
}

/// More than the breaker looks at.
const KEYS: [&str; 24] = [
    "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s",
    "t", "u", "v", "w", "x",
];

/// Goal: a host that only holds leases tells them again, too, when the store has forgotten them.
/// Method: an emptied store, a beat, and a host that knows nothing of what was there before.
#[test]
fn who_only_holds_a_lease_tells_it_again() {
    let hosts = Hosts::new(2);
    let [one, newcomer] = &hosts.engines[..] else { unreachable!() };
    prepare(one);
    let lease = admitted(one, &request("key"));
    hosts.memory.forget_all();
    hosts.clock.advance(Duration::from_secs(5));
    one.flush_tier(Duration::from_secs(10)).expect("the tier answers");
    // What the thread of `one` is asked comes behind the leases that it tells again.
    assert!(block_on(one.begin_async(&request("other"), &BeginOptions::new())).is_err());
    let elsewhere = newcomer.begin(&request("key"));
    assert!(matches!(elsewhere, Ok(Admission::InProgress { .. })), "{elsewhere:?}");
    lease.complete(&Outcome::new(200, b"done")).expect("held");
}

/// Goal: what a host ran alone after an attempt that the fleet knows of is the fleet's, if nobody
/// else ran it meanwhile. Method: an attempt that failed, one that the table alone admitted, and
/// the other host when the store is back.
#[test]
fn what_ran_alone_after_a_failure_is_told() {
    let options = TierOptions::new().on_outage(OnOutage::LocalOnly);
    let hosts = Hosts::with(2, |builder| builder.tier_options(options.clone()));
    let [one, other] = &hosts.engines[..] else { unreachable!() };
    hosts.engines.iter().for_each(prepare);
    admitted(other, &request("key")).abandon().expect("held");
    hosts.memory.fault(Fault::Refuse, 2);
    let alone = admitted(one, &request("key"));
    let completed = alone.complete(&Outcome::new(200, b"alone")).expect("held");
    assert_eq!(completed, Completed::StoredHere);
    one.flush_tier(Duration::from_secs(10)).expect("the tier answers");
    let again = other.begin(&request("key"));
    assert!(matches!(&again, Ok(Admission::Replayed(left)) if left.body() == b"alone"));
    assert_eq!(one.tier_stats().expect("open").expect("a tier").conflicts, 0);
}
