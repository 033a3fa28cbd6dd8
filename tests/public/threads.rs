//! Threads that nobody asked for.

use std::sync::Arc;
use std::time::Duration;

use oncegate::{Engine, OnLapse};

use crate::support::{done, request, token, until};

/// Goal: opening and using an engine starts no thread. Method: a thread without a name has that of
/// the thread that started it; so count the threads with this test's name, and with one of ours.
#[test]
#[cfg(target_os = "linux")]
fn opening_starts_none() {
    let engine = Engine::builder().capacity(1_000).build().expect("valid");
    let first = token(&engine, &request("k"));
    engine.complete(&first, &done("x")).expect("held");
    engine.sweep(usize::MAX).expect("not forked");
    assert_eq!(named("threads::openin"), 1, "this test's own thread, and no other");
    // Other tests of this process may run a ticker or a driver just now.
    let asked_for = ["oncegate-ticker", "oncegate-driver"].map(named);
    assert_eq!(named("oncegate"), asked_for.iter().sum::<usize>());
    drop(engine);
}

/// Goal: the ticker runs when asked, notices what has lapsed, and is gone when it is dropped.
/// Method: a real clock, a lease of a millisecond; count the ticker's threads.
#[test]
#[cfg(target_os = "linux")]
fn ticker_stops_when_dropped() {
    let builder = Engine::builder().capacity(100).precise_clock().on_lapse(OnLapse::Unknown);
    let engine = builder.lease_duration(Duration::from_millis(1)).build().expect("valid");
    let engine = Arc::new(engine);
    assert_eq!(named("oncegate-ticker"), 0);
    let _leaked = token(&engine, &request("k"));
    let ticker = engine.ticker(Duration::from_millis(1)).expect("a thread");
    until("the lapse", || engine.stats().expect("not forked").live.unknown == 1);
    assert_eq!(named("oncegate-ticker"), 1);
    drop(ticker);
    // The kernel lets go of a thread's entry a moment after it was joined.
    until("the thread's end", || named("oncegate-ticker") == 0);
    let slow = engine.ticker(Duration::from_secs(3600)).expect("a thread");
    drop(slow);
    assert_eq!(Arc::strong_count(&engine), 1);
}

/// How many threads of this process have a name that begins so. The kernel keeps 15 bytes of it.
pub(crate) fn named(name: &str) -> usize {
    states(name).len()
}

/// Whether all threads whose name begins so sleep, and there are any.
pub(crate) fn asleep(name: &str) -> bool {
    let states = states(name);
    !states.is_empty() && states.iter().all(|state| *state == 'S')
}

/// What the threads are doing whose name begins so, by the letter that the kernel has for it.
fn states(name: &str) -> Vec<char> {
    let name = &name[..name.len().min(15)];
    let tasks = std::fs::read_dir("/proc/self/task").expect("procfs");
    // A thread may end while it is looked at.
    let stats =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("stat")).ok());
    let of_name = stats.filter_map(|stat| {
        let (head, rest) = stat.rsplit_once(") ")?;
        let own = head.split_once(" (")?.1;
        own.starts_with(name).then(|| rest.chars().next())?
    });
    of_name.collect()
}
