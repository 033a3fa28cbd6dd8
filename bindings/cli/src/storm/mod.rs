//! A storm: many clients deliver every request several times, overlapping, while handlers take
//! time, fail, panic, and outlive their lease.

mod baseline_run;
mod check;
mod client;
mod compare;
mod engine_run;
mod ledger;
mod meter;
pub(crate) mod outage;
mod overlap;
mod plan;
mod plot;
pub(crate) mod report;
mod site;
mod sums;

use std::io::{IsTerminal, stderr};

use indicatif::{ProgressBar, ProgressStyle};

use self::baseline_run::Baseline;
use self::client::{Service, run_clients};
use self::engine_run::Gated;
use self::overlap::Overlap;
pub(crate) use self::plan::{Delivery, End, MAX_DELIVERIES, MAX_RATE, Plan, Shape};
use self::report::{Finished, Mode, Report};
use self::site::Site;
pub(crate) use self::sums::describe as describe_sums;
use crate::input::Input;

/// One storm, run and counted.
pub(crate) struct Storm {
    /// The numbers.
    pub(crate) report: Report,
    /// How attempts overlapped.
    overlap: Overlap,
    /// Lines that the engine refused, each with its reason.
    pub(crate) refused: Vec<(u64, String)>,
}

impl Storm {
    /// Runs the storm without coordination.
    ///
    /// # Errors
    /// What the engine says when it cannot compare payloads for the plan.
    pub(crate) fn baseline(input: &Input, shape: Shape) -> Result<Self, oncegate::Error> {
        let plan = Plan::new(&input.lines, shape)?;
        Ok(run(Mode::Baseline, input, &plan, &Baseline))
    }

    /// Runs the same storm through the engine, and checks what it promises.
    ///
    /// # Errors
    /// What the engine says when it cannot be built.
    pub(crate) fn engine(input: &Input, shape: Shape) -> Result<Self, oncegate::Error> {
        let plan = Plan::new(&input.lines, shape)?;
        let service = Gated::new(&plan)?;
        Ok(run(Mode::Engine, input, &plan, &service))
    }

    /// Whether the engine kept its promise, which the baseline does not make, and the numbers add
    /// up.
    pub(crate) fn kept_promise(&self) -> bool {
        self.report.violations.is_empty()
    }

    fn name(&self) -> &'static str {
        match self.report.mode {
            Mode::Baseline => "before: no coordination",
            Mode::Engine => "after: oncegate",
        }
    }
}

/// The storms side by side for people: numbers, plots and the verdict.
pub(crate) fn render(storms: &[&Storm]) -> String {
    let Some(first) = storms.first().map(|storm| &storm.report) else { return String::new() };
    let reports: Vec<_> = storms.iter().map(|storm| (storm.name(), &storm.report)).collect();
    let overlaps: Vec<_> = storms.iter().map(|storm| (storm.name(), &storm.overlap)).collect();
    let mut text = format!(
        "Storm: lines {}, copies {}, clients {}, seed {}\n\n",
        report::count(first.lines as u64),
        first.copies,
        first.clients,
        first.seed,
    );
    text.push_str(&report::table(&reports));
    if let Some(storm) = storms.iter().find(|storm| storm.report.mode == Mode::Engine) {
        text.push_str(&report::begin_note(&storm.report));
    }
    text.push('\n');
    text.push_str(&plot::draw(&overlaps));
    for storm in storms {
        text.push('\n');
        text.push_str(&verdict(storm));
    }
    text
}

fn verdict(storm: &Storm) -> String {
    let report = &storm.report;
    let distinct = report::count(report.distinct - storm.refused.len() as u64);
    match report.mode {
        Mode::Baseline => format!(
            "Without coordination, {distinct} requests had {} side effects: {} too many.\n",
            report::count(report.accepted_effects),
            report::count(report.duplicate_effects),
        ),
        Mode::Engine if !storm.kept_promise() => {
            let broken = report::count(report.violations.len() as u64);
            format!(
                "The engine broke its promise: {broken} violations, listed on standard error.\n"
            )
        }
        Mode::Engine => {
            let mut text = format!(
                "Through the engine, {distinct} requests had one accepted side effect each.\n"
            );
            if report.most_at_once > 1 {
                text.push_str(
                    "Where attempts of one request ran at once, one held the lease and the \
                     others had outlived theirs.\nA lease is no lock: the ledger refused their \
                     late writes by the fencing token.\n",
                );
            }
            text
        }
    }
}

fn run(mode: Mode, input: &Input, plan: &Plan, service: &impl Service) -> Storm {
    let bar = progress_bar(mode, plan.deliveries() as u64);
    let site = Site::new(plan, &input.lines);
    let meter = run_clients(&site, service, &|| bar.inc(1));
    let elapsed = site.elapsed();
    bar.finish_and_clear();
    let overlap = Overlap::measure(meter.executions.clone(), elapsed, plot::SLICES);
    let entries = site.ledger.entries();
    let mut report = Report::new(&Finished {
        mode,
        plan,
        entries: &entries,
        meter: &meter,
        overlap: &overlap,
        input,
        elapsed,
    });
    let mut violations = check::miscounts(&report);
    if mode == Mode::Engine {
        violations.extend(check::verify(&site, &entries, &meter, &overlap));
    }
    report.violations = violations.iter().map(ToString::to_string).collect();
    let number = |&line: &u32| input.lines[line as usize].number;
    let refused = (0..)
        .zip(&plan.originals)
        .filter_map(|(request, line)| Some((number(line), site.refusal(request)?)))
        .collect();
    Storm { report, overlap, refused }
}

/// A bar on standard error, and only where somebody looks at it.
fn progress_bar(mode: Mode, deliveries: u64) -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(
        "{prefix:>8} [{wide_bar}] {human_pos}/{human_len} deliveries, {elapsed} ",
    );
    let bar = ProgressBar::new(deliveries);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
    bar.set_prefix(match mode {
        Mode::Baseline => "before",
        Mode::Engine => "after",
    });
    bar
}
