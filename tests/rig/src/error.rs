//! Why something of the rig does not work.

use std::fmt;

/// What went wrong, in words: a test prints it and fails.
pub struct Error(String);

impl Error {
    /// An error that says `words`.
    pub fn new(words: impl Into<String>) -> Self {
        Self(words.into())
    }

    /// An error of doing `what`.
    pub(crate) fn of(what: &str, why: &dyn fmt::Display) -> Self {
        Self(format!("{what}: {why}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `expect` prints this: the words, and no structure around them.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}
