//! Times, as people write and read them: always UTC, by the civil calendar.

use std::time::{Duration, SystemTime};

/// A time that somebody asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Milliseconds since 1970.
    At(u64),
    /// Milliseconds before now.
    Ago(u64),
}

impl Moment {
    /// Reads a date, a date and a time, or how long ago it was.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let moment = ago(text).map(Self::Ago).or_else(|| at(text).map(Self::At));
        moment.ok_or_else(|| format!("no time; {SHAPES}"))
    }

    /// Since 1970.
    pub(super) fn unix_time(self) -> Duration {
        Duration::from_millis(match self {
            Self::At(unix_ms) => unix_ms,
            Self::Ago(ms) => now_ms().saturating_sub(ms),
        })
    }
}

/// Date and time, by the civil calendar.
pub(super) fn utc(unix_ms: u64) -> String {
    let seconds = unix_ms / 1_000;
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Days since 0000-03-01, in eras of 400 years (H. Hinnant, chrono-compatible date algorithms).
    let from_march = days + TO_1970;
    let (era, day_of_era) = (from_march / ERA, from_march % ERA);
    let leaps = day_of_era / 1_460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leaps) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute) = (second / 3_600, second / 60 % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{:02}", second % 60)
}

/// The wall time now, as `utc` tells it.
pub(super) fn now() -> String {
    utc(now_ms())
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(since.unwrap_or(Duration::ZERO).as_millis()).unwrap_or(0)
}

/// How many milliseconds a number with a unit is.
fn ago(text: &str) -> Option<u64> {
    let unit_at = text.len().checked_sub(1).filter(|at| text.is_char_boundary(*at))?;
    let (number, unit) = text.split_at(unit_at);
    let unit_ms = match unit {
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => DAY_MS,
        _ => return None,
    };
    digits(number)?.checked_mul(unit_ms)
}

/// Milliseconds since 1970 of `2026-11-23`, `2026-11-23T14:05:00Z` or `2026-11-23 14:05:00`.
fn at(text: &str) -> Option<u64> {
    let (date, time) = text.split_once(['T', ' ']).unwrap_or((text, "00:00:00"));
    let time = time.strip_suffix('Z').unwrap_or(time);
    let [year, month, day] = parts(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = parts(time, ':', [2, 2, 2])?;
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    // A day that there is not, such as 30 February, comes back as another one.
    let unix_ms = days(year, month, day)? * DAY_MS;
    let unix_ms = unix_ms + ((hour * 60 + minute) * 60 + second) * 1_000;
    utc(unix_ms).starts_with(date).then_some(unix_ms)
}

/// Days from 1970 to a date, by the inverse of what `utc` does.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1..=12).contains(&month) || day == 0 {
        return None;
    }
    // Years begin in March: the day that a leap year has more is then the last one.
    let year = year.checked_sub(u64::from(month <= 2))?;
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let (era, of_era) = (year / 400, year % 400);
    let day_of_era = of_era * 365 + of_era / 4 - of_era / 100 + day_of_year;
    (era * ERA + day_of_era).checked_sub(TO_1970)
}

/// Numbers of so many digits each, between separators.
fn parts(text: &str, separator: char, lengths: [usize; 3]) -> Option<[u64; 3]> {
    let mut parts = text.split(separator);
    let mut numbers = [0; 3];
    for (number, length) in numbers.iter_mut().zip(lengths) {
        *number = digits(parts.next().filter(|part| part.len() == length)?)?;
    }
    parts.next().is_none().then_some(numbers)
}

/// A whole number without a sign.
fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// What can be written.
const SHAPES: &str = "write 2026-11-23, 2026-11-23T14:05:00Z, or how long ago, as 90s, 15m, 2h, 7d";
/// Days of 400 years.
const ERA: u64 = 146_097;
/// Days from 0000-03-01 to 1970.
const TO_1970: u64 = 719_468;
const DAY_MS: u64 = 86_400_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: dates are those of the calendar. Method: leap days, both ends.
    #[test]
    fn dates_are_told() {
        let dates = [0, 951_826_859_999, 1_709_164_800_000, 4_102_444_799_000].map(utc);
        let told = [
            "1970-01-01 00:00:00",
            "2000-02-29 12:20:59",
            "2024-02-29 00:00:00",
            "2099-12-31 23:59:59",
        ];
        assert_eq!(dates, told);
        // Whatever a damaged entry says.
        assert!(!utc(u64::MAX).is_empty());
    }

    /// Goal: what is told can be asked for. Method: a time of each day of 400 years, told and read
    /// back, with and without its time of day.
    #[test]
    fn dates_read_back() {
        for day in 0..ERA {
            let unix_ms = day * DAY_MS + day % 86_400 * 1_000;
            let told = utc(unix_ms);
            assert_eq!(Moment::read(&told), Ok(Moment::At(unix_ms)), "{told}");
            let (date, time) = told.split_once(' ').expect("both");
            assert_eq!(Moment::read(&format!("{date}T{time}Z")), Ok(Moment::At(unix_ms)));
            assert_eq!(Moment::read(date), Ok(Moment::At(day * DAY_MS)));
        }
    }

    /// Goal: what is no time is refused, and says what is one. Method: spans with each unit; days
    /// and times that there are not; signs, blanks and other scripts.
    #[test]
    fn other_texts_are_refused() {
        for (text, ms) in [("0s", 0), ("90s", 90_000), ("15m", 900_000), ("7d", 604_800_000)] {
            assert_eq!(Moment::read(text), Ok(Moment::Ago(ms)));
        }
        for text in [
            "",
            "s",
            "-1s",
            "+1s",
            "1",
            "1w",
            "1.5h",
            "99999999999999999999d",
            "1é",
            "2026",
            "2026-02-30",
            "2026-13-01",
            "2026-00-01",
            "2026-01-00",
            "1969-12-31",
            "26-01-01",
            "2026-1-1",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:60:00Z",
            "2026-01-01T00:00Z",
            "2026-01-01T00:00:00+01:00",
            "2026-01-01-01",
            " 2026-01-01",
            "0000-01-01",
        ] {
            let refused = Moment::read(text).expect_err(text);
            assert!(refused.contains("2026-11-23T14:05:00Z"), "{refused}");
        }
        assert!(Moment::Ago(u64::MAX).unix_time().is_zero());
        assert_eq!(Moment::At(7).unix_time(), Duration::from_millis(7));
    }
}
