//! Where there are no files of regions, there is nothing to look at.

use std::path::Path;

use super::{Collected, Finding, Insertions, Inspection, Severity};
use crate::engine::Engine;
use crate::error::{Error, ErrorCode};
use crate::fingerprint::Scope;
use crate::reach::FileAccess;

/// A file that is never there.
#[derive(Debug)]
pub(super) enum Image {}

impl Image {
    pub(super) fn open(_path: &Path, _access: FileAccess) -> Result<Self, Error> {
        Err(unsupported())
    }

    pub(super) fn inspect(&self) -> Result<Inspection, Error> {
        match *self {}
    }

    pub(super) fn check(&self) -> Result<Vec<Finding>, Error> {
        match *self {}
    }

    pub(super) fn insertions(&self) -> Result<Insertions, Error> {
        match *self {}
    }

    pub(super) fn scope_hash(&self, _scope: Scope<'_>) -> Result<u64, Error> {
        match *self {}
    }
}

pub(super) fn diagnose(path: &Path, access: FileAccess) -> Vec<Finding> {
    vec![explain(path, access, &unsupported())]
}

pub(super) fn explain(_path: &Path, _access: FileAccess, error: &Error) -> Finding {
    let advice = "look at it on Linux";
    Finding::new(Severity::Error, "call-refused", error.to_string(), advice)
}

pub(super) fn remove_drafts(_path: &Path) -> Result<u64, Error> {
    Err(unsupported())
}

pub(super) fn caretaker(_path: &Path, _access: FileAccess) -> Result<Engine, Error> {
    Err(unsupported())
}

pub(super) fn collect(_path: &Path, _access: FileAccess) -> Result<Collected, Error> {
    Err(unsupported())
}

pub(super) fn remove(_path: &Path, _access: FileAccess, _foreign: bool) -> Result<(), Error> {
    Err(unsupported())
}

fn unsupported() -> Error {
    Error::of(ErrorCode::Unsupported, "reach")
}
