//! Clusters: ready when they say so, slots that move, nodes that fail.

use oncegate_rig::{Cluster, Options, Shape, present, until};

use crate::client::Client;

/// Goal: three nodes are one cluster, whose slots move while they are used: a client is sent to
/// where a key is, asked to ask while it moves, and sent on afterwards. Method: keys of one slot;
/// the answers of both nodes at each step.
#[test]
fn a_slot_moves_under_its_clients() {
    if !present("clusters") {
        return;
    }
    let cluster = Cluster::start().expect("it starts");
    let slot = cluster.slot_of("{og}").expect("it answers");
    let from = cluster.owner_of(slot).expect("somebody has it");
    let to = (from + 1) % 3;
    let [old, new] = [from, to].map(|index| cluster.nodes()[index].address());
    let (mut at_old, mut at_new) = (Client::to(old), Client::to(new));
    for key in ["{og}1", "{og}2"] {
        assert_eq!(at_old.ask(&["SET", key, "v"]).expect("a reply"), "+OK\r\n");
    }
    let moved = format!("-MOVED {slot} {old}\r\n");
    assert_eq!(at_new.ask(&["GET", "{og}1"]).expect("a reply"), moved);
    let migration = cluster.begin_move(slot, to).expect("it begins");
    migration.move_key("{og}1").expect("it moves");
    let ask = format!("-ASK {slot} {new}\r\n");
    assert_eq!(at_old.ask(&["GET", "{og}1"]).expect("a reply"), ask);
    assert_eq!(at_old.ask(&["GET", "{og}2"]).expect("a reply"), "$1\r\nv\r\n");
    assert_eq!(at_new.ask(&["ASKING"]).expect("a reply"), "+OK\r\n");
    assert_eq!(at_new.ask(&["GET", "{og}1"]).expect("a reply"), "$1\r\nv\r\n");
    assert_eq!(migration.move_keys(9).expect("it moves"), 1);
    migration.finish().expect("all know");
    assert_eq!(cluster.owner_of(slot).expect("somebody has it"), to);
    let moved = format!("-MOVED {slot} {new}\r\n");
    assert_eq!(at_old.ask(&["GET", "{og}2"]).expect("a reply"), moved);
    assert_eq!(at_new.ask(&["GET", "{og}2"]).expect("a reply"), "$1\r\nv\r\n");
    let mut elsewhere = Client::to(cluster.nodes()[(from + 2) % 3].address());
    for (target, address) in [(from, old), (to, new)].repeat(5) {
        cluster.move_slot(slot, target).expect("it moves");
        // Who had nothing to do with it knows, too.
        let moved = format!("-MOVED {slot} {address}\r\n");
        assert_eq!(elsewhere.ask(&["GET", "{og}2"]).expect("a reply"), moved);
    }
    assert_eq!(at_new.ask(&["GET", "{og}2"]).expect("a reply"), "$1\r\nv\r\n");
}

/// Goal: a replica takes the place of a master that was killed, and the old master comes back as
/// its replica; clients are told of proxies where there are some, and users hold. Method: six
/// nodes behind proxies; kill the first.
#[test]
fn a_replica_takes_the_place_of_a_dead_master() {
    if !present("clusters") {
        return;
    }
    let options = Options::new().user("app on >secret ~* +get").line("cluster-node-timeout 1500");
    let shape = Shape { replicas: 1, proxied: true, options, ..Shape::default() };
    let mut cluster = Cluster::with(shape).expect("it starts");
    assert_eq!(cluster.nodes().len(), 6);
    let slot = cluster.slot_of("key").expect("it answers");
    let owner = cluster.owner_of(slot).expect("somebody has it");
    let mut client = Client::to(cluster.proxies()[(owner + 1) % 3].address());
    assert_eq!(client.ask(&["AUTH", "app", "secret"]).expect("a reply"), "+OK\r\n");
    let moved = format!("-MOVED {slot} {}\r\n", cluster.proxies()[owner].address());
    assert_eq!(client.ask(&["GET", "key"]).expect("a reply"), moved);
    cluster.node_mut(owner).kill();
    let heir = until("a replica takes its place", || {
        cluster.owner_of(slot).ok().filter(|heir| *heir != owner)
    });
    assert_eq!(heir.expect("it does"), owner + 3);
    cluster.node_mut(owner).restart().expect("it starts again");
    cluster.wait_until_well().expect("it comes back");
    let role = || cluster.nodes()[owner].info("role").ok().filter(|role| role == "slave");
    until("it is a replica now", role).expect("it is");
    let get = ["CONFIG", "GET", "cluster-announce-port"];
    let (_, announced): (String, u16) = cluster.nodes()[owner].ask(&get).expect("it answers");
    assert_eq!(announced, cluster.proxies()[owner].port());
}
