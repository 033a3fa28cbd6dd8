//! Sentinels, and what they do when a primary fails.

use oncegate_rig::{Options, Sentinels, present};

fn value(all: &Sentinels, index: usize, key: &str) -> Option<String> {
    all.servers()[index].ask(&["GET", key]).expect("it answers")
}

/// Goal: a killed primary is replaced by its replica, with what that had; started again, it
/// follows; then an operator swaps them back. Method: a key at each step; who is the primary as
/// all say.
#[test]
fn a_replica_takes_the_place_of_a_dead_primary() {
    if !present("Sentinels") {
        return;
    }
    let mut all = Sentinels::start().expect("they start");
    assert_eq!(all.primary().expect("they agree"), 0);
    all.servers()[0].ask::<()>(&["SET", "key", "1"]).expect("it answers");
    // It has it before the primary dies.
    assert_eq!(all.servers()[0].ask::<i64>(&["WAIT", "1", "0"]).expect("it answers"), 1);
    assert_eq!(all.fail_over_by_kill().expect("another one"), 1);
    assert_eq!(value(&all, 1, "key").as_deref(), Some("1"));
    all.servers()[1].ask::<()>(&["SET", "key", "2"]).expect("it is a primary");
    all.server_mut(0).restart().expect("it starts again");
    all.settle().expect("it follows");
    assert_eq!(all.primary().expect("they agree"), 1);
    assert_eq!(value(&all, 0, "key").as_deref(), Some("2"));
    assert_eq!(all.fail_over().expect("another one"), 0);
    assert_eq!(value(&all, 0, "key").as_deref(), Some("2"));
}

/// Goal: a primary that is cut off goes on by itself, and loses what it took meanwhile. Method:
/// its proxy is down; a write on each side; the proxy comes up again. With users.
#[test]
fn a_primary_that_was_cut_off_loses_its_writes() {
    if !present("Sentinels") {
        return;
    }
    let options = Options::new().user("app on >secret ~* +get");
    let all = Sentinels::with(options, true).expect("they start");
    all.proxies()[0].down().expect("it goes down");
    all.servers()[0].ask::<()>(&["SET", "key", "lost"]).expect("nobody told it");
    assert_eq!(all.wait_until_primary_is(1).expect("another one"), 1);
    all.servers()[1].ask::<()>(&["SET", "key", "kept"]).expect("it is a primary");
    assert_eq!(value(&all, 0, "key").as_deref(), Some("lost"));
    all.proxies()[0].up().expect("it comes up");
    all.settle().expect("it follows");
    assert_eq!(value(&all, 0, "key").as_deref(), Some("kept"));
}
