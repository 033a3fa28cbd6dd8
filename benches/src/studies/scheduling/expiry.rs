//! Expiry: very many records are due in the same millisecond.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use oncegate::{
    Admission, BackoffPolicy, BeginOptions, Engine, ManualClock, Outcome, RetryPolicy, Scope,
};

use super::super::prepared;
use super::queues::{builder, later};
use crate::meter::{Meter, OneInEight};
use crate::pin;

/// What is told of each size.
pub(super) const ROWS: [&str; 9] = [
    "begin beside an idle worker: p99, ns",
    "begin meanwhile: p99, ns",
    "begin beside an idle worker: longest, ns",
    "begin meanwhile: longest, ns",
    "the first one handed out after, ms",
    "the last one handed out after, ms",
    "the longest call of next_attempt after the first, us",
    "advance(1000) before anything was looked at: longest, us",
    "records that one advance(1000) looked at, at the most",
];

/// So many records that are due at once, handed out and completed.
pub(super) fn at_once(records: usize) -> [f64; ROWS.len()] {
    let (advanced, most_looked_at) = advances(records);
    let (engine, clock) = open(records);
    let alone = begins(&engine, 0, || idle(IDLE));
    clock.advance(DELAY);
    let (mut first, mut longest, start) = (Duration::ZERO, Duration::ZERO, Instant::now());
    let mut last = Duration::ZERO;
    let meanwhile = begins(&engine, 1, || {
        let outcome = Outcome::new(200, [7; 16]);
        for nth in 0..records {
            let before = start.elapsed();
            let attempt = engine.next_attempt(Duration::ZERO).expect("not forked");
            last = start.elapsed();
            if nth == 0 {
                first = last;
            } else {
                longest = longest.max(last - before);
            }
            attempt.expect("it is due").into_lease().complete(&outcome).expect("held");
        }
        assert!(engine.next_attempt(Duration::ZERO).expect("not forked").is_none());
    });
    let (ms, us) = (|at: Duration| at.as_secs_f64() * 1e3, |at: Duration| at.as_secs_f64() * 1e6);
    let at = |seen: &Histogram<u64>| [seen.value_at_quantile(0.99), seen.max()].map(|ns| ns as f64);
    let ([p99_alone, max_alone], [p99, max]) = (at(&alone), at(&meanwhile));
    let worker = [ms(first), ms(last), us(longest), us(advanced), most_looked_at as f64];
    let [first, last, longest, advanced, most] = worker;
    [p99_alone, p99, max_alone, max, first, last, longest, advanced, most]
}

/// An engine in which so many records are due in [`DELAY`], all at once.
fn open(records: usize) -> (Engine, ManualClock) {
    let policy = RetryPolicy::new(BackoffPolicy::constant(DELAY));
    let clock = ManualClock::new();
    let builder = builder(records * 2 + OTHERS as usize, records + records / 4 + 64);
    let engine = builder.retry_policy(policy).clock(clock.clone()).build();
    let engine = engine.expect("a valid configuration");
    for number in 0..records as u64 {
        let asked = prepared(&engine, Scope::single_tenant(), number);
        match engine.begin_prepared(&asked, &BeginOptions::new()) {
            Ok(Admission::Admitted(lease)) => later(lease, "deliver"),
            other => panic!("a new request was answered {other:?}"),
        }
    }
    (engine, clock)
}

/// How long one call of `advance` takes at the most, and how many records it looks at, when all
/// of them are due and nobody has looked before.
fn advances(records: usize) -> (Duration, usize) {
    let (engine, clock) = open(records);
    clock.advance(DELAY);
    let (mut longest, mut most, mut looked_at) = (Duration::ZERO, 0, 0);
    loop {
        let start = Instant::now();
        let driven = engine.advance(LIMIT).expect("not forked");
        longest = longest.max(start.elapsed());
        most = most.max(driven.looked_at);
        looked_at += driven.looked_at;
        if !driven.more {
            break;
        }
    }
    assert!(looked_at >= records && most <= LIMIT, "{looked_at} of {records}, {most} at once");
    (longest, most)
}

/// Times replays, and one new request in eight, in another thread while `work` lasts.
fn begins(engine: &Engine, turn: u64, work: impl FnOnce()) -> Histogram<u64> {
    let (processors, over) = (pin::processors(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            pin::pin(&processors, 1);
            let (outcome, options) = (Outcome::new(200, [7; 16]), BeginOptions::new());
            let (mut meter, mut buffer) = (OneInEight::default(), Outcome::new(200, [0; 64]));
            let first = FIRST_OTHER + turn * OTHERS / 2;
            let mut next = 0;
            // Relaxed: the flag orders nothing.
            while !over.load(Ordering::Relaxed) && next < OTHERS / 2 {
                for nth in 0..8 {
                    let number = if nth == 0 { next } else { next.saturating_sub(nth * 9) };
                    let asked = prepared(engine, Scope::single_tenant(), first + number);
                    let mark = meter.start();
                    let answer = engine.begin_into(&asked, &options, &mut buffer);
                    meter.end(mark);
                    if let Ok(Admission::Admitted(lease)) = answer {
                        lease.complete(&outcome).expect("held");
                    }
                }
                next += 1;
                std::thread::yield_now();
            }
            meter.histogram()
        });
        work();
        // Relaxed: as above.
        over.store(true, Ordering::Relaxed);
        client.join().expect("no panic")
    })
}

/// Waits without work. The engine's clock stands still here, so that it cannot be waited for.
fn idle(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::thread::park_timeout(time.saturating_sub(start.elapsed()));
    }
}

/// All records are due after this, without jitter.
const DELAY: Duration = Duration::from_secs(1);
/// How many records one call of `advance` may look at.
const LIMIT: usize = 1_000;
/// How long begins are timed beside an idle worker.
const IDLE: Duration = Duration::from_millis(300);
/// Requests of the other thread, and the first of them.
const OTHERS: u64 = 1 << 18;
const FIRST_OTHER: u64 = 1 << 40;
