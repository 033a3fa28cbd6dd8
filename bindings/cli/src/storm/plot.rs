//! Small plots in text: concurrent attempts per request, before and after.

use std::fmt::Write;

use super::overlap::Overlap;

/// Draws each named storm: how many requests had so many attempts at once, and the most of any one
/// request over time. All storms share one scale. At most 100 columns wide.
pub(crate) fn draw(storms: &[(&str, &Overlap)]) -> String {
    let rows = storms.iter().map(|(_, overlap)| overlap.most()).max().unwrap_or(0);
    let full = storms.iter().flat_map(|(_, o)| &o.requests).copied().max().unwrap_or(0);
    let mut text = String::from("Attempts of one request at once, and how many requests met it\n");
    for (name, _) in storms {
        let _ = write!(text, "{:>6}{name:<width$}", "", width = BAR + 7);
    }
    text.truncate(text.trim_end().len());
    for row in shown_rows(rows) {
        text.push('\n');
        let mut line = String::new();
        for (_, overlap) in storms {
            let count: u64 = overlap.requests.get(row.clone()).map_or(0, |s| s.iter().sum());
            let label = if row.len() > 1 {
                format!("{}+", row.start + 1)
            } else {
                (row.start + 1).to_string()
            };
            let _ = write!(line, "{label:>4}  {:<BAR$} {count:<6}", bar(count, full, BAR - 2));
        }
        text.push_str(line.trim_end());
    }
    text.push_str("\nThe most at once, over time\n");
    let name_width = storms.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let top = storms.iter().flat_map(|(_, o)| &o.timeline).copied().max().unwrap_or(0);
    for (name, overlap) in storms {
        let line = sparkline(&overlap.timeline, top);
        let most = overlap.timeline.iter().max().copied().unwrap_or(0);
        let _ = writeln!(text, "  {name:<name_width$}  {line}  {most}");
    }
    text
}

/// One row for each count; beyond [`ROWS`], the last row takes the rest together.
fn shown_rows(rows: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let (single, rest) = if rows > ROWS { (ROWS - 1, Some(ROWS - 1..rows)) } else { (rows, None) };
    (0..single).map(|row| row..row + 1).chain(rest)
}

/// A bar of block characters: `count` of `full` in `width` columns, and never empty above zero.
fn bar(count: u64, full: u64, width: usize) -> String {
    if count == 0 || full == 0 {
        return String::new();
    }
    let eighths = (count as f64 / full as f64 * (width * 8) as f64).round() as usize;
    let eighths = eighths.clamp(1, width * 8);
    let mut bar = "█".repeat(eighths / 8);
    if !eighths.is_multiple_of(8) {
        bar.push(PARTS[eighths % 8 - 1]);
    }
    bar
}

/// One character a value, from a gap for zero to a full block for `top`.
fn sparkline(values: &[u32], top: u32) -> String {
    let level = |&value: &u32| match value {
        0 => ' ',
        _ => {
            let level = (f64::from(value) / f64::from(top.max(1)) * 8.0).round() as usize;
            LEVELS[level.clamp(1, 8) - 1]
        }
    };
    values.iter().map(level).collect()
}

/// The length that a timeline should have to fill the plot.
pub(crate) const SLICES: usize = 64;
const BAR: usize = 36;
const ROWS: usize = 8;
const PARTS: [char; 7] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉'];
const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

#[cfg(test)]
mod tests {
    use super::*;

    fn overlap(requests: &[u64], timeline: &[u32]) -> Overlap {
        Overlap { requests: requests.to_vec(), timeline: timeline.to_vec(), ..Overlap::default() }
    }

    /// Goal: bars and sparks are to scale, and something never looks like nothing. Method: known
    /// values at both ends and between.
    #[test]
    fn bars_and_sparks_are_to_scale() {
        assert_eq!(bar(10, 10, 4), "████");
        assert_eq!(bar(5, 10, 4), "██");
        assert_eq!(bar(1, 1_000_000, 4), "▏");
        assert_eq!((bar(0, 10, 4), bar(0, 0, 4)), (String::new(), String::new()));
        assert_eq!(sparkline(&[0, 1, 4, 8], 8), " ▁▄█");
        assert_eq!(sparkline(&[0], 0), " ");
    }

    /// Goal: the plot fits a terminal and shows both storms on one scale. Method: many attempts at
    /// once against one; check the width, the rows and the counts.
    #[test]
    fn both_storms_fit_a_terminal() {
        let before = overlap(&[3, 10, 40, 90, 60, 30, 20, 1, 1], &[4; SLICES]);
        let after = overlap(&[255], &[1; SLICES]);
        let text = draw(&[("before: no coordination", &before), ("after: oncegate", &after)]);
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        assert!(text.contains("255") && text.contains("8+") && text.contains("after"), "{text}");
        let sparks: Vec<_> = text.lines().rev().take(2).collect();
        assert!(sparks[1].contains('█') && sparks[0].contains('▂'), "{text}");
    }

    /// Goal: an empty storm draws without a panic. Method: nothing in it.
    #[test]
    fn an_empty_storm_is_drawn() {
        assert!(draw(&[("x", &overlap(&[], &[]))]).contains("over time"));
        assert!(draw(&[]).contains("over time"));
    }
}
