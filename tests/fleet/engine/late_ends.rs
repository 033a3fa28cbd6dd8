//! Ends of attempts that are lost on their host while the tier gives no answer.

use std::sync::Arc;
use std::time::Duration;

use oncegate::tier::{Memory, TierOptions};
use oncegate::{Admission, Engine, ErrorCode, Failure, ManualClock, Outcome};

use super::meanwhile::Meanwhile;
use super::{LEASE, admitted, host, prepare, request};

/// Goal: an end is refused for good (`Fenced`) only where it does not count: an attempt that its
/// host has lost while the tier was silent may still count there. Method: while an end is on its
/// way, its lease ends, and a duplicate on the same host asks the silent tier in vain.
#[test]
fn an_end_that_may_count_is_not_fenced() {
    for completes in [true, false] {
        let clock = ManualClock::new();
        let memory = Memory::with_clock(clock.clone());
        let silent = Arc::new(Meanwhile::over(memory.clone()));
        let one = host(&clock, &Arc::new(memory.clone()));
        let one = one.tier(Arc::clone(&silent)).tier_options(TierOptions::new()).build();
        let one: Arc<Engine> = Arc::new(one.expect("opens"));
        let other = host(&clock, &Arc::new(memory.clone())).build().expect("opens");
        prepare(&one);
        let lease = admitted(&one, &request("key"));
        let (duplicate, way) = (Arc::clone(&one), Arc::clone(&silent));
        silent.before_an_end(move || {
            clock.advance(LEASE - Duration::from_millis(1));
            way.cut_off(true);
            let error = duplicate.begin(&request("key")).unwrap_err();
            assert_eq!(error.code(), ErrorCode::TierUnavailable);
        });
        let error = if completes {
            lease.complete(&Outcome::new(200, b"done")).unwrap_err()
        } else {
            lease.fail(Failure::terminal(Outcome::new(422, b"no"))).unwrap_err()
        };
        assert_eq!(error.code(), ErrorCode::TierUnavailable, "{error}");
        silent.cut_off(false);
        one.flush_tier(Duration::from_secs(10)).expect("the tier answers");
        let status = if completes { 200 } else { 422 };
        for engine in [&*one, &other] {
            let again = engine.begin(&request("key"));
            let counts = matches!(&again, Ok(Admission::Replayed(left)) if left.status() == status);
            assert!(counts, "{again:?}");
        }
    }
}
