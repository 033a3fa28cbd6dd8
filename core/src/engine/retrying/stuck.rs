//! Stuck: transitions that somebody began and nobody ended.
//!
//! None can be for long: whoever meets one makes it himself, and a dead process's are taken back.
//! All are looked for in turn, once a minute, and those that were seen each second. What stands
//! still all the same, over two looks and ten seconds, is a process that was stopped in
//! the middle of a step, a table that was damaged, or a defect of the engine: it is told, counted,
//! and left alone.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
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
    /// Looks at `places`, which are slots and, behind them, entries, for transitions that are under
    /// way. The index is locked only where there is one.
    pub(super) fn look_for_stuck(&self, places: Range<usize>, now_ms: u64) {
        for place in places {
            let (transition, word, process) = self.transition_at(place);
            if transition.is_some() {
                self.note_standing(place, transition, word, process, now_ms);
            }
        }
    }

    /// Looks at those again that were under way.
    pub(super) fn look_again(&self, now_ms: u64) {
        let places: Vec<usize> = self.scheduler().index().under_way.seen.keys().copied().collect();
        for place in places {
            let (transition, word, process) = self.transition_at(place);
            self.note_standing(place, transition, word, process, now_ms);
        }
    }

    /// The transition that is under way at a place, if there is one; its word, and whose it is.
    fn transition_at(&self, place: usize) -> (Option<StuckTransition>, u64, u8) {
        if let Some(index) = place.checked_sub(self.table.slots()) {
            let word = self.table.entry_word(index);
            let claimed = word.state() == crate::table::entry::EntryState::Claimed;
            let transition = claimed.then_some(StuckTransition::RetryEntry);
            return (transition, word.word(), word.owner());
        }
        let at = self.table.slot(place);
        let seen = at.control().load();
        let is_decided = || {
            let deadline = at.deadline();
            let ends = matches!(deadline.kind, Kind::Window | Kind::Due);
            ends && deadline.belongs_to(seen.fence())
        };
        let transition = match seen.state() {
            State::Claimed => Some(StuckTransition::Claim),
            State::Inserting => Some(StuckTransition::Insertion),
            State::Running if is_decided() => Some(StuckTransition::End),
            _ => None,
        };
        (transition, seen.word(), seen.owner())
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
