//! Where servers are and how they are reached: TLS with an ACL user, a Cluster, Sentinels.

use std::sync::Arc;
use std::time::Duration;

use oncegate::Outcome;
use oncegate::tier::{Claim, Redis, Tier, TierErrorKind};
use oncegate_rig::{Certificates, Clients, Cluster, Options, Sentinels, Server, present};

use super::steps::{WITHIN, grant, join, key, outcome, succeed};

/// Goal: the documented rights are enough for all that a tier does, over TLS; without the authority
/// or with a wrong password there is nothing. Method: a server that has one user with these rights.
#[test]
fn the_documented_rights_are_enough_over_tls() {
    if !present("TLS") {
        return;
    }
    let certificates = Arc::new(Certificates::new().expect("made"));
    let user = format!("app on >secret {}", Redis::acl_rules("shop:"));
    let options = Options::new().user(user).tls(&certificates, Clients::Anonymous);
    let server = Server::with(options).expect("it starts");
    let root = std::fs::read(certificates.authority()).expect("a file");
    let builder = |password| {
        let builder = Redis::builder(&server.url()).user("app", password).prefix("shop:");
        builder.dead_letters(10).tls_root(&root)
    };
    let tier = builder("secret").build().expect("settings");
    let (claim, lost) = join(&tier).expect("a session");
    assert!(!lost);
    let done = Outcome::new(201, b"done");
    grant(&tier, &claim);
    succeed(&tier, &claim, &done);
    assert_eq!(outcome(&tier, &claim), Some(done));
    tier.beat(claim.holder.table, WITHIN, WITHIN).expect("it may");
    tier.orphans(10, WITHIN).expect("it may");
    super::letters::log(&tier, &[super::letters::letter(1, 1)]);
    assert!(tier.read(claim.key, WITHIN).expect("it may").is_some());

    let wrong = builder("wrong").build().expect("settings").session(WITHIN);
    assert_eq!(wrong.expect_err("refused").kind(), TierErrorKind::Unsafe);
    let distrusted = Redis::builder(&server.url()).user("app", "secret").build().expect("settings");
    assert!(distrusted.session(WITHIN).is_err());
    let other = builder("secret").prefix("other:").build().expect("settings").session(WITHIN);
    assert_eq!(other.expect_err("not its keys").kind(), TierErrorKind::Unsafe);
}

/// Goal: a server that wants to see a client's certificate is shown it; what is no certificate, or
/// would not be used, is refused when the tier is built. Method: such a server with and without
/// one; text and a key where a certificate belongs, a URL without TLS.
#[test]
fn clients_show_their_certificates() {
    if !present("TLS") {
        return;
    }
    let certificates = Arc::new(Certificates::new().expect("made"));
    let options = Options::new().tls(&certificates, Clients::Certified);
    let server = Server::with(options).expect("it starts");
    let read = |path| std::fs::read(path).expect("a file");
    let root = read(certificates.authority());
    let (client, key) = (read(certificates.client()), read(certificates.client_key()));
    let url = server.url();
    let stranger = Redis::builder(&url).tls_root(&root).build().expect("settings");
    assert!(join(&stranger).is_err());
    // Whose authority another one is.
    let others = Certificates::new().expect("made");
    let foreign = Redis::builder(&url).tls_root(&read(others.authority())).build();
    let error = join(&foreign.expect("settings")).expect_err("an unknown authority");
    assert!(error.what().contains("no connection: TLS: invalid peer certificate"), "{error}");
    let tier = Redis::builder(&url).tls_root(&root).tls_client(&client, &key);
    let tier = tier.build().expect("settings");
    let (claim, _) = join(&tier).expect("a session");
    grant(&tier, &claim);

    let plain = url.replace("rediss:", "redis:");
    let text = b"no certificate";
    for (wrong, what) in [
        (Redis::builder(&url).tls_root(text), "tls_root"),
        (Redis::builder(&url).tls_root(&key), "tls_root"),
        (Redis::builder(&url).tls_client(text, &key), "tls_client: a certificate"),
        (Redis::builder(&url).tls_client(&client, text), "tls_client: a key"),
        (Redis::builder(&plain).tls_root(&root), "url: rediss"),
        (Redis::builder(&format!("{url}#insecure")).tls_root(&root), "url: without #insecure"),
        (Redis::builder(&plain).cluster(&[&plain]).tls_root(&root), "url: rediss"),
    ] {
        let error = wrong.build().expect_err(what);
        assert_eq!(error.kind(), TierErrorKind::Unsafe);
        assert!(error.what().contains(what), "{error}");
    }
    for mixed in [
        Redis::builder(&plain).sentinels("main", &[&url]).tls_root(&root),
        Redis::builder(&plain).cluster(&[&url]).tls_root(&root),
    ] {
        assert!(mixed.build().is_ok(), "some speak TLS, and some do not");
    }
}

/// Goal: in a Cluster each key goes to the node that has it, also after its slot has moved to
/// another master of the same session. Method: keys of all nodes; a slot that moves.
#[test]
fn keys_of_a_cluster_are_found_where_they_are() {
    if !present("a Cluster") {
        return;
    }
    let cluster = Cluster::start().expect("it starts");
    let urls = cluster.urls();
    let tier = Redis::builder(&urls[0]).cluster(&[&urls[1]]).build().expect("settings");
    let (claim, _) = join(&tier).expect("a session");
    let done = Outcome::new(200, b"done");
    let keys = [0, 60, 120, 180, 240].map(key);
    let claims: Vec<Claim> = keys.iter().map(|&key| Claim { key, ..claim }).collect();
    assert!(tier.claim_all(&claims, WITHIN).iter().all(Result::is_ok));
    claims.iter().for_each(|claim| succeed(&tier, claim, &done));
    let slot = cluster.slot_of("oncegate:{00}").expect("a slot");
    let owner = cluster.owner_of(slot).expect("an owner");
    cluster.move_slot(slot, (owner + 1) % 3).expect("it moves");
    for claim in &claims {
        assert_eq!(outcome(&tier, claim), Some(done.clone()));
    }
    assert!(tier.orphans(10, WITHIN).expect("an answer").is_empty());
}

/// Goal: a fail-over by Sentinels refuses claims until the session is joined anew, which says that
/// records may be lost; what was replicated is there. Method: the primary is killed.
#[test]
fn a_fail_over_by_sentinels_ends_the_session() {
    if !present("Sentinels") {
        return;
    }
    let mut all = Sentinels::start().expect("they start");
    let urls = all.urls();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let builder = Redis::builder("redis://primary").sentinels(SENTINELS_NAME, &urls);
    let tier = builder.wait_replicas(1, WITHIN).build().expect("settings");
    let (claim, _) = join(&tier).expect("a session");
    let done = Outcome::new(200, b"done");
    grant(&tier, &claim);
    succeed(&tier, &claim, &done);
    all.fail_over_by_kill().expect("another one");
    // The one that was killed was a replica's primary: the new one has no replica to wait for.
    let builder = Redis::builder("redis://primary").sentinels(SENTINELS_NAME, &urls);
    let plain = builder.build().expect("settings");
    let next = Claim { key: key(77), ..claim };
    let refused = oncegate_rig::until("the claim is refused for its session", || {
        let error = tier.claim(&next, WITHIN).expect_err("never granted");
        (error.kind() == TierErrorKind::SessionOver).then_some(())
    });
    refused.expect("in time");
    let (claim, lost) = join(&tier).expect("a session");
    assert!(lost);
    let (there, _) = join(&plain).expect("a session");
    assert_eq!(outcome(&plain, &Claim { key: claim.key, ..there }), Some(done));
}

/// Goal: a primary that comes back after a fail-over, empty, and takes itself for the primary until
/// the Sentinels tell it, is not taken for it: they are asked before each first connection. Method:
/// the primary is killed and comes back, or stops and goes on, while nobody asks anything.
#[test]
fn a_former_primary_is_not_the_primary() {
    if !present("Sentinels") {
        return;
    }
    for stops in [false, true] {
        let mut all = Sentinels::start().expect("they start");
        let urls = all.urls();
        let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
        let builder = || Redis::builder("redis://primary").sentinels(SENTINELS_NAME, &urls);
        // Whatever it does the replica has, too.
        let careful = builder().wait_replicas(1, WITHIN).build().expect("settings");
        let tier = builder().connections(3).build().expect("settings");
        let (claim, _) = join(&careful).expect("a session");
        let done = Outcome::new(200, b"done");
        grant(&careful, &claim);
        succeed(&careful, &claim, &done);
        let (joined, _) = join(&tier).expect("a session");
        assert_eq!(outcome(&tier, &joined).as_ref(), Some(&done));
        let old = all.primary().expect("there is one");
        if stops {
            // A second connection: both wait for an answer while a third one waits in vain.
            let short = Duration::from_millis(50);
            all.servers()[old].pause().expect("it can be stopped");
            let tier = &tier;
            std::thread::scope(|scope| {
                let readers = [1, 2].map(|at| scope.spawn(move || tier.read(key(at), WITHIN)));
                tier.read(key(3), short).expect_err("silence");
                all.servers()[old].resume().expect("it goes on");
                for reader in readers {
                    reader.join().expect("no panic").expect("an answer");
                }
            });
            all.servers()[old].pause().expect("it can be stopped");
            let next = Claim { key: key(77), ..joined };
            tier.claim(&next, short).expect_err("silence");
            all.wait_until_primary_is(1 - old).expect("another one");
            all.servers()[old].resume().expect("it goes on");
        } else {
            all.fail_over_by_kill().expect("another one");
            all.server_mut(old).restart().expect("it starts again");
        }
        let claimed = tier.claim(&joined, WITHIN).expect_err("the session is over");
        assert_eq!(claimed.kind(), TierErrorKind::SessionOver);
        let (joined, lost) = join(&tier).expect("a session");
        assert!(lost);
        assert_eq!(outcome(&tier, &joined), Some(done), "stopped: {stops}");
    }
}

/// As whom the rig's Sentinels know the primary.
const SENTINELS_NAME: &str = "main";
