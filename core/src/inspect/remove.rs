//! Removal: what is over in a region, drafts that nobody finished, and a region that nobody uses.

use std::fs::{self, DirEntry, Metadata};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::read::{Image, begins_as_a_table, first_words, no_file};
use super::report::{Collected, ProcessState};
use super::survey;
use crate::clock::TimeSource;
use crate::engine::Engine;
use crate::error::{Error, ErrorCode};
use crate::reach::FileAccess;
use crate::region::file::{self, io_error};
use crate::region::registry::UNSETTLED;
use crate::region::{MAX_PROCESSES, header, keyfile, lock};

/// An engine on the table at `path` that can begin nothing.
pub(super) fn caretaker(path: &Path, access: FileAccess) -> Result<Engine, Error> {
    Engine::caretaker(path, &access).map(|(engine, _)| engine)
}

pub(super) fn collect(path: &Path, access: FileAccess) -> Result<Collected, Error> {
    let empty = left_empty(path, access)?;
    let (engine, had_owner) = Engine::caretaker(path, &access)?;
    let cleared = engine.bury_dead()? as u64 + u64::from(had_owner);
    let swept = engine.sweep(usize::MAX)?;
    let stats = engine.stats()?;
    drop(engine);
    Ok(Collected {
        // Whoever took an empty entry meanwhile is alive, or was not counted as dead.
        buried: cleared.saturating_sub(empty),
        recovered: stats.recovered,
        lapsed: swept.lapsed as u64,
        cleared: swept.cleared as u64,
        drafts: remove_drafts(&file::led_to(path, &access))?,
    })
}

/// How many entries were left in an orderly way, with nothing in them: such as that of the last
/// collection. To clear them is no news.
fn left_empty(path: &Path, access: FileAccess) -> Result<u64, Error> {
    let image = Image::open(path, access)?;
    let pages = image.pages()?;
    let mut empty = 0;
    for process in survey::inspect(&pages)?.processes {
        let entry = pages.geometry().process_at(usize::from(process.index)).start;
        let [unsettled] = pages.words(entry + UNSETTLED)?;
        let holds = process.leases + process.half_done + unsettled;
        empty += u64::from(process.state == ProcessState::Left && holds == 0);
    }
    Ok(empty)
}

pub(super) fn remove_drafts(path: &Path) -> Result<u64, Error> {
    Ok(drafts(path).iter().filter(|draft| fs::remove_file(draft).is_ok()).count() as u64)
}

pub(super) fn remove(path: &Path, access: FileAccess, foreign: bool) -> Result<(), Error> {
    let failed = |error: std::io::Error| io_error("reach", &error);
    // A link leads to the table: the table goes, and not the link.
    let linked = access.symlink.then(|| fs::canonicalize(path)).transpose().map_err(failed)?;
    let path = linked.as_deref().unwrap_or(path);
    let file = file::open(path, &access, true)?.ok_or_else(no_file)?;
    if !foreign && !begins_as_a_table(&first_words(&file)) {
        return Err(header::invalid("another kind of file", "a file that begins as a table does"));
    }
    // Whoever joins meanwhile finds no entry, and says so.
    for index in 1..=MAX_PROCESSES as u64 {
        let free = lock::try_lock(file.as_fd(), index).map_err(|e| file::refused("reach", e))?;
        if !free {
            let found = format!("a live process in entry {index}");
            return Err(Error::new(ErrorCode::RegionInUse, "reach", found, "none"));
        }
    }
    let same = |a: &Metadata, b: &Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
    let (ours, there) = (file.metadata(), fs::symlink_metadata(path));
    match (ours, there) {
        (Ok(ours), Ok(there)) if same(&ours, &there) => fs::remove_file(path).map_err(failed),
        // Somebody else has removed it meanwhile: what is there now is another one's.
        _ => Err(no_file()),
    }
}

/// Drafts of the table at `path` and of its key file that nobody works on any more, at most a
/// thousand of them.
pub(super) fn drafts(path: &Path) -> Vec<PathBuf> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let Ok(entries) = fs::read_dir(folder.unwrap_or(Path::new("."))) else { return Vec::new() };
    let names: Vec<_> = [path, &keyfile::path_of(path)]
        .into_iter()
        .filter_map(|path| Some(path.file_name()?.as_encoded_bytes().to_owned()))
        .collect();
    let is_draft = |entry: &DirEntry| {
        let name = entry.file_name();
        names.iter().any(|of| is_draft_of(name.as_encoded_bytes(), of))
    };
    let is_old = |entry: &DirEntry| entry.metadata().is_ok_and(|of| of.is_file() && is_old(&of));
    let all = entries.flatten().filter(|entry| is_draft(entry) && is_old(entry));
    all.take(MOST_DRAFTS).map(|entry| entry.path()).collect()
}

/// Whether a file of this `name` is a draft of one that is called `of`: `.NAME.<16 digits>.draft`.
fn is_draft_of(name: &[u8], of: &[u8]) -> bool {
    let digits = name
        .strip_prefix(b".")
        .and_then(|name| name.strip_prefix(of))
        .and_then(|name| name.strip_prefix(b"."))
        .and_then(|name| name.strip_suffix(b".draft"));
    digits.is_some_and(|digits| digits.len() == 16 && digits.iter().all(u8::is_ascii_hexdigit))
}

fn is_old(of: &Metadata) -> bool {
    let now_s = crate::clock::unix_ms(TimeSource::Coarse.wall_ms()) / 1_000;
    let changed_s = u64::try_from(of.mtime()).unwrap_or(0);
    changed_s.saturating_add(OLD_AFTER_S) <= now_s
}

/// A draft is worked on for as long as its memory takes to be set aside. In a quarter of an hour a
/// slow disk fills a hundred gigabytes.
const OLD_AFTER_S: u64 = 15 * 60;
const MOST_DRAFTS: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: nothing but a draft of this table is ever removed. Method: names near to one.
    #[test]
    fn drafts_are_told_by_their_names() {
        assert!(is_draft_of(b".table.0123456789abcdef.draft", b"table"));
        for name in [
            &b"table"[..],
            b"table.key",
            b".table.0123456789abcde.draft",
            b".table.0123456789abcdef0.draft",
            b".table.0123456789abcdeg.draft",
            b".table.key.0123456789abcdef.draft",
            b".other.0123456789abcdef.draft",
            b".table.0123456789abcdef.draft.txt",
            b"table.0123456789abcdef.draft",
        ] {
            assert!(!is_draft_of(name, b"table"), "{}", String::from_utf8_lossy(name));
        }
    }
}
