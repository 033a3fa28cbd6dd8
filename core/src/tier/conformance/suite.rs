//! Which cases run, and what they found.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::ALL;
use super::rig::Rig;
use super::stage::{Case, Stage, Stop};

/// The cases that are to run.
///
/// ```
/// use oncegate::tier::conformance::Suite;
///
/// let suite = Suite::new().only("stale").seed(7);
/// assert!(suite.names().all(|name| name.contains("stale")));
/// ```
#[derive(Clone, Debug)]
pub struct Suite {
    only: String,
    seed: u64,
}

impl Suite {
    /// Every case, with a seed that is the same each time.
    ///
    /// ```
    /// # use oncegate::tier::conformance::Suite;
    /// assert!(Suite::new().names().count() > 10);
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self { only: String::new(), seed: 1 }
    }

    /// Only the cases whose name has `part` in it.
    ///
    /// ```
    /// # use oncegate::tier::conformance::Suite;
    /// assert_eq!(Suite::new().only("no such case").names().count(), 0);
    /// ```
    #[must_use]
    pub fn only(mut self, part: &str) -> Self {
        part.clone_into(&mut self.only);
        self
    }

    /// What keys, tables and the random history are drawn from; the report tells it.
    ///
    /// ```
    /// # use oncegate::tier::conformance::Suite;
    /// let suite = Suite::new().seed(42);
    /// # let _ = suite;
    /// ```
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The names of the cases, in their order.
    ///
    /// ```
    /// # use oncegate::tier::conformance::Suite;
    /// assert!(Suite::new().names().any(|name| name == "one_holder_at_a_time"));
    /// ```
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.cases().map(|case| case.name)
    }

    /// Runs them one after the other. A case that panics has failed.
    ///
    /// ```
    /// # use oncegate::tier::conformance::{Rig, Suite};
    /// fn passes(rig: &dyn Rig) -> bool {
    ///     Suite::new().check(rig).has_passed()
    /// }
    /// ```
    #[must_use]
    pub fn check(&self, rig: &dyn Rig) -> Report {
        let mut report = Report { seed: self.seed, ..Report::default() };
        for (at, case) in self.cases().enumerate() {
            rig.fresh();
            let stage = Stage::new(rig, self.seed, at);
            let ran = catch_unwind(AssertUnwindSafe(|| (case.run)(&stage)));
            match ran {
                Ok(Ok(())) => report.passed += 1,
                Ok(Err(Stop::Failed(why))) => report.failed.push((case.name, why)),
                Ok(Err(Stop::Cannot(what))) => report.unchecked.push((case.name, what)),
                Err(panic) => report.failed.push((case.name, said(&*panic))),
            }
        }
        report
    }

    fn cases(&self) -> impl Iterator<Item = &'static Case> {
        let wanted = self.only.clone();
        ALL.iter().copied().flatten().filter(move |case| case.name.contains(&*wanted))
    }
}

impl Default for Suite {
    fn default() -> Self {
        Self::new()
    }
}

/// What the cases found. Shown, it lists what failed and why, and what was not checked.
///
/// ```
/// # use oncegate::tier::conformance::{Rig, Suite};
/// fn show(rig: &dyn Rig) {
///     println!("{}", Suite::new().check(rig));
/// }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Report {
    seed: u64,
    passed: usize,
    failed: Vec<(&'static str, String)>,
    unchecked: Vec<(&'static str, String)>,
}

impl Report {
    /// Whether no case failed.
    ///
    /// ```
    /// # use oncegate::tier::conformance::Report;
    /// assert!(Report::default().has_passed());
    /// ```
    #[must_use]
    pub fn has_passed(&self) -> bool {
        self.failed.is_empty()
    }

    /// How many cases passed.
    ///
    /// ```
    /// # use oncegate::tier::conformance::Report;
    /// assert_eq!(Report::default().passed(), 0);
    /// ```
    #[must_use]
    pub fn passed(&self) -> usize {
        self.passed
    }

    /// The cases that failed, each with its reason.
    ///
    /// ```
    /// # use oncegate::tier::conformance::Report;
    /// assert_eq!(Report::default().failed().count(), 0);
    /// ```
    pub fn failed(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.failed.iter().map(|(name, why)| (*name, why.as_str()))
    }

    /// The cases that need what the rig cannot do, each with that.
    ///
    /// ```
    /// # use oncegate::tier::conformance::Report;
    /// assert_eq!(Report::default().unchecked().count(), 0);
    /// ```
    pub fn unchecked(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.unchecked.iter().map(|(name, what)| (*name, what.as_str()))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (failed, unchecked) = (self.failed.len(), self.unchecked.len());
        let counts = format!("{} passed, {failed} failed, {unchecked} not checked", self.passed);
        write!(f, "conformance: {counts} (seed {})", self.seed)?;
        for (name, why) in &self.failed {
            write!(f, "\n  {name} failed: {why}")?;
        }
        for (name, what) in &self.unchecked {
            write!(f, "\n  {name} was not checked: it needs {what}")?;
        }
        Ok(())
    }
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("it panicked: {}", text.unwrap_or("without a text"))
}
