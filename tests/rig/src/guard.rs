//! Ends what a program leaves when it is killed.
//!
//! Values end their processes when they go, also in a panic. A program that is killed, aborts or
//! keeps a server in a `static` runs no such code. So a small shell holds the other end of a pipe:
//! it is told what starts and ends, and when the pipe breaks it kills the rest and removes the
//! folder.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::{env, fs};

use crate::Error;

/// What the shell runs. Signals that ask it to end must not.
const SCRIPT: &str = r#"
trap '' INT TERM HUP QUIT
living=
while read -r verb id; do
  rest=
  for known in $living; do
    [ "$known" = "$id" ] || rest="$rest $known"
  done
  living=$rest
  [ "$verb" != started ] || living="$living $id"
done
for id in $living; do
  kill -9 "$id"
done
rm -rf -- "$1"
"#;

struct Guard {
    shell: Mutex<Child>,
    folder: PathBuf,
}

/// The folder of this program, in which everything of the rig lies.
pub(crate) fn folder() -> Result<&'static Path, Error> {
    Ok(&guard()?.folder)
}

/// A process started; it is killed when this program has gone.
pub(crate) fn started(id: u32) -> Result<(), Error> {
    tell(&format!("started {id}"))
}

/// A process is about to be waited for; its number may soon be another's.
pub(crate) fn ended(id: u32) {
    // Nothing can be done here, and what it would save from cannot be: the process has ended.
    let _ = tell(&format!("ended {id}"));
}

fn tell(line: &str) -> Result<(), Error> {
    let mut shell = guard()?.shell.lock().unwrap_or_else(PoisonError::into_inner);
    let pipe = shell.stdin.as_mut().ok_or_else(|| Error::new("no pipe to the guard"))?;
    writeln!(pipe, "{line}").map_err(|error| Error::of("the guard", &error))
}

fn guard() -> Result<&'static Guard, Error> {
    static GUARD: OnceLock<Result<Guard, String>> = OnceLock::new();
    GUARD
        .get_or_init(|| start().map_err(|error| error.to_string()))
        .as_ref()
        .map_err(|error| Error::new(error.clone()))
}

fn start() -> Result<Guard, Error> {
    let folder = create().map_err(|error| Error::of("a folder for the rig", &error))?;
    let shell = Command::new("sh")
        .args(["-c", SCRIPT, "guard"])
        .arg(&folder)
        .current_dir("/")
        // What ends a whole group of processes, as a terminal does, must not end it first.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| Error::of("sh", &error))?;
    Ok(Guard { shell: Mutex::new(shell), folder })
}

/// A process that had this number may have left a folder behind.
fn create() -> Result<PathBuf, std::io::Error> {
    let mut number = 0;
    loop {
        let path = env::temp_dir().join(format!("oncegate-rig-{}-{number}", process::id()));
        match fs::create_dir(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
            done => return done.map(|()| path),
        }
    }
}
