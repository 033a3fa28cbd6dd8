//! Grants of which a host hears late, or whose caller has left.

use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use oncegate::tier::{Fault, Memory, TierOptions};
use oncegate::{
    Admission, BeginOptions, Engine, Error, ErrorCode, ManualClock, OnConflict, OnLapse, Outcome,
};

use super::meanwhile::Meanwhile;
use super::waiting::patient;
use super::{Hosts, LEASE, admitted, host, prepare, request};

/// How a host begins.
#[derive(Clone, Copy, Debug)]
enum By {
    Call,
    Batch,
    Future,
}

fn begin(engine: &Engine, by: By) -> String {
    let (request, options) = (request("key"), BeginOptions::new());
    let told = |answer| match answer {
        Ok(Admission::Replayed(left)) => format!("{left:?}"),
        Ok(other) => format!("{other:?}"),
        Err(error) => refused(&error),
    };
    match by {
        By::Call => told(engine.begin(&request)),
        By::Future => told(super::waiting::block_on(engine.join(&request, &options))),
        By::Batch => {
            let (batch, mut answers) = ([engine.prepare(&request).expect("valid")], Vec::new());
            engine.begin_batch(&batch, &options, &mut Outcome::default(), |_, answer| {
                answers.push(match answer {
                    Ok(Admission::Replayed(left)) => format!("{left:?}"),
                    Ok(other) => format!("{other:?}"),
                    Err(error) => refused(&error),
                });
            });
            answers.concat()
        }
    }
}

fn refused(error: &Error) -> String {
    error.code().name().to_owned()
}

/// Goal: a grant whose lease is over before its host hears of it admits nobody: another host may
/// have run it (I1). Method: between a claim and its answer the lease ends, and another host runs
/// the request; by each way to begin.
#[test]
fn a_grant_that_comes_too_late_admits_nobody() {
    for by in [By::Call, By::Batch, By::Future] {
        let clock = ManualClock::new();
        let memory = Memory::with_clock(clock.clone());
        let way = Arc::new(Meanwhile::over(memory.clone()));
        let one = host(&clock, &Arc::new(memory.clone())).tier(Arc::clone(&way));
        let one = one.tier_options(TierOptions::new()).build().expect("opens");
        let other = host(&clock, &Arc::new(memory.clone())).build().expect("opens");
        prepare(&one);
        prepare(&other);
        way.after_a_claim(move || {
            clock.advance(LEASE);
            admitted(&other, &request("key")).complete(&Outcome::new(201, b"there")).expect("held");
        });
        let answer = begin(&one, by);
        assert!(answer.contains("201"), "{by:?}: {answer}");
        assert_eq!(one.tier_stats().expect("open").expect("a tier").conflicts, 0, "{by:?}");
    }
}

/// Goal: a grant that comes too late is taken back, though the next question is refused: what never
/// ran is in no doubt. Method: between a claim and its answer the lease ends, and the way to the
/// tier is cut; by each way to begin. The policy of the lease is that nobody knows. The grant was
/// forgotten where the last question was known not to have been carried out.
#[test]
fn a_grant_that_comes_too_late_is_taken_back() {
    for by in [By::Call, By::Batch, By::Future] {
        let clock = ManualClock::new();
        let memory = Memory::with_clock(clock.clone());
        let way = Arc::new(Meanwhile::over(memory.clone()));
        let one = host(&clock, &Arc::new(memory.clone())).tier(Arc::clone(&way));
        let one = one.on_lapse(OnLapse::Unknown).tier_options(TierOptions::new());
        let one = one.build().expect("opens");
        let other = host(&clock, &Arc::new(memory.clone())).build().expect("opens");
        prepare(&one);
        prepare(&other);
        let silent = Arc::clone(&way);
        way.after_a_claim(move || {
            clock.advance(LEASE);
            silent.cut_off(true);
        });
        assert_eq!(begin(&one, by), ErrorCode::TierUnavailable.name(), "{by:?}");
        way.cut_off(false);
        one.flush_tier(Duration::from_secs(10)).expect("the tier answers");
        assert_eq!(admitted(&other, &request("key")).attempt(), 1, "{by:?}");
    }
}

/// Goal: leases that are shorter than the way to the tier are an error, in the end.
/// Method: each claim takes longer than its lease.
#[test]
fn leases_that_never_arrive_are_refused() {
    let clock = ManualClock::new();
    let memory = Memory::with_clock(clock.clone());
    let way = Arc::new(Meanwhile::over(memory.clone()));
    let one = host(&clock, &Arc::new(memory.clone())).tier(Arc::clone(&way));
    let one = one.tier_options(TierOptions::new()).build().expect("opens");
    prepare(&one);
    let slow = Arc::clone(&way);
    way.after_a_claim(move || again_and_again(slow, clock));
    let error = one.begin(&request("key")).unwrap_err();
    assert_eq!(error.code(), ErrorCode::TierUnavailable, "{error}");
}

fn again_and_again(way: Arc<Meanwhile>, clock: ManualClock) {
    clock.advance(LEASE);
    let slow = Arc::clone(&way);
    way.after_a_claim(move || again_and_again(slow, clock));
}

/// Goal: what a batch was granted is not kept from its caller while another of its requests is
/// waited for: its lease would end meanwhile. Method: another host runs the first; it ends only
/// when the second was heard of.
#[test]
fn a_batch_hands_out_what_it_has_before_it_waits() {
    let hosts = Hosts::new(2);
    let [one, other] = &hosts.engines[..] else { unreachable!() };
    let running = admitted(other, &request("running"));
    let batch = ["running", "new"].map(|key| one.prepare(&request(key)).expect("valid"));
    let (heard, hears) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(|| {
            let options = BeginOptions::new().on_conflict(OnConflict::Wait(LEASE / 2));
            one.begin_batch(&batch, &options, &mut Outcome::default(), |index, answer| {
                let said = match answer.expect("an answer") {
                    Admission::Admitted(lease) => {
                        lease.complete(&Outcome::new(200, b"here")).expect("held");
                        "admitted"
                    }
                    Admission::Replayed(_) => "replayed",
                    _ => "neither",
                };
                heard.send((index, said)).expect("somebody listens");
            });
        });
        // Real time: what is not heard of by then never is.
        let first = hears.recv_timeout(Duration::from_secs(60));
        running.complete(&Outcome::new(200, b"there")).expect("held");
        assert_eq!(first, Ok((1, "admitted")));
        assert_eq!(hears.recv_timeout(Duration::from_secs(60)), Ok((0, "replayed")));
    });
}

/// Goal: whoever waits for another host, and leaves after a claim of which nobody knows, leaves
/// nothing in the tier. Method: the attempt elsewhere ends, the answer to the next claim is lost,
/// the future is dropped; another host begins. Some times, since the future may have asked again by
/// then.
#[test]
fn a_waiter_that_leaves_takes_back_what_it_may_have_got() {
    (0..12).for_each(|_| leave_after_a_lost_answer());
}

fn leave_after_a_lost_answer() {
    let hosts = Hosts::new(2);
    let [one, other] = &hosts.engines[..] else { unreachable!() };
    prepare(one);
    prepare(other);
    let running = admitted(other, &request("key"));
    {
        let (request, options) = (request("key"), patient());
        let mut join = pin!(one.join(&request, &options));
        let mut look = || join.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let stats = || one.tier_stats().expect("open").expect("a tier");
        while stats().waited == 0 {
            assert!(look().is_pending());
            thread::yield_now();
        }
        drop(running);
        other.flush_tier(Duration::from_secs(10)).expect("the tier answers");
        // News may have it ask again at once.
        hosts.memory.fault(Fault::LoseReply, LOST);
        // Until the claim was carried out whose reply was lost.
        while stats().unknown == 0 {
            assert!(look().is_pending());
            thread::yield_now();
        }
        assert!(look().is_pending());
    }
    // What is left of the faults meets these, and perhaps the breaker; the lease lasts longer.
    let again = (0..LEASE.as_millis() / 100).find_map(|_| {
        hosts.clock.advance(Duration::from_millis(50));
        let _ = one.flush_tier(Duration::ZERO);
        match other.begin(&request("key")) {
            Ok(Admission::Admitted(lease)) => Some(lease),
            _ => None,
        }
    });
    assert!(again.is_some(), "it still holds what it may have got");
}

/// How many answers are lost.
const LOST: usize = 5;
