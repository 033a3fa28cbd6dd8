//! What a host writes down.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use oncegate::{Clock as _, PreciseClock};

use crate::line::{Ask, Told};

/// The files of a host in one round.
#[derive(Debug)]
pub(crate) struct Notes {
    folder: PathBuf,
    calls: File,
    next: AtomicU64,
}

impl Notes {
    pub(crate) fn new(folder: &Path, name: &str) -> Result<Self, String> {
        let calls = open(&folder.join(format!("{name}.calls")))?;
        Ok(Self { folder: folder.to_owned(), calls, next: AtomicU64::new(0) })
    }

    /// What distinguishes the keys of this round from those of others.
    pub(crate) fn round(&self) -> &str {
        self.folder.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }

    /// A call is about to be made: its number.
    pub(crate) fn calls(&self, key: &str, ask: Ask) -> u64 {
        // Relaxed: numbers only have to differ.
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        write(&self.calls, &format!("call {number} {} {key} {ask}\n", now()));
        number
    }

    /// It was answered.
    pub(crate) fn told(&self, number: u64, told: &Told) {
        write(&self.calls, &format!("told {number} {} {told}\n", now()));
    }

    /// The handler of `key` takes effect.
    pub(crate) fn effect(&self, key: &str, token: u64) {
        let file = open(&self.folder.join(format!("{key}.effects")));
        write(&file.unwrap_or_else(|error| panic!("{error}")), &format!("{} {token}\n", now()));
    }
}

fn open(path: &Path) -> Result<File, String> {
    let file = File::options().create(true).append(true).open(path);
    file.map_err(|error| format!("{}: {error}", path.display()))
}

/// In one piece: a process that is killed has written a line, or it has not.
fn write(mut file: &File, line: &str) {
    file.write_all(line.as_bytes()).unwrap_or_else(|error| panic!("what happens: {error}"));
}

/// Nanoseconds of the clock that all processes of the machine have in common.
pub(crate) fn now() -> u64 {
    u64::try_from(PreciseClock.now().as_nanos()).expect("the machine was started not long ago")
}
