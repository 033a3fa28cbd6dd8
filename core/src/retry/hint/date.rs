//! HTTP dates: RFC 9110, section 5.6.7.

use std::time::Duration;

/// The time since 1970 that `text` names in one of the three forms, all of them in UTC:
///
/// ```text
/// Sun, 06 Nov 1994 08:49:37 GMT    IMF-fixdate
/// Sunday, 06-Nov-94 08:49:37 GMT   RFC 850
/// Sun Nov  6 08:49:37 1994         asctime
/// ```
///
/// A date before 1970 is its first second. Names are case-sensitive, as they are there. The day of
/// the week has to be one, but nobody looks whether it is the right one. A year of two digits is
/// the last one that is at most 50 years after `unix_time`.
pub(super) fn parse(text: &[u8], unix_time: Duration) -> Option<Duration> {
    let mut rest = Rest(text);
    let date = match rest.name(&LONG_DAYS) {
        Some(_) => rest.rfc850(year_of(unix_time))?,
        None => {
            rest.name(&DAYS)?;
            if rest.0.starts_with(b",") { rest.imf()? } else { rest.asctime()? }
        }
    };
    rest.0.is_empty().then(|| date.since_1970()).flatten()
}

/// A day and a time of day, not validated yet.
struct Date {
    year: u64,
    /// From 1 on.
    month: u64,
    day: u64,
    /// Hours, minutes and seconds.
    time: [u64; 3],
}

impl Date {
    /// `None`: there is no such day or time.
    fn since_1970(&self) -> Option<Duration> {
        let [hour, minute, second] = self.time;
        let in_month = days_of(self.year, self.month)?;
        // A leap second counts as the first second of the next minute.
        if !(1..=in_month).contains(&self.day) || hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let months: u64 = (1..self.month).filter_map(|month| days_of(self.year, month)).sum();
        let days = days_before(self.year) + months + self.day - 1;
        let seconds = hour * 3_600 + minute * 60 + second;
        let since = days.checked_sub(days_before(1970)).map(|days| days * 86_400 + seconds);
        Some(Duration::from_secs(since.unwrap_or(0)))
    }
}

/// What is left to read.
struct Rest<'t>(&'t [u8]);

impl Rest<'_> {
    /// `, 06 Nov 1994 08:49:37 GMT`
    fn imf(&mut self) -> Option<Date> {
        self.literal(b", ")?;
        let day = self.number(2)?;
        self.literal(b" ")?;
        let month = self.name(&MONTHS)? + 1;
        self.literal(b" ")?;
        let year = self.number(4)?;
        self.literal(b" ")?;
        let time = self.time()?;
        self.literal(b" GMT")?;
        Some(Date { year, month, day, time })
    }

    /// `, 06-Nov-94 08:49:37 GMT`
    fn rfc850(&mut self, this_year: u64) -> Option<Date> {
        self.literal(b", ")?;
        let day = self.number(2)?;
        self.literal(b"-")?;
        let month = self.name(&MONTHS)? + 1;
        self.literal(b"-")?;
        let (latest, short) = (this_year + 50, self.number(2)?);
        let year = latest - (latest - short) % 100;
        self.literal(b" ")?;
        let time = self.time()?;
        self.literal(b" GMT")?;
        Some(Date { year, month, day, time })
    }

    /// ` Nov  6 08:49:37 1994`
    fn asctime(&mut self) -> Option<Date> {
        self.literal(b" ")?;
        let month = self.name(&MONTHS)? + 1;
        self.literal(b" ")?;
        let day = if self.literal(b" ").is_some() { self.number(1)? } else { self.number(2)? };
        self.literal(b" ")?;
        let time = self.time()?;
        self.literal(b" ")?;
        let year = self.number(4)?;
        Some(Date { year, month, day, time })
    }

    /// `08:49:37`
    fn time(&mut self) -> Option<[u64; 3]> {
        let hour = self.number(2)?;
        self.literal(b":")?;
        let minute = self.number(2)?;
        self.literal(b":")?;
        Some([hour, minute, self.number(2)?])
    }

    fn literal(&mut self, text: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(text)?;
        Some(())
    }

    /// The position of the name that comes next, from zero on.
    fn name(&mut self, names: &[&str]) -> Option<u64> {
        let at = names.iter().position(|name| self.0.starts_with(name.as_bytes()))?;
        self.literal(names[at].as_bytes())?;
        Some(at as u64)
    }

    fn number(&mut self, width: usize) -> Option<u64> {
        let (number, rest) = self.0.split_at_checked(width)?;
        self.0 = rest;
        super::digits(number)
    }
}

/// How many days the month has, from 1 on.
fn days_of(year: u64, month: u64) -> Option<u64> {
    match month {
        4 | 6 | 9 | 11 => Some(30),
        2 if is_leap(year) => Some(29),
        2 => Some(28),
        1..=12 => Some(31),
        _ => None,
    }
}

/// How many days lie before the year, counted from some day that is the same for all years.
fn days_before(year: u64) -> u64 {
    let Some(past) = year.checked_sub(1) else { return 0 };
    year * 365 + past / 4 - past / 100 + past / 400
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

/// The year of a time since 1970, and 9999 for all that come after.
fn year_of(unix_time: Duration) -> u64 {
    let days = unix_time.as_secs() / 86_400 + days_before(1970);
    let mut year = (days / 366).min(9_999);
    while year < 9_999 && days_before(year + 1) <= days {
        year += 1;
    }
    year
}

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const LONG_DAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
