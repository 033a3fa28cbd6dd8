//! The index by itself: what it files, and what it has to keep in mind.

use super::*;

struct Made(u64);

impl Changes for Made {
    fn in_all(&self) -> u64 {
        self.0
    }

    fn of_block(&self, _block: usize) -> u64 {
        self.0
    }

    fn entry(&self, _change: u64) -> Option<usize> {
        Some(3)
    }
}

/// Goal: one who stalls before he files what he has changed puts nothing off that came since.
/// Method: by hand; his change and the next one are looked at, and filed, before he goes on.
#[test]
fn who_stalls_files_nothing() {
    let mut index = Index::new();
    index.take_in(8, &Made(0));
    while index.behind.next().is_some() {}
    index.take_in(8, &Made(2));
    while index.behind.next().is_some() {}
    index.file(3, 1_000);
    index.file_own(3, 9_000, 0);
    assert_eq!(index.next_due(1_000, &mut 10), Some(Due { due_ms: 1_000, index: 3 }));
}

/// Goal: who has looked at a record does not put off what was filed since. Method: by hand; it
/// is changed and filed between his look and his filing.
#[test]
fn stale_look_files_nothing() {
    let mut index = Index::new();
    index.take_in(8, &Made(0));
    index.file(3, 1_000);
    assert_eq!(index.next_due(1_000, &mut 10), Some(Due { due_ms: 1_000, index: 3 }));
    index.file(3, 2_000);
    index.file_again(3, 600_000);
    assert_eq!(index.next_due(2_000, &mut 10), Some(Due { due_ms: 2_000, index: 3 }));
}

/// Goal: a thread that dies while it looks takes no wake-up with it. Method: one of two that
/// sleep is woken, and its place is dropped as a panic drops it.
#[test]
fn seat_that_is_dropped_passes_its_wake_up_on() {
    struct Woken(std::sync::atomic::AtomicU64);
    impl std::task::Wake for Woken {
        fn wake(self: std::sync::Arc<Self>) {
            // Relaxed: one thread.
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let woken = [0; 2].map(|_| std::sync::Arc::new(Woken(0.into())));
    let scheduler = Scheduler::new();
    let [first, second] =
        [0, 1].map(|at| Seat::take(&scheduler, woken[at].clone().into(), Kind::Worker));
    scheduler.wake_one();
    drop(first);
    // Relaxed: one thread.
    assert_eq!([0, 1].map(|at: usize| woken[at].0.load(Ordering::Relaxed)), [1, 1]);
    assert!(!second.leave(), "it was woken");
}

fn index_of(entries: usize) -> Index {
    let mut index = Index::new();
    index.take_in(entries, &Made(0));
    while index.behind.next().is_some() {}
    index
}

fn all_due(index: &mut Index, now_ms: u64) -> Vec<Due> {
    let mut left = usize::MAX;
    std::iter::from_fn(|| index.next_due(now_ms, &mut left)).collect()
}

/// Goal: what the index takes is bounded by how many entries there are, and not by how often
/// they are filed, and nothing is lost by that. Method: leases of a day that end after a
/// second, two hundred times for each of five thousand entries; then all are due, once, at the
/// time that they were filed for last.
///
/// Cause: what was filed for another time stayed in the wheel until its first time came.
#[test]
fn wheel_is_bounded_by_entries() {
    const ENTRIES: usize = 5_000;
    let mut index = index_of(ENTRIES);
    let mut most = 0;
    for turn in 0..200_u64 {
        for entry in 0..ENTRIES {
            let now_ms = 1 + turn * 1_000 + entry as u64 / 10;
            index.file(entry, now_ms + 24 * 3_600_000);
            index.file(entry, now_ms + 1_000_000);
            most = most.max(index.wheel.entries());
        }
    }
    assert!(most <= 4 * ENTRIES + SLACK, "{most} in the wheel");
    assert_eq!(all_due(&mut index, 1_000_000), []);
    let mut due = all_due(&mut index, 100_000_000);
    due.sort_unstable_by_key(|due| due.index);
    let last = |entry: u32| 1 + 199_000 + u64::from(entry) / 10 + 1_000_000;
    let all: Vec<Due> =
        (0..ENTRIES as u32).map(|index| Due { due_ms: last(index), index }).collect();
    assert_eq!(due, all);
}

/// Goal: whoever comes with an older time takes nothing that is due later, and loses it for
/// nobody. Method: by hand; of two that are due at 100 one is taken, and then another thread,
/// which has read the clock before, asks for what is due at 99.
///
/// Cause: he took the second out, and left it out since it was not due.
#[test]
fn older_time_loses_nothing() {
    let mut index = index_of(8);
    (1..=2).for_each(|entry| index.file(entry, 100));
    assert_eq!(index.next_due(100, &mut 10), Some(Due { due_ms: 100, index: 1 }));
    assert_eq!(index.next_due(99, &mut 10), None);
    assert_eq!(index.next_due(100, &mut 10), Some(Due { due_ms: 100, index: 2 }));
}
