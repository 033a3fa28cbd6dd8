//! Site: where the tables of a study lie, and how large they are.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::pin;
use crate::record::{LEASE, WINDOW};

/// What every store is opened with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Where files lie: in memory.
    pub folder: PathBuf,
    /// Records that the engine has room for.
    pub capacity: usize,
    /// How long a lease lasts.
    pub lease: Duration,
    /// How long an outcome is kept.
    pub window: Duration,
    /// The loopback port of the Redis server and its process, if one runs; its socket lies in the
    /// folder.
    pub redis: Option<(u16, i32)>,
    /// The processors that this process may use.
    pub processors: Vec<usize>,
}

impl Site {
    /// In that folder, with room for so many records.
    #[must_use]
    pub fn new(folder: &Folder, capacity: usize) -> Self {
        Self::of(folder.path().to_owned(), capacity, None)
    }

    fn of(folder: PathBuf, capacity: usize, redis: Option<(u16, i32)>) -> Self {
        let (lease, window, processors) = (LEASE, WINDOW, pin::processors());
        Self { folder, capacity, lease, window, redis, processors }
    }

    /// As words of a command line.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let server = self.redis.map_or("-".to_owned(), |(port, pid)| format!("{port}:{pid}"));
        vec![self.folder.display().to_string(), self.capacity.to_string(), server]
    }

    /// From words of a command line.
    #[must_use]
    pub fn parse(words: &[String]) -> Option<Self> {
        let [folder, capacity, server] = words else { return None };
        let redis = match server.split_once(':') {
            Some((port, pid)) => Some((port.parse().ok()?, pid.parse().ok()?)),
            None => None,
        };
        Some(Self::of(PathBuf::from(folder), capacity.parse().ok()?, redis))
    }

    /// The socket of the Redis server.
    #[must_use]
    pub fn redis_socket(&self) -> PathBuf {
        self.folder.join("redis.sock")
    }
}

/// A folder in memory, gone with this value.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// A new one.
    ///
    /// # Errors
    ///
    /// It could not be made.
    pub fn new() -> Result<Self, String> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        // Relaxed: numbers only have to differ.
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("oncegate-bench-{}-{number}", std::process::id());
        let base = Path::new("/dev/shm");
        let base = if base.is_dir() { base.to_owned() } else { std::env::temp_dir() };
        let path = base.join(name);
        std::fs::create_dir(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self(path))
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
