//! Pairs: a timer is inserted and cancelled, by one thread and by two at once.

use std::collections::BTreeMap;
use std::sync::{Barrier, Mutex};

use oncegate::{TimerWheel, Timers};
use tokio_util::time::DelayQueue;

use super::runtimes::Paused;
use super::{SPAN_MS, Watch, kind};
use crate::contender::Kind;
use crate::pin;
use crate::rng::Rng;
use crate::rounds::{Figures, Rates, Settings};

/// Something that does a pair, for a timer due at a time.
type Pair<'p> = Box<dyn Fn(&[u64]) + Sync + 'p>;

/// With that many timers pending, `pairs` pairs of each thread in each round.
pub(super) fn pairs(pending: usize, pairs: usize, settings: &Settings) -> Rates {
    let mut rng = Rng::new(settings.seed);
    let mut draw =
        |count: usize| -> Vec<u64> { (0..count).map(|_| 1 + rng.below(SPAN_MS)).collect() };
    let standing = draw(pending);
    let dues = [draw(pairs), draw(pairs)];
    let paused = Paused::new();
    let contenders: Vec<(&str, Pair<'_>)> = vec![
        ("oncegate", shared(&standing)),
        ("oncegate TimerWheel in a Mutex", wheel(&standing)),
        ("BTreeMap in a Mutex", tree(&standing)),
        ("tokio-util DelayQueue in a Mutex", queue(&standing, &paused)),
    ];
    let mut figures = Vec::new();
    for (name, _) in &contenders {
        for threads in [1, 2] {
            let kind = Kind { threads: 2, ..kind(name) };
            figures.push(Figures::new((*name).to_owned(), kind, threads));
        }
    }
    let processors = pin::processors();
    for round in 0..=settings.rounds {
        let mut turns: Vec<usize> = (0..figures.len()).collect();
        rng.shuffle(&mut turns);
        for turn in turns {
            let (row, pair) = (&mut figures[turn], &contenders[turn / 2].1);
            let ns = together(row.threads, pair, &dues, &processors);
            // The first round warms up.
            if round > 0 {
                row.ns.push(ns);
                row.operations += (row.threads * pairs) as u64;
            }
        }
    }
    let about = format!("with {pending} timers pending, each thread inserts one and cancels it");
    Rates { name: "timers-pairs", about, caller: "thread", figures }
}

/// Nanoseconds of each thread for each pair.
fn together(threads: usize, pair: &Pair<'_>, dues: &[Vec<u64>; 2], processors: &[usize]) -> f64 {
    let barrier = Barrier::new(threads);
    let work = |thread: usize| {
        pin::pin(processors, thread);
        barrier.wait();
        let watch = Watch::start();
        pair(&dues[thread]);
        watch.nanos()
    };
    let times: Vec<f64> = std::thread::scope(|scope| {
        let work = &work;
        let all: Vec<_> = (0..threads).map(|thread| scope.spawn(move || work(thread))).collect();
        all.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    times.iter().sum::<f64>() / (threads * dues[0].len()) as f64
}

fn shared<'p>(standing: &[u64]) -> Pair<'p> {
    let timers = Timers::builder().capacity(standing.len() + (1 << 20)).build().expect("valid");
    for &due in standing {
        let _ = timers.insert(due).expect("room");
    }
    Box::new(move |dues| {
        for &due in dues {
            // No room: the other thread has lost its processor while it drains a lane.
            let timer = loop {
                match timers.insert(due) {
                    Ok(timer) => break timer,
                    Err(error) => assert!(error.is_retriable(), "{error}"),
                }
                std::thread::yield_now();
            };
            assert!(timers.cancel(timer.handle));
        }
    })
}

fn wheel<'p>(standing: &[u64]) -> Pair<'p> {
    let mut wheel = TimerWheel::new(0);
    for &due in standing {
        let _ = wheel.insert(due).expect("room");
    }
    let wheel = Mutex::new(wheel);
    Box::new(move |dues| {
        for &due in dues {
            let timer = wheel.lock().expect("no panic").insert(due).expect("room");
            assert!(wheel.lock().expect("no panic").cancel(timer));
        }
    })
}

fn tree<'p>(standing: &[u64]) -> Pair<'p> {
    let mut tree: BTreeMap<(u64, u64), ()> = BTreeMap::new();
    tree.extend(standing.iter().zip(0..).map(|(due, nth)| ((*due, nth), ())));
    let tree = Mutex::new((tree, standing.len() as u64));
    Box::new(move |dues| {
        for &due in dues {
            let mut both = tree.lock().expect("no panic");
            both.1 += 1;
            let key = (due, both.1);
            both.0.insert(key, ());
            drop(both);
            assert!(tree.lock().expect("no panic").0.remove(&key).is_some());
        }
    })
}

fn queue<'p>(standing: &[u64], paused: &'p Paused) -> Pair<'p> {
    let entered = paused.runtime.enter();
    let mut queue = DelayQueue::new();
    for &due in standing {
        let _ = queue.insert_at(0_u32, paused.at(due));
    }
    drop(entered);
    let queue = Mutex::new(queue);
    Box::new(move |dues| {
        let _entered = paused.runtime.enter();
        for &due in dues {
            let key = queue.lock().expect("no panic").insert_at(0, paused.at(due));
            queue.lock().expect("no panic").remove(&key);
        }
    })
}
