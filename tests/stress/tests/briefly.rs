//! The stress program runs, wherever the tests do.

use std::process::Command;

/// Goal: what the sanitizers run holds by itself: one live attempt at a time, rising tokens, whole
/// replays, refused children. Method: the program with few steps; its ledger ends it at the first
/// broken promise.
#[test]
#[cfg_attr(miri, ignore = "Miri starts no processes; it runs the program itself")]
fn a_short_run_keeps_its_ledger() {
    let run = Command::new(env!("CARGO_BIN_EXE_oncegate-stress"))
        .args(["--steps", "2000", "--seed", "7"])
        .output()
        .expect("the program starts");
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{said}");
    let checked = String::from_utf8_lossy(&run.stdout);
    assert!(checked.contains("attempts ran"), "{checked}");
}
