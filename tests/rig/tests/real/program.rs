//! Programs at the end of two pipes.

use std::process::Command;

use oncegate_rig::{Program, until};

fn shell(script: &str) -> Program {
    Program::start(Command::new("sh").args(["-c", script])).expect("it starts")
}

/// A shell that says each line again.
fn echo() -> Program {
    shell("while read -r line; do echo \"said $line\"; done; exit 7")
}

/// Goal: lines go to a program and come back in their order, and its end has its code. Method: a
/// shell that says them again.
#[test]
fn a_program_answers_line_by_line() {
    let mut program = echo();
    assert_eq!(program.ask("one").expect("an answer"), "said one");
    program.tell("two").expect("it reads");
    program.tell("three").expect("it reads");
    assert_eq!(program.answer().expect("an answer"), "said two");
    assert_eq!(program.answer().expect("an answer"), "said three");
    assert_eq!(program.answer_now(), None);
    assert_eq!(program.end().expect("it ends"), 7);
}

/// Goal: a paused program says nothing until it goes on. Method: its state as the kernel has it;
/// what it was told meanwhile is answered later.
#[test]
fn a_paused_program_answers_when_it_goes_on() {
    let mut program = echo();
    assert_eq!(program.ask("one").expect("an answer"), "said one");
    for round in 0..10 {
        program.pause().expect("it runs");
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", program.pid()));
        assert!(stat.expect("it is there").contains(") T "), "{round}");
        program.tell("two").expect("there is room in a pipe");
        assert_eq!(program.answer_now(), None, "{round}");
        program.resume().expect("it runs");
        assert_eq!(program.answer().expect("an answer"), "said two", "{round}");
    }
}

/// Goal: a program is gone when its value is, running or paused, and one that ended by itself is
/// told from one that says nothing. Method: its number; the error; the signal.
#[test]
fn a_program_ends_with_its_value() {
    let gone = |id: u32| !std::path::Path::new(&format!("/proc/{id}")).exists();
    let mut program = echo();
    let id = program.pid();
    assert_eq!(program.ask("one").expect("an answer"), "said one");
    program.kill();
    assert!(gone(id));
    let program = echo();
    program.pause().expect("it runs");
    let id = program.pid();
    drop(program);
    assert!(gone(id));
    let mut program = shell("kill -9 $$");
    let error = program.answer().expect_err("it is dead").to_string();
    assert!(error.contains("has ended"), "{error}");
    assert_eq!(program.end().expect("it ended"), -9);
}

/// Goal: nothing is left of the programs of a program that is killed. Method: this very program
/// again, which starts one and aborts.
#[test]
fn a_killed_program_leaves_no_programs() {
    const TOLD: &str = "ONCEGATE_RIG_DIE_PROGRAM";
    if std::env::var_os(TOLD).is_some() {
        // It ends by itself neither with its input nor with its output, and holds neither open.
        let mut program = shell("echo here; exec sleep 600 0<&- >&- 2>&-");
        program.answer().expect("it runs");
        println!("\nprogram {}", program.pid());
        std::process::abort();
    }
    let run = Command::new(std::env::current_exe().expect("a program"))
        .args(["--exact", "program::a_killed_program_leaves_no_programs", "--nocapture"])
        .env(TOLD, "1")
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&run.stdout).into_owned();
    let id = said.lines().find_map(|line| line.strip_prefix("program ")).expect("it said");
    // The guard is another process, and so is who waits for orphans: what is only waited for has
    // no memory left.
    let gone = || {
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        (!status.contains("VmSize")).then_some(())
    };
    until("the guard has cleaned up", gone).expect("nothing is left");
}
