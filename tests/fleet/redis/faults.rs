//! Servers that are set up badly, die, hang, or forget.

use std::sync::Arc;
use std::time::Duration;

use oncegate::Outcome;
use oncegate::tier::{Claim, End, Ended, Ending, Hazard, Redis, Tier, TierErrorKind};
use oncegate_rig::{Certificates, Clients, Direction, Options, Proxy, Server, Toxic, present};

use super::steps::{HOUR, WITHIN, grant, join, key, outcome, succeed};

/// Goal: a server that evicts is refused at the start, unless that is allowed, and then said at
/// every beat. Method: `maxmemory` with a policy that evicts.
#[test]
fn a_server_that_evicts_is_refused() {
    if !present("the Redis tier") {
        return;
    }
    let options = Options::new().line("maxmemory 64mb").line("maxmemory-policy allkeys-lru");
    let server = Server::with(options).expect("it starts");
    let error = Redis::connect(&server.url()).expect_err("refused");
    assert_eq!(error.kind(), TierErrorKind::Unsafe);
    let tier = Redis::builder(&server.url()).allow_eviction(true).build().expect("settings");
    let (claim, _) = join(&tier).expect("a session");
    let hazards = tier.beat(claim.holder.table, HOUR, WITHIN).expect("an answer");
    let evicts = Hazard::Evicts { policy: "allkeys-lru".to_owned() };
    assert!(hazards.contains(&evicts) && hazards.contains(&Hazard::NotPersistent), "{hazards:?}");
}

/// Goal: scripts that the server has forgotten are told again. Method: `SCRIPT FLUSH` between
/// operations.
#[test]
fn forgotten_scripts_are_told_again() {
    if !present("the Redis tier") {
        return;
    }
    let server = Server::start().expect("it starts");
    let tier = Redis::connect(&server.url()).expect("it connects");
    let (claim, _) = join(&tier).expect("a session");
    server.ask::<()>(&["SCRIPT", "FLUSH"]).expect("it forgets");
    grant(&tier, &claim);
    server.ask::<()>(&["SCRIPT", "FLUSH"]).expect("it forgets");
    succeed(&tier, &claim, &Outcome::new(200, b"done"));
}

/// Goal: who settled a record, and has not heard of it, is told so when he asks again; nobody else
/// is. Method: the reply to a settlement is lost after it was carried out, and another settlement
/// follows.
#[test]
fn a_settlement_whose_reply_is_lost_is_asked_again() {
    if !present("the Redis tier") {
        return;
    }
    let server = Server::start().expect("it starts");
    let proxy = Proxy::to(server.address()).expect("a proxy");
    let tier = Redis::connect(&proxy.url()).expect("it connects");
    let (claim, _) = join(&tier).expect("a session");
    let given = grant(&tier, &claim);
    let doubt = Ending {
        key: claim.key,
        holder: claim.holder,
        restores: false,
        fence: given.fence,
        attempt: given.attempt,
        digest: claim.digest,
        end: End::Unknown { retention: HOUR },
    };
    assert_eq!(tier.end(&doubt, WITHIN).expect("an answer"), Ended::Done);
    let (first, second) = (Outcome::new(200, b"first"), Outcome::new(200, b"second"));
    proxy.drop_reply_to("EVALSHA", 1);
    let first_end = End::Succeeded { outcome: &first, window: HOUR };
    assert_eq!(tier.settle(claim.key, &first_end, WITHIN).expect("an answer"), Ended::Done);
    assert_eq!(proxy.counts().dropped_replies, 1);
    let second_end = End::Succeeded { outcome: &second, window: HOUR };
    assert_eq!(tier.settle(claim.key, &second_end, WITHIN).expect("an answer"), Ended::Fenced);
    assert_eq!(outcome(&tier, &claim), Some(first));
}

/// Goal: a call ends by its deadline, also where each piece of the reply comes in time, and the
/// connection is not used again; in clear and over TLS. Method: an outcome that trickles in, byte
/// by byte, for longer than the call may last; then one that does not.
#[test]
fn a_reply_that_trickles_in_is_waited_for_until_the_deadline() {
    if !present("the Redis tier, also over TLS") {
        return;
    }
    let certificates = Arc::new(Certificates::new().expect("made"));
    let root = std::fs::read(certificates.authority()).expect("a file");
    for tls in [false, true] {
        let options = Options::new();
        let options = if tls { options.tls(&certificates, Clients::Anonymous) } else { options };
        let server = Server::with(options).expect("it starts");
        let proxy = Proxy::to(server.address()).expect("a proxy");
        let tier = if tls {
            let url = proxy.url().replace("redis:", "rediss:");
            Redis::builder(&url).tls_root(&root).build()
        } else {
            Redis::connect(&proxy.url())
        };
        let tier = tier.expect("it connects");
        let (claim, _) = join(&tier).expect("a session");
        let kept = Outcome::new(200, vec![b'o'; 1_000]);
        grant(&tier, &claim);
        succeed(&tier, &claim, &kept);
        let (size, delay) = (1, Duration::from_millis(5));
        let pieces = Toxic::Slicer { size, variation: 0, delay };
        proxy.add(Direction::Downstream, pieces);
        // A thousand bytes take five seconds, and the next one is always there in time.
        let read = tier.read(claim.key, Duration::from_millis(500));
        let error = read.expect_err("the time was over");
        assert!(error.what().contains("no reply in time"), "{error}");
        proxy.heal();
        assert_eq!(outcome(&tier, &claim).as_ref(), Some(&kept), "TLS: {tls}");
    }
}

/// Goal: a guard that alone is gone ends the session by the next claim of its bucket, which changes
/// nothing. Method: remove one guard.
#[test]
fn one_lost_guard_is_noticed() {
    if !present("the Redis tier") {
        return;
    }
    let server = Server::start().expect("it starts");
    let tier = Redis::connect(&server.url()).expect("it connects");
    let (claim, _) = join(&tier).expect("a session");
    let claim = Claim { key: key(0xab), ..claim };
    server.ask::<()>(&["DEL", "oncegate:{ab}"]).expect("it removes");
    let error = tier.claim(&claim, WITHIN).expect_err("refused");
    assert_eq!(error.kind(), TierErrorKind::SessionOver);
    assert_eq!(tier.read(claim.key, WITHIN).expect("an answer"), None);
    let (next, lost) = join(&tier).expect("a session");
    assert!(lost);
    grant(&tier, &Claim { key: claim.key, ..next });
}

/// Goal: a store that was emptied, and is another one since, is noticed by who had not joined that.
/// Method: it is emptied, another tier makes its guards, the first one claims.
#[test]
fn a_store_that_another_tier_began_is_another_one() {
    if !present("the Redis tier") {
        return;
    }
    let server = Server::start().expect("it starts");
    let tier = Redis::connect(&server.url()).expect("it connects");
    let (claim, _) = join(&tier).expect("a session");
    server.flush_all().expect("it empties");
    Redis::connect(&server.url()).expect("it connects");
    let error = tier.claim(&claim, WITHIN).expect_err("refused");
    assert_eq!(error.kind(), TierErrorKind::SessionOver);
    assert_eq!(tier.read(claim.key, WITHIN).expect("an answer"), None);
    assert!(join(&tier).expect("a session").1);
}

/// Goal: a dead server is surely not reached, a hanging one is not known; both within the time, and
/// back at once when it is back. Method: a proxy that refuses, and one that swallows.
#[test]
fn what_was_not_sent_is_told_from_what_may_have_been() {
    if !present("the Redis tier") {
        return;
    }
    let server = Server::start().expect("it starts");
    let proxy = Proxy::to(server.address()).expect("it starts");
    let tier = Redis::builder(&proxy.url()).connections(1).build().expect("settings");
    let (claim, _) = join(&tier).expect("a session");
    grant(&tier, &claim);
    proxy.half_open();
    let short = Duration::from_millis(300);
    let error = tier.claim(&Claim { key: key(1), ..claim }, short).expect_err("no answer");
    assert_eq!(error.kind(), TierErrorKind::Unknown);
    proxy.heal();
    proxy.down().expect("it goes down");
    for _ in 0..3 {
        let error = tier.claim(&Claim { key: key(2), ..claim }, short).expect_err("no server");
        assert_eq!(error.kind(), TierErrorKind::Unavailable);
    }
    proxy.up().expect("it comes up");
    // Nobody tries again before the pause after a failure is over.
    let back = oncegate_rig::until("the server is back", || tier.read(claim.key, WITHIN).ok());
    assert!(back.expect("in time").is_some());
    succeed(&tier, &claim, &Outcome::new(200, b"done"));
    assert!(outcome(&tier, &claim).is_some());
}

/// Goal: many callers share few connections, and each gets its own answer. Method: threads that
/// claim keys of their own over one connection, in lockstep and not.
#[test]
fn callers_that_share_a_connection_get_their_own_answers() {
    if !present("the Redis tier") {
        return;
    }
    let server = Server::start().expect("it starts");
    let tier = Redis::builder(&server.url()).connections(1).pipeline(4).build().expect("settings");
    let (claim, _) = join(&tier).expect("a session");
    std::thread::scope(|scope| {
        for thread in 0..16_u8 {
            let (tier, claim) = (&tier, Claim { key: key(thread), ..claim });
            scope.spawn(move || {
                grant(tier, &claim);
                let own = Outcome::new(200, [thread; 9]);
                succeed(tier, &claim, &own);
                for _ in 0..20 {
                    assert_eq!(outcome(tier, &claim), Some(own.clone()));
                }
            });
        }
    });
}
