//! Stuck: transitions that somebody began and nobody ended.
//!
//! None can be for long: whoever meets one makes it himself, and a dead process's are taken back.
//! What stands still all the same, over two looks and ten seconds, is a process that was stopped in
//! the middle of a step, a table that was damaged, or a defect of the engine: it is told, counted,
//! and left alone.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use super::super::Engine;
use crate::observe::Event;
use crate::sync::planted::Bug;
use crate::table::control::State;
use crate::table::slot::Kind;

/// Something that the engine noticed by itself.
///
/// ```
/// use oncegate::{Engine, EngineEvent};
/// let builder = Engine::builder().on_event(|event: &EngineEvent| {
///     eprintln!("{}: {event}", event.name());
/// });
/// # assert!(builder.build().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EngineEvent {
    /// A record stands in the middle of a transition for longer than any step takes.
    StateMachineDeadlockDetected {
        /// Its slot in the table.
        slot: usize,
        /// The transition.
        transition: StuckTransition,
        /// The process that began it, by its number in the table's registry; zero: not known.
        process: u8,
        /// For how long at least.
        stands: Duration,
    },
}

/// A transition that does not end.
///
/// ```
/// assert_eq!(oncegate::StuckTransition::Claim.name(), "claim");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StuckTransition {
    /// A slot is claimed, and no record is written into it.
    Claim,
    /// A record is written, and not inserted.
    Insertion,
    /// It is decided how an attempt ends, and the record does not say so.
    End,
    /// An entry of a record that is to be retried is claimed, and not made.
    RetryEntry,
}

impl StuckTransition {
    /// Its name, for metrics.
    ///
    /// ```
    /// assert_eq!(oncegate::StuckTransition::End.name(), "end");
    /// ```
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Claim => "claim",
            Self::Insertion => "insertion",
            Self::End => "end",
            Self::RetryEntry => "retry_entry",
        }
    }
}

impl EngineEvent {
    /// Its name, for metrics and logs.
    ///
    /// ```
    /// fn log(event: &oncegate::EngineEvent) { println!("{}", event.name()); }
    /// ```
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::StateMachineDeadlockDetected { .. } => "state_machine_deadlock_detected",
        }
    }
}

impl fmt::Display for EngineEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StateMachineDeadlockDetected { slot, transition, process, stands } => {
                let (transition, stands) = (transition.name(), stands.as_secs());
                write!(f, "slot {slot}: {transition} of process {process} stands for {stands} s")
            }
        }
    }
}

/// Whom the engine tells what it noticed.
pub(crate) type OnEvent = dyn Fn(&EngineEvent) + Send + Sync;

/// Transitions that were under way when they were looked at last, by slot or, beyond the slots, by
/// entry.
#[derive(Default)]
pub(super) struct UnderWay {
    seen: HashMap<usize, Standing>,
}

struct Standing {
    word: u64,
    since_ms: u64,
    told: bool,
}

impl UnderWay {
    /// Notes what `word` of `place` is. How long it has been so, if that is too long and nobody
    /// was told.
    fn note(&mut self, place: usize, word: u64, now_ms: u64) -> Option<Duration> {
        if self.seen.len() >= MOST_SEEN && !self.seen.contains_key(&place) {
            return None;
        }
        let fresh = || Standing { word, since_ms: now_ms, told: false };
        let standing = self.seen.entry(place).or_insert_with(fresh);
        if standing.word != word {
            *standing = fresh();
        }
        let stands_ms = now_ms.saturating_sub(standing.since_ms);
        let news = stands_ms >= STUCK_MS && !standing.told && !Bug::StuckUnnoticed.is_planted();
        standing.told |= news;
        news.then(|| Duration::from_millis(stands_ms))
    }

    fn forget(&mut self, place: usize) {
        self.seen.remove(&place);
    }
}

impl Engine {
    /// Looks at all slots and entries for transitions that do not end. Called once in a while by
    /// whoever drives.
    pub(super) fn look_for_stuck(&self, now_ms: u64) {
        for slot in 0..self.table.slots() {
            let at = self.table.slot(slot);
            let seen = at.control().load();
            let deadline = at.deadline();
            let decided = deadline.belongs_to(seen.fence())
                && matches!(deadline.kind, Kind::Window | Kind::Due);
            let transition = match seen.state() {
                State::Claimed => Some(StuckTransition::Claim),
                State::Inserting => Some(StuckTransition::Insertion),
                State::Running if decided => Some(StuckTransition::End),
                _ => None,
            };
            self.note_standing(slot, transition, seen.word(), seen.owner(), now_ms);
        }
        for index in 0..self.table.retry_entries() {
            let word = self.table.entry_word(index);
            let claimed = word.state() == crate::table::entry::EntryState::Claimed;
            let transition = claimed.then_some(StuckTransition::RetryEntry);
            let place = self.table.slots() + index;
            self.note_standing(place, transition, word.word(), word.owner(), now_ms);
        }
    }

    fn note_standing(
        &self,
        place: usize,
        transition: Option<StuckTransition>,
        word: u64,
        process: u8,
        now_ms: u64,
    ) {
        let Some(transition) = transition else {
            return self.scheduler().index().under_way.forget(place);
        };
        let stuck = self.scheduler().index().under_way.note(place, word, now_ms);
        if let Some(stands) = stuck {
            self.counters.add(Event::Stuck);
            if let Some(tell) = &self.on_event {
                let slot = place
                    .checked_sub(self.table.slots())
                    .map_or(place, |index| self.table.entry_word(index).slot());
                let event =
                    EngineEvent::StateMachineDeadlockDetected { slot, transition, process, stands };
                tell(&event);
            }
        }
    }
}

/// Longer than any step takes, in a process that is let run.
const STUCK_MS: u64 = 10_000;
/// How many are kept in mind.
const MOST_SEEN: usize = 1_024;

#[cfg(all(test, not(any(oncegate_loom, oncegate_shuttle))))]
mod tests;
