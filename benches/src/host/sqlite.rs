//! SQLite with a write-ahead log, in a file in memory.
//!
//! A duplicate reads, and takes no lock. What it does not find is looked for again inside a
//! transaction that holds the write lock, and inserted there. Who has to wait for that lock gives
//! way to others and asks again, which is faster than the sleeps that are SQLite's own.

use std::path::Path;

use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use super::{Answer, Asked, HostStore, Site, fence_after};
use crate::record::now_ms;

/// One connection of one process: `NORMAL` syncs the log now and then, otherwise nothing does.
pub struct Sqlite<const NORMAL: bool> {
    connection: Connection,
    lease_ms: u64,
    window_ms: u64,
}

/// A key that was claimed.
#[derive(Debug, PartialEq, Eq)]
pub struct Claim {
    key: [u8; 16],
    fence: u64,
}

/// What a table says of a key.
enum Found {
    /// Nothing, or a record whose time is over. The last fencing token, or zero.
    Free(u64),
    /// An answer for a duplicate.
    Taken(Answer<Claim>),
}

impl<const NORMAL: bool> Sqlite<NORMAL> {
    fn connect(site: &Site) -> rusqlite::Result<Connection> {
        let name = if NORMAL { "normal.sqlite" } else { "off.sqlite" };
        let connection = Connection::open(Path::new(&site.folder).join(name))?;
        connection.busy_handler(Some(|_| {
            std::thread::yield_now();
            true
        }))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        let level = if NORMAL { "NORMAL" } else { "OFF" };
        connection.pragma_update(None, "synchronous", level)?;
        Ok(connection)
    }

    fn statement(&self, sql: &str) -> CachedStatement<'_> {
        self.connection.prepare_cached(sql).expect("the table is there")
    }

    fn run(&self, sql: &str) {
        self.statement(sql).execute([]).expect("it waits for the lock");
    }

    fn look(&self, asked: &Asked, into: &mut [u8; 64]) -> Found {
        let row = |row: &rusqlite::Row<'_>| {
            let (done, until): (bool, i64) = (row.get(0)?, row.get(3)?);
            if until.cast_unsigned() < now_ms() {
                return Ok(Found::Free(row.get::<_, i64>(2)?.cast_unsigned()));
            }
            if row.get::<_, i64>(1)?.cast_unsigned() != asked.digest {
                return Ok(Found::Taken(Answer::Mismatched));
            }
            if !done {
                return Ok(Found::Taken(Answer::InProgress));
            }
            into.copy_from_slice(row.get_ref(4)?.as_blob()?);
            Ok(Found::Taken(Answer::Replayed))
        };
        let found = self.statement(LOOK).query_row([&asked.bytes()[..]], row).optional();
        found.expect("a readable table").unwrap_or(Found::Free(0))
    }
}

impl<const NORMAL: bool> HostStore for Sqlite<NORMAL> {
    type Before = ();
    type Lease<'s> = Claim;
    type Outcome = [u8; 64];
    const NAME: &'static str =
        if NORMAL { "sqlite, synchronous normal" } else { "sqlite, synchronous off" };
    const NOTE: &'static str = "One table in a file in memory, with a write-ahead log; records \
        whose time is over stay until their key comes again.";
    const BATCHES: bool = false;

    fn before(site: &Site) -> Result<(), String> {
        let create = || Self::connect(site)?.execute_batch(TABLE);
        create().map_err(|error| error.to_string())
    }

    fn open((): &(), site: &Site) -> Result<Self, String> {
        Ok(Self {
            connection: Self::connect(site).map_err(|error| error.to_string())?,
            lease_ms: site.lease.as_millis() as u64,
            window_ms: site.window.as_millis() as u64,
        })
    }

    fn outcome(fill: u8) -> [u8; 64] {
        [fill; 64]
    }

    fn bytes(outcome: &[u8; 64]) -> &[u8] {
        outcome
    }

    fn begin(&self, asked: &Asked, into: &mut [u8; 64]) -> Answer<Claim> {
        if let Found::Taken(answer) = self.look(asked, into) {
            return answer;
        }
        self.run("BEGIN IMMEDIATE");
        let answer = match self.look(asked, into) {
            Found::Taken(answer) => answer,
            Found::Free(last) => {
                let (key, fence) = (asked.bytes(), fence_after(last));
                let (digest, until) = (asked.digest.cast_signed(), now_ms() + self.lease_ms);
                let row = params![&key[..], digest, fence.cast_signed(), until.cast_signed()];
                self.statement(CLAIM).execute(row).expect("the lock is held");
                Answer::Created(Claim { key, fence })
            }
        };
        self.run("COMMIT");
        answer
    }

    fn complete(&self, lease: Claim, outcome: &[u8; 64]) -> bool {
        let (until, fence) = (now_ms() + self.window_ms, lease.fence.cast_signed());
        let row = params![&lease.key[..], fence, until.cast_signed(), &outcome[..]];
        self.statement(COMPLETE).execute(row).expect("it waits for the lock") == 1
    }

    fn fence(lease: &Claim) -> u64 {
        lease.fence
    }
}

const TABLE: &str = "CREATE TABLE IF NOT EXISTS records (key BLOB PRIMARY KEY, \
    done INTEGER NOT NULL, digest INTEGER NOT NULL, fence INTEGER NOT NULL, \
    until INTEGER NOT NULL, outcome BLOB) WITHOUT ROWID";
const LOOK: &str = "SELECT done, digest, fence, until, outcome FROM records WHERE key = ?1";
const CLAIM: &str = "INSERT OR REPLACE INTO records VALUES (?1, 0, ?2, ?3, ?4, NULL)";
/// One statement is a transaction by itself.
const COMPLETE: &str = "UPDATE records SET done = 1, until = ?3, outcome = ?4 \
    WHERE key = ?1 AND fence = ?2 AND done = 0";
