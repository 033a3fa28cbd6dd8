//! The tier in memory, held to the contract that it is the reference for.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use oncegate::tier::conformance::{Rig, Trouble};
use oncegate::tier::{Fault, Letter, Memory, Snapshot, Tier};
use oncegate::{Clock, ManualClock};

/// A store in memory, whose time stands still unless it is moved.
#[derive(Debug)]
struct InMemory {
    clock: Mutex<Shown>,
    memory: Mutex<Memory>,
    remembered: Mutex<Option<Snapshot>>,
}

/// A manual clock whose wall time can be set back.
#[derive(Clone, Debug, Default)]
struct Shown {
    manual: ManualClock,
    back_ms: Arc<AtomicU64>,
}

impl Clock for Shown {
    fn now(&self) -> Duration {
        self.manual.now()
    }

    fn unix_time(&self) -> Duration {
        // A year after the start of 2020, so that there is room behind it. Relaxed: the suite has
        // one thread where it sets the clock.
        let shown = self.manual.unix_time() + Duration::from_secs(366 * 86_400);
        shown.saturating_sub(Duration::from_millis(self.back_ms.load(Ordering::Relaxed)))
    }
}

impl InMemory {
    fn new() -> Self {
        let clock = Shown::default();
        let memory = Mutex::new(Self::store(&clock));
        Self { clock: Mutex::new(clock), memory, remembered: Mutex::new(None) }
    }

    fn store(clock: &Shown) -> Memory {
        Memory::with_clock(clock.clone()).max_outcome_bytes(MAX_OUTCOME).dead_letters(MOST_LETTERS)
    }
}

impl Rig for InMemory {
    fn fresh(&self) {
        let clock = Shown::default();
        *self.memory.lock().unwrap() = Self::store(&clock);
        *self.clock.lock().unwrap() = clock;
    }

    fn tier(&self) -> Arc<dyn Tier> {
        Arc::new(self.memory.lock().unwrap().clone())
    }

    fn advance(&self, by: Duration) {
        self.clock.lock().unwrap().manual.advance(by);
    }

    fn is_exact(&self) -> bool {
        true
    }

    fn outcome_bytes(&self) -> usize {
        MAX_OUTCOME
    }

    fn too_large(&self) -> Option<usize> {
        Some(MAX_OUTCOME)
    }

    fn most_letters(&self) -> usize {
        MOST_LETTERS
    }

    fn letters(&self) -> Option<Vec<Letter>> {
        Some(self.memory.lock().unwrap().letters())
    }

    fn trouble(&self, trouble: Trouble) -> bool {
        let memory = self.memory.lock().unwrap();
        match trouble {
            Trouble::Refuse => memory.fault(Fault::Refuse, 1),
            Trouble::LoseReply => memory.fault(Fault::LoseReply, 1),
            Trouble::LoseNotices => memory.fault(Fault::LoseNotices, 1),
            Trouble::Empty => memory.forget_all(),
            Trouble::Restart => memory.fail_over(&memory.snapshot()),
            Trouble::Remember => *self.remembered.lock().unwrap() = Some(memory.snapshot()),
            Trouble::GoBack => {
                let Some(before) = self.remembered.lock().unwrap().take() else { return false };
                memory.fail_over(&before);
            }
            Trouble::ClockBack(by) => {
                let by = u64::try_from(by.as_millis()).expect("it is a short time");
                // Relaxed: see `unix_time`.
                self.clock.lock().unwrap().back_ms.fetch_add(by, Ordering::Relaxed);
            }
            _ => return false,
        }
        true
    }
}

/// Goal: the reference keeps the contract, and leaves no case unchecked.
/// Method: the conformance suite, with every trouble that it knows.
#[test]
fn the_memory_tier_conforms() {
    let report = super::conforms(&InMemory::new());
    assert_eq!(report.unchecked().count(), 0, "{report}");
}

/// The largest outcome in the store under test.
const MAX_OUTCOME: usize = 64 * 1024;
const MOST_LETTERS: usize = 5;
