//! What `benches/foreign/crossing.c` measures, without the boundary: a line for each round and each
//! kind of call, in nanoseconds. `scripts/bench-foreign.sh` puts them beside each other.
//!
//! ```text
//! crossing ROUNDS RECORDS
//! ```

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

use oncegate::{Admission, BeginOptions, Engine, Error, Fingerprint, Outcome, Prepared, Scope};

fn main() -> ExitCode {
    let numbers: Vec<usize> = std::env::args().skip(1).filter_map(|one| one.parse().ok()).collect();
    let [rounds, records] = numbers[..] else {
        eprintln!("usage: crossing ROUNDS RECORDS");
        return ExitCode::FAILURE;
    };
    match run(rounds as u64, records) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(rounds: u64, records: usize) -> Result<(), Error> {
    let engine = Engine::builder().capacity(2 * records + 1_000).build()?;
    let outcome = Outcome::new(201, [0; BODY]);
    let finished: Vec<Fingerprint> = (0..records as u64).map(fingerprint).collect();
    for &key in &finished {
        begin_and_complete(&engine, key, &outcome)?;
    }
    for _ in 0..rounds {
        single(&engine, &finished)?;
        batch(&engine, &finished);
    }
    // Among records that are never asked for again, as in a table that is full.
    let engine = Engine::builder().capacity(NEW_CALLS).build()?;
    for round in 0..rounds {
        let since = Instant::now();
        for number in 0..NEW_CALLS as u64 {
            let key = fingerprint(round * NEW_CALLS as u64 + number);
            begin_and_complete(&engine, key, &outcome)?;
        }
        tell("new", since, NEW_CALLS);
    }
    Ok(())
}

fn single(engine: &Engine, finished: &[Fingerprint]) -> Result<(), Error> {
    let (options, mut buffer) = (BeginOptions::new(), Outcome::default());
    let since = Instant::now();
    for call in 0..CALLS {
        let prepared = prepare(engine, finished[call % finished.len()]);
        let answer = engine.begin_into(&prepared, &options, &mut buffer)?;
        assert!(matches!(answer, Admission::Replayed(_)), "it has finished");
    }
    tell("single", since, CALLS);
    Ok(())
}

fn batch(engine: &Engine, finished: &[Fingerprint]) {
    let (options, mut buffer) = (BeginOptions::new(), Outcome::default());
    let mut prepared = Vec::with_capacity(BATCH);
    let since = Instant::now();
    for call in (0..CALLS).step_by(BATCH) {
        prepared.clear();
        let part = &finished[call % finished.len()..][..BATCH];
        prepared.extend(part.iter().map(|&key| prepare(engine, key)));
        engine.begin_batch(&prepared, &options, &mut buffer, |_, answer| {
            assert!(matches!(answer, Ok(Admission::Replayed(_))), "it has finished");
            black_box(&answer);
        });
    }
    tell("batch64", since, CALLS);
}

fn prepare(engine: &Engine, key: Fingerprint) -> Prepared<'static> {
    engine.prepare_hashed(Scope::single_tenant(), key, 0)
}

fn begin_and_complete(engine: &Engine, key: Fingerprint, outcome: &Outcome) -> Result<(), Error> {
    match engine.begin_prepared(&prepare(engine, key), &BeginOptions::new())? {
        Admission::Admitted(lease) => lease.complete(outcome).map(drop),
        other => unreachable!("a new key was answered {other:?}"),
    }
}

fn tell(what: &str, since: Instant, calls: usize) {
    println!("{what} {:.2}", since.elapsed().as_nanos() as f64 / calls as f64);
}

/// Bits that are spread evenly: the end of SplitMix64.
fn fingerprint(number: u64) -> Fingerprint {
    let mut bytes = [0; 32];
    let (parts, _) = bytes.as_chunks_mut::<8>();
    for (at, part) in (0..).zip(parts) {
        let mut word = (number * 4 + at).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        *part = (word ^ (word >> 31)).to_le_bytes();
    }
    Fingerprint::from_bytes(bytes)
}

const BATCH: usize = 64;
const BODY: usize = 48;
const CALLS: usize = 1 << 19;
const NEW_CALLS: usize = 1 << 16;
