//! The log of dead letters: a stream that all hosts of a fleet write.

use std::collections::HashMap;
use std::time::Duration;

use oncegate::Buried;
use oncegate::tier::{Letter, LetterReason, Redis, TableId, Tier, TierErrorKind, TierKey};
use oncegate_rig::{Cluster, Options, Proxy, Server, present};

use super::steps::{WITHIN, join, key};

/// What is in the log, oldest first. Its fields are exactly the documented ones.
pub(super) fn read(server: &Server, prefix: &str) -> Vec<Letter> {
    let found: Vec<(String, HashMap<String, String>)> =
        server.ask(&["XRANGE", &format!("{prefix}{{dd}}letters"), "-", "+"]).expect("a stream");
    let entries = found.into_iter().map(|(_, mut entry)| {
        assert_eq!(entry.len(), FIELDS.len(), "{entry:?}");
        let [key, table, token, attempts, reason, letter, age] =
            FIELDS.map(|field| entry.remove(field).expect("a field"));
        let digits = key.as_bytes().chunks(2).map(|two| str::from_utf8(two).expect("digits"));
        let bytes: Vec<u8> =
            digits.map(|two| u8::from_str_radix(two, 16).expect("hexadecimal")).collect();
        Letter {
            key: TierKey::from_bytes(bytes.try_into().expect("28 bytes")),
            table: TableId(u128::from_str_radix(&table, 16).expect("hexadecimal")),
            fence: token.parse().expect("a number"),
            attempts: attempts.parse().expect("a number"),
            reason: *REASONS.iter().find(|known| known.name() == reason).expect("a reason"),
            id: (!letter.is_empty()).then(|| letter.parse().expect("a name")),
            age: Duration::from_millis(age.parse().expect("a number")),
        }
    });
    entries.collect()
}

const FIELDS: [&str; 7] = ["key", "table", "token", "attempts", "reason", "letter", "age_ms"];
const REASONS: [LetterReason; 6] = [
    LetterReason::Buried(Buried::Attempts),
    LetterReason::Buried(Buried::Deadline),
    LetterReason::Buried(Buried::Budget),
    LetterReason::Buried(Buried::FinalError),
    LetterReason::Buried(Buried::Lapsed),
    LetterReason::Conflict,
];

pub(super) fn letter(first: u8, fence: u64) -> Letter {
    let reason = LetterReason::Buried(Buried::Attempts);
    let (key, table, age) = (key(first), TableId(7), Duration::ZERO);
    Letter { key, table, fence, attempts: 3, reason, id: None, age }
}

pub(super) fn log(tier: &Redis, letters: &[Letter]) {
    for answer in tier.log_letters(letters, WITHIN) {
        answer.expect("it enters it");
    }
}

/// Goal: a Cluster has one log, whichever node has a record, and it goes on where its slot goes;
/// each letter is in it once. Method: three nodes, letters of all of them by two tiers, more than
/// the log keeps; the slot of the log moves, and the letters are told again.
#[test]
fn a_cluster_has_one_log() {
    if !present("a Cluster") {
        return;
    }
    let cluster = Cluster::start().expect("it starts");
    let urls = cluster.urls();
    let tiers = [0, 1].map(|at: usize| {
        let builder = Redis::builder(&urls[at]).cluster(&[&urls[2]]).dead_letters(12);
        builder.build().expect("settings")
    });
    let all: Vec<Letter> = (0..16).map(|at: u8| letter(at * 16, at.into())).collect();
    for (at, letter) in all.iter().enumerate() {
        log(&tiers[at % 2], &[*letter]);
    }
    let slot = cluster.slot_of("oncegate:{dd}letters").expect("a slot");
    let owner = || cluster.owner_of(slot).expect("an owner");
    let found = || read(&cluster.nodes()[owner()], "oncegate:");
    assert_eq!(found(), all[4..], "the last ones");
    cluster.move_slot(slot, (owner() + 1) % 3).expect("it moves");
    let more = letter(1, 1);
    log(&tiers[0], &all[6..]);
    log(&tiers[1], &[more]);
    assert_eq!(found(), [&all[5..], &[more]].concat());
}

/// Goal: without the option no command is sent, and the server learns no script of it. Method: what
/// a proxy and the server have counted, without and with it.
#[test]
fn without_the_option_nothing_is_sent() {
    if !present("the Redis tier") {
        return;
    }
    for keeps in [false, true] {
        let server = Server::start().expect("it starts");
        let proxy = Proxy::to(server.address()).expect("a proxy");
        let builder = Redis::builder(&proxy.url());
        let builder = if keeps { builder.dead_letters(10) } else { builder };
        let tier = builder.build().expect("settings");
        join(&tier).expect("a session");
        assert_eq!(tier.keeps_letters(), keeps);
        // Servers before 7.0 do not tell its subcommands apart.
        let loaded = server.info("cmdstat_script|load").or_else(|_| server.info("cmdstat_script"));
        let loaded = loaded.expect("scripts were loaded");
        assert_eq!(loaded.starts_with("calls=7,"), !keeps, "{loaded}");
        let before = proxy.counts().requests;
        log(&tier, &[letter(1, 1), letter(2, 2)]);
        let sent = proxy.counts().requests - before;
        assert_eq!(sent, if keeps { 2 } else { 0 });
        assert_eq!(read(&server, "oncegate:").len() as u64, sent);
    }
}

/// Goal: a letter that the server does not let in is told so, is no part of what is known, and goes
/// in when it may. Method: the documented rights without those of the log, and then with each more;
/// a key of another kind in the place of the log.
#[test]
fn a_letter_that_was_refused_goes_in_later() {
    if !present("the Redis tier") {
        return;
    }
    let rights = ["+zrevrange", "+xadd", "+zremrangebyrank"];
    let few = rights.iter().fold(Redis::acl_rules("shop:"), |few, right| few.replace(right, ""));
    let user = format!("app on >secret {few}");
    let server = Server::with(Options::new().user(user)).expect("it starts");
    let builder = Redis::builder(&server.url()).user("app", "secret").prefix("shop:");
    let tier = builder.dead_letters(10).build().expect("settings");
    let allow = |right| {
        server.ask::<()>(&["ACL", "SETUSER", "app", right]).expect("it takes it");
    };
    join(&tier).expect("the rest may be done");
    for right in &rights[..2] {
        let refused = tier.log_letters(&[letter(1, 1)], WITHIN).pop().expect("an answer");
        refused.expect_err("it may not");
        allow(right);
    }
    assert_eq!(read(&server, "shop:"), []);
    server.ask::<()>(&["SET", "shop:{dd}letters", "no stream"]).expect("it takes it");
    let refused = tier.log_letters(&[letter(1, 1)], WITHIN).pop().expect("an answer");
    refused.expect_err("another kind of key");
    server.ask::<()>(&["DEL", "shop:{dd}letters"]).expect("it removes it");
    allow(rights[2]);
    log(&tier, &[letter(1, 1), letter(1, 1)]);
    assert_eq!(read(&server, "shop:"), [letter(1, 1)]);
}

/// Goal: a log has a size that a server can bear, or is refused by the name of the setting. Method:
/// the ends of the range, and what is beyond.
#[test]
fn a_log_without_a_size_is_refused() {
    let built = |most| Redis::builder("redis://127.0.0.1").dead_letters(most).build();
    for most in [1, 1_000_000] {
        assert!(built(most).expect("it fits").keeps_letters());
    }
    for most in [0, 1_000_001] {
        let error = built(most).expect_err("too few or too many");
        assert_eq!(error.kind(), TierErrorKind::Unsafe);
        assert!(error.what().contains("dead_letters: 1 to 1000000"), "{error}");
    }
}
