//! Every fault with every operation, before the server executes it and after.

use oncegate::{Admission, Error, Failure, Lease, Resolution};
use oncegate_rig::{Action, Close, Direction, Rule, Toxic, present, until};

use super::site::{DEADLINE, Host, Site, outcome, request};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// The connection is reset.
    Reset,
    /// The other side is gone without a word; what was sent arrives late.
    HalfOpen,
    /// No connection can be made for a while.
    Down,
    /// It takes longer than the deadline.
    Latency,
    /// It comes in pieces.
    Slices,
    /// The server is stopped for a while.
    Paused,
    /// The server is killed, and started again with its log.
    Killed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Claim,
    Complete,
    Fail,
    Renew,
    Replay,
    Settle,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Before,
    After,
}

const FAULTS: [Fault; 7] = [
    Fault::Reset,
    Fault::HalfOpen,
    Fault::Down,
    Fault::Latency,
    Fault::Slices,
    Fault::Paused,
    Fault::Killed,
];
const OPERATIONS: [Operation; 6] = [
    Operation::Claim,
    Operation::Complete,
    Operation::Fail,
    Operation::Renew,
    Operation::Replay,
    Operation::Settle,
];

/// Goal: whatever goes wrong with whichever operation, before it is executed or after, the effect
/// happens once and is not lost (I1, I4). Method: each combination on a server of its own; clients
/// try on both hosts until both replay, and effects are counted.
#[test]
fn no_fault_makes_an_effect_happen_twice() {
    if !present("faults between engines and Redis") {
        return;
    }
    let mut refused = 0;
    for fault in FAULTS {
        let site = Site::new();
        for operation in OPERATIONS {
            for when in [When::Before, When::After] {
                refused += u32::from(combination(&site, fault, operation, when).is_err());
            }
        }
    }
    let all = FAULTS.len() * OPERATIONS.len() * 2;
    println!("faults: {all} combinations, {refused} calls refused, no effect twice, none lost");
}

/// `Err`: the operation was refused, as it may be.
fn combination(site: &Site, fault: Fault, operation: Operation, when: When) -> Result<(), Error> {
    let what = format!("{fault:?} {when:?} {operation:?}");
    let key = &what;
    let [one, other] = &site.hosts;
    // The last fault may have left the breaker open, or a quarantine.
    for host in &site.hosts {
        site.settle_one(host, &format!("{what}: ready"));
    }
    let troubled = |host: &Host, call: &mut dyn FnMut() -> Result<(), Error>| {
        with(site, host, (fault, when), call)
    };
    let answer = match operation {
        Operation::Claim => troubled(one, &mut || site.begin(one, key).map(drop)),
        Operation::Complete => {
            let mut lease = Some(admitted(one, key));
            site.effect(key, one, lease.as_ref().expect("held"));
            troubled(one, &mut || lease.take().expect("once").complete(&outcome(key)).map(drop))
        }
        Operation::Fail => {
            let mut lease = Some(admitted(one, key));
            troubled(one, &mut || lease.take().expect("once").fail(Failure::retryable()))
        }
        Operation::Renew => {
            let mut lease = admitted(one, key);
            let renewed = troubled(one, &mut || lease.renew(std::time::Duration::from_secs(30)));
            site.effect(key, one, &lease);
            lease.complete(&outcome(key)).unwrap_or_else(|error| panic!("{what}: {error}"));
            renewed
        }
        Operation::Replay => {
            site.run(one, key);
            troubled(other, &mut || other.engine.begin(&request(key)).map(drop))
        }
        Operation::Settle => {
            let lease = admitted(one, key);
            site.effect(key, one, &lease);
            lease.fail(Failure::unknown()).unwrap_or_else(|error| panic!("{what}: {error}"));
            let settle =
                || other.engine.resolve(&request(key), Resolution::Succeeded(outcome(key)));
            let settled = troubled(other, &mut || settle());
            // One that was carried out is not found a second time.
            let found_out = || match settle() {
                Ok(()) => Some(()),
                Err(error) if error.is_retriable() => None,
                Err(_) => Some(()),
            };
            until(&what, found_out).unwrap_or_else(|error| panic!("{error}"));
            settled
        }
    };
    site.settle(key, &what);
    let effects = site.effects(key);
    assert_eq!(effects.len(), 1, "{what}: {effects:?}");
    answer
}

/// Makes `call` while the way of `host` is troubled, and mends it.
fn with(
    site: &Site,
    host: &Host,
    (fault, when): (Fault, When),
    call: &mut dyn FnMut() -> Result<(), Error>,
) -> Result<(), Error> {
    let proxy = &host.proxy;
    let rule = |before, after| {
        let action = if when == When::Before { before } else { after };
        proxy.rule(Rule::new(action).command("EVALSHA"));
    };
    let lost = |close| rule(Action::DropRequest(close), Action::DropReply(close));
    let direction = if when == When::Before { Direction::Upstream } else { Direction::Downstream };
    let latency = Toxic::Latency { latency: DEADLINE * 2, jitter: DEADLINE / 10 };
    let slices = Toxic::Slicer { size: 7, variation: 3, delay: std::time::Duration::ZERO };
    let answer = match fault {
        Fault::Reset => {
            lost(Close::Reset);
            call()
        }
        Fault::HalfOpen => {
            rule(Action::HoldRequest, Action::HoldReply);
            call()
        }
        Fault::Latency | Fault::Slices => {
            proxy.add(direction, if fault == Fault::Latency { latency } else { slices });
            call()
        }
        Fault::Down if when == When::Before => {
            proxy.down().expect("it can be taken down");
            call()
        }
        Fault::Down => {
            lost(Close::Fin);
            proxy.refuse_new().expect("it can refuse");
            call()
        }
        Fault::Paused if when == When::Before => {
            site.server().pause().expect("it can be stopped");
            call()
        }
        Fault::Killed if when == When::Before => {
            site.server().kill();
            call()
        }
        Fault::Paused | Fault::Killed => {
            rule(Action::HoldReply, Action::HoldReply);
            let replies = proxy.counts().replies;
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    proxy.wait_for(|counts| counts.replies > replies).expect("it executes");
                    match fault {
                        Fault::Paused => site.server().pause().expect("it can be stopped"),
                        _ => site.server().kill(),
                    }
                });
                call()
            })
        }
    };
    mend(site, host, fault);
    answer
}

fn mend(site: &Site, host: &Host, fault: Fault) {
    host.proxy.clear_rules();
    host.proxy.release();
    host.proxy.heal();
    match fault {
        Fault::Down => host.proxy.up().expect("the port is free"),
        Fault::Paused => site.server().resume().expect("it goes on"),
        Fault::Killed => site.server().restart().expect("it starts again"),
        _ => {}
    }
}

/// The lease of a new request.
fn admitted<'h>(host: &'h Host, key: &str) -> Lease<'h> {
    match host.engine.begin(&request(key)) {
        Ok(Admission::Admitted(lease)) => lease,
        other => panic!("{key}: {other:?}"),
    }
}
