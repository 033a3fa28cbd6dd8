//! Replay: the answers that most duplicates get, found without the general search's detours.
//!
//! A retry storm asks for few records very often: finished ones, and ones that run. This path
//! answers it from the record's own lines: it writes nothing but an age stamp that is out of date,
//! counts in a stripe of its own thread, and leaves every case that is not plain to
//! [`decide`](super::decide).

use super::begin::SAMPLE_EVERY;
use super::decide::Answer;
use super::{Engine, Prepared};
use crate::clock::{Clock, PreciseClock};
use crate::observe::{Event, Mine};
use crate::outcome::{Inline, Outcome};
use crate::sync::planted::Bug;
use crate::table::control::State;
use crate::table::slot::Kind;
use crate::table::{Arbitration, Hit};

/// What a first look came to.
pub(super) enum Glance {
    /// The outcome is in the caller's buffer.
    Replayed,
    /// An attempt runs.
    Running(Answer),
    /// There was no record; its home was like this before the search.
    Absent(Arbitration),
    /// Anything else: look thoroughly.
    Unclear,
}

/// What is known before a first look.
#[derive(Clone, Copy)]
pub(super) enum Hint {
    Nothing,
    /// A moment ago this slot had the tag.
    Slot(usize),
    /// A moment ago no slot had the tag, and before that the home was like this.
    Absent(Arbitration),
}

impl Engine {
    /// Copies the outcome of `prepared`, which is current, into `outcome`, if it has plainly
    /// finished with success, inside its window; or says that it runs, if it plainly does. `now_ms`
    /// tells the time.
    #[inline(always)]
    pub(super) fn glance(
        &self,
        prepared: &Prepared<'_>,
        hint: Hint,
        now_ms: impl Fn() -> u64,
        outcome: &mut Outcome,
    ) -> Glance {
        let mine = self.counters.mine();
        let calls = mine.total(Event::Replayed).wrapping_add(mine.total(Event::Begun));
        if calls.is_multiple_of(SAMPLE_EVERY) {
            return self.glance_timed(prepared, hint, now_ms(), outcome);
        }
        self.glance_untimed(prepared, hint, now_ms, outcome, mine)
    }

    #[cold]
    #[inline(never)]
    fn glance_timed(
        &self,
        prepared: &Prepared<'_>,
        hint: Hint,
        now_ms: u64,
        outcome: &mut Outcome,
    ) -> Glance {
        let started = PreciseClock.now();
        let mine = self.counters.mine();
        let glance = self.glance_untimed(prepared, hint, || now_ms, outcome, mine);
        if matches!(glance, Glance::Replayed | Glance::Running(_)) {
            self.note_latency(started);
        }
        glance
    }

    #[inline(always)]
    fn glance_untimed(
        &self,
        prepared: &Prepared<'_>,
        hint: Hint,
        now_ms: impl Fn() -> u64,
        outcome: &mut Outcome,
        mine: Mine<'_>,
    ) -> Glance {
        let fingerprint = &prepared.fingerprint;
        let found = match hint {
            Hint::Nothing => None,
            Hint::Slot(slot) => self.table.look_at(slot, fingerprint),
            // It stands unless somebody inserted since: an earlier request of the batch, perhaps.
            Hint::Absent(looked)
                if prepared.rotating || !self.table.stands(fingerprint, looked) =>
            {
                None
            }
            Hint::Absent(looked) => return Glance::Absent(looked),
        };
        let hit = match found.map_or_else(|| self.table.look(fingerprint), Ok) {
            Ok(hit) => hit,
            Err(looked) if !prepared.rotating => return Glance::Absent(looked),
            Err(_) => return Glance::Unclear,
        };
        if hit.found.seen.state() == State::Running {
            if self.table.is_orphan(hit.found.seen) {
                return Glance::Unclear;
            }
            let running = running(&hit, prepared, now_ms());
            return running.map_or(Glance::Unclear, Glance::Running);
        }
        if !self.copy_inline(&hit, prepared, now_ms, outcome) {
            return Glance::Unclear;
        }
        hit.touch();
        mine.add(Event::Replayed);
        Glance::Replayed
    }

    #[inline(always)]
    fn copy_inline(
        &self,
        hit: &Hit<'_>,
        prepared: &Prepared<'_>,
        now_ms: impl Fn() -> u64,
        outcome: &mut Outcome,
    ) -> bool {
        let (at, seen) = (hit.at, hit.found.seen);
        let inside = at.window_end(seen.fence()).is_some_and(|end_ms| end_ms > now_ms());
        let inside = inside || Bug::GlanceIgnoresWindow.is_planted();
        let same = at.digest() == prepared.digest || Bug::GlanceIgnoresPayload.is_planted();
        if seen.state() != State::Succeeded || !inside || !same {
            return false;
        }
        let Some(inline) = Inline::of_success(at.outcome(), seen.fence()) else {
            return false;
        };
        let copied = inline.read(hit.inline, outcome);
        // The second look of rule 1: for the digest, the deadline, and the bytes.
        let stands = at.control().load().is_same_record(seen);
        copied && (stands || Bug::InlineNotRechecked.is_planted())
    }
}

/// The answer to a duplicate of a record that runs, if its lease plainly lasts.
#[inline]
fn running(hit: &Hit<'_>, prepared: &Prepared<'_>, now_ms: u64) -> Option<Answer> {
    let (at, seen) = (hit.at, hit.found.seen);
    let (deadline, recorded) = (at.deadline(), at.attempt());
    let lasts = deadline.belongs_to(seen.fence())
        && deadline.kind == Kind::Lease
        && (deadline.lasts(now_ms) || Bug::RunningIgnoresLapse.is_planted());
    let same = at.digest() == prepared.digest || Bug::RunningIgnoresPayload.is_planted();
    // The second look of rule 1: for the digest, the deadline, and the attempt.
    let plain = lasts && same && at.control().load().is_same_record(seen);
    let attempt = seen.fence().attempt(recorded);
    plain.then_some(Answer::InProgress { at: hit.found, attempt, until_ms: deadline.at_ms })
}
