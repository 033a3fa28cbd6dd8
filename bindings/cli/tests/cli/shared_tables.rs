//! The commands for shared tables, on real tables with real processes, some of them killed.
#![cfg(target_os = "linux")]

use std::fs::{OpenOptions, Permissions};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use oncegate::{Admission, Engine, Outcome, Quota, Reach, Request, Scope};
use serde_json::Value;

use crate::common::{Folder, number, oncegate};

pub(crate) fn engine(folder: &Folder) -> Engine {
    let lease = Duration::from_secs(3_600);
    let builder = Engine::builder().capacity(1_000).lease_duration(lease);
    builder.reach(Reach::Host(folder.table().into())).build().expect("a table")
}

pub(crate) fn finish(engine: &Engine, scope: &str, from: u32, to: u32) {
    for number in from..to {
        let key = format!("secret-key-{number}");
        let scope = Scope::new(scope).expect("a scope");
        let request = Request::new(scope, "op", key.as_str()).expect("a request");
        if let Admission::Admitted(lease) = engine.begin(&request).expect("room") {
            lease.complete(&Outcome::new(200, b"secret-body")).expect("stored");
        }
    }
}

/// A process that holds leases, and can be killed.
pub(crate) struct Holder(Child);

impl Holder {
    pub(crate) fn of(folder: &Folder, keys: u32) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "shared_tables::a_process_that_holds_leases", "--nocapture"])
            .env(HOLD, format!("{keys} {}", folder.table()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this test can be started again");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        assert!(lines.map_while(Result::ok).any(|line| line.ends_with(HOLDS)), "it ended");
        Self(child)
    }

    pub(crate) fn kill(mut self) {
        self.0.kill().expect("it is this test's child");
        self.0.wait().expect("it is this test's child");
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Goal: a process for the other tests to kill; by itself it does nothing. Method: told by the
/// environment, it takes leases, says so, and waits for the end of its input.
#[test]
fn a_process_that_holds_leases() {
    let Ok(told) = std::env::var(HOLD) else { return };
    let (keys, path) = told.split_once(' ').expect("a number and a path");
    let builder = Engine::builder().capacity(1_000).lease_duration(Duration::from_secs(3_600));
    let engine = builder.reach(Reach::Host(path.into())).build().expect("a table");
    let mut leases = Vec::new();
    for number in 0..keys.parse::<u32>().expect("a number") {
        let key = format!("held-{}-{number}", std::process::id());
        let request = Request::new(Scope::single_tenant(), "op", key.as_str()).expect("a request");
        if let Admission::Admitted(lease) = engine.begin(&request).expect("room") {
            leases.push(lease);
        }
    }
    println!("\n{HOLDS}");
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

pub(crate) fn run(args: &[&str]) -> (String, i32, String) {
    let output = oncegate(args, b"");
    let text = |bytes| String::from_utf8(bytes).expect("the command prints text");
    let exit = output.status.code().expect("no signal");
    (text(output.stdout), exit, text(output.stderr))
}

pub(crate) fn json(args: &[&str]) -> (Value, i32) {
    let (stdout, exit, stderr) = run(args);
    let json = serde_json::from_str(&stdout);
    (json.unwrap_or_else(|error| panic!("{error}: {stdout:?}, {stderr:?}")), exit)
}

pub(crate) fn codes(json: &Value) -> Vec<&str> {
    let findings = json["findings"].as_array().expect("a list");
    findings.iter().map(|finding| finding["code"].as_str().expect("a code")).collect()
}

/// Goal: `inspect` tells of a live, a killed and a departed process, and of a scope by its name,
/// and of nothing that requests hold. Method: the JSON object and the text of one table.
#[test]
fn inspect_tells_who_uses_a_table() {
    let folder = Folder::new();
    let engine = engine(&folder);
    let acme = Scope::new("acme").expect("a scope");
    engine.set_quota(acme, Quota::unlimited().max_live(500)).expect("a quota");
    finish(&engine, "acme", 0, 40);
    finish(&engine, "other", 0, 7);
    let (killed, alive) = (Holder::of(&folder, 3), Holder::of(&folder, 2));
    killed.kill();
    drop(engine);
    let table = folder.table();
    let (seen, exit) = json(&["inspect", &table, "--json", "--scope", "acme"]);
    assert_eq!(exit, 0);
    assert_eq!((number(&seen, "capacity"), number(&seen, "unlimited_records")), (1_000, 12));
    let records = &seen["records"];
    assert_eq!((number(records, "running"), number(records, "succeeded")), (5, 47));
    let leases = &seen["leases"];
    assert_eq!((number(leases, "held"), number(leases, "of_dead")), (2, 3), "{leases}");
    let processes = seen["processes"].as_array().expect("a list").iter();
    let states: Vec<_> = processes.map(|it| it["state"].as_str().expect("a word")).collect();
    assert_eq!(states, ["alive", "dead", "left"], "first those that matter most");
    let scope = &seen["scope"];
    assert_eq!((number(scope, "records"), number(scope, "max_live")), (40, 500));

    let (text, exit, stderr) = run(&["inspect", &table, "--scope", "acme", "--top", "2"]);
    assert_eq!((exit, stderr.as_str()), (0, ""));
    for part in ["alive 1, dead 1, left 1", "succeeded 47", "held 2", "scope acme", "… and 1 more"]
    {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
    for line in text.lines() {
        assert!(line.chars().count() <= 100, "{} columns: {line}", line.chars().count());
    }
    assert!(!format!("{seen}{text}").contains("secret-"), "{text}");
    drop(alive);
}

/// Goal: `top` prints a block for each look, with the rate of new records, and ends by itself, or
/// when its reader has gone. Method: a thread that inserts while it looks three times; a reader
/// that takes one block.
#[test]
fn top_shows_the_rate_of_new_records() {
    let folder = Folder::new();
    let engine = engine(&folder);
    let table = folder.table();
    let top = |args: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_oncegate"))
            .args(["top", &table, "--interval", "100"])
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary was built with this test")
    };
    let mut child = top(&["--count", "3"]);
    let mut next = 0;
    while child.try_wait().expect("a child").is_none() {
        finish(&engine, "s", next, next + 50);
        next += 50;
    }
    let mut text = String::new();
    child.stdout.take().expect("piped").read_to_string(&mut text).expect("text");
    let rates: Vec<&str> = text.lines().filter(|line| line.starts_with("new records")).collect();
    assert_eq!(rates.len(), 3, "{text}");
    assert!(rates[0].contains(" - a second") && !rates[2].contains(" 0 a second"), "{rates:?}");
    assert!(text.contains("[") && !text.contains('\x1b'), "{text}");

    let mut child = top(&[]);
    let mut first = String::new();
    let reader = child.stdout.take().expect("piped");
    BufReader::new(reader).read_line(&mut first).expect("a block");
    assert!(first.starts_with(&table), "{first}");
    assert_eq!(child.wait().expect("a child").code(), Some(0), "its reader has gone");

    let (text, exit, _) = run(&["top", &table, "--once"]);
    assert_eq!((exit, text.matches("new records").count()), (0, 1));
}

/// Goal: `doctor` tells a sound table from a damaged one by its exit status, and removes only what
/// it was told to, when nobody uses it. Method: sound, used, damaged, torn, text, gone.
#[test]
fn doctor_removes_what_is_damaged_and_unused() {
    let folder = Folder::new();
    drop(engine(&folder));
    let table = folder.table();
    let (found, exit) = json(&["doctor", &table, "--json"]);
    assert_eq!((exit, &found["healthy"], codes(&found)), (0, &Value::Bool(true), vec![]));
    let (found, exit) = json(&["doctor", &table, "--json", "--recreate"]);
    let why = found["not_removed"].as_str().expect("refused");
    assert!(exit == 1 && why.contains("sound") && Path::new(&table).exists(), "{why}");

    let holder = Holder::of(&folder, 1);
    let file = OpenOptions::new().write(true).open(&table).expect("own file");
    // The number of chunks, in the header.
    file.write_all_at(&[9; 8], 5 * 8).expect("own file");
    let (found, exit) = json(&["doctor", &table, "--json", "--recreate"]);
    assert_eq!((exit, codes(&found)), (1, vec!["header-invalid"]));
    let why = found["not_removed"].as_str().expect("refused");
    assert!(why.contains("live process") && Path::new(&table).exists(), "{why}");
    holder.kill();
    let (text, exit, _) = run(&["doctor", &table]);
    assert!(exit == 1 && text.contains("doctor PATH --recreate`"), "{text}");
    let (found, exit) = json(&["doctor", &table, "--json", "--recreate"]);
    assert_eq!((exit, &found["removed"]), (0, &Value::Bool(true)));
    assert!(!Path::new(&table).exists() && Path::new(&(table.clone() + ".key")).exists());

    std::fs::write(&table, "a letter to somebody").expect("own folder");
    std::fs::set_permissions(&table, Permissions::from_mode(0o600)).expect("own file");
    let (found, exit) = json(&["doctor", &table, "--json", "--recreate"]);
    assert_eq!((exit, codes(&found), &found["removed"]), (1, vec!["not-oncegate"], &false.into()));
    let (text, exit, _) = run(&["doctor", &table, "--recreate", "--force"]);
    assert!(exit == 0 && !Path::new(&table).exists(), "{text}");
    let (found, exit) = json(&["doctor", &table, "--json"]);
    assert_eq!((exit, codes(&found)), (1, vec!["file-missing"]));
    drop(engine(&folder));
    assert_eq!(run(&["doctor", &table]).1, 0, "the next process made a new one");
}

/// Goal: `gc` clears what a killed process left, and a second time nothing. Method: two killed
/// holders.
#[test]
fn gc_clears_what_the_dead_left() {
    let folder = Folder::new();
    [3, 2].map(|keys| Holder::of(&folder, keys)).into_iter().for_each(Holder::kill);
    let table = folder.table();
    assert_eq!(codes(&json(&["doctor", &table, "--json"]).0)[0], "dead-leftovers");
    let (done, exit) = json(&["gc", &table, "--json"]);
    assert_eq!((exit, number(&done, "buried")), (0, 2), "{done}");
    assert!(number(&done, "recovered") >= 5, "{done}");
    assert_eq!(codes(&json(&["doctor", &table, "--json"]).0), [""; 0]);
    let (text, exit, _) = run(&["gc", &table]);
    assert!(exit == 0 && text.contains("entries of ended processes"), "{text}");
}

/// Goal: a file that is not safe to trust is refused until it is allowed. Method: permissions of a
/// group, and a symbolic link, with each command.
#[test]
fn unsafe_files_have_to_be_allowed() {
    let folder = Folder::new();
    drop(engine(&folder));
    let table = folder.table();
    let link = folder.path().join("link").to_str().expect("text").to_owned();
    std::os::unix::fs::symlink(&table, &link).expect("own folder");
    let key = table.clone() + ".key";
    for path in [&table, &key] {
        std::fs::set_permissions(path, Permissions::from_mode(0o660)).expect("own file");
    }
    for command in ["inspect", "doctor", "gc", "top"] {
        let last = if command == "top" { "--once" } else { "--json" };
        let (stdout, exit, stderr) = run(&[command, &table, last]);
        let told = if command == "top" { stderr } else { stdout };
        assert_eq!(exit, 1, "{command}: {told}");
        for part in ["permissions 0660", "--group"] {
            assert!(told.contains(part), "{command}: {told}");
        }
        assert_eq!(run(&[command, &table, last, "--group"]).1, 0, "{command}");
        assert_eq!(run(&[command, &link, last, "--group"]).1, 1, "{command}");
        // The key file is looked for beside the link, as processes do.
        let args = [command, &link, last, "--group", "--follow-symlink"];
        assert_eq!(run(&args).1, 0, "{command}");
    }
    let (found, _) = json(&["doctor", &table, "--json"]);
    assert_eq!(codes(&found), ["file-refused"]);
}

/// Goal: what cannot be read is one line that names the file, and status 1; wrong usage is status
/// 2. Method: no file, a folder, text; numbers beyond their limits.
#[test]
fn failures_of_tables_are_told() {
    let folder = Folder::new();
    let letter = folder.path().join("letter").to_str().expect("text").to_owned();
    std::fs::write(&letter, "a letter to somebody").expect("own folder");
    std::fs::set_permissions(&letter, Permissions::from_mode(0o600)).expect("own file");
    let table = folder.table();
    for path in [table.as_str(), folder.path().to_str().expect("text"), &letter] {
        for command in ["inspect", "top", "gc"] {
            let (stdout, exit, stderr) = run(&[command, path]);
            assert_eq!((exit, stdout.as_str()), (1, ""), "{command} {path}: {stderr}");
            assert!(stderr.starts_with(&format!("oncegate: {path}: ")), "{stderr}");
            assert_eq!(stderr.lines().count(), 1, "{stderr}");
        }
    }
    for args in [
        &["inspect"][..],
        &["inspect", &table, "--top", "-1"],
        &["inspect", &table, "--scope", ""],
        &["top", &table, "--interval", "99"],
        &["top", &table, "--once", "--count", "2"],
        &["doctor", &table, "--force"],
    ] {
        assert_eq!(run(args).1, 2, "{args:?}");
    }
}

/// Goal: each command teaches itself in 100 columns, and says what one has to know of it: when it
/// ends, what stays, what it leaves alone. Method: its help.
#[test]
fn commands_for_tables_teach_themselves() {
    for (command, own) in [
        ("inspect", "--scope tells what a scope uses only if it has a"),
        ("top", "It ends with Ctrl-C, after --count looks"),
        ("doctor", "The key file stays"),
        ("gc", "15 minutes"),
    ] {
        let (help, exit, _) = run(&[command, "--help"]);
        assert_eq!(exit, 0);
        for part in ["Exit status:", "Example", "/dev/shm/charges", "--foreign-owner", own] {
            assert!(help.contains(part), "{command}: {part:?} is missing in:\n{help}");
        }
        for line in help.lines() {
            assert!(line.chars().count() <= 100, "{command}: {line}");
        }
    }
}

/// The environment of a process that is to hold leases: how many, and in which table.
const HOLD: &str = "ONCEGATE_TEST_HOLD";
/// What it says when it does.
const HOLDS: &str = "it holds its leases";
