//! Engines that share a real server, and their log of dead letters in it.

use std::time::Duration;

use oncegate::tier::{Letter, Redis, RedisBuilder, TierOptions};
use oncegate::{
    Admission, AttemptError, Engine, Later, ManualClock, Outcome, Payload, Request, RetryContext,
    Scope, Secret, TierStats,
};
use oncegate_rig::{Cluster, Options, Proxy, Server, present, until};

use super::letters::read;
use super::steps::WITHIN;
use crate::engine::{admitted, prepare, request};

/// One more host. Its clock stands still, so that nothing is asked but what a test asks for.
fn host(clock: &ManualClock, redis: RedisBuilder) -> Engine {
    host_within(WITHIN, clock, redis)
}

/// The same; an operation may take so long.
fn host_within(deadline: Duration, clock: &ManualClock, redis: RedisBuilder) -> Engine {
    let builder = Engine::builder()
        .capacity(1_000)
        .secret(Secret::from_bytes(&[7; 32]).expect("32 bytes"))
        .clock(clock.clone())
        .lease_duration(Duration::from_secs(600))
        .tier(redis.connect_within(WITHIN).build().expect("settings"))
        .tier_options(TierOptions::new().deadline(deadline));
    let engine = builder.build().expect("it opens");
    prepare(&engine);
    engine
}

fn bury(engine: &Engine, key: &'static str) -> u64 {
    let lease = admitted(engine, &request(key));
    let token = lease.fencing_token().get();
    fail_for_good(lease, "404");
    token
}

fn fail_for_good(lease: oncegate::Lease<'_>, class: &str) {
    let context = RetryContext::new("canary-operation", b"canary-context");
    let later = lease.retry_later(&AttemptError::new(class).terminal(), &context);
    assert!(matches!(later, Ok(Later::Buried { kept: true, .. })), "{later:?}");
}

fn flush(engine: &Engine) {
    engine.flush_tier(WITHIN).expect("the tier answers");
}

fn stats(engine: &Engine) -> TierStats {
    engine.tier_stats().expect("open").expect("a tier")
}

fn tokens(letters: &[Letter]) -> Vec<u64> {
    letters.iter().map(|letter| letter.fence).collect()
}

/// Goal: each dead letter of two hosts is in the stream once: also if the reply to it is lost, the
/// request never arrives, or the server is away for a while. Method: a proxy that resets each of
/// the two calls that a burial makes, and one that is down.
#[test]
fn each_letter_of_two_hosts_is_in_the_stream_once() {
    if !present("the log of dead letters") {
        return;
    }
    let server = Server::start().expect("a server starts");
    let proxy = Proxy::to(server.address()).expect("a proxy");
    let clock = ManualClock::new();
    let hosts = [0, 1].map(|_| {
        // The outage is waited out once or twice.
        let deadline = Duration::from_secs(2);
        host_within(deadline, &clock, Redis::builder(&proxy.url()).dead_letters(100))
    });
    let mut told = Vec::new();
    let keys = [["a", "b", "c", "d", "e"], ["f", "g", "h", "i", "j"]];
    for (engine, [a, b, c, d, last]) in hosts.iter().zip(keys) {
        for (key, nth, request_lost) in [(a, 1, false), (b, 2, false), (c, 1, true), (d, 2, true)] {
            let lease = admitted(engine, &request(key));
            told.push(lease.fencing_token().get());
            match request_lost {
                true => proxy.drop_request_to("EVALSHA", nth),
                false => proxy.drop_reply_to("EVALSHA", nth),
            }
            fail_for_good(lease, "404");
            flush(engine);
            proxy.clear_rules();
        }
        let lease = admitted(engine, &request(last));
        told.push(lease.fencing_token().get());
        proxy.down().expect("it goes down");
        fail_for_good(lease, "404");
        // It has tried, and failed.
        until("a try", || (stats(engine).unanswered > 0).then_some(())).expect("in time");
        assert_eq!(stats(engine).letters_waiting, 1);
        proxy.up().expect("it comes up");
        until("all is told", || {
            clock.advance(Duration::from_secs(2));
            engine.flush_tier(Duration::ZERO).ok()
        })
        .expect("in time");
        assert_eq!((stats(engine).letters_logged, stats(engine).letters_lost), (5, 0));
    }
    let letters = read(&server, "oncegate:");
    assert_eq!(tokens(&letters), told);
    let counts = proxy.counts();
    assert!(counts.dropped_replies >= 4, "{counts:?}");
}

/// Goal: the hosts of a Cluster have one log. Method: three nodes, two hosts.
#[test]
fn the_hosts_of_a_cluster_have_one_log() {
    if !present("a Cluster") {
        return;
    }
    let cluster = Cluster::start().expect("it starts");
    let (urls, clock) = (cluster.urls(), ManualClock::new());
    let hosts = [0, 1].map(|at: usize| {
        host(&clock, Redis::builder(&urls[at]).cluster(&[&urls[2]]).dead_letters(100))
    });
    let keys = [["a", "b", "c"], ["d", "e", "f"]];
    let mut told = Vec::new();
    for (engine, keys) in hosts.iter().zip(keys) {
        told.extend(keys.map(|key| bury(engine, key)));
        flush(engine);
    }
    let slot = cluster.slot_of("oncegate:{dd}letters").expect("a slot");
    let owner = cluster.owner_of(slot).expect("an owner");
    assert_eq!(tokens(&read(&cluster.nodes()[owner], "oncegate:")), told);
}

/// Goal: a burial costs what it did without the option, and one call of the engine's own thread
/// more with it. Method: the requests that a proxy has seen.
#[test]
fn a_letter_costs_one_call_and_only_where_it_is_asked_for() {
    if !present("the cost of letters") {
        return;
    }
    for keeps in [false, true] {
        let server = Server::start().expect("a server starts");
        let proxy = Proxy::to(server.address()).expect("a proxy");
        let builder = Redis::builder(&proxy.url());
        let engine =
            host(&ManualClock::new(), if keeps { builder.dead_letters(1) } else { builder });
        let lease = admitted(&engine, &request("key"));
        let before = proxy.counts().requests;
        fail_for_good(lease, "404");
        flush(&engine);
        assert_eq!(proxy.counts().requests - before, 1 + u64::from(keeps));
        assert_eq!(read(&server, "oncegate:").len(), usize::from(keeps));
    }
}

/// Goal: a log that takes nothing endangers nothing else: claims and ends go on, no breaker opens,
/// and what waits is told when it may be. Method: a user without the right to write a stream, as
/// many tries as would open a breaker, and then the right.
#[test]
fn a_log_that_takes_nothing_opens_no_breaker() {
    if !present("the log of dead letters") {
        return;
    }
    let few = Redis::acl_rules("shop:").replace("+xadd", "");
    let options = Options::new().user(format!("app on >secret {few}"));
    let server = Server::with(options).expect("it starts");
    let proxy = Proxy::to(server.address()).expect("a proxy");
    let builder = Redis::builder(&proxy.url()).user("app", "secret").prefix("shop:");
    let clock = ManualClock::new();
    let engine = host(&clock, builder.dead_letters(100));
    let before = proxy.counts().replies;
    let token = bury(&engine, "key");
    // The claim, the end, and tries; each of them is on its way for a while, in real time.
    until("many tries", || {
        engine.flush_tier(Duration::ZERO).expect_err("a letter waits");
        (proxy.counts().replies >= before + 32).then_some(())
    })
    .expect("in time");
    let told = stats(&engine);
    assert_eq!((told.letters_waiting, told.letters_logged, told.undelivered), (1, 0, 0));
    assert_eq!((told.unanswered, told.breaker_open), (0, false));
    let fine = admitted(&engine, &request("fine"));
    fine.complete(&Outcome::new(200, b"")).expect("held");
    server.ask::<()>(&["ACL", "SETUSER", "app", "+xadd"]).expect("it takes it");
    flush(&engine);
    assert_eq!(tokens(&read(&server, "shop:")), [token]);
}

/// Goal: nothing of a request is in the log in clear, with a key to encrypt by or without one: nor
/// on the way there. Method: canaries in all that a request has, and in the class of its error; the
/// entries, the keys and the values of the server, and all that it was sent.
#[test]
fn nothing_of_a_request_is_in_the_log() {
    if !present("the log of dead letters") {
        return;
    }
    for encrypts in [true, false] {
        // A value that is dumped is not to be compressed.
        let options = Options::new().line("rdbcompression no");
        let server = Server::with(options).expect("it starts");
        let builder = Redis::builder(&server.url()).dead_letters(100);
        let builder = if encrypts { builder.encryption_key([7; 32]) } else { builder };
        let engine = host(&ManualClock::new(), builder);
        let client = redis::Client::open(server.url()).expect("an address");
        let mut monitor = client.get_connection().expect("it answers");
        redis::cmd("MONITOR").exec(&mut monitor).expect("it shows what it is sent");
        let scope = Scope::new("canary-scope").expect("a scope");
        let one = Request::new(scope, "canary-operation", "canary-key").expect("a request");
        let one = one.payload(Payload::raw(b"canary-payload"));
        let Ok(Admission::Admitted(lease)) = engine.begin(&one) else { panic!("admitted") };
        fail_for_good(lease, "canary-class");
        flush(&engine);
        assert_eq!(read(&server, "oncegate:").len(), 1);
        let mut all: Vec<Vec<u8>> = Vec::new();
        let mut connection = client.get_connection().expect("it answers");
        let keys: Vec<Vec<u8>> = server.ask(&["KEYS", "*"]).expect("keys");
        for key in keys {
            all.push(redis::cmd("DUMP").arg(&key).query(&mut connection).expect("a value"));
            all.push(key);
        }
        server.ask::<()>(&["ECHO", "the end"]).expect("it answers");
        loop {
            let line = monitor.recv_response().expect("a line");
            let line = format!("{line:?}");
            all.push(line.clone().into_bytes());
            if line.contains("the end") {
                break;
            }
        }
        let sent = String::from_utf8_lossy(&all[all.len() - 2]).into_owned();
        assert!(all.len() > 260, "the guards, a record, the log, and calls: {sent}");
        for bytes in &all {
            let shows = bytes.windows(6).any(|part| part.eq_ignore_ascii_case(b"canary"));
            assert!(!shows, "{}", String::from_utf8_lossy(bytes));
        }
    }
}
