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

/// One thing that [`RegionFile::check`](crate::RegionFile::check) found.
///
/// | code | severity | what it means |
/// |---|---|---|
/// | `not-oncegate` | error | the file does not begin as a table does |
/// | `header-invalid` | error | its header is damaged, of another version, or does not fit its size |
/// | `slots-impossible` | error | slots say what no step of the engine leads to |
/// | `tags-wrong` | error | look-ups cannot find records that are there |
/// | `sets-impossible` | error | sets name slots that do not exist |
/// | `chunks-impossible` | error | chunks of outcomes say what no step of the engine leads to |
/// | `key-file-refused` | error | the key file is not safe to trust |
/// | `key-file-damaged` | error | the key file cannot be read |
/// | `key-file-wrong` | error | the key file is another table's |
/// | `key-file-missing` | info | each process has to be given the secret |
/// | `dead-leftovers` | warning | processes that ended hold leases or half-done steps |
/// | `dead-processes` | info | processes ended without giving their entries up |
/// | `registry-full` | warning | one more process would be refused |
/// | `nearly-full` | warning | live records have come close to the capacity |
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

impl Finding {
    #[cfg_attr(
        not(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle)))),
        allow(dead_code)
    )]
    pub(super) fn new(
        severity: Severity,
        code: &'static str,
        text: impl Into<String>,
        advice: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { severity, code, text: text.into(), advice: advice.into() }
    }
}
