//! Processes that see less of each other: other process numbers, closed descriptors, small disks.

use std::process::Command;

use crate::crew::{Attempt, Folder, Worker};

const WORKER: &str = env!("CARGO_BIN_EXE_oncegate-worker");

/// A worker in namespaces of its own, by the options of `unshare(1)`. `None`: not on this machine.
fn isolated(options: &[&str], script: &str) -> Option<Worker> {
    let mut command = Command::new("unshare");
    command.args(options).args(["sh", "-c", script]).env("WORKER", WORKER);
    let mut worker = Worker::start(&mut command);
    // Whoever is there answers, if only that the command is unknown.
    let there = worker.ask_if_there("hello").is_some_and(|said| said.starts_with("error"));
    if there {
        return Some(worker);
    }
    let required = std::env::var_os("ONCEGATE_REQUIRE_ALL").is_some();
    assert!(!required, "namespaces are required here: unshare {options:?}");
    println!("skipped: no namespaces on this machine (unshare {options:?})");
    None
}

const OWN_PROCESSES: &[&str] = &["--pid", "--fork", "--kill-child", "--mount-proc"];

/// Goal: two containers that share a volume know of each other's deaths, though their process
/// numbers are the same. Method: two workers that are process 1 each, in namespaces of their own.
#[test]
fn deaths_are_known_across_namespaces() {
    let folder = Folder::new();
    let (Some(mut one), Some(mut two)) =
        (isolated(OWN_PROCESSES, "exec $WORKER"), isolated(OWN_PROCESSES, "exec $WORKER"))
    else {
        return;
    };
    let open = format!("open {} lease=3600000", folder.table().display());
    assert_eq!((one.ask(&open), two.ask(&open)), ("open".into(), "open".into()));
    one.admitted("k");
    assert_eq!(two.ask("begin k"), "in-progress 1");
    two.waits("k");
    one.kill();
    let taken = two.answer();
    assert!(taken.starts_with("admitted 2 "), "{taken}");
}

/// Goal: a process in a time namespace, whose clock shows another time, has the table's time.
/// Method: a lease of 300 ms, given by a worker whose clock is ten days ahead.
#[test]
fn clocks_of_namespaces_are_set_right() {
    let folder = Folder::new();
    let ahead = &["--time", "--monotonic", "864000", "--fork", "--kill-child"];
    let Some(mut one) = isolated(ahead, "exec $WORKER") else { return };
    let mut two = Worker::of(&folder, "lease=60000");
    assert_eq!(one.ask(&format!("open {} lease=60000", folder.table().display())), "open");
    one.admitted("ahead");
    two.admitted("here");
    assert_eq!(two.ask("begin ahead"), "in-progress 1", "it has lapsed ten days ago");
    assert_eq!(one.ask("begin here"), "in-progress 1", "it has lapsed ten days ago");
    one.ask("complete ahead done");
    assert_eq!(two.ask("begin ahead"), "replayed done");
}

/// Goal: a process that closes descriptors which are not its own is not taken for dead, and takes
/// nobody for dead. Method: every descriptor but the standard ones is closed, and others opened in
/// their place.
#[test]
fn closed_descriptors_kill_nobody() {
    let folder = Folder::new();
    let options = "lease=3600000";
    let (mut one, mut two) = (Worker::of(&folder, options), Worker::of(&folder, options));
    one.admitted("k");
    assert_eq!(one.ask("close-all"), "closed");
    assert_eq!(two.ask("begin k"), "in-progress 1", "it was taken for dead");
    two.admitted("l");
    assert_eq!(one.ask("begin l"), "in-progress 1", "it was taken for dead");
    assert_eq!(one.ask("complete k done"), "stored");
    assert_eq!(two.ask("begin k"), "replayed done");
    one.admitted("m");
    one.kill();
    assert!(Attempt::parse(&two.ask("begin m")).is_some(), "its death is known all the same");
}

/// Goal: a disk that is full is an error when the table is made, and leaves nothing behind. Method:
/// a file system of 1 MiB, in a namespace of its own; then a table that fits.
#[test]
fn a_full_disk_is_an_error_at_open() {
    let folder = Folder::new();
    let script = "mount -t tmpfs -o size=1m none $DIR && exec $WORKER";
    let script = format!("DIR={}; {script}", folder.path().display());
    let Some(mut worker) = isolated(&["--mount"], &script) else { return };
    let path = folder.table();
    let opened = worker.ask(&format!("open {} capacity=100000", path.display()));
    assert_eq!(opened, "error Os region");
    let left = worker.ask(&format!("list {}", folder.path().display()));
    assert_eq!(left, "table.key", "a draft was left");
    assert_eq!(worker.ask(&format!("open {} tiny", path.display())), "open");
    worker.admitted("k");
}
