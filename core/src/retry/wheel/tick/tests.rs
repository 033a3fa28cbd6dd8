//! Times and ticks.

use proptest::prelude::*;

use super::*;
use crate::retry::wheel::tests::seeded;

/// Goal: a timer is never early, and less than a tick late. Method: random lengths and times; the
/// due tick starts at or after the time, the tick before it starts earlier; the present is the
/// other way round.
#[test]
fn ticks_round_away_from_early() {
    let seconds = 0..400 * 366 * 24 * 3_600_u64;
    proptest!(seeded(256), |(length in SHORTEST..=LONGEST, exact in any::<bool>(),
        seconds in seconds, nanos in 0..1_000_000_000_u32)| {
        let length = if exact { MILLISECOND } else { length };
        let tick = Tick::new(Duration::from_nanos(length)).expect("within limits");
        let time = Duration::new(seconds, nanos);
        let (due, now) = (tick.due(time), tick.now(time));
        prop_assert!(tick.start(due) >= time && tick.start(now) <= time);
        prop_assert!(due == 0 || tick.start(due - 1) < time);
        prop_assert!(tick.start(now + 1) > time);
    });
}

/// Goal: limits are typed, and ends of ranges do not overflow. Method: one beyond each limit, and
/// the longest duration.
#[test]
fn lengths_have_limits() {
    for nanos in [0, SHORTEST - 1, LONGEST + 1] {
        let error = Tick::new(Duration::from_nanos(nanos)).expect_err("outside");
        assert_eq!((error.code(), error.field()), (ErrorCode::InvalidOption, "tick"));
    }
    assert!(Tick::new(Duration::MAX).is_err());
    for nanos in [SHORTEST, MILLISECOND, LONGEST] {
        let tick = Tick::new(Duration::from_nanos(nanos)).expect("within limits");
        assert!(tick.due(Duration::MAX) >= tick.now(Duration::MAX));
        assert!(tick.start(u64::MAX) > Duration::from_secs(1 << 30));
    }
}
