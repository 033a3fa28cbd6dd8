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

/// Leases of `one`, whose clock shows another time, and of a worker here last as long for both.
fn share_time(folder: &Folder, one: &mut Worker) {
    let mut two = Worker::of(folder, "lease=60000");
    assert_eq!(one.ask(&format!("open {} lease=60000", folder.table().display())), "open");
    one.admitted("there");
    two.admitted("here");
    assert_eq!(two.ask("begin there"), "in-progress 1", "it has lapsed before its time");
    assert_eq!(one.ask("begin here"), "in-progress 1", "it has lapsed before its time");
    one.ask("complete there done");
    assert_eq!(two.ask("begin there"), "replayed done");
}

/// Goal: a process in a time namespace, whose clock shows another time, has the table's time.
/// Method: leases of a minute, by a worker whose clock is ten days ahead, and by one here.
#[test]
fn clocks_of_namespaces_are_set_right() {
    let folder = Folder::new();
    let ahead = &["--time", "--monotonic", "864000", "--fork", "--kill-child"];
    let Some(mut one) = isolated(ahead, "exec $WORKER") else { return };
    share_time(&folder, &mut one);
}

/// Goal: so has a process whose clock is behind, even behind the table's first moment. Method: the
/// table says that it began when the machine did; a worker whose clock began almost now.
#[test]
fn clocks_that_began_later_are_set_right() {
    use std::os::unix::fs::FileExt as _;
    let folder = Folder::new();
    let uptime = std::fs::read_to_string("/proc/uptime").expect("a Linux");
    let up: f64 = uptime.split(' ').next().expect("a number").parse().expect("a number");
    let behind = format!("-{}", (up as u64).saturating_sub(5));
    drop(Worker::of(&folder, "lease=60000"));
    let file = std::fs::OpenOptions::new().write(true).open(folder.table()).expect("own file");
    // The header's word for when the table's time began.
    file.write_all_at(&1_u64.to_ne_bytes(), 27 * 8).expect("room");
    let later = &["--time", "--monotonic", &behind, "--fork", "--kill-child"];
    let Some(mut one) = isolated(later, "exec $WORKER") else { return };
    share_time(&folder, &mut one);
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
    let open = one.ask("list /proc/self/fd");
    assert_eq!(one.ask("drop"), "dropped");
    assert_eq!(one.ask("list /proc/self/fd"), open, "it closed what is not its own");
    assert!(Attempt::parse(&two.ask("begin m")).is_some(), "its end is known all the same");
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

/// Goal: of many that come at once to a place that holds one table, all get in: one makes it, and
/// the others wait for that instead of filling tables of their own. Method: a file system with room
/// for one and a half.
#[test]
fn a_herd_needs_room_for_one_table() {
    let folder = Folder::new();
    let script =
        format!("mount -t tmpfs -o size=40m none {} && exec $WORKER", folder.path().display());
    let Some(mut worker) = isolated(&["--mount"], &script) else { return };
    let opened = worker.ask(&format!("herd 6 {}", folder.table().display()));
    assert_eq!(opened, "opened 6");
}

/// Goal: user namespaces are no border. Method: a worker that is root in a namespace of its own.
#[test]
fn deaths_are_known_across_user_namespaces() {
    let folder = Folder::new();
    let Some(mut one) = isolated(&["--user", "--map-root-user"], "exec $WORKER") else { return };
    let mut two = Worker::of(&folder, "lease=3600000");
    assert_eq!(one.ask(&format!("open {} lease=3600000", folder.table().display())), "open");
    one.admitted("k");
    assert_eq!(two.ask("begin k"), "in-progress 1");
    one.kill();
    assert!(Attempt::parse(&two.ask("begin k")).is_some());
}
