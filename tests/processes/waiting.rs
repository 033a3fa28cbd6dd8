//! Waiting for an attempt that another process runs.

use std::time::Duration;

use crate::crew::{Folder, Worker};

const LONG: &str = "lease=3600000";
/// Far less than the lease, and more than any machine needs.
const SOON: Duration = Duration::from_secs(30);

/// Goal: whoever waits gets the outcome from another process, soon after it is stored. Method: two
/// processes wait, a third completes.
#[test]
fn waiters_of_other_processes_get_the_outcome() {
    let folder = Folder::new();
    let mut leader = Worker::of(&folder, LONG);
    leader.admitted("k");
    let mut waiters: Vec<Worker> = (0..2).map(|_| Worker::of(&folder, LONG)).collect();
    waiters.iter_mut().for_each(|waiter| waiter.waits("k"));
    assert_eq!(leader.ask("complete k done"), "stored");
    for waiter in &mut waiters {
        assert!(waiter.is_ready(SOON), "it waits for the lease to end");
        assert_eq!(waiter.answer(), "replayed done");
    }
}

/// Goal: a failed attempt is handed to one of those who wait, whichever process it is in. Method:
/// two processes wait, the leader fails; one gets the attempt, and the other its outcome.
#[test]
fn a_failed_attempt_is_handed_over() {
    let folder = Folder::new();
    let mut leader = Worker::of(&folder, LONG);
    leader.admitted("k");
    let [mut one, mut two] = [Worker::of(&folder, LONG), Worker::of(&folder, LONG)];
    one.waits("k");
    two.waits("k");
    assert_eq!(leader.ask("fail k"), "ok");
    let soon = Duration::from_millis(10);
    let (mut first, mut second) = loop {
        match (one.is_ready(soon), two.is_ready(soon)) {
            (true, true) => panic!("{} and {}", one.answer(), two.answer()),
            (true, false) => break (one, two),
            (false, true) => break (two, one),
            (false, false) => {}
        }
    };
    let answer = first.answer();
    assert!(answer.starts_with("admitted 2 "), "{answer}");
    assert_eq!(first.ask("complete k done"), "stored");
    assert_eq!(second.answer(), "replayed done");
}

/// Goal: waiters notice that the leader was killed, at once and not when its lease ends. Method:
/// SIGKILL while another process waits.
#[test]
fn a_killed_leader_is_noticed_by_who_waits() {
    let folder = Folder::new();
    let (mut leader, mut waiter) = (Worker::of(&folder, LONG), Worker::of(&folder, LONG));
    leader.admitted("k");
    waiter.waits("k");
    leader.kill();
    assert!(waiter.is_ready(SOON), "it waits for the lease to end");
    let answer = waiter.answer();
    assert!(answer.starts_with("admitted 2 "), "{answer}");
}
