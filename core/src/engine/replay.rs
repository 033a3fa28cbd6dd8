//! Replay: the answer that most duplicates get, found without the general search's detours.
//!
//! A retry storm asks for few records very often. This path answers it from the record's own
//! lines: it writes nothing but an age stamp that is out of date, counts in a stripe of its own
//! thread, and leaves every case that is not plain to [`decide`](super::decide).

use super::begin::SAMPLE_EVERY;
use super::{Engine, Prepared};
use crate::clock::{Clock, PreciseClock};
use crate::observe::Event;
use crate::outcome::{Inline, Outcome};
use crate::sync::planted::Bug;
use crate::table::control::State;
use crate::table::{Arbitration, Found};

/// What a first look came to.
pub(super) enum Glance {
    /// The outcome is in the caller's buffer.
    Replayed,
    /// There was no record; its home was like this before the search.
    Absent(Arbitration),
    /// Anything else: look thoroughly.
    Unclear,
}

impl Engine {
    /// Copies the outcome of `prepared`, which is current, into `outcome`, if it has plainly
    /// finished with success, inside its window.
    #[inline]
    pub(super) fn glance(&self, prepared: &Prepared<'_>, outcome: &mut Outcome) -> Glance {
        let mine = self.counters.mine();
        let timed = mine.total(Event::Replayed).is_multiple_of(SAMPLE_EVERY);
        let started = timed.then(|| PreciseClock.now());
        let found = match self.table.look(&prepared.probe) {
            Ok(found) => found,
            Err(looked) if prepared.retiring.is_none() => return Glance::Absent(looked),
            Err(_) => return Glance::Unclear,
        };
        if found.seen.state() != State::Succeeded || !self.copy_inline(found, prepared, outcome) {
            return Glance::Unclear;
        }
        mine.add(Event::Replayed);
        if let Some(started) = started {
            self.note_latency(started);
        }
        Glance::Replayed
    }

    #[inline]
    fn copy_inline(&self, found: Found, prepared: &Prepared<'_>, outcome: &mut Outcome) -> bool {
        let Found { slot, seen } = found;
        let at = self.table.slot(slot);
        let inside = at.window_end(seen.fence()).is_some_and(|end_ms| end_ms > self.now_ms());
        let inside = inside || Bug::GlanceIgnoresWindow.is_planted();
        let same = at.digest() == prepared.digest || Bug::GlanceIgnoresPayload.is_planted();
        if !inside || !same {
            return false;
        }
        let Some(inline) = Inline::of_success(at.outcome(), seen.fence()) else {
            return false;
        };
        let copied = inline.read(self.table.inline(slot), outcome);
        // The second look of rule 1: for the digest, the deadline, and the bytes.
        let stands = at.control().load().is_same_record(seen);
        if !copied || !(stands || Bug::InlineNotRechecked.is_planted()) {
            return false;
        }
        self.table.touch(slot);
        true
    }
}
