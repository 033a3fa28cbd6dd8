//! Resolve: what to do about an attempt whose effect nobody knows.

use super::Engine;
use super::keys;
use crate::error::{Error, ErrorCode};
use crate::fingerprint::Request;
use crate::outcome::Outcome;
use crate::table::Found;
use crate::table::control::State;

/// What a reconciler found out about an unknown record.
///
/// ```
/// use oncegate::{Admission, Engine, Failure, Outcome, Request, Resolution, Scope};
///
/// let engine = Engine::builder().capacity(1_000).build()?;
/// let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
/// let Admission::Admitted(lease) = engine.begin(&request)? else { unreachable!() };
/// lease.fail(Failure::unknown())?;
/// assert!(matches!(engine.begin(&request)?, Admission::Unresolved));
///
/// engine.resolve(&request, Resolution::Succeeded(Outcome::new(200, b"it did")))?;
/// assert!(matches!(engine.begin(&request)?, Admission::Replayed(_)));
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// It took effect; duplicates get this outcome for the longest default dedup window of those
    /// who opened the table.
    Succeeded(Outcome),
    /// It failed for good; duplicates get this outcome for as long.
    Failed(Outcome),
    /// It had no effect: the next attempt may start at once.
    RunAgain,
}

impl Engine {
    /// Ends the uncertainty about `request`. Its payload plays no part.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::NotFound`]: there is no such record, or it is not unknown; it was not
    /// changed. [`ErrorCode::Forked`] in a forked child, and the errors of digesting the request.
    ///
    /// ```
    /// # use oncegate::{Engine, ErrorCode, Request, Resolution, Scope};
    /// # let engine = Engine::builder().capacity(1_000).build()?;
    /// let request = Request::new(Scope::single_tenant(), "op", "never seen")?;
    /// let error = engine.resolve(&request, Resolution::RunAgain).unwrap_err();
    /// assert_eq!(error.code(), ErrorCode::NotFound);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn resolve(&self, request: &Request<'_>, resolution: Resolution) -> Result<(), Error> {
        self.enter()?;
        let found = self.find(request)?;
        let unknown = found.filter(|found| found.seen.state() == State::Unknown);
        let Found { slot, seen } = unknown.ok_or_else(not_found)?;
        let window_ms = self.longest_window_ms();
        let finish = |outcome: &Outcome, state: State| {
            self.finish_at(slot, seen, outcome, state, window_ms).is_ok()
        };
        let resolved = match resolution {
            Resolution::Succeeded(outcome) => finish(&outcome, State::Succeeded),
            Resolution::Failed(outcome) => finish(&outcome, State::Failed),
            Resolution::RunAgain => {
                let rules = self.rules();
                let decided = self.table.set_due_unknown(slot, seen, rules.now_ms);
                // Whoever decided it, and how: it is carried out before this is answered.
                self.help(Found { slot, seen });
                decided
            }
        };
        if !resolved {
            return Err(not_found());
        }
        // Where it is retried, or its steps are kept, whoever looks after it has to hear.
        self.token_over(slot);
        Ok(())
    }

    /// The record of `request`, under whichever key it was made.
    fn find(&self, request: &Request<'_>) -> Result<Option<Found>, Error> {
        let state = keys::load(&self.region);
        for id in [state.retiring, Some(state.current)].into_iter().flatten() {
            let fingerprint = self.hasher(id)?.fingerprint(request)?;
            let found = self.table.search(&self.table.probe(fingerprint.words()));
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}

fn not_found() -> Error {
    Error::of(ErrorCode::NotFound, "record")
}
