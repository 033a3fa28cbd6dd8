//! A process is killed: what it held is free at once, and nothing stays blocked.

use crate::crew::{Folder, Worker};

/// Goal: a killed holder's lease is taken over at once, with a higher token, not when it lapses.
/// Method: a lease of an hour; SIGKILL; the next caller.
#[test]
fn a_killed_holder_is_followed_at_once() {
    let folder = Folder::new();
    let (one, two) = (Worker::of(&folder, "lease=3600000"), Worker::of(&folder, "lease=3600000"));
    let (mut one, mut two) = (one, two);
    let first = one.admitted("k");
    assert_eq!(two.ask("begin k"), "in-progress 1");
    one.kill();
    let second = two.admitted("k");
    assert_eq!((second.number, second.status.as_str()), (2, "Expired"));
    assert!(second.fence > first.fence);
    assert_eq!(two.ask("complete k done"), "stored");
}

/// Goal: the policy for lapses holds for deaths. Method: a holder whose outcome nobody can know.
#[test]
fn a_killed_holder_of_unknown_effect_stays_unresolved() {
    let folder = Folder::new();
    let options = "lease=3600000 lapse=unknown";
    let (mut one, mut two) = (Worker::of(&folder, options), Worker::of(&folder, options));
    one.admitted("k");
    one.kill();
    assert_eq!(two.ask("begin k"), "unresolved");
    assert_eq!(two.ask("begin k"), "unresolved");
}

/// Goal: what a killed process finished stays finished. Method: it completes and is killed; so are
/// all others; a new one asks.
#[test]
fn what_was_finished_outlives_its_process() {
    let folder = Folder::new();
    let mut one = Worker::of(&folder, "");
    one.admitted("small");
    one.ask("complete small done");
    one.admitted("large");
    let body = "x".repeat(3_000);
    one.ask(&format!("complete large {body}"));
    one.kill();
    let mut two = Worker::of(&folder, "");
    assert_eq!(two.ask("begin small"), "replayed done");
    assert_eq!(two.ask("begin large"), format!("replayed {body}"));
}

/// Goal: killing processes in the middle of anything, again and again, blocks nobody and runs
/// nothing twice that was finished. Method: three workers go through 6,000 keys, killed at random
/// moments and started again, 300 times; then one goes through all of them.
#[test]
fn killed_at_random_nothing_is_lost() {
    let folder = Folder::new();
    let seed = std::env::var("ONCEGATE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or(0x5eed_0001);
    println!("seed {seed}");
    let mut dice = seed;
    let mut roll = move |below: u64| {
        // Marsaglia's xorshift.
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        dice % below
    };
    let start = |from: u64| {
        let mut worker = Worker::of(&folder, "lease=3600000 inline=0");
        worker.tell(&format!("mass {from} 6000 {}", "x".repeat(100)));
        worker
    };
    let mut crew: Vec<Worker> = (0..3).map(|i| start(i * 2_000)).collect();
    for _ in 0..300 {
        // Not to wait for anything: to kill at another moment each time.
        (0..roll(200_000)).for_each(|_| std::hint::spin_loop());
        let victim = crew.swap_remove(roll(3) as usize);
        victim.kill();
        crew.push(start(roll(6_000)));
    }
    crew.into_iter().for_each(Worker::kill);
    let mut last = Worker::of(&folder, "lease=3600000 inline=0");
    let answer = last.ask("mass 0 6000 y");
    assert!(answer.starts_with("admitted "), "seed {seed}: {answer}");
    let stats = last.ask("stats");
    assert!(
        stats.starts_with("running 0 waiting 0 succeeded 6000 failed 0 unknown 0"),
        "seed {seed}: {stats}"
    );
    assert_eq!(last.ask("mass 0 6000 z"), "admitted 0", "seed {seed}");
    let buried = last.ask("bury");
    assert!(buried.starts_with("buried "), "{buried}");
    println!("processes: 303 killed, each at another moment");
}
