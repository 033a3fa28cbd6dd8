//! Chaos: hosts as processes of their own, a store, and what goes wrong with any of them.
//!
//! Each host (`host/`) opens an engine with a tier in Redis, makes the calls of clients upon a few
//! keys, and writes down what it asks and is told. Meanwhile a nemesis stops and kills hosts and
//! servers, cuts networks, and moves what is where. Then all is mended, everybody gets an outcome,
//! and the round is judged: by what may never be (`judge.rs`), and, where the store keeps what it
//! has acknowledged, by an order of the calls of each key that explains every answer (`record.rs`,
//! with the checker of `tests/histories`).
//!
//! No assertion is about time. A machine that is slow or busy takes other ways through the same
//! rules, and a trouble is mended when it was felt.
//!
//! - `ONCEGATE_CHAOS_SECONDS`: for so long each campaign goes on; without it, every trouble comes
//!   once. `make chaos SECONDS_EACH=60`.
//! - `ONCEGATE_CHAOS_SEED`: the seed, which each run prints. It repeats what hosts and nemesis do,
//!   though not how the machine schedules them. `make chaos SEED=7`.

mod campaign;
mod crew;
mod history;
mod judge;
mod known_bad;
mod line;
mod nemesis;
mod record;
mod store;

use oncegate_rig::present;

use campaign::{Plan, run, seed};
use crew::Habits;
use nemesis::Trouble;
use store::Store;

/// Goal: whatever happens to networks and to a server that keeps its log, each request takes effect
/// once, and everybody replays it (I1, I4). Method: leases that outlast every trouble; handlers
/// that succeed; each effect is counted.
#[test]
fn effects_happen_once_while_leases_last() {
    if !present("chaos with a server") {
        return;
    }
    let habits =
        Habits { lease: 60_000, slice: None, quarantine: Some(300), shares: false, rash: false };
    let troubles = vec![
        Trouble::PauseServer,
        Trouble::KillServer,
        Trouble::Cut(0),
        Trouble::Reset(1),
        Trouble::HalfOpen(2),
        Trouble::Latency(0),
        Trouble::Slices(1),
        Trouble::PauseHost(2),
    ];
    let (keeps, once) = (true, true);
    let plan = Plan { name: "patient", habits, keeps, once, troubles, keys: 30 };
    let seed = seed(plan.name);
    run(&plan, Store::one(true, HOSTS, seed), HOSTS, seed);
}

/// Goal: hosts that stop past their leases, and hosts that are killed, break no promise to the
/// others (I1 to I5). Method: short leases, some of them in slices; two processes on one table, and
/// a host of its own; attempts that fail, are dropped and come too late.
#[test]
fn hosts_stop_and_die() {
    if !present("chaos with a server") {
        return;
    }
    let habits =
        Habits { lease: 1_000, slice: Some(300), quarantine: None, shares: true, rash: true };
    let troubles = vec![
        Trouble::StopHost(0),
        Trouble::StopHost(2),
        Trouble::KillHost(1),
        Trouble::KillHost(2),
        Trouble::PauseServer,
        Trouble::KillServer,
        Trouble::HalfOpen(1),
    ];
    let (keeps, once) = (true, false);
    let plan = Plan { name: "rash", habits, keeps, once, troubles, keys: 30 };
    let seed = seed(plan.name);
    run(&plan, Store::one(true, HOSTS, seed), HOSTS, seed);
}

/// Goal: where the store forgets what it had acknowledged, no attempt begins while another one
/// holds its lease, and tokens go on growing; outcomes that were lost are counted (I1, I2). Method:
/// a server without a log that is killed, and that is emptied; the quarantine is the default.
#[test]
fn a_store_forgets() {
    if !present("chaos with a server") {
        return;
    }
    let habits = Habits { lease: 1_000, slice: None, quarantine: None, shares: false, rash: true };
    let troubles = vec![Trouble::KillServer, Trouble::Flush, Trouble::PauseServer];
    let (keeps, once) = (false, false);
    let plan = Plan { name: "forgetful", habits, keeps, once, troubles, keys: 30 };
    let seed = seed(plan.name);
    run(&plan, Store::one(false, HOSTS, seed), HOSTS, seed);
}

/// Goal: a fail-over under load costs at most what the replica had not got (I1, I2). Method: the
/// primary is killed, or stops, while hosts work; Sentinels make its replica the primary, and the
/// former one comes back.
#[test]
fn primaries_fail_over() {
    if !present("chaos with Sentinels") {
        return;
    }
    let habits = Habits { lease: 1_000, slice: None, quarantine: None, shares: false, rash: true };
    let troubles = vec![Trouble::FailOver, Trouble::Depose];
    let (keeps, once) = (false, false);
    let plan = Plan { name: "fail-over", habits, keeps, once, troubles, keys: 30 };
    run(&plan, Store::sentinels(), HOSTS, seed(plan.name));
}

/// Goal: slots that move, and nodes that are killed and keep their logs, break no promise (I1 to
/// I5). Method: a Cluster, whose slots move under load.
#[test]
fn slots_move_and_nodes_die() {
    if !present("chaos with a Cluster") {
        return;
    }
    let habits = Habits { lease: 1_000, slice: None, quarantine: None, shares: false, rash: true };
    let troubles = vec![Trouble::MoveSlots, Trouble::KillNode];
    let (keeps, once) = (true, false);
    let plan = Plan { name: "cluster", habits, keeps, once, troubles, keys: 30 };
    run(&plan, Store::cluster(), HOSTS, seed(plan.name));
}

/// As many hosts as there are in a fleet here.
const HOSTS: usize = 3;
