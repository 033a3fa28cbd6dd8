//! How soon the tier hears what it could not be told.

use std::time::Duration;

use oncegate::tier::Fault;
use oncegate::{Admission, BeginOptions, Completed, Outcome};
use oncegate_rig::until;

use super::waiting::block_on;
use super::{Hosts, admitted, prepare, request};

/// Goal: an end that could not be told is told as soon as the tier answers anybody again, and not
/// only when its own next try is due: its lease may end before, and then another host runs the
/// request again. Method: an end that has failed four times more, so that its next try is far; then
/// a claim is answered, and no time passes.
#[test]
fn an_end_is_told_as_soon_as_the_tier_answers() {
    let hosts = Hosts::new(2);
    let [one, other] = &hosts.engines[..] else { unreachable!() };
    prepare(one);
    let lease = admitted(one, &request("key"));
    let stats = || one.tier_stats().expect("open").expect("a tier");
    hosts.memory.fault(Fault::Refuse, TRIES);
    let completed = lease.complete(&Outcome::new(200, b"done")).expect("held");
    assert_eq!(completed, Completed::StoredHere);
    let mut wait = FIRST_WAIT;
    for tried in 2..=TRIES {
        // The thread of the engine runs in real time: this waits for what it has counted.
        let has_tried = || (stats().unanswered == tried as u64).then_some(());
        until("the next try", has_tried).expect("in time");
        if tried < TRIES {
            wait *= 2;
            hosts.clock.advance(wait);
        }
    }
    assert!(stats().breaker_open && stats().undelivered == 1, "{:?}", stats());
    let rest = one.begin(&request("new")).unwrap_err().retry_after().expect("known");
    assert!(rest < wait * 2, "the next try of the end is later: {rest:?}");
    hosts.clock.advance(rest);
    // Twice: what the thread is asked after the first answer comes behind the end.
    let _kept = ["new", "behind"].map(|key| {
        let begun = block_on(one.begin_async(&request(key), &BeginOptions::new()));
        assert!(matches!(begun, Ok(Admission::Admitted(_))), "{key}: {begun:?}");
        begun
    });
    assert_eq!((stats().undelivered, stats().delivered_late), (0, 1), "no time has passed");
    assert!(matches!(other.begin(&request("key")), Ok(Admission::Replayed(_))));
}

/// As many failures as the breaker opens at: of the end itself, and of its next tries.
const TRIES: usize = 5;
/// Between two tries of an end; doubled by each failure, the first one too.
const FIRST_WAIT: Duration = Duration::from_millis(50);
