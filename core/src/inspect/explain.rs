//! Explanations: why the file of a table could not be used, by what lies at its path.
//!
//! The questions are those of `file::open`, in its order: what it refused is what is told. If
//! somebody changes the file meanwhile, what is told is what the error said.

use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use super::health::{self, GROW};
use super::read::Image;
use super::{Finding, Severity};
use crate::error::{Error, ErrorCode};
use crate::reach::FileAccess;

/// Why a file cannot be opened, and what to do.
pub(super) struct Obstacle {
    code: &'static str,
    pub(super) text: String,
    advice: String,
}

pub(super) fn explain(path: &Path, access: FileAccess, error: &Error) -> Finding {
    let told =
        |code, advice: &'static str| Finding::new(Severity::Error, code, error.to_string(), advice);
    match error.code() {
        ErrorCode::FileRefused | ErrorCode::Os => {
            let Obstacle { code, text, advice } = obstacle(path, &access, error);
            Finding::new(Severity::Error, code, text, advice)
        }
        ErrorCode::RegionInvalid => {
            let header = Image::open(path, access).ok().and_then(|image| {
                let error = image.pages().err()?;
                (error.code() == ErrorCode::RegionInvalid).then(|| health::header(&image, &error))
            });
            header.unwrap_or_else(|| told("call-refused", SEE_TEXT))
        }
        ErrorCode::RegistryFull => told("registry-full", GROW),
        ErrorCode::RegionInUse => told("table-in-use", END_THEM),
        ErrorCode::NotFound => told("letter-missing", LIST_THEM),
        _ => told("call-refused", SEE_TEXT),
    }
}

/// What is in the way of whoever opens the file at `path`, which gave `error`.
pub(super) fn obstacle(path: &Path, access: &FileAccess, error: &Error) -> Obstacle {
    let of = match fs::symlink_metadata(path) {
        Ok(of) if of.is_symlink() && !access.symlink => {
            return refused("a symbolic link", FOLLOW_IT);
        }
        Ok(of) if of.is_symlink() => fs::metadata(path),
        other => other,
    };
    match of {
        Ok(of) => by_kind(&of, access, error),
        Err(lost) if matches!(lost.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            missing(path)
        }
        Err(lost) => unreadable(format!("a folder on its way is closed: {}", lost.kind()), RUN_AS),
    }
}

/// Nothing lies at `path`.
fn missing(path: &Path) -> Obstacle {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let (text, advice) = if folder.is_dir() {
        ("there is no table".to_owned(), MAKES_ONE.to_owned())
    } else {
        let text = format!("there is no table, and no folder {} for one", folder.display());
        (text, "make the folder, or correct the path: no process makes it".to_owned())
    };
    Obstacle { code: "file-missing", text, advice }
}

fn by_kind(of: &Metadata, access: &FileAccess, error: &Error) -> Obstacle {
    if of.is_dir() {
        return refused("a folder", "give the path of the table's file, as its processes have it");
    }
    if !of.is_file() {
        let kind = of.file_type();
        let text = match (kind.is_fifo(), kind.is_socket()) {
            (true, _) => "a pipe, and no file",
            (_, true) => "a socket, and no file",
            _ => "a device, and no file",
        };
        return refused(text, "no table can lie there: is it the right path?");
    }
    let own = rustix::process::geteuid().as_raw();
    let beyond = of.mode() & 0o7777 & !access.mode;
    let is_foreign = of.uid() != own && !access.foreign_owner;
    let for_group = beyond != 0 && beyond & !0o060 == 0;
    let is_open = error.code() == ErrorCode::FileRefused;
    match (is_open, is_foreign) {
        (true, true) => {
            let options = if for_group { "--foreign-owner --group" } else { "--foreign-owner" };
            let text = format!("a file of another user, {}, and this is {own}", of.uid());
            refused(
                text,
                format!("run the command as that user, or allow it by `{options}`; {SET}"),
            )
        }
        (true, false) if beyond != 0 => {
            let text = format!("permissions {:04o}, wider than allowed", of.mode() & 0o7777);
            let advice = "`chmod 600` it, if its user alone runs the processes";
            let more = format!("{advice}; else allow its group by `--group`; {SET}");
            refused(text, if for_group { more } else { format!("{advice}; {OTHERS}") })
        }
        // What it is passed: so it is where it lies.
        (true, false) => refused(error.found().to_owned(), LOCAL),
        (false, _) if of.uid() != own => {
            let text = format!("a file of user {}, and this is {own}: {}", of.uid(), error.found());
            let advice = "run the command as that user, or as root with `--foreign-owner`";
            unreadable(text, advice)
        }
        (false, _) => unreadable(format!("it cannot be opened: {}", error.found()), RUN_AS),
    }
}

fn refused(text: impl Into<String>, advice: impl Into<String>) -> Obstacle {
    let (text, advice) = (text.into(), advice.into());
    Obstacle { code: "file-refused", text, advice }
}

fn unreadable(text: String, advice: &str) -> Obstacle {
    Obstacle { code: "file-unreadable", text, advice: advice.to_owned() }
}

const FOLLOW_IT: &str = "give the path that it leads to, or allow it by `--follow-symlink`; \
                         processes allow it by `FileAccess`";
const LOCAL: &str = "where the file system is this machine's own, allow it by \
                     `--any-file-system`; processes allow it by `FileAccess`. On a shared one each \
                     machine takes the processes of the others for dead: move the table to tmpfs \
                     or a local disk";
const SET: &str = "processes allow it by `FileAccess`";
const OTHERS: &str = "whoever can write to a table can answer its requests";
const MAKES_ONE: &str = "is it the right path? The first process that opens it makes one";
const RUN_AS: &str = "run the command as the user of the processes";
const END_THEM: &str = "end them first; `oncegate inspect` lists them";
const LIST_THEM: &str = "it was redriven or discarded, or there never was one: `oncegate dlq ls` \
                         lists those that there are";
const SEE_TEXT: &str = "see what the text says; nothing was changed";
