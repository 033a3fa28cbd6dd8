//! Oldest: which dead letter goes where there would be one more than may be.
//!
//! Each process remembers which ones were the oldest when it looked at all entries last. What is
//! buried later is newer than all of them, and what was redriven or discarded meanwhile is found
//! out when its turn comes. So the entries are looked at again only when none of them is left.

use std::collections::BinaryHeap;

use super::super::Engine;
use super::letter::LetterId;
use super::settings::OnLettersFull;
use crate::observe::Event;
use crate::region::header;
use crate::sync::Ordering;
use crate::sync::planted::Bug;
use crate::table::Found;
use crate::table::entry::Entry;

/// What one process remembers.
#[derive(Debug, Default)]
pub(super) struct Oldest {
    /// When each was buried; the oldest is the last.
    letters: Vec<(u64, LetterId)>,
    /// How many newcomers were turned away since the letters were counted; `None`: they were not.
    turned_away: Option<usize>,
}

impl Engine {
    /// Whether one more dead letter may be kept: if need be, in the place of the oldest.
    ///
    /// Where as many are kept as may be, it reads one journal, and once in as many burials as
    /// there are letters, or in 65,536, all of them; a newcomer that is turned away costs a look at
    /// 64 entries, taken together.
    pub(super) fn room_for_letter(&self) -> bool {
        let most = self.retries.max_letters;
        if self.letters() < most || Bug::LettersUnbounded.is_planted() {
            return true;
        }
        let has_room = if most == 0 || self.retries.on_letters_full == OnLettersFull::Reject {
            most != 0 && self.may_be_miscounted() && self.count_letters() < most
        } else {
            return self.drop_oldest();
        };
        if !has_room {
            self.counters.add(Event::LettersLost);
        }
        has_room
    }

    /// Gives up the oldest letter, if there is not room without that.
    fn drop_oldest(&self) -> bool {
        for scanned in [false, true] {
            loop {
                let oldest = self.scheduler().index().oldest.letters.pop();
                let Some((buried_ms, id)) = oldest else { break };
                if let Some((found, entry)) = self.still_a_letter(id, buried_ms)
                    && self.give_up_letter(found, entry)
                {
                    self.counters.add(Event::LettersLost);
                    return true;
                }
            }
            if !scanned && self.find_oldest() < self.retries.max_letters {
                return true;
            }
        }
        // All of them went meanwhile.
        true
    }

    /// The letter of this name, unless it is none any more, or was buried again.
    fn still_a_letter(&self, id: LetterId, buried_ms: u64) -> Option<(Found, Entry)> {
        let (journal, (found, entry)) = self.journal_of_letter(id.index())?;
        let same = LetterId::of(entry) == id;
        (same && journal.buried_ms == buried_ms).then_some((found, entry))
    }

    /// Looks at all letters, and remembers the oldest. Gives how many there are.
    fn find_oldest(&self) -> u64 {
        let mut oldest = BinaryHeap::new();
        for index in 0..self.table.retry_entries() {
            let Some((journal, (_, entry))) = self.journal_of_letter(index) else { continue };
            oldest.push((journal.buried_ms, LetterId::new(index, entry.word.generation())));
            if oldest.len() > MOST_REMEMBERED {
                oldest.pop();
            }
        }
        let mut letters = oldest.into_sorted_vec();
        letters.reverse();
        if Bug::OldestForgotten.is_planted() {
            letters.drain(..letters.len().saturating_sub(1));
        }
        self.scheduler().index().oldest.letters = letters;
        self.count_letters()
    }

    /// Whether it is time to count the letters: not with each newcomer that is turned away.
    fn may_be_miscounted(&self) -> bool {
        let often = self.table.retry_entries() / COUNTED_EACH;
        let turned_away = &mut self.scheduler().index().oldest.turned_away;
        let due = turned_away.is_none_or(|since| since >= often);
        *turned_away = if due { Some(0) } else { turned_away.map(|since| since + 1) };
        due
    }

    /// Counts the letters: what died processes counted and did not bury is found out here.
    fn count_letters(&self) -> u64 {
        let count = (0..self.table.retry_entries()).filter(|at| self.has_letter(*at)).count();
        // Relaxed: a count; entries decide.
        self.region.header(header::DEAD_LETTERS).store(count as u64, Ordering::Relaxed);
        count as u64
    }

    fn has_letter(&self, index: usize) -> bool {
        self.table.entry_at(index).is_some_and(|entry| {
            let slot = entry.word.slot();
            self.table.is_letter(slot, self.table.slot(slot).control().load())
        })
    }

    fn letters(&self) -> u64 {
        // Relaxed: as above.
        self.region.header(header::DEAD_LETTERS).load(Ordering::Relaxed)
    }
}

/// So many of the oldest are remembered, in 24 bytes each at the most.
const MOST_REMEMBERED: usize = 65_536;
/// So many entries are looked at for each newcomer that is turned away, taken together.
const COUNTED_EACH: usize = 64;

#[cfg(all(test, not(any(oncegate_loom, oncegate_shuttle))))]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::ManualClock;
    use crate::engine::retrying::{AttemptError, Later, LetterFilter, RetryContext};
    use crate::engine::{Admission, Engine};
    use crate::fingerprint::{Request, Scope};
    use crate::retry::{BackoffPolicy, RetryPolicy};

    const MOST: usize = 50;

    fn engine(policy: OnLettersFull) -> (Engine, ManualClock) {
        let clock = ManualClock::new();
        let backoff = BackoffPolicy::constant(Duration::from_secs(1));
        let engine = Engine::builder()
            .capacity(2_000)
            .max_retrying(400)
            .context_limit(64)
            .steps_limit(0)
            .max_dead_letters(MOST)
            .on_letters_full(policy)
            .retry_policy(RetryPolicy::new(backoff).max_attempts(1))
            .clock(clock.clone())
            .build();
        (engine.expect("a valid configuration"), clock)
    }

    /// Buries a record of its own. Whether it is kept.
    fn bury(engine: &Engine, clock: &ManualClock, number: u32) -> bool {
        clock.advance(Duration::from_millis(1));
        let key = number.to_string();
        let request = Request::new(Scope::single_tenant(), "op", key.as_str()).expect("valid");
        let Ok(Admission::Admitted(lease)) = engine.begin(&request) else { panic!("admitted") };
        let context = RetryContext::new("op", key.as_bytes());
        match lease.retry_later(&AttemptError::new("503"), &context).expect("room") {
            Later::Buried { kept, .. } => kept,
            other => panic!("{other:?}"),
        }
    }

    fn kept(engine: &Engine) -> Vec<u32> {
        let page = engine.dead_letters(&LetterFilter::all(), None, usize::MAX).expect("answered");
        let number = |bytes: &[u8]| str::from_utf8(bytes).expect("text").parse().expect("a number");
        let mut kept: Vec<u32> = page.letters.iter().map(|one| number(one.context())).collect();
        kept.sort_unstable();
        kept
    }

    /// Goal: the oldest letter goes, whatever happened to others, and all are not looked at for
    /// each that goes. Method: ten times as many burials as letters may be; some are discarded or
    /// redriven, and buried again, meanwhile; the looks at all entries are counted.
    ///
    /// Cause: each burial counted all entries and read all journals.
    #[test]
    fn oldest_goes_and_few_are_looked_at() {
        let (engine, clock) = engine(OnLettersFull::DropOldest);
        let mut expected: Vec<u32> = Vec::new();
        let remembered = || engine.scheduler().index().oldest.letters.len();
        let mut scans = 0;
        for number in 0..10 * MOST as u32 {
            let (full, before) = (expected.len() == MOST, remembered());
            assert!(bury(&engine, &clock, number));
            // One that was remembered has gone, and others came instead.
            scans += usize::from(full && remembered() >= before);
            expected.push(number);
            if expected.len() > MOST {
                expected.remove(0);
            }
            if number % 20 == 19 {
                let page = engine.dead_letters(&LetterFilter::all(), None, usize::MAX);
                let letters = page.expect("answered").letters;
                let of = |at: usize| {
                    letters.iter().find(|one| one.context() == expected[at].to_string().as_bytes())
                };
                engine.discard(of(3).expect("kept").id).expect("a letter");
                engine.redrive(of(1).expect("kept").id).expect("a letter");
                let next = engine.next_attempt(Duration::ZERO).expect("answered").expect("due");
                clock.advance(Duration::from_millis(1));
                let again = next.into_lease().retry_later(
                    &AttemptError::new("503"),
                    &RetryContext::new("op", expected[1].to_string().as_bytes()),
                );
                assert!(matches!(again, Ok(Later::Buried { kept: true, .. })), "{again:?}");
                expected.remove(3);
                let again = expected.remove(1);
                expected.push(again);
            }
        }
        let mut sorted = expected.clone();
        sorted.sort_unstable();
        assert_eq!(kept(&engine), sorted);
        assert!(scans <= 2 * 10, "{scans} looks at all");
    }

    /// Goal: a count that a dead process left too high is found out, with either policy. Method:
    /// by hand, half of the letters that may be are counted and are not there.
    #[test]
    fn count_of_the_dead_is_found_out() {
        for policy in [OnLettersFull::DropOldest, OnLettersFull::Reject] {
            let (engine, clock) = engine(policy);
            let count = engine.region.header(header::DEAD_LETTERS);
            // Relaxed: one thread.
            count.store(MOST as u64 / 2, Ordering::Relaxed);
            (0..MOST as u32).for_each(|number| assert!(bury(&engine, &clock, number)));
            assert_eq!(kept(&engine).len(), MOST);
            assert_eq!(bury(&engine, &clock, 1_000), policy == OnLettersFull::DropOldest);
            assert_eq!(kept(&engine).len(), MOST);
        }
    }
}
