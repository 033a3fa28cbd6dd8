//! The calls of each run over time, in text.

use std::fmt::Write;

use super::report::Report;

/// One line for each run, a character for each slice: a step more is twice as many calls. At most
/// 100 columns wide.
pub(super) fn draw(report: &Report) -> String {
    let full = report.capacity_per_second * report.slice_ms as f64 / 1e3;
    let runs = report.runs();
    let groups = runs[0].1.calls_by_slice.len().div_ceil(COLUMNS).max(1);
    let each = report.slice_ms * groups as u64;
    let mut text = format!(
        "Calls over time, {each} ms a column: {} is up to what it can answer, each step twice as \
         many\n",
        LEVELS[FULL]
    );
    let at = |ms: u64| (ms / each) as usize;
    let [down, up] = report.outage_ms.map(at);
    let width = runs.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let _ = writeln!(text, "  {:width$}  {:down$}{}", "", "", span(up.saturating_sub(down)));
    for (name, run) in runs {
        let line: String = run
            .calls_by_slice
            .chunks(groups)
            .map(|slices| slices.iter().sum::<u64>() as f64 / (full * slices.len() as f64))
            .map(level)
            .collect();
        let peak = run.peak_load;
        let _ = writeln!(text, "  {name:width$}  {:<COLUMNS$}  {peak:.1} ×", line.trim_end());
    }
    text
}

/// The character of a load, in times of what the downstream can answer.
fn level(load: f64) -> char {
    if load <= 0.0 {
        return ' ';
    }
    let steps = load.log2().ceil() + FULL as f64;
    LEVELS[steps.clamp(0.0, 7.0) as usize]
}

/// A bracket of that many columns that says what it is, if there is room.
fn span(columns: usize) -> String {
    let word = " down ";
    let inner = columns.saturating_sub(2);
    let word = if inner >= word.len() { word } else { "" };
    let left = (inner - word.len()) / 2;
    format!("├{}{word}{}┤", "─".repeat(left), "─".repeat(inner - word.len() - left))
}

const COLUMNS: usize = 64;
const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// The level of a downstream that has as much to do as it can.
const FULL: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a step is a doubling, and what it can answer is the fourth. Method: loads around each.
    #[test]
    fn levels_double() {
        let levels = [0.0, 0.01, 0.5, 0.51, 1.0, 1.01, 2.0, 16.0, 1e6].map(level);
        assert_eq!(levels, [' ', '▁', '▃', '▄', '▄', '▅', '▅', '█', '█']);
    }

    /// Goal: the outage is marked as long as it is. Method: widths with and without room for words.
    #[test]
    fn spans_have_their_width() {
        for columns in 2..40 {
            assert_eq!(span(columns).chars().count(), columns);
        }
        assert!(span(12).contains(" down "));
    }
}
