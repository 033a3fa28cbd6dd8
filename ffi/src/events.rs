//! Events: what the engine notices by itself, in a ring that the caller polls. The engine holds no
//! function of his.

use std::collections::VecDeque;
use std::ffi::c_char;
use std::sync::{Mutex, MutexGuard};

use oncegate::{EngineEvent, FillEvent};

use crate::convert::millis_up;
use crate::forked::PerProcess;
use crate::raw::{Plain, fill_text};

/// The live records reached one of the levels that were asked for.
pub const ONCEGATE_EVENT_FILL: u32 = 1;
/// A record stands in the middle of a transition for longer than any step takes.
pub const ONCEGATE_EVENT_STUCK: u32 = 2;

/// Something that the engine noticed by itself.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Event {
    /// One of `ONCEGATE_EVENT_…`; later versions may know more.
    pub kind: u32,
    /// The process that began what is stuck, by its number in the table's registry; zero: none.
    pub process: u32,
    /// The level that was reached, as a share of the capacity.
    pub level: f64,
    /// The live records, as a share of the capacity.
    pub fill: f64,
    /// The slot of the table that is stuck.
    pub slot: u64,
    /// For how long at least it has been, in milliseconds.
    pub stands_ms: u64,
    /// The event as a line for a log, zero-terminated.
    pub text: [c_char; 128],
}

// SAFETY: `repr(C)`, numbers and an array of them.
unsafe impl Plain for Event {}

/// The last events, and how many went before they were read. A forked child has its own.
#[derive(Default)]
pub(crate) struct Ring(PerProcess<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    events: VecDeque<Event>,
    lost: u64,
}

impl Ring {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn push(&self, event: Event) {
        let mut kept = self.lock();
        if kept.events.len() == CAPACITY {
            kept.events.pop_front();
            kept.lost += 1;
        }
        kept.events.push_back(event);
    }

    pub(crate) fn note_fill(&self, noticed: FillEvent) {
        let (level, fill) = (noticed.level(), noticed.fill());
        let text = format!("fill: {:.1} % of the capacity is live", fill * 100.0);
        self.push(Event { level, fill, ..blank(ONCEGATE_EVENT_FILL, &text) });
    }

    pub(crate) fn note(&self, noticed: &EngineEvent) {
        let text = format!("{}: {noticed}", noticed.name());
        if let EngineEvent::StateMachineDeadlockDetected { slot, process, stands, .. } = noticed {
            self.push(Event {
                process: u32::from(*process),
                slot: *slot as u64,
                stands_ms: millis_up(*stands),
                ..blank(ONCEGATE_EVENT_STUCK, &text)
            });
        }
    }

    /// Takes the oldest `most`, and the count of those that were lost since it was last told.
    pub(crate) fn take(&self, most: usize) -> (Vec<Event>, u64) {
        let mut kept = self.lock();
        let count = most.min(kept.events.len());
        let lost = std::mem::take(&mut kept.lost);
        (kept.events.drain(..count).collect(), lost)
    }
}

fn blank(kind: u32, line: &str) -> Event {
    let mut text = [0; 128];
    fill_text(&mut text, line);
    Event { kind, process: 0, level: 0.0, fill: 0.0, slot: 0, stands_ms: 0, text }
}

/// More than anything that is worth an event does at once.
const CAPACITY: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: the ring keeps the newest events, and says how many it lost.
    /// Method: twice as many as it holds, read in two goes.
    #[test]
    fn the_oldest_go_first_and_are_counted() {
        let ring = Ring::default();
        for slot in 0..2 * CAPACITY as u64 {
            ring.push(Event { slot, ..blank(ONCEGATE_EVENT_STUCK, "one") });
        }
        let (first, lost) = ring.take(10);
        assert_eq!((first.len(), lost), (10, CAPACITY as u64));
        assert_eq!(first.first().map(|event| event.slot), Some(CAPACITY as u64));
        let (rest, lost) = ring.take(usize::MAX);
        assert_eq!((rest.len(), lost), (CAPACITY - 10, 0));
    }

    /// Goal: a child that shares the engine reads events, whoever held the ring when it was made.
    /// Method: a fork under the lock; a child that waits for it is ended by an alarm.
    #[test]
    fn a_forked_child_has_a_ring_of_its_own() {
        crate::handles::watch_forks();
        let ring = Ring::default();
        ring.push(blank(ONCEGATE_EVENT_STUCK, "the parent's"));
        let kept = ring.lock();
        // SAFETY: the child allocates, which the C library allows, takes one lock, and ends.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: it only sets a timer.
            unsafe { libc::alarm(10) };
            let read = ring.take(1).0.len();
            // SAFETY: nothing of the parent's is run.
            unsafe { libc::_exit(read as i32) };
        }
        drop(kept);
        let mut status = -1;
        // SAFETY: the child is this process's, and the status is written.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(status, 0, "it hung, or read its parent's events");
    }
}
