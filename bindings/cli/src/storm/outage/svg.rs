//! The calls of each run over time, and what was done by then, as a picture. Drawn by hand: two
//! plots of three lines need no drawing library. Lines differ by their dashes as well, so that the
//! picture can be read in grey.

use std::fmt::Write;

use super::super::report::count;
use super::report::Report;

/// The picture: calls in a second on a logarithmic axis, and below it requests that are done.
pub(super) fn draw(report: &Report) -> String {
    let mut svg = open(report);
    let seconds = report.horizon_ms as f64 / 1e3;
    let calls: Vec<Vec<f64>> = report
        .runs()
        .iter()
        .map(|(_, run)| {
            let per_second = 1e3 / report.slice_ms as f64;
            run.calls_by_slice.iter().map(|calls| *calls as f64 * per_second).collect()
        })
        .collect();
    let most = calls.iter().flatten().copied().fold(report.capacity_per_second, f64::max);
    let decades = most.log10().ceil().max(2.0);
    let upper = Panel { top: TOP, height: CALLS, seconds };
    let logarithm = |calls: f64| (calls.max(1.0).log10() / decades).clamp(0.0, 1.0);
    upper.frame(&mut svg, report, "calls in a second (logarithmic)");
    for decade in 0..=decades as i32 {
        let calls = 10_f64.powi(decade);
        upper.grid(&mut svg, logarithm(calls), &count(calls as u64));
    }
    let full = upper.y(logarithm(report.capacity_per_second));
    let _ = writeln!(
        svg,
        r##"<line x1="{LEFT}" x2="{}" y1="{full:.1}" y2="{full:.1}" stroke="#000"
 stroke-width="0.8" stroke-dasharray="1 3"/>"##,
        WIDTH - RIGHT
    );
    text(&mut svg, [WIDTH - RIGHT - 4.0, full - 4.0], "end", "what it can answer");
    for (pen, calls) in PENS.iter().zip(&calls) {
        // Up to where nothing more happens.
        let end = calls.iter().rposition(|calls| *calls > 0.0).map_or(0, |last| last + 2);
        let shown = calls.iter().take(end);
        upper.line(&mut svg, report, pen, shown.map(|calls| logarithm(*calls)));
    }
    let lower = Panel { top: TOP + CALLS + BETWEEN, height: DONE, seconds };
    lower.frame(&mut svg, report, "requests done, of 100");
    for percent in [0, 25, 50, 75, 100] {
        lower.grid(&mut svg, f64::from(percent) / 100.0, &percent.to_string());
    }
    for (pen, (_, run)) in PENS.iter().zip(report.runs()) {
        let share = run.done_by_slice.iter().map(|done| *done as f64 / report.distinct as f64);
        lower.line(&mut svg, report, pen, share);
    }
    lower.seconds(&mut svg);
    upper.seconds(&mut svg);
    svg + "</svg>\n"
}

/// A plot over the time of the storm.
struct Panel {
    top: f64,
    height: f64,
    seconds: f64,
}

impl Panel {
    fn x(&self, seconds: f64) -> f64 {
        LEFT + seconds / self.seconds * (WIDTH - LEFT - RIGHT)
    }

    /// Where a share of the height lies.
    fn y(&self, share: f64) -> f64 {
        self.top + self.height * (1.0 - share)
    }

    /// The outage as a band, and the frame with its heading.
    fn frame(&self, svg: &mut String, report: &Report, heading: &str) {
        let [down, up] = report.outage_ms.map(|ms| self.x(ms as f64 / 1e3));
        let Self { top, height, .. } = *self;
        let _ = writeln!(
            svg,
            r##"<rect x="{down:.1}" y="{top}" width="{:.1}" height="{height}" fill="#eee"/>
<rect x="{LEFT}" y="{top}" width="{:.1}" height="{height}" fill="none" stroke="#888"/>"##,
            up - down,
            WIDTH - LEFT - RIGHT
        );
        text(svg, [(down + up) / 2.0, top + 14.0], "middle", "down");
        text(svg, [LEFT, top - 6.0], "start", heading);
    }

    fn grid(&self, svg: &mut String, share: f64, label: &str) {
        let y = self.y(share);
        let _ = writeln!(
            svg,
            r##"<line x1="{LEFT}" x2="{}" y1="{y:.1}" y2="{y:.1}" stroke="#ddd"/>"##,
            WIDTH - RIGHT
        );
        text(svg, [LEFT - 6.0, y + 4.0], "end", label);
    }

    fn seconds(&self, svg: &mut String) {
        let step = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0]
            .into_iter()
            .find(|step| self.seconds / step <= 10.0)
            .unwrap_or(100.0);
        for tick in 0..=(self.seconds / step) as u32 {
            let seconds = f64::from(tick) * step;
            let label = if step < 1.0 { format!("{seconds:.1}") } else { format!("{seconds:.0}") };
            text(svg, [self.x(seconds), self.top + self.height + 15.0], "middle", &label);
        }
        let middle = (LEFT + WIDTH - RIGHT) / 2.0;
        text(svg, [middle, self.top + self.height + 30.0], "middle", "seconds");
    }

    /// A line through the shares at the middle of each slice.
    fn line(
        &self,
        svg: &mut String,
        report: &Report,
        pen: &str,
        shares: impl Iterator<Item = f64>,
    ) {
        let middle = |slice: usize| (slice as f64 + 0.5) * report.slice_ms as f64 / 1e3;
        let points: Vec<String> = shares
            .enumerate()
            .map(|(slice, share)| (middle(slice).min(self.seconds), share))
            .map(|(at, share)| format!("{:.1},{:.1}", self.x(at), self.y(share)))
            .collect();
        let _ = writeln!(svg, r#"<polyline fill="none" {pen} points="{}"/>"#, points.join(" "));
    }
}

/// The head, the title, and the legend.
fn open(report: &Report) -> String {
    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}"
 viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="white"/>
"##
    );
    let title = format!(
        "{} deliveries of {} requests while the downstream is down for {:.1} s (seed {})",
        report.deliveries,
        report.distinct,
        (report.outage_ms[1] - report.outage_ms[0]) as f64 / 1e3,
        report.seed
    );
    text(&mut svg, [LEFT, 20.0], "start", &title);
    for (place, (pen, (name, run))) in PENS.iter().zip(report.runs()).enumerate() {
        let x = LEFT + 260.0 * place as f64;
        let _ = writeln!(svg, r#"<line x1="{x}" x2="{}" y1="38" y2="38" {pen}/>"#, x + 34.0);
        let effects = format!("{name} ({:.1} effects each)", run.effects_per_request);
        text(&mut svg, [x + 40.0, 42.0], "start", &effects);
    }
    svg
}

fn text(svg: &mut String, [x, y]: [f64; 2], anchor: &str, words: &str) {
    let _ = writeln!(svg, r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{words}</text>"#);
}

/// One for each run: from light and dotted to dark and whole.
const PENS: [&str; 3] = [
    r##"stroke="#e08214" stroke-width="1.8" stroke-dasharray="2 2""##,
    r##"stroke="#b2182b" stroke-width="1.8" stroke-dasharray="8 3""##,
    r##"stroke="#053061" stroke-width="2.6""##,
];
const WIDTH: f64 = 860.0;
const HEIGHT: f64 = TOP + CALLS + BETWEEN + DONE + BOTTOM;
/// Heights of the two plots.
const CALLS: f64 = 260.0;
const DONE: f64 = 160.0;
const BETWEEN: f64 = 50.0;
const BOTTOM: f64 = 36.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 76.0;
