//! Ends: how the tier is told that attempts have ended.

use std::slice;
use std::time::Duration;

use super::link::{Fleet, Gap};
use super::parcel::{How, Parcel};
use crate::sync::planted::Bug;
use crate::tier::{Claim, Claimed, Ended, Ending, Grant};

/// What is still to be said of a parcel.
enum Step<'a> {
    /// Nothing: this is the answer.
    Answered(Result<Ended, Gap>),
    /// It is told so; the second is the answer should that not count.
    Tell(Ending<'a>, Result<Ended, Gap>),
}

impl Fleet {
    /// Tells the tier how an attempt ended.
    pub(super) fn end_now(&self, parcel: &Parcel) -> Result<Ended, Gap> {
        if parcel.is_unasked() {
            return self.end_all(slice::from_ref(parcel)).pop().unwrap_or(Err(Gap::Unknown));
        }
        // Its window is over: there is nothing to keep any more.
        let Some(ending) = parcel.ending(self.now()) else { return Ok(Ended::Fenced) };
        self.ask(|tier, within| tier.end(&ending, within))
    }

    /// Tells the tier how several attempts ended, in two round trips: it is asked first for those
    /// that it never granted.
    pub(super) fn end_all(&self, parcels: &[Parcel]) -> Vec<Result<Ended, Gap>> {
        let now = self.now();
        let unasked = parcels.iter().filter(|it| it.is_unasked() && it.ending(now).is_some());
        // By the claims the tier learns of the tokens, too: those that it gives later are above.
        let mut claims: Vec<Claim> = unasked.map(Parcel::claim).collect();
        let mut claimed = self.ask_for(&mut claims).into_iter();
        let steps = parcels.iter().map(|parcel| match parcel.ending(now) {
            None => Step::Answered(Ok(Ended::Fenced)),
            Some(ending) if parcel.is_unasked() => {
                parcel.step(ending, claimed.next().unwrap_or(Err(Gap::Unknown)))
            }
            Some(ending) => Step::Tell(ending, Ok(Ended::Fenced)),
        });
        let steps: Vec<Step<'_>> = steps.collect();
        let told = steps.iter().filter_map(|step| match step {
            Step::Tell(ending, _) => Some(*ending),
            Step::Answered(_) => None,
        });
        let mut replies = self.end_granted(&told.collect::<Vec<_>>()).into_iter();
        let answers = steps.into_iter().map(|step| match step {
            Step::Answered(answer) => answer,
            Step::Tell(_, otherwise) => match replies.next() {
                Some(Ok(Ended::Fenced)) => otherwise,
                Some(reply) => reply,
                None => Err(Gap::Unknown),
            },
        });
        answers.collect()
    }
}

impl Parcel {
    /// Whether the tier has to be asked for the attempt before it is told of its end.
    fn is_unasked(&self) -> bool {
        self.ungranted && !matches!(self.how, How::NeverRan)
    }

    /// What comes after the answer to its claim.
    fn step<'a>(&self, ending: Ending<'a>, claimed: Result<Claimed, Gap>) -> Step<'a> {
        let ending = Ending { restores: false, ..ending };
        let otherwise = match claimed {
            Err(gap) => return Step::Answered(Err(gap)),
            Ok(Claimed::Granted(Grant { fence, attempt, .. })) => {
                return Step::Tell(Ending { fence, attempt, ..ending }, Ok(Ended::Fenced));
            }
            Ok(Claimed::Waiting { due_in, .. }) => Err(Gap::PutOff(due_in.max(LEAST_REST))),
            // Another host has run it, or runs it: nothing is lost where nothing came of this one.
            Ok(_) if !self.has_effect() || Bug::UngrantedOverrides.is_planted() => Ok(Ended::Done),
            Ok(_) => Ok(Ended::Fenced),
        };
        // It may be what this very end has made of it, where the answer to that was lost.
        Step::Tell(ending, otherwise)
    }
}

/// For so long at least a record that waits is let alone: what is due another host may start.
const LEAST_REST: Duration = Duration::from_millis(50);
