//! What each command says about a file that it refuses, and that its advice fits the case.
#![cfg(target_os = "linux")]

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::common::Folder;
use crate::shared_tables::{codes, engine, json, run};

const COMMANDS: [&str; 4] = ["inspect", "top", "gc", "doctor"];

/// What each command says about `path`, in one text; each fails.
#[track_caller]
fn told(path: &str) -> [String; 4] {
    COMMANDS.map(|command| {
        let (stdout, exit, stderr) = run(&[command, path]);
        assert_eq!(exit, 1, "{command} {path}: {stdout}{stderr}");
        stdout + &stderr
    })
}

/// Goal: whoever looks at what is no table of his learns what it is, and what he can do. Method: a
/// folder, a pipe, a socket, a link, permissions of several kinds, nothing; every command.
#[test]
fn advice_fits_the_case() {
    let folder = Folder::new();
    drop(engine(&folder));
    let of = |name: &str| folder.path().join(name).to_str().expect("text").to_owned();
    let [pipe, socket, link, dangling] = ["pipe", "socket", "link", "dangling"].map(of);
    let made = Command::new("mkfifo").args(["-m", "600", &pipe]).status();
    assert!(made.expect("mkfifo").success());
    let _socket = UnixListener::bind(&socket).expect("a socket");
    symlink(folder.table(), &link).expect("own folder");
    symlink(of("nowhere"), &dangling).expect("own folder");
    let [group, wide] = [("group", 0o660), ("wide", 0o644)].map(|(name, mode)| {
        std::fs::copy(folder.table(), of(name)).expect("own folder");
        std::fs::set_permissions(of(name), Permissions::from_mode(mode)).expect("own file");
        of(name)
    });
    for (path, parts, never) in [
        (of(""), ["a folder", "the path of the table's file"], "0600"),
        (pipe, ["a pipe", "the right path?"], "0600"),
        (socket, ["a socket", "the right path?"], "makes one"),
        (link.clone(), ["a symbolic link", "--follow-symlink"], "chmod"),
        (dangling, ["a symbolic link", "--follow-symlink"], "makes one"),
        (group.clone(), ["permissions 0660", "--group"], "--foreign-owner"),
        (wide, ["permissions 0644", "chmod 600"], "--group"),
        ("/proc/self/environ".to_owned(), ["a file system", "--any-file-system"], "makes one"),
        (of("none"), ["there is no table", "makes one"], "chmod"),
        (of("no/table"), ["no folder", "make the folder"], "makes one"),
    ] {
        for text in told(&path) {
            for part in parts {
                assert!(text.contains(part), "{part} is missing in: {text}");
            }
            assert!(!text.contains(never) && !text.contains("see `oncegate doctor`"), "{text}");
        }
    }
    for command in COMMANDS {
        let last = if command == "top" { "--once" } else { "--json" };
        assert_eq!(run(&[command, &link, last, "--follow-symlink"]).1, 0, "{command}");
        assert_eq!(run(&[command, &group, last, "--group"]).1, 0, "{command}");
    }
}

/// Goal: `sudo oncegate` on the table of a service names the option that lets it look; a user who
/// may not read a file, or its key file, is told that, in a finding. Method: files of nobody's,
/// looked at by root; files of root's, looked at by nobody.
#[test]
fn files_of_other_users() {
    const NOBODY: u32 = 65_534;
    let folder = Folder::new();
    drop(engine(&folder));
    let (table, key) = (folder.table(), folder.table() + ".key");
    if std::fs::metadata(&table).expect("own file").uid() != 0 {
        let required = std::env::var_os("ONCEGATE_REQUIRE_ALL").is_some();
        assert!(!required, "this test has to be run by root");
        println!("skipped: only root can be another user");
        return;
    }
    let give = |path: &str, user| chown(path, Some(user), Some(user)).expect("root may");
    let as_nobody = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oncegate"));
        let output = command.args(args).uid(NOBODY).gid(NOBODY).output().expect("open to others");
        (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code())
    };
    for path in [&table, &key] {
        give(path, NOBODY);
    }
    for (command, text) in COMMANDS.into_iter().zip(told(&table)) {
        assert!(text.contains("another user, 65534") && text.contains("--foreign-owner"), "{text}");
        let last = if command == "top" { "--once" } else { "--json" };
        assert_eq!(run(&[command, &table, last, "--foreign-owner"]).1, 0, "{command}");
    }
    std::fs::set_permissions(&table, Permissions::from_mode(0o660)).expect("root may");
    let (found, _) = json(&["doctor", &table, "--json"]);
    assert!(found.to_string().contains("`--foreign-owner --group`"), "{found}");
    std::fs::set_permissions(&table, Permissions::from_mode(0o600)).expect("root may");

    give(&key, 0);
    let (text, exit) = as_nobody(&["doctor", &table, "--json"]);
    let found = serde_json::from_str(&text).expect("an object");
    assert_eq!((exit, codes(&found)), (Some(1), vec!["key-file-refused"]));
    assert!(text.contains("the key file beside the table: a file of user 0"), "{text}");
    give(&table, 0);
    let (text, exit) = as_nobody(&["doctor", &table, "--json"]);
    let found = serde_json::from_str(&text).expect("an object");
    assert_eq!((exit, codes(&found)), (Some(1), vec!["file-unreadable"]));
    assert!(text.contains("run the command as that user"), "{text}");
}
