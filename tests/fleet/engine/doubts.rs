//! Attempts of which nobody knows whether they took effect, and what the tier has of others.

use std::time::Duration;

use oncegate::tier::{OnOutage, TierOptions};
use oncegate::{Admission, BeginOptions, Failure, OnLapse, Outcome, Resolution};

use super::{Hosts, LEASE, admitted, prepare, request};

/// Goal: an attempt in doubt does not run again for what the tier has of another one, which is no
/// word on it (I1). Method: a request that failed, on the same host or on another one, and waits; a
/// host that is cut off admits it alone and loses its lease, with the policy that nobody knows;
/// then it is asked again, while the other attempt waits, its successor runs, and has run.
#[test]
fn a_doubt_is_not_settled_by_another_attempt() {
    (0..2).for_each(not_settled_by_an_attempt_of);
}

fn not_settled_by_an_attempt_of(host: usize) {
    let hosts = Hosts::with(2, |builder| {
        builder.tier_options(TierOptions::new().on_outage(OnOutage::LocalOnly))
    });
    let [one, other] = &hosts.engines[..] else { unreachable!() };
    prepare(one);
    prepare(other);
    let failing = admitted(&hosts.engines[host], &request("key"));
    failing.fail(Failure::retryable()).expect("held");
    hosts.links[0].cut_off(true);
    let options = BeginOptions::new().on_lapse(OnLapse::Unknown);
    match one.begin_with(&request("key"), &options) {
        Ok(Admission::Admitted(lease)) => {
            assert!(lease.is_local_only());
            // Its process hangs.
            std::mem::forget(lease);
        }
        answer => panic!("{answer:?}"),
    }
    hosts.clock.advance(LEASE);
    hosts.links[0].cut_off(false);
    let is_in_doubt = |when: &str| {
        let answer = one.begin(&request("key"));
        assert!(matches!(answer, Ok(Admission::Unresolved)), "{when}: {answer:?}");
    };
    is_in_doubt("it waits");
    let running = admitted(other, &request("key"));
    is_in_doubt("it runs");
    running.complete(&Outcome::new(201, b"there")).expect("held");
    // Whatever that came to is the outcome.
    let answer = one.begin(&request("key"));
    assert!(matches!(&answer, Ok(Admission::Replayed(left)) if left.status() == 201), "{answer:?}");
}

/// Goal: what somebody finds out anywhere settles a doubt on the host that has it, while it waits
/// to run again and once it has. Method: in doubt on one host, settled on another one.
#[test]
fn a_doubt_is_settled_from_elsewhere() {
    let hosts = Hosts::new(2);
    let [one, other] = &hosts.engines[..] else { unreachable!() };
    for (key, runs) in [("waits", false), ("has run", true)] {
        admitted(one, &request(key)).fail(Failure::unknown()).expect("held");
        other.resolve(&request(key), Resolution::RunAgain).expect("unresolved");
        if runs {
            admitted(other, &request(key)).complete(&Outcome::new(201, b"there")).expect("held");
            assert!(matches!(one.begin(&request(key)), Ok(Admission::Replayed(_))), "{key}");
        } else {
            assert_eq!(admitted(one, &request(key)).attempt(), 2, "{key}");
        }
        one.flush_tier(Duration::from_secs(10)).expect("the tier answers");
    }
}
