//! What `top` draws in a window, and that it outlives the table that it watches.
#![cfg(target_os = "linux")]

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};

use oncegate::{Engine, Quota, Scope};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::common::Folder;
use crate::shared_tables::engine;

/// What `top --count 1` draws in a window of this size.
fn drawn(table: &str, rows: u16, columns: u16) -> Vec<String> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&master).and_then(|()| unlockpt(&master)).expect("a terminal");
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let name = ptsname(&master, Vec::new()).expect("a terminal");
    let path = Path::new(std::ffi::OsStr::from_bytes(name.as_bytes()));
    let terminal = File::options().read(true).write(true).open(path).expect("a terminal");
    tcsetwinsize(&terminal, size).expect("a terminal");
    // The command is gone with the end of this statement, and its side of the terminal with it.
    let mut child = Command::new(env!("CARGO_BIN_EXE_oncegate"))
        .args(["top", table, "--count", "1"])
        .stdin(Stdio::null())
        .stdout(terminal)
        .spawn()
        .expect("the binary was built with this test");
    let mut bytes = Vec::new();
    // When nobody has the other side any more, reading is an error.
    let _ = File::from(master).read_to_end(&mut bytes);
    assert_eq!(child.wait().expect("a child").code(), Some(0));
    let text = String::from_utf8(bytes).expect("text");
    let view = text.strip_prefix("\x1b[H\x1b[2J").unwrap_or_else(|| panic!("{text:?}"));
    view.lines().map(str::to_owned).collect()
}

/// Goal: a view fits its window, and says what it leaves out. Method: more processes and scopes
/// than there is room for, in a usual window, a large one and a tiny one.
#[test]
fn a_view_fits_its_window() {
    let folder = Folder::new();
    let crew: Vec<Engine> = (0..14).map(|_| engine(&folder)).collect();
    for number in 0..8 {
        let name = format!("scope-{number}");
        let quota = Quota::unlimited().max_live(1_000_000_000);
        crew[0].set_quota(Scope::new(&name).expect("a scope"), quota).expect("a quota");
    }
    for (rows, columns, told) in [(24, 80, "… and "), (60, 120, "… and 3 more"), (5, 30, "fill")]
    {
        let view = drawn(&folder.table(), rows, columns);
        assert!(view.len() < usize::from(rows), "{} lines: {view:#?}", view.len());
        for line in &view {
            assert!(line.chars().count() <= usize::from(columns), "{line}");
        }
        assert!(view.iter().any(|line| line.contains(told)), "{view:#?}");
        let is_first = columns < 60 || view[0].contains(&folder.table());
        assert!(is_first && view[1].starts_with("new records"), "{view:#?}");
        let processes = view.iter().filter(|line| line.contains(" alive  ")).count();
        assert_eq!(processes == 14, rows == 60, "{view:#?}");
    }
}

/// Goal: who makes a table anew can watch it all the while; what was never there is an error.
/// Method: the table is removed while it is watched, missed, and made again.
#[test]
fn a_table_that_is_made_anew_is_watched_on() {
    let folder = Folder::new();
    drop(engine(&folder));
    let mut child = Command::new(env!("CARGO_BIN_EXE_oncegate"))
        .args(["top", &folder.table(), "--interval", "100"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary was built with this test");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut until = |part: &str| {
        let found = lines.by_ref().map_while(Result::ok).find(|line| line.contains(part));
        assert!(found.is_some(), "it ended before it told of {part}");
    };
    until("new records");
    std::fs::remove_file(folder.table()).expect("own file");
    until("there is no table any more");
    drop(engine(&folder));
    until("new records");
    drop(lines);
    assert_eq!(child.wait().expect("a child").code(), Some(0), "its reader has gone");
}
