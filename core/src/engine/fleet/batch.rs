//! Batch: many requests that begin at once, with one round trip for all claims.

use std::sync::Arc;
use std::time::Duration;

use super::super::decide::Answer;
use super::super::replay::{Glance, Hint};
use super::super::{Admission, BeginOptions, Engine, OnConflict, Prepared};
use super::confirm::{Confirming, Next};
use super::link::Fleet;
use crate::error::Error;
use crate::outcome::Outcome;
use crate::tier::Claim;

/// A request of a batch whose attempt the table has admitted.
type Open<'e, 'r> = (usize, Prepared<'r>, Confirming<'e, 'r>);

impl Engine {
    /// Begins each of `batch`: what the table answers at once, then all claims together, and at
    /// last what runs here, perhaps for another one of the batch.
    pub(in super::super) fn begin_batch_in_fleet<'e>(
        &'e self,
        fleet: &'e Arc<Fleet>,
        batch: &[Prepared<'_>],
        options: &BeginOptions,
        buffer: &mut Outcome,
        mut each: impl FnMut(usize, Result<Admission<'e, &Outcome>, Error>),
    ) {
        let limit = match options.on_conflict.unwrap_or(self.defaults.on_conflict) {
            OnConflict::Conflict => Duration::ZERO,
            OnConflict::Wait(limit) => limit,
        };
        let give_up = self.now().saturating_add(limit);
        // Nobody waits for the first before the last was asked for.
        let at_once = options.on_conflict(OnConflict::Conflict);
        let (mut open, mut later) = (Vec::new(), Vec::new());
        for (index, prepared) in batch.iter().enumerate() {
            let fresh =
                if self.is_current(prepared) { Ok(*prepared) } else { self.refresh(prepared) };
            let answered = fresh.and_then(|prepared| {
                let glance = self.glance(&prepared, Hint::Nothing, || self.now_ms(), buffer);
                if matches!(glance, Glance::Replayed) {
                    return Ok((prepared, None));
                }
                self.answer(&prepared, glance, &at_once, buffer).map(|it| (prepared, Some(it)))
            });
            match answered {
                Err(error) => each(index, Err(error)),
                Ok((_, None)) => each(index, Ok(Admission::Replayed(&*buffer))),
                Ok((prepared, Some(answer))) => {
                    match Confirming::of(self, &answer, &prepared, options) {
                        Some(confirming) => open.push((index, prepared, confirming)),
                        None if may_change(&answer) => later.push((index, prepared)),
                        None => each(
                            index,
                            Ok(self.admission_apart(answer, &prepared, options, &*buffer)),
                        ),
                    }
                }
            }
        }
        self.claim_open(fleet, open, give_up, (options, buffer), &mut each);
        for (index, prepared) in later {
            let answer = self
                .answer(&prepared, Glance::Unclear, options, buffer)
                .and_then(|answer| self.confirm(answer, &prepared, options, buffer, self.now()));
            let given = answer.map(|it| self.admission_apart(it, &prepared, options, &*buffer));
            each(index, given);
        }
    }

    fn claim_open<'e>(
        &'e self,
        fleet: &Fleet,
        mut open: Vec<Open<'e, '_>>,
        give_up: Duration,
        (options, buffer): (&BeginOptions, &mut Outcome),
        each: &mut impl FnMut(usize, Result<Admission<'e, &Outcome>, Error>),
    ) {
        let mut waiting = Vec::new();
        while !open.is_empty() {
            let part: Vec<Open<'e, '_>> = open.drain(..open.len().min(IN_FLIGHT)).collect();
            let (mut asked, mut claims) = (Vec::new(), Vec::<Claim>::new());
            for (index, prepared, mut confirming) in part {
                claims.push(confirming.question());
                asked.push((index, prepared, confirming));
            }
            let replies = fleet.claim_all(&mut claims);
            for ((index, prepared, mut confirming), reply) in asked.into_iter().zip(replies) {
                let waits = self.now() < give_up;
                let answer = match confirming.take(reply, waits, buffer) {
                    Ok(Next::Answer(answer)) => Ok(answer),
                    // Only once all others are answered: what was granted to them would lapse.
                    Ok(Next::Lost) => {
                        waiting.push((index, prepared, None));
                        continue;
                    }
                    Ok(Next::Ask | Next::Wait { .. }) => {
                        waiting.push((index, prepared, Some(confirming)));
                        continue;
                    }
                    Err(error) => Err(error),
                };
                let given = answer.map(|it| self.admission_apart(it, &prepared, options, &*buffer));
                each(index, given);
            }
        }
        for (index, prepared, confirming) in waiting {
            let asked = confirming.map_or(Ok(None), |it| self.ask_fleet(it, give_up, buffer));
            let answer = match asked {
                Ok(None) => self.confirm_anew(&prepared, options, buffer),
                Ok(Some(answer)) => Ok(answer),
                Err(error) => Err(error),
            };
            let given = answer.map(|it| self.admission_apart(it, &prepared, options, &*buffer));
            each(index, given);
        }
    }

    /// The answer to a request whose attempt the table has lost.
    fn confirm_anew(
        &self,
        prepared: &Prepared<'_>,
        options: &BeginOptions,
        buffer: &mut Outcome,
    ) -> Result<Answer, Error> {
        let begun = self.now();
        let answer = self.answer(prepared, Glance::Unclear, options, buffer)?;
        self.confirm(answer, prepared, options, buffer, begun)
    }
}

/// Whether the tier has to be asked, or another request of the batch may be what runs.
fn may_change(answer: &Answer) -> bool {
    matches!(
        answer,
        Answer::InProgress { .. }
            | Answer::Scheduled { .. }
            | Answer::Unresolved
            | Answer::OutcomeGone
    )
}

/// How many claims go in one round trip.
const IN_FLIGHT: usize = 128;
