//! The ledger: effects and answers of a storm of processes, in a file to which all append.
//!
//! It stands for what a service does to the world, so it lies outside the engine and asks nothing:
//! whoever writes an effect has made it. A record is 64 bytes of text and is written by one call,
//! so that it never crosses a page: whenever a process is killed, its last record is there as a
//! whole or not at all.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{FlockOperation, flock};

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An attempt was admitted.
    Started,
    /// It made its side effect.
    Effect,
    /// Its outcome was stored.
    Completed,
    /// It is about to fail, so that another one may start.
    Failed,
    /// Its completion was refused: another attempt had taken the request over.
    Fenced,
    /// A delivery got its final answer, from the outcome of the attempt with this token.
    Answered,
    /// The captain is about to kill the process.
    Killed,
    /// It found the effect of an attempt before it, and completes with that one.
    Adopted,
}

/// What the ledger says to an effect that would be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is made.
    Made,
    /// It is not: an attempt with a higher token has begun.
    Stale,
    /// It is not: an attempt before it has made its effect, with this token.
    Before(u64),
}

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) kind: Kind,
    pub(crate) request: u32,
    /// The number of the delivery that it happened for.
    pub(crate) delivery: u32,
    /// Which process, counted over all that were started.
    pub(crate) instance: u32,
    pub(crate) attempt: u32,
    /// The fencing token.
    pub(crate) token: u64,
    /// Microseconds of wall time: for how long something took, and for no order.
    pub(crate) at_us: u64,
}

/// The file.
#[derive(Debug)]
pub(crate) struct Ledger {
    file: File,
    path: PathBuf,
}

/// A file that holds something other than records.
#[derive(Debug, thiserror::Error)]
#[error("record {0} is no record")]
struct Torn(usize);

impl Ledger {
    /// The ledger at `path`, made if it is not there.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        Ok(Self { file, path: path.to_owned() })
    }

    pub(crate) fn append(&self, record: &Record) -> io::Result<()> {
        let bytes = record.to_bytes();
        match (&self.file).write(&bytes)? {
            RECORD => Ok(()),
            _ => Err(io::ErrorKind::WriteZero.into()),
        }
    }

    /// Makes an effect as a store does that checks fencing tokens. An attempt that is not the
    /// first one of its request asks whether one before it got as far.
    ///
    /// Nobody else makes one meanwhile. An attempt whose beginning is not seen here looks
    /// later, and then finds this effect.
    pub(crate) fn make(&self, effect: &Record) -> io::Result<Taken> {
        // A lock belongs to an opened file: each thread needs one of its own.
        let guard = File::open(&self.path)?;
        flock(&guard, FlockOperation::LockExclusive)?;
        let records = self.read()?;
        let of_request = || records.iter().filter(|record| record.request == effect.request);
        let later = |record: &Record| record.token > effect.token && record.kind == Kind::Started;
        if of_request().any(later) {
            return Ok(Taken::Stale);
        }
        let before = of_request().find(|r| r.kind == Kind::Effect && r.token < effect.token);
        if let Some(before) = before.filter(|_| effect.attempt > 1) {
            return Ok(Taken::Before(before.token));
        }
        self.append(effect).map(|()| Taken::Made)
    }

    /// Every record, oldest first.
    pub(crate) fn read(&self) -> io::Result<Vec<Record>> {
        let bytes = std::fs::read(&self.path)?;
        let all = bytes.chunks(RECORD).enumerate();
        all.map(|(at, bytes)| Record::parse(bytes).ok_or_else(|| io::Error::other(Torn(at))))
            .collect()
    }
}

impl Record {
    /// A record of now.
    pub(crate) fn new(kind: Kind, instance: u32) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let at_us = u64::try_from(since.as_micros()).unwrap_or(0);
        Self { kind, request: 0, delivery: 0, instance, attempt: 0, token: 0, at_us }
    }

    fn to_bytes(self) -> [u8; RECORD] {
        let Self { kind, request, delivery, instance, attempt, token, at_us } = self;
        let letter = LETTERS[kind as usize].1;
        let text = format!(
            "{letter} {request:08x} {delivery:08x} {instance:06x} {attempt:04x} {token:016x} \
             {at_us:013x}"
        );
        let mut bytes = [b' '; RECORD];
        for (byte, of) in bytes.iter_mut().zip(text.bytes()) {
            *byte = of;
        }
        bytes[RECORD - 1] = b'\n';
        bytes
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
        let mut words = text.split_whitespace();
        let letter = words.next()?;
        let (kind, _) = LETTERS.into_iter().find(|(_, of)| *of == letter)?;
        let mut number = || u64::from_str_radix(words.next()?, 16).ok();
        let small = |number: Option<u64>| u32::try_from(number?).ok();
        let record = Self {
            kind,
            request: small(number())?,
            delivery: small(number())?,
            instance: small(number())?,
            attempt: small(number())?,
            token: number()?,
            at_us: number()?,
        };
        // What is written in any other way is not from this ledger.
        (record.to_bytes() == bytes).then_some(record)
    }
}

/// A page holds a whole number of them.
const RECORD: usize = 64;
/// In the order of [`Kind`].
const LETTERS: [(Kind, &str); 8] = [
    (Kind::Started, "S"),
    (Kind::Effect, "E"),
    (Kind::Completed, "C"),
    (Kind::Failed, "F"),
    (Kind::Fenced, "X"),
    (Kind::Answered, "A"),
    (Kind::Killed, "K"),
    (Kind::Adopted, "D"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crew::folder::Folder;

    /// Goal: an effect is made once the ledger has seen no later attempt, and an attempt that is
    /// not the first finds the effect of one before it; a first one does not look. Method: each
    /// case, and another request beside it.
    #[test]
    fn effects_are_checked_as_a_store_does() {
        let folder = Folder::new().unwrap();
        let ledger = Ledger::open(&folder.path().join("ledger")).unwrap();
        let of = |kind, attempt, token| Record { attempt, token, ..Record::new(kind, 1) };
        let make = |attempt, token| ledger.make(&of(Kind::Effect, attempt, token)).unwrap();
        let beside = Record { request: 1, ..of(Kind::Started, 9, 90) };
        ledger.append(&beside).unwrap();
        ledger.append(&Record { request: 1, ..of(Kind::Effect, 1, 3) }).unwrap();
        assert_eq!(make(2, 5), Taken::Made, "the other request is none of its business");
        assert_eq!(make(2, 6), Taken::Before(5));
        assert_eq!(make(1, 6), Taken::Made, "a first attempt has none before it");
        ledger.append(&of(Kind::Started, 3, 8)).unwrap();
        assert_eq!(make(2, 7), Taken::Stale);
        assert_eq!(make(3, 8), Taken::Before(5), "its own beginning is no later one");
        let effects = ledger.read().unwrap().into_iter().filter(|r| r.kind == Kind::Effect);
        assert_eq!(effects.map(|effect| effect.token).collect::<Vec<_>>(), [3, 5, 6]);
    }

    /// Goal: what is written is read again, and nothing else is taken for a record. Method: the
    /// largest numbers of each kind; records that are cut, changed or of another kind.
    #[test]
    fn records_are_read_as_they_were_written() {
        for (at, (kind, _)) in LETTERS.into_iter().enumerate() {
            assert_eq!(kind as usize, at);
            let record = Record {
                kind,
                request: u32::MAX,
                delivery: u32::MAX,
                instance: 0xff_ffff,
                attempt: 0xffff,
                token: u64::MAX,
                at_us: (1 << 52) - 1,
            };
            let bytes = record.to_bytes();
            assert_eq!(Record::parse(&bytes), Some(record));
            assert_eq!(Record::parse(&bytes[..RECORD - 1]), None);
            let mut other = bytes;
            other[0] = b'Q';
            assert_eq!(Record::parse(&other), None);
            other[0] = bytes[0];
            other[5] = b' ';
            assert_eq!(Record::parse(&other), None);
        }
    }
}
