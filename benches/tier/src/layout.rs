//! Strings against hashes, and compression against none.

use std::time::{Duration, Instant};

use oncegate::tier::Redis;
use oncegate::{Admission, Engine, OnFull, Outcome, Request, Scope, Secret};
use redis::{Client, Connection, Script};

use crate::options::Options;
use crate::server::{Store, Way};
use crate::table::{Spread, Table};

/// Measures both, and prints them.
pub fn layouts(store: &Store, options: &Options) {
    records(store, options);
    compression(store, options);
}

/// The same record, kept as a string that scripts take apart and as a hash of fields.
fn records(store: &Store, options: &Options) {
    let mut table = Table::new(
        "A record as one string and as a hash: claimed and ended by scripts that do the same",
        &["", "outcome, bytes", "bytes, `MEMORY USAGE`", "µs of the server, a script"],
    );
    let client = Client::open(store.url(Way::Unix)).expect("an address");
    let mut connection = client.get_connection().expect("the server runs");
    let layouts = [("string", STRING), ("hash", HASH)];
    for body in [64, 65, 1_024] {
        let mut times = [Vec::new(), Vec::new()];
        for round in 0..options.rounds {
            for (at, (_, scripts)) in layouts.iter().enumerate() {
                let count = (options.count / 8).max(64);
                times[at].push(run(store, &mut connection, scripts, body, count, round));
            }
        }
        for ((name, _), times) in layouts.iter().zip(times) {
            let size: u64 = store.ask(&["MEMORY", "USAGE", &format!("layout:{name}:{body}:0:0")]);
            let time = Spread::of(times).words();
            table.row([(*name).to_owned(), body.to_string(), size.to_string(), time]);
        }
    }
    table.print();
}

/// Microseconds of the server for one script.
fn run(
    store: &Store,
    connection: &mut Connection,
    (name, claim, end): &(&str, &str, &str),
    body: usize,
    count: u64,
    round: usize,
) -> f64 {
    let (claim, end) = (Script::new(claim), Script::new(end));
    let outcome = vec![b'x'; body];
    let mut one = |number: u64| {
        let key = format!("layout:{name}:{body}:{round}:{number}");
        let claimed = claim.key(&key).arg(&[7_u8; 16][..]).arg(60_000).invoke(connection);
        assert_eq!(claimed, Ok(1), "it is new");
        let mut ends = end.key(&key);
        let ended = ends.arg(&[7_u8; 16][..]).arg(60_000).arg(&outcome).invoke(connection);
        assert_eq!(ended, Ok(1), "it is held");
    };
    one(count);
    let before = store.commands()["evalsha"];
    (0..count).for_each(one);
    let after = store.commands()["evalsha"];
    (after.1 - before.1) as f64 / (after.0 - before.0) as f64
}

/// An outcome of JSON, with and without LZ4.
fn compression(store: &Store, options: &Options) {
    let mut table = Table::new(
        "An outcome of JSON with and without LZ4 (`RedisBuilder::compress_from`)",
        &["", "outcome, bytes", "bytes, `MEMORY USAGE`", "µs, a new request"],
    );
    let open = |prefix: &str, from: Option<usize>| {
        let redis = Redis::builder(&store.url(Way::Unix)).prefix(prefix);
        let redis = match from {
            Some(from) => redis.compress_from(from),
            None => redis,
        };
        let engine = Engine::builder()
            .capacity(1 << 13)
            .outcome_bytes(64 << 20)
            .on_full(OnFull::EvictLru)
            .secret(Secret::from_bytes(&[7; 32]).expect("32 bytes"))
            .dedup_window(Duration::from_secs(30))
            .tier(redis.build().expect("settings"));
        engine.build().expect("it opens")
    };
    let engines = [("plain", open("plain:", None)), ("LZ4", open("lz4:", Some(64)))];
    for body in [64, 256, 1_024, 16 << 10] {
        let outcome = Outcome::new(200, json(body).as_bytes());
        let mut times = [Vec::new(), Vec::new()];
        for round in 0..=options.rounds {
            for (at, (_, engine)) in engines.iter().enumerate() {
                let time = ends(engine, &outcome, options.slice, (body, round));
                if round > 0 {
                    times[at].push(time);
                }
            }
        }
        for ((name, _), times) in engines.iter().zip(times) {
            let size = largest(store, if *name == "plain" { "plain:*:*" } else { "lz4:*:*" });
            table.row([
                (*name).to_owned(),
                body.to_string(),
                size.to_string(),
                Spread::of(times).words(),
            ]);
        }
    }
    table.print();
}

/// Microseconds of a new request.
fn ends(engine: &Engine, outcome: &Outcome, slice: Duration, of: (usize, usize)) -> f64 {
    let (begun, mut count) = (Instant::now(), 0);
    while begun.elapsed() < slice {
        let key = format!("{of:?} {count}");
        let scope = Scope::new("acme").expect("short");
        let request = Request::new(scope, "POST /charges", &*key).expect("valid");
        match engine.begin(&request) {
            Ok(Admission::Admitted(lease)) => lease.complete(outcome).expect("held"),
            other => panic!("it is new: {other:?}"),
        };
        count += 1;
    }
    begun.elapsed().as_nanos() as f64 / 1e3 / f64::from(count)
}

/// What the largest record weighs among some of those of a prefix: bodies grow from one measurement
/// to the next.
fn largest(store: &Store, pattern: &str) -> u64 {
    let (mut cursor, mut largest, mut seen) = ("0".to_owned(), 0, 0);
    loop {
        let (next, names): (String, Vec<String>) =
            store.ask(&["SCAN", &cursor, "MATCH", pattern, "COUNT", "1000"]);
        for name in &names {
            largest =
                largest.max(store.ask::<Option<u64>>(&["MEMORY", "USAGE", name]).unwrap_or(0));
            seen += 1;
        }
        if next == "0" || seen > 2_000 {
            return largest;
        }
        cursor = next;
    }
}

/// An answer as services give them, of about that many bytes.
fn json(bytes: usize) -> String {
    let mut text = String::from("{\"object\":\"list\",\"data\":[");
    let mut number = 0x9e37_79b9_u64;
    while text.len() + 2 < bytes {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        text.push_str(&format!(
            "{{\"id\":\"ch_{number:016x}\",\"amount\":{},\"currency\":\"eur\",\"paid\":true}},",
            number % 10_000
        ));
    }
    text.truncate(bytes.saturating_sub(2));
    text.push_str("]}");
    text
}

/// As the tier keeps it: one value, taken apart and put together by each script.
const STRING: (&str, &str, &str) = ("string", STRING_CLAIM, STRING_END);
const STRING_CLAIM: &str = "
if redis.call('GET', KEYS[1]) then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local raw = struct.pack('<BBBHI4I6I6I3I6I6c16c8I4B', 1, 1, 0, 0, 1, 1, now, 0, now, ARGV[2],
  ARGV[1], '12345678', 0, 0)
redis.call('SET', KEYS[1], raw, 'PX', ARGV[2])
return 1";
const STRING_END: &str = "
local raw = redis.call('GET', KEYS[1])
if not raw then return 0 end
local version, state, flags, status, attempt, counter, ms, n, ends, keep, table_, digest, settled,
  watchers = struct.unpack('<BBBHI4I6I6I3I6I6c16c8I4B', raw)
if state ~= 1 or table_ ~= ARGV[1] then return 0 end
local time = redis.call('TIME')
ends = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[2]
redis.call('SET', KEYS[1], struct.pack('<BBBHI4I6I6I3I6I6c16c8I4B', version, 3, flags, status,
  attempt, counter, ms, n, ends, keep, table_, digest, settled, watchers) .. ARGV[3], 'PX', ARGV[2])
return 1";
/// The same in fields, each changed alone.
const HASH: (&str, &str, &str) = ("hash", HASH_CLAIM, HASH_END);
const HASH_CLAIM: &str = "
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[1], 'v', 1, 's', 1, 'f', 0, 'c', 0, 'a', 1, 'h', 1, 'm', now, 'n', 0,
  'e', now, 'k', ARGV[2], 't', ARGV[1], 'd', '12345678')
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1";
const HASH_END: &str = "
local found = redis.call('HMGET', KEYS[1], 's', 't')
if found[1] ~= '1' or found[2] ~= ARGV[1] then return 0 end
local time = redis.call('TIME')
local ends = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[2]
redis.call('HSET', KEYS[1], 's', 3, 'e', ends, 'o', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1";
