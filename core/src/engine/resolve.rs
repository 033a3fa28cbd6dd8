//! Resolve: what to do about an attempt whose effect nobody knows.

use super::Engine;
use super::fleet::key_of;
use super::keys;
use crate::error::{Error, ErrorCode};
use crate::fingerprint::Request;
use crate::outcome::Outcome;
use crate::table::Found;
use crate::table::control::{Snapshot, State};

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
    /// changed. [`ErrorCode::TierUnavailable`]: the tier gave no answer. [`ErrorCode::Forked`] in
    /// a forked child, and the errors of digesting the request.
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
        let settled = match &self.fleet {
            Some(fleet) => {
                let fingerprint = self.hasher(keys::load(&self.region).current)?;
                let key = key_of(fingerprint.fingerprint(request)?.words());
                self.settle_in_fleet(fleet, key, &resolution)?
            }
            None => false,
        };
        let resolved = self.resolve_here(request, resolution);
        // Where another host ran it, this one knows nothing of it.
        if settled { Ok(()) } else { resolved }
    }

    fn resolve_here(&self, request: &Request<'_>, resolution: Resolution) -> Result<(), Error> {
        let found = self.find(request)?;
        let unknown = found.filter(|found| found.seen.state() == State::Unknown);
        let Found { slot, seen } = unknown.ok_or_else(not_found)?;
        let window_ms = self.longest_window_ms();
        match resolution {
            Resolution::Succeeded(outcome) => {
                self.finish_at(slot, seen, &outcome, State::Succeeded, window_ms)
            }
            Resolution::Failed(outcome) => {
                self.finish_at(slot, seen, &outcome, State::Failed, window_ms)
            }
            Resolution::RunAgain => {
                let rules = self.rules();
                let decided = self.table.set_due_unknown(slot, seen, rules.now_ms);
                // Whoever decided it, and how: it is carried out before this is answered.
                self.help(Found { slot, seen });
                self.note_resolved(slot, seen);
                return if decided { Ok(()) } else { Err(not_found()) };
            }
        }
        .map(|_| self.note_resolved(slot, seen))
        .map_err(|_| not_found())
    }

    /// The engine may retry the record: whoever looks after that has to hear of it.
    fn note_resolved(&self, slot: usize, seen: Snapshot) {
        if self.table.retries_any() {
            self.token_over(slot, seen.fence());
        }
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
