//! A folder that is gone with its value.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Error, guard};

/// An empty folder of its own, removed with this value, or when the program is gone.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// A new one, in the system's folder for such.
    ///
    /// # Errors
    ///
    /// It cannot be made.
    pub fn new() -> Result<Self, Error> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        // Relaxed: numbers only have to differ.
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        // Short: the path of a socket in it has at most 107 bytes.
        let path = guard::folder()?.join(number.to_string());
        fs::create_dir(&path).map_err(|error| Error::of("a folder", &error))?;
        Ok(Self(path))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
