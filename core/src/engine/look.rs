//! Look: what state a record is in, for whoever knows its fingerprint.

use std::time::Duration;

use super::Engine;
use super::admission::Admission;
use super::decide::{Answer, MOST_ROUNDS, impossible};
use crate::error::Error;
use crate::fingerprint::Fingerprint;
use crate::outcome::Outcome;
use crate::table::control::State;
use crate::table::slot::Kind;
use crate::table::{Found, Rules};

impl Engine {
    /// What a duplicate of this record's request would be told now, without a duplicate: nothing
    /// is begun, nothing is compared, and nothing is counted.
    ///
    /// The answer is never `Admitted` nor `Mismatched`. `None`: there is no such record, or its
    /// time is over. An attempt whose lease has lapsed is `InProgress` with nothing remaining, and
    /// one that is due is `Scheduled` at once: looking changes neither.
    ///
    /// Whoever holds the fingerprint gets the outcome: it is what [`Prepared::fingerprint`] tells,
    /// and nobody who lacks the secret can make one up. Bind it to its scope where clients hold
    /// it. After a rotation of the secret, a record is found by the fingerprint that it was made
    /// under.
    ///
    /// Cost: that of a replay.
    ///
    /// [`Prepared::fingerprint`]: crate::Prepared::fingerprint
    ///
    /// # Errors
    ///
    /// [`ErrorCode::Forked`](crate::ErrorCode::Forked) in a forked child, and
    /// [`ErrorCode::RegionInvalid`](crate::ErrorCode::RegionInvalid) for a record that was damaged.
    ///
    /// ```
    /// use oncegate::{Admission, Engine, Outcome, Request, Scope};
    ///
    /// let engine = Engine::builder().capacity(1_000).build()?;
    /// let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// let fingerprint = engine.prepare(&request)?.fingerprint();
    /// assert!(engine.look(fingerprint)?.is_none());
    ///
    /// let Admission::Admitted(lease) = engine.begin(&request)? else { unreachable!() };
    /// assert!(matches!(engine.look(fingerprint)?, Some(Admission::InProgress { .. })));
    /// lease.complete(&Outcome::new(200, b"done"))?;
    /// let Some(Admission::Replayed(outcome)) = engine.look(fingerprint)? else { unreachable!() };
    /// assert_eq!(outcome.body(), b"done");
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn look(&self, fingerprint: Fingerprint) -> Result<Option<Admission<'_>>, Error> {
        self.enter()?;
        let words = fingerprint.words();
        let mut outcome = Outcome::default();
        for _ in 0..MOST_ROUNDS {
            let Ok(hit) = self.table.look(&words) else { return Ok(None) };
            let rules = self.rules();
            match self.sight(hit.found, &rules, &mut outcome) {
                Sight::Is(answer) => return Ok(Some(self.told(&answer, outcome))),
                Sight::Over => return Ok(None),
                Sight::Changed => {}
            }
        }
        Err(impossible())
    }

    fn sight(&self, found: Found, rules: &Rules, outcome: &mut Outcome) -> Sight {
        let Found { slot, seen } = found;
        let at = self.table.slot(slot);
        let (deadline, recorded) = (at.deadline(), at.attempt());
        // The second look of rule 1: for the deadline, and the attempt.
        if !at.control().load().is_same_record(seen) {
            return Sight::Changed;
        }
        if self.table.is_over(slot, seen, rules) {
            return Sight::Over;
        }
        let attempt = seen.fence().attempt(recorded);
        let is_own = deadline.belongs_to(seen.fence());
        Sight::Is(match seen.state() {
            State::Running => {
                let lasts = is_own && !self.table.is_orphan(seen);
                let until_ms = if lasts { deadline.at_ms } else { rules.now_ms };
                Answer::InProgress { at: found, attempt, until_ms }
            }
            State::Waiting => {
                // Else somebody was late to write the window of what was redriven: it is due.
                let says = is_own && deadline.kind == Kind::Due;
                let due_ms = if says { deadline.at_ms } else { rules.now_ms };
                let next_attempt = attempt + 1;
                Answer::Scheduled { at: found, next_attempt, due_ms, look_ms: due_ms }
            }
            State::Succeeded | State::Failed => match self.read_finished(found, outcome) {
                Some(answer) => answer,
                None => return Sight::Changed,
            },
            State::Unknown => Answer::Unresolved,
            State::Vacant | State::Claimed | State::Inserting => return Sight::Changed,
        })
    }

    fn told(&self, answer: &Answer, outcome: Outcome) -> Admission<'_> {
        let from_now = |ms: u64| Duration::from_millis(ms.saturating_sub(self.now_ms()));
        match *answer {
            Answer::Replayed => Admission::Replayed(outcome),
            Answer::InProgress { attempt, until_ms, .. } => {
                Admission::InProgress { attempt, remaining: from_now(until_ms) }
            }
            Answer::Scheduled { next_attempt, due_ms, .. } => {
                Admission::Scheduled { next_attempt, due_in: from_now(due_ms) }
            }
            Answer::Unresolved => Admission::Unresolved,
            // Who only looks is neither admitted nor compared with.
            Answer::OutcomeGone | Answer::Admitted { .. } | Answer::Mismatched => {
                Admission::OutcomeGone
            }
        }
    }
}

/// What one look came to.
enum Sight {
    Is(Answer),
    /// Its time is over.
    Over,
    /// It changed while it was looked at.
    Changed,
}
