//! The measurement itself: each contender does what it is measured for, and a run ends with its
//! tables. Where no server is installed these are skipped, and say so.

use std::process::Command;

use oncegate_bench_tier::peers::{Contender, Node, OUTCOME, batches, singles};
use oncegate_bench_tier::{Store, Way};
use tokio::runtime::Runtime;

/// The server, and the runtime of those that await.
fn site() -> Option<(Store, Runtime)> {
    let store = Store::start().expect("it starts, or is not installed")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Some((store, runtime.expect("a runtime")))
}

fn fresh(node: &Node, runtime: &Runtime, number: u64) {
    match node {
        Node::Calls(open) => open().fresh(number),
        Node::Tasks(node) => runtime.block_on(node.fresh(number)),
    }
}

fn again(node: &Node, runtime: &Runtime, number: u64) -> Vec<u8> {
    let mut outcome = Vec::new();
    match node {
        Node::Calls(open) => open().again(number, &mut outcome),
        Node::Tasks(node) => outcome = runtime.block_on(node.again(number)),
    }
    outcome
}

/// Goal: what is measured happens: a new request runs, and whoever keeps outcomes gives the same
/// one on every host. Method: a request on one host, by each way, and its duplicate on it and on
/// another one. A contender fails by itself where a request is not new, or is lost.
#[test]
fn every_contender_runs_a_request_and_keeps_its_outcome() {
    let Some((store, runtime)) = site() else {
        return eprintln!("SKIPPED: {}", oncegate_rig::MISSING);
    };
    let all: Vec<Contender> = singles().into_iter().chain(batches()).collect();
    assert_eq!(all.len(), if cfg!(oncegate_idempotent) { 11 } else { 10 });
    for (contender, first) in all.iter().zip((0..).step_by(1_000)) {
        for (way, number) in Way::ALL.into_iter().zip([first, first + 500]) {
            let open = || (contender.open)(&store.url(way), &runtime);
            let (one, other) = (open(), open());
            fresh(&one, &runtime, number);
            if contender.promises.outcome {
                for host in [&one, &other, &other] {
                    let left = again(host, &runtime, number);
                    assert_eq!(left, OUTCOME, "{} {}", contender.name, way.name());
                }
            }
        }
    }
}

/// Goal: a run ends with all of its tables, and every contender is in them. Method: the shortest
/// run of the command.
#[test]
fn a_run_prints_its_tables() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench-tier"));
    let run = command.args(["--rounds", "1", "--slice", "1", "--count", "128"]).output();
    let run = run.expect("the command was built");
    let said = String::from_utf8(run.stdout).expect("UTF-8");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    if said.contains("SKIPPED") {
        return eprintln!("{said}");
    }
    let tables = said.lines().filter(|line| line.starts_with("**")).count();
    assert_eq!(tables, 14, "{said}");
    for contender in singles().into_iter().chain(batches()) {
        let rows = said.matches(&format!("\n| {} | ", contender.name)).count();
        assert!(rows >= 3, "{} has {rows} rows: {said}", contender.name);
    }
    assert!(!said.contains("NaN") && !said.contains("inf"), "{said}");
}

/// Goal: a wrong argument is an error that tells the right ones. Method: one.
#[test]
fn wrong_arguments_are_refused() {
    let run = Command::new(env!("CARGO_BIN_EXE_bench-tier")).arg("--fast").output();
    let run = run.expect("the command was built");
    assert_eq!(run.status.code(), Some(2));
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(said.contains("unknown argument --fast") && said.contains("--rounds"), "{said}");
}
