//! Hints: the examples of their sources, their limits, and arbitrary bytes.

use proptest::prelude::*;

use super::*;
use crate::retry::tests::{any_duration, seeded};

/// The example of RFC 9110: 6 November 1994, 08:49:37.
const EXAMPLE: u64 = 784_111_777;

fn after(secs: u64) -> Option<Hint> {
    Some(Hint::After(Duration::from_secs(secs)))
}

fn at(text: &str) -> Option<u64> {
    date::parse(text.as_bytes(), Duration::from_secs(EXAMPLE)).map(|at| at.as_secs())
}

/// Goal: all three forms of a date are read. Method: the examples of RFC 9110, and dates whose
/// seconds are known, leap days among them.
#[test]
fn dates_are_read_in_their_three_forms() {
    for text in [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
    ] {
        assert_eq!(at(text), Some(EXAMPLE), "{text}");
        let ten_before = Duration::from_secs(EXAMPLE - 10);
        assert_eq!(Hint::retry_after(text, ten_before), after(10), "{text}");
        assert_eq!(Hint::retry_after(text, ten_before * 2), after(0), "a past date is now");
    }
    assert_eq!(at("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
    assert_eq!(at("Wed, 31 Dec 1969 23:59:59 GMT"), Some(0), "before 1970 is its first second");
    assert_eq!(at("Tue, 29 Feb 2000 00:00:00 GMT"), Some(951_782_400));
    assert_eq!(at("Wed, 01 Mar 2000 00:00:00 GMT"), Some(951_868_800));
    assert_eq!(at("Tue Jan 19 03:14:08 2038"), Some(1 << 31));
    assert_eq!(at("Fri, 31 Dec 9999 23:59:59 GMT"), Some(253_402_300_799));
    assert_eq!(at("Sat, 01 Jan 0000 00:00:00 GMT"), Some(0));
    assert_eq!(at("Sat, 31 Dec 2016 23:59:60 GMT"), Some(1_483_228_800), "a leap second");
}

/// Goal: a year of two digits is at most 50 years ahead. Method: both sides of that year, from two
/// centuries.
#[test]
fn short_years_follow_the_clock() {
    let year = |text: &str, now: &str| {
        let date = format!("Friday, 01-Jan-{text} 00:00:00 GMT");
        let now = Duration::from_secs(at(now).expect("a date"));
        let found = date::parse(date.as_bytes(), now).expect("a date").as_secs();
        // Close enough to tell one year from the next.
        1970 + (found + 43_200) / 31_556_952
    };
    let (in_1994, in_2026) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Mon, 23 Nov 2026 00:00:00 GMT");
    assert_eq!([year("94", in_1994), year("44", in_1994), year("45", in_1994)], [1994, 2044, 1970]);
    assert_eq!([year("26", in_2026), year("76", in_2026), year("77", in_2026)], [2026, 2076, 1977]);
    assert_eq!(year("00", "Fri, 31 Dec 1999 23:59:59 GMT"), 2000);
    let never = Duration::from_secs(u64::MAX);
    assert!(date::parse(b"Friday, 01-Jan-94 00:00:00 GMT", never).is_some(), "no clock panics");
}

/// Goal: what is no date is none. Method: each rule of the grammar broken once.
#[test]
fn other_texts_are_no_dates() {
    for text in [
        "",
        "Sun",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06 nov 1994 08:49:37 GMT",
        "sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun, 06-Nov-1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Tue, 29 Feb 1900 08:49:37 GMT",
        "Tue, 29 Feb 2023 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov 1994 8:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:+7 GMT",
        "Sunday, 06 Nov 1994 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994",
        "Sun Nov  6 08:49:37 94",
        "Sun Nov  6 08:49:37 1994 GMT",
        "1994-11-06T08:49:37Z",
    ] {
        assert_eq!(at(text), None, "{text}");
    }
}

/// Goal: numbers are read as their sources say, and bad ones have their meaning. Method: a table
/// for each header.
#[test]
fn numbers_are_read_as_documented() {
    let now = Duration::from_secs(EXAMPLE);
    let retry_after = |value: &str| Hint::retry_after(value, now);
    assert_eq!((retry_after("0"), retry_after(" 120\t")), (after(0), after(120)));
    let longest = Some(Hint::After(BackoffPolicy::LONGEST));
    assert_eq!(retry_after("99999999999999999999999"), longest);
    assert_eq!(retry_after("Fri, 31 Dec 9999 23:59:59 GMT"), longest);
    for bad in ["", " ", "-1", "+1", "1.5", "1 2", "0x10", "soon", &"1".repeat(65)] {
        assert_eq!(retry_after(bad), None, "{bad}");
        assert_eq!(Hint::amz_retry_after(bad), None, "{bad}");
        assert_eq!(Hint::grpc_pushback(bad), Hint::Refused, "{bad}");
    }
    let ms = |ms| Hint::After(Duration::from_millis(ms));
    assert_eq!(Hint::amz_retry_after("1500"), Some(ms(1_500)));
    assert_eq!((Hint::grpc_pushback("0"), Hint::grpc_pushback("25")), (ms(0), ms(25)));
    assert_eq!(Hint::grpc_pushback("2147483647"), ms(2_147_483_647));
    assert_eq!(Hint::grpc_pushback("2147483648"), Hint::Refused, "32 bits with a sign");
}

/// Goal: a hint is followed within its limits and no further. Method: hints on both sides of each
/// limit, parts of milliseconds, and limits that leave hints out.
#[test]
fn hints_are_clamped() {
    let ms = Duration::from_millis;
    let limits = HintLimits::new().min(ms(100)).max(ms(1_000));
    let drawn = ms(300);
    let apply = |limits: HintLimits, asked| limits.apply(Some(Hint::After(asked)), drawn);
    assert_eq!(limits.apply(None, drawn), drawn);
    let bounds = [ms(20), ms(100), ms(250), ms(1_000), ms(5_000), Duration::MAX];
    let clamped = [100, 100, 250, 1_000, 1_000, 1_000].map(ms);
    assert_eq!(bounds.map(|asked| apply(limits, asked)), clamped);
    assert_eq!(apply(limits, Duration::from_micros(200_001)), ms(201), "not earlier than asked");
    let part = limits.max(Duration::from_micros(1_000_999));
    assert_eq!(apply(part, Duration::MAX), ms(1_000), "not beyond the limit");

    let around = HintLimits::new().beyond_drawn(ms(50));
    assert_eq!(bounds.map(|asked| apply(around, asked)), [300, 300, 300, 350, 350, 350].map(ms));
    let ignored = HintLimits::ignored();
    assert_eq!((apply(ignored, ms(7)), ignored.refuse(Some(Hint::Refused))), (drawn, false));
    assert!(limits.refuse(Some(Hint::Refused)) && !limits.refuse(None));
    assert_eq!(apply(HintLimits::new(), Duration::MAX), Duration::from_secs(3_600));
    let longest = BackoffPolicy::LONGEST;
    HintLimits::new().min(longest).max(longest).beyond_drawn(longest).check().expect("valid");
}

/// A date in each of the three forms, with its seconds since 1970, by counting days one by one.
fn rendered(days: u64, second: u64) -> ([String; 3], u64) {
    let by = |year: u64, years: u64| year.is_multiple_of(years);
    let leap = |year| by(year, 400) || by(year, 4) && !by(year, 100);
    let (mut year, mut left) = (1970, days);
    while left >= 365 + u64::from(leap(year)) {
        left -= 365 + u64::from(leap(year));
        year += 1;
    }
    let february = 28 + u64::from(leap(year));
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while left >= lengths[month] {
        left -= lengths[month];
        month += 1;
    }
    let (day, month) =
        (left + 1, &"JanFebMarAprMayJunJulAugSepOctNovDec"[month * 3..month * 3 + 3]);
    let time = format!("{:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60);
    let long = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];
    let weekday = long[(days % 7) as usize];
    let short = &weekday[..3];
    let forms = [
        format!("{short}, {day:02} {month} {year:04} {time} GMT"),
        format!("{weekday}, {day:02}-{month}-{:02} {time} GMT", year % 100),
        format!("{short} {month} {day:2} {time} {year:04}"),
    ];
    (forms, days * 86_400 + second)
}

proptest! {
    #![proptest_config(seeded(4_000))]

    /// Goal: no header can harm. Method: arbitrary bytes, given to every reader; what comes out is
    /// bounded, and a number or a date at all only if the bytes look like one.
    #[test]
    fn arbitrary_bytes_are_answered(
        value in proptest::collection::vec(any::<u8>(), 0..100),
        now in any_duration(),
    ) {
        let seconds = Hint::retry_after(&value, now);
        let looks = value.trim_ascii().iter().all(u8::is_ascii_digit) && value.len() <= 64;
        prop_assert!(seconds.is_none() || looks || value.len() >= 24);
        for hint in [seconds, Hint::amz_retry_after(&value), Some(Hint::grpc_pushback(&value))] {
            if let Some(Hint::After(delay)) = hint {
                prop_assert!(delay <= BackoffPolicy::LONGEST);
            }
        }
    }

    /// Goal: no text near to a date harms. Method: dates of all forms with bytes changed, cut and
    /// put in.
    #[test]
    fn dates_with_errors_are_answered(
        (days, second, form) in (0..3_000_000_u64, 0..86_400_u64, 0..3_usize),
        (position, byte, edit) in (0..40_usize, any::<u8>(), 0..3),
        now in any_duration(),
    ) {
        let mut text = rendered(days, second).0[form].clone().into_bytes();
        let position = position.min(text.len() - 1);
        match edit {
            0 => text[position] = byte,
            1 => drop(text.remove(position)),
            _ => text.insert(position, byte),
        }
        if let Some(Hint::After(delay)) = Hint::retry_after(&text, now) {
            prop_assert!(delay <= BackoffPolicy::LONGEST);
        }
    }

    /// Goal: every date is read right. Method: days counted one by one up to the year 9999, in all
    /// forms; the clock is near, so that short years are this one.
    #[test]
    fn rendered_dates_are_read_back(days in 0..2_932_896_u64, second in 0..86_400_u64) {
        let (forms, expected) = rendered(days, second);
        for form in forms {
            let found = date::parse(form.as_bytes(), Duration::from_secs(expected));
            prop_assert_eq!(found, Some(Duration::from_secs(expected)), "{}", form);
        }
    }
}
