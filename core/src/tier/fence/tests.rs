//! The clock of the tokens.

use proptest::prelude::*;

use super::{FenceClock, MAX_MS};

const START: u64 = FenceClock::START_MS;
/// A millisecond of a token, as engines without a tier count it.
const STEP: u64 = 1 << 22;
const LAST: u64 = (1 << 63) - 1;

/// Goal: a token says in its upper bits when it was given out, to the millisecond since the start
/// of 2020, as those of an engine without a tier do. Method: times around the start, and one that
/// was looked up elsewhere.
#[test]
fn a_token_is_the_time() {
    assert_eq!(FenceClock::next(START + 1, 0), STEP);
    assert_eq!(FenceClock::next(START + 1_000, 7), 1_000 * STEP);
    // `date -u -d 2026-07-01T00:00:00Z +%s`, and from 2020-01-01.
    assert_eq!(FenceClock::next(1_782_864_000_000, 0) >> 22, 205_027_200_000);
}

/// Goal: where the time is not above the last token, the next one is just above it. Method: the
/// same time again, a clock that was set back, one that shows a time before the start, and the
/// millisecond whose count is used up.
#[test]
fn a_token_is_above_the_last() {
    let first = FenceClock::next(START + 5, 0);
    assert_eq!(FenceClock::next(START + 5, first), first + 1);
    assert_eq!(FenceClock::next(START + 4, first), first + 1);
    assert_eq!(FenceClock::next(0, first), first + 1);
    assert_eq!(FenceClock::next(START, 0), 1);
    let used_up = first + STEP - 1;
    assert_eq!(FenceClock::next(START + 5, used_up), used_up + 1);
    assert_eq!(FenceClock::next(START + 6, used_up), used_up + 1);
    assert_eq!(FenceClock::next(START + 7, used_up), 7 * STEP);
}

/// Goal: a clock that shows nonsense gives tokens below 2^63, with as many again above them.
/// Method: the last time that counts, the one after it, and the last of all.
#[test]
fn tokens_stay_below_their_limit() {
    let last_time = MAX_MS << FenceClock::COUNT_BITS;
    assert_eq!(FenceClock::next(START + MAX_MS, 0), last_time);
    assert_eq!(FenceClock::next(START + MAX_MS + 1, 0), last_time);
    assert_eq!(FenceClock::next(u64::MAX, 0), last_time);
    assert!(last_time < 1 << 62);
    assert_eq!(FenceClock::next(u64::MAX, LAST - 1), LAST);
    assert_eq!(FenceClock::next(0, u64::MAX), u64::MAX);
}

proptest! {
    /// Goal: whatever the clock shows, tokens grow, and by no more than the time or by one.
    /// Method: any times and any last tokens, beside the sentence that defines the next one.
    #[test]
    fn tokens_grow_whatever_the_clock_shows(times in prop::collection::vec(any::<u64>(), 1..20)) {
        let mut last = 0;
        for time in times {
            let next = FenceClock::next(time, last);
            let since_2020 = time.saturating_sub(START).min(MAX_MS);
            prop_assert!(next > last && next < 1 << 63);
            prop_assert_eq!(next, (last + 1).max(since_2020 * STEP));
            last = next;
        }
    }
}
