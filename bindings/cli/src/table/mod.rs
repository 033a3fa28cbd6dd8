//! Commands for a table that processes share: look at it, watch it, check it, clear it.

mod args;
mod doctor;
mod gc;
mod inspect;
mod json;
mod text;
mod top;

pub(crate) use self::args::{
    DOCTOR_ABOUT, DOCTOR_HELP, GC_ABOUT, GC_HELP, INSPECT_ABOUT, INSPECT_HELP, TOP_ABOUT, TOP_HELP,
};
pub use self::args::{DoctorArgs, GcArgs, InspectArgs, TableArgs, TopArgs};
pub(crate) use self::doctor::doctor;
pub(crate) use self::gc::gc;
pub(crate) use self::inspect::inspect;
pub(crate) use self::top::top;

use std::path::PathBuf;

use oncegate::RegionFile;

/// Why a table could not be looked at, with its path.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub(crate) struct TableError {
    path: PathBuf,
    source: oncegate::Error,
}

impl TableArgs {
    fn open(&self) -> Result<RegionFile, TableError> {
        RegionFile::open(&self.path, self.access()).map_err(|source| self.failed(source))
    }

    fn failed(&self, source: oncegate::Error) -> TableError {
        TableError { path: self.path.clone(), source }
    }
}
