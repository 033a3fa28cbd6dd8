//! Commands for a table that processes share: look at it, watch it, check it, clear it, and see to
//! its dead letters.

mod args;
mod dlq;
mod doctor;
mod gc;
mod inspect;
mod json;
mod text;
mod tier;
mod time;
mod top;
mod window;

pub(crate) use self::args::{
    DOCTOR_ABOUT, DOCTOR_HELP, GC_ABOUT, GC_HELP, INSPECT_ABOUT, INSPECT_HELP, TOP_ABOUT, TOP_HELP,
};
pub use self::args::{DoctorArgs, GcArgs, InspectArgs, TableArgs, TopArgs};
pub use self::dlq::{
    ContextAs, DlqArgs, DlqCommand, LetterFilterArgs, LetterOnes, LsArgs, Reason, ShowArgs,
};
pub(crate) use self::dlq::{DLQ_ABOUT, DLQ_HELP, dlq};
pub(crate) use self::doctor::doctor;
pub(crate) use self::gc::gc;
pub(crate) use self::inspect::inspect;
pub use self::time::Moment;
pub(crate) use self::top::top;

use std::fmt;
use std::path::PathBuf;

use oncegate::{DeadLetters, Finding, RegionFile};
use serde_json::{Value, json};

/// Why a table could not be looked at or cleared, and what to do.
#[derive(Debug)]
pub(crate) struct TableError {
    path: PathBuf,
    why: Box<Finding>,
    /// Drafts that were removed though there is no table.
    drafts: Option<u64>,
}

impl TableError {
    /// The same as a JSON object, and a line.
    pub(crate) fn to_json(&self) -> String {
        let mut object = json!({
            "path": self.path.to_string_lossy(),
            "error": self::json::finding(&self.why),
        });
        if let (Some(drafts), Some(fields)) = (self.drafts, object.as_object_mut()) {
            fields.insert("drafts".to_owned(), Value::from(drafts));
        }
        object.to_string() + "\n"
    }
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.why.text)?;
        match self.drafts {
            Some(drafts) if drafts > 0 => write!(f, "; drafts that were removed: {drafts}"),
            _ => write!(f, "; {}", self.why.advice),
        }
    }
}

impl std::error::Error for TableError {}

impl TableArgs {
    fn open(&self) -> Result<RegionFile, TableError> {
        RegionFile::open(&self.path, self.access()).map_err(|error| self.failed(error))
    }

    /// Its dead letters; takes part in the table.
    fn letters(&self) -> Result<DeadLetters, TableError> {
        DeadLetters::open(&self.path, self.access()).map_err(|error| self.failed(error))
    }

    fn failed(&self, error: oncegate::Error) -> TableError {
        let why = RegionFile::explain(&self.path, self.access(), &error);
        TableError { path: self.path.clone(), why: Box::new(why), drafts: None }
    }

    fn has_key_file(&self) -> bool {
        let mut path = self.path.clone().into_os_string();
        path.push(".key");
        std::fs::symlink_metadata(path).is_ok()
    }
}
