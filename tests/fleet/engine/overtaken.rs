//! What the table has just ended, and the tier is to hear of: whoever hears of it here at once does
//! not come before that. Until a burial and a doubt were told after the table had them, a redrive
//! and a resolution in between were undone when the tier heard of them.

use std::future::Future;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use oncegate::tier::{Memory, TierOptions};
use oncegate::{
    AttemptError, BackoffPolicy, BeginOptions, Engine, ErrorCode, Failure, Later, LetterFilter,
    ManualClock, Outcome, Resolution, RetryContext, RetryPolicy, TierStats,
};
use oncegate_rig::until;

use super::{LEASE, admitted, host, prepare, request};

fn stats(engine: &Engine) -> TierStats {
    engine.tier_stats().expect("open").expect("a tier")
}

/// Does something when it is woken first.
struct AtOnce(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl AtOnce {
    fn waker(does: impl FnOnce() + Send + 'static) -> Waker {
        Waker::from(Arc::new(Self(Mutex::new(Some(Box::new(does))))))
    }
}

impl Wake for AtOnce {
    fn wake(self: Arc<Self>) {
        let does = self.0.lock().unwrap().take();
        if let Some(does) = does {
            does();
        }
    }
}

/// Options by which whoever meets an end that is under way gives up at once.
fn impatient() -> TierOptions {
    TierOptions::new().deadline(Duration::from_millis(1))
}

/// Goal: a redrive that comes the moment a letter can be seen gets ahead of no burial: the tier
/// would hear of that later, and the attempt be lost. Method: whoever waits for the attempt is
/// woken in the middle of the burial, by its holder and by its lapse, and redrives; where that is
/// refused, once more after it.
#[test]
fn a_redrive_does_not_overtake_the_burial() {
    let clock = ManualClock::new();
    let memory = Arc::new(Memory::with_clock(clock.clone()));
    let policy = RetryPolicy::new(BackoffPolicy::constant(Duration::from_secs(1)));
    let one = host(&clock, &memory).tier_options(impatient());
    let one = Arc::new(one.retry_policy(policy.max_attempts(2)).build().expect("opens"));
    prepare(&one);
    let redrive = |engine: &Engine| {
        let listed = engine.dead_letters(&LetterFilter::all(), None, 10).expect("open").letters;
        engine.redrive(listed[0].id).map_err(|error| error.code())
    };
    let (error, context) = (AttemptError::new("503"), RetryContext::new("charge", b"key"));
    for (key, lapses) in [("fails", false), ("lapses", true)] {
        let _ = admitted(&one, &request(key)).retry_later(&error, &context).expect("held");
        clock.advance(Duration::from_secs(1));
        let last = one.next_attempt(Duration::ZERO).expect("open").expect("it is due");
        let ((says, said), woken) = (mpsc::channel(), Arc::clone(&one));
        let waker = AtOnce::waker(move || says.send(redrive(&woken)).expect("somebody listens"));
        let mut join = Box::pin(one.join(&request(key), &BeginOptions::new()));
        assert!(join.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        if lapses {
            std::mem::forget(last);
            clock.advance(LEASE);
            one.sweep(usize::MAX).expect("open");
        } else {
            let buried = last.into_lease().retry_later(&error, &context);
            assert!(matches!(buried, Ok(Later::Buried { .. })), "{buried:?}");
        }
        match said.try_recv().expect("it was woken") {
            Ok(()) => {}
            Err(code) => {
                assert_eq!(code, ErrorCode::TierUnavailable, "{key}");
                one.flush_tier(Duration::from_secs(10)).expect("the tier answers");
                redrive(&one).expect("the tier has heard of it");
            }
        }
        let again = one.next_attempt(Duration::ZERO).expect("open").expect("it was redriven");
        again.into_lease().complete(&Outcome::new(200, b"at last")).expect("held");
        assert_eq!(stats(&one).conflicts, 0, "{key}");
    }
}

/// Goal: what somebody finds out about an attempt in doubt is not undone by the word of that doubt,
/// of which the tier hears later. Method: whoever waits for the attempt is woken while it is given
/// up, by each way that does not wait for the tier, and resolves it; where that is refused, once
/// more after it.
#[test]
fn a_doubt_is_told_before_it_can_be_resolved() {
    let clock = ManualClock::new();
    let memory = Arc::new(Memory::with_clock(clock.clone()));
    let one = host(&clock, &memory).tier_options(impatient());
    let one = Arc::new(one.build().expect("opens"));
    prepare(&one);
    let resolve = |engine: &Engine, key| {
        let resolved = engine.resolve(&request(key), Resolution::RunAgain);
        resolved.map_err(|error| error.code())
    };
    for (key, leaves) in [("soon", false), ("leaves", true)] {
        let token = admitted(&one, &request(key)).into_token();
        let ((says, said), woken) = (mpsc::channel(), Arc::clone(&one));
        let waker = AtOnce::waker(move || {
            says.send(resolve(&woken, key)).expect("somebody listens");
        });
        let mut join = Box::pin(one.join(&request(key), &BeginOptions::new()));
        assert!(join.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        if leaves {
            // The future's own question is refused, and it is dropped without a look at that.
            memory.cut_off(true);
            let before = stats(&one).unanswered;
            let mut failing = Box::pin(one.fail_async(&token, Failure::unknown()));
            // A porter that is faster leaves the answer before the look, which is then the end.
            let polled = failing.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            // In real time: this waits for what the thread of the engine has counted.
            let refused = || (stats(&one).unanswered > before).then_some(());
            until("the refusal", refused).expect("in time");
            memory.cut_off(false);
            drop((polled, failing));
        } else {
            one.fail_soon(&token, Failure::unknown()).expect("held");
        }
        match said.try_recv().expect("it was woken") {
            Ok(()) => {}
            Err(code) => {
                assert_eq!(code, ErrorCode::TierUnavailable, "{key}");
                one.flush_tier(Duration::from_secs(10)).expect("the tier answers");
                resolve(&one, key).expect("the tier has heard of it");
            }
        }
        one.flush_tier(Duration::from_secs(10)).expect("the tier answers");
        assert_eq!(admitted(&one, &request(key)).attempt(), 2, "{key}");
    }
}
