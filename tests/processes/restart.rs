//! All processes end, and others come.

use crate::crew::{Folder, Worker};

/// Goal: fencing tokens go on rising over restarts, SIGKILL of all processes included. Method:
/// rounds of a new process that fails an attempt.
#[test]
fn tokens_rise_over_restarts() {
    let folder = Folder::new();
    let mut last = 0;
    for round in 0..10 {
        let mut worker = Worker::of(&folder, "lease=3600000");
        let attempt = worker.admitted("k");
        assert!(attempt.fence > last, "round {round}");
        assert_eq!(attempt.number, round + 1);
        last = attempt.fence;
        match round % 2 {
            0 => worker.kill(),
            _ => assert_eq!(worker.ask("fail k"), "ok"),
        }
    }
}

/// Goal: a rotation goes on over restarts, and a process that was there learns of it from the key
/// file. Method: one rotates, the others go on, a new one comes during and after it.
#[test]
fn a_rotation_is_everybodys() {
    let folder = Folder::new();
    let (mut one, mut two) = (Worker::of(&folder, ""), Worker::of(&folder, ""));
    one.admitted("old");
    one.ask("complete old done");
    assert_eq!(one.ask("rotate 7"), "ok");
    assert_eq!(two.ask("begin old"), "replayed done");
    two.admitted("new");
    assert_eq!(two.ask("complete new done"), "stored");
    let mut three = Worker::of(&folder, "");
    assert_eq!(three.ask("begin old"), "replayed done");
    assert_eq!(three.ask("begin new"), "replayed done");
    assert_eq!(one.ask("begin new"), "replayed done");
    assert_eq!(three.ask("retire"), "error RotationPending secret", "a record is left");
}

/// Goal: where secrets are given, a process that was not told the new one runs nothing. Method: one
/// rotates; the other is refused until it is told; a newcomer needs both.
#[test]
fn a_process_without_the_new_secret_is_refused() {
    let folder = Folder::new();
    let (mut one, mut two) = (Worker::of(&folder, "secret=1"), Worker::of(&folder, "secret=1"));
    one.admitted("old");
    one.ask("complete old done");
    assert_eq!(one.ask("rotate 2"), "ok");
    assert_eq!(two.ask("begin old"), "error WrongSecret secret");
    assert_eq!(two.ask("begin other"), "error WrongSecret secret");
    assert_eq!(two.ask("rotate 2"), "ok");
    assert_eq!(two.ask("begin old"), "replayed done");
    let path = folder.table();
    let open = |options: &str| Worker::idle().ask(&format!("open {} {options}", path.display()));
    assert_eq!(open("secret=1"), "error WrongSecret secret");
    assert_eq!(open("secret=2"), "error WrongSecret retiring_secret");
    let mut three = Worker::of(&folder, "secret=2 retiring=1");
    assert_eq!(three.ask("begin old"), "replayed done");
}

/// Goal: a rotation that failed in one process leaves it no wrong secret under the key's number.
/// Method: one that cannot write the key file; another process rotates to another secret.
#[test]
fn a_failed_rotation_leaves_no_wrong_secret() {
    let folder = Folder::new();
    let (mut one, mut two) = (Worker::of(&folder, ""), Worker::of(&folder, ""));
    let (key, aside) = (folder.path().join("table.key"), folder.path().join("aside"));
    std::fs::rename(&key, &aside).expect("own file");
    std::fs::create_dir(&key).expect("own folder");
    assert!(one.ask("rotate 1").starts_with("error "));
    std::fs::remove_dir(&key).expect("own folder");
    std::fs::rename(&aside, &key).expect("own file");
    assert_eq!(two.ask("rotate 2"), "ok");
    two.admitted("k");
    assert_eq!(one.ask("begin k"), "in-progress 1", "it looks under another fingerprint");
}

/// Goal: a key file outlives its table. Method: a rotation that ended, a table that is made anew
/// beside its key file, and the next rotation; then a newcomer.
#[test]
fn a_key_file_outlives_its_table() {
    let folder = Folder::new();
    let mut one = Worker::of(&folder, "");
    assert_eq!(one.ask("rotate 1"), "ok");
    assert_eq!(one.ask("retire"), "ok");
    assert_eq!(one.ended(), None);
    std::fs::remove_file(folder.table()).expect("own file");
    let mut one = Worker::of(&folder, "");
    one.admitted("k");
    assert_eq!(one.ask("complete k done"), "stored");
    assert_eq!(one.ask("rotate 2"), "ok");
    let mut two = Worker::of(&folder, "");
    assert_eq!(two.ask("begin k"), "replayed done");
}
