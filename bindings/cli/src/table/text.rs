//! A table for people: lines with a label each, at most 100 columns wide.

use std::fmt::Write as _;

use oncegate::{FingerprintMode, Inspection, OnFull, ProcessState, ProcessStatus, ScopeStatus};

use super::time::utc;
use crate::storm::report::count;

/// What the table was made for.
pub(super) fn made_for(seen: &Inspection) -> String {
    let on_full = match seen.on_full {
        OnFull::Reject => "newcomers are rejected",
        _ => "the oldest finished record goes",
    };
    let mode = match seen.fingerprint_mode {
        FingerprintMode::Keyed => "keyed",
        _ => "fast, for trusted keys",
    };
    let of = |bytes: u64| bytes_of(bytes);
    let mut text = String::new();
    line(&mut text, "file", &format!("{}, format {}", of(seen.bytes), seen.format));
    let capacity = count(seen.capacity);
    let slots = format!("{} slots in {} sets", count(seen.slots), count(seen.sets));
    line(&mut text, "capacity", &format!("{capacity} records, {slots}"));
    line(&mut text, "when full", on_full);
    let (inline, limit) = (of(seen.inline_outcome), of(seen.outcome_limit));
    line(&mut text, "outcomes", &format!("up to {limit}, those up to {inline} beside the record"));
    let (most, scopes) = (seen.max_processes, count(seen.max_scopes));
    line(&mut text, "limits", &format!("{most} processes, {scopes} scopes with a quota"));
    line(&mut text, "fingerprints", mode);
    text
}

/// How the table stands.
pub(super) fn state(seen: &Inspection) -> String {
    let mut text = String::new();
    let time = match seen.same_boot {
        true => format!("{} since the table was made", span(seen.now_ms)),
        false => format!("{} or more; the machine was started anew since", span(seen.now_ms)),
    };
    line(&mut text, "time", &time);
    let total = count(seen.records.total());
    line(
        &mut text,
        "fill",
        &format!("{} {:.1} %, {total} records", bar(seen.fill), seen.fill * 1e2),
    );
    let records = &seen.records;
    let states = [
        ("running", records.running),
        ("waiting", records.waiting),
        ("succeeded", records.succeeded),
        ("failed", records.failed),
        ("unknown", records.unknown),
        ("half done", seen.half_done),
    ];
    line(&mut text, "records", &list(states));
    let leases = &seen.leases;
    let mut told = list([
        ("held", leases.held),
        ("lapsed", leases.lapsed),
        ("of ended processes", leases.of_dead),
        ("ending", leases.ending),
    ]);
    if let Some(past) = leases.longest_lapsed_ms {
        let _ = write!(told, "; the first lapsed {} ago", span(past));
    }
    if let Some(next) = leases.next_lapse_ms {
        let _ = write!(told, "; the next lapses in {}", span(next));
    }
    line(&mut text, "leases", &told);
    let chunks = &seen.chunks;
    let bytes = chunks.total.saturating_mul(chunks.bytes_each);
    let states = [
        ("live", chunks.live),
        ("open", chunks.open),
        ("recycling", chunks.recycling),
        ("torn", chunks.torn),
        ("unused", chunks.unused),
    ];
    let filled = format!("{} of {} written", bytes_of(chunks.filled_bytes), bytes_of(bytes));
    line(&mut text, "chunks", &format!("{filled}; {}", list(states)));
    let retries = &seen.retries;
    let states = [
        ("running", retries.running),
        ("waiting", retries.waiting),
        ("due", retries.due),
        ("unknown", retries.unknown),
        ("dead letters", retries.dead_letters),
        ("left over", retries.claimed + retries.left_over),
    ];
    line(&mut text, "retries", &format!("{}; of {}", list(states), count(retries.total)));
    let rotating = if seen.keys.is_rotating { "a rotation is under way" } else { "no rotation" };
    let (number, generation) = (seen.keys.current, seen.keys.generation);
    line(&mut text, "secret", &format!("number {number}, generation {generation}, {rotating}"));
    text
}

/// Who uses the table: those that are alive first, then those with most leases.
pub(super) fn first_processes(seen: &Inspection) -> Vec<&ProcessStatus> {
    let mut all: Vec<_> = seen.processes.iter().collect();
    all.sort_by_key(|process| {
        let is_gone = process.state != ProcessState::Alive;
        (is_gone, std::cmp::Reverse(process.leases + process.half_done), process.index)
    });
    all
}

/// The first `top` of those that use the table.
pub(super) fn processes(seen: &Inspection, top: usize) -> String {
    let all = first_processes(seen);
    let of = |state| seen.processes.iter().filter(|process| process.state == state).count() as u64;
    let states = [
        ("alive", of(ProcessState::Alive)),
        ("dead", of(ProcessState::Dead)),
        ("left", of(ProcessState::Left)),
        ("cleared since the table was made", seen.buried),
    ];
    let mut text = String::new();
    line(&mut text, "processes", &list(states));
    if top > 0 && !all.is_empty() {
        let _ = writeln!(
            text,
            "  {:>5}  {:<5}  {:>10}  {:<20}  {:>9}  {:>9}",
            "entry", "state", "pid", "since (UTC)", "leases", "half done"
        );
    }
    for process in all.iter().take(top) {
        text.push_str(&process_row(process));
    }
    more(&mut text, all.len(), top);
    text
}

fn process_row(process: &ProcessStatus) -> String {
    format!(
        "  {:>5}  {:<5}  {:>10}  {:<20}  {:>9}  {:>9}\n",
        process.index,
        process.state.name(),
        process.pid,
        utc(process.since_unix_ms),
        count(process.leases),
        count(process.half_done),
    )
}

/// The scopes with most records.
pub(super) fn scopes(seen: &Inspection, top: usize) -> String {
    let mut text = String::new();
    let (limited, free) = (seen.scopes.len() as u64, count(seen.unlimited_records));
    let told = format!("{} with an entry; {free} records of others", count(limited));
    line(&mut text, "scopes", &told);
    if top > 0 && !seen.scopes.is_empty() {
        text.push_str(&scope_rows(seen.scopes.iter().take(top)));
    }
    more(&mut text, seen.scopes.len(), top);
    text
}

/// Scopes, one a row, below their headings.
pub(super) fn scope_rows<'s>(scopes: impl IntoIterator<Item = &'s ScopeStatus>) -> String {
    let mut text = format!(
        "  {:<16}  {:>13}  {:>13}  {:>13}  {:>12}  {}\n",
        "hash", "records", "charged", "limit", "a second", "quota"
    );
    for scope in scopes {
        let quota = match (scope.by_name, scope.is_guest) {
            (true, _) => "its own",
            (false, true) => "unauthenticated",
            (false, false) => "default",
        };
        let _ = writeln!(
            text,
            "  {:016x}  {:>13}  {:>13}  {:>13}  {:>12}  {quota}",
            scope.hash,
            count(scope.records),
            count(scope.charged),
            scope.max_live.map_or_else(|| "-".to_owned(), count),
            scope.per_second.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.1}")),
        );
    }
    text
}

fn more(text: &mut String, all: usize, shown: usize) {
    if all > shown {
        let _ = writeln!(text, "  … and {} more", count((all - shown) as u64));
    }
}

pub(super) fn line(text: &mut String, label: &str, told: &str) {
    let _ = writeln!(text, "{label:<13} {told}");
}

fn list<const N: usize>(named: [(&str, u64); N]) -> String {
    named.map(|(name, number)| format!("{name} {}", count(number))).join(", ")
}

fn bar(share: f64) -> String {
    let full = (share.clamp(0.0, 1.0) * BAR as f64).round() as usize;
    format!("[{}{}]", "#".repeat(full), ".".repeat(BAR - full))
}

/// A number of bytes with a unit that keeps it short.
fn bytes_of(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1_024 {
        return format!("{bytes} bytes");
    }
    let power = (bytes.ilog2() / 10).min(units.len() as u32);
    let share = bytes as f64 / 1_024_f64.powi(power as i32);
    format!("{share:.1} {}", units[power as usize - 1])
}

/// A number of milliseconds with the unit, or the two, that tell it best.
pub(super) fn span(ms: u64) -> String {
    let (seconds, minutes, hours) = (ms / 1_000, ms / 60_000, ms / 3_600_000);
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{:.1} s", ms as f64 / 1e3),
        60_000..3_600_000 => format!("{minutes} min {} s", seconds % 60),
        3_600_000..86_400_000 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{} d {} h", hours / 24, hours % 24),
    }
}

const BAR: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: sizes and spans are easy to read. Method: each unit, both ends.
    #[test]
    fn numbers_are_told_with_their_units() {
        let sizes = [0, 1_023, 1_024, 1_536, 5 << 20, 3 << 30, u64::MAX].map(bytes_of);
        let told =
            ["0 bytes", "1023 bytes", "1.0 KiB", "1.5 KiB", "5.0 MiB", "3.0 GiB", "16777216.0 TiB"];
        assert_eq!(sizes, told);
        let spans = [0, 999, 1_500, 61_000, 3_660_000, 90_000_000, u64::MAX].map(span);
        let told = ["0 ms", "999 ms", "1.5 s", "1 min 1 s", "1 h 1 min", "1 d 1 h"];
        assert_eq!(spans[..6], told);
    }
}
