//! Wakers and hooks that panic on the engine's own thread: until they were held off, it ended with
//! the first, and whoever asked the tier without blocking waited for ever.

use std::future::Future;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::Duration;

use oncegate::tier::{OnOutage, TierOptions};
use oncegate::{Admission, BeginOptions, Completed, Outcome};

use super::told_twice::counted;
use super::waiting::block_on;
use super::{Hosts, admitted, prepare, request};

/// A waker that fails.
struct Fails;

impl Wake for Fails {
    fn wake(self: Arc<Self>) {
        panic!("as the test asked for");
    }
}

/// Goal: a task whose waker panics keeps nobody else from an answer. Method: two that are answered
/// together, the first of which panics, and a third one after them.
#[test]
fn a_waker_that_panics_harms_nobody_else() {
    let hosts = Hosts::new(1);
    let (counted, one) = counted(&hosts);
    prepare(&one);
    let (one, waker) = (Arc::new(one), Waker::from(Arc::new(Fails)));
    let (options, first) = (BeginOptions::new(), request("first of two"));
    let mut fails = Box::pin(one.begin_async(&first, &options));
    let (heard, hears) = channel();
    {
        let _shut = counted.gate.lock().unwrap();
        assert!(fails.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        let one = Arc::clone(&one);
        // It is left behind where it is never answered.
        thread::spawn(move || {
            for key in ["second of two", "third"] {
                let begun = block_on(one.begin_async(&request(key), &BeginOptions::new()));
                let runs = matches!(begun, Ok(Admission::Admitted(_)));
                heard.send(runs).expect("somebody listens");
            }
        });
    }
    for _ in 0..2 {
        assert_eq!(hears.recv_timeout(Duration::from_secs(60)), Ok(true), "it was not answered");
    }
    one.flush_tier(Duration::from_secs(10)).expect("nothing is on its way");
}

/// Goal: a hook that panics loses nothing of what is told with it, nor the thread that tells.
/// Method: two requests that ran on two hosts, and one that did not, all of which are told late.
#[test]
fn a_hook_that_panics_harms_nobody() {
    let hosts = Hosts::with(2, |builder| {
        let options = TierOptions::new().on_outage(OnOutage::LocalOnly);
        builder.tier_options(options.on_conflict(|_| panic!("as the test asked for")))
    });
    let [one, other] = &hosts.engines[..] else { unreachable!() };
    hosts.engines.iter().for_each(prepare);
    hosts.links[0].cut_off(true);
    for key in ["first of two", "second of two", "alone"] {
        let completed = admitted(one, &request(key)).complete(&Outcome::new(200, b"one"));
        assert_eq!(completed.expect("held"), Completed::StoredHere, "{key}");
    }
    for key in ["first of two", "second of two"] {
        admitted(other, &request(key)).complete(&Outcome::new(200, b"other")).expect("held");
    }
    hosts.links[0].cut_off(false);
    // Its breaker lets the tier alone for a while.
    hosts.clock.advance(Duration::from_secs(60));
    one.flush_tier(Duration::from_secs(10)).expect("the tier answers");
    let stats = one.tier_stats().expect("open").expect("a tier");
    assert_eq!((stats.conflicts, stats.undelivered, stats.delivered_late), (2, 0, 1));
    let again = other.begin(&request("alone"));
    assert!(matches!(&again, Ok(Admission::Replayed(left)) if left.body() == b"one"), "{again:?}");
    let begun = block_on(one.begin_async(&request("new"), &BeginOptions::new()));
    assert!(matches!(begun, Ok(Admission::Admitted(_))), "{begun:?}");
}
