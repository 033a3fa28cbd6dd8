//! The fleet's log of dead letters.

use std::time::Duration;

use oncegate::tier::{Fault, Letter, LetterReason, OnOutage, TierOptions};
use oncegate::{
    AttemptError, BackoffPolicy, BeginOptions, Buried, Clock, Completed, Engine, EngineBuilder,
    Later, LetterFilter, Outcome, RetryContext, RetryPolicy, TierStats,
};
use oncegate_rig::until;

use super::retries::next_within;
use super::waiting::block_on;
use super::{Hosts, LEASE, admitted, prepare, request};

const DELAY: Duration = Duration::from_secs(1);
const TOTAL: Duration = Duration::from_secs(600);

/// After a try that failed, the log is asked again.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// Hosts whose store keeps the last hundred letters, and that try everything twice.
fn hosts(count: usize, set: impl Fn(EngineBuilder) -> EngineBuilder) -> Hosts {
    let policy = RetryPolicy::new(BackoffPolicy::constant(DELAY)).max_attempts(2);
    let policy = policy.deadline(TOTAL);
    Hosts::sharing(
        count,
        |memory| memory.dead_letters(100),
        |builder| set(builder.retry_policy(policy.clone())),
    )
}

fn stats(engine: &Engine) -> TierStats {
    engine.tier_stats().expect("open").expect("a tier")
}

fn flush(engine: &Engine) {
    engine.flush_tier(Duration::from_secs(10)).expect("the tier answers");
}

/// Lets time pass until the tier has been told everything: a breaker rests by the clock alone.
fn outlast(hosts: &Hosts, engine: &Engine) {
    let told = || {
        let told = engine.flush_tier(Duration::ZERO).ok();
        told.or_else(|| {
            hosts.clock.advance(Duration::from_secs(2));
            None
        })
    };
    until("all is told", told).expect("in time");
}

fn context() -> RetryContext<'static> {
    RetryContext::new("charge", b"to be charged")
}

/// Buries a record at once; the token of its attempt.
fn bury(engine: &Engine, key: &'static str) -> u64 {
    let lease = admitted(engine, &request(key));
    let token = lease.fencing_token().get();
    let later = lease.retry_later(&AttemptError::new("404").terminal(), &context());
    assert!(matches!(later, Ok(Later::Buried { .. })), "{later:?}");
    token
}

/// Leaves a record to the scheduler.
fn leave(engine: &Engine, key: &'static str) {
    let later = admitted(engine, &request(key)).retry_later(&AttemptError::new("503"), &context());
    assert!(matches!(later, Ok(Later::Scheduled { .. })), "{later:?}");
}

fn kinds(letters: &[Letter]) -> Vec<(u64, u32, &'static str)> {
    letters.iter().map(|one| (one.fence, one.attempts, one.reason.name())).collect()
}

/// Goal: each dead letter of each host is in the log once, with what the host knows of it: however
/// it was buried. Method: two hosts that bury by a final error, by the limit of attempts, by a
/// lapse and by a deadline; the log beside the letters that each host lists.
#[test]
fn each_letter_of_each_host_is_logged_once() {
    let hosts = hosts(2, |builder| builder);
    for (engine, keys) in hosts.engines.iter().zip([["a", "b", "c", "d"], ["e", "f", "g", "h"]]) {
        prepare(engine);
        let [fails, tries, lapses, late] = keys;
        let at_once = bury(engine, fails);
        leave(engine, tries);
        hosts.clock.advance(DELAY);
        let attempt = engine.next_attempt(Duration::ZERO).expect("open").expect("due");
        let token = attempt.lease().fencing_token().get();
        let later = attempt.into_lease().retry_later(&AttemptError::new("503"), &context());
        assert!(matches!(later, Ok(Later::Buried { kept: true, .. })), "{later:?}");
        leave(engine, lapses);
        hosts.clock.advance(DELAY);
        let attempt = engine.next_attempt(Duration::ZERO).expect("open").expect("due");
        let lapsed = attempt.lease().fencing_token().get();
        std::mem::forget(attempt);
        hosts.clock.advance(LEASE);
        // The thread of the engine has seen to its leases by then, and has no more to renew.
        flush(engine);
        assert!(engine.next_attempt(Duration::ZERO).expect("open").is_none(), "it has lapsed");
        leave(engine, late);
        hosts.clock.advance(TOTAL);
        assert!(engine.next_attempt(Duration::ZERO).expect("open").is_none(), "it is too late");
        flush(engine);
        let all = hosts.memory.letters();
        let mut of_host = all[all.len() - 4..].to_vec();
        // Two threads may tell of them at once. The attempts began in this order; the last of them
        // is the engine's own, with a token of the table.
        of_host.sort_by_key(|letter| (letter.reason.name() == "deadline", letter.fence));
        let told = kinds(&of_host);
        assert_eq!(told[..2], [(at_once, 1, "final_error"), (token, 2, "attempts")]);
        assert_eq!((told[2].1, told[2].2, told[3].2), (2, "attempts", "deadline"));
        assert_eq!(told[2].0, lapsed, "as the tier had granted it");
        let listed = engine.dead_letters(&LetterFilter::all(), None, 10).expect("open").letters;
        let mut listed: Vec<_> = listed.iter().map(|it| (Some(it.id), it.reason.name())).collect();
        let mut told: Vec<_> = of_host.iter().map(|it| (it.id, it.reason.name())).collect();
        listed.sort_unstable();
        told.sort_unstable();
        assert_eq!(told, listed);
        assert!(of_host.iter().all(|letter| letter.table == of_host[0].table));
        assert_eq!((stats(engine).letters_logged, stats(engine).letters_waiting), (4, 0));
    }
    let all = hosts.memory.letters();
    let mut identities: Vec<_> = all.iter().map(Letter::identity).collect();
    identities.sort_unstable();
    identities.dedup();
    assert_eq!((all.len(), identities.len()), (8, 8));
    assert_ne!(all[0].table, all[7].table, "of two tables");
}

/// Goal: a letter that cannot be told, or whose reply is lost, is told until it is entered, once;
/// how long ago it was buried is told, too. Method: an outage of either kind over the ends and the
/// letters of two hosts, which is over after a time.
#[test]
fn an_outage_loses_and_doubles_no_letter() {
    for fault in [Fault::Refuse, Fault::LoseReply] {
        for faults in [1, 2, 20] {
            let hosts = hosts(2, |builder| builder);
            let mut tokens = Vec::new();
            for (engine, key) in hosts.engines.iter().zip(["one", "other"]) {
                prepare(engine);
                let lease = admitted(engine, &request(key));
                tokens.push(lease.fencing_token().get());
                hosts.memory.fault(fault, faults);
                let later = lease.retry_later(&AttemptError::new("404").terminal(), &context());
                assert!(matches!(later, Ok(Later::Buried { kept: true, .. })), "{later:?}");
                let buried = hosts.clock.now();
                outlast(&hosts, engine);
                let passed = hosts.clock.now() - buried;
                let letters = hosts.memory.letters();
                assert!(letters.last().is_some_and(|it| it.age <= passed), "{letters:?}");
                assert_eq!((stats(engine).letters_logged, stats(engine).letters_lost), (1, 0));
            }
            let wanted: Vec<_> = tokens.iter().map(|token| (*token, 1, "final_error")).collect();
            assert_eq!(kinds(&hosts.memory.letters()), wanted, "{fault:?} {faults} times");
        }
    }
}

/// Goal: letters wait for a store that is away, are told as soon as it answers anybody, with their
/// age, and what there is no room for is counted. Method: room for two, three letters while the
/// host is cut off; its breaker opens; a claim is answered.
#[test]
fn letters_wait_for_a_store_that_is_away() {
    let options = TierOptions::new().undelivered(2);
    let hosts = hosts(1, |builder| builder.tier_options(options.clone()));
    let [engine] = &hosts.engines[..] else { unreachable!() };
    prepare(engine);
    let leases = ["a", "b", "c"].map(|key| admitted(engine, &request(key)));
    let tokens = leases.each_ref().map(|lease| lease.fencing_token().get());
    hosts.links[0].cut_off(true);
    for lease in leases {
        let later = lease.retry_later(&AttemptError::new("404").terminal(), &context());
        assert!(matches!(later, Ok(Later::Buried { kept: true, .. })), "{later:?}");
    }
    while !stats(engine).breaker_open {
        assert!(engine.begin(&request("new")).is_err());
    }
    let rest = engine.begin(&request("new")).unwrap_err().retry_after().expect("known");
    // What is being told just now has failed by then, and is counted as waiting.
    let told = stats(engine);
    assert_eq!((told.letters_waiting, told.letters_lost, told.letters_logged), (2, 1, 0));
    // The thread of the engine may have been on its way to the store before it was let alone.
    let let_alone = || {
        for key in ["new", "behind"] {
            let begun = block_on(engine.begin_async(&request(key), &BeginOptions::new()));
            begun.expect_err("let alone");
        }
    };
    let_alone();
    // The store would answer, and is let alone. Twice: what the thread of the engine is asked after
    // the first answer comes behind its look at the letters.
    hosts.links[0].cut_off(false);
    hosts.clock.advance(FIRST_WAIT);
    let_alone();
    let told = stats(engine);
    assert_eq!((told.letters_waiting, told.letters_logged, told.breaker_open), (2, 0, true));
    hosts.clock.advance(rest - FIRST_WAIT);
    // The thread of the engine may be asking just now, in real time: nobody else may then.
    until("it answers", || engine.begin(&request("new")).ok().map(drop)).expect("in time");
    let told = || (stats(engine).letters_waiting == 0).then_some(());
    until("they are told, and no time passes", told).expect("in time");
    let letters = hosts.memory.letters();
    assert_eq!(kinds(&letters), [tokens[0], tokens[1]].map(|token| (token, 1, "final_error")));
    assert!(letters.iter().all(|letter| letter.age == rest), "{letters:?}");
    assert_eq!((stats(engine).letters_waiting, stats(engine).letters_logged), (0, 2));
}

/// Goal: what ran on two hosts is in the log, too. Method: an end that comes when another host has
/// run the request, and what the table admitted alone.
#[test]
fn conflicts_are_logged() {
    let options = TierOptions::new().on_outage(OnOutage::LocalOnly);
    let hosts = hosts(2, |builder| builder.tier_options(options.clone()));
    let [one, other] = &hosts.engines[..] else { unreachable!() };
    hosts.engines.iter().for_each(prepare);
    let late = admitted(one, &request("key"));
    hosts.links[0].cut_off(true);
    let alone = admitted(one, &request("alone"));
    let tokens = [late.fencing_token().get(), alone.fencing_token().get()];
    assert_eq!(late.complete(&Outcome::new(200, b"")).expect("held"), Completed::StoredHere);
    hosts.clock.advance(LEASE);
    for key in ["key", "alone"] {
        admitted(other, &request(key)).complete(&Outcome::new(200, b"")).expect("held");
    }
    drop(alone.complete(&Outcome::new(200, b"")));
    hosts.links[0].cut_off(false);
    outlast(&hosts, one);
    let letters = hosts.memory.letters();
    assert_eq!(letters.len() as u64, stats(one).conflicts, "{letters:?}");
    assert!(letters.iter().all(|it| it.reason == LetterReason::Conflict && it.id.is_none()));
    let found: Vec<u64> = letters.iter().map(|letter| letter.fence).collect();
    assert!(found.contains(&tokens[0]), "{found:?} {tokens:?}");
}

/// Goal: the log is no list: a letter that is redriven and fails again is a new one, and one that
/// is discarded stays. Method: both, on one host.
#[test]
fn a_redriven_letter_that_fails_is_another_one() {
    let hosts = hosts(1, |builder| builder);
    let [engine] = &hosts.engines[..] else { unreachable!() };
    let first = bury(engine, "key");
    flush(engine);
    let listed = || engine.dead_letters(&LetterFilter::all(), None, 10).expect("open").letters;
    engine.redrive(listed()[0].id).expect("a letter");
    let attempt = engine.next_attempt(Duration::ZERO).expect("open").expect("due at once");
    let second = attempt.lease().fencing_token().get();
    let error = AttemptError::new("404").terminal();
    let later = attempt.into_lease().retry_later(&error, &context());
    assert!(matches!(later, Ok(Later::Buried { kept: true, .. })), "{later:?}");
    engine.discard(listed()[0].id).expect("a letter");
    flush(engine);
    let wanted = [(first, 1, "final_error"), (second, 2, "final_error")];
    assert_eq!(kinds(&hosts.memory.letters()), wanted);
}

/// Goal: what a host has taken in and buries is in the log, as its own, counted as in the fleet.
/// Method: a host that has left a record to its scheduler, and is dropped; another one tries it.
#[test]
fn a_letter_of_a_lost_hosts_record_is_logged() {
    let mut hosts = hosts(2, |builder| builder);
    hosts.engines.iter().for_each(prepare);
    let own = bury(&hosts.engines[1], "own");
    leave(&hosts.engines[0], "key");
    hosts.engines.iter().for_each(flush);
    drop(hosts.engines.remove(0));
    let [other] = &hosts.engines[..] else { unreachable!() };
    let attempt = next_within(&hosts, other, 20).expect("it has no host any more");
    let token = attempt.lease().fencing_token().get();
    let later = attempt.into_lease().retry_later(&AttemptError::new("503"), &context());
    assert!(matches!(later, Ok(Later::Buried { kept: true, .. })), "of two: {later:?}");
    flush(other);
    let letters = hosts.memory.letters();
    assert_eq!(kinds(&letters), [(own, 1, "final_error"), (token, 2, "attempts")]);
    assert_eq!(letters[0].table, letters[1].table, "of the host that buried it");
}

/// Goal: what a host has no room for among its own letters is in the log, without a name there.
/// Method: a table that keeps none.
#[test]
fn what_a_host_does_not_keep_is_logged() {
    let hosts = hosts(1, |builder| builder.max_dead_letters(0));
    let [engine] = &hosts.engines[..] else { unreachable!() };
    let token = bury(engine, "key");
    flush(engine);
    let letters = hosts.memory.letters();
    assert_eq!(kinds(&letters), [(token, 1, "final_error")]);
    assert_eq!(
        (letters[0].id, letters[0].reason),
        (None, LetterReason::Buried(Buried::FinalError))
    );
}

/// Goal: an engine that goes tells what it can still tell. Method: a letter that could not be told,
/// whose time has not come again when the store is back and the engine is dropped.
#[test]
fn an_engine_that_goes_tells_its_letters() {
    let mut hosts = hosts(1, |builder| builder);
    prepare(&hosts.engines[0]);
    let lease = admitted(&hosts.engines[0], &request("key"));
    let token = lease.fencing_token().get();
    hosts.links[0].cut_off(true);
    let later = lease.retry_later(&AttemptError::new("404").terminal(), &context());
    assert!(matches!(later, Ok(Later::Buried { kept: true, .. })), "{later:?}");
    let engine = &hosts.engines[0];
    until("a try", || (stats(engine).unanswered > 0).then_some(())).expect("in time");
    hosts.links[0].cut_off(false);
    hosts.engines.clear();
    assert_eq!(kinds(&hosts.memory.letters()), [(token, 1, "final_error")]);
}

/// Goal: where the store keeps no letters none is kept for it. Method: the store's own default.
#[test]
fn without_a_log_no_letter_waits() {
    let hosts = Hosts::new(1);
    let [engine] = &hosts.engines[..] else { unreachable!() };
    prepare(engine);
    let lease = admitted(engine, &request("key"));
    hosts.links[0].cut_off(true);
    let later = lease.retry_later(&AttemptError::new("404").terminal(), &context());
    assert!(matches!(later, Ok(Later::Buried { kept: true, .. })), "{later:?}");
    assert_eq!((stats(engine).letters_waiting, stats(engine).letters_lost), (0, 0));
    hosts.links[0].cut_off(false);
    assert!(hosts.memory.letters().is_empty());
}
