use std::time::Duration;

use super::nanos_since;
use crate::clock::{Clock, PreciseClock};

/// Goal: a clock that goes back costs a latency, and not the call. Method: a call that began when
/// the clock showed more than now, and one that began a millisecond ago.
#[test]
fn a_clock_may_go_back() {
    let now = PreciseClock.now();
    assert_eq!(nanos_since(now + Duration::from_secs(3_600)), 0);
    assert!(nanos_since(now.saturating_sub(Duration::from_millis(1))) >= 1_000_000);
}
