//! What lies in the store says nothing of any request.

use oncegate::tier::{End, Ending, Redis, Tier};
use oncegate::{Outcome, Payload, Request, Scope};
use oncegate_rig::{Server, present};

use super::steps::{HOUR, WITHIN, grant, join, key, succeed};

/// Goal: no key, scope, payload, context or encrypted outcome is in the store in clear. Method:
/// canaries in all of them; every key and every value of the server is read.
#[test]
fn nothing_of_a_request_is_in_clear() {
    if !present("the Redis tier") {
        return;
    }
    let server = Server::start().expect("it starts");
    let tier = Redis::builder(&server.url()).encryption_key([7; 32]).build().expect("settings");
    let (claim, _) = join(&tier).expect("a session");
    let outcome = Outcome::new(200, b"canary-outcome").with_metadata("canary", "canary-metadata");
    let outcome = outcome.expect("short");
    let scope = Scope::new("canary-scope").expect("a scope");
    let request = Request::new(scope, "canary-operation", "canary-key").expect("a request");
    let _ = request.payload(Payload::json(br#"{"canary": 1}"#));
    grant(&tier, &claim);
    succeed(&tier, &claim, &outcome);
    let waiting = oncegate::tier::Claim { key: key(3), ..claim };
    let granted = grant(&tier, &waiting);
    let end = End::Retry { due_in: HOUR, retention: HOUR, scheduled: Some(b"canary-context") };
    let (restores, fence, attempt) = (false, granted.fence, granted.attempt);
    let (key, holder, digest) = (waiting.key, waiting.holder, waiting.digest);
    let ending = Ending { key, holder, restores, fence, attempt, digest, end };
    tier.end(&ending, WITHIN).expect("it ends");
    tier.beat(holder.table, HOUR, WITHIN).expect("it beats");

    let keys: Vec<Vec<u8>> = server.ask(&["KEYS", "*"]).expect("keys");
    assert!(keys.len() > 256, "the guards, two records, a schedule, a table: {}", keys.len());
    let client = redis::Client::open(server.url()).expect("an address");
    let mut connection = client.get_connection().expect("it answers");
    for name in keys {
        let value: Vec<u8> = redis::cmd("DUMP").arg(&name).query(&mut connection).expect("a value");
        for bytes in [&name, &value] {
            assert!(!bytes.windows(6).any(|part| part.eq_ignore_ascii_case(b"canary")));
        }
    }
    let stored = tier.read(claim.key, WITHIN).expect("an answer");
    assert!(format!("{stored:?}").contains("status: 200"), "and it can be read: {stored:?}");
}

/// Goal: who lacks the key gets no bytes and no error; a password is shown nowhere. Method: a
/// second tier without the key; the debug output of builders and tiers.
#[test]
fn without_the_key_the_outcome_is_gone() {
    if !present("the Redis tier") {
        return;
    }
    let server = Server::start().expect("it starts");
    let tier = Redis::builder(&server.url()).encryption_key([7; 32]).build().expect("settings");
    let (claim, _) = join(&tier).expect("a session");
    grant(&tier, &claim);
    succeed(&tier, &claim, &Outcome::new(200, b"secret"));
    let other = Redis::connect(&server.url()).expect("it connects");
    let (theirs, _) = join(&other).expect("a session");
    assert_eq!(super::steps::outcome(&other, &theirs), None);
    assert!(super::steps::outcome(&tier, &claim).is_some());

    let builder = Redis::builder("redis://app:hunter2@127.0.0.1").user("app", "hunter2");
    let shown = format!("{builder:?} {:?}", builder.clone().build().expect("settings"));
    assert!(!shown.contains("hunter2"), "{shown}");
}
