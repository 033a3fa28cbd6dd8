//! A storm of hosts that share a Redis server: real ones, and both are killed.
#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use oncegate_rig::{present, until};
use serde_json::Value;

use crate::common::{number, oncegate, storm, webhooks};

const ARGS: &str = "--hosts 2 --clients 16 --copies 3 --work-ms 20 --fail-rate 0.05";

fn args<'a>(more: &[&'a str]) -> Vec<&'a str> {
    ARGS.split(' ').chain(more.iter().copied()).collect()
}

fn lines(count: u32) -> String {
    (0..count).map(|i| format!("{{\"key\":\"k{i}\",\"payload\":{{\"sum\":{i}}}}}\n")).collect()
}

/// Goal: a host and the store are killed in the middle of the work, and each webhook has one effect
/// all the same; by hand many have several. What a kill cut off is told apart. Method: the demo's
/// webhooks; the JSON object, whose fields are those that the help describes.
#[test]
fn killed_hosts_and_stores_lose_and_repeat_nothing() {
    if !present("a storm of hosts") {
        return;
    }
    let file = webhooks();
    let input = ["--input", file.to_str().expect("text"), "--seed", "7"];
    let (json, exit, stderr) = storm(&args(&input), b"");
    assert_eq!((exit, stderr.as_str()), (0, ""), "{json}");
    let (engine, by_hand) = (&json["engine"], &json["by_hand"]);
    for run in [engine, by_hand] {
        assert_eq!((number(run, "distinct"), number(run, "deliveries")), (255, 765));
        assert_eq!((number(run, "host_kills"), number(run, "store_restarts")), (1, 1), "{json}");
        assert_eq!((number(run, "answered"), number(run, "missing_effects")), (765, 0), "{json}");
    }
    assert_eq!((number(engine, "effects"), number(engine, "duplicate_effects")), (255, 0));
    assert_eq!(number(engine, "outcomes_elsewhere"), 255, "{json}");
    assert_eq!(engine["violations"], serde_json::json!([]));
    // Whoever holds the lock runs: each delivery, but for those that a kill cut off.
    assert!(number(by_hand, "duplicate_effects") >= 500, "{json}");
    let of = |value: &Value| value.as_object().expect("an object").keys().cloned().collect();
    let mut there: BTreeSet<String> = of(&json);
    there.extend::<BTreeSet<String>>(of(engine));
    assert_eq!(there, described(), "left what there is, right what is described");
}

/// The names that the help gives to fields of a storm of hosts.
fn described() -> BTreeSet<String> {
    let help = oncegate(&["storm", "--help"], b"");
    let help = String::from_utf8(help.stdout).expect("text");
    let part = help.split("With --hosts --json,").nth(1).expect("a part of its own");
    let part = part.split("\n\n").next().expect("a part");
    let lines = part.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = lines.map(|line| line.trim().split("  ").next().expect("names"));
    names.flat_map(|names| names.split(", ")).map(str::to_owned).collect()
}

/// Goal: people get a table in a terminal's width; another payload under a key is refused by a host
/// that has run none of it; broken lines are told. Method: the text of a small storm.
#[test]
fn people_can_read_it() {
    if !present("a storm of hosts") {
        return;
    }
    let input = lines(30) + "{\"key\":\"k3\",\"payload\":{\"sum\":99}}\nbroken\n";
    let output = oncegate(&[&["storm", "--input", "-"], &*args(&[])].concat(), input.as_bytes());
    let [text, stderr] =
        [output.stdout, output.stderr].map(|b| String::from_utf8(b).expect("text"));
    assert_eq!(output.status.code(), Some(3), "{stderr}{text}");
    assert!(stderr.contains("line 32: skipped"), "{stderr}");
    for part in ["2 hosts", "SET NX PX by hand", "oncegate: 0 side effects too many", "30 of 30"] {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
    let refused = text.lines().find(|line| line.starts_with("refused")).expect("a row");
    assert_eq!(refused.split_whitespace().last(), Some("3"), "one in each copy: {refused}");
    for line in text.lines() {
        assert!(line.chars().count() <= 100, "{} columns: {line}", line.chars().count());
    }
}

/// The folder of the storm of process `pid`, while there is one.
fn folder_of(pid: u32) -> Option<PathBuf> {
    let start = format!("oncegate-storm-{pid}-");
    let mut entries = fs::read_dir("/dev/shm").expect("a folder of Linux").flatten();
    let is_it = |name: &str| name.starts_with(&start);
    entries.find(|entry| is_it(&entry.file_name().to_string_lossy())).map(|entry| entry.path())
}

/// Processes that have `folder` in their arguments: hosts, and the shell that ends the server.
fn alive_in(folder: &Path) -> usize {
    let of_folder = |entry: &fs::DirEntry| {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(folder.to_str().expect("text"))
    };
    fs::read_dir("/proc").expect("a system").flatten().filter(of_folder).count()
}

/// Whether the server of the storm's first run answers.
fn serves(folder: &Path) -> bool {
    UnixStream::connect(folder.join("by-hand/redis.sock")).is_ok()
}

/// A storm that is killed whatever becomes of its test.
struct Storm(Child);

impl Drop for Storm {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Goal: a storm that is killed leaves neither hosts nor a server behind. Method: SIGKILL while it
/// works; who has its folder among his arguments, and whether the server's socket is answered.
#[test]
fn a_killed_storm_leaves_nobody_behind() {
    if !present("a storm of hosts") {
        return;
    }
    let command = Command::new(env!("CARGO_BIN_EXE_oncegate"))
        .args(["storm", "--input"])
        .arg(webhooks())
        .args(["--hosts", "2", "--work-ms", "5000"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let storm = Storm(command.expect("the binary was built with this test"));
    let pid = storm.0.id();
    let at_work = || folder_of(pid).filter(|folder| alive_in(folder) == 3 && serves(folder));
    let folder = until("hosts and a server", at_work).expect("they start");
    drop(storm);
    let none = || (alive_in(&folder) == 0 && !serves(&folder)).then_some(());
    until("all are gone", none).expect("they end");
    // What a killed process had in memory is found by its name.
    fs::remove_dir_all(folder).expect("this test's own");
}

/// Goal: what does not go together, and a server that is not installed, are told before anything
/// starts. Method: options; a search path without programs.
#[test]
fn failures_are_told() {
    for wrong in [&["--baseline"][..], &["--compare"], &["--processes", "2"], &["--kill-rate", "1"]]
    {
        let output = oncegate(&[&["storm", "--input", "-"], &*args(wrong)].concat(), b"");
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
    }
    let output = Command::new(env!("CARGO_BIN_EXE_oncegate"))
        .args(["storm", "--input"])
        .arg(webhooks())
        .args(["--hosts", "2"])
        .env("PATH", "/nowhere")
        .output()
        .expect("the binary was built with this test");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("redis-server: not found"), "{stderr}");
}
