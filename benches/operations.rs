//! What the engine's operations cost, by criterion: for looking at one of them closely. The peers
//! are measured by `make bench`.
//!
//! The map is what a hand-written cache of outcomes would use, and it does less: it has no lease,
//! no fencing, no window and no bound. It hashes its string keys with SipHash; the engine hashes
//! scope, operation and key with HMAC-SHA-256 (`keyed`) or XXH3 (`fast`), or is given the digest
//! (`hashed before`). Ratios within one run count; absolute figures describe the machine.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use dashmap::DashMap;
use oncegate::{
    Admission, BeginOptions, Engine, FingerprintMode, LeaseToken, ManualClock, Outcome, Request,
    Scope,
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
            let (options, mut buffer) = (BeginOptions::new(), Outcome::default());
            let mut next = prepared.iter().cycle();
            group.bench_function(format!("{name}/{count} records, hashed before"), |b| {
                b.iter(|| {
                    let prepared = next.next().expect("a cycle has no end");
                    let answer = engine.begin_into(prepared, &options, &mut buffer);
                    let _ = black_box(answer.expect("an answer"));
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

/// Goal of the row: a new request from begin to complete, which must not depend on how full the
/// table is. What the measured requests leave is over at once, so that the fill stays.
fn unique(c: &mut Criterion) {
    let mut group = c.benchmark_group("new request");
    group.throughput(Throughput::Elements(1));
    let outcome = Outcome::new(200, [7; 64]);
    for filled in [10, 50, 90] {
        let clock = ManualClock::new();
        let mode = FingerprintMode::FastTrusted;
        let builder = Engine::builder().capacity(RECORDS).fingerprint_mode(mode);
        let engine = builder.clock(clock.clone()).build().expect("a valid configuration");
        for key in keys("kept", RECORDS * filled / 100) {
            engine.complete(&admitted(&engine, &key), &outcome).expect("the holder");
        }
        let over = BeginOptions::new().dedup_window(Duration::from_millis(1));
        let mut new_key = new_keys();
        group.bench_function(format!("fast, {filled} % filled"), |b| {
            b.iter_batched(
                &mut new_key,
                |key| {
                    clock.advance(Duration::from_millis(1));
                    match engine.begin_with(&request(&key), &over).expect("room") {
                        Admission::Admitted(lease) => lease.complete(&outcome).expect("held"),
                        other => panic!("a new key was answered {other:?}"),
                    }
                },
                BatchSize::SmallInput,
            );
        });
    }
    for (name, mode) in [("keyed", FingerprintMode::Keyed), ("fast", FingerprintMode::FastTrusted)]
    {
        let engine = engine(mode);
        for key in keys("old", RECORDS * 4) {
            engine.complete(&admitted(&engine, &key), &outcome).expect("the holder");
        }
        let mut new_key = new_keys();
        group.bench_function(format!("{name}, full, one goes for each"), |b| {
            b.iter_batched(
                &mut new_key,
                |key| {
                    let token = admitted(&engine, &key);
                    engine.complete(&token, &outcome).expect("the holder")
                },
                BatchSize::SmallInput,
            );
        });
    }
    let map: DashMap<String, [u8; 64]> = DashMap::new();
    let mut new_key = new_keys();
    group.bench_function("dashmap, inserted and removed", |b| {
        b.iter_batched(
            &mut new_key,
            |key| {
                map.insert(key.clone(), [7; 64]);
                black_box(map.remove(&key))
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

/// Keys that nobody had before.
fn new_keys() -> impl FnMut() -> String {
    let mut number = 0_u64;
    move || {
        number += 1;
        format!("unique-{number:016x}")
    }
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
