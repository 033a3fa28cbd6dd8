//! A server that is the primary all the time, and one that was a replica in between.

use oncegate::tier::{Claim, Redis, Tier, TierErrorKind};
use oncegate_rig::{Options, Sentinels, Server, present, until};

use super::steps::{WITHIN, grant, join, key};

/// Goal: a primary that was a replica in between ends the session, though it is the same run and
/// its guards are there: others may have been granted elsewhere what it lacks. Replicas that come
/// and go end none, though it draws another replication id each time; nor does what it forgets of
/// its past. Method: a replica of it that is told to be none, and a primary that is told to follow
/// nobody, and to lead again.
#[test]
fn a_primary_that_was_a_replica_ends_the_session() {
    if !present("the Redis tier") {
        return;
    }
    let server = Server::with(Options::new().line("repl-backlog-ttl 1")).expect("it starts");
    let other = Server::start().expect("it starts");
    let tier = Redis::connect(&server.url()).expect("it connects");
    let (claim, _) = join(&tier).expect("a session");
    grant(&tier, &claim);
    replicas_come_and_go(&server, &other);
    let (same, lost) = join(&tier).expect("a session");
    assert!(!lost && same.session == claim.session, "replicas came and went");
    grant(&tier, &Claim { key: key(1), ..claim });

    let nobody = Server::start().expect("it starts");
    let port = nobody.address().port().to_string();
    // One that never finds its primary keeps what it has.
    drop(nobody);
    server.ask::<()>(&["REPLICAOF", "127.0.0.1", &port]).expect("it follows");
    server.ask::<()>(&["REPLICAOF", "NO", "ONE"]).expect("it leads");
    let (next, lost) = join(&tier).expect("a session");
    assert!(lost && next.session != claim.session);
    let refused = tier.claim(&Claim { key: key(2), ..claim }, WITHIN).expect_err("it is over");
    assert_eq!(refused.kind(), TierErrorKind::SessionOver, "{refused}");

    grant(&tier, &Claim { key: key(2), ..next });
    replicas_come_and_go(&server, &other);
    assert_eq!(server.info("master_replid2").expect("it says it"), "0".repeat(40));
    let (same, lost) = join(&tier).expect("a session");
    assert!(!lost && same.session == next.session, "it has only forgotten");
    grant(&tier, &Claim { key: key(3), ..next });
}

/// `server` has a replica, and then has none for so long that it gives up its backlog.
fn replicas_come_and_go(server: &Server, other: &Server) {
    let id = || server.info("master_replid").expect("it says it");
    let (before, port) = (id(), server.address().port().to_string());
    other.ask::<()>(&["REPLICAOF", "127.0.0.1", &port]).expect("it follows");
    let there = || (server.info("connected_slaves").ok()? == "1").then_some(());
    until("there is a replica", there).expect("in time");
    other.ask::<()>(&["REPLICAOF", "NO", "ONE"]).expect("it leads");
    until("the backlog is gone", || {
        (server.info("repl_backlog_active").ok()? == "0").then_some(())
    })
    .expect("in time");
    assert_ne!(id(), before);
}

/// Goal: a fail-over, and one back to the server that was known, end the session, though nobody of
/// this process asked anything in between. Method: Sentinels that are told to fail over twice.
#[test]
fn a_fail_over_and_back_ends_the_session() {
    if !present("Sentinels") {
        return;
    }
    let all = Sentinels::start().expect("they start");
    let urls = all.urls();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let builder = Redis::builder("redis://primary").sentinels("main", &urls);
    let tier = builder.build().expect("settings");
    let (claim, _) = join(&tier).expect("a session");
    grant(&tier, &claim);
    let first = all.primary().expect("there is one");
    let run = all.servers()[first].info("run_id").expect("it says it");
    all.fail_over().expect("another one");
    // Only now has it been told that it is not the primary.
    all.settle().expect("it follows");
    assert_eq!(all.fail_over().expect("another one"), first);
    assert_eq!(all.servers()[first].info("run_id").expect("it says it"), run);
    let (next, lost) = join(&tier).expect("a session");
    assert!(lost && next.session != claim.session);
    let (same, lost) = join(&tier).expect("a session");
    assert!(!lost && same.session == next.session);
}
