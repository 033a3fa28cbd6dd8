//! Recorded histories: real threads on few keys, and a checker that looks for an order of their
//! calls.
#![cfg(not(oncegate_loom))]

mod checker;
mod clock;
mod drive;
mod history;
mod model;
mod pool;
mod program;
mod random;
mod record;
mod saved;
#[allow(dead_code, reason = "the set of worlds is the property tests' own")]
#[path = "../oracle/model.rs"]
mod spec;
mod timeline;

use oncegate::OnLapse;

use crate::checker::check;
use crate::model::Model;
use crate::pool::Pool;
use crate::program::{Kind, Room, Weights};

const ALL: &[OnLapse] = &[OnLapse::Reclaim, OnLapse::Unknown, OnLapse::Failed];

#[test]
fn try_it() {
    let n: u64 = std::env::var("HISTORIES").ok().and_then(|n| n.parse().ok()).unwrap_or(50);
    let seed: u64 = std::env::var("SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    let kind = Kind {
        name: "storm",
        keys: 3,
        threads: (8, 16),
        steps: (4, 10),
        leases: (2, 6),
        windows: (3, 8),
        delays: (0, 4),
        jumps: (1, 4),
        lapses: ALL,
        room: Room::Enough,
        ends_all: false,
        weights: Weights {
            begin: 10,
            wait: 1,
            end: 6,
            resolve: 1,
            sweep: 1,
            advance: 2,
            fill: 0,
            rotate: 0,
        },
    };
    let pool = Pool::new(16);
    let (mut calls, mut contended, mut depth, mut looked, mut lost) = (0, 0, 0, 0, 0);
    for seed in seed..seed + n {
        let ran = pool.run(&kind, seed);
        if let Some(broken) = &ran.broken {
            for history in &ran.histories {
                println!("{}", timeline::draw(history, None));
            }
            panic!("seed {seed}: {broken}");
        }
        for history in &ran.histories {
            calls += history.events.len();
            contended += usize::from(history.is_contended());
            depth = depth.max(history.depth());
            let model = Model::new(&history.terms, &history.times);
            match check(&model, &history.events) {
                Ok(effort) => looked += effort.looked_at,
                Err(refusal) => {
                    let wider = history.with_lost_takeovers();
                    if check(&model, &wider.events).is_ok() {
                        lost += 1;
                        continue;
                    }
                    println!("{}", timeline::draw(history, Some(&refusal)));
                    println!("{}", saved::write(history));
                    panic!("seed {seed}");
                }
            }
        }
    }
    println!(
        "{n} runs, {calls} calls, {contended} contended, depth {depth}, looked at {looked}, lost {lost}"
    );
}
