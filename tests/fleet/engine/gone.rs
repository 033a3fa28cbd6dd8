//! Engines that go while ends wait to be told. Until they told more than goes in one round trip,
//! the rest was lost.

use oncegate::{Admission, Engine, Failure, Outcome, TierStats};
use oncegate_rig::until;

use super::told_twice::counted;
use super::{Hosts, admitted, prepare, request};

fn stats(engine: &Engine) -> TierStats {
    engine.tier_stats().expect("open").expect("a tier")
}

/// Goal: an engine that is dropped tells all that the tier takes, however many ends wait. Method:
/// more than are told at once, all of which were refused before, and no time passes.
#[test]
fn who_goes_tells_all() {
    let hosts = Hosts::new(1);
    let (counted, one) = counted(&hosts);
    let [other] = &hosts.engines[..] else { unreachable!() };
    [&one, other].into_iter().for_each(prepare);
    counted.claimed.lock().unwrap().clear();
    let keys: Vec<&str> = (0..MANY).map(|n| &*format!("{n}").leak()).collect();
    let tokens: Vec<_> =
        keys.iter().map(|key| admitted(&one, &request(key)).into_token()).collect();
    counted.away.lock().unwrap().append(&mut counted.claimed.lock().unwrap());
    {
        // All of them come while the first is told: a few refusals open no breaker.
        let _shut = counted.gate.lock().unwrap();
        for token in &tokens {
            let failure = Failure::terminal(Outcome::new(422, b"no"));
            one.fail_soon(token, failure).expect("held");
        }
    }
    // In real time, as above.
    until("a try of each", || (stats(&one).unanswered == MANY).then_some(())).expect("in time");
    assert!(!stats(&one).breaker_open);
    counted.away.lock().unwrap().clear();
    drop(one);
    for key in keys {
        let answer = other.begin(&request(key));
        assert!(matches!(answer, Ok(Admission::Replayed(_))), "{key}: {answer:?}");
    }
}

/// More ends than the tier is told at once.
const MANY: u64 = 300;
