//! The command teaches itself: help, completions, and what people see.

use crate::common::oncegate;

fn stdout(args: &[&str], stdin: &[u8]) -> String {
    let output = oncegate(args, stdin);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("the command prints text")
}

/// Goal: the help says where requests come from, what is counted and how it exits, in a terminal
/// of 100 columns. Method: look for each.
#[test]
fn help_teaches() {
    let help = stdout(&["storm", "--help"], b"");
    for part in [
        "scope",
        "operation",
        "key",
        "payload",
        "delivery_id",
        "--baseline",
        "--compare",
        "accepted_effects",
        "p999_ns",
        "deliveries = completed + replayed + mismatched",
        "calls      = executed + ",
        "fenced_starts",
        "deferred",
        "Examples:",
        "Exit status:",
        "  3  ",
    ] {
        assert!(help.contains(part), "{part:?} is missing in:\n{help}");
    }
    let general = stdout(&["--help"], b"");
    assert!(general.contains("storm") && general.contains("bench"), "{general}");
    assert!(general.contains("Exit status:"), "{general}");
    for line in help.lines().chain(general.lines()) {
        assert!(line.chars().count() <= 100, "{} columns: {line}", line.chars().count());
    }
}

/// Goal: every shell gets a script that knows the commands, and none that is not for people.
/// Method: each shell that is offered.
#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = stdout(&["completions", shell], b"");
        assert!(script.contains("storm") && script.contains("fail-rate"), "{shell}");
        assert!(script.contains("redrive") && script.contains("discard"), "{shell}");
        assert!(script.contains("recreate") && !script.contains("storm-worker"), "{shell}");
    }
}

/// Goal: what people see fits a terminal and has every figure side by side, and nothing but a
/// broken promise or broken input goes to standard error. Method: a small comparison.
#[test]
fn a_comparison_is_shown_side_by_side() {
    let lines: String = (0..30).map(|i| format!("{{\"key\":\"k{i}\"}}\n")).collect();
    let output = oncegate(&["storm", "--input", "-", "--compare"], lines.as_bytes());
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("the command prints text");
    for part in [
        "before: no coordination",
        "after: oncegate",
        "deliveries",
        "distinct requests",
        "side effects",
        "duplicates",
        "replayed",
        "in progress",
        "mismatched",
        "fenced writes",
        "median",
        "99.9th",
        "hashes a JSON payload (median 13 bytes",
        "16 threads",
        "per second",
        "over time",
        "one accepted side effect each",
    ] {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
    for line in text.lines() {
        assert!(line.chars().count() <= 100, "{} columns: {line}", line.chars().count());
    }
}
