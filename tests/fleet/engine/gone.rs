//! Engines that go while ends wait to be told. Until they told more than goes in one round trip,
//! the rest was lost; and one that went on its own thread waited for itself.

use std::future::Future;
use std::pin::Pin;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use oncegate::{Admission, BeginOptions, Engine, Failure, Outcome, TierStats};
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

/// A task that is given up when it is woken.
struct GivenUp(Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>, Sender<()>);

impl Wake for GivenUp {
    fn wake(self: Arc<Self>) {
        drop(self.0.lock().unwrap().take());
        self.1.send(()).expect("somebody listens");
    }
}

/// Goal: the last who has an engine may let go of it on a thread of the engine's own, which does
/// not wait for itself. Method: a task that has it is given up when the tier's answer wakes it.
#[test]
fn the_thread_that_lets_go_of_an_engine_may_be_its_own() {
    let hosts = Hosts::new(1);
    let (counted, one) = counted(&hosts);
    prepare(&one);
    let (gone, goes) = channel();
    let asks = async move {
        let _ = one.begin_async(&request("key"), &BeginOptions::new()).await;
    };
    let task = Arc::new(GivenUp(Mutex::new(Some(Box::pin(asks))), gone));
    {
        let _shut = counted.gate.lock().unwrap();
        let waker = Waker::from(Arc::clone(&task));
        let mut asks = task.0.lock().unwrap();
        let polled = asks.as_mut().unwrap().as_mut().poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
    }
    goes.recv_timeout(Duration::from_secs(60)).expect("it hangs, or has ended in a panic");
    // What it may have got is given back all the same.
    let [other] = &hosts.engines[..] else { unreachable!() };
    let free = || matches!(other.begin(&request("key")), Ok(Admission::Admitted(_))).then_some(());
    until("the attempt", free).expect("in time");
}
