//! A storm of real processes that share a table: what it reports, and that it ends what it starts.
#![cfg(target_os = "linux")]

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use oncegate::{Engine, FileAccess, Inspection, ProcessState, Reach, RegionFile};

use crate::common::{Folder, number, oncegate, storm};

/// The command's own processes and lines, small enough for a test.
const SMALL: &str = "--input - --processes 3 --clients 6 --copies 4 --work-ms 20 --kill-rate 20";

fn args<'a>(options: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    options.split(' ').chain(more.iter().copied()).collect()
}

fn lines(count: u32) -> String {
    (0..count).map(|i| format!("{{\"key\":\"k{i}\",\"payload\":{{\"sum\":{i}}}}}\n")).collect()
}

fn inspect(table: &str) -> Inspection {
    let file = RegionFile::open(table, FileAccess::owner_only()).expect("a table");
    file.inspect().expect("a table")
}

fn alive(table: &str) -> usize {
    let alive = |state| state == ProcessState::Alive;
    inspect(table).processes.iter().filter(|process| alive(process.state)).count()
}

/// Goal: processes are killed in the middle of everything, and each request has one effect, but for
/// attempts that were killed between effect and completion, which are told apart; nothing is left
/// behind but the table. Method: forty requests four times over; the JSON object, then the table.
#[test]
fn killed_processes_lose_and_repeat_nothing() {
    let folder = Folder::new();
    let table = folder.table();
    let args = args(SMALL, &["--path", &table, "--seed", "3"]);
    let (json, exit, stderr) = storm(&args, lines(40).as_bytes());
    assert_eq!((exit, stderr.as_str()), (0, ""), "{json}");
    assert_eq!((number(&json, "distinct"), number(&json, "deliveries")), (40, 160));
    assert_eq!(number(&json, "answered"), 160, "{json}");
    for none in ["duplicate_effects", "lost_outcomes", "fenced", "mismatched"] {
        assert_eq!(number(&json, none), 0, "{none} in {json}");
    }
    assert!(number(&json, "kills") > 0, "{json}");
    let interrupted = number(&json, "interrupted_attempts");
    assert_eq!(number(&json, "effects"), 40 + interrupted, "{json}");
    let ends = ["failed", "killed_before_effect", "effects"].map(|field| number(&json, field));
    assert_eq!(number(&json, "attempts"), ends.iter().sum::<u64>(), "{json}");
    assert_eq!(json["violations"], serde_json::json!([]));
    let seen = inspect(&table);
    assert_eq!((seen.records.succeeded, seen.records.total(), alive(&table)), (40, 40, 0));
    let key = table.clone() + ".key";
    let left = std::fs::read_dir(Path::new(&table).parent().expect("a folder")).expect("own");
    assert_eq!(left.count(), 2, "the table and {key}");
}

/// Goal: a storm on a table that is there is a storm of its own, and its text says what was
/// checked. Method: the same storm twice on one table, without kills.
#[test]
fn a_second_storm_meets_none_of_the_first() {
    let folder = Folder::new();
    let table = folder.table();
    let options = "storm --input - --processes 2 --copies 2 --work-ms 1 --kill-rate 0";
    for records in [20, 40] {
        let output = oncegate(&args(options, &["--path", &table]), lines(20).as_bytes());
        let text = String::from_utf8(output.stdout).expect("the command prints text");
        assert_eq!(output.status.code(), Some(0), "{text}");
        for part in ["2 processes", "lost outcomes", "Checked, and held:", "duplicates"] {
            assert!(text.contains(part), "{part:?} is missing in:\n{text}");
        }
        for line in text.lines() {
            assert!(line.chars().count() <= 100, "{} columns: {line}", line.chars().count());
        }
        assert_eq!(inspect(&table).records.succeeded, records);
    }
}

/// Goal: without a path nothing is left behind; another payload under a key is refused. Method: a
/// line in two versions, in a table of the storm's own.
#[test]
fn another_payload_is_refused_by_all_processes() {
    let text = lines(10) + "{\"key\":\"k3\",\"payload\":{\"sum\":99}}\n";
    let (json, exit, stderr) = storm(&args(SMALL, &[]), text.as_bytes());
    assert_eq!((exit, stderr.as_str()), (0, ""), "{json}");
    assert_eq!((number(&json, "distinct"), number(&json, "mismatched")), (10, 4), "{json}");
}

/// A storm that does not end by itself for a while.
fn long_storm(table: &str) -> Child {
    let options = "storm --input - --processes 3 --work-ms 3000 --kill-rate 5";
    let mut child = Command::new(env!("CARGO_BIN_EXE_oncegate"))
        .args(args(options, &["--path", table]))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary was built with this test");
    let mut input = child.stdin.take().expect("piped");
    input.write_all(lines(200).as_bytes()).expect("it reads its input");
    drop(input);
    // The captain, and at least two that it has started.
    while !Path::new(table).exists() || alive(table) < 3 {
        assert_eq!(child.try_wait().expect("a child"), None, "it ended by itself");
        std::thread::yield_now();
    }
    child
}

/// The folders of the storm of process `pid`.
fn folders_of(pid: u32) -> Vec<String> {
    let start = format!("oncegate-storm-{pid}-");
    let entries = std::fs::read_dir("/dev/shm").expect("a folder of Linux").flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(&start)).collect()
}

/// Goal: an interrupted storm ends all that it started, and says so. Method: SIGINT to the captain
/// alone, as `kill` sends it; who is alive by the table's locks.
#[test]
fn an_interrupted_storm_ends_its_processes() {
    let folder = Folder::new();
    let table = folder.table();
    let child = long_storm(&table);
    assert_eq!(folders_of(child.id()).len(), 1, "its folder is there while it runs");
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(sent.expect("kill").success());
    let pid = child.id();
    let output = child.wait_with_output().expect("a child");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("the storm was interrupted"), "{stderr}");
    assert_eq!(alive(&table), 0);
    assert_eq!(folders_of(pid), [""; 0]);
}

/// Goal: not even a captain that is killed leaves processes behind. Method: SIGKILL; its workers
/// end when their pipe does.
#[test]
fn a_killed_captain_leaves_nobody_behind() {
    let folder = Folder::new();
    let table = folder.table();
    let mut child = long_storm(&table);
    child.kill().expect("a child");
    child.wait().expect("a child");
    while alive(&table) > 0 {
        std::thread::yield_now();
    }
    // What a killed process had in memory is found by its name.
    for name in folders_of(child.id()) {
        std::fs::remove_dir_all(Path::new("/dev/shm").join(name)).expect("this test's own");
    }
}

/// Goal: what cannot be done is told before any process starts. Method: a table with other options,
/// a folder that is not there, broken lines, options that do not go together.
#[test]
fn failures_of_storms_are_told() {
    let folder = Folder::new();
    let table = folder.table();
    let other = Engine::builder().capacity(2_000).reach(Reach::Host(table.clone().into()));
    drop(other.build().expect("made"));
    let run = |more: &[&str]| {
        let output = oncegate(&args(&format!("storm {SMALL}"), more), b"{\"key\":1}\nbroken\n");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), stderr)
    };
    let (exit, stderr) = run(&["--path", &table]);
    assert!(exit == Some(1) && stderr.contains("capacity"), "{stderr}");
    assert!(stderr.starts_with(&format!("oncegate: table {table}: ")), "{stderr}");
    let (exit, stderr) = run(&["--path", "/does/not/exist"]);
    assert!(exit == Some(1) && stderr.contains("/does/not/exist"), "{stderr}");
    let (exit, stderr) = run(&["--kill-rate", "0"]);
    assert!(exit == Some(2) && stderr.contains("--kill-rate"), "given twice: {stderr}");
    for wrong in [&["--baseline"][..], &["--compare"]] {
        assert_eq!(run(wrong).0, Some(2), "{wrong:?}");
    }
    let output = oncegate(&["storm", "--input", "-", "--kill-rate", "3"], b"");
    assert_eq!(output.status.code(), Some(2), "it needs --processes");
    let (json, exit, stderr) =
        storm(&["--input", "-", "--processes", "2"], b"{\"key\":1}\nbroken\n");
    assert!(exit == 3 && stderr.contains("line 2: skipped"), "{stderr}, {json}");
}
