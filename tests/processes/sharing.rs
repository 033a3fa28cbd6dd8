//! Unrelated processes, one table.

use std::thread;

use oncegate::{Admission, Engine, ErrorCode, Quota, Reach, Request, Scope};

use crate::crew::{Folder, Worker};

/// Goal: a request runs once among all processes, and all of them answer it alike. Method: one
/// begins and completes; the other meets it while it runs and when it is done.
#[test]
fn one_runs_and_the_other_replays() {
    let folder = Folder::new();
    let (mut one, mut two) = (Worker::of(&folder, ""), Worker::of(&folder, ""));
    one.admitted("k");
    assert_eq!(two.ask("begin k"), "in-progress 1");
    assert_eq!(one.ask("complete k done"), "stored");
    assert_eq!(two.ask("begin k"), "replayed done");
    assert_eq!(one.ask("begin k"), "replayed done");
}

/// Goal: a scope's quota is everybody's, whoever set it. Method: one of two engines sets it, the
/// other one comes to it; then it is raised by the other one.
#[test]
fn a_quota_is_everybodys() {
    let folder = Folder::new();
    let open = || {
        let builder = Engine::builder().capacity(1_000).reach(Reach::Host(folder.table()));
        builder.build().expect("a table")
    };
    let (one, two) = (open(), open());
    let scope = Scope::new("acme").expect("short");
    let request = |key| Request::new(scope, "op", key).expect("valid");
    one.set_quota(scope, Quota::unlimited().max_live(1)).expect("valid");
    let Ok(Admission::Admitted(_held)) = one.begin(&request("a")) else { panic!() };
    let refused = two.begin(&request("b")).expect_err("the quota is one");
    assert_eq!(refused.code(), ErrorCode::QuotaExceeded);
    two.set_quota(scope, Quota::unlimited().max_live(2)).expect("valid");
    assert!(matches!(one.begin(&request("b")), Ok(Admission::Admitted(_))));
}

/// Goal: exactly one creation of each key, whoever races. Method: eight processes, started at once
/// on a table that none of them has made, each ask for all of 10,000 keys.
#[test]
fn ten_thousand_keys_run_once() {
    let folder = Folder::new();
    let mut crew: Vec<Worker> = (0..8).map(|_| Worker::idle()).collect();
    for worker in &mut crew {
        worker.tell(&format!("open {}", folder.table().display()));
        worker.tell("mass 0 10000 done");
    }
    let admitted: u64 = crew
        .iter_mut()
        .map(|worker| {
            assert_eq!(worker.answer(), "open");
            let answer = worker.answer();
            let number = answer.strip_prefix("admitted ").unwrap_or_else(|| panic!("{answer}"));
            number.parse::<u64>().expect("a number")
        })
        .sum();
    assert_eq!(admitted, 10_000);
    let stats = crew[0].ask("stats");
    assert!(stats.starts_with("running 0 waiting 0 succeeded 10000 "), "{stats}");
}

/// Goal: a lease is a process's own until it ends: nobody else's call ends it, and a stale one is
/// fenced in whichever process. Method: one fails; the other takes over; the first completes.
#[test]
fn a_stale_holder_is_fenced_across_processes() {
    let folder = Folder::new();
    let (mut one, mut two) = (Worker::of(&folder, ""), Worker::of(&folder, ""));
    let first = one.admitted("k");
    assert_eq!(one.ask("fail k"), "ok");
    let second = two.admitted("k");
    assert_eq!((second.number, second.status.as_str()), (2, "Retried"));
    assert!(second.fence > first.fence);
    assert_eq!(one.ask("complete k late"), "error Fenced lease");
    assert_eq!(two.ask("complete k done"), "stored");
    assert_eq!(one.ask("begin k"), "replayed done");
}

/// Goal: outcomes of every size are replayed by a process that did not store them. Method: bodies
/// beside the record, in the store, and above the limit.
#[test]
fn outcomes_of_every_size_cross() {
    let folder = Folder::new();
    let (mut one, mut two) = (Worker::of(&folder, ""), Worker::of(&folder, ""));
    for size in [1, 64, 65, 5_000, 16 << 10] {
        let (key, body) = (format!("k{size}"), "x".repeat(size));
        one.admitted(&key);
        assert_eq!(one.ask(&format!("complete {key} {body}")), "stored");
        assert_eq!(two.ask(&format!("begin {key}")), format!("replayed {body}"));
    }
    one.admitted("large");
    let body = "x".repeat((16 << 10) + 1);
    assert_eq!(one.ask(&format!("complete large {body}")), "without-bytes");
    assert_eq!(two.ask("begin large"), "outcomegone");
}

/// Goal: many processes come and go, and the registry has room for as many as live at once.
/// Method: a registry of three; the fourth is refused, until one of them has ended or was killed.
#[test]
fn the_registry_has_limits_and_entries_are_used_again() {
    let folder = Folder::new();
    let open = |folder: &Folder| {
        let mut worker = Worker::idle();
        let opened = worker.ask(&format!("open {} processes=3", folder.table().display()));
        (worker, opened)
    };
    let mut crew: Vec<Worker> = (0..3).map(|_| Worker::of(&folder, "processes=3")).collect();
    for round in 0..20 {
        assert_eq!(open(&folder).1, "error RegistryFull max_processes");
        let mut gone = crew.remove(0);
        gone.admitted(&format!("held-{round}"));
        match round % 3 {
            0 => gone.kill(),
            1 => assert_eq!(gone.ended(), None),
            _ => assert_eq!(gone.ask("drop"), "dropped"),
        }
        let (mut next, opened) = open(&folder);
        assert_eq!(opened, "open", "round {round}");
        let taken = next.admitted(&format!("held-{round}"));
        assert_eq!(taken.number, 2, "what was held is free");
        crew.push(next);
    }
}

/// Goal: a second engine of one process is one more process to the table. Method: as a user would
/// who opens it twice.
#[test]
fn threads_of_one_process_share_it_too() {
    use oncegate::{Admission, Engine, Outcome, Reach, Request, Scope};
    let folder = Folder::new();
    let build = || {
        let reach = Reach::Host(folder.table());
        Engine::builder().capacity(1_000).reach(reach).build().expect("a table")
    };
    let engines = [build(), build()];
    let created: usize = thread::scope(|scope| {
        let threads: Vec<_> = engines
            .iter()
            .map(|engine| {
                scope.spawn(move || {
                    let mut created = 0;
                    for number in 0..500 {
                        let key = format!("key-{number}");
                        let request = Request::new(Scope::single_tenant(), "op", &key);
                        let request = request.expect("valid");
                        if let Admission::Admitted(lease) = engine.begin(&request).expect("room") {
                            lease.complete(&Outcome::new(200, b"done")).expect("the holder");
                            created += 1;
                        }
                    }
                    created
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    });
    assert_eq!(created, 500);
}
