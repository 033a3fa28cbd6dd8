//! Renewals that are slow: until leases had locks of their own, they kept all others waiting.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use oncegate::tier::{Memory, TierOptions};
use oncegate::{Admission, BeginOptions, ManualClock};

use super::meanwhile::Meanwhile;
use super::waiting::block_on;
use super::{LEASE, admitted, host, prepare, request};

/// Goal: a renewal that the tier does not answer keeps neither another one waiting, whose lease may
/// end before, nor what is asked without blocking. Method: one that is held, another one, and a
/// future.
#[test]
fn a_renewal_keeps_no_other_waiting() {
    let clock = ManualClock::new();
    let memory = Memory::with_clock(clock.clone());
    let way = Arc::new(Meanwhile::over(memory.clone()));
    let one = host(&clock, &Arc::new(memory)).tier(Arc::clone(&way));
    let one = Arc::new(one.tier_options(TierOptions::new()).build().expect("opens"));
    prepare(&one);
    let tokens = ["slow", "other"].map(|key| admitted(&one, &request(key)).into_token());
    let ((holds, held), (go, goes)) = (channel(), channel());
    way.before_a_renewal(move || {
        holds.send(()).expect("somebody listens");
        goes.recv().expect("somebody lets it go");
    });
    let [slow, other] = tokens;
    let (renewing, renewed) = (Arc::clone(&one), channel());
    let slow = thread::spawn(move || renewing.renew(&slow, LEASE).map(drop));
    held.recv().expect("it is under way");
    // They are left behind where they wait.
    let (renewing, heard) = (Arc::clone(&one), renewed.0.clone());
    thread::spawn(move || heard.send(renewing.renew(&other, LEASE).is_ok()));
    let (asking, heard) = (Arc::clone(&one), renewed.0);
    thread::spawn(move || {
        let begun = block_on(asking.begin_async(&request("new"), &BeginOptions::new()));
        heard.send(matches!(begun, Ok(Admission::Admitted(_))))
    });
    let answers = [(); 2].map(|()| renewed.1.recv_timeout(Duration::from_secs(60)));
    go.send(()).expect("it is held");
    assert_eq!(answers, [Ok(true); 2], "they waited for it");
    slow.join().expect("no panic").expect("held");
}
