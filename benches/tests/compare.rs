//! The command, from its arguments to the report.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn compare(arguments: &[&str]) -> Output {
    let command = Command::new(env!("CARGO_BIN_EXE_compare")).args(arguments).output();
    command.expect("the command was built")
}

/// Goal: a run writes its report: JSON that a program can read, Markdown with the budgets, and a
/// plot for each workload. Method: the smallest run of everything, in a folder of its own.
#[test]
fn a_report_is_written() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report");
    let _ = std::fs::remove_dir_all(&folder);
    let run = compare(&["--tiny", "--report", folder.to_str().expect("UTF-8")]);
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));

    let json = std::fs::read(folder.join("report.json")).expect("it was written");
    let json: Value = serde_json::from_slice(&json).expect("valid JSON");
    let hot = &json["workloads"][0];
    assert_eq!(hot["workload"], "hot");
    assert_eq!(hot["ours"]["name"], "oncegate");
    assert!(hot["peers"].as_array().is_some_and(|peers| peers.len() >= 9), "{hot}");
    assert!(hot["ratio"]["median"].as_f64().is_some_and(|ratio| ratio > 0.0), "{hot}");
    assert!(hot["ours"]["latency"]["p99"].is_u64(), "{hot}");
    let named = |name: &str| {
        let all = json["workloads"].as_array().expect("a list").iter();
        all.clone().filter(|one| one["workload"] == name).collect::<Vec<_>>()
    };
    for workload in ["host-new", "host-replays"] {
        let found = named(workload);
        assert_eq!(found.len(), 2, "{workload}: one process and two");
        let peers = found[0]["peers"].as_array().expect("a list");
        assert!(peers.iter().any(|peer| peer["name"] == "lmdb"), "{peers:?}");
        assert!(peers[0]["times"].as_f64().is_some_and(|times| times > 0.0), "{peers:?}");
    }
    let race = named("host-race");
    assert_eq!(race[0]["ours"]["created"], 1.0, "{race:?}");
    assert!(!named("memory-unique").is_empty());
    let memory = json["studies"].as_array().expect("a list").iter();
    let memory = memory.clone().find(|study| study["name"] == "memory").expect("it was made");
    let bytes = memory["rows"][1]["figures"][0].as_f64().expect("measured");
    assert!(bytes > 60.0 && bytes < 1_000.0, "{bytes} bytes for a record");
    let endured = json["studies"].as_array().expect("a list").iter();
    let endured = endured.clone().find(|study| study["name"] == "endurance").expect("it was made");
    let shares = endured["rows"][0]["figures"].as_array().expect("a list");
    let shares: Vec<f64> = shares.iter().filter_map(serde_json::Value::as_f64).collect();
    // In a table so small, the program's own pages count too, more of them where it was built with
    // every feature; but once the first tenth of the operations has touched what it needs, nothing
    // may be added.
    assert!(shares.len() == 10 && (99.0..160.0).contains(&shares[0]), "{shares:?}");
    assert!(shares[1..].iter().all(|share| (share - shares[1]).abs() < 1.0), "{shares:?}");
    let budgets = json["budgets"].as_array().expect("a list");
    assert!(budgets.len() > 25, "{}", budgets.len());

    let page = std::fs::read_to_string(folder.join("report.md")).expect("it was written");
    for heading in [
        "## Budgets",
        "## unique",
        "### 2 threads",
        "## growth",
        "### 2 processes",
        "## Contenders",
    ] {
        assert!(page.contains(heading), "{heading} is missing:\n{page}");
    }
    for plot in
        ["hot", "hits64k", "hits16m", "mix", "unique", "race", "hot-text", "retention", "host-new"]
    {
        let plot = std::fs::read_to_string(folder.join(format!("{plot}.svg"))).expect(plot);
        assert!(plot.starts_with("<svg") && plot.ends_with("</svg>\n") && !plot.contains("NaN"));
    }
}

/// Goal: wrong arguments are refused before anything runs. Method: one that does not exist.
#[test]
fn unknown_arguments_are_refused() {
    let run = compare(&["--fast"]);
    assert_eq!(run.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&run.stderr).contains("--workload"), "{run:?}");
}
