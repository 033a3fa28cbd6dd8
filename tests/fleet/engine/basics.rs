//! What two hosts answer to the same requests while their tier answers.

use std::time::Duration;

use oncegate::tier::Fault;
use oncegate::{
    Admission, BeginOptions, Completed, ErrorCode, Failure, OnLapse, Outcome, Payload, Resolution,
    Status,
};

use super::{Hosts, LEASE, admitted, request};

/// Goal: a request runs once in the whole fleet, and every host replays what it left (I1, I4).
/// Method: begin on one host, and on the other before and after it has completed.
#[test]
fn a_request_runs_on_one_host() {
    let hosts = Hosts::new(2);
    let [one, other] = &hosts.engines[..] else { unreachable!() };
    let lease = admitted(one, &request("key"));
    assert_eq!((lease.attempt(), lease.status()), (1, Status::Created));
    assert!(!lease.is_local_only());
    let elsewhere = other.begin(&request("key")).expect("an answer");
    assert!(
        matches!(elsewhere, Admission::InProgress { attempt: 1, remaining } if remaining == LEASE),
        "{elsewhere:?}"
    );
    let outcome = Outcome::new(201, b"charged").with_metadata("id", "ch_1").expect("short");
    assert_eq!(lease.complete(&outcome).expect("held"), Completed::Stored);
    for engine in [one, other] {
        let again = engine.begin(&request("key")).expect("an answer");
        assert!(matches!(&again, Admission::Replayed(left) if *left == outcome), "{again:?}");
    }
}

/// Goal: what has finished elsewhere is answered from the host's own table from then on.
/// Method: replays on the other host, with the tier refusing everything after the first.
#[test]
fn a_replay_needs_no_network() {
    let hosts = Hosts::new(2);
    let [one, other] = &hosts.engines[..] else { unreachable!() };
    admitted(one, &request("key")).complete(&Outcome::new(200, b"done")).expect("held");
    assert!(matches!(other.begin(&request("key")), Ok(Admission::Replayed(_))));
    hosts.memory.fault(Fault::Refuse, 100);
    for engine in [one, other] {
        assert!(matches!(engine.begin(&request("key")), Ok(Admission::Replayed(_))));
    }
    assert_eq!(other.tier_stats().expect("open").expect("a tier").imported, 1);
}

/// Goal: what another host runs is not kept here as an answer. Method: an answer of "in progress",
/// the end elsewhere, and a begin.
#[test]
fn negative_answers_are_not_kept() {
    let hosts = Hosts::new(2);
    let [one, other] = &hosts.engines[..] else { unreachable!() };
    let lease = admitted(one, &request("key"));
    for _ in 0..3 {
        assert!(matches!(other.begin(&request("key")), Ok(Admission::InProgress { .. })));
        assert_eq!(other.stats().expect("open").live.total(), 0, "nothing is left here");
    }
    lease.abandon().expect("held");
    let next = admitted(other, &request("key"));
    assert_eq!((next.attempt(), next.status()), (2, Status::Retried));
}

/// Goal: the same key with another payload is never run, on whichever host (mismatch wins).
/// Method: both payloads on two hosts, while it runs and after it finished.
#[test]
fn another_payload_is_refused_everywhere() {
    let hosts = Hosts::new(2);
    let [one, other] = &hosts.engines[..] else { unreachable!() };
    let lease = admitted(one, &request("key"));
    let different = request("key").payload(Payload::raw(b"200"));
    assert!(matches!(other.begin(&different), Ok(Admission::Mismatched)));
    lease.complete(&Outcome::new(200, b"done")).expect("held");
    assert!(matches!(other.begin(&different), Ok(Admission::Mismatched)));
    assert!(matches!(other.begin(&request("key")), Ok(Admission::Replayed(_))));
    assert!(matches!(other.begin(&different), Ok(Admission::Mismatched)));
}

/// Goal: fencing tokens grow in the whole fleet, whichever host runs (I2). Method: attempts in turn
/// on two hosts, that fail, lapse, and finish.
#[test]
fn tokens_grow_across_hosts() {
    let hosts = Hosts::new(2);
    let mut last = 0;
    for round in 0..20 {
        let engine = &hosts.engines[round % 2];
        let lease = admitted(engine, &request("key"));
        assert_eq!(lease.attempt(), round as u32 + 1, "round {round}");
        assert!(lease.fencing_token().get() > last, "round {round}");
        last = lease.fencing_token().get();
        if round % 3 == 0 {
            std::mem::forget(lease);
            hosts.clock.advance(LEASE);
        } else {
            lease.fail(Failure::retryable()).expect("held");
        }
    }
}

/// Goal: a holder that was paused past its lease changes nothing of the attempt that follows on
/// another host (I3). Method: it completes, fails and renews late.
#[test]
fn a_late_holder_is_fenced() {
    let hosts = Hosts::new(2);
    let [one, other] = &hosts.engines[..] else { unreachable!() };
    let token = admitted(one, &request("key")).into_token();
    hosts.clock.advance(LEASE);
    let next = admitted(other, &request("key"));
    assert_eq!((next.attempt(), next.status()), (2, Status::Expired));
    assert!(one.renew(&token, LEASE).unwrap_err().is_fenced());
    assert!(one.complete(&token, &Outcome::new(200, b"late")).unwrap_err().is_fenced());
    next.complete(&Outcome::new(200, b"in time")).expect("held");
    for engine in [one, other] {
        let again = engine.begin(&request("key"));
        assert!(matches!(&again, Ok(Admission::Replayed(left)) if left.body() == b"in time"));
    }
}

/// Goal: a lease ends on its host before another one gets it, by the margin for clocks that differ.
/// Method: the deadline that the holder is told, and when the other host is admitted.
#[test]
fn a_lease_ends_here_before_it_ends_there() {
    let hosts = Hosts::new(2);
    let [one, other] = &hosts.engines[..] else { unreachable!() };
    let lease = admitted(one, &request("key"));
    let margin = LEASE / 50 + Duration::from_millis(10);
    assert_eq!(lease.remaining(), LEASE - margin);
    std::mem::forget(lease);
    hosts.clock.advance(LEASE - Duration::from_millis(1));
    assert!(matches!(other.begin(&request("key")), Ok(Admission::InProgress { .. })));
    hosts.clock.advance(Duration::from_millis(1));
    assert_eq!(admitted(other, &request("key")).attempt(), 2);
}

/// Goal: a renewal is the fleet's. Method: renewed on one host, the other is told how long it
/// lasts.
#[test]
fn a_renewal_is_seen_everywhere() {
    let hosts = Hosts::new(2);
    let [one, other] = &hosts.engines[..] else { unreachable!() };
    let mut lease = admitted(one, &request("key"));
    hosts.clock.advance(LEASE / 2);
    lease.renew(LEASE * 2).expect("held");
    hosts.clock.advance(LEASE);
    let elsewhere = other.begin(&request("key")).expect("an answer");
    assert!(matches!(elsewhere, Admission::InProgress { remaining, .. } if remaining == LEASE));
    lease.complete(&Outcome::new(200, b"done")).expect("held");
}

/// Goal: a failure that is final, a delay, and a doubt are the fleet's. Method: each on one host,
/// and what the other answers.
#[test]
fn every_end_is_seen_everywhere() {
    let hosts = Hosts::new(2);
    let [one, other] = &hosts.engines[..] else { unreachable!() };
    let declined = Outcome::new(402, b"declined");
    admitted(one, &request("a")).fail(Failure::terminal(declined.clone())).expect("held");
    assert!(
        matches!(other.begin(&request("a")), Ok(Admission::Replayed(left)) if left == declined)
    );

    let second = Duration::from_secs(1);
    admitted(one, &request("b")).fail(Failure::retryable_after(second)).expect("held");
    let later = other.begin(&request("b")).expect("an answer");
    assert!(matches!(later, Admission::Scheduled { next_attempt: 2, due_in } if due_in == second));
    hosts.clock.advance(second);
    assert_eq!(admitted(other, &request("b")).attempt(), 2);

    admitted(one, &request("c")).fail(Failure::unknown()).expect("held");
    for engine in [one, other] {
        assert!(matches!(engine.begin(&request("c")), Ok(Admission::Unresolved)));
    }
    let found_out = Resolution::Succeeded(Outcome::new(200, b"it did"));
    other.resolve(&request("c"), found_out).expect("unresolved");
    for engine in [one, other] {
        let answer = engine.begin(&request("c"));
        assert!(matches!(&answer, Ok(Admission::Replayed(left)) if left.body() == b"it did"));
    }

    admitted(one, &request("d")).fail(Failure::unknown()).expect("held");
    other.resolve(&request("d"), Resolution::RunAgain).expect("unresolved");
    assert_eq!(admitted(one, &request("d")).attempt(), 2);
}

/// Goal: a lapse follows the policy that the attempt began with, on every host. Method: a lapse of
/// each policy on one host, met on the other.
#[test]
fn a_lapse_follows_its_policy_everywhere() {
    for (policy, key) in [(OnLapse::Unknown, "unknown"), (OnLapse::Failed, "failed")] {
        let hosts = Hosts::with(2, |builder| builder.on_lapse(policy));
        let [one, other] = &hosts.engines[..] else { unreachable!() };
        std::mem::forget(admitted(one, &request(key)));
        hosts.clock.advance(LEASE);
        for engine in [other, one] {
            match (policy, engine.begin(&request(key)).expect("an answer")) {
                (OnLapse::Unknown, Admission::Unresolved) => {}
                (OnLapse::Failed, Admission::Replayed(left)) => assert_eq!(left.status(), 504),
                (_, other) => panic!("{policy:?}: {other:?}"),
            }
        }
    }
}

/// Goal: a lease that is dropped goes on by its policy in the whole fleet. Method: dropped on one
/// host, and begun on the other once the tier has heard of it.
#[test]
fn a_dropped_lease_is_free_everywhere() {
    let hosts = Hosts::new(2);
    let [one, other] = &hosts.engines[..] else { unreachable!() };
    drop(admitted(one, &request("key")));
    one.flush_tier(Duration::from_secs(10)).expect("the tier answers");
    assert_eq!(admitted(other, &request("key")).attempt(), 2);
}

/// Goal: hosts that could not meet each other's records are refused. Method: no secret was given.
#[test]
fn a_fleet_needs_one_secret() {
    let builder = oncegate::Engine::builder().capacity(1_000);
    let error = builder.tier(oncegate::tier::Memory::new()).build().unwrap_err();
    assert_eq!((error.code(), error.field()), (ErrorCode::InvalidConfig, "secret"));
}

/// Goal: a secret is not rotated while others share the records under it. Method: the call.
#[test]
fn a_secret_in_a_fleet_is_not_rotated() {
    let hosts = Hosts::new(1);
    let secret = oncegate::Secret::generate().expect("randomness");
    let error = hosts.engines[0].rotate_secret(secret).unwrap_err();
    assert_eq!((error.code(), error.field()), (ErrorCode::Unsupported, "rotate_secret"));
}

/// Goal: a batch gets the answers that its requests would get one by one. Method: new ones, one
/// that has finished elsewhere, one that runs elsewhere, one with another payload, and two that
/// come twice.
#[test]
fn a_batch_is_claimed_at_once() {
    let hosts = Hosts::new(2);
    let [one, other] = &hosts.engines[..] else { unreachable!() };
    admitted(other, &request("finished")).complete(&Outcome::new(200, b"there")).expect("held");
    let _running = admitted(other, &request("running"));
    let different = request("finished").payload(Payload::raw(b"200"));
    let requests = [
        request("new"),
        request("finished"),
        request("running"),
        request("finished"),
        request("new"),
        request("another"),
    ];
    let mut batch: Vec<_> = requests.iter().map(|it| one.prepare(it).expect("valid")).collect();
    batch.push(one.prepare(&different).expect("valid"));
    let mut answers = vec![String::new(); batch.len()];
    let mut leases = Vec::new();
    one.begin_batch(&batch, &BeginOptions::new(), &mut Outcome::default(), |index, answer| {
        answers[index] = match answer.expect("an answer") {
            Admission::Admitted(lease) => {
                leases.push(lease);
                "admitted".to_owned()
            }
            Admission::Replayed(outcome) => String::from_utf8_lossy(outcome.body()).into_owned(),
            Admission::InProgress { .. } => "running".to_owned(),
            Admission::Mismatched => "mismatched".to_owned(),
            other => format!("{other:?}"),
        };
    });
    let wanted = ["admitted", "there", "running", "there", "running", "admitted", "mismatched"];
    assert_eq!(answers, wanted);
    for lease in leases {
        lease.complete(&Outcome::new(200, b"here")).expect("held");
    }
    let again = other.begin(&request("another"));
    assert!(matches!(&again, Ok(Admission::Replayed(left)) if left.body() == b"here"));
}
