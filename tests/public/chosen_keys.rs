//! Keys that an attacker chooses.
//!
//! Seen in hash tables without a secret: whoever knows the hash makes all his keys meet in one
//! place, where look-ups become long and the others' records are pushed out.

use std::hash::{DefaultHasher, Hasher};

use oncegate::{
    Admission, BeginOptions, Engine, Fingerprint, ManualClock, Outcome, Prepared, Request, Scope,
    Secret,
};

const CAPACITY: usize = 4_096;
/// A quarter more than the capacity: as many as there are slots, so that some sets overflow.
const OVERFULL: u64 = CAPACITY as u64 * 5 / 4;

/// Goal: keys of any structure lie as evenly as random ones, so that a look-up meets no crowd and
/// no set overflows before its time. Method: a table filled to its capacity with keys of one kind
/// evicts nothing, and replays all of them; filled to its last slot, it evicts as many as random
/// keys make it evict.
#[test]
fn structured_keys_spread_like_random_ones() {
    let (random, _) = kinds()[0];
    let random = (0..4).map(|part| evicted(&|number| random(number + (part << 32)), OVERFULL));
    let random: Vec<u64> = random.collect();
    let mean = random.iter().sum::<u64>() as f64 / random.len() as f64;
    assert!(mean > 20.0, "too few evictions to compare: {random:?}");
    for (key, name) in kinds() {
        assert_eq!(evicted(&key, CAPACITY as u64), 0, "{name}: in a table at its capacity");
        let overfull = evicted(&key, OVERFULL) as f64;
        let tolerance = 5.0 * mean.sqrt();
        let near = (overfull - mean).abs() <= tolerance;
        assert!(near, "{name}: {overfull} evictions, random keys {random:?}");
    }
}

/// Goal: the measure above can tell; and a caller who vouches for even fingerprints that are not
/// loses room, and nothing else. Method: fingerprints that count upwards crowd into few sets, from
/// which finished records go early, while each answer stays right and running requests stay.
#[test]
fn uneven_fingerprints_cost_room_only() {
    let engine = engine();
    let prepare = |number: u64| {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        let fingerprint = Fingerprint::from_bytes(bytes);
        engine.prepare_hashed(Scope::single_tenant(), fingerprint, 0)
    };
    let running = engine.begin_prepared(&prepare(0), &BeginOptions::new());
    let Ok(Admission::Admitted(running)) = running else { panic!("{running:?}") };
    for number in 1..CAPACITY as u64 {
        complete(&engine, &prepare(number), number);
        let found = begin(&engine, &prepare(number));
        assert!(matches!(found, Admission::Replayed(found) if found == outcome(number)));
    }
    assert!(matches!(begin(&engine, &prepare(0)), Admission::InProgress { .. }));
    running.complete(&outcome(0)).expect("held");
    let evicted = engine.stats().expect("not forked").evicted_early;
    assert!(evicted > CAPACITY as u64 / 8, "they were spread: {evicted}");
}

type Key = fn(u64) -> Vec<u8>;

/// Random keys first.
fn kinds() -> [(Key, &'static str); 8] {
    [
        (|number| mixed(number).to_le_bytes().to_vec(), "random"),
        (|number| number.to_string().into_bytes(), "counters in digits"),
        (|number| number.to_le_bytes().to_vec(), "counters, the low byte first"),
        (|number| number.to_be_bytes().to_vec(), "counters, the low byte last"),
        (|number| [&[b'x'; 247][..], &number.to_be_bytes()].concat(), "a common prefix"),
        (one_bit, "one bit set, or two"),
        (|number| meeting(number, fnv), "keys that meet under FNV-1a"),
        (|number| meeting(number, sip), "keys that meet under SipHash with a zero key"),
    ]
}

/// Keys of 255 bytes that are zero but for one bit, and, from the 2,041st on, for another one.
fn one_bit(number: u64) -> Vec<u8> {
    let mut key = vec![0; 255];
    let (one, turn) = (number % 2_040, number / 2_040);
    key[one as usize / 8] |= 1 << (one % 8);
    // As far behind as the turn says: no two numbers give one key.
    let other = (one + turn) % 2_040;
    key[other as usize / 8] |= 1 << (other % 8);
    key
}

/// The key of that number among those whose hash ends in six zero bits.
fn meeting(number: u64, hash: fn(&[u8]) -> u64) -> Vec<u8> {
    let tries = (number << 16..).map(|tried| tried.to_be_bytes().to_vec());
    tries.into_iter().find(|key| hash(key).trailing_zeros() >= 6).expect("one in 64")
}

fn fnv(key: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    key.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

fn sip(key: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(key);
    hasher.finish()
}

/// SplitMix64.
fn mixed(number: u64) -> u64 {
    let word = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// How many records leave early when `count` keys come.
fn evicted(key: &dyn Fn(u64) -> Vec<u8>, count: u64) -> u64 {
    let engine = engine();
    let keys: Vec<_> = (0..count).map(key).collect();
    let prepared: Vec<_> = keys.iter().map(|key| prepare(&engine, key)).collect();
    for (number, asked) in prepared.iter().enumerate() {
        complete(&engine, asked, number as u64);
    }
    let stats = engine.stats().expect("not forked");
    assert_eq!(stats.created, count, "two of the keys are the same");
    if stats.evicted_early == 0 {
        for (number, asked) in prepared.iter().enumerate() {
            let found = begin(&engine, asked);
            assert!(matches!(found, Admission::Replayed(found) if found == outcome(number as u64)));
        }
    }
    stats.evicted_early
}

fn engine() -> Engine {
    let secret = Secret::from_bytes(&[7; 32]).expect("32 bytes");
    let builder = Engine::builder().capacity(CAPACITY).secret(secret).clock(ManualClock::new());
    builder.build().expect("valid")
}

fn prepare<'k>(engine: &Engine, key: &'k [u8]) -> Prepared<'k> {
    let request = Request::new(Scope::single_tenant(), "POST /charges", key).expect("short");
    engine.prepare(&request).expect("valid")
}

fn begin<'e>(engine: &'e Engine, asked: &Prepared<'_>) -> Admission<'e> {
    engine.begin_prepared(asked, &BeginOptions::new()).expect("an answer")
}

fn complete(engine: &Engine, asked: &Prepared<'_>, number: u64) {
    match begin(engine, asked) {
        Admission::Admitted(lease) => lease.complete(&outcome(number)).expect("held"),
        other => panic!("a new key was answered {other:?}"),
    };
}

fn outcome(number: u64) -> Outcome {
    Outcome::new(200, number.to_le_bytes())
}
