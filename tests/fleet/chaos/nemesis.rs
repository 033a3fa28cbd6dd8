//! What goes wrong in a round.

use std::time::Duration;

use oncegate_rig::{Close, Cluster, Direction, Proxy, Server, Toxic, until};

use super::crew::{Crew, Work, now};
use super::store::Store;

/// A trouble, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Nothing goes wrong.
    None,
    /// The server stops for a while.
    PauseServer,
    /// It is killed, and started again with what its disk keeps.
    KillServer,
    /// It forgets everything, and runs on.
    Flush,
    /// The primary is killed, and its replica takes its place.
    FailOver,
    /// The primary stops until its replica has taken its place, and goes on then.
    Depose,
    /// Slots move from one node of the cluster to another.
    MoveSlots,
    /// A node of the cluster is killed, and started again with what its disk keeps.
    KillNode,
    /// Connections of a host are ended, and new ones refused.
    Cut(usize),
    /// Connections of a host are reset, some times.
    Reset(usize),
    /// What a host and the store say to each other is lost.
    HalfOpen(usize),
    /// It takes about as long as a call may take, or longer.
    Latency(usize),
    /// It comes in pieces.
    Slices(usize),
    /// A host stops for a while, shorter than its leases.
    PauseHost(usize),
    /// It stops until all others have done their work.
    StopHost(usize),
    /// It is killed, and another process takes its place.
    KillHost(usize),
}

/// Lets `trouble` happen, and mends what it broke when it has been felt. From when to when the
/// store forgot something, if it may have.
pub(crate) fn strike(
    trouble: Trouble,
    store: &mut Store,
    crew: &mut Crew,
    work: &Work,
) -> Option<(u64, u64)> {
    let felt = feel(crew, work);
    // Between what the store has forgotten what it forgets.
    let from = now();
    let mut to = None;
    match trouble {
        Trouble::None => {}
        Trouble::PauseServer => {
            server(store).pause().expect("it can be stopped");
            wait_until_felt(crew, work, felt);
            server(store).resume().expect("it goes on");
        }
        Trouble::KillServer => {
            server(store).kill();
            to = Some(now());
            wait_until_felt(crew, work, felt);
            server(store).restart().expect("it starts again");
        }
        Trouble::Flush => {
            server(store).flush_all().expect("it answers");
            to = Some(now());
        }
        Trouble::FailOver => {
            let Store::Sentinels(all) = store else { panic!("Sentinels fail over") };
            let new = all.fail_over_by_kill().expect("another primary");
            let then = now();
            to = Some(then);
            // Who was about to connect to the former one has done so, in vain.
            wait(crew, |crew| crew.all_run_since(work, then));
            all.server_mut(1 - new).restart().expect("it starts again");
        }
        Trouble::Depose => {
            let Store::Sentinels(all) = store else { panic!("Sentinels fail over") };
            let old = all.primary().expect("there is one");
            all.servers()[old].pause().expect("it can be stopped");
            all.wait_until_primary_is(1 - old).expect("another primary");
            let then = now();
            to = Some(then);
            // What it answers then nobody waits for any more.
            wait(crew, |crew| crew.all_run_since(work, then));
            all.servers()[old].resume().expect("it goes on");
        }
        Trouble::MoveSlots => move_slots(cluster(store), work.seed),
        Trouble::KillNode => kill_node(store, crew, work, felt),
        Trouble::PauseHost(host) => {
            crew.member(host).pause().expect("it can be stopped");
            // Where it holds nothing, nobody feels it.
            wait(crew, |crew| feel(crew, work) >= felt + ENOUGH || crew.others_are_ready(host));
            crew.member(host).resume().expect("it goes on");
        }
        Trouble::StopHost(host) => {
            crew.member(host).pause().expect("it can be stopped");
            // What it holds the others get when it has lapsed, and not before.
            wait(crew, |crew| crew.others_are_ready(host));
            crew.member(host).resume().expect("it goes on");
        }
        Trouble::KillHost(host) => crew.replace(host, work),
        _ => trouble_a_way(trouble, store, crew, work),
    }
    to.map(|to| (from, to))
}

/// The same for what goes wrong between a host and the store.
fn trouble_a_way(trouble: Trouble, store: &Store, crew: &mut Crew, work: &Work) {
    let felt = feel(crew, work);
    match trouble {
        Trouble::Cut(host) => {
            proxy(store, host).down().expect("it can be taken down");
            wait_until_felt(crew, work, felt);
            proxy(store, host).up().expect("the port is free");
        }
        Trouble::Reset(host) => {
            for times in 1..=5 {
                proxy(store, host).cut(Close::Reset);
                let more = crew.lines(work, is_call) + times;
                let goes_on = |crew: &mut Crew| crew.lines(work, is_call) >= more;
                wait(crew, goes_on);
            }
        }
        Trouble::HalfOpen(host) => {
            proxy(store, host).half_open();
            wait_until_felt(crew, work, felt);
            // Who waits for what is lost would wait for ever.
            proxy(store, host).heal();
            proxy(store, host).cut(Close::Reset);
        }
        Trouble::Latency(host) => {
            let latency = Duration::from_millis(100 + work.seed % 250);
            let toxic = Toxic::Latency { latency, jitter: latency / 2 };
            proxy(store, host).add(Direction::Upstream, toxic);
            wait_until_felt(crew, work, felt);
            proxy(store, host).heal();
        }
        Trouble::Slices(host) => {
            let toxic = Toxic::Slicer { size: 7, variation: 3, delay: Duration::ZERO };
            proxy(store, host).add(Direction::Upstream, toxic);
            proxy(store, host).add(Direction::Downstream, toxic);
            wait(crew, |crew| crew.is_ready(host));
            proxy(store, host).heal();
        }
        _ => unreachable!("{trouble:?} is none of a way"),
    }
}

fn kill_node(store: &mut Store, crew: &mut Crew, work: &Work, felt: usize) {
    let Store::Cluster(cluster) = store else { panic!("a cluster has nodes") };
    let node = (work.seed % 3) as usize;
    cluster.node_mut(node).kill();
    wait_until_felt(crew, work, felt);
    cluster.node_mut(node).restart().expect("it starts again");
    cluster.wait_until_well().expect("they find together");
}

/// Some slots that the fleet uses go to the next node.
fn move_slots(cluster: &Cluster, seed: u64) {
    for at in 0..8 {
        let bucket = seed.wrapping_add(at * 37) % 256;
        let slot = cluster.slot_of(&format!("oncegate:{{{bucket:02x}}}")).expect("a slot");
        let owner = cluster.owner_of(slot).expect("an owner");
        cluster.move_slot(slot, (owner + 1) % 3).expect("it moves");
    }
}

/// How often hosts were told something that trouble leads to.
fn feel(crew: &Crew, work: &Work) -> usize {
    let signs = [" refused", " stored-here", " in-progress", " left"];
    crew.lines(work, |line| line.starts_with("told") && signs.iter().any(|s| line.ends_with(s)))
}

fn wait_until_felt(crew: &mut Crew, work: &Work, before: usize) {
    wait(crew, |crew| feel(crew, work) >= before + ENOUGH);
}

/// Waits for `event`, or until all have done their work: whichever comes first.
fn wait(crew: &mut Crew, mut event: impl FnMut(&mut Crew) -> bool) {
    let seen = until("a trouble is felt", || (event(crew) || crew.are_ready()).then_some(()));
    seen.unwrap_or_else(|error| panic!("{error}"));
}

pub(crate) fn is_call(line: &str) -> bool {
    line.starts_with("call")
}

fn server(store: &mut Store) -> &mut Server {
    let Store::One(server, _) = store else { panic!("one server") };
    server
}

fn proxy(store: &Store, host: usize) -> &Proxy {
    store.proxy(host).expect("each host has its own way")
}

fn cluster(store: &Store) -> &Cluster {
    let Store::Cluster(cluster) = store else { panic!("a cluster has slots") };
    cluster
}

/// So many answers of that kind, and the trouble was felt.
const ENOUGH: usize = 12;
