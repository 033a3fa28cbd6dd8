//! What the engine's operations cost, and what a sharded map with the same semantics costs.
//!
//! The map is given its best case: keys that are hashed already, no eviction, no waiting, no
//! fencing. Ratios within one run count; absolute figures describe the machine.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use dashmap::DashMap;
use oncegate::{
    Admission, BeginOptions, Engine, FingerprintMode, LeaseToken, Outcome, Request, Scope,
};

const RECORDS: usize = 65_536;
const HOT: usize = 16;

fn engine(mode: FingerprintMode) -> Engine {
    let builder = Engine::builder().capacity(RECORDS * 2).fingerprint_mode(mode);
    builder.outcome_bytes(RECORDS * 512).build().expect("a valid configuration")
}

fn keys(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|i| format!("{prefix}-{i:08x}-9f86d081884c7d65")).collect()
}

fn request(key: &str) -> Request<'_> {
    Request::new(Scope::single_tenant(), "POST /charges", key).expect("a valid key")
}

fn admitted(engine: &Engine, key: &str) -> LeaseToken {
    match engine.begin(&request(key)).expect("room") {
        Admission::Admitted(lease) => lease.into_token(),
        other => panic!("a new key was answered {other:?}"),
    }
}

/// Goal of the row: a duplicate of a finished request, with its 64 bytes copied out.
fn replay(c: &mut Criterion) {
    let mut group = c.benchmark_group("replay");
    group.throughput(Throughput::Elements(1));
    for (name, mode) in [("keyed", FingerprintMode::Keyed), ("fast", FingerprintMode::FastTrusted)]
    {
        for count in [HOT, RECORDS] {
            let engine = engine(mode);
            let keys = keys("replay", count);
            let outcome = Outcome::new(200, [7; 64]);
            for key in &keys {
                engine.complete(&admitted(&engine, key), &outcome).expect("the holder");
            }
            let mut next = keys.iter().cycle();
            group.bench_function(format!("{name}/{count} records"), |b| {
                b.iter(|| {
                    let key = next.next().expect("a cycle has no end");
                    black_box(engine.begin(&request(key)).expect("an answer"))
                });
            });
            let prepared: Vec<_> = keys
                .iter()
                .map(|key| engine.prepare(&request(key)).expect("a valid key"))
                .collect();
            let options = BeginOptions::new();
            let mut next = prepared.iter().cycle();
            group.bench_function(format!("{name}/{count} records, hashed before"), |b| {
                b.iter(|| {
                    let prepared = next.next().expect("a cycle has no end");
                    black_box(engine.begin_prepared(prepared, &options).expect("an answer"))
                });
            });
        }
    }
    for count in [HOT, RECORDS] {
        let map: DashMap<String, [u8; 64]> = DashMap::new();
        let keys = keys("replay", count);
        for key in &keys {
            map.insert(key.clone(), [7; 64]);
        }
        let mut next = keys.iter().cycle();
        group.bench_function(format!("dashmap/{count} records"), |b| {
            b.iter(|| {
                let key = next.next().expect("a cycle has no end");
                black_box(map.get(key).map(|outcome| outcome.to_vec()))
            });
        });
    }
    group.finish();
}

/// Goal of the row: a new request from begin to complete, in a table that evicts for it.
fn unique(c: &mut Criterion) {
    let mut group = c.benchmark_group("new request");
    group.throughput(Throughput::Elements(1));
    for (name, mode) in [("keyed", FingerprintMode::Keyed), ("fast", FingerprintMode::FastTrusted)]
    {
        let engine = engine(mode);
        let outcome = Outcome::new(200, [7; 64]);
        let mut number = 0_u64;
        group.bench_function(format!("{name}, full table"), |b| {
            b.iter_batched(
                || {
                    number += 1;
                    format!("unique-{number:016x}")
                },
                |key| {
                    let token = admitted(&engine, &key);
                    engine.complete(&token, &outcome).expect("the holder")
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group! {
    name = operations;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(20);
    targets = replay, unique
}
criterion_main!(operations);
