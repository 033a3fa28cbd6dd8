//! Leases that are claimed for less than they last, and renewed by the engine.

use std::time::Duration;

use oncegate::tier::TierOptions;
use oncegate::{Admission, BeginOptions, Engine, Outcome};

use super::waiting::block_on;
use super::{Hosts, LEASE, admitted, request};

const SLICE: Duration = Duration::from_secs(3);

fn sliced() -> Hosts {
    Hosts::with(2, |builder| builder.tier_options(TierOptions::new().lease_slice(SLICE)))
}

/// Waits until the other host is told that the lease lasts for longer than `least`.
fn until_renewed(other: &Engine, least: Duration) {
    loop {
        match other.begin(&request("key")).expect("an answer") {
            Admission::InProgress { remaining, .. } if remaining > least => return,
            Admission::InProgress { .. } => std::thread::yield_now(),
            answer => panic!("{answer:?}"),
        }
    }
}

/// Goal: a lease that lasts longer than its slice is kept by the engine, for as long as it was
/// asked for and no longer. Method: the clock in steps of a third of a slice, with a look from the
/// other host at each; then past the end.
#[test]
fn the_engine_keeps_a_lease() {
    let hosts = sliced();
    let [one, other] = &hosts.engines[..] else { unreachable!() };
    let lease = admitted(one, &request("key"));
    let step = SLICE / 3;
    let mut passed = Duration::ZERO;
    while passed + SLICE < LEASE {
        hosts.clock.advance(step);
        passed += step;
        until_renewed(other, SLICE - step);
        // Its own host knows it as well, without the store.
        let here = || match one.begin(&request("key")).expect("an answer") {
            Admission::InProgress { remaining, .. } => remaining,
            answer => panic!("{answer:?}"),
        };
        while here() <= SLICE - step {
            std::thread::yield_now();
        }
    }
    std::mem::forget(lease);
    hosts.clock.advance(SLICE);
    assert_eq!(admitted(other, &request("key")).attempt(), 2, "not beyond what was asked for");
}

/// Goal: a lease that its holder renews for longer is kept by the engine for that long. Method: the
/// same, beyond what was asked for at first.
#[test]
fn the_engine_keeps_a_lease_that_was_renewed() {
    let hosts = sliced();
    let [one, other] = &hosts.engines[..] else { unreachable!() };
    let mut lease = admitted(one, &request("key"));
    lease.renew(LEASE * 2).expect("held");
    let mut passed = Duration::ZERO;
    while passed < LEASE + SLICE {
        hosts.clock.advance(SLICE / 3);
        passed += SLICE / 3;
        until_renewed(other, SLICE - SLICE / 3);
    }
    lease.complete(&Outcome::new(200, b"done")).expect("held");
}

/// Goal: a host that cannot renew loses the lease here before it ends there. Method: renewals that
/// fail until the slice is over: fenced here by the margin, admitted there.
#[test]
fn who_cannot_renew_is_fenced_in_time() {
    let hosts = sliced();
    let [one, other] = &hosts.engines[..] else { unreachable!() };
    let lease = admitted(one, &request("key"));
    let token = lease.into_token();
    let margin = SLICE / 50 + Duration::from_millis(10);
    hosts.links[0].cut_off(true);
    hosts.clock.advance(SLICE - margin);
    assert!(one.begin(&request("key")).is_err(), "here its lease is over, and the tier is away");
    assert!(one.complete(&token, &Outcome::new(200, b"late")).unwrap_err().is_fenced());
    hosts.links[0].cut_off(false);
    // What its thread is asked comes behind what it has to renew.
    let answer = block_on(one.begin_async(&request("other"), &BeginOptions::new()));
    assert!(matches!(answer, Ok(Admission::Admitted(_))), "{answer:?}");
    assert!(matches!(other.begin(&request("key")), Ok(Admission::InProgress { .. })));
    hosts.clock.advance(margin);
    assert_eq!(admitted(other, &request("key")).attempt(), 2);
}
