//! SVG: plots of a report, drawn by hand so that no drawing library is needed.
//!
//! Rates are dots on a logarithmic axis with their range over the rounds: bars would need a zero,
//! which a logarithm has not. Studies are lines.

use std::fmt::Write;

use super::{Measured, Report};
use crate::studies::{Row, Study};

/// Every plot, by name.
#[must_use]
pub fn plots(report: &Report) -> Vec<(String, String)> {
    let mut names: Vec<&str> = report.workloads.iter().map(|measured| measured.workload).collect();
    names.dedup();
    let rates = names.into_iter().map(|name| {
        let of_name = report.workloads.iter().filter(|measured| measured.workload == name);
        (name.to_owned(), dots(&of_name.collect::<Vec<_>>()))
    });
    let lines = report.studies.iter().filter(|study| study.columns.len() > 1);
    rates.chain(lines.map(|study| (study.name.to_owned(), of_study(study)))).collect()
}

/// A row for each contender, a dot for each number of threads.
fn dots(of_name: &[&Measured]) -> String {
    let all = |measured: &Measured| {
        let ours = measured.ours.iter().chain(&measured.ours_otherwise);
        let peers = measured.peers.iter();
        let line = |line: &super::Line| (line.name.clone(), [line.ns, line.ns_min, line.ns_max]);
        ours.chain(peers).map(line).collect::<Vec<_>>()
    };
    let lines: Vec<_> = of_name.iter().map(|measured| (measured.threads, all(measured))).collect();
    let mut names: Vec<String> = Vec::new();
    for (name, _) in lines.iter().flat_map(|(_, lines)| lines) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    let figures = lines.iter().flat_map(|(_, lines)| lines.iter().flat_map(|(_, ns)| *ns));
    let axis = Axis::of(figures, true, [LEFT, WIDTH - RIGHT]);
    let height = TOP + ROW * names.len() as f64 + BOTTOM;
    let about = of_name.first().map_or("", |measured| measured.about.as_str());
    let mut svg = open(height, about);
    axis.vertical_grid(&mut svg, TOP, height - BOTTOM, "ns of a processor for one operation");
    for (at, name) in names.iter().enumerate() {
        let y = TOP + ROW * (at as f64 + 0.5);
        let weight = if name.starts_with("oncegate") { "bold" } else { "normal" };
        text(&mut svg, [LEFT - 8.0, y + 4.0], "end", weight, name);
        for (index, (_, lines)) in lines.iter().enumerate() {
            let Some((_, ns)) = lines.iter().find(|(other, _)| other == name) else { continue };
            let y = y + 5.0 * (index as f64 - (of_name.len() as f64 - 1.0) / 2.0);
            let [x, least, most] = ns.map(|ns| axis.at(ns));
            let colour = COLOURS[index % COLOURS.len()];
            let _ = writeln!(
                svg,
                r#"<line x1="{least:.1}" x2="{most:.1}" y1="{y:.1}" y2="{y:.1}" stroke="{colour}"/>
<circle cx="{x:.1}" cy="{y:.1}" r="3" fill="{colour}"/>"#
            );
        }
    }
    let caller = of_name.first().map_or("", |measured| measured.caller);
    let legend = lines.iter().map(|(callers, _)| match (caller, callers) {
        (_, 1) => format!("1 {caller}"),
        ("process", more) => format!("{more} processes"),
        (_, more) => format!("{more} {caller}s"),
    });
    across(&mut svg, legend);
    svg + "</svg>\n"
}

/// The plot of a study: a line for each row, with its name at the side.
#[must_use]
pub fn of_study(study: &Study) -> String {
    let figures = || study.rows.iter().flat_map(|row| row.figures.iter().flatten().copied());
    let least = figures().filter(|&figure| figure > 0.0).fold(f64::INFINITY, f64::min);
    let most = figures().fold(0.0, f64::max);
    let log = most > 30.0 * least && figures().all(|figure| figure > 0.0);
    let height = TOP + PLOT + BOTTOM;
    let x = Axis::of(study.columns.iter().copied(), study.log_axis, [SIDE, WIDTH - LEGEND]);
    let figures: Vec<f64> =
        if log { figures().collect() } else { figures().chain([0.0]).collect() };
    let y = Axis::of(figures.into_iter(), log, [height - BOTTOM, TOP]);
    let mut svg = open(height, &format!("{}: {}", study.about, study.unit));
    x.vertical_grid(&mut svg, TOP, height - BOTTOM, study.axis);
    y.horizontal_grid(&mut svg, SIDE, WIDTH - LEGEND);
    for (index, row) in study.rows.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let width = if row.name.starts_with("oncegate") { 2.5 } else { 1.2 };
        curve(
            &mut svg,
            study,
            row,
            (&x, &y),
            &format!(r#"stroke="{colour}" stroke-width="{width}""#),
        );
        let at = TOP + 8.0 + 15.0 * index as f64;
        let left = WIDTH - LEGEND + 12.0;
        let _ = writeln!(
            svg,
            r#"<rect x="{left}" y="{:.1}" width="10" height="10" fill="{colour}"/>"#,
            at - 9.0
        );
        let weight = if width > 2.0 { "bold" } else { "normal" };
        text(&mut svg, [left + 15.0, at], "start", weight, &row.name);
    }
    svg + "</svg>\n"
}

fn curve(svg: &mut String, study: &Study, row: &Row, (x, y): (&Axis, &Axis), pen: &str) {
    let known = study.columns.iter().zip(&row.figures);
    let known = known.filter_map(|(column, figure)| Some((x.at(*column), y.at((*figure)?))));
    let points: Vec<String> = known.map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let _ = writeln!(svg, r#"<polyline fill="none" {pen} points="{}"/>"#, points.join(" "));
    for point in points {
        let (x, y) = point.split_once(',').unwrap_or_default();
        let _ = writeln!(svg, r#"<circle cx="{x}" cy="{y}" r="2" {pen} fill="none"/>"#);
    }
}

/// Where a figure lies between two edges.
struct Axis {
    log: bool,
    least: f64,
    most: f64,
    edges: [f64; 2],
}

impl Axis {
    fn of(figures: impl Iterator<Item = f64>, log: bool, edges: [f64; 2]) -> Self {
        let finite = figures.filter(|figure| figure.is_finite() && (!log || *figure > 0.0));
        let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
        finite.for_each(|figure| (least, most) = (least.min(figure), most.max(figure)));
        if least > most {
            (least, most) = (1.0, 10.0);
        }
        if log {
            // A little room at both ends.
            (least, most) = (least / 1.15, most * 1.15);
        } else if most - least < 1e-9 {
            most = least + 1.0;
        }
        Self { log, least, most, edges }
    }

    fn at(&self, figure: f64) -> f64 {
        let share = if self.log {
            (figure / self.least).ln() / (self.most / self.least).ln()
        } else {
            (figure - self.least) / (self.most - self.least)
        };
        self.edges[0] + (self.edges[1] - self.edges[0]) * share
    }

    fn ticks(&self) -> Vec<f64> {
        let mut ticks = Vec::new();
        if self.log {
            let decades = (self.most / self.least).log10();
            let steps: &[f64] = if decades > 3.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
            let mut decade = 10_f64.powf(self.least.log10().floor());
            while decade <= self.most {
                ticks.extend(steps.iter().map(|step| step * decade));
                decade *= 10.0;
            }
        } else {
            let rough = (self.most - self.least) / 6.0;
            let decade = 10_f64.powf(rough.log10().floor());
            let nice = [1.0, 2.0, 5.0, 10.0].into_iter().find(|step| step * decade >= rough);
            let step = nice.unwrap_or(10.0) * decade;
            let mut count = (self.least / step).ceil();
            while count * step <= self.most * 1.000_1 {
                ticks.push(count * step);
                count += 1.0;
            }
        }
        ticks.retain(|tick| *tick >= self.least * 0.999 && *tick <= self.most * 1.001);
        ticks
    }

    fn vertical_grid(&self, svg: &mut String, top: f64, bottom: f64, label: &str) {
        for tick in self.ticks() {
            let x = self.at(tick);
            let _ = writeln!(
                svg,
                r##"<line x1="{x:.1}" x2="{x:.1}" y1="{top}" y2="{bottom:.1}" stroke="#ddd"/>"##
            );
            text(svg, [x, bottom + 14.0], "middle", "normal", &short(tick));
        }
        let middle = (self.edges[0] + self.edges[1]) / 2.0;
        text(svg, [middle, bottom + 30.0], "middle", "normal", label);
    }

    fn horizontal_grid(&self, svg: &mut String, left: f64, right: f64) {
        for tick in self.ticks() {
            let y = self.at(tick);
            let _ = writeln!(
                svg,
                r##"<line x1="{left}" x2="{right}" y1="{y:.1}" y2="{y:.1}" stroke="#ddd"/>"##
            );
            text(svg, [left - 6.0, y + 4.0], "end", "normal", &short(tick));
        }
    }
}

/// A tick's label: thousands and millions by their letters.
fn short(figure: f64) -> String {
    let (scaled, letter) = match figure {
        f if f >= 1e6 => (f / 1e6, " M"),
        f if f >= 1e3 => (f / 1e3, " k"),
        f => (f, ""),
    };
    // Enough digits for the finest steps, and no zeros behind them.
    let digits = format!("{scaled:.3}");
    format!("{}{letter}", digits.trim_end_matches('0').trim_end_matches('.'))
}

fn open(height: f64, title: &str) -> String {
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}"
 viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="11">
<rect width="100%" height="100%" fill="white"/>
"#
    );
    text(&mut svg, [10.0, 18.0], "start", "bold", title);
    svg
}

/// Names beside their colours, below the title.
fn across(svg: &mut String, names: impl Iterator<Item = String>) {
    for (index, name) in names.enumerate() {
        let (x, colour) = (LEFT + 90.0 * index as f64, COLOURS[index % COLOURS.len()]);
        let _ = writeln!(svg, r#"<circle cx="{x}" cy="32" r="4" fill="{colour}"/>"#);
        text(svg, [x + 8.0, 36.0], "start", "normal", &name);
    }
}

fn text(svg: &mut String, [x, y]: [f64; 2], anchor: &str, weight: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let _ = writeln!(
        svg,
        r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" font-weight="{weight}">
{words}</text>"#
    );
}

const WIDTH: f64 = 860.0;
/// Room for the names of contenders.
const LEFT: f64 = 200.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 46.0;
const BOTTOM: f64 = 40.0;
const ROW: f64 = 24.0;
/// Height of a plot of lines.
const PLOT: f64 = 320.0;
/// Room for the labels of the vertical axis.
const SIDE: f64 = 60.0;
/// Room for the names of lines.
const LEGEND: f64 = 210.0;
const COLOURS: [&str; 10] = [
    "#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f",
    "#bcbd22", "#17becf",
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: figures lie where they belong. Method: both kinds of axis, ends and middle, and
    /// labels of all sizes.
    #[test]
    fn axes_place_figures() {
        let axis = Axis::of([1.0, 3.0].into_iter(), false, [0.0, 100.0]);
        assert_eq!([axis.at(1.0), axis.at(2.0), axis.at(3.0)], [0.0, 50.0, 100.0]);
        let axis = Axis::of([1.0, 100.0].into_iter(), true, [0.0, 100.0]);
        assert!((axis.at(10.0) - 50.0).abs() < 1e-9);
        assert_eq!(axis.ticks(), [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0]);
        let shown = [0.05, 12.0, 1_500.0, 2e7].map(short);
        assert_eq!(shown, ["0.05", "12", "1.5 k", "20 M"]);
    }
}
