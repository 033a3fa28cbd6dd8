//! Dead letters for people: rows and labelled lines.
//!
//! Operations, classes and names of steps are text that others have given, and a table may be
//! damaged: nothing of them reaches a terminal that would steer it.

use std::fmt::Write as _;
use std::time::Duration;

use oncegate::{AttemptEnd, Buried, DeadLetter, LetterId, PastAttempt};

use super::super::text::line;
use super::super::time::utc;
use super::ContextAs;
use crate::storm::report::count;

/// What stands above the rows.
pub(super) fn heading() -> String {
    format!(
        "{:<12}  {:<19}  {:<11}  {:>8}  {:<16}  {}\n",
        "id", "buried (UTC)", "reason", "attempts", "class", "operation"
    )
}

/// One dead letter in a row.
pub(super) fn row(letter: &DeadLetter) -> String {
    let class = letter.history.last().map_or("", |past| past.class.as_str());
    let row = format!(
        "{:<12}  {:<19}  {:<11}  {:>8}  {:<16}  {}",
        letter.id.to_string(),
        utc(unix_ms(letter.buried)),
        letter.reason.name(),
        letter.attempts,
        cut(&shown(class), CLASS),
        cut(&shown(&letter.operation), OPERATION),
    );
    row.trim_end().to_owned() + "\n"
}

/// What stands below them.
pub(super) fn footing(listed: u64, next: Option<LetterId>) -> String {
    match (listed, next) {
        (0, _) => "no dead letters\n".to_owned(),
        (_, Some(next)) => format!("… and more: --after {next}\n"),
        (1, None) => "1 dead letter\n".to_owned(),
        (_, None) => format!("{} dead letters\n", count(listed)),
    }
}

/// All of one dead letter.
pub(super) fn letter(letter: &DeadLetter, context: Option<ContextAs>) -> String {
    let mut text = String::new();
    line(&mut text, "id", &letter.id.to_string());
    line(&mut text, "operation", &shown(&letter.operation));
    line(&mut text, "reason", &format!("{}: {}", letter.reason.name(), why(letter.reason)));
    line(&mut text, "buried", &format!("{} UTC", utc(unix_ms(letter.buried))));
    line(&mut text, "attempts", &letter.attempts.to_string());
    let steps: Vec<String> = letter.steps.iter().map(|step| shown(step)).collect();
    let steps = if steps.is_empty() { "none".to_owned() } else { steps.join(", ") };
    line(&mut text, "steps done", &steps);
    let (bytes, hint) = (count(letter.context().len() as u64), "; --context shows them");
    let hint = if context.is_none() && !letter.context().is_empty() { hint } else { "" };
    line(&mut text, "context", &format!("{bytes} bytes{hint}"));
    text.push_str(&history(letter));
    if let Some(how) = context {
        text.push_str("\ncontext\n");
        text.push_str(&match how {
            ContextAs::Text => as_text(letter.context()),
            ContextAs::Hex => as_hex(letter.context()),
        });
    }
    text
}

fn why(reason: Buried) -> &'static str {
    match reason {
        Buried::Attempts => "as many attempts failed as its policy allows",
        Buried::Deadline => "no further attempt fitted before its policy's deadline",
        Buried::Budget => "the retry budget was spent",
        Buried::FinalError => "its error was final",
        Buried::Lapsed => "its last attempt lapsed",
        _ => "another reason",
    }
}

fn history(letter: &DeadLetter) -> String {
    if letter.history.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "\n  {:>7}  {:<10}  {:<19}  {:>7}  {:>19}  {}\n",
        "attempt", "end", "ended (UTC)", "process", "fencing token", "class"
    );
    let mut left_out = letter.left_out;
    let mut last = None;
    for past in &letter.history {
        // Between the first and the last.
        let gap = last.is_some_and(|last: u32| past.attempt > last.saturating_add(1));
        if gap && left_out > 0 {
            let _ = writeln!(text, "  … {left_out} left out");
            left_out = 0;
        }
        last = Some(past.attempt);
        text.push_str(&past_row(past));
    }
    text
}

fn past_row(past: &PastAttempt) -> String {
    let end = match past.end {
        AttemptEnd::GivenBack => "given back",
        other => other.name(),
    };
    let row = format!(
        "  {:>7}  {end:<10}  {:<19}  {:>7}  {:>19}  {}",
        past.attempt,
        utc(unix_ms(past.ended)),
        past.process,
        past.fencing_token,
        shown(&past.class),
    );
    row.trim_end().to_owned() + "\n"
}

/// What was done, and what was not there.
pub(super) fn changed(name: &str, done: usize, missing: &[LetterId]) -> String {
    let mut text = format!("{name}: {}\n", count(done as u64));
    if !missing.is_empty() {
        let ids: Vec<String> = missing.iter().map(LetterId::to_string).collect();
        let _ = writeln!(text, "no dead letters, or none any more: {}", ids.join(", "));
    }
    text
}

/// Bytes as text, each line behind two blanks, so that none can be taken for one of ours.
fn as_text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.lines().map(|line| format!("  {}\n", shown(line))).collect()
}

/// Bytes in rows of sixteen, each with the place of its first.
fn as_hex(bytes: &[u8]) -> String {
    let rows = bytes.chunks(16).enumerate().map(|(row, bytes)| {
        let pairs: Vec<String> = bytes.iter().map(|byte| hex(&[*byte])).collect();
        format!("  {:08x}  {}\n", row * 16, pairs.join(" "))
    });
    rows.collect()
}

/// Two digits for each byte.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut digits, byte| {
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

/// Text without anything that steers a terminal, or turns its direction: that is written out, as in
/// a Rust literal.
fn shown(text: &str) -> String {
    // Quotes need no escape here.
    let plain = |part: &str| part.split('\'').map(escaped).collect::<Vec<_>>().join("'");
    text.split('"').map(plain).collect::<Vec<_>>().join("\"")
}

fn escaped(text: &str) -> String {
    text.escape_debug().to_string()
}

/// At most so many characters, the last of which then says that there are more.
fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => text.chars().take(most - 1).chain(['…']).collect(),
    }
}

/// Milliseconds since 1970.
pub(super) fn unix_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// How much of a class and of an operation a row shows: it fits 100 columns.
const CLASS: usize = 16;
const OPERATION: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: whatever a context holds, it does not steer the terminal. Method: escape sequences,
    /// line ends of each kind, marks of direction, bytes that are no text.
    #[test]
    fn nothing_steers_the_terminal() {
        let hostile =
            b"{\"a\": 'b'}\r\n\x1b[2J\x1b]0;x\x07\tz\x9b\xff\n\xe2\x80\xae\xc2\x85 \\ \xc3\xa9";
        let told = as_text(hostile);
        let is_plain = |c: char| !c.is_control() && c != '\u{202e}';
        assert!(told.lines().all(|line| line.starts_with("  ") && line.chars().all(is_plain)));
        assert!(told.starts_with("  {\"a\": 'b'}\n  \\u{1b}[2J"), "{told}");
        assert!(told.contains("\\u{202e}") && told.ends_with(" \\\\ é\n"), "{told}");
        assert_eq!(as_hex(b"").len() + as_text(b"").len(), 0);
    }

    /// Goal: a context can be read byte by byte. Method: rows of sixteen, and a rest.
    #[test]
    fn bytes_are_told_in_rows() {
        let bytes: Vec<u8> = (0..18).collect();
        let rows =
            "  00000000  00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f\n  00000010  10 11\n";
        assert_eq!(as_hex(&bytes), rows);
        assert_eq!(hex(&[0, 0xab, 0xff]), "00abff");
    }

    /// Goal: a row stays in its columns. Method: texts at the limit, and beyond it, in characters
    /// of several bytes.
    #[test]
    fn long_texts_are_cut() {
        assert_eq!(cut("éééé", 4), "éééé");
        assert_eq!(cut("ééééé", 4), "ééé…");
        assert_eq!(cut("", 4), "");
    }
}
