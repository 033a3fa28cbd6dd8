//! Findings: what a check of a region found, and what to do about it.

use std::borrow::Cow;

/// How much a finding matters, the worst last.
///
/// ```
/// use oncegate::Severity;
/// assert!(Severity::Error > Severity::Warning && Severity::Warning > Severity::Info);
/// assert_eq!(Severity::Error.name(), "error");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Something costs room or time, and nothing is wrong.
    Warning,
    /// The table cannot be used, or cannot be trusted.
    Error,
}

impl Severity {
    /// One word for it.
    ///
    /// ```
    /// assert_eq!(oncegate::Severity::Info.name(), "info");
    /// ```
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One thing that [`RegionFile::check`](crate::RegionFile::check) or
/// [`RegionFile::diagnose`](crate::RegionFile::diagnose) found, or why a call failed, by
/// [`RegionFile::explain`](crate::RegionFile::explain).
///
/// | code | severity | what it means |
/// |---|---|---|
/// | `file-missing` | error | there is no table, or not even its folder |
/// | `file-refused` | error | what lies there is not safe to trust, or no file |
/// | `file-unreadable` | error | the operating system does not let it be read |
/// | `table-in-use` | error | processes use the table that was to be removed |
/// | `letter-missing` | error | the dead letter is none any more, or never was |
/// | `call-refused` | error | another error of a call; the text says which |
/// | `not-oncegate` | error | the file does not begin as a table does |
/// | `other-version` | error | another version of the engine made the table |
/// | `header-invalid` | error | its header is damaged, or does not fit its size |
/// | `slots-impossible` | error | slots say what no step of the engine leads to |
/// | `tags-wrong` | error | look-ups cannot find records that are there |
/// | `sets-impossible` | error | sets name slots that do not exist |
/// | `chunks-impossible` | error | chunks of outcomes say what no step of the engine leads to |
/// | `retries-impossible` | error | entries of retried records say what no step leads to |
/// | `journals-lost` | error | retried records, or dead letters, whose journals cannot be read |
/// | `key-file-refused` | error | the key file is not safe to trust, or may not be read |
/// | `key-file-damaged` | error | the key file does not hold what a key file does |
/// | `key-file-wrong` | warning | the key file is another table's |
/// | `key-file-missing` | info | each process has to be given the secret |
/// | `dead-leftovers` | warning | processes that ended hold leases or half-done steps |
/// | `dead-processes` | info | processes ended without giving their entries up |
/// | `registry-full` | warning | one more process would be refused |
/// | `nearly-full` | warning | live records have come close to the capacity |
/// | `retries-nearly-full` | warning | there is hardly room for one more record to be retried |
/// | `dead-letters` | info | records have failed for good, and wait for somebody to look at them |
/// | `other-boot` | info | the machine was started anew since the table was last used |
/// | `torn-chunks` | info | room for outcomes waits for its turn after a death |
/// | `drafts` | warning | files that somebody began and never finished |
///
/// ```no_run
/// # use oncegate::{FileAccess, RegionFile, Severity};
/// # let file = RegionFile::open("/dev/shm/charges", FileAccess::owner_only())?;
/// let healthy = file.check()?.iter().all(|finding| finding.severity < Severity::Error);
/// # let _ = healthy;
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// A short name that stays the same from version to version.
    pub code: &'static str,
    /// What was found, in a sentence.
    pub text: String,
    /// What to do about it, in a sentence.
    pub advice: Cow<'static, str>,
}

/// The codes of what only a new table helps against.
const DAMAGE: [&str; 7] = [
    "header-invalid",
    "slots-impossible",
    "tags-wrong",
    "sets-impossible",
    "chunks-impossible",
    "retries-impossible",
    "journals-lost",
];

impl Finding {
    /// Whether the table itself is damaged, so that nothing but a new one helps: `header-invalid`,
    /// `slots-impossible`, `tags-wrong`, `sets-impossible`, `chunks-impossible`,
    /// `retries-impossible` or `journals-lost`.
    ///
    /// Whatever else is found, and be it an error, the table may be sound: its records are worth
    /// keeping, and something beside it has to change.
    ///
    /// ```no_run
    /// # use oncegate::{FileAccess, RegionFile};
    /// let found = RegionFile::diagnose("/dev/shm/charges", FileAccess::owner_only());
    /// if found.iter().any(|finding| finding.is_damage()) {
    ///     RegionFile::remove("/dev/shm/charges", FileAccess::owner_only())?;
    /// }
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[must_use]
    pub fn is_damage(&self) -> bool {
        DAMAGE.contains(&self.code)
    }

    /// Whether it says that there is no table: `file-missing`.
    ///
    /// ```
    /// # use oncegate::{FileAccess, RegionFile};
    /// # #[cfg(target_os = "linux")]
    /// assert!(RegionFile::diagnose("/does/not/exist", FileAccess::default())[0].is_absence());
    /// ```
    #[must_use]
    pub fn is_absence(&self) -> bool {
        self.code == "file-missing"
    }

    pub(super) fn new(
        severity: Severity,
        code: &'static str,
        text: impl Into<String>,
        advice: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { severity, code, text: text.into(), advice: advice.into() }
    }
}
