//! The ledger: a store downstream that takes an effect once, and refuses stale fencing tokens.
//!
//! A file with two little-endian words for each request: the highest fencing token that was seen,
//! and how often the effect has happened. Whoever changes a record holds a lock on its bytes
//! (`fcntl`), which every language has.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Two words.
pub(crate) const RECORD: u64 = 16;

pub(crate) struct Ledger {
    path: PathBuf,
}

impl Ledger {
    pub(crate) fn create(path: &Path, keys: u64) -> Self {
        let file = File::create_new(path).expect("a ledger");
        file.set_len(keys * RECORD).expect("room for every request");
        Self { path: path.to_owned() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Every effect happened once. Those of `held` were seen by two attempts.
    pub(crate) fn check(&self, held: &[u64]) {
        let bytes = fs::read(&self.path).expect("the ledger is readable");
        let (words, _) = bytes.as_chunks::<8>();
        let (records, _) = words.as_chunks::<2>();
        let wrong: Vec<String> = records
            .iter()
            .map(|record| record.map(u64::from_le_bytes))
            .enumerate()
            .filter(|(_, [fence, effects])| *fence == 0 || *effects != 1)
            .map(|(key, record)| format!("{key}: {record:?}"))
            .collect();
        assert!(wrong.is_empty(), "not one effect each: {wrong:?}");
        let different: BTreeSet<u64> = held.iter().copied().collect();
        assert_eq!(different.len(), held.len(), "held twice: {held:?}");
    }
}
