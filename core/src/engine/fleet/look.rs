//! Look: what the tier knows of a record that the table cannot answer for.

use super::super::decide::Answer;
use super::super::{Engine, Prepared};
use super::confirm::ms_down;
use super::link::{Gap, key_of};
use crate::outcome::Outcome;
use crate::table::Found;
use crate::table::control::State;
use crate::tier::{Finished, Holder, Sighting};

impl Engine {
    /// What the tier knows of a record that the table cannot answer for: one that is unresolved, or
    /// whose outcome is gone. `None`: the table is to be asked again.
    pub(super) fn look_in_fleet(
        &self,
        answer: Answer,
        prepared: &Prepared<'_>,
        outcome: &mut Outcome,
    ) -> Option<Answer> {
        match (&self.fleet, &answer) {
            (Some(fleet), Answer::Unresolved | Answer::OutcomeGone) => {
                let key = key_of(prepared.fingerprint);
                let seen = fleet.read(key, true);
                self.seen_in_fleet(answer, prepared, seen, outcome)
            }
            _ => Some(answer),
        }
    }

    /// What `seen` in the tier makes of `answer`, which is "unresolved" or "gone". `None`: the
    /// table is to be asked again.
    pub(super) fn seen_in_fleet(
        &self,
        answer: Answer,
        prepared: &Prepared<'_>,
        seen: Result<Option<Sighting>, Gap>,
        outcome: &mut Outcome,
    ) -> Option<Answer> {
        let found = self.table.search(&self.table.probe(prepared.fingerprint));
        let unknown = found.filter(|found| {
            found.seen.state() == State::Unknown && matches!(answer, Answer::Unresolved)
        });
        match (seen, unknown) {
            (Ok(Some(Sighting::Finished(finished))), found) => {
                let Finished { outcome: Some(left), failed, remaining } = finished else {
                    return Some(answer);
                };
                if let Some(found) = found {
                    let state = if failed { State::Failed } else { State::Succeeded };
                    let Found { slot, seen } = found;
                    let _ = self.finish_at(slot, seen, &left, state, ms_down(remaining).max(1));
                    self.ended_elsewhere(found);
                }
                *outcome = left;
                Some(Answer::Replayed)
            }
            (Ok(Some(Sighting::Running { holder, .. })), Some(found))
                if self.is_own(holder, found) =>
            {
                // Its process died, and nobody has told the tier.
                self.tell_unknown(self.parcel(found));
                Some(answer)
            }
            (Ok(Some(Sighting::Waiting { holder, .. })), Some(found))
                if self.is_own(holder, found) =>
            {
                // Somebody elsewhere has found out that it had no effect.
                self.table.set_due_unknown(found.slot, found.seen, self.now_ms());
                self.help(found);
                None
            }
            // Of another attempt the tier may know without knowing of this one, which it did not
            // grant, or has forgotten: that says nothing of what this one did.
            _ => Some(answer),
        }
    }

    /// Whether `holder` is the attempt that was found.
    fn is_own(&self, holder: Holder, found: Found) -> bool {
        let own = self.fleet.as_ref().is_some_and(|fleet| fleet.id == holder.table);
        own && holder.counter == found.seen.fence().get()
    }
}
