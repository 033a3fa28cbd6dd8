//! LMDB without any sync, in a file in memory.
//!
//! A duplicate reads in a transaction of its own, which takes no lock. What it does not find is
//! looked for again inside a write transaction, of which there is one at a time on the host.
#![allow(unsafe_code)]

use heed::types::Bytes;
use heed::{CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions, RoTxn};

use super::{Answer, Asked, HostStore, Site, fence_after};
use crate::record::now_ms;

/// The environment in one process, as long as that lasts: what lies in it is borrowed from it.
pub struct Lmdb {
    environment: &'static Env,
    records: Records,
    lease_ms: u64,
    window_ms: u64,
}

type Records = Database<'static, Bytes, Bytes>;

/// A key that was claimed.
#[derive(Debug, PartialEq, Eq)]
pub struct Claim {
    key: [u8; 16],
    fence: u64,
}

impl Lmdb {
    fn connect(site: &Site) -> heed::Result<(&'static Env, Records)> {
        let folder = site.folder.join("lmdb");
        std::fs::create_dir_all(&folder)?;
        let mut options = EnvOpenOptions::new();
        options.map_size(MAP_BYTES);
        // SAFETY: a crash may leave the file broken; nobody reads it after one.
        unsafe { options.flags(EnvFlags::NO_SYNC | EnvFlags::NO_META_SYNC) };
        // SAFETY: the file lies in a folder of this study alone; nobody shortens it.
        let environment = unsafe { options.open(&folder)? };
        let environment: &Env = Box::leak(Box::new(environment));
        let created = environment.create_databases_and_commit(
            environment.write_txn()?,
            |opener, transaction| {
                let records = opener.create_database(transaction, None)?;
                Ok::<_, heed::Error>(CommitOrAbort::<Records, ()>::Commit(records))
            },
        )?;
        Ok((environment, created.unwrap_commit()))
    }

    fn look(&self, transaction: &RoTxn<'_>, asked: &Asked) -> Option<Record> {
        let found = self.records.get(transaction, &asked.bytes()).expect("a readable file");
        found.map(|bytes| Record::of(bytes.try_into().expect("whole records")))
    }

    fn begin(&self, asked: &Asked, into: &mut [u8; 64]) -> heed::Result<Answer<Claim>> {
        let reading = self.environment.read_txn()?;
        let found = self.look(&reading, asked).and_then(|record| record.meet(asked, into));
        drop(reading);
        if let Some(answer) = found {
            return Ok(answer);
        }
        let mut writing = self.environment.write_txn()?;
        let found = self.look(&writing, asked);
        let last = found.as_ref().map_or(0, |record| record.fence);
        if let Some(answer) = found.and_then(|record| record.meet(asked, into)) {
            return Ok(answer);
        }
        let record = Record {
            done: false,
            digest: asked.digest,
            fence: fence_after(last),
            until_ms: now_ms() + self.lease_ms,
            outcome: [0; 64],
        };
        let (key, fence) = (asked.bytes(), record.fence);
        self.records.put(&mut writing, &key, &record.bytes())?;
        writing.commit()?;
        Ok(Answer::Created(Claim { key, fence }))
    }

    fn complete(&self, claim: &Claim, outcome: &[u8; 64]) -> heed::Result<bool> {
        let mut writing = self.environment.write_txn()?;
        let found = self.records.get(&writing, &claim.key)?;
        let record = found.map(|bytes| Record::of(bytes.try_into().expect("whole records")));
        let Some(mut record) = record.filter(|record| record.fence == claim.fence && !record.done)
        else {
            return Ok(false);
        };
        record.done = true;
        record.until_ms = now_ms() + self.window_ms;
        record.outcome = *outcome;
        self.records.put(&mut writing, &claim.key, &record.bytes())?;
        writing.commit()?;
        Ok(true)
    }
}

impl HostStore for Lmdb {
    type Before = ();
    type Lease<'s> = Claim;
    type Outcome = [u8; 64];
    const NAME: &'static str = "lmdb";
    const NOTE: &'static str = "One file in memory, without any sync; records whose time is over \
        stay until their key comes again.";
    const BATCHES: bool = false;

    fn before(_: &Site) -> Result<(), String> {
        Ok(())
    }

    fn open((): &(), site: &Site) -> Result<Self, String> {
        let (environment, records) = Self::connect(site).map_err(|error| error.to_string())?;
        let (lease_ms, window_ms) = (site.lease.as_millis(), site.window.as_millis());
        Ok(Self { environment, records, lease_ms: lease_ms as u64, window_ms: window_ms as u64 })
    }

    fn outcome(fill: u8) -> [u8; 64] {
        [fill; 64]
    }

    fn bytes(outcome: &[u8; 64]) -> &[u8] {
        outcome
    }

    fn begin(&self, asked: &Asked, into: &mut [u8; 64]) -> Answer<Claim> {
        self.begin(asked, into).expect("there is room")
    }

    fn complete(&self, lease: Claim, outcome: &[u8; 64]) -> bool {
        self.complete(&lease, outcome).expect("there is room")
    }

    fn fence(lease: &Claim) -> u64 {
        lease.fence
    }
}

/// What the file holds for a key.
struct Record {
    done: bool,
    digest: u64,
    fence: u64,
    until_ms: u64,
    outcome: [u8; 64],
}

impl Record {
    /// Answers a duplicate, unless the time is over.
    fn meet(&self, asked: &Asked, into: &mut [u8; 64]) -> Option<Answer<Claim>> {
        if self.until_ms < now_ms() {
            return None;
        }
        if self.digest != asked.digest {
            return Some(Answer::Mismatched);
        }
        if !self.done {
            return Some(Answer::InProgress);
        }
        *into = self.outcome;
        Some(Answer::Replayed)
    }

    fn of(bytes: &[u8; RECORD_BYTES]) -> Self {
        let word =
            |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| bytes[1 + 8 * at + byte]));
        let outcome = std::array::from_fn(|byte| bytes[25 + byte]);
        let (digest, fence, until_ms) = (word(0), word(1), word(2));
        Self { done: bytes[0] == 1, digest, fence, until_ms, outcome }
    }

    fn bytes(&self) -> [u8; RECORD_BYTES] {
        let mut bytes = [0; RECORD_BYTES];
        bytes[0] = u8::from(self.done);
        for (at, word) in [self.digest, self.fence, self.until_ms].into_iter().enumerate() {
            bytes[1 + 8 * at..9 + 8 * at].copy_from_slice(&word.to_le_bytes());
        }
        bytes[25..].copy_from_slice(&self.outcome);
        bytes
    }
}

const RECORD_BYTES: usize = 89;
/// More than any run fills; the file has only the pages that were written.
const MAP_BYTES: usize = 4 << 30;
