//! A storm against a downstream that is down for a while: the same deliveries three times, once
//! retried at once, once with backoff and each for itself, and once through the engine.
//!
//! Time is real, and threads are: only that the outage takes a second or two, where others take
//! minutes.

mod alone;
mod plot;
mod report;
mod run;
mod service;
mod shape;
mod svg;
mod through;
mod town;

use oncegate::{BackoffPolicy, Jitter, RetryPolicy};

use self::alone::Again;
use self::report::Report;
use self::run::Run;
pub(crate) use self::shape::Asked;
use self::shape::Shape;
use self::through::Gated;
use self::town::Town;
use super::Shape as StormShape;
use super::plan::Plan;
use crate::input::Input;

/// The three runs, counted.
pub(crate) struct Outage {
    pub(crate) report: Report,
}

impl Outage {
    /// Runs the deliveries three times. Takes up to eighteen times the outage, and less where what
    /// is done is done sooner.
    ///
    /// # Errors
    ///
    /// What the engine says when it cannot be built, or cannot compare payloads for the plan.
    pub(crate) fn storm(
        input: &Input,
        of: StormShape,
        asked: Asked,
    ) -> Result<Self, oncegate::Error> {
        let plan = Plan::new(&input.lines, of)?;
        let shape = Shape::new(asked, &plan);
        let policy = policy(&shape);
        let town = Town::new(&plan, shape);
        alone::run(&town, &Again::AtOnce);
        let at_once = Run::of_town(town);
        let town = Town::new(&plan, shape);
        let jitter = oncegate::JitterSource::seeded(plan.shape.seed);
        alone::run(&town, &Again::Backoff(Box::new(policy.clone()), jitter));
        let backoff = Run::of_town(town);
        let town = Town::new(&plan, shape);
        let gated = Gated::new(&town, &policy, &input.lines)?;
        gated.run(&town);
        let (counts, stats) = gated.into_counts()?;
        let engine = Run::of_town(town).counted(counts, &stats);
        let report = Report::new(input, &plan, &shape, [at_once, backoff, engine]);
        Ok(Self { report })
    }

    /// The runs side by side for people.
    pub(crate) fn render(&self) -> String {
        format!("{}\n{}\n{}", report::table(&self.report), plot::draw(&self.report), self.verdict())
    }

    /// The plot as a picture.
    pub(crate) fn svg(&self) -> String {
        svg::draw(&self.report)
    }

    /// Whether the engine kept its promise.
    pub(crate) fn kept_promise(&self) -> bool {
        self.report.violations.is_empty()
    }

    fn verdict(&self) -> String {
        report::verdict(&self.report)
    }
}

/// The policy of those who back off, with and without the engine: full jitter, eight attempts.
fn policy(shape: &Shape) -> RetryPolicy {
    let ceiling = shape.outage_time() / 2;
    let backoff = BackoffPolicy::exponential(shape.work.min(ceiling), 2.0, ceiling);
    RetryPolicy::new(backoff.jitter(Jitter::Full)).max_attempts(MAX_ATTEMPTS)
}

/// The most deliveries that a storm with an outage takes: their callers are threads that wait.
pub(crate) const MAX_DELIVERIES_IN_OUTAGE: usize = 100_000;
const MAX_ATTEMPTS: u32 = 8;

#[cfg(test)]
mod tests;
