//! Inspection: what a region's file says, read from outside.
//!
//! Whoever inspects takes no part in the table: no entry of the registry, no mapping, no secret.
//! The file is opened read-only and read piece by piece, so that a file on a read-only mount, one
//! that is torn and one that is being written are all safe to look at. Whatever its bytes are, they
//! give numbers or typed errors. Only who is to change something joins the table, and knows no
//! secret either.
//!
//! | file | what it holds |
//! |---|---|
//! | `report` | what an inspection says, in plain numbers |
//! | `finding` | what a check found, and what to do about it |
//! | `read` | a region's file, read word by word |
//! | `survey` | the numbers, from one pass over the file |
//! | `entries` | the same of records that are retried, and of their journals |
//! | `faults` | what no step of the engine leads to |
//! | `health` | the findings |
//! | `explain` | why a file could not be used |
//! | `remove` | removal of a region that nobody uses |
//! | `letters` | dead letters, for whoever has no secret; takes part in the table |

mod finding;
mod letters;
mod report;

#[cfg(not(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle)))))]
mod absent;
#[cfg(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]
mod entries;
#[cfg(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]
mod explain;
#[cfg(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]
mod faults;
#[cfg(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]
mod health;
#[cfg(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]
mod read;
#[cfg(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]
mod remove;
#[cfg(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]
mod survey;

pub use finding::{Finding, Severity};
pub use letters::DeadLetters;
pub use report::{
    Chunks, Collected, Insertions, Inspection, KeyStatus, Leases, ProcessState, ProcessStatus,
    RetryEntries, ScopeStatus,
};

use std::path::Path;

use crate::error::Error;
use crate::fingerprint::Scope;
use crate::reach::FileAccess;

#[cfg(not(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle)))))]
use absent as imp;
#[cfg(not(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle)))))]
use absent as ends;
#[cfg(not(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle)))))]
use absent::{diagnose, explain};
#[cfg(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]
use explain::explain;
#[cfg(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]
use health::diagnose;
#[cfg(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]
use read as imp;
#[cfg(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]
use remove as ends;

/// The file of a table that processes share by [`Reach::Host`](crate::Reach::Host), looked at from
/// outside.
///
/// It is opened read-only, and whoever looks takes no part in the table: no entry of its registry,
/// no mapping, no secret. Nothing that it tells holds a secret, a key or content. What it tells is
/// put together while others work: numbers that belong together may differ by what happened
/// meanwhile.
///
/// Linux only; elsewhere every call answers [`ErrorCode::Unsupported`](crate::ErrorCode).
///
/// ```no_run
/// use oncegate::{FileAccess, RegionFile};
///
/// let file = RegionFile::open("/dev/shm/charges", FileAccess::owner_only())?;
/// let seen = file.inspect()?;
/// println!("{:.0} % full, {} processes", seen.fill * 100.0, seen.processes.len());
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Debug)]
pub struct RegionFile {
    image: imp::Image,
}

impl RegionFile {
    /// Opens the file at `path`, if it is safe to trust by `access`. What it holds is read later.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::FileRefused`](crate::ErrorCode::FileRefused);
    /// [`ErrorCode::Os`](crate::ErrorCode::Os), also where there is no file;
    /// [`ErrorCode::Unsupported`](crate::ErrorCode::Unsupported).
    ///
    /// ```
    /// use oncegate::{FileAccess, RegionFile};
    /// assert!(RegionFile::open("/does/not/exist", FileAccess::owner_only()).is_err());
    /// ```
    pub fn open(path: impl AsRef<Path>, access: FileAccess) -> Result<Self, Error> {
        imp::Image::open(path.as_ref(), access).map(|image| Self { image })
    }

    /// What the table holds, and who uses it. Reads all of the file once but the outcomes, piece by
    /// piece: of a table of gigabytes, do not look too often.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::RegionInvalid`](crate::ErrorCode::RegionInvalid) where the file is no region of
    /// this version; [`ErrorCode::Os`](crate::ErrorCode::Os).
    ///
    /// ```no_run
    /// # use oncegate::{FileAccess, RegionFile};
    /// let file = RegionFile::open("/dev/shm/charges", FileAccess::owner_only())?;
    /// assert_eq!(file.inspect()?.leases.lapsed, 0);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn inspect(&self) -> Result<Inspection, Error> {
        self.image.inspect()
    }

    /// What is wrong with the table, or worth knowing, the worst first. A table in which nothing
    /// is, gives none. A file that is no region is a finding and no error.
    ///
    /// Reads as much as [`inspect`](Self::inspect), twice. What looks impossible is looked at again
    /// before it is told: a table that others change meanwhile is not taken for a broken one.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::Os`](crate::ErrorCode::Os) where the file cannot be read.
    ///
    /// ```no_run
    /// # use oncegate::{FileAccess, RegionFile, Severity};
    /// let file = RegionFile::open("/dev/shm/charges", FileAccess::owner_only())?;
    /// for finding in file.check()? {
    ///     println!("{}: {} {}", finding.code, finding.text, finding.advice);
    /// }
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn check(&self) -> Result<Vec<Finding>, Error> {
        self.image.check()
    }

    /// As [`check`](Self::check), of the file at `path`; where it cannot be opened or read, that is
    /// a finding, too, and so are drafts beside it.
    ///
    /// ```
    /// use oncegate::{FileAccess, RegionFile};
    /// let found = RegionFile::diagnose("/does/not/exist", FileAccess::owner_only());
    /// # #[cfg(target_os = "linux")]
    /// assert_eq!(found[0].code, "file-missing");
    /// ```
    #[must_use]
    pub fn diagnose(path: impl AsRef<Path>, access: FileAccess) -> Vec<Finding> {
        diagnose(path.as_ref(), access)
    }

    /// What `error`, which a call for the file at `path` gave, means, by what lies there now; and
    /// what to do about it.
    ///
    /// ```
    /// use oncegate::{FileAccess, RegionFile};
    /// let access = FileAccess::owner_only();
    /// let error = RegionFile::open("/", access).unwrap_err();
    /// # #[cfg(target_os = "linux")]
    /// assert_eq!(RegionFile::explain("/", access, &error).text, "a folder");
    /// ```
    #[must_use]
    pub fn explain(path: impl AsRef<Path>, access: FileAccess, error: &Error) -> Finding {
        explain(path.as_ref(), access, error)
    }

    /// How many insertions the table has seen, to be compared with a later count. Reads the sets'
    /// lines alone, a fortieth of the file, and keeps two bytes for each set of 32 slots.
    ///
    /// # Errors
    ///
    /// As [`inspect`](Self::inspect).
    ///
    /// ```no_run
    /// # use oncegate::{FileAccess, RegionFile};
    /// let file = RegionFile::open("/dev/shm/charges", FileAccess::owner_only())?;
    /// let before = file.insertions()?;
    /// println!("{} new records", file.insertions()?.since(&before));
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn insertions(&self) -> Result<Insertions, Error> {
        self.image.insertions()
    }

    /// The hash under which this table lists `scope`, among
    /// [`Inspection::scopes`]. No secret: it only saves the room of the name.
    ///
    /// # Errors
    ///
    /// As [`inspect`](Self::inspect).
    ///
    /// ```no_run
    /// # use oncegate::{FileAccess, RegionFile, Scope};
    /// let file = RegionFile::open("/dev/shm/charges", FileAccess::owner_only())?;
    /// let hash = file.scope_hash(Scope::new("acme")?)?;
    /// let seen = file.inspect()?;
    /// let acme = seen.scopes.iter().find(|scope| scope.hash == hash);
    /// # let _ = acme;
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn scope_hash(&self, scope: Scope<'_>) -> Result<u64, Error> {
        self.image.scope_hash(scope)
    }

    /// Clears what dead processes left and what is over in the table at `path`, and removes drafts
    /// as [`remove_drafts`](Self::remove_drafts) does.
    ///
    /// Takes part in the table as a process of its own while it lasts, without knowing its secret:
    /// it can begin nothing. Deadlines are judged by this machine's monotonic clock, and where a
    /// process died before it wrote one, by an engine's defaults; what lapses gets the longest
    /// default dedup window of those who opened the table. What is retried, and has lapsed, is left
    /// to the processes that know its policy. Costs what
    /// [`Engine::bury_dead`](crate::Engine::bury_dead) and a sweep of the whole table cost.
    ///
    /// # Errors
    ///
    /// As of [`EngineBuilder::build`](crate::EngineBuilder::build) with
    /// [`Reach::Host`](crate::Reach::Host).
    ///
    /// ```no_run
    /// # use oncegate::{FileAccess, RegionFile};
    /// let done = RegionFile::collect("/dev/shm/charges", FileAccess::owner_only())?;
    /// println!("{} dead processes, {} records", done.buried, done.cleared);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn collect(path: impl AsRef<Path>, access: FileAccess) -> Result<Collected, Error> {
        ends::collect(path.as_ref(), access)
    }

    /// Removes drafts beside `path`, whether there is a table or not, and tells how many: files in
    /// which somebody began to make a table or its key file, under a name of their own
    /// (`.NAME.<16 digits>.draft`), and was killed over. One that was changed within the last
    /// quarter of an hour may still be worked on, and stays.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::Unsupported`](crate::ErrorCode::Unsupported). What cannot be removed stays.
    ///
    /// ```
    /// # #[cfg(target_os = "linux")]
    /// assert_eq!(oncegate::RegionFile::remove_drafts("/does/not/exist")?, 0);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn remove_drafts(path: impl AsRef<Path>) -> Result<u64, Error> {
        ends::remove_drafts(path.as_ref())
    }

    /// Removes the table at `path`, if no process uses it; the next one makes a new one. The key
    /// file beside it stays: a new table that is given no secret takes the one that is kept there.
    ///
    /// With the table go its records: whatever ran before may run again. A process that opens it
    /// meanwhile is told to try again.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::RegionInUse`](crate::ErrorCode::RegionInUse);
    /// [`ErrorCode::RegionInvalid`](crate::ErrorCode::RegionInvalid) where the file does not begin
    /// as a table does; and as [`open`](Self::open).
    ///
    /// ```no_run
    /// # use oncegate::{FileAccess, RegionFile};
    /// RegionFile::remove("/dev/shm/charges", FileAccess::owner_only())?;
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn remove(path: impl AsRef<Path>, access: FileAccess) -> Result<(), Error> {
        ends::remove(path.as_ref(), access, false)
    }

    /// As [`remove`](Self::remove), even if the file does not begin as a table does: for one whose
    /// first page was lost.
    ///
    /// # Errors
    ///
    /// As [`remove`](Self::remove).
    ///
    /// ```no_run
    /// # use oncegate::{FileAccess, RegionFile};
    /// RegionFile::remove_whatever_it_is("/dev/shm/charges", FileAccess::owner_only())?;
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn remove_whatever_it_is(path: impl AsRef<Path>, access: FileAccess) -> Result<(), Error> {
        ends::remove(path.as_ref(), access, true)
    }
}
