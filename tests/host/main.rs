//! Programs in several languages on one table: each request is created once, and has its effect
//! once, though one of them is killed half way.
//!
//! `README.md` beside this file says what a program is told, and answers. Which programs take part
//! is in the environment, as `scripts/host.sh` sets it; without it they are all in Rust.
#![cfg(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]

mod folder;
mod ledger;
mod peer;

use std::collections::BTreeMap;

use oncegate::{Engine, Reach, Secret};

use folder::Folder;
use peer::{Counts, Peer};

/// Requests that every program tries.
const KEYS: u64 = 10_000;
/// In so many parts, between which they wait for each other: none is done before another began.
const PARTS: u64 = 10;
/// The part in which one of them is killed.
const HALF_WAY: u64 = 5;
/// Leases that it holds then, as it does for every other of which the effect has happened.
const HELD: u64 = 8;

/// Goal: 10,000 requests that programs in C, Go, Java, Python and Rust all try, in orders of their
/// own, are created 10,000 times and have 10,000 effects; what one of them leaves that is killed is
/// followed once; and whoever asks gets the same outcome. Method: each of the programs is the one
/// that is killed, holding leases, in a round of its own; effects go through a ledger that checks
/// fencing tokens.
#[test]
fn each_request_is_created_once() {
    let programs = peer::programs();
    let seed = peer::seed();
    println!("host: ONCEGATE_HOST_SEED={seed}");
    for victim in 0..programs.len() {
        round(&programs, victim, seed.wrapping_add(victim as u64));
    }
    let names: Vec<&str> = programs.iter().map(|(name, _)| name.as_str()).collect();
    println!("host: {} requests in {}; {} killed", KEYS, names.join(", "), programs.len());
}

fn round(programs: &[(String, Vec<String>)], victim: usize, seed: u64) {
    let folder = Folder::new();
    let ledger = ledger::Ledger::create(&folder.path().join("ledger"), KEYS);
    // Made before anybody comes, so that nobody has to agree on its size.
    let table = folder.path().join("table");
    let engine = open(&table);
    let mut peers: Vec<Peer> = programs
        .iter()
        .enumerate()
        .map(|(at, (name, command))| {
            let seed = seed.wrapping_mul(31).wrapping_add(at as u64);
            Peer::start(name, command, &table, ledger.path(), seed, KEYS)
        })
        .collect();
    peers.iter_mut().for_each(|peer| peer.expect("ready"));

    let mut counts: BTreeMap<String, Counts> = BTreeMap::new();
    let mut followed = Vec::new();
    for part in 0..PARTS {
        if part == HALF_WAY {
            // The others are in the midst of it, and wait for what it holds when it is killed.
            let mut peer = peers.remove(victim);
            peer.tell(&format!("hold {HELD}"));
            tell_all(&mut peers, part);
            let (told, held) = peer.held();
            assert_eq!(held.len() as u64, HELD, "{}", peer.name());
            counts.remove(peer.name());
            counts.insert(format!("{}, killed", peer.name()), told);
            followed = held;
            peer.kill();
        } else {
            tell_all(&mut peers, part);
        }
        for peer in &mut peers {
            counts.insert(peer.name().to_owned(), peer.tried());
        }
    }
    let digests: Vec<String> = peers.iter_mut().map(Peer::digest).collect();
    peers.into_iter().for_each(Peer::ended);

    let of = |count: fn(&Counts) -> u64| counts.values().map(count).sum::<u64>();
    let told = format!("seed {seed}: {counts:?}");
    assert_eq!(of(|counts| counts.created), KEYS, "created: {told}");
    assert_eq!(of(|counts| counts.expired), HELD, "what was held is followed once: {told}");
    assert_eq!(of(|counts| counts.retried), 0, "nobody failed: {told}");
    for (name, counts) in counts.iter().filter(|(name, _)| !name.ends_with("killed")) {
        let answers = counts.created + counts.expired + counts.replayed;
        assert_eq!(answers, KEYS, "{name} has an answer to each: {told}");
    }
    assert!(digests.windows(2).all(|pair| pair[0] == pair[1]), "outcomes differ: {digests:?}");
    ledger.check(&followed);
    let stats = engine.stats().expect("the table is there");
    assert_eq!((stats.live.succeeded, stats.live.total()), (KEYS, KEYS), "{told}");
}

fn tell_all(peers: &mut [Peer], part: u64) {
    let each = KEYS / PARTS;
    let last = if part == PARTS - 1 { KEYS - each * part } else { each };
    peers.iter_mut().for_each(|peer| peer.tell(&format!("try {last}")));
}

/// The table, with the settings that every program gives: those of `README.md`.
fn open(table: &std::path::Path) -> Engine {
    let secret: Vec<u8> = (1..=32).collect();
    Engine::builder()
        .reach(Reach::Host(table.to_owned()))
        .capacity(20_000)
        .secret(Secret::from_bytes(&secret).expect("32 bytes"))
        .build()
        .expect("the table can be made")
}
